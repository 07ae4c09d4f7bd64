//! What a stream is for, told from the names that this side writes when it is opened. Pure.
//!
//! Keeps true: the side that accepts a stream writes exactly one name, that of the protocol agreed on, after the header and
//! any number of refusals; the side that opens one asks for the protocol first of all. So whatever the other side
//! writes, it cannot make a circuit look like something else, nor something else like a circuit.

/// What the names of all relay protocols begin with.
const CIRCUIT: &[u8] = b"/libp2p/circuit/relay/";
/// Header and refusal of the negotiation.
const PREFACE: [&[u8]; 2] = [b"/multistream/1.0.0\n", b"na\n"];

/// The messages of one side of a negotiation.
#[derive(Default)]
pub(crate) struct Names {
    /// Length and text so far of the message that is not complete yet; at most 128 bytes.
    message: Vec<u8>,
}

impl Names {
    /// Bytes were written; whether the stream is a circuit, once that is known. Not to be called after that.
    pub(crate) fn wrote(&mut self, bytes: &[u8]) -> Option<bool> {
        for byte in bytes {
            self.message.push(*byte);
            let (len, text) = match self.message.as_slice() {
                [len, text @ ..] if *len < 0x80 => (usize::from(*len), text),
                // More than 127 bytes.
                _ => return Some(false),
            };
            if text.len() < len {
                continue;
            }
            if !PREFACE.contains(&text) {
                return Some(text.starts_with(CIRCUIT));
            }
            self.message.clear();
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> Vec<u8> {
        let mut bytes = vec![u8::try_from(text.len() + 1).unwrap()];
        bytes.extend_from_slice(text.as_bytes());
        bytes.push(b'\n');
        bytes
    }

    fn judge(bytes: &[u8], step: usize) -> Option<bool> {
        let mut names = Names::default();
        bytes.chunks(step).find_map(|part| names.wrote(part))
    }

    #[test]
    fn a_circuit_is_known_by_the_first_name_however_it_is_cut() {
        let hop = [message("/multistream/1.0.0"), message("/libp2p/circuit/relay/0.2.0/hop")].concat();
        let refused = [message("/multistream/1.0.0"), message("na").repeat(50), hop[20..].to_vec()].concat();
        let other = [message("/multistream/1.0.0"), message("/lanchat/link/1")].concat();
        let named = [other.clone(), hop[20..].to_vec()].concat();
        for step in 1..hop.len() {
            assert_eq!(judge(&hop, step), Some(true), "{step}");
            assert_eq!(judge(&refused, step), Some(true), "{step}");
            assert_eq!(judge(&other, step), Some(false), "{step}");
            assert_eq!(judge(&named, step), Some(false), "what is said later does not matter");
        }
        assert_eq!(judge(&hop[..30], 7), None);
        assert_eq!(judge(&[0xff; 9], 9), Some(false));
    }
}
