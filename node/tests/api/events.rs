//! The stream of events.

use crate::stage::{BOB, SOON, Stage};
use futures::{SinkExt, StreamExt};
use lanchat::api::limits::{JOURNAL, SOCKETS};
use lanchat_node_core::output::Event;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn connect(stage: &Stage) -> Socket {
    connect_async(format!("ws://127.0.0.1:{}/api/v1/events", stage.port())).await.unwrap().0
}

async fn say(socket: &mut Socket, text: impl Into<String>) {
    socket.send(Message::text(text.into())).await.unwrap();
}

/// The next frame; `None` when the stream ends.
async fn next(socket: &mut Socket) -> Option<Value> {
    loop {
        match timeout(SOON, socket.next()).await.expect("a frame in time") {
            Some(Ok(Message::Text(text))) => return Some(serde_json::from_str(&text).unwrap()),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(_) | Err(_)) | None => return None,
        }
    }
}

async fn enter(stage: &Stage, since: Option<u64>) -> (Socket, Value) {
    let mut socket = connect(stage).await;
    say(&mut socket, json!({ "token": stage.file.token, "since": since }).to_string()).await;
    let ready = next(&mut socket).await.unwrap();
    assert_eq!(ready["type"], "ready");
    (socket, ready)
}

fn offline(stage: &Stage) {
    stage.events.tell(Event::Presence { user: BOB, presence: None });
}

#[tokio::test]
async fn events_come_live_with_rising_ids() {
    let stage = Stage::new().await;
    let (mut socket, _) = enter(&stage, None).await;
    offline(&stage);
    offline(&stage);
    let first = next(&mut socket).await.unwrap();
    assert_eq!(first["event"], "presence");
    assert_eq!((first["name"].as_str(), first["presence"].as_str()), (Some("bob"), Some("offline")));
    assert_eq!((first["id"].as_u64(), first["at"].as_str()), (Some(1), Some("1970-01-01T00:00:01.000Z")));
    assert_eq!(next(&mut socket).await.unwrap()["id"], 2);
}

#[tokio::test]
async fn a_message_is_told_as_history_shows_it() {
    let stage = Stage::new().await;
    let (mut socket, _) = enter(&stage, None).await;
    stage.request("POST", "/api/v1/messages").body(r#"{"to":"bob","text":"你好"}"#).ask().await;
    let told = next(&mut socket).await.unwrap();
    let message = &told["message"];
    assert_eq!(
        (&told["event"], &message["text"], &message["kind"]),
        (&"message".into(), &"你好".into(), &"text".into())
    );
    assert_eq!((&message["author_name"], &message["own"]), (&"alice".into(), &true.into()));
    assert_eq!(told["with"], BOB.to_string());
    let receipt = next(&mut socket).await.unwrap();
    assert_eq!((&receipt["event"], &receipt["log"]), (&"receipt".into(), &message["log"]));
    assert_eq!(receipt["received"], message["number"]);
}

#[tokio::test]
async fn a_transfer_is_told_as_a_whole() {
    let stage = Stage::new().await;
    let (mut socket, _) = enter(&stage, None).await;
    let path = format!("/api/v1/transfers/{}/reject", crate::script::PLAN);
    stage.request("POST", &path).ask().await;
    let told = next(&mut socket).await.unwrap();
    let transfer = &told["transfer"];
    assert_eq!((&told["event"], &transfer["name"]), (&"transfer".into(), &"plan.txt".into()));
    assert_eq!((&transfer["state"], &transfer["peer_name"]), (&"rejected".into(), &"bob".into()));
}

#[tokio::test]
async fn events_are_replayed_from_where_a_listener_was() {
    let stage = Stage::new().await;
    let (mut socket, ready) = enter(&stage, None).await;
    for _ in 0..3 {
        offline(&stage);
    }
    for id in 1..=3 {
        assert_eq!(next(&mut socket).await.unwrap()["id"], id);
    }
    let (mut again, later) = enter(&stage, Some(1)).await;
    assert_eq!((&later["id"], &later["run"]), (&3.into(), &ready["run"]));
    assert_eq!(next(&mut again).await.unwrap()["id"], 2);
    assert_eq!(next(&mut again).await.unwrap()["id"], 3);
    // The token alone, then the position.
    let mut plain = connect(&stage).await;
    say(&mut plain, stage.file.token.clone()).await;
    assert_eq!(next(&mut plain).await.unwrap()["type"], "ready");
    say(&mut plain, json!({ "since": 2 }).to_string()).await;
    assert_eq!(next(&mut plain).await.unwrap()["id"], 3);
}

#[tokio::test]
async fn too_far_behind_is_an_answer() {
    let stage = Stage::new().await;
    let (mut socket, _) = enter(&stage, None).await;
    let count = JOURNAL as u64 + 10;
    for id in 1..=count {
        offline(&stage);
        assert_eq!(next(&mut socket).await.unwrap()["id"], id);
    }
    let (mut behind, _) = enter(&stage, Some(5)).await;
    let said = next(&mut behind).await.unwrap();
    assert_eq!((said["type"].as_str(), said["id"].as_u64()), (Some("resync"), Some(count)));
    let mut other_run = connect(&stage).await;
    say(&mut other_run, json!({ "token": stage.file.token, "since": count, "run": "of before" }).to_string())
        .await;
    next(&mut other_run).await.unwrap();
    assert_eq!(next(&mut other_run).await.unwrap()["type"], "resync");
}

#[tokio::test]
async fn without_the_token_nothing_is_told() {
    let stage = Stage::new().await;
    let (mut witness, _) = enter(&stage, None).await;
    let mut wrong = connect(&stage).await;
    say(&mut wrong, "wrong").await;
    let mut silent = connect(&stage).await;
    offline(&stage);
    next(&mut witness).await.unwrap();
    assert_eq!(next(&mut wrong).await, None);
    assert_eq!(next(&mut silent).await, None, "closed after two seconds");
}

#[tokio::test]
async fn other_pages_cannot_open_the_stream() {
    let stage = Stage::new().await;
    let url = format!("ws://127.0.0.1:{}/api/v1/events", stage.port());
    for (name, value) in
        [("Origin", "http://evil.example"), ("Host", "evil.example"), ("Sec-Fetch-Site", "cross-site")]
    {
        let mut request = url.clone().into_client_request().unwrap();
        request.headers_mut().insert(name, value.parse().unwrap());
        assert!(connect_async(request).await.is_err(), "{name}");
    }
}

#[tokio::test]
async fn listeners_are_bounded() {
    let stage = Stage::new().await;
    let mut all = Vec::new();
    for _ in 0..SOCKETS {
        all.push(enter(&stage, None).await);
    }
    let mut one_more = connect(&stage).await;
    say(&mut one_more, stage.file.token.clone()).await;
    assert_eq!(next(&mut one_more).await, None);
}
