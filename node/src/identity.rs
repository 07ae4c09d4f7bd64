//! The device's secret keys: made here, kept in `device.key`, never sent anywhere.
//!
//! The file has three lines: a heading with the version, the Ed25519 seed and the X25519 secret, both in hex.

use crate::platform;
use data_encoding::HEXLOWER_PERMISSIVE as HEX;
use lanchat_proto::ids::DeviceId;
use lanchat_proto::signed::SecretKey;
use std::io;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

const HEADING: &str = "lanchat device key 1";

/// The keys cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The file cannot be read or written.
    #[error("{path}: {reason}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: io::Error,
    },
    /// The file is not a key file.
    #[error("{0} is damaged: it is not a device key of this version")]
    Damaged(PathBuf),
    /// The system gives no random numbers.
    #[error("the system gives no random numbers")]
    Random,
}

/// A device's secret keys.
#[derive(Clone)]
pub struct Identity {
    /// Signs; its public half is the device.
    pub key: SecretKey,
    sealing: Zeroizing<[u8; 32]>,
}

/// `N` random bytes from the system.
///
/// # Errors
/// [`IdentityError::Random`].
pub fn random<const N: usize>() -> Result<[u8; N], IdentityError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| IdentityError::Random)?;
    Ok(bytes)
}

impl Identity {
    /// New keys.
    ///
    /// # Errors
    /// [`IdentityError::Random`].
    pub fn generate() -> Result<Self, IdentityError> {
        let seed = Zeroizing::new(random::<32>()?);
        Ok(Self { key: SecretKey::from_seed(&seed), sealing: Zeroizing::new(random()?) })
    }

    /// This signing key with a new sealing key, for a device that comes back from a backup.
    ///
    /// # Errors
    /// [`IdentityError::Random`].
    pub fn with_key(key: SecretKey) -> Result<Self, IdentityError> {
        Ok(Self { key, sealing: Zeroizing::new(random()?) })
    }

    /// The device.
    #[must_use]
    pub fn device(&self) -> DeviceId {
        self.key.public()
    }

    /// The X25519 public key, for certificates.
    #[must_use]
    pub fn sealing_public(&self) -> [u8; 32] {
        let secret = x25519_dalek::StaticSecret::from(*self.sealing);
        x25519_dalek::PublicKey::from(&secret).to_bytes()
    }

    /// Reads a key file.
    ///
    /// # Errors
    /// [`IdentityError`].
    pub fn load(path: &Path) -> Result<Self, IdentityError> {
        let text = std::fs::read_to_string(path)
            .map(Zeroizing::new)
            .map_err(|reason| IdentityError::File { path: path.to_path_buf(), reason })?;
        Self::parse(&text).ok_or_else(|| IdentityError::Damaged(path.to_path_buf()))
    }

    /// Reads keys from the text of a key file.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        if lines.next() != Some(HEADING) {
            return None;
        }
        let mut secret = || {
            let bytes = Zeroizing::new(HEX.decode(lines.next()?.trim().as_bytes()).ok()?);
            <[u8; 32]>::try_from(bytes.as_slice()).ok().map(Zeroizing::new)
        };
        let seed = secret()?;
        let sealing = secret()?;
        Some(Self { key: SecretKey::from_seed(&seed), sealing })
    }

    /// The text of a key file with these keys.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        let seed = Zeroizing::new(HEX.encode(&*self.key.seed()));
        let sealing = Zeroizing::new(HEX.encode(&*self.sealing));
        Zeroizing::new(format!("{HEADING}\n{}\n{}\n", *seed, *sealing))
    }

    /// Writes the key file, 0600.
    ///
    /// # Errors
    /// [`IdentityError::File`].
    pub fn save(&self, path: &Path) -> Result<(), IdentityError> {
        platform::write_private(path, self.to_text().as_bytes())
            .map_err(|reason| IdentityError::File { path: path.to_path_buf(), reason })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_survive_the_file_and_damage_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("device.key");
        let identity = Identity::generate().unwrap();
        identity.save(&path).unwrap();
        let loaded = Identity::load(&path).unwrap();
        assert_eq!(loaded.device(), identity.device());
        assert_eq!(loaded.sealing_public(), identity.sealing_public());
        std::fs::write(&path, "lanchat device key 1\nabcd\n").unwrap();
        assert!(matches!(Identity::load(&path), Err(IdentityError::Damaged(_))));
        assert!(matches!(Identity::load(&dir.path().join("none")), Err(IdentityError::File { .. })));
    }
}
