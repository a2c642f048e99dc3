//! What an error says, and which questions it answers.

use super::*;

fn refused(code: u16, body: &str) -> ClientError {
    let code = StatusCode::from_u16(code).unwrap();
    ClientError::refused("GET /api/v1/pods", code, None, body.as_bytes())
}

#[test]
fn a_refusal_says_what_the_server_said() {
    let body = r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure",
        "message":"pods is forbidden: User \"jane\" cannot list","reason":"Forbidden","details":{"kind":"pods"},"code":403}"#;
    let error = refused(403, body);
    assert!(error.is_forbidden() && !error.is_not_found() && !error.is_unreachable());
    assert_eq!(error.status().unwrap().reason, "Forbidden");
    assert_eq!(
        error.to_string(),
        "GET /api/v1/pods: the server answered 403 Forbidden: pods is forbidden: User \"jane\" cannot list"
    );
}

#[test]
fn the_page_of_a_proxy_is_cut_to_its_text() {
    let page = format!(
        "<html><head><title>502\u{1b}[31m Bad Gateway</title></head><body>{}</body></html>",
        "nginx ".repeat(200)
    );
    let error = refused(502, &page);
    let text = error.to_string();
    assert!(text.contains("502 [31m Bad Gateway nginx nginx"), "{text}");
    assert!(!text.contains('<') && !text.contains('\u{1b}') && text.chars().count() < 400);
    assert_eq!(
        (error.code(), error.status().unwrap().code),
        (Some(502), 502)
    );
}

#[test]
fn the_status_may_ask_to_wait() {
    let error = refused(
        429,
        r#"{"kind":"Status","details":{"retryAfterSeconds":7},"code":429}"#,
    );
    assert!(error.is_too_many_requests());
    assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
}

#[test]
fn a_plain_not_found_is_one() {
    assert!(refused(404, "404 page not found\n").is_not_found());
    assert!(!refused(404, "404 page not found\n").is_not_served());
}

#[test]
fn what_a_plugin_printed_is_not_repeated() {
    let secret = "eyJhbGciOi";
    let error = AuthError::AuthExecRun {
        cmd: format!("PASSWORD={secret} plugin"),
        out: Box::new(std::process::Output {
            status: std::process::ExitStatus::default(),
            stdout: secret.into(),
            stderr: secret.into(),
        }),
    };
    assert!(
        error.to_string().contains(secret),
        "or there would be nothing to hide"
    );
    assert!(!credentials(&error).contains(secret));
    let error = ClientError::from_kube("GET /", None, &kube::Error::Auth(error));
    assert!(error.is_credentials());
    assert!(!format!("{error} {error:?} {error:#?}").contains(secret));
}
