//! Holds the table of who may import whom against the sources.

mod source;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The modules of the framework with what each may import, besides itself. A longer entry is for a part of a module.
const FRAMEWORK: &[(&[&str], &[&str])] = &[
    (&["resource"], &[]),
    (&["selector"], &["resource"]),
    (&["object"], &["resource"]),
    (&["client"], &["resource", "selector", "object"]),
    (&["indexer"], &["resource", "selector", "object"]),
    (&["store"], &["resource", "selector", "object", "indexer"]),
    (
        &["store", "cached"],
        &["resource", "selector", "object", "indexer", "client"],
    ),
    (
        &["watcher"],
        &[
            "resource", "selector", "object", "client", "indexer", "store",
        ],
    ),
    (&["leader_election"], &["resource", "client"]),
    (&["fake"], &["resource", "selector", "object"]),
];

/// The parts of the gateway with what each may import, besides itself. How times (`config::duration`) and shares
/// (`config::Percent`) are written is known to all.
const GATEWAY: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("translate", &["model"]),
    ("discovery", &["model", "translate"]),
    ("manifest", &["discovery", "translate"]),
    ("live", &["discovery", "translate"]),
    ("statics", &["model", "translate"]),
    ("guard", &[]),
    ("assemble", &["discovery", "model"]),
    ("publish", &["model"]),
    (
        "engine",
        &[
            "assemble",
            "discovery",
            "guard",
            "live",
            "model",
            "publish",
            "statics",
            "translate",
        ],
    ),
    ("output", &["model"]),
    ("sink", &["model", "output"]),
    ("publication", &["model", "output", "publish", "sink"]),
    ("http", &["model", "output", "publish"]),
    ("xds", &["model", "output", "publish"]),
    ("pull", &["model", "output", "sink"]),
    (
        "config",
        &[
            "engine",
            "guard",
            "http",
            "live",
            "model",
            "output",
            "sink",
            "statics",
            "translate",
            "xds",
        ],
    ),
    (
        "service",
        &[
            "config",
            "engine",
            "http",
            "live",
            "model",
            "output",
            "publication",
            "publish",
            "sink",
            "xds",
        ],
    ),
    (
        "cli",
        &[
            "config",
            "discovery",
            "live",
            "manifest",
            "model",
            "pull",
            "service",
            "sink",
            "translate",
        ],
    ),
];

/// What Kubernetes is in the gateway.
const KUBERNETES: &[&str] = &[
    "kube",
    "kube_client",
    "kube_core",
    "kube_runtime",
    "k8s_openapi",
];

/// What in `std` and beyond makes a function depend on more than its arguments.
const IMPURE: &[&str] = &[
    "std::env",
    "std::fs",
    "std::io",
    "std::net::TcpListener",
    "std::net::TcpStream",
    "std::net::ToSocketAddrs",
    "std::net::UdpSocket",
    "std::process",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
    "tokio",
    "futures",
    "tracing",
    "fastrand",
    "clap",
    "kubedex::client",
    "kubedex::watcher",
    "kubedex::store",
    "kubedex::fake",
    "kubedex::Client",
    "kubedex::Watcher",
    "kubedex::WatcherConfig",
];

#[test]
fn no_module_imports_what_it_may_not() {
    let files = files(&root().join("src"));
    let reexports = reexports(&read(&root().join("src/lib.rs")));
    let found: Vec<String> = files
        .iter()
        .filter(|(module, _)| !module.is_empty())
        .flat_map(|(module, text)| violations(module, text, &reexports))
        .collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
    assert!(files.len() > 20, "the sources are where this test looks");
}

#[test]
fn the_table_knows_every_module() {
    for (module, _) in files(&root().join("src")) {
        let known = module.is_empty() || FRAMEWORK.iter().any(|(name, _)| name[0] == module[0]);
        assert!(known, "{} is not in the table", module.join("::"));
    }
}

#[test]
fn the_gateway_uses_the_public_api_alone() {
    for (module, text) in files(&root().join("gateway/src")) {
        let at = module.join("::");
        for path in source::paths(&text, &borrowed(&module), KUBERNETES) {
            assert!(
                !KUBERNETES.contains(&path[0].as_str()),
                "gateway: {at} imports {}",
                path.join("::")
            );
        }
        assert!(
            !text.contains("#[path"),
            "gateway: {at} takes in a file from elsewhere"
        );
    }
}

#[test]
fn no_part_of_the_gateway_imports_what_it_may_not() {
    let mut found = Vec::new();
    for (module, text) in files(&root().join("gateway/src")) {
        let Some(name) = module
            .first()
            .filter(|name| *name != "main" && *name != "lib")
        else {
            continue;
        };
        if module.last().is_some_and(|last| last == "tests") {
            continue;
        }
        let entry = GATEWAY.iter().find(|(entry, _)| entry == name);
        let Some((_, may)) = entry else {
            found.push(format!("gateway: {name} is not in the table"));
            continue;
        };
        for path in source::paths(&text, &borrowed(&module), &["crate"]) {
            let Some(target) = path.get(1).map(String::as_str) else {
                continue;
            };
            let is_known = [["config", "duration"], ["config", "Percent"]]
                .iter()
                .any(|known| path[1..].starts_with(&owned(known)));
            if target != name && !may.contains(&target) && !is_known {
                found.push(format!(
                    "gateway: {} imports {}",
                    module.join("::"),
                    path.join("::")
                ));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_gateways_model_knows_nothing_of_kubernetes() {
    let found = gateway_violations("model", &["kubedex"]);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_gateways_translation_is_pure() {
    let found = gateway_violations("translate", IMPURE);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_gateways_outputs_are_pure() {
    let found = gateway_violations("output", IMPURE);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn a_violation_is_found_however_it_is_written() {
    let reexports = reexports(
        "pub mod watcher;\n#[doc(inline)]\npub use watcher::{Watcher, WatcherConfig as Config};\npub use object::Object;",
    );
    for text in [
        "use crate::watcher::Changes;",
        "use crate::{object::Object, watcher};",
        "use crate::{object::{Object, ValueRef}, watcher::{self, status::*}};",
        "use crate::Watcher;",
        "use crate::{Object, Config};",
        "pub(crate) use crate::watcher::*;",
        "fn f() { crate::watcher::f() }",
        "fn f(x: &crate::watcher::X<crate::object::Object>) {}",
        "use super::super::watcher::X;",
        "mod tests { use super::super::super::watcher::X; }",
        "mod a { mod b {} } use super::super::watcher::X;",
        "use crate::fake::FakeCluster;",
        "fn f<'a>(x: &'a str) { let c = '\"'; crate::watcher::f(c) }",
        "let r = r#\"\"\"#; crate::watcher::f()",
        "use crate::no_such_thing;",
    ] {
        let found = violations(&owned(&["store", "memory"]), text, &reexports);
        assert!(!found.is_empty(), "not found: {text}");
    }
    for text in [
        "// use crate::watcher::X;",
        "/* crate::watcher /* nested */ crate::watcher */ use crate::object::Object;",
        "const X: &str = \"crate::watcher::X\";",
        "const X: &str = r#\"crate::\" watcher::X crate::watcher\"#;",
        "use super::Store; use super::super::indexer::Keys;",
        "mod tests { use super::super::Store; }",
        "use crate::Object; pub(crate) struct X; use crate::store::memory::Y;",
        "use std::sync::watcher::X; use other::crate_watcher;",
        "use self::slots::Id; use crate::{indexer::{IndexSet, Keys}, resource::Gvr as G};",
    ] {
        assert_eq!(
            violations(&owned(&["store", "memory"]), text, &reexports),
            [""; 0],
            "{text}"
        );
    }
    assert!(!violations(&owned(&["store"]), "use crate::client::Client;", &reexports).is_empty());
    assert!(
        violations(
            &owned(&["store", "cached", "fetch"]),
            "use crate::client::Client;",
            &reexports
        )
        .is_empty()
    );
}

/// What a file of the framework names that it may not.
fn violations(module: &[String], text: &str, reexports: &BTreeMap<String, String>) -> Vec<String> {
    let entry = FRAMEWORK
        .iter()
        .filter(|(name, _)| {
            module.len() >= name.len()
                && name.iter().zip(module).all(|(name, module)| name == module)
        })
        .max_by_key(|(name, _)| name.len());
    let Some((_, may)) = entry else {
        return vec![format!("{} is not in the table", module.join("::"))];
    };
    source::paths(text, &borrowed(module), &["crate", "kubedex"])
        .into_iter()
        .filter_map(|path| {
            // What ends at the root names nothing: `pub(crate)` and the like.
            let named = path.get(1)?;
            let target = reexports.get(named).unwrap_or(named);
            let allowed = *target == module[0] || may.contains(&target.as_str());
            (!allowed).then(|| format!("{} imports {}", module.join("::"), path.join("::")))
        })
        .collect()
}

/// What the files under a module of the gateway name that begins with one of these.
fn gateway_violations(module: &str, forbidden: &[&str]) -> Vec<String> {
    let files: Vec<_> = files(&root().join("gateway/src"))
        .into_iter()
        .filter(|(path, _)| {
            path.first().is_some_and(|first| first == module)
                && path.last().is_some_and(|last| last != "tests")
        })
        .collect();
    assert!(!files.is_empty(), "the gateway has a module {module}");
    let mut roots: Vec<&str> = forbidden
        .iter()
        .filter_map(|path| path.split("::").next())
        .collect();
    roots.extend(KUBERNETES);
    roots.push("crate");
    let mut found = Vec::new();
    for (path, text) in &files {
        for named in source::paths(text, &borrowed(path), &roots) {
            let named = named.join("::");
            let begins = |with: &&&str| named == **with || named.starts_with(&format!("{with}::"));
            let leaves = named.starts_with("crate::")
                && !["model", "translate", module]
                    .iter()
                    .any(|own| named.starts_with(&format!("crate::{own}")));
            if forbidden.iter().chain(KUBERNETES).any(|with| begins(&with)) || leaves {
                found.push(format!("gateway: {} imports {named}", path.join("::")));
            }
        }
    }
    found
}

/// Names that the crate's root gives to what is in modules.
fn reexports(lib: &str) -> BTreeMap<String, String> {
    let relative = lib.replace("pub use ", "pub use self::");
    let paths = source::paths(&relative, &[], &[]);
    let names = paths.into_iter().filter_map(|path| match &path[..] {
        [_, module, .., name] if name != module => Some((name.clone(), module.clone())),
        _ => None,
    });
    let mut names: BTreeMap<_, _> = names.collect();
    // A renamed one is known by both names; the source reader drops the second.
    for line in lib.split([',', '{', '}', ';', '\n']) {
        if let Some((name, alias)) = line.split_once(" as ")
            && let Some(module) = names.get(name.trim()).cloned()
        {
            names.insert(alias.trim().to_owned(), module);
        }
    }
    names
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The source files under a folder by module; the crate's root has the empty one.
fn files(folder: &Path) -> Vec<(Vec<String>, String)> {
    let mut files = Vec::new();
    let mut folders: Vec<PathBuf> = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in
            fs::read_dir(&next).unwrap_or_else(|error| panic!("{}: {error}", next.display()))
        {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let relative = path.strip_prefix(folder).unwrap().with_extension("");
                let module: Vec<String> = relative
                    .iter()
                    .map(|part| part.to_string_lossy().into_owned())
                    .collect();
                let is_root = matches!(&module[..], [only] if only == "lib" || only == "main");
                files.push((if is_root { Vec::new() } else { module }, read(&path)));
            }
        }
    }
    files
}

fn borrowed(module: &[String]) -> Vec<&str> {
    module.iter().map(String::as_str).collect()
}

fn owned(module: &[&str]) -> Vec<String> {
    module.iter().map(ToString::to_string).collect()
}
