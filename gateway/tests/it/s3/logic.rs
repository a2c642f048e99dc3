//! What the sink asks of a store, and in which order.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use kubedex_gateway::sink::s3::{S3, S3Config};
use kubedex_gateway::sink::{Fencing, Permit, Sink, Write};

use super::store::Store;
use super::{write, write_as};
use crate::sinks::{part, whole};

fn config() -> S3Config {
    S3Config {
        prefix: "gw".to_owned(),
        cluster_id: Some("eu-1".to_owned()),
        ..S3Config::new("bucket")
    }
}

fn open(store: &Store) -> S3 {
    S3::over(Arc::new(store.clone()), &config()).unwrap()
}

const MANIFEST: &str = "gw/eu-1/.kubedex-manifest.json";

/// Keys and texts below the cluster's prefix.
fn pairs(files: &[(&str, &str)]) -> Vec<(String, String)> {
    let pair = |(path, text): &(&str, &str)| (format!("gw/eu-1/{path}"), (*text).to_owned());
    files.iter().map(pair).collect()
}

fn changes(store: &Store) -> Vec<String> {
    let changes = store.changes();
    changes
        .iter()
        .map(|it| it.replace("gw/eu-1/", ""))
        .collect()
}

const PUT_MANIFEST: &str = "put .kubedex-manifest.json";

#[tokio::test]
async fn names_come_first_and_removals_last_and_what_is_unchanged_is_not_put() {
    let store = Store::default();
    let mut sink = open(&store);
    assert_eq!(sink.describe(), "s3://bucket/gw/eu-1");
    let first = [("z.yaml", "1"), ("eds/a.json", "2"), ("b.yaml", "3")];
    let written = write(&mut sink, whole(&first)).await.unwrap();
    assert_eq!((written.files, written.bytes), (3, 3));
    let puts = [PUT_MANIFEST, "put z.yaml", "put eds/a.json", "put b.yaml"];
    assert_eq!(changes(&store), puts);

    let written = write(&mut sink, whole(&first)).await.unwrap();
    assert_eq!((written.unchanged, written.is_change()), (3, false));
    assert_eq!(changes(&store), [""; 0]);
    // A change of what is there costs one request.
    let change = part(&[("b.yaml", "33"), ("z.yaml", "1")], &[]);
    let written = write(&mut sink, change).await.unwrap();
    assert_eq!((written.files, written.unchanged), (1, 1));
    assert_eq!(store.asked(), ["put gw/eu-1/b.yaml"]);

    let change = part(&[("c.yaml", "4")], &["b.yaml", "never"]);
    let written = write(&mut sink, change).await.unwrap();
    assert_eq!((written.files, written.removed), (1, 1));
    let asked = [PUT_MANIFEST, "put c.yaml", "delete b.yaml", PUT_MANIFEST];
    assert_eq!(changes(&store), asked);
    let stands = [("c.yaml", "4"), ("eds/a.json", "2"), ("z.yaml", "1")];
    assert_eq!(store.content().await, pairs(&stands));
}

#[tokio::test]
async fn after_a_restart_nothing_is_put_anew_and_what_is_no_longer_wanted_goes() {
    let store = Store::default();
    let files = [("a", "1"), ("b", "2")];
    write(&mut open(&store), whole(&files)).await.unwrap();
    let store = store.other();
    let written = write(&mut open(&store), whole(&files)).await.unwrap();
    assert_eq!((written.unchanged, written.is_change()), (2, false));
    assert_eq!(changes(&store), [""; 0]);
    let written = write(&mut open(&store), whole(&[("a", "1")]))
        .await
        .unwrap();
    assert_eq!(written.removed, 1);
    assert_eq!(store.content().await, pairs(&[("a", "1")]));
}

#[tokio::test(start_paused = true)]
async fn a_write_that_is_given_up_halfway_keeps_what_it_looked_at() {
    let store = Store::default();
    let files = [("a", "1"), ("b", "2"), ("c", "3"), ("d", "4"), ("e", "5")];
    write(&mut open(&store), whole(&files)).await.unwrap();
    let mut sink = open(&store);
    store.hang_after(Some(3));
    let given_up = tokio::time::timeout(Duration::from_secs(60), write(&mut sink, whole(&files)));
    assert!(given_up.await.is_err());
    store.hang_after(None);
    store.asked();
    let written = write(&mut sink, whole(&files)).await.unwrap();
    assert_eq!((written.unchanged, written.is_change()), (5, false));
    let asked = store.asked();
    let looks = asked.iter().filter(|it| it.starts_with("head")).count();
    assert_eq!(looks, 2, "{asked:?}");
}

#[tokio::test]
async fn each_object_says_of_which_content_snapshot_and_leader_it_is() {
    let store = Store::default();
    write_as(&mut open(&store), "7", whole(&[("a", "1")]))
        .await
        .unwrap();
    for key in ["gw/eu-1/a", MANIFEST] {
        assert_eq!(
            store.metadata(key, "kubedex-token").await.as_deref(),
            Some("7")
        );
        let hash = store.metadata(key, "kubedex-hash").await.unwrap();
        let snapshot = store.metadata(key, "kubedex-snapshot").await.unwrap();
        assert_eq!((hash.len(), snapshot.len()), (32, 32));
    }
    write(&mut open(&store), whole(&[("a", "2")]))
        .await
        .unwrap();
    assert_eq!(store.metadata("gw/eu-1/a", "kubedex-token").await, None);
}

#[tokio::test]
async fn a_leader_that_is_none_any_more_changes_nothing_and_is_told() {
    let store = Store::default();
    let (mut old, mut new) = (open(&store), open(&store.other()));
    let before = [("a", "1"), ("b", "1"), ("c", "1")];
    write_as(&mut old, "9", whole(&before)).await.unwrap();
    // The newer one changes one file, and leaves the others as they are.
    let after = [("a", "2"), ("b", "1"), ("c", "1")];
    write_as(&mut new, "10", whole(&after)).await.unwrap();
    store.asked();

    for stale in [
        part(&[("a", "old")], &[]),
        part(&[("b", "old")], &[]),
        part(&[], &["c"]),
        part(&[("d", "old")], &[]),
        whole(&[("b", "old")]),
    ] {
        let error = write_as(&mut old, "9", stale).await.unwrap_err();
        assert!(error.is_lasting());
        let said = error.to_string();
        assert!(
            said.contains("newer leader (fencing token 10, ours is 9)"),
            "{said}"
        );
    }
    assert_eq!(changes(&store), [""; 0]);
    assert_eq!(store.content().await, pairs(&after));
    // Leading again, by a newer token, it writes.
    let again = [("a", "3")];
    write_as(&mut old, "11", whole(&again)).await.unwrap();
    assert_eq!(store.content().await, pairs(&again));
}

#[tokio::test]
async fn a_rebuilt_cluster_takes_over_when_it_is_told_to() {
    let store = Store::default();
    let before = [("a", "1"), ("b", "1"), ("c", "1")];
    write_as(&mut open(&store), "old/1000", whole(&before))
        .await
        .unwrap();
    store.asked();
    let after = [("a", "2"), ("b", "1")];
    let error = write_as(&mut open(&store), "new/9", whole(&after))
        .await
        .unwrap_err();
    let said = error.to_string();
    assert!(error.is_lasting());
    assert!(
        said.contains("another Lease (fencing token old/1000, ours is new/9)")
            && said.contains("rebuilt")
            && said.contains("adopt: true"),
        "{said}"
    );
    assert_eq!(changes(&store), [""; 0]);

    let adopting = S3Config {
        adopt: true,
        ..config()
    };
    let mut sink = S3::over(Arc::new(store.clone()), &adopting).unwrap();
    write_as(&mut sink, "new/9", whole(&after)).await.unwrap();
    assert_eq!(store.content().await, pairs(&after));
    // It is no longer needed then, also for what was right before.
    write_as(&mut open(&store), "new/10", whole(&after))
        .await
        .unwrap();
    // An even newer leader of the same Lease is left alone all the same.
    let error = write_as(&mut sink, "new/9", part(&[("a", "old")], &[])).await;
    assert!(error.unwrap_err().to_string().contains("newer leader"));
}

#[tokio::test]
async fn what_a_lower_token_or_none_wrote_meanwhile_is_replaced() {
    let store = Store::default();
    let (mut ours, mut other) = (open(&store), open(&store.other()));
    write_as(&mut ours, "9", whole(&[("a", "1")]))
        .await
        .unwrap();
    write(&mut other, whole(&[("a", "theirs")])).await.unwrap();
    // It does not know of it: the condition fails, and what is there is looked at.
    store.asked();
    let change = part(&[("a", "2")], &[]);
    write_as(&mut ours, "9", change).await.unwrap();
    let asked = store.asked();
    let puts = asked.iter().filter(|it| it.starts_with("put gw/eu-1/a"));
    assert_eq!(puts.count(), 2, "{asked:?}");
    assert_eq!(store.content().await, pairs(&[("a", "2")]));
}

#[tokio::test]
async fn two_that_write_the_same_without_an_election_do_not_disturb_each_other() {
    let store = Store::default();
    let mut sinks = [open(&store.other()), open(&store.other())];
    for round in 0..5 {
        let text = round.to_string();
        for sink in &mut sinks {
            write(sink, part(&[("a", &text)], &[])).await.unwrap();
        }
        assert_eq!(store.content().await, pairs(&[("a", &text)]));
    }
}

#[tokio::test]
async fn a_put_whose_answer_was_lost_is_not_put_again() {
    let store = Store::default();
    let mut sink = open(&store);
    write(&mut sink, whole(&[("a", "1")])).await.unwrap();
    store.asked();
    store.lose_answer();
    assert!(write(&mut sink, part(&[("a", "2")], &[])).await.is_err());
    let written = write(&mut sink, whole(&[("a", "2")])).await.unwrap();
    assert_eq!(written.unchanged, 1);
    assert_eq!(changes(&store), ["put a"]);
}

#[tokio::test]
async fn a_crash_at_any_step_leaves_no_object_that_nobody_knows() {
    let before = [("same", "1"), ("changes", "1"), ("goes", "1")];
    let after = [("same", "1"), ("changes", "2"), ("new", "1")];
    let mut steps = 0;
    loop {
        let store = Store::default();
        store.put_foreign("gw/eu-1/theirs", "x").await;
        write(&mut open(&store.other()), whole(&before))
            .await
            .unwrap();
        store.end_after(steps);
        let outcome = write(&mut open(&store), whole(&after)).await;
        let manifest = store.text(MANIFEST).await.unwrap();
        for (key, _) in store.content().await {
            let name = key.strip_prefix("gw/eu-1/").unwrap();
            let known = manifest.contains(&format!("\"{name}\""));
            assert!(
                known || name == "theirs",
                "after {steps} steps {key} is unknown"
            );
        }
        write(&mut open(&store.other()), whole(&after))
            .await
            .unwrap();
        let mut stands = pairs(&after);
        stands.extend(pairs(&[("theirs", "x")]));
        stands.sort();
        assert_eq!(store.content().await, stands, "after {steps} steps");
        if outcome.is_ok() {
            break;
        }
        steps += 1;
    }
    assert_eq!(steps, 5, "two manifests, two files, one removal");
}

#[tokio::test]
async fn an_object_of_others_is_neither_replaced_nor_removed_unless_asked_for() {
    let store = Store::default();
    store.put_foreign("gw/eu-1/theirs", "x").await;
    store.put_foreign("gw/eu-1/other", "y").await;
    store.put_foreign("gw/eu-2/a", "z").await;
    let mut sink = open(&store);
    let files = [("mine", "1"), ("theirs", "2")];
    let error = write(&mut sink, whole(&files)).await.unwrap_err();
    assert!(error.is_lasting());
    let said = error.to_string();
    assert!(
        said.contains("s3://bucket/gw/eu-1/theirs") && said.contains("adopt: true"),
        "{said}"
    );
    assert_eq!(changes(&store), [""; 0], "nothing is half done");

    write(&mut sink, whole(&[("mine", "1")])).await.unwrap();
    // One that comes later, of which a part does not know.
    store.put_foreign("gw/eu-1/late", "x").await;
    let error = write(&mut sink, part(&[("late", "1")], &[]))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("eu-1/late"), "{error}");
    let error = write(&mut sink, whole(&[("mine", "1"), ("late", "1")])).await;
    assert!(
        error.unwrap_err().is_lasting(),
        "not by trying again, either"
    );

    let adopting = S3Config {
        adopt: true,
        ..config()
    };
    let mut sink = S3::over(Arc::new(store.clone()), &adopting).unwrap();
    write(&mut sink, whole(&files)).await.unwrap();
    // What somebody put in place of ours is not removed.
    store.put_foreign("gw/eu-1/mine", "replaced").await;
    let written = write(&mut sink, whole(&[])).await.unwrap();
    assert_eq!(written.removed, 1);
    let content = store.content().await;
    let keys: Vec<_> = content.iter().map(|(key, _)| &**key).collect();
    assert_eq!(
        keys,
        ["gw/eu-1/late", "gw/eu-1/mine", "gw/eu-1/other", "gw/eu-2/a"]
    );
}

#[tokio::test]
async fn a_key_of_others_that_is_no_path_is_not_in_the_way() {
    let store = Store::default();
    store.have_bad_key("gw/eu-1/theirs//x");
    store.put_foreign("gw/eu-1/theirs", "x").await;
    let mut sink = open(&store);
    let files = [("a", "1"), ("b", "2")];
    write(&mut sink, whole(&files)).await.unwrap();
    store.asked();
    let written = write(&mut sink, whole(&files)).await.unwrap();
    assert_eq!((written.unchanged, written.is_change()), (2, false));
    let asked = store.asked();
    let looks = asked.iter().filter(|it| it.starts_with("head gw/eu-1/"));
    assert_eq!(looks.count(), 2, "each is looked at by itself: {asked:?}");
    // What was changed is mended, also after a restart, what is no longer wanted goes, and what others have stays.
    store.put_foreign("gw/eu-1/a", "9").await;
    let mut sink = open(&store);
    let error = write(&mut sink, whole(&[("a", "1"), ("theirs", "2")])).await;
    assert!(error.unwrap_err().is_lasting());
    write(&mut sink, whole(&[("a", "1")])).await.unwrap();
    let stands = pairs(&[("a", "1"), ("theirs", "x")]);
    assert_eq!(store.content().await, stands);
    write(&mut sink, part(&[("c", "3")], &["a"])).await.unwrap();
    let stands = pairs(&[("c", "3"), ("theirs", "x")]);
    assert_eq!(store.content().await, stands);
}

#[tokio::test]
async fn a_whole_rendering_mends_what_others_changed_or_removed() {
    let store = Store::default();
    let mut sink = open(&store);
    let files = [("a", "1"), ("b", "2")];
    write(&mut sink, whole(&files)).await.unwrap();
    store.put_foreign("gw/eu-1/a", "9").await;
    let written = write(&mut sink, whole(&files)).await.unwrap();
    assert_eq!((written.files, written.unchanged), (1, 1));
    assert_eq!(store.content().await, pairs(&files));
}

#[tokio::test]
async fn what_is_no_key_or_no_manifest_is_refused() {
    let store = Store::default();
    let mut sink = open(&store);
    for path in ["../x", "/x", "a//b", ".kubedex-manifest.json", ""] {
        let error = write(&mut sink, whole(&[(path, "1")])).await.unwrap_err();
        assert!(error.is_lasting(), "{path}: {error}");
    }
    // Names as outputs escape them are keys.
    let odd = [
        ("eds/k8s%2Fshop%2Fapi:http.json", "1"),
        ("a b~c'ü.json", "2"),
    ];
    write(&mut sink, whole(&odd)).await.unwrap();
    assert_eq!(store.content().await.len(), 2);
    store.put_foreign(MANIFEST, "{}").await;
    let error = write(&mut sink, whole(&[])).await.unwrap_err();
    assert!(
        error.is_lasting() && error.to_string().contains(MANIFEST),
        "{error}"
    );
    assert_eq!(store.content().await.len(), 2, "nothing is removed");
}

/// A token that is valid for a number of questions.
#[derive(Debug)]
struct Ending(AtomicUsize);

impl Fencing for Ending {
    fn token(&self) -> &str {
        "7"
    }

    fn check(&self) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let left = |left: usize| left.checked_sub(1);
        match self
            .0
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, left)
        {
            Ok(_) => Ok(()),
            Err(_) => Err("it ran out".into()),
        }
    }
}

#[tokio::test]
async fn the_token_is_asked_before_each_step() {
    let files = [("a", "2"), ("b", "2")];
    let mut valid = 0;
    loop {
        let store = Store::default();
        write(&mut open(&store.other()), whole(&[("b", "1"), ("c", "1")]))
            .await
            .unwrap();
        let write = Write {
            permit: Permit::fenced(Ending(AtomicUsize::new(valid))),
            ..Write::unfenced(whole(&files))
        };
        let outcome = open(&store).write(write).await;
        // One question at the start, and one for each change.
        let changes = store.changes().len();
        assert_eq!(changes, valid.saturating_sub(1), "with {valid} questions");
        if outcome.is_ok() {
            assert_eq!(valid, 6);
            break;
        }
        valid += 1;
    }
}
