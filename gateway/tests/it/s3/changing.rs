//! Pulling from a store in which objects change between the listing and the fetch.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use kubedex_gateway::pull::{MAX_BYTES, Pull, PullConfig};
use kubedex_gateway::sink::directory::DirectoryConfig;
use kubedex_gateway::sink::s3::S3Config;

use super::store::{Meddling, Store};

struct Case {
    store: Store,
    folder: tempfile::TempDir,
    pull: Pull,
}

impl Case {
    /// A store with these objects.
    async fn new(objects: &[(&str, &'static str)], max_bytes: u64) -> Self {
        let store = Store::default();
        for (path, text) in objects {
            store.put_foreign(&format!("gw/{path}"), *text).await;
        }
        let folder = tempfile::tempdir().unwrap();
        let config = PullConfig {
            source: S3Config {
                prefix: "gw".to_owned(),
                ..S3Config::new("bucket")
            },
            directory: DirectoryConfig::new(folder.path()),
            max_bytes,
        };
        let pull = Pull::over(Arc::new(store.clone()), config).unwrap();
        Self {
            store,
            folder,
            pull,
        }
    }

    fn meddle(&self, path: &str, meddling: impl IntoIterator<Item = Meddling>) {
        self.store.meddle(&format!("gw/{path}"), meddling);
    }

    /// How often this was asked since it was looked last, and the whole list of it.
    fn asked(&self) -> Vec<String> {
        let mut asked = self.store.asked();
        for what in &mut asked {
            *what = what.replace("gw/", "");
        }
        // Several are got at once.
        asked.sort();
        asked
    }

    fn text(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.folder.path().join(path)).ok()
    }

    fn is_empty(&self) -> bool {
        let is_file = |path: &Path| path.is_file() && !path.to_string_lossy().contains(".kubedex");
        let mut entries = fs::read_dir(self.folder.path()).unwrap();
        !entries.any(|entry| is_file(&entry.unwrap().path()))
    }
}

fn puts(count: usize) -> Vec<Meddling> {
    (1..=count)
        .map(|count| Meddling::Put(format!("new {count}")))
        .collect()
}

const TREE: [(&str, &str); 3] = [("cds.json", "c"), ("eds/a.json", "a"), ("eds/b.json", "b")];

#[tokio::test]
async fn an_object_that_changes_all_the_time_is_followed() {
    let mut case = Case::new(&TREE, MAX_BYTES).await;
    case.meddle("eds/a.json", puts(100));
    let written = case.pull.once().await.unwrap();
    assert_eq!(
        (written.files, case.text("eds/a.json").as_deref()),
        (3, Some("new 1"))
    );
    assert_eq!(
        case.asked(),
        [
            "get cds.json",
            "get eds/a.json",
            "get eds/b.json",
            "list gw"
        ]
    );
    // What stands is what is there now: it is not fetched again.
    let written = case.pull.once().await.unwrap();
    assert_eq!(
        (written.files, case.asked()),
        (0, vec!["list gw".to_owned()])
    );
    case.store.put_foreign("gw/eds/a.json", "last").await;
    case.meddle("eds/a.json", []);
    assert_eq!(case.pull.once().await.unwrap().files, 1);
    assert_eq!(case.text("eds/a.json").as_deref(), Some("last"));
}

#[tokio::test]
async fn what_may_name_others_is_listed_anew_when_it_changes_and_the_others_are_kept() {
    let mut case = Case::new(&TREE, MAX_BYTES).await;
    case.meddle("cds.json", puts(2));
    let written = case.pull.once().await.unwrap();
    assert_eq!(
        (written.files, case.text("cds.json").as_deref()),
        (3, Some("new 2"))
    );
    assert_eq!(
        case.asked(),
        [
            "get cds.json",
            "get cds.json",
            "get cds.json",
            "get eds/a.json",
            "get eds/b.json",
            "list gw",
            "list gw",
            "list gw"
        ]
    );
}

#[tokio::test]
async fn one_that_never_stays_as_listed_fails_and_what_was_fetched_is_kept() {
    let mut case = Case::new(&TREE, MAX_BYTES).await;
    case.meddle("cds.json", puts(100));
    let error = case.pull.once().await.unwrap_err().chain();
    assert!(
        error.contains("s3://bucket/gw") && error.contains("cds.json"),
        "{error}"
    );
    assert!(case.is_empty());
    case.asked();
    case.meddle("cds.json", []);
    assert_eq!(case.pull.once().await.unwrap().files, 3);
    assert_eq!(case.asked(), ["get cds.json", "list gw"]);
    assert_eq!(case.text("eds/b.json").as_deref(), Some("b"));
}

#[tokio::test]
async fn a_fetch_that_fails_leaves_what_stands_and_what_was_fetched() {
    let mut case = Case::new(&TREE, MAX_BYTES).await;
    // Of two levels, the shallow one is got first: both others are on their way by then.
    case.meddle("eds/b.json", [Meddling::Fail]);
    let error = case.pull.once().await.unwrap_err().chain();
    assert!(
        error.contains("eds/b.json") && error.contains("the store is away"),
        "{error}"
    );
    assert!(case.is_empty());
    // Some may have been on their way still; none of them is got twice after it came.
    let got = case.asked();
    assert!(case.pull.once().await.unwrap().files == 3, "{got:?}");
    let again = case.asked();
    assert!(again.contains(&"get eds/b.json".to_owned()), "{again:?}");
    assert!(!again.contains(&"get eds/a.json".to_owned()), "{again:?}");
}

#[tokio::test]
async fn one_that_goes_meanwhile_is_not_brought() {
    let mut case = Case::new(&TREE, MAX_BYTES).await;
    case.meddle("eds/a.json", [Meddling::Delete]);
    assert_eq!(case.pull.once().await.unwrap().files, 2);
    assert_eq!(case.text("eds/a.json"), None);
}

#[tokio::test]
async fn one_that_grows_meanwhile_is_bounded() {
    let mut case = Case::new(&[("a", "1"), ("b", "2")], 10).await;
    case.meddle("a", [Meddling::Put("x".repeat(9))]);
    assert_eq!(
        case.pull.once().await.unwrap().files,
        2,
        "just as much as may be"
    );

    let mut case = Case::new(&[("a", "1"), ("b", "2")], 10).await;
    case.meddle("a", [Meddling::Put("x".repeat(10))]);
    let error = case.pull.once().await.unwrap_err();
    assert!(
        error.is_lasting() && error.chain().contains("at most 10 are brought"),
        "{error}"
    );
    assert!(case.is_empty());

    // Two that grow are too much together.
    let mut case = Case::new(&[("a", "1"), ("b", "2")], 10).await;
    case.meddle("a", [Meddling::Put("x".repeat(6))]);
    case.meddle("b", [Meddling::Put("x".repeat(6))]);
    let error = case.pull.once().await.unwrap_err();
    assert!(
        error.is_lasting() && error.chain().contains("at most 10 are brought"),
        "{error}"
    );
    assert!(case.is_empty());
}

#[tokio::test]
async fn a_directory_that_was_replaced_is_filled_anew() {
    let mut case = Case::new(&TREE, MAX_BYTES).await;
    case.pull.once().await.unwrap();
    let out = case.folder.path();
    let away = tempfile::tempdir().unwrap();
    fs::rename(out, away.path().join("out")).unwrap();
    fs::create_dir(out).unwrap();
    let written = case.pull.once().await.unwrap();
    assert_eq!(
        (written.files, case.text("eds/b.json").as_deref()),
        (3, Some("b"))
    );
    // Also if it is only gone.
    fs::remove_dir_all(case.folder.path()).unwrap();
    assert_eq!(case.pull.once().await.unwrap().files, 3);
    assert!(!case.pull.once().await.unwrap().is_change());
}

#[tokio::test]
async fn a_key_that_is_no_path_is_named() {
    let mut case = Case::new(&TREE, MAX_BYTES).await;
    case.store.have_bad_key("gw/eds//a.json");
    let error = case.pull.once().await.unwrap_err();
    let said = error.chain();
    assert!(error.is_lasting());
    assert!(
        said.contains("gw/eds//a.json") && said.contains("remove that object"),
        "{said}"
    );
    assert!(case.is_empty());
}
