//! Those who ask.

use serde_json::json;

use super::process::{Service, ask, ask_with, until};

#[tokio::test]
async fn the_admin_api_tells_what_is_configured_published_and_wrong() {
    let service = Service::start(
        "cluster: {demo: true}\n\
         static: [{name: 'odd #1/?', endpoints: [{address: 192.0.2.1, port: 80}]}]\n\
         publish: [{format: traefik, directory: {path: '{folder}/t', command: ['true', '--token=hush']}}]\n",
    )
    .await;
    service.ready().await;
    until("a publication", async || service.file("t/kubedex.yaml")).await;

    let snapshot = service.admin("/snapshot").await.json();
    assert_eq!(snapshot["clusters"].as_array().unwrap().len(), 4);
    let names = service.admin("/clusters").await.json();
    assert_eq!(names["clusters"][0], "k8s/shop/api:http");
    for path in [
        "/clusters/k8s/shop/api:http",
        "/clusters/k8s%2Fshop%2Fapi%3Ahttp",
        "/clusters/api.shop",
        "/clusters/api.shop:http",
    ] {
        let answer = service.admin(path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        assert_eq!(answer.json()["name"], "k8s/shop/api:http");
    }
    let odd = service.admin("/clusters/odd%20%231%2F%3F").await;
    assert_eq!(odd.json()["name"], "odd #1/?");
    for (path, status) in [
        ("/clusters/k8s/shop/none:http", 404),
        ("/clusters/none", 400),
        ("/clusters/%ff", 400),
        ("/none", 404),
        ("/reload", 405),
    ] {
        let answer = service.admin(path).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
        assert!(
            answer.json()["error"].is_string(),
            "{path}: {}",
            answer.body
        );
    }

    let config = service.admin("/config").await;
    assert!(!config.body.contains("hush"), "{}", config.body);
    assert_eq!(config.json()["config"]["discovery"]["coalescing"], "50ms");
    let problems = service.admin("/problems").await.json();
    assert_eq!(
        problems["snapshot"][0]["problem"],
        "external-name Service/shop/legacy"
    );
    assert_eq!(
        problems["publications"][0]["publication"],
        "traefik-directory"
    );

    let reload = service.post("/reload").await;
    assert_eq!(reload.status, 200, "{}", reload.body);
    let config = json!({"outcome": "unchanged", "needs_restart": []});
    let expected = json!({"config": config, "list": {"outcome": "complete"}});
    assert_eq!(reload.json(), expected);
}

#[tokio::test]
async fn no_web_page_gets_at_the_admin_api() {
    let service =
        Service::start("cluster: {demo: true}\npublish: [{format: json, stdout: {}}]\n").await;
    let admin = service.admin;
    for host in ["localhost:9911", "127.0.0.1:9911", "[::1]:9911", "10.0.0.1"] {
        assert_eq!(
            ask(admin, "GET", "/config", host).await.status,
            200,
            "{host}"
        );
    }
    for host in [
        "evil.example",
        "127.0.0.1.evil.example:9911",
        "localhost.evil.example",
    ] {
        let answer = ask(admin, "GET", "/config", host).await;
        assert_eq!(answer.status, 403, "{host}");
        assert!(answer.json()["error"].is_string());
    }
    let page = "Origin: http://evil.example\r\n";
    let answer = ask_with(admin, "POST", "/reload", "localhost", page).await;
    assert_eq!(answer.status, 403);
}

#[tokio::test]
async fn metrics_go_out_in_the_form_that_is_asked_for() {
    let service =
        Service::start("cluster: {demo: true}\npublish: [{format: json, stdout: {}}]\n").await;
    service.ready().await;
    let classic = service.health("/metrics").await.body;
    assert!(classic.contains("# TYPE kubedex_gateway_snapshots_total counter\n"));
    let accept = "Accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5\r\n";
    let open = ask_with(service.health, "GET", "/metrics", "x", accept)
        .await
        .body;
    assert!(open.contains("# TYPE kubedex_gateway_snapshots counter\n"));
    assert!(open.ends_with("# EOF\n"));
}
