//! Who may administrate.

use crate::stage::{command, start};
use std::path::Path;

struct Door {
    address: String,
    token: String,
}

fn door(dir: &Path) -> Door {
    let text = std::fs::read_to_string(dir.join("admin.json")).unwrap();
    let file: serde_json::Value = serde_json::from_str(&text).unwrap();
    Door { address: file["addr"].as_str().unwrap().into(), token: file["token"].as_str().unwrap().into() }
}

/// Asks with these headers; returns status and body.
async fn ask(
    door: &Door,
    path: &str,
    headers: Vec<(&'static str, String)>,
    body: Option<String>,
) -> (u16, String) {
    let url = format!("http://{}{path}", door.address);
    let asked = tokio::task::spawn_blocking(move || {
        let agent: ureq::Agent =
            ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build().into();
        let mut response = match body {
            Some(body) => {
                let request = agent.post(url).header("content-type", "application/json");
                headers.iter().fold(request, |request, (name, value)| request.header(*name, value)).send(body)
            }
            None => {
                let request = agent.get(url);
                headers.iter().fold(request, |request, (name, value)| request.header(*name, value)).call()
            }
        }
        .unwrap();
        (response.status().as_u16(), response.body_mut().read_to_string().unwrap())
    });
    asked.await.unwrap()
}

fn bearer(token: &str) -> (&'static str, String) {
    ("authorization", format!("Bearer {token}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_token_opens_and_only_from_here() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    let door = door(dir.path());
    let own = || bearer(&door.token);
    assert_eq!(ask(&door, "/api/users", vec![own()], None).await, (200, "[]".into()));
    assert_eq!(ask(&door, "/api/users", vec![], None).await.0, 401);
    assert_eq!(ask(&door, "/api/users", vec![bearer("guess")], None).await.0, 401);
    let refused = [
        ("host", "evil.example".to_owned()),
        ("origin", "http://evil.example".to_owned()),
        ("origin", "null".to_owned()),
        ("sec-fetch-site", "cross-site".to_owned()),
    ];
    for header in refused {
        assert_eq!(ask(&door, "/api/users", vec![own(), header], None).await.0, 403);
    }
    assert_eq!(ask(&door, "/", vec![("host", "evil.example".into())], None).await.0, 403);
    let (status, page) = ask(&door, "/", vec![], None).await;
    assert!(status == 200 && !page.contains(&door.token));
    server.shutdown().await.unwrap();
    assert!(!dir.path().join("admin.json").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_serves_once_and_its_token_only_looks() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    let door = door(dir.path());
    let code = server.admin_url().unwrap().split('#').nth(1).unwrap().to_owned();
    let body = serde_json::json!({ "code": code }).to_string();
    let (status, answer) = ask(&door, "/api/session", vec![], Some(body.clone())).await;
    assert_eq!(status, 200);
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    let page = || bearer(answer["token"].as_str().unwrap());
    assert_eq!(ask(&door, "/api/session", vec![], Some(body)).await.0, 401);
    assert_eq!(ask(&door, "/api/online", vec![page()], None).await.0, 200);
    let kick = serde_json::json!({ "user": "alice" }).to_string();
    assert_eq!(ask(&door, "/api/kick", vec![page()], Some(kick)).await.0, 403);
    server.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mistakes_get_one_line_and_their_exit_code() {
    let dir = tempfile::tempdir().unwrap();
    let nobody = command(dir.path(), &["users"]).await;
    assert_eq!(nobody.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&nobody.stderr).contains("no coordinator is running"));
    let server = start(dir.path()).await;
    for (arguments, code) in [
        (&["kick", "nobody"][..], 1),
        (&["ban", "Not A Name"], 2),
        (&["invite", "--expires", "soon"], 2),
        (&["invite", "--uses", "0"], 2),
        (&["announce", ""], 1),
        (&["unknown"], 2),
    ] {
        let output = command(dir.path(), arguments).await;
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty());
    }
    server.shutdown().await.unwrap();
}
