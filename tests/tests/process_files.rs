//! Files between two people: sent, asked for, refused, given up; and where they lie in the end.

use lanchat_tests::files::{Desk, Offer, done, hash_of, text};
use lanchat_tests::{Node, Office, within};
#[cfg(target_os = "linux")]
use std::collections::BTreeSet;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const MIB: u64 = 1024 * 1024;

fn two(office: &Office) -> [Node; 2] {
    let [alice, bob] = office.people(["alice", "bob"]);
    within(10 * SECOND, "they see each other", || alice.sees(&bob) && bob.sees(&alice));
    [alice, bob]
}

fn both(one: &Node, other: &Node, offer: &Offer, state: &str) {
    within(20 * SECOND, &format!("it is {state} on both sides"), || {
        one.file_state(offer) == state && other.file_state(offer) == state
    });
}

#[test]
fn files_of_any_size_arrive_whole_and_nothing_is_in_sight_before() {
    let office = Office::open();
    let [alice, bob] = two(&office);
    let desk = Desk::new();
    for len in [0, 1, MIB - 1, MIB, MIB + 1, 20_000_000] {
        let name = format!("{len}.bin");
        let path = desk.file(&name, len);
        let look = desk.look();
        // The one who sends it may wait for the other.
        let mut sending =
            alice.command(&["send-file", "bob", "--wait", "complete", "--timeout", "60", "--json"]);
        let sending = sending.arg(&path).stdout(std::process::Stdio::piped()).spawn().unwrap();
        let seen = || bob.transfers().into_iter().find(|transfer| text(transfer, "name") == name);
        let offer = Offer::of(&within(10 * SECOND, "bob sees the offer", seen));
        assert_eq!(offer.blob, hash_of(&path), "the hash is BLAKE3 of the content");
        bob.accept(&offer, &desk.inbox());
        let sent = sending.wait_with_output().unwrap();
        assert!(sent.status.success());
        let sent: serde_json::Value = serde_json::from_slice(&sent.stdout).unwrap();
        assert_eq!(sent["transfers"][0]["state"].as_str(), Some("complete"), "{sent}");
        let (there, arrived) = (bob.transfer(&offer), desk.inbox().join(&name));
        assert_eq!(text(&there, "path"), arrived.display().to_string());
        assert_eq!((text(&there, "direction"), done(&there)), ("in".to_owned(), len));
        assert_eq!(hash_of(&arrived), offer.blob);
        assert_eq!(look.end().get(&name), Some(&len), "under its name it is whole at once");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(&arrived).unwrap().permissions().mode();
            assert_eq!(mode & 0o177, 0, "{mode:o}: its owner may read and write it, and nobody run it");
        }
        assert_eq!(bob.leftovers(&offer), [""; 0]);
    }
    assert_eq!(desk.arrived().len(), 6, "{:?}", desk.arrived());
}

#[test]
fn what_comes_unasked_is_what_the_settings_say() {
    let office = Office::open();
    let [alice, bob] = two(&office);
    let desk = Desk::new();
    bob.set("download_dir", &desk.inbox().display().to_string());
    let mut open = Vec::new();
    for (number, (setting, starred, most, len, comes)) in [
        ("never", true, "25MiB", 1, false),
        ("contacts", false, "25MiB", 1, false),
        ("contacts", true, "25MiB", 1, true),
        ("contacts", true, "100000", 100_001, false),
        ("contacts", true, "100000", 100_000, true),
        ("all", false, "100000", 100_001, false),
        ("all", false, "100000", 0, true),
    ]
    .into_iter()
    .enumerate()
    {
        bob.set("auto_accept", setting);
        bob.set("auto_accept_max", most);
        bob.cli(&["contacts", if starred { "add" } else { "remove" }, "alice"]).ok();
        let offer = alice.offer(&bob, &desk.file(&number.to_string(), len));
        if comes {
            both(&alice, &bob, &offer, "complete");
            assert_eq!(hash_of(&desk.inbox().join(number.to_string())), offer.blob);
        } else {
            open.push(offer);
        }
    }
    for offer in &open {
        both(&alice, &bob, offer, "offered");
    }
    assert_eq!(desk.arrived(), ["2", "4", "6"]);
    bob.act("reject", &open[0]).ok();
    both(&alice, &bob, &open[0], "rejected");
    bob.cli(&["accept", &open[1].id]).ok();
    both(&alice, &bob, &open[1], "complete");
    assert_eq!(desk.arrived(), ["1", "2", "4", "6"]);
}

/// A file on its way so slowly that there is time for everything.
fn under_way(alice: &Node, bob: &Node, desk: &Desk, name: &str) -> Offer {
    let offer = alice.offer(bob, &desk.file(name, 12 * MIB));
    bob.accept(&offer, &desk.inbox());
    bob.has_part(&offer, MIB, 20 * SECOND);
    both(alice, bob, &offer, "running");
    offer
}

#[test]
fn both_sides_can_refuse_stop_and_go_on() {
    let office = Office::open();
    let [alice, bob] = two(&office);
    let desk = Desk::new();
    alice.set("rate_limit_up", "4MiB");

    let path = desk.file("unwanted", 10);
    let path = path.display().to_string();
    let refused = std::thread::scope(|scope| {
        let sending = scope.spawn(|| alice.cli(&["send-file", "bob", &path, "--wait", "complete"]));
        let offer = within(10 * SECOND, "bob sees the offer", || bob.transfers().first().map(Offer::of));
        bob.act("reject", &offer).ok();
        bob.act("reject", &offer).fails_with(1);
        sending.join().unwrap()
    });
    let refused = refused.fails_with(1);
    assert!(refused.stderr.contains("unwanted"), "{}", refused.stderr);

    for (number, (who, other)) in [(&alice, &bob), (&bob, &alice)].into_iter().enumerate() {
        let name = format!("given up {number}");
        let offer = under_way(&alice, &bob, &desk, &name);
        who.act("cancel", &offer).ok();
        both(who, other, &offer, "cancelled");
        within(5 * SECOND, "what came is gone", || bob.leftovers(&offer).is_empty());
        who.act("cancel", &offer).fails_with(1);
        assert_eq!(desk.arrived(), [""; 0]);
    }

    let offer = under_way(&alice, &bob, &desk, "paused");
    within(10 * SECOND, "both tell how long it takes", || {
        [&alice, &bob]
            .iter()
            .all(|who| who.transfer(&offer)["seconds_left"].as_u64().is_some_and(|left| left > 0))
    });
    for who in [&alice, &bob] {
        who.act("pause", &offer).ok();
        within(20 * SECOND, "it is paused", || {
            bob.file_state(&offer) == "paused" && who.file_state(&offer) == "paused"
        });
        assert!(who.transfer(&offer)["seconds_left"].is_null(), "nobody knows how long a pause takes");
        within(5 * SECOND, "nothing moves", || {
            let before = done(&bob.transfer(&offer));
            std::thread::sleep(SECOND / 2);
            done(&bob.transfer(&offer)) == before
        });
        let before = done(&bob.transfer(&offer));
        who.act("resume", &offer).ok();
        within(20 * SECOND, "it goes on", || done(&bob.transfer(&offer)) > before);
    }
    both(&alice, &bob, &offer, "complete");
    assert_eq!(hash_of(&desk.inbox().join("paused")), offer.blob);
    assert_eq!(desk.arrived(), ["paused"]);
}

#[test]
fn what_one_side_wants_reaches_the_other_when_it_is_back() {
    let office = Office::open();
    let [alice, bob] = two(&office);
    let desk = Desk::new();
    alice.set("rate_limit_up", "4MiB");

    let withdrawn = under_way(&alice, &bob, &desk, "withdrawn");
    bob.stop();
    alice.act("cancel", &withdrawn).ok();
    let waiting = alice.offer(&bob, &desk.file("for later", MIB + 7));
    let never = alice.offer(&bob, &desk.file("never seen", 10));
    alice.act("cancel", &never).ok();
    bob.start();
    both(&alice, &bob, &withdrawn, "cancelled");
    within(20 * SECOND, "the other offers are there", || {
        bob.file_state(&waiting) == "offered" && bob.file_state(&never) == "cancelled"
    });
    bob.cli(&["accept", &never.id]).fails_with(1);
    within(5 * SECOND, "what came is gone", || bob.leftovers(&withdrawn).is_empty());

    let dropped = under_way(&alice, &bob, &desk, "dropped");
    alice.stop();
    within(20 * SECOND, "bob waits", || bob.file_state(&dropped) == "waiting");
    bob.act("cancel", &dropped).ok();
    bob.accept(&waiting, &desk.inbox());
    alice.start();
    both(&alice, &bob, &dropped, "cancelled");
    both(&alice, &bob, &waiting, "complete");
    assert_eq!(hash_of(&desk.inbox().join("for later")), waiting.blob);
    assert_eq!(desk.arrived(), ["for later"]);
}

/// Names that Linux allows and a receiver cannot take as they are.
#[cfg(target_os = "linux")]
fn hostile() -> Vec<String> {
    let mut names: Vec<String> = [
        "..\\..\\up.txt",
        "\\\\host\\share\\x",
        "C:\\windows.ini",
        "C:",
        "file.txt:stream",
        "file.txt::$DATA",
        "dots...",
        "space at the end ",
        " space in front",
        "CON",
        "nul.txt",
        "com1.tar.gz",
        "aux .log",
        "invoice\u{202e}fdp.exe",
        "\u{200b}",
        "zero\u{200b}width",
        "..\u{2215}..\u{2215}etc",
        "..\u{ff0f}x",
        "new\nline",
        "bell\u{7}",
        "esc\u{1b}[2J",
        "-rf",
        "--to",
        "~",
        "$(id)",
        "`id`",
        "a*?<>|\"b",
        "Report.TXT",
        "report.txt",
        "caf\u{e9}",
        "cafe\u{301}",
        ".bashrc",
        ".lanchat-x.partial",
        "报告 (最终).docx",
    ]
    .map(str::to_owned)
    .to_vec();
    names.extend(["a".repeat(255), format!("{}.pdf", "b".repeat(251)), "长".repeat(85)]);
    names
}

/// Whether a name is one component on every platform, and looks like what it is.
#[cfg(target_os = "linux")]
fn is_plain(name: &str) -> bool {
    let bad = |c: char| c.is_control() || "\\/:*?\"<>|\u{202e}\u{200b}\u{2215}\u{ff0f}".contains(c);
    let word = name.split('.').next().unwrap_or_default().trim_end().to_lowercase();
    let device = ["con", "nul", "com1", "aux"].contains(&word.as_str());
    name.len() <= 255 && !name.contains(bad) && !name.ends_with(['.', ' ']) && !device
}

#[cfg(target_os = "linux")]
#[test]
fn names_lead_nowhere_else_and_nothing_is_replaced() {
    use std::os::unix::ffi::OsStrExt;
    let office = Office::open();
    let [alice, bob] = two(&office);
    let desk = Desk::new();
    bob.set("auto_accept", "all");
    bob.set("download_dir", &desk.inbox().display().to_string());

    // A file of the name is there already, a directory of the next one, and a link that leads to nothing yet.
    std::fs::write(desk.inbox().join("a.txt"), "mine").unwrap();
    std::fs::create_dir(desk.inbox().join("a (2).txt")).unwrap();
    std::os::unix::fs::symlink(desk.dir().join("outside"), desk.inbox().join("link")).unwrap();
    let desks = [(); 3].map(|()| Desk::new());
    for (from, name, saved) in [
        (&desks[0], "a.txt", "a (1).txt"),
        (&desks[1], "a.txt", "a (3).txt"),
        (&desks[2], "A.TXT", "A (4).TXT"),
        (&desks[0], "link", "link (1)"),
    ] {
        let offer = alice.offer(&bob, &from.file(name, 10));
        both(&alice, &bob, &offer, "complete");
        assert_eq!(hash_of(&desk.inbox().join(saved)), offer.blob, "{saved}");
    }
    assert_eq!(std::fs::read(desk.inbox().join("a.txt")).unwrap(), b"mine");
    assert!(!desk.dir().join("outside").exists());

    // Nobody could save it under anything like its name.
    let path = desks[0].file("...", 1);
    let refused = alice.cli(&["send-file", "bob", &path.display().to_string()]).fails_with(1);
    assert!(refused.stderr.contains("name"), "{}", refused.stderr);

    let path = desks[0].dir().join(std::ffi::OsStr::from_bytes(b"not unicode \xff.txt"));
    std::fs::write(&path, "x").unwrap();
    let refused = alice.command(&["send-file", "bob"]).arg(path).output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!((refused.status.code(), said.lines().count()), (Some(1), 1), "{said}");

    let before = desk.arrived();
    let mut sending = alice.command(&["send-file", "bob", "--wait", "complete", "--timeout", "60"]);
    let mut hashes = BTreeSet::new();
    for (number, name) in hostile().iter().enumerate() {
        let path = desks[0].file(name, 100 + number as u64);
        assert!(hashes.insert(hash_of(&path)));
        sending.arg(path);
    }
    let sent = sending.output().unwrap();
    assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
    let mut arrived = desk.arrived();
    arrived.retain(|name| !before.contains(name));
    assert_eq!(arrived.iter().filter(|name| !is_plain(name)).collect::<Vec<_>>(), [""; 0]);
    let there: BTreeSet<String> = arrived.iter().map(|name| hash_of(&desk.inbox().join(name))).collect();
    assert_eq!(there, hashes, "each is there, once: {arrived:?}");
    let around: Vec<_> =
        std::fs::read_dir(desk.dir()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(around, ["inbox"], "nothing lies outside");
    let folded: BTreeSet<String> = desk.arrived().iter().map(|name| name.to_lowercase()).collect();
    assert_eq!(folded.len(), desk.arrived().len(), "no two that some systems take for one: {arrived:?}");
}
