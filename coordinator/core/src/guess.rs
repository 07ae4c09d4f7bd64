//! Limits on guessing passwords and invites.
//!
//! Keeps true: after a few wrong passwords for an account from one address each further one has to wait, twice as long
//! every time; one address, and all addresses together for one account, get a bounded number of tries an hour. Nobody is
//! locked out for good, and an address from which the account was let in before is not held up by strangers' guesses.
//! All maps are bounded. `docs/security.md` has the figures.

use crate::address::Source;
use crate::buckets::{Buckets, make_room};
use crate::limits::{
    ACCOUNT_REFILL, ACCOUNT_TRIES, ADDRESS_REFILL, ADDRESS_TRIES, FIRST_WAIT, FREE_TRIES, GUESS_MEMORY,
    MAX_GUESS_KEYS, MAX_KNOWN_ADDRESSES, MAX_WAIT, REGISTER_REFILL, REGISTER_TRIES,
};
use lanchat_proto::names::UserName;
use lanchat_proto::time::Mono;
use std::collections::BTreeMap;
use std::time::Duration;

/// Wrong passwords for one account from one source.
#[derive(Clone, Copy)]
struct Wrong {
    count: u32,
    last: Mono,
}

impl Wrong {
    fn wait(self) -> Duration {
        match self.count.checked_sub(FREE_TRIES) {
            None => Duration::ZERO,
            Some(over) => {
                FIRST_WAIT.saturating_mul(1_u32.checked_shl(over).unwrap_or(u32::MAX)).min(MAX_WAIT)
            }
        }
    }
}

/// Everything remembered about wrong tries.
pub(crate) struct Guesses {
    wrong: BTreeMap<(UserName, Source), Wrong>,
    accounts: Buckets<UserName>,
    sources: Buckets<Source>,
    registrations: Buckets<Source>,
    known: BTreeMap<(UserName, Source), Mono>,
}

impl Guesses {
    pub(crate) fn new() -> Self {
        Self {
            wrong: BTreeMap::new(),
            accounts: Buckets::new(ACCOUNT_TRIES, ACCOUNT_REFILL, MAX_GUESS_KEYS),
            sources: Buckets::new(ADDRESS_TRIES, ADDRESS_REFILL, MAX_GUESS_KEYS),
            registrations: Buckets::new(REGISTER_TRIES, REGISTER_REFILL, MAX_GUESS_KEYS),
            known: BTreeMap::new(),
        }
    }

    /// How long a try for this account from there has to wait; zero for now.
    pub(crate) fn wait(&self, name: &UserName, source: Source, now: Mono) -> Duration {
        let key = (name.clone(), source);
        let own = self
            .wrong
            .get(&key)
            .map_or(Duration::ZERO, |wrong| wrong.wait().saturating_sub(now.since(wrong.last)));
        let account =
            if self.known.contains_key(&key) { Duration::ZERO } else { self.accounts.wait(name, now) };
        own.max(account).max(self.wait_for_source(source, now))
    }

    /// How long any try from there has to wait; zero for now.
    pub(crate) fn wait_for_source(&self, source: Source, now: Mono) -> Duration {
        self.sources.wait(&source, now)
    }

    /// A wrong password.
    pub(crate) fn wrong(&mut self, name: &UserName, source: Source, now: Mono) {
        let key = (name.clone(), source);
        make_room(&mut self.wrong, &key, MAX_GUESS_KEYS, |wrong| wrong.last);
        let wrong = self.wrong.entry(key).or_insert(Wrong { count: 0, last: now });
        *wrong = Wrong { count: wrong.count.saturating_add(1), last: now };
        self.accounts.take(name, now);
        self.sources.take(&source, now);
    }

    /// A wrong invite.
    pub(crate) fn wrong_invite(&mut self, source: Source, now: Mono) {
        self.sources.take(&source, now);
    }

    /// The right password, or a sign-in by key: this address is the account's.
    pub(crate) fn right(&mut self, name: &UserName, source: Source, now: Mono) {
        let key = (name.clone(), source);
        self.wrong.remove(&key);
        if self.known.len() >= MAX_KNOWN_ADDRESSES && !self.known.contains_key(&key) {
            let oldest = self.known.iter().min_by_key(|(_, at)| **at).map(|(key, _)| key.clone());
            oldest.and_then(|oldest| self.known.remove(&oldest));
        }
        self.known.insert(key, now);
    }

    /// Counts an account opened from there where anybody may; says how long to wait instead if there were too many.
    pub(crate) fn register(&mut self, source: Source, now: Mono) -> Result<(), Duration> {
        let wait = self.registrations.wait(&source, now);
        if wait > Duration::ZERO {
            return Err(wait);
        }
        self.registrations.take(&source, now);
        Ok(())
    }

    /// Drops what is too old to matter.
    pub(crate) fn forget(&mut self, now: Mono) {
        self.wrong.retain(|_, wrong| now.since(wrong.last) < GUESS_MEMORY);
        self.accounts.forget(now);
        self.sources.forget(now);
        self.registrations.forget(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lanchat_proto::wire::Endpoint;

    fn source(text: &str) -> Source {
        Source::of(Endpoint::new(text.parse().unwrap()))
    }

    fn at(seconds: u64) -> Mono {
        Mono(Duration::from_secs(seconds))
    }

    fn name(text: &str) -> UserName {
        text.parse().unwrap()
    }

    #[test]
    fn five_tries_are_free_then_the_wait_doubles_up_to_a_quarter_of_an_hour() {
        let (mut guesses, al, here) = (Guesses::new(), name("al"), source("10.0.0.1:1"));
        for _ in 0..FREE_TRIES {
            assert_eq!(guesses.wait(&al, here, at(0)), Duration::ZERO);
            guesses.wrong(&al, here, at(0));
        }
        assert_eq!(guesses.wait(&al, here, at(0)), Duration::from_secs(1));
        assert_eq!(guesses.wait(&al, here, at(1)), Duration::ZERO);
        guesses.wrong(&al, here, at(1));
        assert_eq!(guesses.wait(&al, here, at(1)), Duration::from_secs(2));
        for second in 2..40 {
            guesses.wrong(&al, here, at(second * 3));
        }
        assert_eq!(guesses.wait(&al, here, at(39 * 3)), MAX_WAIT);
    }

    #[test]
    fn the_right_password_clears_the_slate() {
        let (mut guesses, al, here) = (Guesses::new(), name("al"), source("10.0.0.1:1"));
        (0..9).for_each(|_| guesses.wrong(&al, here, at(0)));
        assert!(guesses.wait(&al, here, at(0)) > Duration::ZERO);
        guesses.right(&al, here, at(0));
        assert_eq!(guesses.wait(&al, here, at(0)), Duration::ZERO);
    }

    #[test]
    fn many_addresses_together_are_held_up_but_not_where_the_user_has_been() {
        let (mut guesses, al, desk) = (Guesses::new(), name("al"), source("10.0.0.1:1"));
        guesses.right(&al, desk, at(0));
        for n in 0..ACCOUNT_TRIES {
            guesses.wrong(&al, source(&format!("10.1.{}.{}:1", n / 200, n % 200)), at(0));
        }
        assert!(guesses.wait(&al, source("10.9.9.9:1"), at(0)) > Duration::ZERO);
        assert_eq!(guesses.wait(&al, desk, at(0)), Duration::ZERO);
        assert_eq!(guesses.wait(&name("bo"), source("10.9.9.9:1"), at(0)), Duration::ZERO);
        assert_eq!(guesses.wait(&al, source("10.9.9.9:1"), at(36)), Duration::ZERO);
    }

    #[test]
    fn one_address_is_held_up_for_all_accounts() {
        let (mut guesses, here) = (Guesses::new(), source("10.0.0.1:1"));
        for n in 0..ADDRESS_TRIES {
            guesses.wrong(&name(&format!("user{n}")), here, at(0));
        }
        assert!(guesses.wait(&name("fresh"), here, at(0)) > Duration::ZERO);
        assert_eq!(guesses.wait(&name("fresh"), source("10.0.0.2:1"), at(0)), Duration::ZERO);
    }

    #[test]
    fn memory_is_bounded_and_old_wrongs_are_forgotten() {
        let mut guesses = Guesses::new();
        for n in 0..MAX_GUESS_KEYS as u32 + 50 {
            let [_, b, c, d] = n.to_be_bytes();
            guesses.wrong(&name("al"), source(&format!("10.{b}.{c}.{d}:1")), at(1));
        }
        assert!(guesses.wrong.len() <= MAX_GUESS_KEYS && guesses.sources.map.len() <= MAX_GUESS_KEYS);
        guesses.forget(at(3602));
        assert!(guesses.wrong.is_empty() && guesses.sources.map.is_empty());
    }
}
