//! The safety code of two users: what two people compare to know that nobody stands between them.
//!
//! Keeps true: both ends derive the same digits; another root of either user gives other digits. Goes in: realm, users
//! and the first device of each one's chain. Goes out: twelve groups of five digits. `docs/protocol.md#safety`.

use crate::ids::{DeviceId, RealmId, UserId};
use std::fmt;

/// Groups of a code.
const GROUPS: usize = 12;
/// Bytes that a group of five digits is made of: many more than it needs, so that all groups are all but equally likely.
const GROUP_BYTES: usize = 5;
/// Values of a group.
const GROUP_VALUES: u64 = 100_000;

/// A user as far as a code depends on it: the id, and the device where the chains of all its devices begin.
pub type Rooted = (UserId, DeviceId);

/// The code of a pair: 60 digits, about 199 bits. Whoever may choose keys at both ends would have to make about 2^99 of
/// them to find two pairs with one code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SafetyCode([u32; GROUPS]);

impl SafetyCode {
    /// The code of two users of a realm, in whatever order they are given.
    #[must_use]
    pub fn of(realm: &RealmId, one: Rooted, other: Rooted) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("lanchat/safety/1");
        hasher.update(&realm.0);
        for (user, root) in [one.min(other), one.max(other)] {
            hasher.update(&user.0);
            hasher.update(&root.0);
        }
        let mut bytes = [0; GROUPS * GROUP_BYTES];
        hasher.finalize_xof().fill(&mut bytes);
        let mut groups = [0; GROUPS];
        for (group, bytes) in groups.iter_mut().zip(bytes.chunks_exact(GROUP_BYTES)) {
            let number = bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
            *group = u32::try_from(number % GROUP_VALUES).unwrap_or_default();
        }
        Self(groups)
    }

    /// Whether digits that somebody gave, however they are grouped, are this code.
    #[must_use]
    pub fn is(&self, typed: &str) -> bool {
        let apart = |c: &char| c.is_whitespace() || *c == '-';
        let digits = |text: &str| -> String { text.chars().filter(|c| !apart(c)).collect() };
        digits(typed) == digits(&self.to_string())
    }
}

impl fmt::Display for SafetyCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, group) in self.0.iter().enumerate() {
            let space = if at == 0 { "" } else { " " };
            write!(f, "{space}{group:05}")?;
        }
        Ok(())
    }
}
