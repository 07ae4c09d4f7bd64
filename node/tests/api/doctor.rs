//! The doctor over HTTP and on the command line: facts, codes, and words in both languages.

use crate::stage::Stage;
use std::process::Command;

#[tokio::test]
async fn the_doctor_tells_what_it_saw_and_what_to_do() {
    let stage = Stage::new().await;
    let seen = stage.request("GET", "/api/v1/doctor").ask().await.json();
    let codes: Vec<_> = seen["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["code"].as_str().unwrap(), &one["severity"]))
        .collect();
    assert_eq!(codes[0], ("blocked_ufw", &"problem".into()));
    assert_eq!(codes[1], ("peer_relayed", &"hint".into()));
    assert_eq!(codes[2], ("peer_timed_out", &"hint".into()));
    assert_eq!((codes.len(), seen["ok"].as_bool()), (3, Some(false)));
    assert!(seen["problems"][0]["message"].as_str().unwrap().contains("sudo ufw allow 7420/tcp"));
    assert_eq!(
        (&seen["problems"][1]["args"]["name"], &seen["problems"][0]["user_id"]),
        (&"bob".into(), &().into())
    );
    let port = serde_json::json!({ "port": 7420, "result": "failed" });
    assert_eq!((&seen["reachable"]["asked"], &seen["reachable"]["ports"][0]), (&"coordinator".into(), &port));
    assert_eq!((&seen["interfaces"][0]["kind"], &seen["interfaces"][0]["rank"]), (&"real".into(), &1.into()));
    assert_eq!((&seen["mdns"]["enabled"], &seen["mdns"]["running"]), (&false.into(), &false.into()));
    assert_eq!(
        (&seen["coordinator"]["relay"], &seen["coordinator"]["since_s"]),
        (&"reserved".into(), &60.into())
    );
    let bob = &seen["peers"][0];
    assert_eq!(
        (&bob["name"], &bob["route"], &bob["next_try_s"]),
        (&"bob".into(), &"relay".into(), &2.into())
    );
    let address = serde_json::json!({
        "addr": "192.168.1.6:7420", "source": "coordinator", "result": "timed_out",
        "error": "Timeout has been reached", "tried_s": 4,
    });
    assert_eq!(bob["addresses"][0], address);
}

#[tokio::test]
async fn the_status_says_whether_the_coordinator_relays_and_mdns_runs() {
    let stage = Stage::new().await;
    let status = stage.request("GET", "/api/v1/status").ask().await.json();
    assert_eq!((&status["coordinator"]["relay"], &status["mdns"]), (&"none".into(), &false.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn people_read_the_advice_in_their_language() {
    let stage = Stage::new().await;
    let dir = stage.dir.path().to_owned();
    let ask = move |lang: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lanchat"));
        let out = command.args(["doctor", "--lang", lang]).env("LANCHAT_DATA_DIR", &dir).output().unwrap();
        assert_eq!(out.status.code(), Some(0), "the doctor did its work");
        String::from_utf8(out.stdout).unwrap()
    };
    let (english, chinese) = tokio::task::spawn_blocking(move || (ask("en"), ask("zh-CN"))).await.unwrap();
    let advice =
        |text: &str| text.lines().filter(|line| line.starts_with("! ") || line.starts_with("- ")).count();
    assert!(english.contains("! nobody gets through") && english.contains("7420 not reached"), "{english}");
    assert!(english.contains("bob") && english.contains("192.168.1.6:7420"), "{english}");
    assert!(chinese.contains("! 其他人无法连接本机") && chinese.contains("超时"), "{chinese}");
    assert_eq!((advice(&english), advice(&chinese)), (3, 3));
}
