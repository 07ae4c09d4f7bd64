//! Signed bytes: what travels is what was signed, never a re-encoding.
//!
//! Keeps true: a signature covers a label, a zero byte, and the bytes as received; it is checked with `verify_strict`
//! before the bytes are read as a value; a signature made for one purpose never serves another (the label differs).
//! The labels are in `docs/protocol.md#labels`.

use crate::codec::{self, Blob, DecodeError};
use crate::ids::DeviceId;
use crate::limits::MAX_SIGNED;
use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::marker::PhantomData;

/// Why signed bytes were not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignedError {
    /// The key is no valid Ed25519 public key.
    #[error("not a valid public key")]
    Key,
    /// The signature is not by that key over these bytes.
    #[error("bad signature")]
    Signature,
    /// The bytes do not hold the value.
    #[error("signed bytes: {0}")]
    Decode(#[from] DecodeError),
    /// The value is too large to sign.
    #[error("too large to be signed")]
    TooLarge,
}

/// An Ed25519 signature.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Signature([[u8; 32]; 2]);

impl Signature {
    /// From its 64 bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 64]) -> Self {
        let mut halves = [[0; 32]; 2];
        halves.as_flattened_mut().copy_from_slice(bytes);
        Self(halves)
    }

    /// Its 64 bytes.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 64] {
        let mut bytes = [0; 64];
        bytes.copy_from_slice(self.0.as_flattened());
        bytes
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signature")
    }
}

/// A secret Ed25519 key: a device's, an issuing key, a root key. Wiped from memory when dropped.
#[derive(Clone)]
pub struct SecretKey(SigningKey);

impl SecretKey {
    /// From 32 secret bytes.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// The 32 secret bytes, to be stored with care.
    #[must_use]
    pub fn seed(&self) -> zeroize::Zeroizing<[u8; 32]> {
        zeroize::Zeroizing::new(self.0.to_bytes())
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> DeviceId {
        DeviceId(self.0.verifying_key().to_bytes())
    }

    /// Signs bytes under a label.
    #[must_use]
    pub fn sign(&self, label: &str, bytes: &[u8]) -> Signature {
        let labelled = labelled(label, bytes);
        let signature = Signature::from_bytes(&self.0.sign(&labelled).to_bytes());
        #[cfg(feature = "memo")]
        memo::note(memo::name(&self.public(), &labelled, &signature));
        signature
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey of {:?}", self.public())
    }
}

fn labelled(label: &str, bytes: &[u8]) -> Vec<u8> {
    let mut all = Vec::with_capacity(label.len() + 1 + bytes.len());
    all.extend_from_slice(label.as_bytes());
    all.push(0);
    all.extend_from_slice(bytes);
    all
}

/// Checks a signature over labelled bytes.
///
/// # Errors
/// [`SignedError::Key`] or [`SignedError::Signature`].
pub fn verify(key: &DeviceId, label: &str, bytes: &[u8], signature: &Signature) -> Result<(), SignedError> {
    let labelled = labelled(label, bytes);
    #[cfg(feature = "memo")]
    let name = memo::name(key, &labelled, signature);
    #[cfg(feature = "memo")]
    if memo::knows(&name) {
        return Ok(());
    }
    let key = VerifyingKey::from_bytes(&key.0).map_err(|_| SignedError::Key)?;
    let signature = ed25519_dalek::Signature::from_bytes(&signature.to_bytes());
    key.verify_strict(&labelled, &signature).map_err(|_| SignedError::Signature)?;
    #[cfg(feature = "memo")]
    memo::note(name);
    Ok(())
}

/// Signatures that this thread made or found good, for the simulator: a hundred cores in one process check the same
/// ones. Nothing is ever taken for good that was not.
#[cfg(feature = "memo")]
mod memo {
    use super::{DeviceId, Signature};
    use std::cell::RefCell;
    use std::collections::BTreeSet;

    /// Signatures remembered; all are forgotten when there are more.
    const MAX: usize = 1 << 16;

    thread_local! {
        static GOOD: RefCell<BTreeSet<[u8; 32]>> = const { RefCell::new(BTreeSet::new()) };
    }

    pub(super) fn name(key: &DeviceId, labelled: &[u8], signature: &Signature) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&key.0).update(&signature.to_bytes()).update(labelled);
        hasher.finalize().into()
    }

    pub(super) fn knows(name: &[u8; 32]) -> bool {
        GOOD.with_borrow(|good| good.contains(name))
    }

    pub(super) fn note(name: [u8; 32]) {
        GOOD.with_borrow_mut(|good| {
            if good.len() >= MAX {
                good.clear();
            }
            good.insert(name);
        });
    }
}

/// A type that is signed on its own, with the label that its signatures cover.
pub trait Labelled: Serialize + DeserializeOwned {
    /// The label, `lanchat/<what>/<version>`.
    const LABEL: &'static str;
}

/// A signed `T`: its bytes as they were signed, and the signature.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Signed<T, const N: usize = MAX_SIGNED> {
    bytes: Blob<N>,
    signature: Signature,
    #[serde(skip)]
    value: PhantomData<fn() -> T>,
}

impl<T: Labelled, const N: usize> Signed<T, N> {
    /// Encodes and signs.
    ///
    /// # Errors
    /// [`SignedError::TooLarge`].
    pub fn sign(value: &T, key: &SecretKey) -> Result<Self, SignedError> {
        let bytes = codec::encode(value).map_err(|_| SignedError::TooLarge)?;
        let signature = key.sign(T::LABEL, &bytes);
        let bytes = Blob::new(bytes).map_err(|_| SignedError::TooLarge)?;
        Ok(Self { bytes, signature, value: PhantomData })
    }

    /// Checks the signature by `key` and reads the value.
    ///
    /// # Errors
    /// [`SignedError`].
    pub fn open(&self, key: &DeviceId) -> Result<T, SignedError> {
        verify(key, T::LABEL, &self.bytes, &self.signature)?;
        self.peek()
    }

    /// Reads the value without checking anything, to learn which key to check with.
    ///
    /// # Errors
    /// [`SignedError::Decode`].
    pub fn peek(&self) -> Result<T, SignedError> {
        Ok(codec::decode(&self.bytes, N)?)
    }

    /// Hash of the signed bytes.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        blake3::hash(&self.bytes).into()
    }
}

impl<T, const N: usize> fmt::Debug for Signed<T, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signed[{}]", self.bytes.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct One(u32);
    impl Labelled for One {
        const LABEL: &'static str = "lanchat/one/1";
    }
    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct Two(u32);
    impl Labelled for Two {
        const LABEL: &'static str = "lanchat/two/1";
    }

    #[test]
    fn a_signature_serves_one_key_one_label_and_these_bytes() {
        let key = SecretKey::from_seed(&[1; 32]);
        let other = SecretKey::from_seed(&[2; 32]);
        let signed: Signed<One> = Signed::sign(&One(7), &key).unwrap();
        assert_eq!(signed.open(&key.public()), Ok(One(7)));
        assert_eq!(signed.open(&other.public()), Err(SignedError::Signature));
        let bytes = codec::encode(&signed).unwrap();
        let relabelled: Signed<Two> = codec::decode(&bytes, 1024).unwrap();
        assert_eq!(relabelled.open(&key.public()), Err(SignedError::Signature));
        for at in 8..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            let changed: Signed<One> = codec::decode(&changed, 1024).unwrap();
            assert!(changed.open(&key.public()).is_err(), "byte {at}");
        }
    }
}
