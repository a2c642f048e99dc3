//! Writes that end at every step, as a crash would end them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use bytes::Bytes;

use super::*;

fn file(path: &str, text: &str) -> File {
    File {
        path: path.into(),
        bytes: Bytes::copy_from_slice(text.as_bytes()),
        media_type: "text/plain",
    }
}

fn whole(files: &[(&str, &str)]) -> Write {
    Write::unfenced(Rendering {
        is_whole: true,
        files: files.iter().map(|(path, text)| file(path, text)).collect(),
        ..Rendering::default()
    })
}

/// Everything below a directory but our own files.
fn content(root: &Path) -> BTreeMap<String, String> {
    fn walk(root: &Path, folder: &Path, found: &mut BTreeMap<String, String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(root, &path, found);
            } else if !path
                .file_name()
                .unwrap()
                .to_str()
                .unwrap()
                .starts_with(".kubedex-")
            {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap();
                found.insert(name.to_owned(), fs::read_to_string(&path).unwrap());
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(root, root, &mut found);
    found
}

fn named(root: &Path) -> Names {
    match fs::read(root.join(manifest::NAME)) {
        Ok(bytes) => manifest::parse(&bytes).unwrap(),
        Err(_) => Names::new(),
    }
}

fn write(writer: &mut Writer, write: &Write) -> Result<Written, SinkError> {
    writer.write(write, &Cancelled::default())
}

#[test]
fn a_crash_at_any_step_leaves_no_torn_file_and_none_that_nobody_knows() {
    let before = [
        ("same", "1"),
        ("changes", "old text"),
        ("sub/goes", "1"),
        ("goes", "1"),
    ];
    let after = [
        ("same", "1"),
        ("changes", "new text"),
        ("new", "1"),
        ("deep/er/new", "1"),
    ];
    let own = |files: &[(&str, &str)]| -> BTreeMap<String, String> {
        files
            .iter()
            .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()))
            .collect()
    };
    let (old, new) = (own(&before), own(&after));
    let mut steps = 0;
    loop {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("foreign"), "theirs").unwrap();
        let mut config = DirectoryConfig::new(root.path());
        config.fsync = false;
        config.command = vec!["true".to_owned()];
        let config = Arc::new(config);
        let mut writer = Writer::new(Arc::clone(&config));
        write(&mut writer, &whole(&before)).unwrap();
        writer.command_is_done().unwrap();
        drop(writer);

        let mut crashing = Writer::new(Arc::clone(&config));
        crashing.effects_left = Some(steps);
        let outcome = write(&mut crashing, &whole(&after));
        drop(crashing);

        let mut stands = content(root.path());
        assert_eq!(stands.remove("foreign").as_deref(), Some("theirs"));
        let names = named(root.path());
        for (name, text) in &stands {
            let is_old_or_new = [old.get(name), new.get(name)].contains(&Some(text));
            assert!(is_old_or_new, "after {steps} steps {name} has {text:?}");
            assert!(
                names.contains(&**name),
                "after {steps} steps {name} is unknown"
            );
        }

        let mut again = Writer::new(Arc::clone(&config));
        let written = write(&mut again, &whole(&after)).unwrap();
        assert!(again.owes_command() || stands == old, "after {steps} steps");
        let mut stands = content(root.path());
        assert_eq!(stands.remove("foreign").as_deref(), Some("theirs"));
        assert_eq!(stands, new, "after {steps} steps");
        assert_eq!(named(root.path()).len(), new.len());
        let temporary = fs::exists(root.path().join(".kubedex-tmp")).unwrap();
        assert!(!temporary, "after {steps} steps");
        if outcome.is_ok() {
            assert_eq!(written.unchanged, new.len());
            assert!(!written.is_change());
            break;
        }
        steps += 1;
    }
    assert!(steps > 20, "only {steps} steps were tried");
}

#[test]
fn a_write_that_nobody_waits_for_begins_no_further_file() {
    let root = tempfile::tempdir().unwrap();
    let mut writer = Writer::new(Arc::new(DirectoryConfig::new(root.path())));
    write(&mut writer, &whole(&[("a", "1")])).unwrap();
    let cancelled = Cancelled::default();
    cancelled.set();
    let error = writer.write(&whole(&[("a", "2"), ("b", "1")]), &cancelled);
    assert!(error.is_err());
    let one = BTreeMap::from([("a".to_owned(), "1".to_owned())]);
    assert_eq!(content(root.path()), one);
}
