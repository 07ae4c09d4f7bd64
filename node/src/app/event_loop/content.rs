//! Files: what the core wants of them, and what they say to it.

use super::{LoopError, MembershipLoop, Shared};
use crate::blobs::{Files, FromFiles};
use crate::paths::DataDir;
use crate::store::Membership;
use lanchat_node_core::Input;
use lanchat_node_core::input::FetchEnd;
use lanchat_node_core::output::FetchOrder;
use tokio::sync::mpsc;

/// The files of a membership, for the loop and the API.
pub(super) fn open(
    dir: &DataDir,
    membership: &Membership,
    shared: &Shared,
) -> Result<(Files, mpsc::Receiver<FromFiles>), LoopError> {
    let blobs = dir.blobs(&membership.realm, &membership.user);
    let opened = Files::open(&blobs, &dir.downloads(), shared.config.subscribe());
    let (files, from_files) = opened.map_err(LoopError::Files)?;
    shared.end.set_files(Some(files.clone()));
    Ok((files, from_files))
}

impl MembershipLoop<'_> {
    pub(super) fn fetch(&mut self, order: FetchOrder) {
        match self.links.get(&order.link.0) {
            Some(link) => self.files.fetch(order, link.clone()),
            None => {
                let ended = Input::FetchEnded { offer: order.offer, link: order.link, end: FetchEnd::Broken };
                self.core.handle_input(ended, self.shared.clock.now());
            }
        }
    }

    pub(super) fn files_said(&mut self, said: FromFiles) {
        let input = match said {
            FromFiles::FetchEnded { offer, link, end } => Input::FetchEnded { offer, link, end },
            FromFiles::Whole { offer } => Input::FileWhole { offer },
            FromFiles::SaveEnded { offer, end } => Input::SaveEnded { offer, end },
            FromFiles::Serving { offer, now } => Input::Serving { offer, now },
            FromFiles::SourceLost { offer, reason } => Input::SourceLost { offer, reason },
            FromFiles::GoesOn { offer } => return self.core.fetch_goes_on(&offer),
            // Whoever asked may have gone.
            FromFiles::MayFetch { link, open, answer } => {
                return drop(answer.send(self.core.may_fetch(link, &open)));
            }
            FromFiles::Transfers { answer } => {
                let rows = self.core.transfers().into_iter().map(|view| view.stored).collect();
                return drop(answer.send(rows));
            }
        };
        self.core.handle_input(input, self.shared.clock.now());
    }
}
