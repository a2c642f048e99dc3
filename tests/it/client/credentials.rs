//! Tokens, token files and exec plugins, and their renewal.

use std::path::Path;

use kubedex::client::{Client, Renewal};

use super::server::{Seen, Server, json};
use super::{VERSION, get, text};

fn only(token: &'static str) -> impl Fn(&Seen) -> Option<super::server::Answer> {
    move |seen| {
        if seen.header("authorization") == Some(&format!("Bearer {token}")) {
            json(200, VERSION)
        } else {
            json(
                401,
                r#"{"kind":"Status","status":"Failure","message":"Unauthorized","reason":"Unauthorized","code":401}"#,
            )
        }
    }
}

async fn status(client: &Client) -> u16 {
    client
        .send(get("/version"))
        .await
        .unwrap()
        .status()
        .as_u16()
}

#[tokio::test]
async fn a_refused_token_is_renewed_from_its_file_for_all_handles() {
    let server = Server::start(only("second")).await;
    let directory = tempfile::tempdir().unwrap();
    let token = directory.path().join("token");
    std::fs::write(&token, "first\n").unwrap();
    // Relative to the kubeconfig, and with a line end.
    let path = server.kubeconfig(directory.path(), "{tokenFile: token}");
    let client = Client::builder().kubeconfig(path).build().await.unwrap();
    let (clone, kube) = (client.clone(), client.kube());
    assert_eq!(status(&client).await, 401);

    std::fs::write(&token, "second\n").unwrap();
    assert_eq!(
        status(&client).await,
        401,
        "the file was read again without being asked"
    );
    assert_eq!(client.renew().await.unwrap(), Renewal::Renewed);
    assert_eq!((status(&client).await, status(&clone).await), (200, 200));
    let request = http::Request::get("/version").body(vec![]).unwrap();
    assert_eq!(kube.request_text(request).await.unwrap(), VERSION);
    assert!(matches!(clone.renew().await.unwrap(), Renewal::TooSoon(wait) if !wait.is_zero()));
}

#[tokio::test]
async fn a_renewal_keeps_to_its_context() {
    let server = Server::start(only("good")).await;
    let directory = tempfile::tempdir().unwrap();
    let write = |current: &str| {
        let text = format!(
            "current-context: {current}\n\
             clusters: [{{name: c, cluster: {{server: '{}'}}}}]\n\
             users: [{{name: good, user: {{token: good}}}}, {{name: bad, user: {{token: bad}}}}]\n\
             contexts: [{{name: good, context: {{cluster: c, user: good}}}}, {{name: bad, context: {{cluster: c, user: bad}}}}]\n",
            server.url()
        );
        let path = directory.path().join("config");
        std::fs::write(&path, text).unwrap();
        path
    };
    let client = Client::builder()
        .kubeconfig(write("good"))
        .build()
        .await
        .unwrap();
    write("bad");
    assert_eq!(client.renew().await.unwrap(), Renewal::Renewed);
    assert_eq!(status(&client).await, 200);
}

#[tokio::test]
async fn a_renewal_that_fails_leaves_the_client_as_it_was() {
    let server = Server::start(only("good")).await;
    let directory = tempfile::tempdir().unwrap();
    let path = server.kubeconfig(directory.path(), "{token: good}");
    let client = Client::builder().kubeconfig(&path).build().await.unwrap();
    std::fs::write(&path, "clusters: {").unwrap();
    assert!(client.renew().await.unwrap_err().is_configuration());
    assert_eq!(status(&client).await, 200);
    assert!(matches!(client.renew().await.unwrap(), Renewal::TooSoon(_)));
}

#[tokio::test]
async fn a_callers_own_client_is_not_ours_to_renew() {
    let config = kube::Config::new("http://127.0.0.1:1".parse().unwrap());
    let client = Client::from_kube(kube::Client::try_from(config).unwrap());
    assert_eq!(client.renew().await.unwrap(), Renewal::NotOurs);
}

/// A user whose plugin appends a line to `runs` each time, and then does as the script says.
#[cfg(unix)]
fn plugin(directory: &Path, script: &str) -> String {
    let path = directory.join("plugin.sh");
    let runs = directory.join("runs");
    std::fs::write(
        &path,
        format!("echo run >> '{}'\n{script}\n", runs.display()),
    )
    .unwrap();
    format!(
        "{{exec: {{apiVersion: client.authentication.k8s.io/v1, command: sh, args: ['{}'], interactiveMode: Never}}}}",
        path.display()
    )
}

#[cfg(unix)]
fn runs(directory: &Path) -> usize {
    std::fs::read_to_string(directory.join("runs"))
        .unwrap()
        .lines()
        .count()
}

#[cfg(unix)]
#[tokio::test]
async fn many_who_ask_for_a_renewal_run_the_plugin_once() {
    let server = Server::start(only("from-plugin")).await;
    let directory = tempfile::tempdir().unwrap();
    let user = plugin(
        directory.path(),
        r#"echo '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"from-plugin"}}'"#,
    );
    let path = server.kubeconfig(directory.path(), &user);
    let client = Client::builder().kubeconfig(path).build().await.unwrap();
    assert_eq!(text(&client, get("/version")).await, VERSION);
    assert_eq!(runs(directory.path()), 1);

    let renewals = futures::future::join_all((0..20).map(|_| client.renew())).await;
    assert!(
        renewals
            .iter()
            .all(|renewal| matches!(renewal, Ok(Renewal::Renewed))),
        "{renewals:?}"
    );
    assert_eq!(runs(directory.path()), 2);
    assert_eq!(text(&client, get("/version")).await, VERSION);
}

#[cfg(unix)]
#[tokio::test]
async fn a_plugin_that_fails_is_an_error_that_does_not_repeat_what_it_printed() {
    let server = Server::start(|_| None).await;
    for script in [
        "echo secret; echo secret >&2; exit 3",
        "echo secret",
        r#"printf '%s' '{"kind":"ExecCredential","status":{"token":"sec\nret"}}'"#,
        r#"echo '{"kind":"ExecCredential","secret":1}'"#,
    ] {
        let directory = tempfile::tempdir().unwrap();
        let path = server.kubeconfig(directory.path(), &plugin(directory.path(), script));
        let error = Client::builder()
            .kubeconfig(path)
            .build()
            .await
            .unwrap_err();
        assert!(error.is_credentials(), "{error}");
        let printed = format!("{error} {error:?} {error:#?}");
        assert!(
            !printed.contains("sec\\nret") && !printed.contains("secret"),
            "{printed}"
        );
    }
    let directory = tempfile::tempdir().unwrap();
    let path = server.kubeconfig(
        directory.path(),
        "{exec: {command: /nowhere/plugin, installHint: get it there}}",
    );
    let error = Client::builder()
        .kubeconfig(path)
        .build()
        .await
        .unwrap_err();
    assert!(
        error.is_credentials() && error.to_string().contains("context test"),
        "{error}"
    );
    assert!(error.to_string().contains("/nowhere/plugin"), "{error}");
    assert!(error.to_string().ends_with("; get it there"), "{error}");
}
