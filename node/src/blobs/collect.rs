//! Removes what is left over: at the start, then every hour.
//!
//! Keeps true: nothing of a fetch that runs is touched, and none begins meanwhile; what belongs to a transfer that goes
//! on stays until it was idle for a day; what belongs together goes together, and the claim that bytes are there before
//! the bytes.

use super::shelf::{Owner, Part, remove};
use super::{Files, FromFiles, Inner, State, limits};
use lanchat_node_core::boot::{StoredTransfer, TransferState};
use lanchat_proto::ids::MessageId;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Weak;
use std::time::Duration;
use tokio::sync::oneshot;

/// Collects as long as somebody has the files.
pub(super) async fn run(files: Weak<Inner>) {
    let mut tick = tokio::time::interval(limits::COLLECT);
    loop {
        tick.tick().await;
        let Some(files) = files.upgrade().map(Files) else { return };
        let seen = files.0.state().seen();
        let (answer, answered) = oneshot::channel();
        if files.0.to_loop.send(FromFiles::Transfers { answer }).await.is_err() {
            return;
        }
        let Ok(transfers) = answered.await else { return };
        // A thread that died leaves it to the next time.
        let collected = tokio::task::spawn_blocking(move || {
            files.forget(&seen, &transfers);
            files.collect(&transfers);
        });
        drop(collected.await);
    }
}

/// What lies there of one owner, in the order in which it is removed.
type Parts = BTreeMap<Part, PathBuf>;

/// Time since a file was written to.
fn age(path: &Path) -> Duration {
    let changed = std::fs::metadata(path).and_then(|metadata| metadata.modified());
    changed.ok().and_then(|at| at.elapsed().ok()).unwrap_or_default()
}

impl State {
    /// The offers of which anything is kept in memory.
    pub(super) fn seen(&self) -> BTreeSet<MessageId> {
        self.progress.keys().chain(self.faults.keys()).chain(&self.complete).copied().collect()
    }
}

impl Files {
    /// Forgets what is kept in memory of offers that were seen before it was asked which transfers there are: what came
    /// since belongs to one that is newer than the answer.
    pub(super) fn forget(&self, seen: &BTreeSet<MessageId>, transfers: &[StoredTransfer]) {
        let known: BTreeSet<&MessageId> = transfers.iter().map(|row| &row.offer).collect();
        let mut state = self.0.state();
        for offer in seen.iter().filter(|offer| !known.contains(offer)) {
            state.progress.remove(offer);
            state.faults.remove(offer);
            state.complete.remove(offer);
        }
    }

    /// Removes what belongs to no transfer, to one that is over, or to one that was idle for long. Blocks.
    pub(super) fn collect(&self, transfers: &[StoredTransfer]) {
        let listed = self.0.shelf.list().unwrap_or_default();
        let owners: BTreeSet<Owner> = listed.into_iter().map(|(owner, ..)| owner).collect();
        for owner in owners {
            match owner {
                Owner::Content(hash) => {
                    let mut offers = transfers.iter().filter(|row| row.file.hash == hash);
                    let parts = self.0.shelf.parts(&owner);
                    if !offers.any(|row| !is_gone(row.state)) && idle(&parts) > limits::UNKNOWN {
                        parts.values().for_each(|path| remove(path));
                    }
                }
                Owner::Offer(offer) => {
                    let row = transfers.iter().find(|row| row.offer == offer);
                    self.collect_offer(offer, row.map(|row| row.state));
                }
            }
        }
        self.0
            .shelf
            .temporary()
            .iter()
            .filter(|path| age(path) > limits::UNKNOWN)
            .for_each(|path| remove(path));
    }

    /// Removes what an offer needs no more.
    fn collect_offer(&self, offer: MessageId, state: Option<TransferState>) {
        // A fetch that begins meanwhile opens its files after this, or is seen; one that has ended left its files behind.
        let _turn = self.turn();
        if self.0.state().fetches.contains_key(&offer) {
            return;
        }
        let parts = self.0.shelf.parts(&Owner::Offer(offer));
        let those = |wanted: fn(Part) -> bool| -> Parts {
            let chosen = parts.iter().filter(|(part, _)| wanted(**part));
            chosen.map(|(part, path)| (*part, path.clone())).collect()
        };
        let fetched = those(Part::is_fetched);
        let over: Parts = match state {
            None if idle(&parts) > limits::UNKNOWN => parts,
            None => Parts::new(),
            Some(state) if is_gone(state) => parts,
            Some(TransferState::Complete) => those(|part| part != Part::Saved),
            Some(_) if fetched.is_empty() => return,
            // What is said of bytes that are not there is said of nothing.
            Some(_) if !fetched.contains_key(&Part::Partial) || idle(&fetched) > limits::IDLE => {
                self.0.state().progress.remove(&offer);
                fetched
            }
            Some(_) => Parts::new(),
        };
        if over.contains_key(&Part::Have) || over.contains_key(&Part::Partial) {
            self.0.shelf.forget(&offer);
        }
        for (part, path) in over {
            match part {
                Part::Copy => self.0.shelf.remove_copy(&offer),
                _ => remove(&path),
            }
        }
    }
}

/// Whether nobody will ask for it any more.
fn is_gone(state: TransferState) -> bool {
    matches!(state, TransferState::Cancelled | TransferState::Rejected)
}

/// Time since any of these was written to.
fn idle(parts: &Parts) -> Duration {
    parts.values().map(|path| age(path)).min().unwrap_or_default()
}
