//! Removes what is left over: at the start, then every hour.
//!
//! Keeps true: nothing of a fetch that runs is touched; what belongs to a transfer that goes on stays until it was idle
//! for a day.

use super::shelf::{Owner, Part, remove};
use super::{Files, FromFiles, Inner, limits};
use lanchat_node_core::boot::{StoredTransfer, TransferState};
use lanchat_proto::ids::MessageId;
use std::path::Path;
use std::sync::Weak;
use std::time::Duration;
use tokio::sync::oneshot;

/// Collects as long as somebody has the files.
pub(super) async fn run(files: Weak<Inner>) {
    let mut tick = tokio::time::interval(limits::COLLECT);
    loop {
        tick.tick().await;
        let Some(files) = files.upgrade().map(Files) else { return };
        let (answer, answered) = oneshot::channel();
        if files.0.to_loop.send(FromFiles::Transfers { answer }).await.is_err() {
            return;
        }
        let Ok(transfers) = answered.await else { return };
        // A thread that died leaves it to the next time.
        drop(tokio::task::spawn_blocking(move || files.collect(&transfers)).await);
    }
}

/// Time since a file was written to.
fn age(path: &Path) -> Duration {
    let changed = std::fs::metadata(path).and_then(|metadata| metadata.modified());
    changed.ok().and_then(|at| at.elapsed().ok()).unwrap_or_default()
}

impl Files {
    /// Removes what belongs to no transfer, to one that is over, or to one that was idle for long. Blocks.
    pub(super) fn collect(&self, transfers: &[StoredTransfer]) {
        {
            let known = |offer: &MessageId| transfers.iter().any(|row| row.offer == *offer);
            let mut state = self.0.state();
            let super::State { progress, faults, complete, .. } = &mut *state;
            progress.retain(|offer, _| known(offer));
            faults.retain(|offer, _| known(offer));
            complete.retain(known);
        }
        let Ok(all) = self.0.shelf.list() else { return };
        for (owner, part, path) in all {
            let fetched = matches!(owner, Owner::Offer(offer) if self.0.state().fetches.contains_key(&offer));
            if !fetched && self.is_over(&owner, part, &path, transfers) {
                remove(&path);
            }
        }
        self.0
            .shelf
            .temporary()
            .iter()
            .filter(|path| age(path) > limits::UNKNOWN)
            .for_each(|path| remove(path));
    }

    fn is_over(&self, owner: &Owner, part: Part, path: &Path, transfers: &[StoredTransfer]) -> bool {
        use TransferState as S;
        let gone = |state: S| matches!(state, S::Cancelled | S::Rejected);
        match owner {
            Owner::Content(hash) => {
                let mut offers = transfers.iter().filter(|row| row.file.hash == *hash);
                !offers.any(|row| !gone(row.state)) && age(path) > limits::UNKNOWN
            }
            Owner::Offer(offer) => {
                let row = transfers.iter().find(|row| row.offer == *offer);
                let Some(row) = row else { return age(path) > limits::UNKNOWN };
                match part {
                    Part::Saved => gone(row.state),
                    Part::Wish => gone(row.state) || row.state == S::Complete,
                    _ => {
                        let partial = self.0.shelf.path(owner, Part::Partial);
                        gone(row.state)
                            || row.state == S::Complete
                            || age(&partial).min(age(path)) > limits::IDLE
                    }
                }
            }
        }
    }
}
