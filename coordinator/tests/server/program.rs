//! The program itself: its ready line, its end, its refusals.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

fn program(dir: &std::path::Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lanchat-coordinator"));
    command.arg("run").args(arguments).arg("--data-dir").arg(dir);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn ready(child: &mut Child) -> serde_json::Value {
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap()
}

const ADDRESSES: &[&str] = &["--listen", "/ip4/127.0.0.1/tcp/0", "--admin", "127.0.0.1:0", "--no-mdns"];

#[cfg(unix)]
#[test]
fn it_says_when_it_is_ready_and_ends_when_asked() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = program(dir.path(), ADDRESSES).args(["--org", "Büro"]).spawn().unwrap();
    let ready = ready(&mut child);
    assert_eq!((ready["event"].as_str(), ready["org"].as_str()), (Some("ready"), Some("Büro")));
    let join: lanchat_proto::join::JoinLink = ready["join"].as_str().unwrap().parse().unwrap();
    assert!(join.invite.is_some() && join.addresses[0].starts_with("127.0.0.1:"));
    assert_eq!(ready["fingerprint"].as_str(), Some(&*join.realm.fingerprint()));
    assert!(ready["listen"][0].as_str().unwrap().starts_with("/ip4/127.0.0.1/tcp/"));
    assert!(ready["admin"].as_str().unwrap().starts_with("http://127.0.0.1:"));
    let begun = Instant::now();
    Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(3));
    assert!(dir.path().join("log").read_dir().unwrap().next().is_some());
}

#[test]
fn a_taken_port_or_a_bad_setting_is_one_line_and_exit_one() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let dir = tempfile::tempdir().unwrap();
    let refused = |arguments: &[&str]| {
        let output = program(dir.path(), arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(output.stdout.is_empty());
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        text
    };
    assert!(refused(&["--listen", &address, "--admin", "127.0.0.1:0"]).contains("in use"));
    std::fs::write(dir.path().join("config.toml"), "registration = 'sometimes'").unwrap();
    assert!(refused(ADDRESSES).contains("open, invite, closed"));
}
