//! A PC of the stage: a node, its disk, and everything that it was seen to do.

use super::*;
use lanchat_node_core::output::FetchOrder;
use lanchat_proto::ids::MessageId;

/// What waits for a disk.
#[derive(Debug)]
pub enum Job {
    Write(PersistId, Vec<Change>),
    Read(LoadId, LogId, u64, usize, usize),
}

/// How a disk behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskMood {
    /// Writes at once.
    Fine,
    /// Writes nothing until told otherwise.
    Held,
    /// Fails every write; `written` says whether the write is there nevertheless.
    Failing { written: bool },
    /// Fails every write, and cannot even read the ends of logs.
    Blind,
}

/// A PC.
pub struct Pc {
    pub key: SecretKey,
    pub user: UserId,
    pub core: Option<NodeState>,
    pub disk: MemoryStore,
    pub mood: DiskMood,
    pub host: HostId,
    pub address: Endpoint,
    /// Error of the wall clock in milliseconds.
    pub skew: i64,
    pub settings: Settings,
    pub events: Vec<Event>,
    pub answers: BTreeMap<RequestId, Result<Answer, CommandError>>,
    pub sent: Vec<(LinkId, Frame)>,
    pub closed: Vec<LinkId>,
    pub admitted: Vec<LinkId>,
    pub dialled: Vec<(DeviceId, Vec<Endpoint>, Channel)>,
    /// Files that it was to fetch, those that it was to save over no link, and those of which it was to throw everything
    /// away.
    pub fetches: Vec<FetchOrder>,
    pub saves: Vec<MessageId>,
    pub discarded: Vec<MessageId>,
    /// Whether it keeps a place at the relay.
    pub reserved: bool,
    pub jobs: VecDeque<Job>,
    /// Rises with every start.
    pub run: u32,
}

impl Pc {
    pub fn device(&self) -> DeviceId {
        self.key.public()
    }

    pub fn notices(&self) -> Vec<Notice> {
        let notice =
            |event: &Event| if let Event::Notice(notice) = event { Some(notice.clone()) } else { None };
        self.events.iter().filter_map(notice).collect()
    }

    pub fn messages(&self) -> Vec<&StoredEntry> {
        let mut messages = Vec::new();
        for event in &self.events {
            if let Event::Message(entry) = event {
                messages.push(&**entry);
            }
        }
        messages
    }

    pub fn sent_kinds(&self, link: LinkId) -> Vec<Option<Kind>> {
        self.sent.iter().filter(|(id, _)| *id == link).map(|(_, frame)| frame.known()).collect()
    }
}
