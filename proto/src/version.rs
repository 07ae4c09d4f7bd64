//! Protocol versions, newest first, and the choice of one for a link. Stream names of libp2p.

/// A version of the link protocol between nodes and of the protocol to the coordinator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// The first: hello, direct conversations, receipts, presence.
    V1,
}

impl Version {
    /// Every version that this program speaks, newest first.
    pub const ALL: &'static [Self] = &[Self::V1];

    /// The number on the wire.
    #[must_use]
    pub const fn number(self) -> u16 {
        match self {
            Self::V1 => 1,
        }
    }

    /// The numbers to offer, newest first.
    #[must_use]
    pub fn offered() -> Vec<u16> {
        Self::ALL.iter().map(|version| version.number()).collect()
    }

    /// The newest version that both sides speak.
    #[must_use]
    pub fn choose(theirs: &[u16]) -> Option<Self> {
        Self::ALL.iter().copied().find(|version| theirs.contains(&version.number()))
    }
}

/// Stream name of the control stream between nodes.
pub const LINK_PROTOCOL: &str = "/lanchat/link/1";
/// Stream name of the control stream to a coordinator.
pub const COORDINATOR_PROTOCOL: &str = "/lanchat/coordinator/1";
/// Name of the streams of content between nodes.
pub const BLOB_PROTOCOL: &str = "/lanchat/blob/1";
/// What identify says of us.
pub const AGENT: &str = concat!("lanchat/", env!("CARGO_PKG_VERSION"));
/// TCP port of a node, unless taken.
pub const NODE_PORT: u16 = 7420;
/// Port of a node's local API, unless taken.
pub const NODE_UI_PORT: u16 = 7421;
/// TCP port of a coordinator.
pub const COORDINATOR_PORT: u16 = 7422;
/// Port of a coordinator's administration.
pub const COORDINATOR_ADMIN_PORT: u16 = 7423;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_newest_first_and_the_newest_common_one_is_chosen() {
        assert!(Version::ALL.windows(2).all(|pair| matches!(pair, [a, b] if a > b)));
        assert_eq!(Version::choose(&[9, 1]), Some(Version::V1));
        assert_eq!(Version::choose(&[9]), None);
    }
}
