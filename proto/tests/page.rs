//! `docs/protocol.md` says what the code does: kinds, labels, refusals, limits, and the places that the code points to.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a failing test panics"
)]

use lanchat_proto::certificate::{Endorsement, IssuingCertificate, Membership, Revocation};
use lanchat_proto::entry::{ENTRY_LABEL, EntryKind};
use lanchat_proto::frame::Kind;
use lanchat_proto::limits;
use lanchat_proto::signed::Labelled;
use lanchat_proto::state::StateRecord;
use lanchat_proto::wire::coordinator::Refusal;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

fn page() -> String {
    std::fs::read_to_string(root().join("docs/protocol.md")).unwrap().replace("\r\n", "\n")
}

/// Cells of the first table whose heading row begins with this.
fn table(heading: &str) -> Vec<Vec<String>> {
    let page = page();
    let rows = page.lines().skip_while(|line| !line.starts_with(heading)).skip(2);
    let cells =
        |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect();
    rows.take_while(|line| line.starts_with('|')).map(cells).collect()
}

fn first_two(heading: &str) -> Vec<(String, String)> {
    table(heading).into_iter().map(|row| (row[0].clone(), row[1].clone())).collect()
}

#[test]
fn the_kinds_are_those_of_the_code() {
    let code: Vec<_> =
        Kind::ALL.iter().map(|kind| (format!("{:#06x}", kind.number()), format!("{kind:?}"))).collect();
    assert_eq!(first_two("| number | kind | from"), code);
}

#[test]
fn the_labels_are_those_of_the_code_and_differ() {
    let code = [
        IssuingCertificate::LABEL,
        Membership::LABEL,
        Endorsement::LABEL,
        Revocation::LABEL,
        ENTRY_LABEL,
        StateRecord::LABEL,
    ];
    let page: Vec<String> = table("| label |").into_iter().map(|row| row[0].clone()).collect();
    assert_eq!(page, code);
    assert_eq!(page.iter().collect::<BTreeSet<_>>().len(), page.len());
}

#[test]
fn every_signature_and_hash_context_of_the_code_is_on_the_page() {
    let page = page();
    for (path, text) in sources() {
        for context in text.split("\"lanchat/").skip(1).filter_map(|rest| rest.split('"').next()) {
            let context = format!("lanchat/{context}");
            let versioned = context.rsplit('/').next().is_some_and(|end| end.parse::<u8>().is_ok());
            if versioned
                && path.components().any(|part| part.as_os_str() == "core" || part.as_os_str() == "proto")
            {
                let known = page.contains(&format!("`{context}`")) || text.contains("#[cfg(test)]");
                assert!(known, "{context} of {} is not on the page", path.display());
            }
        }
    }
}

#[test]
fn the_refusals_are_those_of_the_code() {
    let rows = first_two("| code | refusal");
    for (code, name) in &rows {
        let refusal = Refusal::from_number(code.parse().unwrap());
        assert_eq!((format!("{refusal:?}"), refusal.number().to_string()), (name.clone(), code.clone()));
    }
    let known = (1..=u16::MAX).filter(|n| Refusal::from_number(*n) != Refusal::Other).count();
    assert_eq!(rows.len(), known);
}

#[test]
fn the_entry_kinds_are_those_of_the_code() {
    for number in 1..100 {
        if let Some(kind) = EntryKind::from_number(number) {
            assert!(page().contains(&format!("{number} `{kind:?}`")), "{kind:?}");
            assert_eq!(kind.number(), number);
        }
    }
}

macro_rules! limits {
    (numbers: $($number:ident)*; times: $($time:ident)*) => {
        fn values() -> BTreeMap<String, u128> {
            let numbers = [$((stringify!($number), u128::try_from(limits::$number).unwrap()),)*];
            let times = [$((stringify!($time), limits::$time.as_millis()),)*];
            numbers.into_iter().chain(times).map(|(name, value)| (name.to_owned(), value)).collect()
        }
    };
}

limits! {
    numbers: MAX_FRAME MAX_BEFORE_HELLO MAX_DECODE MAX_TEXT MAX_BODY MAX_HEADER MAX_AFTER MAX_BATCH MAX_BATCH_BYTES MAX_HEADS MAX_STATES DIGEST_BUCKETS MAX_STATE MAX_SIGNED MAX_ACT MAX_DEVICE_CHAIN MAX_ISSUERS MAX_VERSIONS MAX_REVOCATIONS MIN_UNIT MAX_UNITS MAX_PIECE MAX_VALUES MAX_HELD MAX_FILE_NAME MAX_SAVED_NAME MAX_MEDIA_TYPE MAX_DISPLAY_NAME MAX_NOTE MAX_AVATAR MAX_ENDPOINTS MAX_TRIED_PORTS MAX_DEVICES MAX_USERS MAX_PAGE MAX_DELTA MAX_ORG_NAME MAX_ANNOUNCEMENT MAX_INVITE;
    times: HELLO_DEADLINE CERTIFICATE_SLACK CERTIFICATE_LIFETIME CERTIFICATE_RENEWAL MAX_CLOCK_AHEAD HEARTBEAT LINK_SUSPECT LINK_DEAD LEASE PROBE
}

#[test]
fn the_limits_are_those_of_the_code() {
    let source = std::fs::read_to_string(root().join("proto/src/limits.rs")).unwrap();
    let named: BTreeSet<String> = source
        .lines()
        .filter_map(|line| line.strip_prefix("pub const "))
        .filter_map(|rest| rest.split(':').next())
        .map(ToOwned::to_owned)
        .collect();
    let values = values();
    assert_eq!(values.keys().cloned().collect::<BTreeSet<_>>(), named, "limits.rs and this test");
    let page: BTreeMap<String, u128> = first_two("| limit | value")
        .into_iter()
        .map(|(name, value)| (name, value.parse().unwrap()))
        .collect();
    assert_eq!(page, values);
}

/// Every Rust source of the workspace.
fn sources() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> =
        ["proto/src", "proto/net/src", "node/src", "node/core/src", "coordinator/src"]
            .into_iter()
            .chain(["coordinator/core/src"])
            .map(|folder| root().join(folder))
            .collect();
    while let Some(folder) = folders.pop() {
        for item in std::fs::read_dir(folder).unwrap() {
            let path = item.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    found
}

#[test]
fn every_place_that_the_code_points_to_is_there() {
    let page = page();
    let headings: BTreeSet<String> = page
        .lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-"))
        .collect();
    for (path, text) in sources() {
        for rest in text.split("docs/protocol.md#").skip(1) {
            let place: String = rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '-').collect();
            let there = headings.contains(&place) || page.contains(&format!("<a id=\"{place}\"></a>"));
            assert!(there, "{} points to #{place}", path.display());
        }
    }
}
