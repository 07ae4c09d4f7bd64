//! `org.key`: the organisation's root, the issuing key with the root's word for it, the coordinator's own key.
//!
//! Keeps true: the file is written once and changed only to replace the issuing key; whoever has it is the
//! organisation, so it is its owner's alone.

use crate::error::ServerError;
use crate::platform::write_private;
use crate::settings::{DataDir, read_small};
use data_encoding::HEXLOWER_PERMISSIVE as HEX;
use lanchat_coordinator_core::{Keys, sign_issuing};
use lanchat_proto::certificate::IssuingCertificate;
use lanchat_proto::codec;
use lanchat_proto::limits::MAX_SIGNED;
use lanchat_proto::signed::{SecretKey, Signed};
use lanchat_proto::time::Wall;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Version of the file's layout.
const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
struct File {
    format: u32,
    /// Secret seeds in hex.
    root: String,
    issuing: String,
    coordinator: String,
    /// The root's word for the issuing key.
    certificate: String,
}

/// What the program needs of the file.
pub(crate) struct OrgKeys {
    /// For the rules.
    pub(crate) keys: Keys,
    /// The coordinator's own device key.
    pub(crate) coordinator: SecretKey,
    root: SecretKey,
}

fn seed() -> Result<SecretKey, ServerError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)?;
    let key = SecretKey::from_seed(&seed);
    seed.zeroize();
    Ok(key)
}

/// Reads the keys, or makes them where there are none. Says whether they are new.
pub(crate) fn load_or_create(dir: &DataDir, now: Wall) -> Result<(OrgKeys, bool), ServerError> {
    match read_small(&dir.keys())? {
        Some(mut text) => {
            let keys = parse(dir, &text);
            text.zeroize();
            Ok((keys?, false))
        }
        None => {
            let keys = OrgKeys::with_issuing(seed()?, seed()?, seed()?, None, now)
                .ok_or_else(|| damaged(dir, "the keys cannot sign"))?;
            keys.write(dir)?;
            Ok((keys, true))
        }
    }
}

fn damaged(dir: &DataDir, what: &'static str) -> ServerError {
    ServerError::Keys { path: dir.keys(), what }
}

fn parse(dir: &DataDir, text: &str) -> Result<OrgKeys, ServerError> {
    let file: File = toml::from_str(text).map_err(|_| damaged(dir, "not a key file"))?;
    if file.format != FORMAT {
        return Err(damaged(dir, "of another version of this program"));
    }
    let key = |hex: &str| {
        let mut bytes = HEX.decode(hex.as_bytes()).ok()?;
        let seed: Option<[u8; 32]> = bytes.as_slice().try_into().ok();
        bytes.zeroize();
        seed.map(|seed| SecretKey::from_seed(&seed))
    };
    let keys = (key(&file.root), key(&file.issuing), key(&file.coordinator));
    let (Some(root), Some(issuing), Some(coordinator)) = keys else {
        return Err(damaged(dir, "a key is damaged"));
    };
    let certificate = HEX.decode(file.certificate.as_bytes()).ok();
    let certificate: Signed<IssuingCertificate> = certificate
        .and_then(|bytes| codec::decode(&bytes, 2 * MAX_SIGNED).ok())
        .ok_or_else(|| damaged(dir, "the issuing certificate is damaged"))?;
    let said = certificate.open(&root.public());
    if !said.is_ok_and(|said| said.issuer == issuing.public() && said.coordinator == coordinator.public()) {
        return Err(damaged(dir, "the issuing certificate is of other keys"));
    }
    OrgKeys::with_issuing(root, issuing, coordinator, Some(certificate), Wall(0))
        .ok_or_else(|| damaged(dir, "the keys cannot sign"))
}

impl OrgKeys {
    fn with_issuing(
        root: SecretKey,
        issuing: SecretKey,
        coordinator: SecretKey,
        certificate: Option<Signed<IssuingCertificate>>,
        now: Wall,
    ) -> Option<Self> {
        let own = coordinator.public();
        let certificate = match certificate {
            Some(certificate) => certificate,
            None => sign_issuing(&root, &issuing.public(), &own, now).ok()?,
        };
        // The salts of passwords hang on the root, so that neither a new issuing key nor a restore changes them.
        let salt = blake3::derive_key("lanchat/coordinator/salt/1", &*root.seed());
        let keys = Keys { issuing, certificate, root: root.public(), coordinator: own, salt };
        Some(Self { keys, coordinator, root })
    }

    /// Replaces the issuing key by a new one and writes the file.
    pub(crate) fn renew_issuing(self, dir: &DataDir, now: Wall) -> Result<Self, ServerError> {
        let keys = Self::with_issuing(self.root, seed()?, self.coordinator, None, now)
            .ok_or_else(|| damaged(dir, "the keys cannot sign"))?;
        keys.write(dir)?;
        Ok(keys)
    }

    /// The file's text.
    pub(crate) fn to_text(&self, dir: &DataDir) -> Result<String, ServerError> {
        let hex = |key: &SecretKey| HEX.encode(&*key.seed());
        let certificate = codec::encode(&self.keys.certificate)
            .map_err(|_| damaged(dir, "the certificate is too large"))?;
        let file = File {
            format: FORMAT,
            root: hex(&self.root),
            issuing: hex(&self.keys.issuing),
            coordinator: hex(&self.coordinator),
            certificate: HEX.encode(&certificate),
        };
        toml::to_string(&file).map_err(|_| damaged(dir, "cannot be written"))
    }

    fn write(&self, dir: &DataDir) -> Result<(), ServerError> {
        let mut text = self.to_text(dir)?;
        let written = write_private(&dir.keys(), text.as_bytes()).map_err(ServerError::file(&dir.keys()));
        text.zeroize();
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_stay_the_same_and_a_new_issuing_key_changes_nothing_else() {
        let temporary = tempfile::tempdir().unwrap();
        let dir = DataDir(temporary.path().to_owned());
        let (first, new) = load_or_create(&dir, Wall(1_000_000_000_000)).unwrap();
        assert!(new);
        let (again, new) = load_or_create(&dir, Wall(0)).unwrap();
        assert!(!new && again.keys.issuer() == first.keys.issuer() && again.keys.salt == first.keys.salt);
        let renewed = again.renew_issuing(&dir, Wall(1_000_000_000_000)).unwrap();
        assert_ne!(renewed.keys.issuer(), first.keys.issuer());
        assert_eq!(renewed.keys.realm(), first.keys.realm());
        assert_eq!(renewed.keys.coordinator, first.keys.coordinator);
        assert_eq!(renewed.keys.salt, first.keys.salt);
    }

    #[cfg(unix)]
    #[test]
    fn the_file_is_its_owners_alone() {
        use std::os::unix::fs::PermissionsExt;
        let temporary = tempfile::tempdir().unwrap();
        let dir = DataDir(temporary.path().to_owned());
        load_or_create(&dir, Wall(0)).unwrap();
        assert_eq!(std::fs::metadata(dir.keys()).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_damaged_file_is_refused_and_left_alone() {
        let temporary = tempfile::tempdir().unwrap();
        let dir = DataDir(temporary.path().to_owned());
        load_or_create(&dir, Wall(0)).unwrap();
        let text = std::fs::read_to_string(dir.keys()).unwrap();
        for bad in
            [text.replace("format = 1", "format = 2"), "x".into(), text.replace("root = \"", "root = \"00")]
        {
            std::fs::write(dir.keys(), &bad).unwrap();
            assert!(matches!(load_or_create(&dir, Wall(0)), Err(ServerError::Keys { .. })));
            assert_eq!(std::fs::read_to_string(dir.keys()).unwrap(), bad);
        }
    }
}
