//! Coordinators whose keys a person confirmed: one line each in `known_coordinators`, as people know it from ssh.
//!
//! A line: address as given, organisation id, coordinator key, organisation name; separated by tabs. The first line
//! that matches counts.

use crate::platform;
use lanchat_proto::ids::{DeviceId, RealmId};
use std::io;
use std::path::Path;

/// Most coordinators that are remembered; the oldest is forgotten beyond that.
const MAX_PINS: usize = 256;

/// A pinned coordinator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// `host:port`.
    pub address: String,
    /// Its organisation.
    pub realm: RealmId,
    /// Its key.
    pub device: DeviceId,
    /// The organisation's name when it was pinned.
    pub org: String,
}

fn parse(line: &str) -> Option<Pin> {
    let mut fields = line.split('\t');
    Some(Pin {
        address: fields.next()?.to_owned(),
        realm: fields.next()?.parse().ok()?,
        device: fields.next()?.parse().ok()?,
        org: fields.next().unwrap_or_default().to_owned(),
    })
}

/// All pins; lines that cannot be read are passed over.
#[must_use]
pub fn load(path: &Path) -> Vec<Pin> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().filter_map(parse).take(MAX_PINS).collect()
}

/// Remembers a pin, replacing those of the same address.
///
/// # Errors
/// As the file system says.
pub fn remember(path: &Path, pin: Pin) -> io::Result<()> {
    let mut pins = load(path);
    pins.retain(|old| old.address != pin.address);
    pins.insert(0, pin);
    pins.truncate(MAX_PINS);
    let lines: String = pins
        .iter()
        .map(|pin| {
            let org: String = pin.org.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            format!("{}\t{}\t{}\t{org}\n", pin.address, pin.realm, pin.device)
        })
        .collect();
    platform::write_private(path, lines.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_pin_of_an_address_counts() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("known");
        let pin = |key: u8| Pin {
            address: "office:7422".into(),
            realm: RealmId([1; 32]),
            device: DeviceId([key; 32]),
            org: "Old\tOffice".into(),
        };
        remember(&path, pin(1)).unwrap();
        remember(&path, pin(2)).unwrap();
        let pins = load(&path);
        assert_eq!(pins.len(), 1);
        assert_eq!(pins[0].device, DeviceId([2; 32]));
        assert_eq!(pins[0].org, "Old Office");
        std::fs::write(&path, "rubbish\n\t\t\n").unwrap();
        assert_eq!(load(&path), Vec::new());
    }
}
