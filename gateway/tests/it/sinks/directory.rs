//! A directory as a sink: what it touches, and what it never does.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use kubedex_gateway::output::Rendering;
use kubedex_gateway::sink::directory::{Directory, DirectoryConfig, FileMode};
use kubedex_gateway::sink::{Sink, SinkError, Write, Written};
use tempfile::TempDir;

use super::{part, whole};

fn config(root: &TempDir) -> DirectoryConfig {
    DirectoryConfig::new(root.path().join("out"))
}

fn open(root: &TempDir) -> Directory {
    Directory::open(config(root)).unwrap()
}

async fn write(sink: &mut Directory, rendering: Rendering) -> Result<Written, SinkError> {
    sink.write(Write::unfenced(rendering)).await
}

/// The file's text; none if it is not there.
fn text(root: &TempDir, path: &str) -> Option<String> {
    fs::read_to_string(root.path().join("out").join(path)).ok()
}

/// Tells one file from another that took its place.
fn inode(root: &TempDir, path: &str) -> u64 {
    fs::metadata(root.path().join("out").join(path))
        .unwrap()
        .ino()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn files_appear_change_and_go_and_what_is_unchanged_is_not_touched() {
    let root = tempfile::tempdir().unwrap();
    let mut sink = open(&root);
    let first = [("a.yaml", "1"), ("eds/b.json", "2"), ("eds/c.json", "3")];
    let written = write(&mut sink, whole(&first)).await.unwrap();
    assert_eq!((written.files, written.bytes, written.unchanged), (3, 3, 0));
    let a = inode(&root, "a.yaml");
    let written = write(&mut sink, whole(&first)).await.unwrap();
    assert_eq!((written.unchanged, written.is_change()), (3, false));
    assert_eq!(inode(&root, "a.yaml"), a);

    let change = part(
        &[("eds/b.json", "22"), ("a.yaml", "1")],
        &["eds/c.json", "never"],
    );
    let written = write(&mut sink, change).await.unwrap();
    assert_eq!(
        (written.files, written.unchanged, written.removed),
        (1, 1, 1)
    );
    assert_eq!(text(&root, "eds/b.json").as_deref(), Some("22"));
    assert_eq!(text(&root, "eds/c.json"), None);
    assert_eq!(inode(&root, "a.yaml"), a);
    let out = root.path().join("out");
    assert_eq!(
        names(&out),
        [".kubedex-lock", ".kubedex-manifest.json", "a.yaml", "eds"]
    );
    assert_eq!(names(&out.join("eds")), ["b.json"]);
}

#[tokio::test]
async fn after_a_restart_nothing_is_written_anew_and_what_is_no_longer_wanted_goes() {
    let root = tempfile::tempdir().unwrap();
    let files = [("a", "1"), ("sub/b", "2")];
    write(&mut open(&root), whole(&files)).await.unwrap();
    let before = (inode(&root, "a"), inode(&root, "sub/b"));
    let written = write(&mut open(&root), whole(&files)).await.unwrap();
    assert!(!written.is_change());
    assert_eq!(before, (inode(&root, "a"), inode(&root, "sub/b")));
    let written = write(&mut open(&root), whole(&[("a", "1")])).await.unwrap();
    assert_eq!((written.unchanged, written.removed), (1, 1));
    assert_eq!(text(&root, "sub/b"), None);
}

#[tokio::test]
async fn a_whole_rendering_mends_what_others_changed_or_removed() {
    let root = tempfile::tempdir().unwrap();
    let mut sink = open(&root);
    let files = [("a", "1"), ("b", "2"), ("c", "3")];
    write(&mut sink, whole(&files)).await.unwrap();
    let out = root.path().join("out");
    fs::write(out.join("a"), "9").unwrap();
    fs::remove_file(out.join("b")).unwrap();
    let written = write(&mut sink, whole(&files)).await.unwrap();
    assert_eq!((written.files, written.unchanged), (2, 1));
    assert_eq!(text(&root, "a").as_deref(), Some("1"));

    // Also if the directory itself was replaced.
    fs::rename(&out, root.path().join("away")).unwrap();
    let written = write(&mut sink, whole(&files)).await.unwrap();
    assert_eq!(written.files, 3);
    assert_eq!(text(&root, "b").as_deref(), Some("2"));
}

#[tokio::test]
async fn a_file_of_others_is_neither_replaced_nor_removed_unless_asked_for() {
    let root = tempfile::tempdir().unwrap();
    let out = root.path().join("out");
    fs::create_dir(&out).unwrap();
    fs::write(out.join("theirs.yaml"), "x").unwrap();
    fs::write(out.join("other.yaml"), "y").unwrap();
    let files = [("mine.yaml", "1"), ("theirs.yaml", "2")];
    let mut sink = open(&root);
    for _ in 0..2 {
        let error = write(&mut sink, whole(&files)).await.unwrap_err();
        assert!(error.is_lasting());
        let said = error.to_string();
        assert!(
            said.contains("out/theirs.yaml") && said.contains("adopt: true"),
            "{said}"
        );
        assert!(!said.contains("mine.yaml"), "{said}");
    }
    assert_eq!(text(&root, "mine.yaml"), None, "nothing is half done");
    drop(sink);
    let mut adopting = config(&root);
    adopting.adopt = true;
    let mut sink = Directory::open(adopting).unwrap();
    write(&mut sink, whole(&files)).await.unwrap();
    assert_eq!(text(&root, "theirs.yaml").as_deref(), Some("2"));
    write(&mut sink, whole(&[])).await.unwrap();
    assert_eq!(text(&root, "theirs.yaml"), None);
    assert_eq!(text(&root, "other.yaml").as_deref(), Some("y"));
}

#[tokio::test]
async fn no_way_leads_out_of_the_root() {
    let root = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret"), "s").unwrap();
    let out = root.path().join("out");
    fs::create_dir(&out).unwrap();
    symlink(outside.path(), out.join("link")).unwrap();
    let mut adopting = config(&root);
    adopting.adopt = true;
    let mut sink = Directory::open(adopting.clone()).unwrap();
    for path in [
        "../x",
        "/tmp/x",
        "a/../../x",
        "link/x",
        "link/secret",
        "link/deep/x",
        ".kubedex-lock",
        "",
    ] {
        let error = write(&mut sink, whole(&[(path, "1")])).await.unwrap_err();
        assert!(error.is_lasting(), "{path}: {error}");
    }
    assert_eq!(names(outside.path()), ["secret"]);
    assert_eq!(
        fs::read_to_string(outside.path().join("secret")).unwrap(),
        "s"
    );

    // A link in place of a file is replaced, not followed.
    symlink(outside.path().join("secret"), out.join("file")).unwrap();
    write(&mut sink, whole(&[("file", "1"), ("sub/b", "2")]))
        .await
        .unwrap();
    assert_eq!(
        fs::read_to_string(outside.path().join("secret")).unwrap(),
        "s"
    );
    assert!(fs::symlink_metadata(out.join("file")).unwrap().is_file());

    // A folder that became a link is not followed to remove what is behind it.
    fs::rename(out.join("sub"), outside.path().join("sub")).unwrap();
    symlink(outside.path().join("sub"), out.join("sub")).unwrap();
    let written = write(&mut sink, whole(&[("file", "1")])).await.unwrap();
    assert_eq!(written.removed, 0);
    assert_eq!(names(&outside.path().join("sub")), ["b"]);

    // Nor is a manifest believed that names what is outside.
    drop(sink);
    let forged = format!(
        "{{\"form\": 1, \"files\": [\"{}/secret\"]}}",
        outside.path().display()
    );
    fs::write(out.join(".kubedex-manifest.json"), forged).unwrap();
    let mut sink = Directory::open(adopting).unwrap();
    let error = write(&mut sink, whole(&[])).await.unwrap_err();
    assert!(
        error.is_lasting() && error.chain().contains("secret"),
        "{}",
        error.chain()
    );
    assert!(outside.path().join("secret").exists());
}

#[tokio::test]
async fn a_directory_has_one_writer() {
    let root = tempfile::tempdir().unwrap();
    let mut first = open(&root);
    write(&mut first, whole(&[("a", "1")])).await.unwrap();
    let mut second = open(&root);
    let error = write(&mut second, whole(&[])).await.unwrap_err();
    assert!(!error.is_lasting(), "the other may be about to end");
    assert!(
        error
            .chain()
            .contains("another process, or another publication"),
        "{}",
        error.chain()
    );
    assert_eq!(text(&root, "a").as_deref(), Some("1"));
    // Whose turn is over lets go, and takes it again when it is free.
    first.release().await;
    write(&mut second, whole(&[])).await.unwrap();
    assert_eq!(text(&root, "a"), None);
    assert!(write(&mut first, whole(&[])).await.is_err());
    drop(second);
    write(&mut first, whole(&[("a", "2")])).await.unwrap();
    assert_eq!(text(&root, "a").as_deref(), Some("2"));
}

fn mode(path: impl AsRef<Path>) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[tokio::test]
async fn the_mode_is_as_configured() {
    let root = tempfile::tempdir().unwrap();
    let a = root.path().join("out/a");
    write(&mut open(&root), whole(&[("a", "1")])).await.unwrap();
    assert_eq!(mode(&a), 0o644);
    let mut config = config(&root);
    config.mode = FileMode::new(0o666).unwrap();
    let mut sink = Directory::open(config).unwrap();
    write(&mut sink, whole(&[("a", "1")])).await.unwrap();
    assert_eq!(mode(&a), 0o666);
}

/// Where the test below writes as a process of its own.
const WRITES_TO: &str = "KUBEDEX_TEST_WRITES_TO";

#[tokio::test]
async fn others_may_enter_and_read_whatever_the_umask_is() {
    if let Some(out) = std::env::var_os(WRITES_TO) {
        let mut sink = Directory::open(DirectoryConfig::new(out)).unwrap();
        write(&mut sink, whole(&[("eds/deep/a", "1")]))
            .await
            .unwrap();
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let program = std::env::current_exe().unwrap();
    let name = "sinks::directory::others_may_enter_and_read_whatever_the_umask_is";
    let status = Command::new("sh")
        .args(["-c", "umask 077; exec \"$0\" --exact \"$1\""])
        .args([program.as_os_str(), name.as_ref()])
        .env(WRITES_TO, root.path().join("above/out"))
        .stdout(Stdio::null())
        .status();
    assert!(status.unwrap().success());
    for folder in ["above", "above/out", "above/out/eds", "above/out/eds/deep"] {
        assert_eq!(mode(root.path().join(folder)), 0o755, "{folder}");
    }
    assert_eq!(mode(root.path().join("above/out/eds/deep/a")), 0o644);
}

#[tokio::test]
async fn folders_are_of_the_group_that_the_folder_above_gives_them() {
    let root = tempfile::tempdir().unwrap();
    fs::set_permissions(root.path(), fs::Permissions::from_mode(0o2770)).unwrap();
    write(&mut open(&root), whole(&[("eds/a", "1")]))
        .await
        .unwrap();
    for folder in ["out", "out/eds"] {
        assert_eq!(mode(root.path().join(folder)), 0o2755, "{folder}");
    }
}

#[tokio::test]
async fn what_cannot_be_made_is_told_apart_from_what_cannot_be_opened() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("file"), "").unwrap();
    let below = DirectoryConfig::new(root.path().join("file/out"));
    let mut sink = Directory::open(below).unwrap();
    let error = write(&mut sink, whole(&[("a", "1")])).await.unwrap_err();
    assert!(
        error.to_string().starts_with("making the directory "),
        "{error}"
    );
}

/// A command that notes each run, and fails while a file says so.
fn noting(root: &TempDir) -> DirectoryConfig {
    let mut config = config(root);
    let (runs, broken) = (root.path().join("runs"), root.path().join("broken"));
    let script = format!(
        "echo run >> {}; test ! -e {}",
        runs.display(),
        broken.display()
    );
    config.command = ["sh", "-c", &script].map(str::to_owned).to_vec();
    config
}

fn runs(root: &TempDir) -> usize {
    let noted = fs::read_to_string(root.path().join("runs")).unwrap_or_default();
    noted.lines().count()
}

#[tokio::test]
async fn the_command_runs_after_changes_only_and_until_it_succeeds() {
    let root = tempfile::tempdir().unwrap();
    let mut sink = Directory::open(noting(&root)).unwrap();
    write(&mut sink, whole(&[("a", "1")])).await.unwrap();
    write(&mut sink, whole(&[("a", "1")])).await.unwrap();
    assert_eq!(runs(&root), 1);

    let broken = root.path().join("broken");
    fs::write(&broken, "").unwrap();
    let error = write(&mut sink, whole(&[("a", "2")])).await.unwrap_err();
    assert!(
        error.to_string().contains("the command sh failed"),
        "{error}"
    );
    assert_eq!(text(&root, "a").as_deref(), Some("2"));
    assert_eq!(runs(&root), 2);
    // It is owed also by the next process, though its files are right.
    drop(sink);
    let mut sink = Directory::open(noting(&root)).unwrap();
    assert!(write(&mut sink, whole(&[("a", "2")])).await.is_err());
    fs::remove_file(broken).unwrap();
    let written = write(&mut sink, whole(&[("a", "2")])).await.unwrap();
    assert!(!written.is_change());
    assert_eq!(runs(&root), 4);
    write(&mut sink, whole(&[("a", "2")])).await.unwrap();
    assert_eq!(runs(&root), 4);
    write(&mut sink, whole(&[])).await.unwrap();
    assert_eq!(runs(&root), 5, "a removal is a change");
}

#[tokio::test]
async fn the_command_has_a_pace_of_its_own() {
    let root = tempfile::tempdir().unwrap();
    let mut config = noting(&root);
    config.command_interval = Duration::from_millis(200);
    let mut sink = Directory::open(config).unwrap();
    let begun = Instant::now();
    for (count, text) in ["1", "2", "3"].into_iter().enumerate() {
        write(&mut sink, whole(&[("a", text)])).await.unwrap();
        assert_eq!(runs(&root), count + 1);
    }
    assert!(begun.elapsed() >= Duration::from_millis(400));
}

#[tokio::test]
async fn a_command_is_ended_with_the_write_that_waits_for_it() {
    let root = tempfile::tempdir().unwrap();
    let mut hanging = config(&root);
    let pid = root.path().join("pid");
    let script = format!(
        "echo $$ > {}.new; mv {0}.new {0}; exec sleep 1000",
        pid.display()
    );
    hanging.command = ["sh", "-c", &script].map(str::to_owned).to_vec();
    hanging.command_timeout = Duration::from_secs(900);
    let mut sink = Directory::open(hanging).unwrap();
    let started = async {
        while !pid.exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let bounded = tokio::time::timeout(Duration::from_secs(30), async {
        tokio::select! {
            _ = write(&mut sink, whole(&[("a", "1")])) => panic!("the command hangs"),
            () = started => {}
        }
    });
    bounded.await.unwrap();
    let pid = fs::read_to_string(pid).unwrap();
    let process = format!("/proc/{}/stat", pid.trim());
    let gone = async {
        // Killed; whether it was also waited for is the runtime's business.
        while fs::read_to_string(&process).is_ok_and(|stat| !stat.contains(") Z")) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), gone)
        .await
        .unwrap();
}

#[tokio::test]
async fn what_this_sink_wrote_can_be_asked_for() {
    let root = tempfile::tempdir().unwrap();
    let mut sink = open(&root);
    write(&mut sink, whole(&[("a", "1"), ("b", "2")]))
        .await
        .unwrap();
    fs::remove_file(root.path().join("out/b")).unwrap();
    fs::write(root.path().join("out/c"), "theirs").unwrap();
    let standing = sink.standing().await.unwrap();
    let told: Vec<_> = standing
        .iter()
        .map(|(name, hash)| (&**name, hash.is_some()))
        .collect();
    assert_eq!(told, [("a", true), ("b", false)]);
}
