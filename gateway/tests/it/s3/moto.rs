//! The sink against a real server, over loopback.

use std::time::Duration;

use kubedex_gateway::model::{Cluster, Protocol, Snapshot};
use kubedex_gateway::output::{File, Output, Rendering};
use kubedex_gateway::publication::{Gate, Phase, Publication, PublicationConfig, Status};
use kubedex_gateway::publish::channel;
use kubedex_gateway::pull::{MAX_BYTES, Pull, PullConfig};
use kubedex_gateway::sink::directory::DirectoryConfig;
use kubedex_gateway::sink::s3::{S3, S3Config};

use super::server::{Server, Tap, free_port};
use super::{write, write_as};
use crate::sinks::{part, whole};

#[tokio::test]
async fn objects_are_put_on_a_condition_left_when_unchanged_and_removed_when_ours() {
    let Some(server) = Server::start() else {
        return;
    };
    let tap = Tap::before(&server);
    let config = server.config_at(&format!("http://{}", tap.address));
    let open = || S3::open(&config).unwrap();
    let files = [
        ("traefik.yaml", "1"),
        ("eds/k8s%2Fshop%2Fapi:http.json", "2"),
    ];
    let mut sink = open();
    let written = write_as(&mut sink, "7", whole(&files)).await.unwrap();
    assert_eq!((written.files, written.removed), (2, 0));
    assert_eq!(server.text("gw/traefik.yaml").as_deref(), Some("1"));
    let escaped = "gw/eds/k8s%252Fshop%252Fapi%3Ahttp.json";
    assert_eq!(server.text(escaped).as_deref(), Some("2"));
    let head = server
        .ask("HEAD", "/gateway/gw/traefik.yaml", "")
        .to_lowercase();
    assert!(head.contains("x-amz-meta-kubedex-token: 7\r\n"), "{head}");
    assert!(head.contains("x-amz-meta-kubedex-hash: "), "{head}");
    assert!(head.contains("x-amz-meta-kubedex-snapshot: "), "{head}");
    assert!(head.contains("content-type: text/plain"), "{head}");

    // Unchanged: nothing is put, by this process or the next.
    let puts = tap.requests("PUT");
    assert_eq!(puts, 3);
    write_as(&mut sink, "7", whole(&files)).await.unwrap();
    let written = write_as(&mut open(), "7", whole(&files)).await.unwrap();
    assert_eq!(written.unchanged, 2);
    assert_eq!((tap.requests("PUT"), tap.requests("DELETE")), (puts, 0));

    // Somebody else, without a token: the condition fails at the server, and what is there is replaced.
    server.put("gw/traefik.yaml", "theirs");
    let change = part(&[("traefik.yaml", "3")], &[]);
    write_as(&mut sink, "7", change).await.unwrap();
    assert_eq!(server.text("gw/traefik.yaml").as_deref(), Some("3"));
    assert_eq!(tap.requests("PUT"), puts + 2, "one of them was refused");

    // A newer leader.
    let mut newer = open();
    write_as(&mut newer, "10", whole(&[("traefik.yaml", "4")]))
        .await
        .unwrap();
    assert_eq!(server.text(escaped), None);
    for stale in [part(&[("traefik.yaml", "old")], &[]), whole(&files)] {
        let error = write_as(&mut sink, "7", stale).await.unwrap_err();
        assert!(error.is_lasting());
        assert!(
            error.to_string().contains("fencing token 10, ours is 7"),
            "{error}"
        );
    }
    assert_eq!(server.text("gw/traefik.yaml").as_deref(), Some("4"));

    // Only what is ours goes.
    server.put("gw/theirs.yaml", "x");
    write_as(&mut newer, "10", whole(&[])).await.unwrap();
    assert_eq!(server.text("gw/traefik.yaml"), None);
    assert_eq!(server.text("gw/theirs.yaml").as_deref(), Some("x"));
    let error = write_as(&mut newer, "10", whole(&[("theirs.yaml", "1")])).await;
    assert!(error.unwrap_err().to_string().contains("adopt: true"));
}

#[tokio::test]
async fn what_a_server_refuses_is_told_in_its_words() {
    let Some(server) = Server::start() else {
        return;
    };
    let missing = S3Config {
        bucket: "missing".to_owned(),
        ..server.config()
    };
    let mut sink = S3::open(&missing).unwrap();
    let error = write(&mut sink, whole(&[("a", "1")])).await.unwrap_err();
    assert!(error.is_lasting(), "{}", error.chain());
    assert!(error.chain().contains("NoSuchBucket"), "{}", error.chain());
    let unreadable = S3Config {
        credentials_file: Some("/nonexistent/credentials".into()),
        ..server.config()
    };
    let mut sink = S3::open(&unreadable).unwrap();
    let error = write(&mut sink, whole(&[("a", "1")])).await.unwrap_err();
    assert!(
        error.chain().contains("/nonexistent/credentials"),
        "{}",
        error.chain()
    );
}

/// One file with the names of all clusters.
#[derive(Debug)]
struct Names;

impl Output for Names {
    fn format(&self) -> &'static str {
        "names"
    }

    fn render(&mut self, snapshot: &Snapshot, _: Option<&Snapshot>) -> Rendering {
        let names: Vec<_> = snapshot.clusters().map(|it| it.name.to_string()).collect();
        Rendering {
            is_whole: true,
            files: vec![File {
                path: "names".into(),
                bytes: names.join(",").into(),
                media_type: "text/plain",
            }],
            ..Rendering::default()
        }
    }
}

async fn until(publication: &Publication, wanted: impl FnMut(&Status) -> bool) -> Status {
    let mut changes = publication.status_changes();
    let found = tokio::time::timeout(Duration::from_secs(120), changes.wait_for(wanted)).await;
    let found = found.unwrap_or_else(|_| panic!("stays at {:?}", publication.status()));
    found.unwrap().clone()
}

#[tokio::test]
async fn an_outage_is_seen_in_the_status_and_ends_with_the_newest() {
    let port = free_port();
    let Some(server) = Server::start_at(port, None) else {
        return;
    };
    server.make_bucket();
    let sink = S3::open(&server.config()).unwrap();
    let (publisher, snapshots) = channel();
    let publication = Publication::start(
        Box::new(Names),
        Box::new(sink),
        snapshots,
        Gate::open(),
        PublicationConfig::default(),
    );
    let mut snapshot = Snapshot::default();
    let mut grow = |name: &str| {
        let mut edit = snapshot.edit();
        edit.upsert(Cluster::new(name, Protocol::Tcp).into());
        snapshot = edit.finish().unwrap();
        publisher.publish(snapshot.clone());
    };
    grow("a");
    until(&publication, |status| status.version == Some(1)).await;
    assert_eq!(server.text("gw/names").as_deref(), Some("a"));

    // The credentials' folder goes with the server, and so does all that it has.
    let config = server.config();
    let credentials = config.credentials_file.unwrap();
    drop(server);
    grow("b");
    let status = until(&publication, |status| status.failures >= 2).await;
    assert_eq!((status.phase, status.version), (Phase::Failing, Some(1)));
    assert!(status.is_behind && status.last_error.is_some());
    grow("c");
    std::fs::create_dir_all(credentials.parent().unwrap()).unwrap();
    std::fs::write(
        &credentials,
        "aws_access_key_id=x\naws_secret_access_key=y\n",
    )
    .unwrap();
    let server = Server::start_at(port, None).unwrap();
    server.make_bucket();
    let status = until(&publication, |status| status.version == Some(3)).await;
    assert_eq!((status.phase, status.is_behind), (Phase::Current, false));
    assert_eq!(server.text("gw/names").as_deref(), Some("a,b,c"));
    assert!(publication.shutdown(Duration::from_secs(10)).await);
    std::fs::remove_dir_all(credentials.parent().unwrap()).unwrap();
}

#[tokio::test]
async fn https_works_with_an_authority_of_ones_own_and_not_without() {
    let folder = tempfile::tempdir().unwrap();
    let names = vec!["127.0.0.1".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let (certificate, key) = (
        folder.path().join("cert.pem"),
        folder.path().join("key.pem"),
    );
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let Some(server) = Server::start_at(free_port(), Some((&certificate, &key))) else {
        return;
    };
    let url = format!("https://{}", server.address);
    let trusting = S3Config {
        ca_file: Some(certificate),
        allow_http: false,
        ..server.config_at(&url)
    };
    let mut sink = S3::open(&trusting).unwrap();
    // It speaks with the server, which has no such bucket.
    let error = write(&mut sink, whole(&[("a", "1")])).await.unwrap_err();
    assert!(error.chain().contains("NoSuchBucket"), "{}", error.chain());
    let strict = S3Config {
        ca_file: None,
        ..trusting
    };
    let mut sink = S3::open(&strict).unwrap();
    let error = write(&mut sink, whole(&[("a", "1")])).await.unwrap_err();
    assert!(error.chain().contains("certificate"), "{}", error.chain());
}

#[tokio::test]
async fn keys_that_are_no_paths_are_not_in_the_way() {
    let Some(server) = Server::start() else {
        return;
    };
    server.put("gw/theirs//x", "x");
    let mut sink = S3::open(&server.config()).unwrap();
    write(&mut sink, whole(&[("a", "1"), ("b", "1")]))
        .await
        .unwrap();
    server.put("gw/a", "spoilt");
    write(&mut sink, whole(&[("a", "2")])).await.unwrap();
    let text = |key: &str| server.text(key);
    assert_eq!((text("gw/a").as_deref(), text("gw/b")), (Some("2"), None));
    assert_eq!(text("gw/theirs//x").as_deref(), Some("x"));
    let folder = tempfile::tempdir().unwrap();
    let config = PullConfig {
        source: server.config(),
        directory: DirectoryConfig::new(folder.path()),
        max_bytes: MAX_BYTES,
    };
    let error = Pull::open(config).unwrap().once().await.unwrap_err();
    assert!(error.chain().contains("gw/theirs//x"), "{}", error.chain());
}

#[tokio::test]
async fn an_empty_folder_is_no_file() {
    let Some(server) = Server::start() else {
        return;
    };
    for (key, text) in [("gw/a", "1"), ("gw/empty/", ""), ("gw/nothing", "")] {
        server.put(key, text);
    }
    let folder = tempfile::tempdir().unwrap();
    let config = PullConfig {
        source: server.config(),
        directory: DirectoryConfig::new(folder.path()),
        max_bytes: MAX_BYTES,
    };
    let mut pull = Pull::open(config).unwrap();
    assert_eq!(pull.once().await.unwrap().files, 2);
    assert!(folder.path().join("nothing").is_file());
    assert!(!folder.path().join("empty").exists());
    assert!(!pull.once().await.unwrap().is_change());
}
