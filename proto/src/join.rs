//! Join links: `lanchat://join/ADDRESS[,ADDRESS…]/COORDINATOR/REALM[/INVITE]`.
//!
//! Keeps true: a link pins the coordinator's key and the organisation from the first byte. ADDRESS is `host:port`,
//! COORDINATOR and REALM are lower-case hex.

use crate::ids::{DeviceId, RealmId};
use crate::limits::{MAX_ENDPOINTS, MAX_INVITE};
use std::fmt;
use std::str::FromStr;

/// Where the link starts.
pub const JOIN_PREFIX: &str = "lanchat://join/";

/// A join link cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a join link: {0}")]
pub struct JoinError(
    /// What is wrong.
    pub &'static str,
);

/// A parsed join link.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JoinLink {
    /// `host:port` of the coordinator, one to [`MAX_ENDPOINTS`]; hosts may be names.
    pub addresses: Vec<String>,
    /// The coordinator's key.
    pub coordinator: DeviceId,
    /// The organisation.
    pub realm: RealmId,
    /// An invite, if the link carries one.
    pub invite: Option<String>,
}

fn address_ok(address: &str) -> bool {
    let Some((host, port)) = address.rsplit_once(':') else { return false };
    let bracketed = host.starts_with('[') && host.ends_with(']');
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '-' | '_' | '[' | ']' | '%');
    // An IPv6 address without brackets would swallow the port.
    !host.is_empty()
        && (bracketed || !host.contains(':'))
        && port.parse::<u16>().is_ok_and(|port| port != 0)
        && address.len() <= 300
        && address.chars().all(plain)
}

impl FromStr for JoinLink {
    type Err = JoinError;

    fn from_str(text: &str) -> Result<Self, JoinError> {
        let rest = text
            .trim()
            .strip_prefix(JOIN_PREFIX)
            .ok_or(JoinError("it does not start with lanchat://join/"))?;
        let mut parts = rest.trim_end_matches('/').split('/');
        let addresses: Vec<String> = parts
            .next()
            .unwrap_or_default()
            .split(',')
            .map(ToOwned::to_owned)
            .take(MAX_ENDPOINTS + 1)
            .collect();
        if addresses.len() > MAX_ENDPOINTS || !addresses.iter().all(|address| address_ok(address)) {
            return Err(JoinError("its addresses are not host:port"));
        }
        let coordinator =
            parts.next().and_then(|part| part.parse().ok()).ok_or(JoinError("the key is damaged"))?;
        let realm = parts
            .next()
            .and_then(|part| part.parse().ok())
            .ok_or(JoinError("the organisation is damaged"))?;
        let invite = parts.next().map(ToOwned::to_owned);
        let invite_ok = invite.as_ref().is_none_or(|invite| {
            (1..=MAX_INVITE).contains(&invite.len())
                && invite.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
        });
        if !invite_ok || parts.next().is_some() {
            return Err(JoinError("the invite is damaged"));
        }
        Ok(Self { addresses, coordinator, realm, invite })
    }
}

impl fmt::Display for JoinLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{JOIN_PREFIX}{}/{}/{}", self.addresses.join(","), self.coordinator, self.realm)?;
        self.invite.iter().try_for_each(|invite| write!(f, "/{invite}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_round_trips_and_damage_is_named() {
        let link = JoinLink {
            addresses: vec!["192.168.1.5:7422".into(), "[fd00::5]:7422".into(), "office.example:7422".into()],
            coordinator: DeviceId([3; 32]),
            realm: RealmId([4; 32]),
            invite: Some("abc-123".into()),
        };
        let text = link.to_string();
        assert_eq!(text.parse(), Ok(link.clone()));
        assert_eq!(format!(" {text}/\n").parse(), Ok(link.clone()));
        let plain = JoinLink { invite: None, ..link };
        assert_eq!(plain.to_string().parse(), Ok(plain));
        for bad in ["", "http://x", "lanchat://join/", "lanchat://join/a:1/zz/zz", &text.replace("7422", "x")]
        {
            assert!(bad.parse::<JoinLink>().is_err(), "{bad}");
        }
        assert!(format!("{text}/more").parse::<JoinLink>().is_err());
    }
}
