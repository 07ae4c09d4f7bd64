//! What routes do.

use crate::stage::{Stage, direct_conversation};
use lanchat::api::API_FILE;
use lanchat::api::openapi::Document;
use lanchat::api::routes::ROUTES;
use std::collections::BTreeSet;
use utoipa::OpenApi;

#[test]
fn the_document_describes_every_route_and_no_other() {
    let document = serde_json::to_value(Document::openapi()).unwrap();
    let mut described = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let no = &operation["responses"]["default"]["content"]["application/json"]["schema"]["$ref"];
            assert_eq!(no, "#/components/schemas/ErrorJson", "{method} {path}");
            described.insert((method.to_uppercase(), path.clone()));
        }
    }
    let fields = &document["components"]["schemas"]["ErrorFields"]["properties"];
    for field in ["code", "message", "exit"] {
        assert!(fields[field].is_object(), "{field}");
    }
    let routes = ROUTES.iter().map(|route| (route.method.to_string(), route.path.to_owned()));
    assert_eq!(described, routes.collect::<BTreeSet<_>>());
}

#[tokio::test]
async fn a_code_opens_one_session() {
    let stage = Stage::new().await;
    let body = format!("{{\"code\":\"{}\"}}", stage.code());
    let exchange =
        || stage.request("POST", "/api/v1/session").without("Authorization").body(body.clone()).ask();
    let said = exchange().await;
    assert_eq!(said.status, 200);
    let token = said.json()["token"].as_str().unwrap().to_owned();
    assert_ne!(token, stage.file.token);
    let bearer = format!("Bearer {token}");
    let users = stage.request("GET", "/api/v1/users").with("Authorization", &bearer).ask().await;
    assert_eq!(users.status, 200);
    let again = exchange().await;
    assert_eq!((again.status, again.code().as_str()), (401, "bad_code"));
    let minted = stage.request("POST", "/api/v1/code").ask().await.json();
    let body = format!("{{\"code\":{}}}", minted["code"]);
    assert_eq!(stage.request("POST", "/api/v1/session").body(body).ask().await.status, 200);
}

#[tokio::test]
async fn a_ticket_shows_one_image_once() {
    let stage = Stage::new().await;
    let path = format!("/api/v1/users/{}/avatar", crate::stage::BOB);
    let ticket =
        stage.request("POST", "/api/v1/tickets").body(format!("{{\"path\":\"{path}\"}}")).ask().await.json();
    let url = ticket["url"].as_str().unwrap();
    let shown = stage.request("GET", url).without("Authorization").ask().await;
    assert_eq!(shown.status, 200);
    assert!(shown.head.contains("content-type: image/png"), "{}", shown.head);
    assert_eq!(stage.request("GET", url).without("Authorization").ask().await.status, 401);
}

#[tokio::test]
async fn users_are_everybody_but_oneself_and_the_gone() {
    let stage = Stage::new().await;
    let users = stage.request("GET", "/api/v1/users").ask().await.json();
    let names: Vec<_> = users.as_array().unwrap().iter().map(|user| user["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["bob", "sam", "sam"]);
    let bob = &users[0];
    assert_eq!(bob["user_id"], "02".repeat(16));
    assert_eq!((bob["presence"].as_str(), bob["route"].as_str()), (Some("online"), Some("direct")));
    assert!(bob["last_seen"].is_null() && bob["verified"] == false);
    let found = stage.request("GET", "/api/v1/users?query=BO").ask().await.json();
    assert_eq!(found.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn send_tells_what_became_of_a_message() {
    let stage = Stage::new().await;
    let send = |body: &str| stage.request("POST", "/api/v1/messages").body(body.to_owned()).ask();
    let bob = "02".repeat(16);
    let said = send(r#"{"to":"bob","text":"hi","wait":"delivered"}"#).await.json();
    assert_eq!(said["delivered_to"][0], bob);
    assert_eq!(said["pending"].as_array().unwrap().len(), 0);
    assert_eq!(said["conversation"], direct_conversation().to_string());
    assert_eq!(said["sent_at"], "1970-01-01T00:00:00.001Z");
    let said = send(r#"{"to":"bob","text":"read me","wait":"read"}"#).await.json();
    assert_eq!(said["read_by"][0], bob);
    let said = send(r#"{"to":"@02020202020202020202020202020202","text":"slow"}"#).await.json();
    assert_eq!(said["pending"][0], bob, "stored is what send waits for by default");
    let late = send(r#"{"to":"bob","text":"slow","wait":"delivered","timeout_s":0}"#).await;
    assert_eq!((late.status, late.code().as_str()), (504, "timed_out"));
    assert_eq!(late.json()["error"]["exit"], 5);
    assert_eq!(late.json()["error"]["sent"]["pending"][0], bob);
}

#[tokio::test]
async fn names_that_mean_nobody_or_several_are_told() {
    let stage = Stage::new().await;
    for (to, code) in [
        ("nobody", "no_such_user"),
        ("gone", "no_such_user"),
        ("@ff", "no_such_user"),
        ("sam", "ambiguous"),
        ("#group", "no_groups"),
        ("#everyone", "no_groups"),
        ("alice", "yourself"),
    ] {
        let body = format!("{{\"to\":\"{to}\",\"text\":\"x\"}}");
        let said = stage.request("POST", "/api/v1/messages").body(body).ask().await;
        assert_eq!(said.code(), code, "{to}");
        assert_eq!(said.json()["error"]["exit"], 1, "{to}");
        if code == "ambiguous" {
            let message = said.json()["error"]["message"].as_str().unwrap().to_owned();
            assert!(message.contains(&"03".repeat(16)) && message.contains(&"04".repeat(16)), "{message}");
        }
    }
}

#[tokio::test]
async fn only_the_code_that_was_seen_is_marked_as_compared() {
    let stage = Stage::new().await;
    let confirm = |code: String| {
        let body = serde_json::json!({ "code": code }).to_string();
        stage.request("PUT", "/api/v1/users/bob/safety").body(body)
    };
    let shown = stage.request("GET", "/api/v1/users/bob/safety").ask().await.json();
    let code = shown["code"].as_str().unwrap().to_owned();
    assert_eq!(confirm(code.replace(' ', "")).ask().await.status, 200);
    let other = confirm(code.chars().rev().collect()).ask().await;
    assert_eq!((other.status, other.code().as_str()), (409, "code_changed"));
    assert_eq!(stage.request("DELETE", "/api/v1/users/bob/safety").ask().await.status, 200);
}

#[tokio::test]
async fn bad_texts_and_images_have_their_own_errors() {
    let stage = Stage::new().await;
    let text = |text: &str| {
        let body = serde_json::json!({ "to": "bob", "text": text }).to_string();
        stage.request("POST", "/api/v1/messages").body(body)
    };
    assert_eq!(text("").ask().await.code(), "text_empty");
    assert_eq!(text(&"x".repeat(1 << 20)).ask().await.code(), "text_too_long");
    let unknown =
        stage.request("POST", "/api/v1/messages").body(r#"{"to":"bob","text":"x","colour":1}"#).ask().await;
    assert_eq!((unknown.status, unknown.code().as_str()), (400, "bad_request"));
    let avatar = |bytes: Vec<u8>| {
        stage.request("PUT", "/api/v1/profile/avatar").with("Content-Type", "image/png").body(bytes)
    };
    let png = b"\x89PNG\r\n\x1a\n".to_vec();
    assert_eq!(avatar(png.clone()).ask().await.status, 200);
    assert_eq!(avatar(b"<svg onload=x>".to_vec()).ask().await.code(), "bad_image");
    assert_eq!(avatar([png, vec![0; 64 << 10]].concat()).ask().await.code(), "bad_image");
}

#[tokio::test]
async fn stars_and_settings_are_kept() {
    let stage = Stage::new().await;
    let star = stage.request("POST", "/api/v1/contacts").body(r#"{"user":"bob"}"#).ask().await;
    assert_eq!(star.status, 200);
    let contacts = stage.request("GET", "/api/v1/contacts").ask().await.json();
    assert_eq!((contacts[0]["name"].as_str(), contacts[0]["contact"].as_bool()), (Some("bob"), Some(true)));
    assert_eq!(stage.request("DELETE", "/api/v1/contacts/bob").ask().await.status, 200);
    assert_eq!(stage.request("GET", "/api/v1/contacts").ask().await.body, "[]");
    let set = stage.request("PUT", "/api/v1/config/auto_accept_max").body(r#"{"value":"1MiB"}"#).ask().await;
    assert_eq!(set.json()["value"], 1 << 20);
    let bad = stage.request("PUT", "/api/v1/config/auto_accept_max").body(r#"{"value":"much"}"#).ask().await;
    assert_eq!(bad.code(), "bad_setting");
    let all = stage.request("GET", "/api/v1/config").ask().await.json();
    assert_eq!((&all["auto_accept_max"], &all["auto_accept"]), (&(1 << 20).into(), &"contacts".into()));
}

#[tokio::test]
async fn api_json_is_there_while_the_api_is() {
    let stage = Stage::new().await;
    let path = stage.dir.path().join(API_FILE);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert_eq!((stage.file.port, stage.file.pid), (stage.port(), std::process::id()));
    stage.server.shutdown().await;
    assert!(!path.exists());
}

#[tokio::test]
async fn only_loopback_is_served_and_a_taken_port_is_told() {
    use lanchat::api::{ApiConfig, Contacts, ServeError, serve};
    use lanchat::config::Config;
    let stage = Stage::new().await;
    let dir = tempfile::tempdir().unwrap();
    let start = |listen: String| {
        let config = std::sync::Arc::new(Config::open(dir.path()).unwrap());
        let contacts = std::sync::Arc::new(Contacts::open(dir.path()).unwrap());
        let listen = Some(listen.parse().unwrap());
        let settings = ApiConfig { listen, data_dir: dir.path().to_owned(), config, contacts };
        serve(lanchat::handle::channel().0, settings)
    };
    assert!(matches!(start("0.0.0.0:0".into()).await, Err(ServeError::NotLoopback(_))));
    assert!(matches!(start(format!("127.0.0.1:{}", stage.port())).await, Err(ServeError::Bind { .. })));
    assert!(!dir.path().join(API_FILE).exists());
}
