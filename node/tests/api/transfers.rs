//! Files over the API: offers, what becomes of them, what the user wants of them.

use crate::script::{PLAN, REPORT};
use crate::stage::{Said, Stage, direct_conversation};
use serde_json::{Value, json};
use std::path::Path;

async fn act(stage: &Stage, id: &str, act: &str, body: Value) -> Said {
    stage.request("POST", &format!("/api/v1/transfers/{id}/{act}")).body(body.to_string()).ask().await
}

async fn offer(stage: &Stage, path: &Path, more: Value) -> Said {
    let mut body = json!({ "to": "bob", "path": path });
    body.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    stage.request("POST", "/api/v1/transfers").body(body.to_string()).ask().await
}

fn file(stage: &Stage, name: &str) -> std::path::PathBuf {
    let path = stage.dir.path().join(name);
    std::fs::write(&path, b"hello").unwrap();
    path
}

#[tokio::test]
async fn transfers_are_told_with_every_key() {
    let stage = Stage::new().await;
    let all = stage.request("GET", "/api/v1/transfers").ask().await.json();
    let report = all.as_array().unwrap().iter().find(|one| one["id"] == REPORT.to_string()).unwrap();
    let expected = json!({
        "id": REPORT.to_string(),
        "blob": "07".repeat(32),
        "direction": "in",
        "conversation": direct_conversation().to_string(),
        "peer": "02".repeat(16),
        "peer_name": "bob",
        "name": "报告.pdf",
        "size": 3 << 20,
        "done": 0,
        "rate": 0,
        "seconds_left": null,
        "state": "offered",
        "error": null,
        "error_code": null,
        "path": null,
        "sources": 0,
    });
    assert_eq!(*report, expected);
    let one = stage.request("GET", &format!("/api/v1/transfers/{REPORT}")).ask().await.json();
    assert_eq!(one, expected);
}

#[tokio::test]
async fn an_id_may_be_shortened_as_long_as_it_means_one() {
    let stage = Stage::new().await;
    let show = |id: &str| stage.request("GET", &format!("/api/v1/transfers/{id}")).ask();
    assert_eq!(show("abcdef01").await.json()["name"], "报告.pdf");
    assert_eq!(show("ABCDEF02").await.json()["name"], "plan.txt");
    let several = show("abcd").await;
    assert_eq!((several.status, several.code().as_str()), (409, "ambiguous_transfer"));
    let ids = [REPORT, PLAN].map(|id| id.to_string());
    assert_eq!(several.json()["error"]["candidates"], json!(ids));
    for unknown in ["abc", "ffff", "zzzz", &"0".repeat(32), &"a".repeat(33)] {
        let said = show(unknown).await;
        assert_eq!((said.status, said.code().as_str()), (404, "no_such_transfer"), "{unknown}");
        assert_eq!(said.json()["error"]["exit"], 1);
    }
}

#[tokio::test]
async fn acts_answer_with_the_transfer_as_it_is_then() {
    let stage = Stage::new().await;
    let (report, plan) = (REPORT.to_string(), PLAN.to_string());
    let target = stage.dir.path().join("here");
    let accepted = act(&stage, &report, "accept", json!({ "to_dir": target })).await;
    assert_eq!((accepted.status, &accepted.json()["state"]), (200, &"running".into()));
    assert!(target.is_dir(), "made where it was not");
    let again = act(&stage, &report, "accept", json!({})).await;
    assert_eq!((again.status, again.code().as_str()), (409, "transfer_state"));
    assert_eq!(again.json()["error"]["state"], "running");
    assert_eq!(again.json()["error"]["hint"], "under_way");
    assert_eq!(act(&stage, &report, "pause", json!({})).await.json()["state"], "paused");
    assert_eq!(act(&stage, &report, "resume", json!({})).await.json()["state"], "complete");
    assert_eq!(act(&stage, &report, "cancel", json!({})).await.code(), "transfer_state");
    assert_eq!(act(&stage, &plan, "reject", json!({})).await.json()["state"], "rejected");
    assert_eq!(act(&stage, "ffffffff", "pause", json!({})).await.code(), "no_such_transfer");
}

#[tokio::test]
async fn a_directory_that_cannot_be_used_changes_nothing() {
    let stage = Stage::new().await;
    let in_the_way = file(&stage, "file");
    let said = act(&stage, &PLAN.to_string(), "accept", json!({ "to_dir": "/x\0y" })).await;
    assert_eq!(said.code(), "bad_request");
    for dir in [json!("relative"), json!(in_the_way)] {
        let said = act(&stage, &PLAN.to_string(), "accept", json!({ "to_dir": dir })).await;
        assert_eq!((said.status, said.code().as_str()), (422, "bad_directory"), "{dir}");
    }
    let shown = stage.request("GET", &format!("/api/v1/transfers/{PLAN}")).ask().await.json();
    assert_eq!(shown["state"], "offered");
}

#[tokio::test]
async fn an_offered_file_is_told_with_its_hash_and_path() {
    let stage = Stage::new().await;
    let path = file(&stage, "note 1.txt");
    let said = offer(&stage, &path, json!({})).await.json();
    assert_eq!(said["blob"], blake3::hash(b"hello").to_hex().as_str());
    assert_eq!((&said["name"], &said["size"]), (&"note 1.txt".into(), &5.into()));
    assert_eq!((&said["direction"], &said["state"]), (&"out".into(), &"offered".into()));
    let told = Path::new(said["path"].as_str().unwrap()).canonicalize().unwrap();
    assert_eq!(told, path.canonicalize().unwrap());
}

#[tokio::test]
async fn what_cannot_be_offered_has_its_own_error() {
    let stage = Stage::new().await;
    let path = file(&stage, "x");
    let missing = stage.dir.path().join("missing");
    for (path, code) in [
        (missing.as_path(), "no_such_file"),
        (stage.dir.path(), "is_directory"),
        (Path::new("x"), "bad_request"),
    ] {
        assert_eq!(offer(&stage, path, json!({})).await.code(), code, "{}", path.display());
    }
    let with_nul = stage.dir.path().join("x\0y");
    assert_eq!(offer(&stage, &with_nul, json!({})).await.code(), "bad_request");
    let before = stage.request("GET", "/api/v1/transfers").ask().await.json();
    for timeout in [json!(99_999_999_999_u64), json!(86_401), json!(-1)] {
        let said = offer(&stage, &path, json!({ "wait": "complete", "timeout_s": timeout })).await;
        assert_eq!((said.status, said.code().as_str()), (400, "bad_request"), "{timeout}");
    }
    let told = stage.request("GET", "/api/v1/transfers").ask().await.json();
    assert_eq!(told, before, "nothing was offered");
    for (to, code) in [("nobody", "no_such_user"), ("alice", "yourself"), ("#group", "no_groups")] {
        assert_eq!(offer(&stage, &path, json!({ "to": to })).await.code(), code, "{to}");
    }
}

#[tokio::test]
async fn a_wait_ends_with_the_transfer_or_with_the_time() {
    let stage = Stage::new().await;
    let wait = json!({ "wait": "complete", "timeout_s": 0 });
    for (name, state) in [("whole", "complete"), ("refused", "rejected"), ("broken", "failed")] {
        let said = offer(&stage, &file(&stage, name), wait.clone()).await;
        assert_eq!((said.status, &said.json()["state"]), (200, &state.into()), "{name}");
        assert_eq!(said.json()["done"], if name == "whole" { 5 } else { 0 });
    }
    let late = offer(&stage, &file(&stage, "slow"), wait).await;
    assert_eq!((late.status, late.code().as_str()), (504, "transfer_timed_out"));
    assert_eq!(late.json()["error"]["exit"], 5);
    let transfer = &late.json()["error"]["transfer"];
    assert_eq!(transfer["state"], "offered");
    let waiting = stage
        .request("GET", &format!("/api/v1/transfers/{}?wait_ms=60000", transfer["id"].as_str().unwrap()))
        .ask();
    let act = act(&stage, transfer["id"].as_str().unwrap(), "cancel", json!({}));
    let (waited, _) = tokio::join!(waiting, act);
    assert_eq!(waited.json()["state"], "cancelled", "told by the event, not by the time");
}

/// Runs the command line beside the API; `{dir}` in an argument is the stage's directory.
async fn run(stage: &Stage, args: &[&str]) -> (i32, String, String) {
    let dir = stage.dir.path().to_owned();
    let args: Vec<String> = args.iter().map(|arg| arg.replace("{dir}", &dir.display().to_string())).collect();
    let run = move || {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        crate::commands::lanchat(&dir, &args, "")
    };
    let out = tokio::task::spawn_blocking(run).await.unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (out.status.code().unwrap(), text(&out.stdout), text(&out.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_learn_what_became_of_each_file() {
    let stage = Stage::new().await;
    for name in ["whole 1", "whole 2", "refused", "broken", "slow"] {
        file(&stage, name);
    }
    let send = ["send-file", "bob", "--json"];
    let sent = |more: &[&'static str]| {
        let args: Vec<&str> = send.iter().chain(more).copied().collect();
        let stage = &stage;
        async move { run(stage, &args).await }
    };
    let (code, json, stderr) = sent(&["{dir}/slow", "{dir}/whole 1"]).await;
    let said: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((code, stderr.as_str()), (0, ""), "nothing is drawn where there is no terminal");
    let first = &said["transfers"][0];
    assert_eq!(
        (&first["name"], &first["size"], &first["state"]),
        (&"slow".into(), &5.into(), &"offered".into())
    );
    assert_eq!(first["blob"], blake3::hash(b"hello").to_hex().as_str());
    assert_eq!(first["id"].as_str().unwrap().len(), 32);

    let (code, json, _) = sent(&["{dir}/whole 1", "{dir}/whole 2", "--wait", "complete"]).await;
    let said: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((code, said["transfers"].as_array().unwrap().len()), (0, 2));

    let (code, json, stderr) =
        sent(&["{dir}/whole 1", "{dir}/refused", "{dir}/broken", "--wait", "complete"]).await;
    assert_eq!((code, stderr.lines().count()), (1, 1));
    assert!(stderr.contains("refused: rejected") && stderr.contains("broken: failed (the source changed)"));
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap()["transfers"][1]["state"], "rejected");

    let (code, json, stderr) = sent(&["{dir}/slow", "--wait", "complete", "--timeout", "0"]).await;
    assert_eq!((code, stderr.lines().count()), (5, 1));
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap()["transfers"][0]["state"], "offered");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_offered_when_one_path_is_wrong() {
    let stage = Stage::new().await;
    file(&stage, "whole");
    let before = stage.request("GET", "/api/v1/transfers").ask().await.json();
    let (code, stdout, stderr) = run(&stage, &["send-file", "bob", "{dir}/whole", "{dir}"]).await;
    assert_eq!((code, stdout.as_str()), (1, ""));
    assert!(stderr.contains("folders come later"), "{stderr}");
    let (_, _, stderr) = run(&stage, &["--lang", "zh-CN", "send-file", "bob", "{dir}"]).await;
    assert!(stderr.contains("文件夹"), "{stderr}");
    assert_eq!(stage.request("GET", "/api/v1/transfers").ask().await.json(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn people_read_a_table_of_transfers() {
    let stage = Stage::new().await;
    let (code, table, _) = run(&stage, &["transfers"]).await;
    assert_eq!(code, 0);
    assert!(table.starts_with("ID") && table.contains("from bob  报告.pdf  3.0 MiB  0 %"), "{table}");
    let (_, chinese, _) = run(&stage, &["--lang", "zh-CN", "transfers"]).await;
    assert!(chinese.starts_with("编号") && chinese.contains("等待接收"), "{chinese}");
    let (_, _, refused) = run(&stage, &["--lang", "zh-CN", "pause", "abcdef01"]).await;
    assert!(refused.contains("尚未接收") && refused.contains("accept"), "{refused}");
    let (_, _, refused) = run(&stage, &["pause", "abcdef01"]).await;
    assert!(refused.contains("it was not accepted yet; accept fetches it"), "{refused}");
    let (code, json, _) = run(&stage, &["accept", "abcdef01", "--to", "{dir}/in", "--json"]).await;
    let said: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((code, &said["state"]), (0, &"running".into()));
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn who_stops_waiting_is_told_that_it_goes_on() {
    use std::process::{Command, Stdio};
    let stage = Stage::new().await;
    let path = file(&stage, "slow");
    let dir = stage.dir.path().to_owned();
    // A signal that comes before the command waits ends it without a word; then it is tried again.
    for _ in 0..20 {
        let before = stage.request("GET", "/api/v1/transfers").ask().await.json().as_array().unwrap().len();
        let waiting = Command::new(env!("CARGO_BIN_EXE_lanchat"))
            .args(["send-file", "bob", "--wait", "complete"])
            .arg(&path)
            .env("LANCHAT_DATA_DIR", &dir)
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        while stage.request("GET", "/api/v1/transfers").ask().await.json().as_array().unwrap().len() == before
        {
        }
        // The wait is the next thing that it asks for.
        for _ in 0..10 {
            stage.request("GET", "/api/v1/status").ask().await;
        }
        let killed = Command::new("kill").args(["-INT", &waiting.id().to_string()]).status().unwrap();
        assert!(killed.success());
        let ended = tokio::task::spawn_blocking(move || waiting.wait_with_output()).await.unwrap().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        if ended.status.code().is_some() {
            assert_eq!((ended.status.code(), said.lines().count()), (Some(130), 1), "{said}");
            assert!(said.contains("the transfer goes on"), "{said}");
            return;
        }
    }
    panic!("nothing was ever said");
}
