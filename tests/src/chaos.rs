//! Kills at random points during chat, and the books that have to balance afterwards.
//!
//! What `send` reported as stored is in both histories once, in its author's order, and every database passes
//! SQLite's own check.

use crate::office::{Node, Office};
use crate::wait::within;
use rusqlite::{Connection, OpenFlags};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long everything may take to be right after the last kill.
const SETTLE: Duration = Duration::from_secs(60);

/// What a run came to.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    /// Programs killed.
    pub kills: u32,
    /// Messages that `send` reported as stored.
    pub stored: usize,
    /// Messages whose `send` got no answer.
    pub unanswered: usize,
}

/// A stream of numbers, so that a run can be repeated.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n.max(1)
    }
}

#[derive(Default)]
struct Books {
    /// Texts reported as stored, in order, by author.
    stored: BTreeMap<String, Vec<String>>,
    /// Texts that may be there or not.
    open: Vec<String>,
}

/// Two people write to each other while one or the other is killed, this many times.
///
/// # Panics
/// When the books do not balance.
#[must_use]
pub fn kill_loop(cycles: u32, seed: u64) -> Report {
    let office = Office::open();
    let [alice, bob] = office.people(["alice", "bob"]);
    within(Duration::from_secs(10), "they see each other", || alice.sees(&bob) && bob.sees(&alice));
    let books = Mutex::new(Books::default());
    let over = AtomicBool::new(false);
    let mut dice = Dice(seed);
    std::thread::scope(|scope| {
        for (from, to) in [(&alice.name, &bob.name), (&bob.name, &alice.name)] {
            let mouth = Mouth {
                name: from.clone(),
                dir: if from == "alice" { alice.dir() } else { bob.dir() }.into(),
            };
            let (books, over, to) = (&books, &over, to.clone());
            scope.spawn(move || talk(&mouth, &to, books, over));
        }
        for _ in 0..cycles {
            let victim = if dice.below(2) == 0 { &alice } else { &bob };
            std::thread::sleep(Duration::from_millis(dice.below(900)));
            victim.kill();
            check_database(victim.dir());
            victim.start();
        }
        over.store(true, Ordering::Relaxed);
    });
    let books = books.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    settle(&alice, &bob, &books);
    for node in [&alice, &bob] {
        assert_eq!(node.stop(), Some(0));
        check_database(node.dir());
    }
    let stored = books.stored.values().map(Vec::len).sum();
    Report { kills: cycles, stored, unanswered: books.open.len() }
}

/// Somebody who writes; the node itself belongs to the thread that kills it.
struct Mouth {
    name: String,
    dir: PathBuf,
}

fn talk(mouth: &Mouth, to: &str, books: &Mutex<Books>, over: &AtomicBool) {
    let node = Node::new(&mouth.name, &mouth.dir, &crate::lab::Host::here());
    for n in 0_u64.. {
        if over.load(Ordering::Relaxed) {
            return;
        }
        let text = format!("{} {n}", mouth.name);
        let sent = node.cli(&["send", to, &text, "--json", "--timeout", "5"]);
        let Ok(mut books) = books.lock() else { return };
        if sent.code == 0 {
            books.stored.entry(mouth.name.clone()).or_default().push(text);
        } else {
            books.open.push(text);
        }
        drop(books);
        if sent.code != 0 {
            std::thread::sleep(Duration::from_millis(30));
        }
    }
}

#[expect(clippy::panic, reason = "stories fail this way")]
fn settle(alice: &Node, bob: &Node, books: &Books) {
    let begin = std::time::Instant::now();
    loop {
        let Err(wrong) = balance(alice, bob, books) else { return };
        if begin.elapsed() > SETTLE {
            panic!("{wrong}\nlog of alice: {}\nlog of bob: {}", alice.logged(), bob.logged());
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Whether both screens hold what was stored, once, in order, and nothing that nobody wrote.
fn balance(alice: &Node, bob: &Node, books: &Books) -> Result<(), String> {
    for (node, other) in [(alice, bob), (bob, alice)] {
        let shown = node.texts(&other.name);
        let mut counts: BTreeMap<&String, usize> = BTreeMap::new();
        shown.iter().for_each(|text| *counts.entry(text).or_default() += 1);
        if let Some((text, count)) = counts.iter().find(|(_, count)| **count > 1) {
            return Err(format!("{} shows '{text}' {count} times", node.name));
        }
        for (author, stored) in &books.stored {
            let mine: Vec<&String> = shown.iter().filter(|text| stored.contains(text)).collect();
            if mine.len() < stored.len() {
                let missing = stored.iter().find(|text| !counts.contains_key(text));
                return Err(format!("{} lacks {missing:?} of {author}", node.name));
            }
            if !mine.into_iter().eq(stored) {
                return Err(format!("{} shows the messages of {author} out of order", node.name));
            }
        }
        let known = |text: &&String| {
            books.stored.values().any(|stored| stored.contains(text)) || books.open.contains(text)
        };
        if let Some(text) = shown.iter().find(|text| !known(text)) {
            return Err(format!("{} shows '{text}', which nobody wrote", node.name));
        }
    }
    Ok(())
}

/// Opens every database below a directory and lets SQLite check it. The program that owns it must not run.
///
/// # Panics
/// When there is none, or one is damaged.
pub fn check_database(dir: &Path) {
    let mut found = Vec::new();
    databases(dir, &mut found);
    assert!(!found.is_empty(), "no database in {}", dir.display());
    for path in found {
        let outcome = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_WRITE)
            .and_then(|db| db.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0)));
        assert_eq!(outcome.as_deref(), Ok("ok"), "{}", path.display());
    }
}

fn databases(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            databases(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "db") {
            found.push(path);
        }
    }
}
