//! Frames and changes in words, for traces. What people write is never spelled out.

use lanchat_node_core::output::Change;
use lanchat_proto::frame::{Frame, Kind};
use lanchat_proto::ids::{DeviceId, LogId};
use lanchat_proto::state::ReceiptRecord;
use lanchat_proto::wire::link::{Acknowledge, Entries, Goodbye, Head, Heads, States};

fn head(head: &Head) -> String {
    format!("{}/{:x}:{}", head.device.short(), head.epoch.0 >> 48, head.number)
}

fn log(log: &LogId) -> String {
    format!("{}/{:x}", log.device.short(), log.epoch.0 >> 48)
}

fn heads(list: &[Head]) -> String {
    list.iter().map(head).collect::<Vec<_>>().join(" ")
}

fn receipt(record: &ReceiptRecord) -> String {
    let reader: &DeviceId = &record.reader;
    format!(
        "{} has {}:{} read {}",
        reader.short(),
        log(&record.log),
        record.receipt.received,
        record.receipt.read
    )
}

/// A frame in words.
#[must_use]
pub fn frame(frame: &Frame) -> String {
    let details = match frame.known() {
        Some(Kind::Acknowledge) => frame.decode::<Acknowledge>().map(|ack| heads(&ack.heads)).ok(),
        Some(Kind::Heads) => {
            frame.decode::<Heads>().map(|h| format!("{} answer={}", heads(&h.heads), h.answer)).ok()
        }
        Some(Kind::Goodbye) => frame.decode::<Goodbye>().map(|bye| format!("{:?}", bye.reason)).ok(),
        Some(Kind::Entries) => frame.decode::<Entries>().ok().map(|entries| {
            let numbers = entries.entries.iter().filter_map(|wire| {
                let entry = lanchat_proto::entry::Entry::read(wire).ok()?;
                Some(format!("{}:{}", log(&entry.header.log()), entry.header.number))
            });
            numbers.collect::<Vec<_>>().join(" ")
        }),
        Some(Kind::States) => frame.decode::<States>().ok().map(|states| {
            let records = states.records.iter().filter_map(|signed| {
                let realm = signed.peek().ok()?.realm;
                Some(receipt(&ReceiptRecord::open(signed, &realm).ok()?))
            });
            records.collect::<Vec<_>>().join(", ")
        }),
        _ => None,
    };
    format!("{frame:?} {}", details.unwrap_or_default())
}

/// A change in words.
#[must_use]
pub fn change(change: &Change) -> String {
    match change {
        Change::Entry(stored) => {
            let header = &stored.entry.header;
            format!(
                "entry {}:{} kind {} message {}",
                log(&header.log()),
                header.number,
                header.kind,
                header.message.short()
            )
        }
        Change::Receipt { record, .. } => receipt(record),
        Change::Word { record, .. } => format!("{:?} {}", record.word, record.offer.short()),
        Change::Transfer(row) => format!("transfer {} {}", row.offer.short(), row.state),
        Change::ForgetTransfer { offer, .. } => format!("transfer {} is forgotten", offer.short()),
        Change::Epoch(epoch) => format!("epoch {:x}", epoch.0 >> 48),
        Change::Branch { log: id, from } => format!("branch {} from {from}", log(id)),
        Change::Freeze { log: id } => format!("freeze {}", log(id)),
        Change::Device(known) => format!("device {} {:?}", known.device.short(), known.trust),
        Change::Root(root) => format!("root of {}: {}", root.user.short(), root.root.short()),
        Change::Profiles { profiles, fresh, .. } => format!("{} profiles fresh={fresh}", profiles.len()),
        Change::Revocation { number, .. } => format!("revocation {number}"),
        Change::Own { .. } => "own certificate".to_owned(),
        Change::ClockOffset(offset) => format!("clock offset {offset}"),
        Change::Announcement { number, .. } => format!("announcement {number}"),
    }
}
