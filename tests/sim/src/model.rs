//! A second, simpler opinion: who said what to whom, and what has to come of it. Knows nothing of links, logs and sync.

use crate::net::At;
use lanchat_node_core::boot::RequestId;
use lanchat_proto::ids::{MessageId, UserId};
use std::collections::{BTreeMap, BTreeSet};

/// What the author was told of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// No answer yet, or none came before a crash: it may be there or not.
    Open,
    /// It was shown as sent: it has to arrive.
    Sent(MessageId),
    /// It was shown as sent, but the author's disk was replaced by an older copy: it may be gone.
    RolledBack(MessageId),
    /// It was refused for a reason that leaves nothing behind.
    Refused,
    /// The store failed: it may be there or not.
    Unknown,
}

/// Something that somebody wanted to say.
#[derive(Clone, Debug)]
pub struct Said {
    /// On which machine.
    pub from: At,
    /// By whom.
    pub author: UserId,
    /// To whom.
    pub to: UserId,
    /// What; no two texts are equal.
    pub text: String,
    /// What came of it.
    pub fate: Fate,
    /// Whether the author was banned and everybody knew it.
    pub banned: bool,
}

/// All that was said.
#[derive(Debug, Default)]
pub struct Model {
    said: Vec<Said>,
    by_text: BTreeMap<String, usize>,
    by_request: BTreeMap<(At, u32, u64), usize>,
}

impl Model {
    /// Somebody wants to say something.
    pub fn says(&mut self, request: (At, u32, RequestId), said: Said) {
        self.by_text.insert(said.text.clone(), self.said.len());
        self.by_request.insert((request.0, request.1, request.2.0), self.said.len());
        self.said.push(said);
    }

    /// The answer to it. `None` when it was no text.
    pub fn answered(&mut self, request: (At, u32, RequestId), fate: Fate) -> Option<&Said> {
        let at = self.by_request.remove(&(request.0, request.1, request.2.0))?;
        let said = self.said.get_mut(at)?;
        said.fate = fate;
        Some(said)
    }

    /// The disk of a machine was replaced by an older one that holds only these messages.
    pub fn rolled_back(&mut self, from: At, kept: &BTreeSet<MessageId>) {
        for said in self.said.iter_mut().filter(|said| said.from == from) {
            if let Fate::Sent(message) = said.fate
                && !kept.contains(&message)
            {
                said.fate = Fate::RolledBack(message);
            }
        }
    }

    /// What was said with this text, and its place in the order of sending.
    #[must_use]
    pub fn text(&self, text: &str) -> Option<(usize, &Said)> {
        let at = *self.by_text.get(text)?;
        Some((at, self.said.get(at)?))
    }

    /// All that was said, in order.
    #[must_use]
    pub fn all(&self) -> &[Said] {
        &self.said
    }

    /// All that was shown as sent and has to be everywhere.
    pub fn must_arrive(&self) -> impl Iterator<Item = (&Said, MessageId)> {
        self.said.iter().filter_map(|said| match said.fate {
            Fate::Sent(message) => Some((said, message)),
            _ => None,
        })
    }
}
