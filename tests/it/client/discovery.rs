//! Kind and scope of a resource, and what is said of one that is not there.

use kubedex::Gvr;
use kubedex::client::Client;

use super::builder;
use super::server::{Server, answer, json};

const CORE: &str = r#"{"kind":"APIResourceList","groupVersion":"v1","resources":[
    {"name":"nodes","singularName":"node","namespaced":false,"kind":"Node","verbs":["get","list","watch"]},
    {"name":"pods","singularName":"pod","namespaced":true,"kind":"Pod","verbs":["create","get","list","watch"],"shortNames":["po"]},
    {"name":"pods/status","singularName":"","namespaced":true,"kind":"Pod","verbs":["get"],"new":{"a":1}}]}"#;

const APPS: &str = r#"{"kind":"APIResourceList","apiVersion":"v1","groupVersion":"apps/v1","resources":[
    {"name":"deployments","singularName":"deployment","namespaced":true,"kind":"Deployment","verbs":["list"]}]}"#;

const OFFER: &str = r#"{"kind":"APIGroupDiscoveryList","apiVersion":"apidiscovery.k8s.io/v2","items":[
    {"metadata":{"name":"apps"},"versions":[{"version":"v1","resources":[{"resource":"deployments","responseKind":{"kind":"Deployment"},"scope":"Namespaced","singularResource":"deployment"}]}]}]}"#;

const FORBIDDEN: &str = r#"{"kind":"Status","status":"Failure","message":"forbidden: User \"jane\" cannot get path","reason":"Forbidden","code":403}"#;

async fn server() -> Server {
    Server::start(|seen| match seen.uri.as_str() {
        "/api/v1" => json(200, CORE),
        "/apis/apps/v1" => json(200, APPS),
        "/apis"
            if seen
                .header("accept")
                .unwrap()
                .contains("v=v2;as=APIGroupDiscoveryList") =>
        {
            json(200, OFFER)
        }
        "/apis/secret.example/v1" => json(403, FORBIDDEN),
        "/apis/page.example/v1" => Some(answer(404, "text/html", "<html>Not here</html>")),
        "/apis/garbage.example/v1" => Some(answer(200, "text/html", "<html>Log in</html>")),
        _ => Some(answer(404, "text/plain", "404 page not found\n")),
    })
    .await
}

#[tokio::test]
async fn kind_and_scope_come_from_the_server_and_are_remembered_by_all_clones() {
    let server = server().await;
    let client = builder(&server).build().await.unwrap();
    let pods = client.resolve(&Gvr::new("", "v1", "pods")).await.unwrap();
    assert_eq!((pods.kind.as_str(), pods.namespaced), ("Pod", true));
    assert!(pods.supports("watch") && !pods.supports("delete"));
    let nodes = client
        .clone()
        .resolve(&Gvr::new("", "v1", "nodes"))
        .await
        .unwrap();
    assert!(!nodes.namespaced);
    let deployments = client
        .resolve(&Gvr::new("apps", "v1", "deployments"))
        .await
        .unwrap();
    assert_eq!(deployments.kind, "Deployment");
    assert_eq!(server.seen().len(), 2, "one request for each group version");
    client.forget(&Gvr::new("", "v1", "pods"));
    client.resolve(&Gvr::new("", "v1", "pods")).await.unwrap();
    assert_eq!(server.seen().len(), 3);

    assert!(pods.check_namespace(Some("web")).is_ok() && pods.check_namespace(None).is_ok());
    assert!(nodes.check_namespace(None).is_ok());
    let error = nodes.check_namespace(Some("web")).unwrap_err();
    assert!(
        error.is_scope() && error.to_string().contains("/v1/nodes is cluster-scoped"),
        "{error}"
    );
    for malformed in ["", "Web", "a/b", "-a"] {
        assert!(
            pods.check_namespace(Some(malformed))
                .unwrap_err()
                .is_scope()
        );
    }
}

async fn resolve(client: &Client, gvr: &str) -> kubedex::client::ClientError {
    client.resolve(&gvr.parse().unwrap()).await.unwrap_err()
}

#[tokio::test]
async fn a_resource_that_is_not_served_is_answered_with_what_comes_near() {
    let server = server().await;
    let client = builder(&server).build().await.unwrap();
    for (gvr, hint) in [
        (
            "extensions/v1beta1/deployments",
            "it has apps/v1/deployments",
        ),
        ("apps/v1beta1/replicasets", "of that group it has v1"),
        ("v1/deployments", "it has apps/v1/deployments"),
        ("example.com/v1/widgets", "CustomResourceDefinition"),
    ] {
        let error = resolve(&client, gvr).await;
        assert!(error.is_not_served() && error.is_not_found() && !error.is_forbidden());
        let text = error.to_string();
        assert!(text.contains(gvr) && text.contains(hint), "{text}");
    }
    let before = server.seen().len();
    let gvr = Gvr::new("example.com", "v1", "widgets");
    assert_eq!(client.served(&gvr).await.unwrap(), None);
    assert_eq!(
        server.seen().len(),
        before + 1,
        "waiting for a resource costs one request"
    );
}

#[tokio::test]
async fn other_refusals_are_not_taken_for_a_missing_resource() {
    let server = server().await;
    let client = builder(&server).build().await.unwrap();
    let forbidden = resolve(&client, "secret.example/v1/things").await;
    assert!(
        forbidden.is_forbidden() && !forbidden.is_not_found(),
        "{forbidden}"
    );
    assert!(forbidden.to_string().contains("jane"), "{forbidden}");
    let page = resolve(&client, "page.example/v1/things").await;
    assert!(!page.is_not_served(), "{page}");
    assert!(
        page.to_string()
            .contains("Not here; is this the address of an API server?"),
        "{page}"
    );
    let garbage = resolve(&client, "garbage.example/v1/things").await;
    assert!(
        !garbage.is_not_found() && garbage.to_string().contains("not what an API server sends")
    );
    let invalid = client
        .resolve(&Gvr::new("", "v1", "../secrets"))
        .await
        .unwrap_err();
    assert!(invalid.to_string().contains("plural name"), "{invalid}");
}
