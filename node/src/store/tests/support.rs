//! A cast of devices that write logs, and a store to write them to.

use crate::store::writer::Job;
use crate::store::{Membership, Opened, Reader, Store, StoreAnswer};
use lanchat_node_core::boot::{LoadId, PersistId};
use lanchat_node_core::output::{Change, StoredEntry};
use lanchat_proto::blob::BlobHash;
use lanchat_proto::certificate::Certificate;
use lanchat_proto::codec::{self, BoundedVec, Text};
use lanchat_proto::entry::{
    Descriptor, Draft, Entry, EntryKind, FileBody, LogEnd, NudgeBody, OpenBody, TextBody, WireEntry,
};
use lanchat_proto::ids::{Epoch, LogId, MessageId, RealmId, UserId};
use lanchat_proto::signed::SecretKey;
use lanchat_proto::state::{FileRecord, FileWord, Receipt, ReceiptRecord};
use lanchat_proto::time::{Hlc, Wall};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

pub(super) const EPOCH: Epoch = Epoch(0xfedc_ba98_7654_3210);
/// The wall time at which stories begin.
pub(super) const START: u64 = 1_750_000_000_000;

/// A device of the open LAN, and so a user.
pub(super) struct Person {
    pub(super) key: SecretKey,
    pub(super) user: UserId,
}

pub(super) fn person(seed: u8) -> Person {
    let key = SecretKey::from_seed(&[seed; 32]);
    let user = UserId::of_open_device(&key.public());
    Person { key, user }
}

pub(super) fn certificate(person: &Person) -> Certificate {
    Certificate::self_signed(&person.key, "someone".parse().unwrap(), [7; 32], Wall(START)).unwrap()
}

pub(super) fn membership(person: &Person) -> Membership {
    Membership {
        realm: RealmId::OPEN,
        user: person.user,
        name: "someone".to_owned(),
        device: person.key.public(),
        certificate: certificate(person),
        chain: BoundedVec::empty(),
        coordinator: None,
        org: String::new(),
    }
}

pub(super) fn message(number: u128) -> MessageId {
    MessageId(number.to_be_bytes())
}

/// A log being written.
pub(super) struct Log {
    pub(super) id: LogId,
    pub(super) descriptor: Descriptor,
    pub(super) end: LogEnd,
    author: UserId,
    key: SecretKey,
}

impl Log {
    /// A log of `author` for the direct conversation with `other`, with its opening entry to be stored first.
    pub(super) fn begin(author: &Person, other: &Person, epoch: Epoch) -> (Self, Change) {
        let descriptor = Descriptor::direct(author.user, other.user);
        let conversation = descriptor.id(&RealmId::OPEN).unwrap();
        let id = LogId { conversation, device: author.key.public(), epoch };
        let mut log = Self {
            id,
            descriptor: descriptor.clone(),
            end: LogEnd::EMPTY,
            author: author.user,
            key: author.key.clone(),
        };
        let open = OpenBody { descriptor, certificate: certificate(author), chain: BoundedVec::empty() };
        let change = log.write(EntryKind::Open, Hlc(1), message(0), codec::encode(&open).unwrap());
        (log, change)
    }

    fn write(&mut self, kind: EntryKind, time: Hlc, message: MessageId, content: Vec<u8>) -> Change {
        let draft = Draft { realm: RealmId::OPEN, log: self.id, time, kind, message, salt: [9; 16], content };
        let entry = Entry::write(draft, &self.end, &self.key).unwrap();
        self.end = entry.end();
        Change::Entry(StoredEntry {
            received_at: time.wall().max(Wall(START)),
            begins: false,
            descriptor: self.descriptor.clone(),
            author: self.author,
            entry,
        })
    }

    pub(super) fn says_at(
        &mut self,
        at: u64,
        number: u128,
        text: &str,
        reply_to: Option<MessageId>,
    ) -> Change {
        let body = TextBody { text: Text::new(text).unwrap(), reply_to };
        let content = codec::encode(&body).unwrap();
        self.write(EntryKind::Text, Hlc::at(Wall(START + at)), message(number), content)
    }

    /// A text, a second after the one before.
    pub(super) fn says(&mut self, number: u128, text: &str) -> Change {
        let at = self.end.time.wall().0.saturating_sub(START) + 1000;
        self.says_at(at, number, text, None)
    }

    pub(super) fn offers(&mut self, number: u128, name: &str) -> Change {
        let at = Hlc::at(self.end.time.wall().plus(Duration::from_secs(1)).max(Wall(START)));
        let file = FileBody {
            name: Text::new(name).unwrap(),
            size: 7,
            media_type: Text::new("text/plain").unwrap(),
            hash: BlobHash([7; 32]),
            changed: Wall(1),
        };
        self.write(EntryKind::File, at, message(number), codec::encode(&file).unwrap())
    }

    pub(super) fn nudges(&mut self, number: u128) -> Change {
        let at = Hlc::at(self.end.time.wall().plus(Duration::from_secs(1)).max(Wall(START)));
        self.write(EntryKind::Nudge, at, message(number), codec::encode(&NudgeBody { strength: 1 }).unwrap())
    }
}

pub(super) fn receipt(log: &LogId, reader: &Person, received: u64, read: u64, counter: u64) -> Change {
    let record = ReceiptRecord {
        log: *log,
        reader: reader.key.public(),
        user: reader.user,
        receipt: Receipt { received, read },
        counter,
        time: Hlc::at(Wall(START)),
    };
    Change::Receipt { signed: record.sign(&RealmId::OPEN, &reader.key).unwrap(), record }
}

/// A device's word about an offer.
pub(super) fn word(log: &LogId, speaker: &Person, offer: MessageId, word: FileWord) -> Change {
    let record = FileRecord {
        conversation: log.conversation,
        offer,
        device: speaker.key.public(),
        user: speaker.user,
        word,
        counter: 1,
        time: Hlc::at(Wall(START)),
    };
    Change::Word { signed: record.sign(&RealmId::OPEN, &speaker.key).unwrap(), record }
}

/// A node's disk: a directory with one database, of alice's.
pub(super) struct Disk {
    pub(super) directory: Arc<tempfile::TempDir>,
    pub(super) path: PathBuf,
}

impl Disk {
    pub(super) fn of(person: &Person) -> Self {
        let directory = Arc::new(tempfile::tempdir().unwrap());
        let path = directory.path().join("lanchat.db");
        Store::create(&path, &membership(person), EPOCH).unwrap();
        Self { directory, path }
    }

    pub(super) fn open(&self) -> Running {
        Running { _directory: Some(self.directory.clone()), ..Running::open(&self.path) }
    }
}

/// An opened store and its answers.
pub(super) struct Running {
    pub(super) store: Store,
    pub(super) reader: Reader,
    pub(super) opened: Opened,
    answers: mpsc::Receiver<StoreAnswer>,
    next: u64,
    /// Kept until the database is closed.
    _directory: Option<Arc<tempfile::TempDir>>,
}

impl Running {
    pub(super) fn open(path: &Path) -> Self {
        let (sender, answers) = mpsc::channel(16);
        let (store, reader, opened) = Store::open(path, sender).unwrap();
        Self { store, reader, opened, answers, next: 0, _directory: None }
    }

    /// Queues a write.
    pub(super) async fn write(&mut self, changes: Vec<Change>) -> PersistId {
        self.next += 1;
        self.store.persist(PersistId(self.next), changes).await;
        PersistId(self.next)
    }

    pub(super) async fn answer(&mut self) -> StoreAnswer {
        tokio::time::timeout(Duration::from_secs(30), self.answers.recv()).await.unwrap().unwrap()
    }

    /// Writes and waits until it is on disk.
    pub(super) async fn stored(&mut self, changes: Vec<Change>) {
        let id = self.write(changes).await;
        match self.answer().await {
            StoreAnswer::Stored(stored) => assert_eq!(stored, id),
            other => panic!("{other:?}"),
        }
    }

    /// Writes and waits until it failed.
    pub(super) async fn refused(&mut self, changes: Vec<Change>) -> (Vec<(LogId, LogEnd)>, String) {
        let id = self.write(changes).await;
        match self.answer().await {
            StoreAnswer::Failed(failed, ends, reason) if failed == id => (ends, reason),
            other => panic!("{other:?}"),
        }
    }

    pub(super) async fn load(
        &mut self,
        log: LogId,
        from: u64,
        entries: usize,
        bytes: usize,
    ) -> Vec<(u64, WireEntry)> {
        self.next += 1;
        self.store.load(LoadId(self.next), log, from, entries, bytes).await;
        match self.answer().await {
            StoreAnswer::Loaded(id, entries) if id == LoadId(self.next) => entries,
            other => panic!("{other:?}"),
        }
    }

    pub(super) async fn job(&self, job: Job) {
        self.store.queue(job).await;
    }

    /// Ends the thread without closing, and waits until it is gone.
    pub(super) async fn crash(mut self) {
        self.job(Job::Crash).await;
        drop(self.store);
        while self.answers.recv().await.is_some() {}
    }

    pub(super) async fn close(self) {
        self.store.close().await;
    }
}
