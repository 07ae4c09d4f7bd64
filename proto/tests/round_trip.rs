//! Whatever arrives: every value survives the trip, every other sequence of bytes is refused, nothing panics.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a failing test panics"
)]

mod support;

use lanchat_proto::codec::{self, Blob, BoundedVec, Text};
use lanchat_proto::frame::{Frame, FrameHeader, HEADER_LEN};
use lanchat_proto::join::JoinLink;
use lanchat_proto::limits::{
    MAX_ANNOUNCEMENT, MAX_AVATAR, MAX_BATCH_BYTES, MAX_BEFORE_HELLO, MAX_BODY, MAX_DELTA, MAX_DEVICE_CHAIN,
    MAX_ENDPOINTS, MAX_FRAME, MAX_HEADER, MAX_ISSUERS, MAX_PAGE, MAX_STATE, MAX_STATES, MAX_TEXT,
};
use lanchat_proto::names::{DisplayName, Note, UserName};
use lanchat_proto::wire::{Endpoint, coordinator as c, link};
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use support::types::{self, Visit};
use support::{cast, invent};

/// Encodes a made-up value, and spoils the bytes.
struct RoundTrip {
    seed: u64,
}

impl Visit for RoundTrip {
    fn visit<T: Serialize + DeserializeOwned + PartialEq + Debug>(&mut self, name: &str) {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let value: T = invent::value(self.seed);
        let bytes = codec::encode(&value).unwrap();
        assert_eq!(codec::decode::<T>(&bytes, MAX_FRAME).unwrap(), value, "{name}");
        let mut longer = bytes.clone();
        longer.push(0);
        assert!(codec::decode::<T>(&longer, MAX_FRAME).is_err(), "{name}: a byte too many was accepted");
        for len in [0, bytes.len() / 2, bytes.len() - 1] {
            assert!(codec::decode::<T>(&bytes[..len], MAX_FRAME).is_err(), "{name}: {len} bytes accepted");
        }
        let at = usize::try_from(self.seed >> 32).unwrap() % bytes.len();
        let mut other = bytes.clone();
        other[at] ^= 1 << (self.seed & 7);
        if let Ok(read) = codec::decode::<T>(&other, MAX_FRAME) {
            // Tolerant enums apart, other bytes are another value.
            let again = codec::encode(&read).unwrap();
            assert!(read != value || again == bytes, "{name}: two encodings of one value");
        }
    }
}

/// Reads bytes as everything.
struct Decode<'a>(&'a [u8]);

impl Visit for Decode<'_> {
    fn visit<T: Serialize + DeserializeOwned + PartialEq + Debug>(&mut self, _: &str) {
        if let Ok(value) = codec::decode::<T>(self.0, MAX_FRAME) {
            assert!(codec::encode(&value).unwrap().len() <= self.0.len());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn values_survive_and_spoilt_bytes_do_not(seed in any::<u64>()) {
        types::all(&mut RoundTrip { seed });
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        types::all(&mut Decode(&bytes));
    }

    #[test]
    fn small_numbers_are_read_without_a_panic(bytes in prop::collection::vec(0_u8..4, 0..600)) {
        types::all(&mut Decode(&bytes));
    }

    #[test]
    fn any_header_is_read_or_refused(bytes in any::<[u8; HEADER_LEN]>(), max in 0..MAX_FRAME) {
        if let Ok(header) = FrameHeader::parse(bytes, max) {
            prop_assert!(header.len <= max);
        }
    }

    #[test]
    fn frames_survive(kind in any::<u16>(), payload in prop::collection::vec(any::<u8>(), 0..100)) {
        let frame = Frame { kind, payload };
        let bytes = frame.to_bytes();
        let (head, rest) = bytes.split_at(HEADER_LEN);
        let header = FrameHeader::parse(head.try_into().unwrap(), MAX_FRAME).unwrap();
        prop_assert_eq!((header.kind, header.len, rest), (kind, frame.payload.len(), frame.payload.as_slice()));
    }

    #[test]
    fn any_text_is_a_name_or_not(text in any::<String>()) {
        if let Ok(name) = text.parse::<UserName>() {
            prop_assert_eq!(name.as_str(), text.as_str());
        }
        for text in [text.clone(), format!("🙂\u{200d}{text}"), format!("e\u{301}{text}\u{301}")] {
            if let Ok(name) = DisplayName::parse(&text) {
                let again = DisplayName::parse(name.as_str());
                prop_assert_eq!(again.as_ref(), Ok(&name));
                let bytes = codec::encode(&name).unwrap();
                prop_assert_eq!(codec::decode::<DisplayName>(&bytes, 4096), Ok(name));
            }
        }
    }

    #[test]
    fn any_text_is_a_join_link_or_not(text in "(lanchat://join/)?[a-f0-9:.,/\\[\\]-]{0,200}", any in any::<String>()) {
        for text in [text, any] {
            if let Ok(link) = text.parse::<JoinLink>() {
                prop_assert_eq!(link.to_string().parse::<JoinLink>(), Ok(link));
            }
        }
    }

    #[test]
    fn an_endpoint_keeps_its_address(address in any::<std::net::SocketAddr>()) {
        let endpoint = Endpoint::new(address);
        let mut plain = std::net::SocketAddr::new(address.ip().to_canonical(), address.port());
        plain.set_port(address.port());
        prop_assert_eq!(endpoint.socket(), plain);
        prop_assert_eq!(Endpoint::new(endpoint.socket()), endpoint);
    }
}

#[test]
fn a_list_one_longer_than_its_bound_is_refused_and_one_at_its_bound_is_not() {
    assert!(BoundedVec::<u8, 3>::new(vec![0; 4]).is_err());
    assert!(Blob::<3>::new(vec![0; 4]).is_err());
    assert!(Text::<3>::new("four").is_err());
    let mut full = BoundedVec::<u8, 3>::new(vec![0; 3]).unwrap();
    assert!(full.push(0).is_err());
    let four = codec::encode(&vec![0_u8; 4]).unwrap();
    assert!(codec::decode::<BoundedVec<u8, 4>>(&four, 64).is_ok());
    assert!(codec::decode::<BoundedVec<u8, 3>>(&four, 64).is_err());
    assert!(codec::decode::<Blob<4>>(&four, 64).is_ok());
    assert!(codec::decode::<Blob<3>>(&four, 64).is_err());
    assert!(codec::decode::<Text<4>>(&four, 64).is_ok());
    assert!(codec::decode::<Text<3>>(&four, 64).is_err());
}

#[test]
fn booleans_options_and_utf8_have_one_encoding() {
    assert!(codec::decode::<bool>(&[2], 1).is_err());
    assert!(codec::decode::<Option<u8>>(&[2, 0], 2).is_err());
    let bad = codec::encode(&vec![0xff_u8]).unwrap();
    assert!(codec::decode::<Text<4>>(&bad, 64).is_err());
    let raw = codec::encode(&"e\u{301}").unwrap();
    assert!(codec::decode::<DisplayName>(&raw, 64).is_err(), "a name that is not normalised");
    let raw = codec::encode(&" a").unwrap();
    assert!(codec::decode::<DisplayName>(&raw, 64).is_err(), "a name that is not trimmed");
    let raw = codec::encode(&"Alice").unwrap();
    assert!(codec::decode::<UserName>(&raw, 64).is_err());
}

fn full<T: Clone, const N: usize>(item: &T) -> BoundedVec<T, N> {
    BoundedVec::new(vec![item.clone(); N]).unwrap()
}

fn size<T: Serialize>(value: &T) -> usize {
    codec::encode(value).unwrap().len()
}

/// Names and chains as long as they may be.
fn largest_hello() -> link::Hello {
    let mut member = cast::membership(cast::ALICE, &"a".repeat(32), cast::alice().public(), 7);
    member.name = "a".repeat(32).parse().unwrap();
    link::Hello {
        realm: cast::realm(),
        versions: full(&1),
        certificate: cast::certified(&member),
        chain: full(&cast::endorsement(cast::ALICE, &cast::alice(), &cast::alice())),
        epoch: lanchat_proto::ids::Epoch(1),
        revocations: full(&lanchat_proto::certificate::RevocationHead {
            issuer: cast::issuer().public(),
            number: 1,
            hash: [1; 32],
        }),
        time: cast::START,
    }
}

#[test]
fn the_largest_hello_fits_what_a_stranger_may_send() {
    let answer = link::HelloAnswer { version: 1, hello: largest_hello() };
    assert!(HEADER_LEN + size(&answer) <= MAX_BEFORE_HELLO, "{} bytes", size(&answer));
    assert_eq!((answer.hello.chain.len(), answer.hello.revocations.len()), (MAX_DEVICE_CHAIN, MAX_ISSUERS));
}

#[test]
fn the_largest_of_each_paged_frame_fits_a_frame() {
    let wide = DisplayName::parse(&"🙂".repeat(64)).unwrap();
    let device = c::DirectoryDevice {
        device: cast::alice().public(),
        certificate: largest_hello().certificate,
        chain: largest_hello().chain,
    };
    let profile = c::Profile {
        user: cast::ALICE,
        name: "a".repeat(32).parse().unwrap(),
        display_name: wide.clone(),
        department: wide.clone(),
        title: wide,
        note: Note::parse(&"🙂".repeat(256)).unwrap(),
        avatar: [1; 32],
        gone: false,
        last_seen: cast::START,
        devices: full(&device),
    };
    let mark = c::DirectoryMark::default();
    let directory = c::Directory { mark, fresh: true, last: true, profiles: full(&profile) };
    assert!(size(&directory) <= MAX_FRAME, "{} bytes", size(&directory));

    let endpoint = Endpoint::new("10.0.0.1:1".parse().unwrap());
    let online = c::OnlineDevice {
        device: cast::alice().public(),
        user: cast::ALICE,
        endpoints: full(&endpoint),
        host: c::HostIdField::default(),
        presence: c::Presence::Online,
    };
    assert_eq!(online.endpoints.len(), MAX_ENDPOINTS);
    let snapshot = c::Snapshot { run: 1, number: 1, first: true, last: true, devices: full(&online) };
    assert!(size(&snapshot) <= MAX_FRAME && snapshot.devices.len() == MAX_PAGE);
    let delta = c::Delta { run: 1, number: 1, changes: full(&c::Change::Online(online)) };
    assert!(size(&delta) <= MAX_FRAME && delta.changes.len() == MAX_DELTA);
    const {
        assert!(MAX_STATES * (MAX_STATE + 8 + 64) + 8 <= MAX_FRAME);
        assert!(MAX_BATCH_BYTES + MAX_BODY + MAX_HEADER + 256 <= MAX_FRAME);
        assert!(
            MAX_TEXT + 64 <= MAX_BODY && MAX_AVATAR + 4096 <= MAX_FRAME && MAX_ANNOUNCEMENT * 4 < MAX_FRAME
        );
    }
}
