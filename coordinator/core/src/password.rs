//! What is kept of a password, and how a try is compared.
//!
//! Keeps true: a stolen database holds no proof that could be sent in place of the password; a comparison takes as long
//! for a wrong as for a right one, and for an unknown user as for a known one.

use crate::random::Random;
use crate::record::{AUTH_ARGON2ID_BLAKE3, Verifier};
use lanchat_proto::names::UserName;
use lanchat_proto::wire::coordinator::PasswordProof;
use subtle::ConstantTimeEq;

fn hash(key: &[u8; 32], proof: &PasswordProof) -> [u8; 32] {
    blake3::keyed_hash(key, &proof.0).into()
}

impl Verifier {
    /// What to keep of a password with this proof.
    pub(crate) fn of(proof: &PasswordProof, random: &mut Random) -> Self {
        let key = random.bytes();
        Self { scheme: AUTH_ARGON2ID_BLAKE3, key, hash: hash(&key, proof) }
    }

    /// Whether this is the proof of the same password.
    pub(crate) fn matches(&self, proof: &PasswordProof) -> bool {
        let equal = hash(&self.key, proof).ct_eq(&self.hash);
        bool::from(equal) && self.scheme == AUTH_ARGON2ID_BLAKE3
    }

    /// Nobody's password, to compare with where there is no account.
    pub(crate) fn nobody() -> Self {
        Self { scheme: AUTH_ARGON2ID_BLAKE3, key: [0; 32], hash: [0; 32] }
    }
}

/// A name's salt: the same for ever, whether or not there is such an account.
pub(crate) fn salt(secret: &[u8; 32], name: &UserName) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new_keyed(secret);
    hasher.update(b"lanchat/salt/1\0");
    hasher.update(name.as_str().as_bytes());
    let mut salt = [0; 16];
    hasher.finalize_xof().fill(&mut salt);
    salt
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_proof_matches_and_two_verifiers_of_it_differ() {
        let mut random = Random::new([1; 32]);
        let proof = PasswordProof([7; 32]);
        let (one, two) = (Verifier::of(&proof, &mut random), Verifier::of(&proof, &mut random));
        assert!(one.matches(&proof) && two.matches(&proof));
        assert_ne!(one.hash, two.hash);
        assert!(!one.matches(&PasswordProof([8; 32])));
        assert!(!Verifier::nobody().matches(&PasswordProof([0; 32])));
        let unknown_scheme = Verifier { scheme: 9, ..one };
        assert!(!unknown_scheme.matches(&proof));
    }

    #[test]
    fn a_salt_depends_on_name_and_secret_only() {
        let (al, bo) = ("al".parse().unwrap(), "bo".parse().unwrap());
        assert_eq!(salt(&[1; 32], &al), salt(&[1; 32], &al));
        assert_ne!(salt(&[1; 32], &al), salt(&[1; 32], &bo));
        assert_ne!(salt(&[1; 32], &al), salt(&[2; 32], &al));
    }
}
