//! A node's events as they come, read in the background by `lanchat watch --json`.

use crate::fail::{fail, must};
use crate::office::Node;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A watch, until it is dropped.
#[derive(Debug)]
pub struct Watch {
    name: String,
    child: Child,
    events: Arc<(Mutex<Vec<Value>>, Condvar)>,
}

impl Node {
    /// Watches its events, those since its start included.
    ///
    /// # Panics
    /// When the command does not start.
    #[must_use]
    #[track_caller]
    pub fn watch(&self) -> Watch {
        let mut command = self.command(&["watch", "--json", "--since", "0"]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut child = must(child, "lanchat watch");
        let events = Arc::<(Mutex<Vec<Value>>, Condvar)>::default();
        let (stdout, into) = (child.stdout.take(), events.clone());
        std::thread::spawn(move || {
            for line in BufReader::new(stdout?).lines() {
                let Ok(event) = serde_json::from_str(&line.ok()?) else { continue };
                into.0.lock().unwrap_or_else(PoisonError::into_inner).push(event);
                into.1.notify_all();
            }
            Some(())
        });
        Watch { name: self.name.clone(), child, events }
    }
}

impl Watch {
    fn events(&self) -> MutexGuard<'_, Vec<Value>> {
        self.events.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many events there are by now: a place from which to look.
    #[must_use]
    pub fn now(&self) -> usize {
        self.events().len()
    }

    /// The events from a place on that are meant.
    #[must_use]
    pub fn since(&self, place: usize, meant: impl Fn(&Value) -> bool) -> Vec<Value> {
        self.events().iter().skip(place).filter(|event| meant(event)).cloned().collect()
    }

    /// Waits for an event from a place on.
    ///
    /// # Panics
    /// When it is not there by the deadline; shows what was.
    #[track_caller]
    pub fn within(
        &self,
        deadline: Duration,
        place: usize,
        what: &str,
        meant: impl Fn(&Value) -> bool,
    ) -> Value {
        let end = Instant::now() + deadline;
        let mut events = self.events();
        loop {
            if let Some(event) = events.iter().skip(place).find(|event| meant(event)) {
                return event.clone();
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let seen: Vec<String> = events.iter().skip(place).map(ToString::to_string).collect();
                fail(format_args!(
                    "not within {} ms at {}: {what}; but:\n{}",
                    deadline.as_millis(),
                    self.name,
                    seen.join("\n")
                ));
            }
            let waited = self.events.1.wait_timeout(events, left);
            events = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Whether an event shows somebody with this presence.
pub fn shows<'a>(who: &'a Node, presence: &'a str) -> impl Fn(&Value) -> bool + 'a {
    move |event| {
        let is = |key: &str, value: &str| event.get(key).and_then(Value::as_str) == Some(value);
        is("event", "presence") && is("name", &who.name) && is("presence", presence)
    }
}
