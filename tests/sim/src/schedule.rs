//! One schedule: an office, a time of trouble, peace, and the question whether everything is as it should be.

use crate::office::{Office, Person};
use crate::plan;
use crate::reach;
use crate::rng::Rng;
use crate::time::{Micros, SECOND};
use crate::trace::Detail;
use crate::world::World;
use lanchat_proto::signed::SecretKey;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Offices with registered people, made once and copied for each schedule.
#[derive(Default)]
pub struct Templates {
    made: BTreeMap<Vec<usize>, (Office, Vec<Person>)>,
}

const NAMES: &[&str] = &["alice", "bob", "carol", "dave", "erin", "frank"];

impl Templates {
    fn get(&mut self, shape: &[usize]) -> Option<&(Office, Vec<Person>)> {
        if !self.made.contains_key(shape) {
            let made = found(shape).ok()?;
            self.made.insert(shape.to_vec(), made);
        }
        self.made.get(shape)
    }
}

fn found(shape: &[usize]) -> Result<(Office, Vec<Person>), String> {
    let mut office = Office::found(1);
    let mut people = Vec::new();
    for (name, devices) in NAMES.iter().zip(shape) {
        let mut first: Option<Person> = None;
        for _ in 0..*devices {
            let number = u8::try_from(people.len() + 1).map_err(|error| error.to_string())?;
            let person = office.enrol(name, SecretKey::from_seed(&[number; 32]), first.as_ref())?;
            first.get_or_insert(person.clone());
            people.push(person);
        }
    }
    // Everybody has signed in before: the directory knows the chains.
    for device in &mut office.disk.devices {
        if let Some(person) = people.iter().find(|person| person.key.public() == device.device) {
            device.chain = person.chain.clone();
        }
    }
    Ok((office.copy(), people))
}

/// What came of a schedule.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Its seed.
    pub seed: u64,
    /// Rules broken, none when all is well.
    pub broken: Vec<String>,
    /// Events.
    pub events: u64,
    /// Simulated time.
    pub simulated: Micros,
    /// Hash of everything that happened.
    pub hash: u64,
    /// Messages that had to arrive.
    pub messages: u64,
    /// The most dials of one device by one way that a machine began within a minute.
    pub most_dials: usize,
    /// And in the half minute that ends a calm.
    pub most_calm_dials: usize,
    /// The most introductions that a machine asked for within a minute.
    pub most_introductions: usize,
    /// Looks at a pair that had a direct way for long, or only a circuit, and had the link that it should have.
    pub proved: (u64, u64),
}

/// What schedules are about.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Kind {
    /// Messages, disks, membership: everything has to become right after the trouble.
    #[default]
    Chat,
    /// Ways to each other: who has one has a link, at each moment of the trouble.
    Reach,
}

/// Runs the schedule of a seed.
pub fn run(kind: Kind, seed: u64, detail: Detail, templates: &mut Templates) -> Outcome {
    run_without(kind, seed, detail, templates, &[])
}

/// Runs the schedule of a seed without these kinds of faults, to see what a failure depends on.
pub fn run_without(
    kind: Kind,
    seed: u64,
    detail: Detail,
    templates: &mut Templates,
    without: &[String],
) -> Outcome {
    let mut rng = Rng::seeded(seed ^ 0x7368_6170_6521);
    let offices = match kind {
        Kind::Chat => plan::OFFICES,
        Kind::Reach => reach::OFFICES,
    };
    let shape = rng.pick(offices).unwrap_or(&[1, 1]);
    let Some((office, people)) = templates.get(shape) else {
        return Outcome { seed, broken: vec!["people cannot register".to_owned()], ..Outcome::default() };
    };
    let mut w = World::with_office(seed, office.copy(), detail);
    people.iter().for_each(|person| {
        w.move_in(person.clone());
    });
    let played = catch_unwind(AssertUnwindSafe(|| {
        match kind {
            Kind::Chat => chat(&mut w, without),
            Kind::Reach => {
                reach::play(&mut w, without);
                if w.broken.is_empty() {
                    reach::calm_down(&mut w);
                }
            }
        }
        w.check_order();
    }));
    if let Err(panic) = played {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        w.broken.push(format!("panic: {}", text.unwrap_or_default()));
    }
    let watch = w.watch.unwrap_or_default();
    Outcome {
        seed,
        broken: w.broken,
        events: w.events,
        simulated: w.now,
        hash: w.trace.hash(),
        messages: w.model.must_arrive().count() as u64,
        most_dials: watch.most.0,
        most_calm_dials: watch.most_calm,
        most_introductions: watch.most.1,
        proved: watch.proved,
    }
}

fn chat(w: &mut World, without: &[String]) {
    plan::play(w, without);
    if w.broken.is_empty() {
        w.heal();
        w.settle();
    }
    if w.broken.is_empty() && w.rng.chance(10) {
        w.run_for(20 * SECOND);
        w.settle();
    }
}
