//! One schedule: an office, a time of trouble, peace, and the question whether everything is as it should be.

use crate::office::{Office, Person};
use crate::plan::{self, OFFICES};
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

const NAMES: &[&str] = &["alice", "bob", "carol", "dave", "erin"];

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
}

/// Runs the schedule of a seed.
pub fn run(seed: u64, detail: Detail, templates: &mut Templates) -> Outcome {
    let mut rng = Rng::seeded(seed ^ 0x7368_6170_6521);
    let shape = rng.pick(OFFICES).unwrap_or(&[1, 1]);
    let Some((office, people)) = templates.get(shape) else {
        return Outcome { seed, broken: vec!["people cannot register".to_owned()], ..Outcome::default() };
    };
    let mut w = World::with_office(seed, office.copy(), detail);
    people.iter().for_each(|person| {
        w.move_in(person.clone());
    });
    let played = catch_unwind(AssertUnwindSafe(|| {
        plan::play(&mut w);
        if w.broken.is_empty() {
            w.heal();
            w.settle();
        }
        if w.broken.is_empty() && w.rng.chance(10) {
            w.run_for(20 * SECOND);
            w.settle();
        }
        w.check_order();
    }));
    if let Err(panic) = played {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        w.broken.push(format!("panic: {}", text.unwrap_or_default()));
    }
    Outcome {
        seed,
        broken: w.broken,
        events: w.events,
        simulated: w.now,
        hash: w.trace.hash(),
        messages: w.model.must_arrive().count() as u64,
    }
}
