//! Every type that stands on the wire or on a disk, for tests that do the same with each.

use lanchat_proto::certificate::{Certificate, Endorsement, IssuingCertificate, Membership, Revocation};
use lanchat_proto::entry::{Descriptor, FileBody, Header, NudgeBody, OpenBody, TextBody, WireEntry};
use lanchat_proto::frame::Kind;
use lanchat_proto::signed::Signed;
use lanchat_proto::state::{Receipt, SignedState, StateRecord};
use lanchat_proto::wire::{blob, coordinator, link, reach};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;

/// Something to be done with a type.
pub trait Visit {
    fn visit<T: Serialize + DeserializeOwned + PartialEq + Debug>(&mut self, name: &str);
}

/// Visits the payload of a kind. A kind without a line here does not compile.
pub fn payload(kind: Kind, v: &mut impl Visit) {
    let name = &format!("{kind:?}");
    match kind {
        Kind::Hello => v.visit::<link::Hello>(name),
        Kind::HelloAnswer => v.visit::<link::HelloAnswer>(name),
        Kind::Heartbeat => v.visit::<link::Heartbeat>(name),
        Kind::Goodbye => v.visit::<link::Goodbye>(name),
        Kind::Digests => v.visit::<link::Digests>(name),
        Kind::Heads => v.visit::<link::Heads>(name),
        Kind::Entries => v.visit::<link::Entries>(name),
        Kind::Acknowledge => v.visit::<link::Acknowledge>(name),
        Kind::States => v.visit::<link::States>(name),
        Kind::Revocations => v.visit::<link::Revocations>(name),
        Kind::Renewed => v.visit::<link::Renewed>(name),
        Kind::DialMe => v.visit::<reach::DialMe>(name),
        Kind::DialledYou => v.visit::<reach::DialledYou>(name),
        Kind::Welcome => v.visit::<coordinator::Welcome>(name),
        Kind::AskSalt => v.visit::<coordinator::AskSalt>(name),
        Kind::Salt => v.visit::<coordinator::Salt>(name),
        Kind::Register => v.visit::<coordinator::Register>(name),
        Kind::Login => v.visit::<coordinator::Login>(name),
        Kind::Enrolled => v.visit::<coordinator::Enrolled>(name),
        Kind::SignIn => v.visit::<coordinator::SignIn>(name),
        Kind::SignedIn => v.visit::<coordinator::SignedIn>(name),
        Kind::Snapshot => v.visit::<coordinator::Snapshot>(name),
        Kind::Delta => v.visit::<coordinator::Delta>(name),
        Kind::AskSnapshot => v.visit::<coordinator::AskSnapshot>(name),
        Kind::Directory => v.visit::<coordinator::Directory>(name),
        Kind::Report => v.visit::<coordinator::Report>(name),
        Kind::SetProfile => v.visit::<coordinator::SetProfile>(name),
        Kind::ChangePassword => v.visit::<coordinator::ChangePassword>(name),
        Kind::Logout => v.visit::<coordinator::Logout>(name),
        Kind::AskAvatar => v.visit::<coordinator::AskAvatar>(name),
        Kind::Avatar => v.visit::<coordinator::Avatar>(name),
        Kind::Done => v.visit::<coordinator::Done>(name),
        Kind::Refused => v.visit::<coordinator::Refused>(name),
        Kind::Announcement => v.visit::<coordinator::Announcement>(name),
        Kind::FindUsers => v.visit::<coordinator::FindUsers>(name),
        Kind::FoundUsers => v.visit::<coordinator::FoundUsers>(name),
        Kind::Introduce => v.visit::<reach::Introduce>(name),
        Kind::Introduction => v.visit::<reach::Introduction>(name),
        Kind::Knock => v.visit::<reach::Knock>(name),
        Kind::RelayTerms => v.visit::<reach::RelayTerms>(name),
        Kind::BlobOpen => v.visit::<blob::BlobOpen>(name),
        Kind::BlobHave => v.visit::<blob::BlobHave>(name),
        Kind::BlobRefused => v.visit::<blob::BlobRefused>(name),
        Kind::BlobAskValues => v.visit::<blob::BlobAskValues>(name),
        Kind::BlobValues => v.visit::<blob::BlobValues>(name),
        Kind::BlobAsk => v.visit::<blob::BlobAsk>(name),
        Kind::BlobReady => v.visit::<blob::BlobReady>(name),
        // Parsed by hand, with tests of its own in `wire::blob`.
        Kind::BlobPiece => {}
    }
}

/// Visits everything.
pub fn all(v: &mut impl Visit) {
    for kind in Kind::ALL {
        payload(*kind, v);
    }
    v.visit::<IssuingCertificate>("issuing");
    v.visit::<Membership>("membership");
    v.visit::<Certificate>("certificate");
    v.visit::<Endorsement>("endorsement");
    v.visit::<Revocation>("revocation");
    v.visit::<Signed<Membership>>("signed membership");
    v.visit::<SignedState>("signed state record");
    v.visit::<StateRecord>("state record");
    v.visit::<Receipt>("receipt");
    v.visit::<Header>("header");
    v.visit::<WireEntry>("entry");
    v.visit::<OpenBody>("open body");
    v.visit::<TextBody>("text body");
    v.visit::<NudgeBody>("nudge body");
    v.visit::<FileBody>("file body");
    v.visit::<lanchat_proto::state::FileWord>("word about a file");
    v.visit::<Descriptor>("descriptor");
}
