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

#[test]
fn an_interval_and_a_command_that_take_as_long_as_the_whole_write_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gateway.yaml");
    for (interval, code) in [("49s", 0), ("50s", 2)] {
        let sink = format!("{{path: out, command_interval: {interval}}}");
        let text = format!("publish: [{{format: json, directory: {sink}}}]\n");
        fs::write(&file, text).unwrap();
        let outcome = check(&file, &[]);
        assert_eq!(outcome.code(), Some(code), "{interval}");
        let is_named = outcome
            .stderr
            .contains("command_interval: with `command_timeout`");
        assert_eq!(is_named, code == 2, "{}", outcome.stderr);
    }
}

#[test]
fn a_step_that_may_take_as_long_as_the_whole_write_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gateway.yaml");
    let sinks = [
        ("directory: {path: out, command_timeout", "command_timeout"),
        #[cfg(feature = "s3")]
        ("s3: {bucket: gateway, request_timeout", "request_timeout"),
    ];
    for (sink, field) in sinks {
        let said = |timeout: &str| {
            let text = format!("publish:\n  - format: json\n    {sink}: {timeout}}}\n");
            fs::write(&file, text).unwrap();
            check(&file, &[])
        };
        for timeout in ["1m", "5m"] {
            let outcome = said(timeout);
            assert_eq!(outcome.code(), Some(2), "{field}: {timeout}");
            let bound = format!("{field}: it must be less than 1m");
            assert!(outcome.stderr.contains(&bound), "{}", outcome.stderr);
        }
        let outcome = said("59s");
        assert_eq!(outcome.code(), Some(0), "{}", outcome.stderr);
    }
}

/// The block of YAML in the README's reference.
fn reference() -> String {
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let text = fs::read_to_string(readme).unwrap();
    let (_, after) = text.split_once("read by a test. -->\n```yaml\n").unwrap();
    after.split_once("```").unwrap().0.to_owned()
}

#[test]
fn the_reference_in_the_readme_is_taken_and_names_every_key() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gateway.yaml");
    fs::write(&file, reference()).unwrap();
    let outcome = check(&file, &["--print"]);
    assert_eq!(outcome.code(), Some(0), "{}", outcome.stderr);
    // What it does not name is there by default, and so would be printed.
    for line in outcome.stdout.lines() {
        let Some((key, _)) = line.trim_start().trim_start_matches("- ").split_once(':') else {
            continue;
        };
        let is_option = ["client_ip_affinity", "default_protocol", "name_prefix"].contains(&key);
        assert!(
            is_option || reference().contains(&format!("{key}:")),
            "{key} is not in the README"
        );
    }
}

#[test]
fn the_examples_can_be_used() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/examples");
    let mut examples = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path
            .extension()
            .is_some_and(|extension| extension == "yaml")
        {
            let outcome = check(&path, &[]);
            assert_eq!(outcome.code(), Some(0), "{}", outcome.stderr);
            // Credentials are in the environment of who runs it.
            let warns =
                |line: &str| line.starts_with("warning") && !line.contains("credentials_file");
            assert!(!outcome.stderr.lines().any(warns), "{}", outcome.stderr);
            examples += 1;
        }
    }
    assert!(examples > 0);
}
