//! `check` as a user runs it.

use std::fs;
use std::path::Path;

use crate::binary::{Run, run};

fn check(path: &Path, more: &[&str]) -> Run {
    let path = path.to_str().unwrap();
    run(["check", "--config", path].iter().chain(more))
}

#[test]
fn check_tells_every_fault_at_once_and_ends_with_2() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gateway.yaml");
    fs::write(
        &file,
        "discovery:\n  namespace: shop\n  zone: ''\nadmim: {}\nhealth: {listen: here}\n",
    )
    .unwrap();
    let outcome = check(&file, &[]);
    assert_eq!(outcome.code(), Some(2));
    assert_eq!(outcome.stdout, "");
    let name = file.display();
    assert_eq!(
        outcome.stderr,
        format!(
            "error: the configuration cannot be used\n  \
             {name}: line 2, column 3: discovery.namespace: there is no key `namespace`, did you mean `namespaces`?\n  \
             {name}: line 4, column 1: admim: there is no key `admim`, did you mean `admin`?\n  \
             {name}: line 5, column 18: health.listen: it is not an IP address with a port, such as 127.0.0.1:8080\n"
        )
    );
    let missing = check(&folder.path().join("none.yaml"), &[]);
    assert_eq!(missing.code(), Some(2));
    assert!(missing.stderr.contains("none.yaml: it cannot be read: "));
    assert_eq!(run(["check"]).code(), Some(2));
}

#[test]
fn check_takes_what_can_be_used_and_prints_it_with_every_default() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gateway.yaml");
    fs::write(
        &file,
        "cluster: {demo: true}\nadmin: {listen: '0.0.0.0:9911'}\n",
    )
    .unwrap();
    let outcome = check(&file, &["--print"]);
    assert_eq!(outcome.code(), Some(0), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("warning: "), "{}", outcome.stderr);
    assert!(outcome.stdout.contains("listen: 0.0.0.0:8080"));
    fs::write(&file, &outcome.stdout).unwrap();
    let again = check(&file, &["--print"]);
    assert_eq!(again.stdout, outcome.stdout);
    let quiet = check(&file, &[]);
    assert_eq!((quiet.code(), &*quiet.stdout), (Some(0), ""));
    assert!(quiet.stderr.contains("it can be used"));
}
