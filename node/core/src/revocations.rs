//! Revocation lists: folded, kept, passed on; links of whom they cover are closed.
//!
//! Keeps true: an act counts only when the realm's root vouched for its issuer and it is the next of that issuer's list;
//! from then on no link of whom it covers stays open, whoever brought it. Two acts for one number are told to the user.

use crate::boot::LinkId;
use crate::output::{Change, Notice};
use crate::state::NodeState;
use lanchat_proto::certificate::{
    CertificateError, ListAnchor, Member, Revocation, RevocationHead, Revocations as Folded,
};
use lanchat_proto::codec::BoundedVec;
use lanchat_proto::frame::{Frame, Kind};
use lanchat_proto::ids::{DeviceId, RealmId};
use lanchat_proto::limits::{MAX_ISSUERS, MAX_REVOCATIONS};
use lanchat_proto::signed::Signed;
use lanchat_proto::wire::link::Revocations;
use std::collections::{BTreeMap, BTreeSet};

/// One issuer's list.
#[derive(Clone)]
struct List {
    anchor: ListAnchor,
    acts: Vec<Signed<Revocation>>,
}

/// All lists of the realm.
#[derive(Clone, Default)]
pub(crate) struct RevocationLists {
    folded: Folded,
    lists: BTreeMap<DeviceId, List>,
    conflicts: BTreeSet<DeviceId>,
}

impl RevocationLists {
    pub(crate) fn new(realm: &RealmId, stored: Vec<(ListAnchor, Signed<Revocation>)>) -> Self {
        let mut lists = Self::default();
        for (anchor, act) in stored {
            if let Ok(issuer) = anchor.issuer(realm) {
                // What was stored was checked then; what does not fit now is left out.
                lists.apply(realm, &issuer, &anchor, &act).ok();
            }
        }
        lists
    }

    pub(crate) fn folded(&self) -> &Folded {
        &self.folded
    }

    pub(crate) fn heads(&self) -> impl Iterator<Item = RevocationHead> {
        self.folded.heads()
    }

    pub(crate) fn covers(&self, member: &Member) -> bool {
        self.folded.covers(member)
    }

    fn apply(
        &mut self,
        realm: &RealmId,
        issuer: &DeviceId,
        anchor: &ListAnchor,
        act: &Signed<Revocation>,
    ) -> Result<bool, CertificateError> {
        if !self.lists.contains_key(issuer) && self.lists.len() >= MAX_ISSUERS {
            return Err(CertificateError::Realm);
        }
        let new = self.folded.apply(act, realm, issuer)?;
        if new {
            let list = self
                .lists
                .entry(*issuer)
                .or_insert_with(|| List { anchor: anchor.clone(), acts: Vec::new() });
            list.acts.push(act.clone());
        }
        Ok(new)
    }

    /// Frames with what a device lacks, by the ends of its lists.
    fn missing(&self, theirs: &[RevocationHead]) -> Vec<Revocations> {
        let mut frames = Vec::new();
        for (issuer, list) in &self.lists {
            let has = theirs.iter().find(|head| head.issuer == *issuer).map_or(0, |head| head.number);
            let from = usize::try_from(has).unwrap_or(usize::MAX);
            for acts in list.acts.get(from..).unwrap_or_default().chunks(MAX_REVOCATIONS) {
                let acts = BoundedVec::first(acts.to_vec());
                frames.push(Revocations { anchor: list.anchor.clone(), acts });
            }
        }
        frames
    }
}

impl NodeState {
    pub(crate) fn send_missing_revocations(&mut self, link: LinkId, theirs: &[RevocationHead]) {
        for frame in self.revoked.missing(theirs) {
            self.post(link, Frame::new(Kind::Revocations, &frame));
        }
    }

    /// Acts came on a link, or from the coordinator.
    pub(crate) fn revocations_came(&mut self, source: Option<LinkId>, came: &Revocations) {
        let Ok(issuer) = came.anchor.issuer(&self.me.realm) else { return };
        if self.me.realm == RealmId::OPEN {
            return;
        }
        let mut changes = Vec::new();
        let mut news = Vec::new();
        for act in &came.acts {
            match self.revoked.apply(&self.me.realm, &issuer, &came.anchor, act) {
                Ok(true) => {
                    changes.push(Change::Revocation {
                        anchor: came.anchor.clone(),
                        issuer,
                        number: self.revoked.folded.head(&issuer).number,
                        signed: act.clone(),
                    });
                    news.push(act.clone());
                }
                Ok(false) => {}
                Err(CertificateError::Equivocation(_)) => {
                    if self.revoked.conflicts.insert(issuer) {
                        self.notice(Notice::RevocationConflict { issuer });
                    }
                    break;
                }
                Err(_) => break,
            }
        }
        if news.is_empty() {
            return;
        }
        self.save(changes);
        self.close_revoked();
        let frame = Revocations { anchor: came.anchor.clone(), acts: BoundedVec::first(news) };
        let others: Vec<LinkId> = self.peers.linked().map(|(_, _, link)| link).collect();
        for link in others.into_iter().filter(|link| Some(*link) != source) {
            self.post(link, Frame::new(Kind::Revocations, &frame));
        }
    }

    fn close_revoked(&mut self) {
        let covered = |node: &Self, member: &Member| node.revoked.covers(member);
        let closing: Vec<LinkId> =
            self.links.up().filter(|(_, _, member)| covered(self, member)).map(|(id, ..)| id).collect();
        closing.into_iter().for_each(|link| self.close(link, false));
    }

    /// Whether nothing new is taken from a device any more, by its newest certificate.
    pub(crate) fn is_revoked(&self, device: &DeviceId) -> bool {
        let known = self.peers.known(device);
        let member = known.and_then(|known| known.certificate.check_ever(&self.me.realm).ok());
        member.is_some_and(|member| self.revoked.covers(&member))
    }
}
