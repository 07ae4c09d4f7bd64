//! The command line as people and scripts meet it: real processes, outputs, exit codes.

use crate::stage::Stage;
use std::path::Path;
use std::process::{Command, Output, Stdio};

pub(crate) fn lanchat(dir: &Path, args: &[&str], input: &str) -> Output {
    use std::io::Write;
    let mut child = Command::new(env!("CARGO_BIN_EXE_lanchat"))
        .args(args)
        .env("LANCHAT_DATA_DIR", dir)
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that reads nothing may be gone already.
    drop(child.stdin.take().unwrap().write_all(input.as_bytes()));
    child.wait_with_output().unwrap()
}

/// Runs commands beside the API without holding it up.
async fn all(stage: &Stage, runs: Vec<(Vec<&'static str>, &'static str)>) -> Vec<(i32, String, String)> {
    let dir = stage.dir.path().to_owned();
    let run = move || {
        let outputs = runs.iter().map(|(args, input)| lanchat(&dir, args, input));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        outputs.map(|out| (out.status.code().unwrap(), text(&out.stdout), text(&out.stderr))).collect()
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn exit_codes_are_those_of_the_contract() {
    let stage = Stage::new().await;
    let enrol =
        |user: &'static str| vec!["register", "--coordinator", "x", "--user", user, "--password-stdin"];
    let cases: Vec<(i32, Vec<&'static str>, &'static str)> = vec![
        (0, vec!["send", "bob", "hi"], ""),
        (0, vec!["send", "bob", "-"], "from a pipe\n"),
        (1, vec!["send", "nobody", "hi"], ""),
        (1, vec!["send", "sam", "hi"], ""),
        (1, vec!["send", "#everyone", "hi"], ""),
        (1, vec!["send", "bob", ""], ""),
        (1, vec!["send", "bob", "disk full"], ""),
        (2, vec!["send", "bob"], ""),
        (2, vec!["send", "bob", "hi", "--wait", "forever"], ""),
        (2, vec!["frobnicate"], ""),
        (2, vec!["run", "--ui", "0.0.0.0:1"], ""),
        (2, vec!["run", "--listen", "here"], ""),
        (5, vec!["send", "bob", "slow", "--wait", "delivered", "--timeout", "0"], ""),
        (1, vec!["nudge", "bob"], ""),
        (2, vec!["send-file", "bob"], ""),
        (2, vec!["send-file", "bob", "x", "--wait", "forever"], ""),
        (1, vec!["send-file", "bob", "no such file"], ""),
        (1, vec!["send-file", "bob", "."], ""),
        (0, vec!["transfers"], ""),
        (1, vec!["accept", "abcd"], ""),
        (1, vec!["accept", "ffff"], ""),
        (2, vec!["accept"], ""),
        (1, vec!["pause", "abcdef01"], ""),
        (0, vec!["reject", "abcdef02"], ""),
        (1, vec!["reject", "abcdef02"], ""),
        (0, vec!["cancel", "abcdef01"], ""),
        (1, vec!["resume", "abcdef01"], ""),
        (0, enrol("new"), "secret\n"),
        (4, enrol("wrong"), "secret\n"),
        (4, enrol("taken"), "secret\n"),
        (4, enrol("banned"), "secret\n"),
        (4, enrol("stranger"), "secret\n"),
        (4, enrol("changed"), "secret\n"),
        (1, enrol("away"), "secret\n"),
        (2, enrol("new"), ""),
        (2, vec!["login", "--user", "new"], ""),
        (0, vec!["passwd", "--password-stdin"], "right\nnew one\n"),
        (4, vec!["passwd", "--password-stdin"], "wrong\nnew one\n"),
        (2, vec!["passwd", "--password-stdin"], "only one\n"),
        (0, vec!["logout"], ""),
        (4, vec!["devices", "endorse", "12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq"], ""),
        (1, vec!["devices", "endorse", "nonsense"], ""),
        (0, vec!["config", "set", "mdns", "false"], ""),
        (1, vec!["config", "set", "mdns", "perhaps"], ""),
        (1, vec!["config", "get", "colour"], ""),
        (0, vec!["verify", "bob"], ""),
        (0, vec!["verify", "bob", "--confirm"], ""),
        (0, vec!["verify", "bob", "--revoke"], ""),
        (2, vec!["verify", "bob", "--confirm", "--revoke"], ""),
        (2, vec!["verify"], ""),
        (1, vec!["verify", "alice"], ""),
        (1, vec!["verify", "nobody"], ""),
        (1, vec!["verify", "sam"], ""),
        (1, vec!["verify", "@03030303030303030303030303030303"], ""),
        (0, vec!["backup", "out.bak", "--passphrase-stdin"], "phrase\n"),
        (0, vec!["help"], ""),
        (0, vec!["--version"], ""),
    ];
    let runs = cases.iter().map(|(_, args, input)| (args.clone(), *input)).collect();
    for ((expected, args, _), (code, _, stderr)) in cases.iter().zip(all(&stage, runs).await) {
        assert_eq!(code, *expected, "{args:?}: {stderr}");
        // One line for what went wrong; bad usage has clap's own.
        assert_eq!(code == 0, stderr.is_empty(), "{args:?}: {stderr}");
        if !matches!(code, 0 | 2) {
            assert_eq!(stderr.lines().count(), 1, "{args:?}: {stderr}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn json_goes_to_stdout_alone_and_flags_go_anywhere() {
    let stage = Stage::new().await;
    let outputs = all(
        &stage,
        vec![
            (vec!["--json", "users"], ""),
            (vec!["users", "bob", "--json"], ""),
            (vec!["send", "bob", "slow", "--wait", "read", "--timeout", "0", "--json"], ""),
            (vec!["send", "bob", "hi", "--json"], ""),
            (vec!["config", "list", "--json"], ""),
            (vec!["profile", "--json", "--note", "x"], ""),
            (vec!["devices", "list", "--json"], ""),
            (vec!["verify", "bob", "--json"], ""),
        ],
    )
    .await;
    let json: Vec<serde_json::Value> =
        outputs.iter().map(|(_, stdout, _)| serde_json::from_str(stdout).unwrap()).collect();
    assert_eq!((json[0].as_array().unwrap().len(), json[1].as_array().unwrap().len()), (3, 1));
    assert_eq!((outputs[2].0, json[2]["pending"][0].as_str()), (5, Some("02".repeat(16).as_str())));
    for key in ["id", "conversation", "sent_at", "delivered_to", "pending"] {
        assert!(json[3].get(key).is_some(), "{key}");
    }
    assert_eq!(json[4]["mesh_size"], 256);
    assert_eq!(json[5]["name"], "alice");
    assert_eq!(json[6].as_array().unwrap().len(), 1);
    let code = crate::stage::safety_code().to_string();
    let safety =
        serde_json::json!({ "user_id": "02".repeat(16), "name": "bob", "code": code, "verified": false });
    assert_eq!(json[7], safety);
}

#[tokio::test(flavor = "multi_thread")]
async fn people_read_aligned_columns_in_their_language() {
    let stage = Stage::new().await;
    let outputs = all(
        &stage,
        vec![
            (vec!["users"], ""),
            (vec!["users", "--lang", "zh-CN"], ""),
            (vec!["--lang", "zh-CN", "send", "nobody", "x"], ""),
            (vec!["verify", "bob"], ""),
        ],
    )
    .await;
    let (_, english, _) = &outputs[0];
    assert!(english.starts_with("NAME") && !english.contains('\u{1b}'), "{english}");
    assert!(english.lines().any(|line| line.starts_with("bob ") && line.contains(" bob 李 ")), "{english}");
    assert!(english.contains(&format!("sam @{}", "03".repeat(16))), "{english}");
    let (_, chinese, _) = &outputs[1];
    assert!(chinese.starts_with("用户名") && chinese.contains("在线"), "{chinese}");
    let (_, _, error) = &outputs[2];
    assert!(error.contains("没有用户") && error.contains("nobody"), "{error}");
    let (_, code, _) = &outputs[3];
    let digits = crate::stage::safety_code().to_string();
    let shown: Vec<&str> = code.lines().take(3).flat_map(str::split_whitespace).collect();
    assert_eq!(shown.join(" "), digits);
    assert!(code.lines().nth(3).unwrap().contains("--confirm"), "{code}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_node_every_command_says_so() {
    let stage = Stage::new().await;
    let none = tempfile::tempdir().unwrap();
    let dir = none.path().to_owned();
    let check = move || {
        for args in
            [vec!["status"], vec!["users"], vec!["send", "bob", "x"], vec!["watch"], vec!["config", "list"]]
        {
            let out = lanchat(&dir, &args, "");
            assert_eq!(out.status.code(), Some(3), "{args:?}");
            assert!(out.stdout.is_empty());
        }
    };
    tokio::task::spawn_blocking(check).await.unwrap();
    // The file of a node that was killed, its port taken by another node, and by nobody.
    for port in [stage.port(), 1] {
        let file = format!("{{\"port\":{port},\"token\":\"old\",\"pid\":1}}");
        std::fs::write(none.path().join("api.json"), file).unwrap();
        let dir = none.path().to_owned();
        let out = tokio::task::spawn_blocking(move || lanchat(&dir, &["users"], "")).await.unwrap();
        assert_eq!(out.status.code(), Some(3), "port {port}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_goes_away_is_no_failure() {
    let stage = Stage::new().await;
    let dir = stage.dir.path().to_owned();
    let run = move || {
        let mut child = Command::new(env!("CARGO_BIN_EXE_lanchat"))
            .args(["watch", "--json"])
            .env("LANCHAT_DATA_DIR", dir)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        child
    };
    let child = tokio::task::spawn_blocking(run).await.unwrap();
    let (done, mut ended) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || drop(done.send(child.wait_with_output().unwrap())));
    // Events until the watcher, once it is there, has met its closed pipe.
    let out = loop {
        stage
            .events
            .tell(lanchat_node_core::output::Event::Presence { user: crate::stage::BOB, presence: None });
        tokio::select! {
            out = &mut ended => break out.unwrap(),
            () = tokio::time::sleep(std::time::Duration::from_millis(20)) => {}
        }
    };
    assert_eq!((out.status.code(), String::from_utf8_lossy(&out.stderr).as_ref()), (Some(0), ""));
}

#[test]
fn a_log_that_goes_to_a_file_has_no_colours() {
    let dir = tempfile::tempdir().unwrap();
    // A port that is taken ends the node by itself, after it has said a few things.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = format!("/ip4/127.0.0.1/tcp/{}", taken.local_addr().unwrap().port());
    let run = Command::new(env!("CARGO_BIN_EXE_lanchat"))
        .args(["run", "--headless", "--no-mdns", "--ui", "127.0.0.1:0", "--listen", &listen])
        .env("LANCHAT_DATA_DIR", dir.path())
        .env("LANCHAT_LOG", "trace")
        .env_remove("NO_COLOR")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stderr);
    assert_eq!(run.status.code(), Some(1), "{said}");
    assert!(said.lines().count() > 1, "{said}");
    assert!(!said.contains('\u{1b}'), "{said}");
}
