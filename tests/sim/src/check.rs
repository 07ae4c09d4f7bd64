//! What has to hold once everything works again: everybody who must hold a message holds it, in its author's order,
//! with a receipt for the author; everybody sees everybody.

use crate::model::{Fate, Said};
use crate::net::At;
use crate::pc::{Pc, Standing};
use crate::time::{MS, Micros, SECOND};
use crate::world::World;
use lanchat_node_core::view::Route;
use lanchat_proto::ids::{LogId, MessageId, UserId};
use std::collections::BTreeMap;

/// Simulated time within which everything is settled after the last fault.
pub const SETTLE: Micros = 60 * SECOND;

impl World {
    /// Ends every fault: the network is whole, everything runs, disks work, who was kicked logs in.
    pub fn heal(&mut self) {
        self.trace.say(self.now, || "heal".to_owned());
        self.mend_all();
        self.files.calm = true;
        let awake = self.pcs.iter().map(|pc| pc.frozen_until).max().unwrap_or(0);
        self.start_office();
        for at in 1..=self.pcs.len() {
            if let Some(pc) = self.pc_mut(at) {
                pc.failing = 0;
            }
            self.start(at);
        }
        self.run_until(awake.max(self.now));
    }

    /// Lets time pass until everything is as it should be, at most [`SETTLE`]; what is not by then is noted as broken.
    pub fn settle(&mut self) {
        let limit = self.now + SETTLE;
        loop {
            for at in 1..=self.pcs.len() {
                self.log_in(at);
            }
            self.run_for(500 * MS);
            self.look();
            let open = self.unsettled();
            if open.is_empty() || !self.broken.is_empty() {
                break;
            }
            if self.now >= limit {
                open.into_iter().for_each(|rule| self.breaks(rule));
                break;
            }
        }
    }

    /// Panics with the trace when a rule was broken. For stories.
    ///
    /// # Panics
    /// When a rule was broken.
    pub fn check(&mut self) {
        self.check_order();
        assert!(self.broken.is_empty(), "{}\n{}", self.trace.lines().join("\n"), self.broken.join("\n"));
    }

    /// What is not yet as it should be.
    #[must_use]
    pub fn unsettled(&self) -> Vec<String> {
        let held: Vec<BTreeMap<MessageId, (LogId, u64)>> = self.pcs.iter().map(messages).collect();
        let mut open = Vec::new();
        for (said, message) in self.model.must_arrive() {
            if self.is_barred(said) {
                continue;
            }
            for (pc, held) in self.pcs.iter().zip(&held) {
                let wants = pc.person.user == said.author || pc.person.user == said.to;
                if wants && pc.standing == Standing::Member && !held.contains_key(&message) {
                    open.push(format!(
                        "{} lacks '{}' of {}",
                        self.name(pc.at),
                        said.text,
                        self.name(said.from)
                    ));
                }
            }
            let place = said.from.checked_sub(1).and_then(|index| held.get(index)?.get(&message));
            if let Some(place) = place
                && said.author != said.to
                && !self.has_receipt(said, place)
            {
                open.push(format!("{} has no receipt of '{}'", self.name(said.from), said.text));
            }
        }
        for pc in &self.pcs {
            self.who_is_seen(pc, &mut open);
        }
        self.open_offers(&mut open);
        open
    }

    /// Whether a ban or kick stands between author and reader.
    fn is_barred(&self, said: &Said) -> bool {
        let of = |user: UserId| self.pcs.iter().filter(move |pc| pc.person.user == user);
        of(said.author).chain(of(said.to)).any(|pc| pc.standing != Standing::Member)
    }

    fn has_receipt(&self, said: &Said, (log, number): &(LogId, u64)) -> bool {
        self.pc(said.from).is_some_and(|pc| {
            pc.disk.receipts.values().any(|(record, _)| {
                record.log == *log && record.user == said.to && record.receipt.received >= *number
            })
        })
    }

    fn who_is_seen(&self, pc: &Pc, open: &mut Vec<String>) {
        let Some(core) = pc.core.as_ref() else {
            open.push(format!("{} does not run", self.name(pc.at)));
            return;
        };
        if pc.standing != Standing::Member {
            if pc.standing == Standing::Kicked {
                open.push(format!("{} is not logged in again", self.name(pc.at)));
            }
            return;
        }
        let views: BTreeMap<UserId, _> = core.users().into_iter().map(|view| (view.user, view)).collect();
        for other in self.pcs.iter().filter(|other| other.person.user != pc.person.user) {
            let view = views.get(&other.person.user);
            if other.standing == Standing::Member {
                if view.is_none_or(|view| view.presence.is_none() || view.route != Route::Direct) {
                    open.push(format!("{} does not see {}", self.name(pc.at), self.name(other.at)));
                }
            } else if self.is_banned(other.at) && view.is_some_and(|view| view.route != Route::None) {
                open.push(format!(
                    "{} is linked to {}, who is banned",
                    self.name(pc.at),
                    self.name(other.at)
                ));
            }
        }
    }

    /// Compares the order in which messages are shown with the order in which their author sent them.
    pub fn check_order(&mut self) {
        let mut wrong = Vec::new();
        for pc in &self.pcs {
            let mut last: BTreeMap<LogId, usize> = BTreeMap::new();
            let mut last_of_author: BTreeMap<At, usize> = BTreeMap::new();
            for shown in pc.disk.shown() {
                let Some((order, said)) = self.model.text(&shown.text) else { continue };
                let Some(author) = self.pc(said.from) else { continue };
                if !matches!(said.fate, Fate::Sent(_)) || author.rolled_back {
                    continue;
                }
                let mut before = last.insert(shown.log, order);
                if !author.clock_jumped {
                    before = before.max(last_of_author.insert(said.from, order));
                }
                if before.is_some_and(|before| before > order) {
                    wrong.push(format!("{} shows '{}' out of order", self.name(pc.at), said.text));
                }
            }
        }
        wrong.into_iter().for_each(|rule| self.breaks(rule));
    }
}

fn messages(pc: &Pc) -> BTreeMap<MessageId, (LogId, u64)> {
    let entries = pc.disk.logs.iter().flat_map(|(log, on_disk)| {
        on_disk.entries.iter().map(move |(_, stored)| {
            let header = &stored.entry.header;
            (header.message, (*log, header.number))
        })
    });
    entries.collect()
}
