//! What opens the API: the token of `api.json`, one-time codes, the sessions made from them, tickets for images.
//!
//! Keeps true: every secret has 256 random bits; a code or ticket works once and for 60 s; each kind is bounded.
//! Time comes in as an argument.

use crate::api::limits::{CODE_LIFE, CODES, SESSIONS, TICKET_LIFE, TICKETS};
use data_encoding::BASE64URL_NOPAD;
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use subtle::ConstantTimeEq;

/// The system gives no random numbers.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the system gives no random numbers")]
pub struct NoRandom;

/// A new secret, URL-safe.
pub(crate) fn random_secret() -> Result<String, NoRandom> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|_| NoRandom)?;
    Ok(BASE64URL_NOPAD.encode(&bytes))
}

fn same(a: &str, b: &str) -> bool {
    a.as_bytes().ct_eq(b.as_bytes()).into()
}

/// Secrets that die young: used once or after their time.
#[derive(Default)]
struct Short {
    // Oldest first: secret, what it is for, when it was made.
    alive: VecDeque<(String, String, Instant)>,
}

impl Short {
    fn expire(&mut self, now: Instant, life: Duration) {
        self.alive.retain(|(_, _, made)| now.saturating_duration_since(*made) < life);
    }

    fn add(&mut self, what: &str, now: Instant, life: Duration, most: usize) -> Result<String, NoRandom> {
        self.expire(now, life);
        while self.alive.len() >= most {
            self.alive.pop_front();
        }
        let secret = random_secret()?;
        self.alive.push_back((secret.clone(), what.to_owned(), now));
        Ok(secret)
    }

    fn take(&mut self, secret: &str, what: &str, now: Instant, life: Duration) -> bool {
        self.expire(now, life);
        let found = self.alive.iter().position(|(held, use_for, _)| same(held, secret) && use_for == what);
        found.is_some_and(|at| self.alive.remove(at).is_some())
    }
}

/// All secrets of one run.
pub(crate) struct Secrets {
    token: String,
    sessions: VecDeque<String>,
    codes: Short,
    tickets: Short,
}

impl Secrets {
    pub(crate) fn new() -> Result<Self, NoRandom> {
        Ok(Self {
            token: random_secret()?,
            sessions: VecDeque::new(),
            codes: Short::default(),
            tickets: Short::default(),
        })
    }

    /// The token of `api.json`.
    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// Whether a bearer may use the API.
    pub(crate) fn is_token(&self, given: &str) -> bool {
        // No short cut: all are compared.
        self.sessions.iter().fold(same(&self.token, given), |found, held| same(held, given) | found)
    }

    pub(crate) fn new_code(&mut self, now: Instant) -> Result<String, NoRandom> {
        self.codes.add("", now, CODE_LIFE, CODES)
    }

    /// A session's token for a code that is alive; the code is used up.
    pub(crate) fn open_session(&mut self, code: &str, now: Instant) -> Result<Option<String>, NoRandom> {
        if !self.codes.take(code, "", now, CODE_LIFE) {
            return Ok(None);
        }
        let token = random_secret()?;
        while self.sessions.len() >= SESSIONS {
            self.sessions.pop_front();
        }
        self.sessions.push_back(token.clone());
        Ok(Some(token))
    }

    /// A ticket for one look at one path.
    pub(crate) fn new_ticket(&mut self, path: &str, now: Instant) -> Result<String, NoRandom> {
        self.tickets.add(path, now, TICKET_LIFE, TICKETS)
    }

    /// Whether a ticket opens a path; it is used up.
    pub(crate) fn use_ticket(&mut self, ticket: &str, path: &str, now: Instant) -> bool {
        self.tickets.take(ticket, path, now, TICKET_LIFE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_opens_one_session_within_its_minute() {
        let mut secrets = Secrets::new().unwrap();
        let start = Instant::now();
        let code = secrets.new_code(start).unwrap();
        let session = secrets.open_session(&code, start + Duration::from_secs(59)).unwrap().unwrap();
        assert!(secrets.is_token(&session));
        assert_ne!(session, secrets.token());
        assert!(secrets.open_session(&code, start + Duration::from_secs(59)).unwrap().is_none());
        let late = secrets.new_code(start).unwrap();
        assert!(secrets.open_session(&late, start + CODE_LIFE).unwrap().is_none());
        assert!(secrets.open_session("", start).unwrap().is_none());
    }

    #[test]
    fn a_ticket_opens_its_path_once() {
        let mut secrets = Secrets::new().unwrap();
        let now = Instant::now();
        let ticket = secrets.new_ticket("/a", now).unwrap();
        assert!(!secrets.use_ticket(&ticket, "/b", now));
        assert!(secrets.use_ticket(&ticket, "/a", now));
        assert!(!secrets.use_ticket(&ticket, "/a", now));
        let late = secrets.new_ticket("/a", now).unwrap();
        assert!(!secrets.use_ticket(&late, "/a", now + TICKET_LIFE));
        assert!(!secrets.is_token(&late));
    }

    #[test]
    fn every_kind_is_bounded_and_the_oldest_goes() {
        let mut secrets = Secrets::new().unwrap();
        let now = Instant::now();
        let first = secrets.new_code(now).unwrap();
        for _ in 0..CODES {
            secrets.new_code(now).unwrap();
        }
        assert!(secrets.open_session(&first, now).unwrap().is_none());
        let code = secrets.new_code(now).unwrap();
        let oldest = secrets.open_session(&code, now).unwrap().unwrap();
        for _ in 0..SESSIONS {
            let code = secrets.new_code(now).unwrap();
            secrets.open_session(&code, now).unwrap().unwrap();
        }
        assert!(!secrets.is_token(&oldest));
        let token = secrets.token().to_owned();
        assert!(secrets.is_token(&token));
    }
}
