//! A coordinator that is restarted again and again under an office in which a third of the pairs have no way but
//! through it, and the time until everybody is back.

use crate::api::Api;
use crate::fail::fail;
use crate::lab::Lab;
use crate::office::{Node, Office, PASSWORD};
use crate::wait::within;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Time from the coordinator's ready line until everybody is back.
pub const BACK: Duration = Duration::from_secs(30);
/// Time for the first meeting, in which everybody is new to everybody.
const MEET: Duration = Duration::from_secs(90);
/// Time for a message between two who reach each other.
const ARRIVE: Duration = Duration::from_secs(10);
/// How often everybody is asked.
const LOOK: Duration = Duration::from_millis(250);

/// What a run came to.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    /// Restarts.
    pub restarts: u32,
    /// Pairs of people.
    pub pairs: usize,
    /// Pairs that reach each other through the coordinator only.
    pub relayed: usize,
    /// The longest time until everybody was back.
    pub worst: Duration,
    /// The mean time.
    pub mean: Duration,
}

/// Whether these two have no direct way.
fn apart(one: usize, other: usize) -> bool {
    (one + other).is_multiple_of(3)
}

fn field<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// People, and what each should see of the others.
struct Staff {
    nodes: Vec<Node>,
    apis: Vec<Api>,
}

impl Staff {
    fn hire(lab: &Lab, office: &Office, people: usize) -> Self {
        let nodes: Vec<Node> =
            (0..people).map(|number| office.node_at(&format!("user{number}"), &lab.host())).collect();
        for (one, other) in pairs(people).filter(|(one, other)| apart(*one, *other)) {
            if let (Some(one), Some(other)) = (nodes.get(one), nodes.get(other)) {
                lab.block(one, other);
            }
        }
        for node in &nodes {
            node.start();
            node.register(&office.join(), PASSWORD).ok();
        }
        let apis = nodes.iter().map(Node::api).collect();
        Self { nodes, apis }
    }

    /// Whether everybody is signed in and reaches everybody as they can; else what is wrong.
    fn check(&mut self) -> Result<(), String> {
        let people = self.nodes.len();
        for (number, api) in self.apis.iter_mut().enumerate() {
            let status = api.get("/api/v1/status")?;
            if status.pointer("/coordinator/state").and_then(Value::as_str) != Some("connected") {
                return Err(format!("user{number} is not signed in"));
            }
            let users = api.list("/api/v1/users");
            let users: BTreeMap<&str, &Value> =
                users.iter().map(|user| (field(user, "name"), user)).collect();
            for other in (0..people).filter(|other| *other != number) {
                let name = format!("user{other}");
                let route = users.get(name.as_str()).map_or("none", |user| field(user, "route"));
                let wanted = if apart(number, other) { "relay" } else { "direct" };
                if route != wanted {
                    return Err(format!("user{number} reaches {name} by '{route}' and not by '{wanted}'"));
                }
            }
        }
        Ok(())
    }

    fn settle(&mut self, deadline: Duration) -> Duration {
        let begin = Instant::now();
        loop {
            let Err(wrong) = self.check() else { return begin.elapsed() };
            if begin.elapsed() > deadline {
                fail(format_args!("not within {} s: {wrong}", deadline.as_secs()));
            }
            std::thread::sleep(LOOK);
        }
    }

    /// A message between two people of every tenth pair, so that a route is more than a word.
    fn write(&mut self, round: u32) {
        let people = self.nodes.len();
        for (one, other) in pairs(people).skip(round as usize % 10).step_by(10) {
            let (from, to) = (format!("user{one}"), format!("user{other}"));
            let text = format!("round {round}, from {from} to {to}");
            if let Some(Err(error)) = self.apis.get_mut(one).map(|api| api.send(&to, &text)) {
                fail(error);
            }
            let Some(api) = self.apis.get_mut(other) else { continue };
            within(ARRIVE, &text, || {
                let shown = api.list(&format!("/api/v1/history?to={from}&limit=5"));
                shown.iter().filter(|message| field(message, "text") == text).count() == 1
            });
        }
    }
}

fn pairs(people: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..people).flat_map(move |one| (one + 1..people).map(move |other| (one, other)))
}

/// Restarts the coordinator this many times under so many people; every second time it is killed.
///
/// # Panics
/// When somebody is not back within [`BACK`], or a message is lost or doubled.
#[must_use]
#[expect(clippy::print_stdout, reason = "a long run tells how far it is")]
pub fn restart_loop(restarts: u32, people: usize) -> Report {
    let lab = Lab::new();
    let office = Office::at(&lab.host());
    let mut staff = Staff::hire(&lab, &office, people);
    println!("{:>6} ms: everybody has met everybody", staff.settle(MEET).as_millis());
    let (mut worst, mut sum) = (Duration::ZERO, Duration::ZERO);
    for round in 0..restarts {
        if round % 2 == 0 {
            office.kill();
        } else {
            office.stop();
        }
        // Short and long breaks: from none to a few seconds.
        std::thread::sleep(Duration::from_millis(u64::from(round % 4) * 900));
        office.start();
        let took = staff.settle(BACK);
        println!("{:>6} ms: restart {} of {restarts}", took.as_millis(), round + 1);
        (worst, sum) = (worst.max(took), sum + took);
        staff.write(round);
    }
    let relayed = pairs(people).filter(|(one, other)| apart(*one, *other)).count();
    let mean = sum / restarts.max(1);
    Report { restarts, pairs: pairs(people).count(), relayed, worst, mean }
}
