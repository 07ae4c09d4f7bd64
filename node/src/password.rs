//! From a password to what leaves this machine: Argon2id with the user's salt, 64 MiB, three passes.

use argon2::{Algorithm, Argon2, Params, Version};
use lanchat_proto::wire::coordinator::PasswordProof;

/// Memory of one run in KiB (`docs/protocol.md#passwords`).
const MEMORY_KIB: u32 = 64 * 1024;
/// Passes over it.
const PASSES: u32 = 3;
/// Bytes of the longest password.
pub const MAX_PASSWORD: usize = 1024;

/// A password cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Nothing there.
    #[error("the password is empty")]
    Empty,
    /// Too much of it.
    #[error("the password has more than {MAX_PASSWORD} bytes")]
    TooLong,
    /// Not enough memory for the derivation.
    #[error("not enough memory to check a password")]
    Memory,
}

/// Checks that a password can be used at all.
///
/// # Errors
/// [`PasswordError`].
pub fn check(password: &str) -> Result<(), PasswordError> {
    match password.len() {
        0 => Err(PasswordError::Empty),
        1..=MAX_PASSWORD => Ok(()),
        _ => Err(PasswordError::TooLong),
    }
}

/// Derives the proof; takes tens of milliseconds and 64 MiB.
///
/// # Errors
/// [`PasswordError`].
pub fn prove(password: &str, salt: &[u8; 16]) -> Result<PasswordProof, PasswordError> {
    check(password)?;
    let params = Params::new(MEMORY_KIB, PASSES, 1, Some(32)).map_err(|_| PasswordError::Memory)?;
    let mut proof = [0; 32];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(password.as_bytes(), salt, &mut proof)
        .map_err(|_| PasswordError::Memory)?;
    Ok(PasswordProof(proof))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_passwords_prove_equal_only_under_one_salt() {
        let a = prove("correct horse", &[1; 16]).unwrap();
        assert_eq!(a, prove("correct horse", &[1; 16]).unwrap());
        assert_ne!(a, prove("correct horse", &[2; 16]).unwrap());
        assert_ne!(a, prove("correct hors", &[1; 16]).unwrap());
        assert_eq!(prove("", &[1; 16]), Err(PasswordError::Empty));
        assert_eq!(prove(&"x".repeat(1025), &[1; 16]), Err(PasswordError::TooLong));
    }
}
