//! Transfers that are interrupted at random points, and what has to be true of each in the end.
//!
//! Both sides are killed, cables are cut, the disk is full, the source changes, the route moves. Each transfer ends with
//! the right content on both sides' word, or fails by name where its source is not the same any more; the directory for
//! what arrives never holds anything but whole files.

use super::{Desk, Offer, SmallDisk, done, hash_of, is_over, text};
use crate::fail::fail;
use crate::lab::Lab;
use crate::office::{Node, Office};
use crate::wait::within;
use serde_json::Value;
use std::path::Path;
use std::time::{Duration, Instant};

/// Time for a transfer to end after the last interruption: a route may have to be found first, and a full disk is looked
/// at again after a quarter of a minute.
const END: Duration = Duration::from_secs(120);
/// Time to see each other.
const MEET: Duration = Duration::from_secs(60);
/// Bytes of a file: from, and beyond that up to.
const SIZE: (u64, u64) = (1_000_000, 24_000_000);
/// The cable's rate, in Mbit/s: so that a file takes a second or two.
const CABLE: u32 = 80;
/// Room for what is on its way.
const ROOM: &str = "64m";

/// What a run came to.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Report {
    /// Transfers.
    pub transfers: u32,
    /// Those that ended with the right content.
    pub complete: u32,
    /// Those that failed by name, their source being another.
    pub failed: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Trouble {
    ReceiverKilled,
    SenderKilled,
    Cut,
    FullDisk,
    SourceChanged,
    SourceGone,
    Moved,
}

const TROUBLES: [Trouble; 7] = [
    Trouble::ReceiverKilled,
    Trouble::SenderKilled,
    Trouble::Cut,
    Trouble::FullDisk,
    Trouble::SourceChanged,
    Trouble::SourceGone,
    Trouble::Moved,
];

/// A stream of numbers, so that a run can be repeated.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n.max(1)
    }

    fn trouble(&mut self) -> Trouble {
        let number = usize::try_from(self.below(TROUBLES.len() as u64)).unwrap_or_default();
        TROUBLES.get(number).copied().unwrap_or(Trouble::Cut)
    }
}

struct Scene {
    lab: Lab,
    disk: SmallDisk,
    desk: Desk,
    alice: Node,
    bob: Node,
    dice: Dice,
}

/// Sends this many files from one person to another, each with one interruption.
///
/// # Panics
/// When a transfer does not end as it should.
#[must_use]
#[expect(clippy::print_stdout, reason = "a long run tells how far it is")]
pub fn file_loop(transfers: u32, seed: u64) -> Report {
    let lab = Lab::new();
    let office = Office::at(&lab.host());
    let (one, other) = (lab.host(), lab.host());
    lab.rate(&one, CABLE);
    let bob = office.node_at("bob", &other);
    let disk = SmallDisk::new(&bob.dir().join("blobs"), ROOM);
    let bob = bob.joins(&office);
    let [alice] = office.people_at([("alice", &one)]);
    let mut scene = Scene { lab, disk, desk: Desk::new(), alice, bob, dice: Dice(seed) };
    let mut report = Report { transfers, ..Report::default() };
    // The first numbers of neighbouring seeds are alike.
    scene.dice.below(2);
    for number in 0..transfers {
        let begin = Instant::now();
        // In a short run everything happens as often.
        let trouble = if number < 7 && transfers <= 7 {
            let first = usize::try_from(seed % 7).unwrap_or_default();
            TROUBLES.iter().copied().cycle().nth(first + number as usize).unwrap_or(Trouble::Cut)
        } else {
            scene.dice.trouble()
        };
        let ended = scene.transfer(number, trouble);
        println!("{:>6} ms: file {number}, {trouble:?}: {ended}", begin.elapsed().as_millis());
        match ended.as_str() {
            "complete" => report.complete += 1,
            _ => report.failed += 1,
        }
    }
    report
}

impl Scene {
    fn transfer(&mut self, number: u32, trouble: Trouble) -> String {
        within(MEET, "they reach each other", || {
            self.alice.route(&self.bob) != "none" && self.bob.route(&self.alice) != "none"
        });
        let size = SIZE.0 + self.dice.below(SIZE.1 - SIZE.0);
        let name = format!("file {number}.bin");
        let path = self.desk.file(&name, size);
        let offer = self.alice.offer(&self.bob, &path);
        assert_eq!(offer.blob, hash_of(&path), "what is offered");
        let look = self.desk.look();
        self.bob.accept(&offer, &self.desk.inbox());
        let part = self.dice.below(size * 3 / 4);
        self.reaches(&offer, &format!("bob has {part} bytes"), |bob| done(bob) >= part || is_over(bob));
        self.interrupt(trouble, &path, &offer);
        let ended = self.end(trouble, &offer);
        let mut seen = look.end();
        // A copy from another disk has a hidden name of its own until it is whole.
        seen.retain(|name, _| !name.starts_with(".lanchat-"));
        let whole = (ended == "complete").then(|| (name.clone(), size));
        assert!(
            seen.iter().map(|(name, len)| (name.clone(), *len)).eq(whole.clone()),
            "{trouble:?}: {seen:?} was in sight"
        );
        assert!(
            self.desk.arrived().into_iter().eq(whole.map(|(name, _)| name)),
            "{trouble:?}: {:?}",
            self.desk.arrived()
        );
        if ended == "complete" {
            let saved = self.desk.inbox().join(&name);
            assert_eq!(hash_of(&saved), offer.blob, "{name}, {trouble:?}");
            assert_eq!(self.bob.leftovers(&offer), [""; 0], "{name}, {trouble:?}");
            drop(std::fs::remove_file(saved));
        } else {
            // What is good of it is kept, until its sender says that there will be no more.
            self.alice.act("cancel", &offer).ok();
            self.reaches(&offer, "it is withdrawn", |bob| text(bob, "state") == "cancelled");
            within(END, "what came is gone", || self.bob.leftovers(&offer).is_empty());
        }
        drop(std::fs::remove_file(path));
        ended
    }

    fn interrupt(&mut self, trouble: Trouble, path: &Path, offer: &Offer) {
        match trouble {
            Trouble::ReceiverKilled => restart(&self.bob),
            Trouble::SenderKilled => restart(&self.alice),
            Trouble::Cut => {
                let node = if self.dice.below(2) == 0 { &self.alice } else { &self.bob };
                self.lab.cut(node);
                std::thread::sleep(Duration::from_millis(self.dice.below(4000)));
                self.lab.plug(node);
            }
            Trouble::FullDisk => {
                self.disk.fill();
                within(END, "it is paused for want of room, or over", || {
                    let transfer = self.bob.transfer(offer);
                    is_over(&transfer) || text(&transfer, "state") == "paused"
                });
                self.disk.clear();
                if self.bob.file_state(offer) == "paused" {
                    // It goes on by itself too, a little later.
                    drop(self.bob.act("resume", offer));
                }
            }
            Trouble::SourceChanged => {
                let file = std::fs::File::options().append(true).open(path);
                let written = file.and_then(|mut file| std::io::Write::write_all(&mut file, b"more"));
                crate::fail::must(written, path.display());
            }
            Trouble::SourceGone => drop(std::fs::remove_file(path)),
            Trouble::Moved => {
                self.lab.block(&self.alice, &self.bob);
                within(END, "it goes through the coordinator, or is over", || {
                    self.bob.route(&self.alice) == "relay" || is_over(&self.bob.transfer(offer))
                });
                std::thread::sleep(Duration::from_millis(self.dice.below(4000)));
                self.lab.unblock(&self.alice, &self.bob);
            }
        }
    }

    /// Waits for the end of a transfer at the receiver; for the sender's word where it is there.
    fn end(&self, trouble: Trouble, offer: &Offer) -> String {
        let transfer = self.reaches(offer, "the transfer is over", is_over);
        let (state, error) = (text(&transfer, "state"), text(&transfer, "error"));
        match state.as_str() {
            "complete" => {
                within(END, "its sender knows", || self.alice.file_state(offer) == "complete");
            }
            "failed" if trouble == Trouble::SourceChanged && error.contains("changed") => {}
            "failed" if trouble == Trouble::SourceGone && error.contains("gone") => {}
            _ => self.fails(&format!("{trouble:?}: {state}, {error}")),
        }
        state
    }

    /// Waits until the receiver shows a transfer so; then it is returned.
    fn reaches(&self, offer: &Offer, what: &str, meant: impl Fn(&Value) -> bool) -> Value {
        let begin = Instant::now();
        loop {
            let transfer = self.bob.transfer(offer);
            if meant(&transfer) {
                return transfer;
            }
            if begin.elapsed() > END {
                self.fails(&format!("not within {} s: {what}, but {transfer}", END.as_secs()));
            }
            std::thread::sleep(Duration::from_millis(40));
        }
    }

    /// Ends the run with all that is known.
    fn fails(&self, why: &str) -> ! {
        let shown = |node: &Node| {
            let all: Vec<String> = node.transfers().iter().map(ToString::to_string).collect();
            format!("{} shows\n{}\nand its log is {}", node.name, all.join("\n"), node.logged())
        };
        fail(format_args!("{why}\n{}\n{}", shown(&self.alice), shown(&self.bob)))
    }
}

fn restart(node: &Node) {
    node.kill();
    node.start();
}
