//! Files that are all here and not under their final names: what the shell does with them without a link.
//!
//! Keeps true: it does what the real shell does (`node/src/blobs`), no more: what could not be saved is told as whole
//! before the end of its fetch is told, and again at every start; a stop ends a saving without a word. Goes in: orders
//! to save and stops. Goes out: `FileWhole`, `SaveEnded`.

use crate::files::Step;
use crate::net::At;
use crate::time::MS;
use crate::world::{Event, World};
use lanchat_node_core::Input;
use lanchat_node_core::input::FetchEnd;
use lanchat_proto::ids::MessageId;
use std::collections::BTreeMap;

/// A saving that runs.
#[derive(Debug)]
struct Save {
    number: u64,
    run: u32,
}

/// All that run.
#[derive(Debug, Default)]
pub(crate) struct Saves(BTreeMap<(At, MessageId), Save>);

impl Saves {
    pub(crate) fn forget(&mut self, at: At) {
        self.0.retain(|(saving, _), _| *saving != at);
    }
}

impl World {
    /// The last piece of a file is here, and there is no room where it is to be saved.
    pub(crate) fn is_whole(&mut self, at: At, run: u32, offer: MessageId) {
        if let Some(pc) = self.pc_mut(at) {
            pc.disk.whole.insert(offer);
        }
        self.tell(at, run, Input::FileWhole { offer });
    }

    /// A program starts, and looks at what the one before left.
    pub(crate) fn tell_whole(&mut self, at: At) {
        let Some((run, disk)) = self.pc(at).map(|pc| (pc.run, &pc.disk)) else { return };
        let left: Vec<MessageId> = disk.whole.difference(&disk.saved).copied().collect();
        for offer in left {
            let input = Box::new(Input::FileWhole { offer });
            self.push(self.now + MS, Event::Tell { at, run, input });
        }
    }

    /// A program orders to save a file.
    pub(crate) fn save_file(&mut self, at: At, run: u32, offer: MessageId) {
        self.trace.say(self.now, || format!("{at} saves {}", offer.short()));
        let runs = self.files.saves.0.get(&(at, offer)).is_some_and(|save| save.run == run);
        if runs {
            self.breaks(format!("{} saves {} twice at once", self.name(at), offer.short()));
        }
        let number = self.files.draw_number();
        self.files.saves.0.insert((at, offer), Save { number, run });
        self.file_soon(at, number, Step::Save);
    }

    /// A program stops to save a file.
    pub(crate) fn stop_save(&mut self, at: At, offer: MessageId) {
        self.files.saves.0.remove(&(at, offer));
    }

    /// A file gets its name, or not.
    pub(crate) fn save_step(&mut self, number: u64) {
        let mut all = self.files.saves.0.iter();
        let Some((&(at, offer), run)) = all.find(|(_, save)| save.number == number).map(|(k, s)| (k, s.run))
        else {
            return;
        };
        self.files.saves.0.remove(&(at, offer));
        if !self.pc(at).is_some_and(|pc| pc.run == run && pc.runs()) {
            return;
        }
        self.trace.mix(&[21, self.now, at as u64, number]);
        let fate = if self.files.calm { 100 } else { self.files.rng.below(100) };
        let Some(disk) = self.pc_mut(at).map(|pc| &mut pc.disk) else { return };
        let end = match fate {
            _ if disk.saved.contains(&offer) => FetchEnd::Complete,
            _ if !disk.whole.contains(&offer) => FetchEnd::Broken,
            0..30 => FetchEnd::NoRoom,
            30..35 => FetchEnd::Failed("it may not be written there".to_owned()),
            // It was damaged on the disk.
            35..45 => {
                disk.whole.remove(&offer);
                FetchEnd::Broken
            }
            _ => {
                disk.saved.insert(offer);
                self.files.saved += 1;
                FetchEnd::Complete
            }
        };
        if matches!(end, FetchEnd::NoRoom | FetchEnd::Failed(_)) {
            if matches!(end, FetchEnd::Failed(_)) {
                self.files.failed.insert((at, offer));
            }
            self.tell(at, run, Input::FileWhole { offer });
        }
        self.tell(at, run, Input::SaveEnded { offer, end });
    }
}
