//! Device ids as libp2p prints them: base58 of the identity multihash of the Ed25519 key.

use lanchat_proto::ids::DeviceId;

const ALPHABET: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
/// Identity multihash of 36 bytes: protobuf of key type Ed25519 and 32 bytes of key.
const PREFIX: [u8; 6] = [0x00, 0x24, 0x08, 0x01, 0x12, 0x20];
/// Characters of every such peer id.
const LEN: usize = 52;

/// The peer id of a device.
#[must_use]
pub fn peer_id(device: &DeviceId) -> String {
    let mut digits: Vec<u8> = Vec::with_capacity(LEN);
    for byte in PREFIX.iter().chain(device.as_bytes()) {
        let mut carry = u32::from(*byte);
        for digit in &mut digits {
            carry += u32::from(*digit) << 8;
            *digit = u8::try_from(carry % 58).unwrap_or_default();
            carry /= 58;
        }
        while carry > 0 {
            digits.push(u8::try_from(carry % 58).unwrap_or_default());
            carry /= 58;
        }
    }
    // Leading zero bytes are leading ones; the prefix has exactly one.
    let body = digits.iter().rev().filter_map(|digit| ALPHABET.get(usize::from(*digit)));
    std::iter::once('1').chain(body.map(|letter| char::from(*letter))).collect()
}

/// The device of a peer id, or of a device id in hex.
#[must_use]
pub fn parse_device(text: &str) -> Option<DeviceId> {
    if let Ok(device) = text.parse() {
        return Some(device);
    }
    if text.len() != LEN {
        return None;
    }
    let mut bytes = [0u8; 38];
    for letter in text.bytes() {
        let digit = ALPHABET.iter().position(|known| *known == letter)?;
        let mut carry = u32::try_from(digit).ok()?;
        for byte in bytes.iter_mut().rev() {
            carry += u32::from(*byte) * 58;
            *byte = u8::try_from(carry & 0xff).ok()?;
            carry >>= 8;
        }
        if carry > 0 {
            return None;
        }
    }
    let key = bytes.strip_prefix(&PREFIX)?;
    DeviceId::from_slice(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_id_is_spelt_as_libp2p_does_and_read_back() {
        // The example of the libp2p peer id specification: this key, this spelling.
        let key = data_encoding::HEXLOWER
            .decode(b"1ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e")
            .unwrap();
        let device = DeviceId::from_slice(&key).unwrap();
        let spelt = peer_id(&device);
        assert_eq!(spelt, "12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq".to_owned());
        assert_eq!(parse_device(&spelt), Some(device));
        assert_eq!(parse_device(&device.to_string()), Some(device));
        for key in [[0; 32], [0xff; 32]] {
            assert_eq!(parse_device(&peer_id(&DeviceId(key))), Some(DeviceId(key)));
        }
        for bad in ["", "12D3", "0OIl", &"z".repeat(52), &"é".repeat(26)] {
            assert_eq!(parse_device(bad), None, "{bad}");
        }
    }
}
