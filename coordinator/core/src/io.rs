//! What goes into the machine and what comes out.

use crate::admin::{AdminCommand, AdminError, AdminResult};
use crate::issuer::Keys;
use crate::record::{Change, Loaded};
use lanchat_proto::codec::Text;
use lanchat_proto::frame::Frame;
use lanchat_proto::ids::{DeviceId, UserId};
use lanchat_proto::limits::MAX_ORG_NAME;
use lanchat_proto::wire::Endpoint;
use lanchat_proto::wire::reach::RelayTerms;
use std::sync::Arc;

/// One connection of a device. The shell numbers them and never uses a number twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LinkId(
    /// The number.
    pub u64,
);

/// One dial. Numbers are never used twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct DialId(
    /// The number.
    pub u64,
);

/// Who may open an account.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Registration {
    /// Anybody who reaches the coordinator.
    Open,
    /// Who has an invite.
    #[default]
    Invite,
    /// Nobody.
    Closed,
}

/// What the admin decided.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// The organisation's name.
    pub org: Text<MAX_ORG_NAME>,
    /// Who may open an account.
    pub registration: Registration,
    /// The budgets within which circuits are carried; `None` when they are not.
    pub relay: Option<RelayTerms>,
}

/// What a machine is built from.
pub struct Boot {
    /// Settings.
    pub config: Config,
    /// Keys.
    pub keys: Keys,
    /// Secret seed of the machine's random numbers; new at every start.
    pub seed: [u8; 32],
    /// Random id of this run.
    pub run: u64,
    /// What the store holds.
    pub stored: Loaded,
}

/// Something happened.
#[derive(Debug)]
pub enum Input {
    /// A device connected, or was reached by a dial; the transport has proved its key.
    Opened {
        /// The link.
        link: LinkId,
        /// The device.
        device: DeviceId,
        /// Its address as seen here.
        remote: Endpoint,
        /// The [`Output::Dial`] that it answers; such a link carries nothing.
        dial: Option<DialId>,
    },
    /// An [`Output::Dial`] came to nothing.
    DialFailed {
        /// Which.
        dial: DialId,
        /// Whether it was tried at all.
        tried: bool,
    },
    /// What carries circuits failed and was started anew.
    RelayRestarted,
    /// A frame arrived.
    Frame {
        /// On which link.
        link: LinkId,
        /// What.
        frame: Frame,
    },
    /// A link is gone.
    Closed {
        /// Which.
        link: LinkId,
    },
    /// A [`Output::Persist`] is on disk.
    Stored {
        /// Its id.
        id: u64,
    },
    /// A [`Output::Persist`] is not on disk, and nothing of it is.
    StoreFailed {
        /// Its id.
        id: u64,
    },
    /// The answer to [`Output::ReadAvatar`]; empty without one.
    AvatarRead {
        /// The link that asked.
        link: LinkId,
        /// Its request.
        request: u64,
        /// Whose.
        user: UserId,
        /// The picture.
        picture: Vec<u8>,
    },
    /// The admin wants something.
    Admin {
        /// Repeated in [`Output::AdminAnswer`].
        request: u64,
        /// What.
        command: AdminCommand,
    },
    /// The program ends: links are closed, nobody is announced offline, what is not on disk yet is given out once more.
    Stop,
}

/// Something is to be done, in this order.
#[derive(Debug)]
pub enum Output {
    /// Send a frame. One frame for many links is shared, not copied.
    Send {
        /// Where.
        link: LinkId,
        /// What.
        frame: Arc<Frame>,
    },
    /// The device of this link belongs here: lift what holds strangers back, and where circuits are carried, carry its own
    /// within the user's budget until the link is closed.
    Admit {
        /// Which.
        link: LinkId,
        /// Whose device it is.
        user: UserId,
    },
    /// Dial a device there as its colleagues would, and answer [`Input::Opened`] or [`Input::DialFailed`].
    Dial {
        /// Repeated in the answer.
        dial: DialId,
        /// Who must answer.
        device: DeviceId,
        /// Where.
        endpoint: Endpoint,
    },
    /// Close a link. [`Input::Closed`] need not follow.
    Close {
        /// Which.
        link: LinkId,
        /// Whether what was sent is to arrive first.
        after_flush: bool,
    },
    /// Write all of this or nothing, then answer [`Input::Stored`] or [`Input::StoreFailed`]. There is never more than
    /// one under way.
    Persist {
        /// Repeated in the answer.
        id: u64,
        /// What.
        changes: Vec<Change>,
    },
    /// Read a user's avatar and answer [`Input::AvatarRead`].
    ReadAvatar {
        /// To be repeated.
        link: LinkId,
        /// To be repeated.
        request: u64,
        /// Whose.
        user: UserId,
    },
    /// The answer to [`Input::Admin`].
    AdminAnswer {
        /// The request.
        request: u64,
        /// What came of it.
        result: Result<AdminResult, AdminError>,
    },
    /// Worth a line in the log.
    Notice(Notice),
}

/// Something worth a line in the log. Names nobody but by id.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Notice {
    /// What.
    pub what: &'static str,
    /// Which device, where there is one.
    pub device: Option<DeviceId>,
    /// Which user, where there is one.
    pub user: Option<UserId>,
}
