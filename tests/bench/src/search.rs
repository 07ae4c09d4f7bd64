//! `search`: a database of many messages, filled through the node's own store, and searches in it through the node's own
//! reader: insert rate, time until the index is complete, size, p50 and p95 of searches.

use crate::corpus::{Corpus, RARE_WORD};
use crate::error::BenchError;
use crate::figures::{Report, Samples, TimeUnit, count};
use crate::light::random;
use crate::memory::megabytes;
use lanchat::store::{Membership, Reader, Store, StoreAnswer};
use lanchat_node_core::boot::PersistId;
use lanchat_node_core::output::{Change, StoredEntry};
use lanchat_proto::certificate::{Certificate, DeviceChain};
use lanchat_proto::codec::{self, BoundedVec, Text};
use lanchat_proto::entry::{Descriptor, Draft, Entry, EntryKind, LogEnd, OpenBody, TextBody};
use lanchat_proto::ids::{ConversationId, Epoch, LogId, MessageId, RealmId, UserId};
use lanchat_proto::names::UserName;
use lanchat_proto::signed::SecretKey;
use lanchat_proto::time::{Hlc, Wall};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// People whom the database's user talks with.
const PEOPLE: usize = 20;
/// Entries in one write, as they come in one frame from a peer.
const BATCH: usize = 128;
/// Of so many messages one is in the quiet conversation.
const QUIET: usize = 2000;
/// Messages that a search asks for.
const LIMIT: usize = 50;
/// Answers of the store that may wait.
const ANSWERS: usize = 1024;
/// Time of the first message: 2025-01-01.
const FIRST: Wall = Wall(1_735_689_600_000);
/// Time for the index to be complete.
const INDEXING: Duration = Duration::from_secs(1800);

/// Measures with this many messages.
///
/// # Errors
/// [`BenchError`].
pub async fn run(messages: usize, quick: bool) -> Result<Report, BenchError> {
    let dir = tempfile::tempdir().map_err(BenchError::io("a temporary directory"))?;
    let path = dir.path().join("lanchat.db");
    let mut report = Report::new("search", quick);
    report.add("messages", count(messages), "");
    let (sender, answers) = mpsc::channel(ANSWERS);
    let writer = Writer::new()?;
    let conversations = writer.conversations.clone();
    Store::create(&path, &writer.membership, writer.epoch)
        .map_err(BenchError::failed("making a database"))?;
    let (store, reader, _) = Store::open(&path, sender).map_err(BenchError::failed("opening a database"))?;
    let corpus = fill(&store, answers, writer, messages, &path, &mut report).await?;
    searches(&reader, &corpus, &conversations, quick, &mut report)?;
    store.close().await;
    let size = std::fs::metadata(&path).map_err(BenchError::io("the database"))?.len();
    report.add("database", megabytes(size), "MB");
    Ok(report)
}

/// Writes all messages and waits for the index.
async fn fill(
    store: &Store,
    mut answers: mpsc::Receiver<StoreAnswer>,
    mut writer: Writer,
    messages: usize,
    path: &Path,
    report: &mut Report,
) -> Result<Corpus, BenchError> {
    let begin = Instant::now();
    let writes = messages.div_ceil(BATCH);
    let (batches, mut ready) = mpsc::channel(16);
    let author = tokio::task::spawn_blocking(move || {
        let mut corpus = Corpus::new(messages);
        let mut left = messages;
        while left > 0 {
            let batch = writer.batch(&mut corpus, left.min(BATCH))?;
            left -= left.min(BATCH);
            // Nobody takes them any more once a write failed.
            if batches.blocking_send(batch).is_err() {
                break;
            }
        }
        Ok::<_, BenchError>(corpus)
    });
    let stored = tokio::spawn(async move {
        for _ in 0..writes {
            match answers.recv().await {
                Some(StoreAnswer::Stored(_)) => {}
                Some(StoreAnswer::Failed(_, _, reason)) => return Err(BenchError::Unexpected(reason)),
                Some(StoreAnswer::Loaded(..)) | None => {
                    return Err(BenchError::Unexpected("the store stopped".to_owned()));
                }
            }
        }
        Ok(answers)
    });
    let mut number = 0;
    while let Some(batch) = ready.recv().await {
        number += 1;
        store.persist(PersistId(number), batch).await;
    }
    let corpus = author.await.map_err(BenchError::failed("writing messages"))??;
    let answers = stored.await.map_err(BenchError::failed("writing messages"))??;
    report.add("inserts until all are on disk", count(messages) / begin.elapsed().as_secs_f64(), "/s");
    let path = path.to_path_buf();
    let indexed = tokio::task::spawn_blocking(move || wait_for_index(&path));
    indexed.await.map_err(BenchError::failed("waiting for the index"))??;
    report.add("inserts until all are indexed", count(messages) / begin.elapsed().as_secs_f64(), "/s");
    drop(answers);
    Ok(corpus)
}

/// Waits until the search index covers every entry.
fn wait_for_index(path: &PathBuf) -> Result<(), BenchError> {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY | rusqlite::OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let sql = rusqlite::Connection::open_with_flags(path, flags)
        .map_err(BenchError::failed("looking at the index"))?;
    let begin = Instant::now();
    while begin.elapsed() < INDEXING {
        let left: i64 = sql
            .query_row("SELECT (SELECT max(arrival) FROM entries) - indexed FROM progress", [], |row| {
                row.get(0)
            })
            .map_err(BenchError::failed("looking at the index"))?;
        if left == 0 {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Err(BenchError::TimedOut { what: "that the index is complete".to_owned(), after: INDEXING })
}

/// Searches of each kind, each time for another word of about the same frequency.
fn searches(
    reader: &Reader,
    corpus: &Corpus,
    conversations: &[ConversationId],
    quick: bool,
    report: &mut Report,
) -> Result<(), BenchError> {
    let rounds = if quick { 5 } else { 200 };
    let quiet = conversations.last().copied();
    let mut kind = |name: &str, within: Option<ConversationId>, query: &dyn Fn(usize) -> String| {
        let mut samples = Samples::new();
        let mut found = 0;
        for round in 0..rounds {
            let query = query(round);
            let begin = Instant::now();
            let rows =
                reader.search(&query, within.as_ref(), LIMIT).map_err(BenchError::failed("a search"))?;
            samples.push(begin.elapsed());
            found += rows.len();
        }
        report.add_samples(&format!("search, {name}"), &samples, &[50, 95], TimeUnit::Millis);
        report.add(format!("search, {name}: found on average"), count(found) / count(rounds), "");
        Ok::<_, BenchError>(())
    };
    kind("an English word", None, &|n| corpus.english(200 + n))?;
    kind("two Chinese characters", None, &|n| corpus.chinese(200 + n))?;
    kind("four Chinese characters", None, &|n| corpus.chinese(20 + n / 10) + &corpus.chinese(40 + n % 10))?;
    kind("one of the ten most common English words", None, &|n| corpus.english(n % 10))?;
    kind("one of the ten most common Chinese words", None, &|n| corpus.chinese(n % 10))?;
    kind("two English words, one common, one not", None, &|n| {
        format!("{} {}", corpus.english(n % 10), corpus.english(500 + n))
    })?;
    kind("a word that is in ten messages", None, &|_| RARE_WORD.to_owned())?;
    kind("a word that nobody said", None, &|n| format!("nobody{n}"))?;
    kind("a common English word in a quiet conversation", quiet, &|n| corpus.english(n % 10))
}

/// Someone who writes.
struct Author {
    user: UserId,
    key: SecretKey,
    certificate: Certificate,
}

impl Author {
    fn new(name: &str) -> Result<Self, BenchError> {
        let name: UserName = name.parse().map_err(BenchError::failed("a user name"))?;
        let key = SecretKey::from_seed(&random()?);
        let user = UserId::of_open_device(&key.public());
        let certificate = Certificate::self_signed(&key, name, random()?, FIRST)
            .map_err(BenchError::failed("a certificate"))?;
        Ok(Self { user, key, certificate })
    }
}

/// A log that grows.
struct Log {
    author: usize,
    id: LogId,
    descriptor: Descriptor,
    end: LogEnd,
}

/// Everybody who writes, and their logs: two for each conversation.
struct Writer {
    membership: Membership,
    epoch: Epoch,
    conversations: Vec<ConversationId>,
    authors: Vec<Author>,
    logs: Vec<Log>,
    written: usize,
}

impl Writer {
    fn new() -> Result<Self, BenchError> {
        let epoch = Epoch(1);
        let me = Author::new("me")?;
        let membership = Membership {
            realm: RealmId::OPEN,
            user: me.user,
            name: "me".to_owned(),
            device: me.key.public(),
            certificate: me.certificate.clone(),
            chain: DeviceChain::empty(),
            coordinator: None,
            org: String::new(),
        };
        let mut authors = vec![me];
        let (mut logs, mut conversations) = (Vec::new(), Vec::new());
        for number in 1..=PEOPLE {
            let other = Author::new(&format!("person{number}"))?;
            let descriptor = Descriptor::direct(membership.user, other.user);
            let conversation = descriptor
                .id(&RealmId::OPEN)
                .ok_or_else(|| BenchError::Unexpected("a conversation has no id".to_owned()))?;
            for (author, device) in [(0, membership.device), (number, other.key.public())] {
                let id = LogId { conversation, device, epoch };
                logs.push(Log { author, id, descriptor: descriptor.clone(), end: LogEnd::EMPTY });
            }
            conversations.push(conversation);
            authors.push(other);
        }
        Ok(Self { membership, epoch, conversations, authors, logs, written: 0 })
    }

    /// So many messages, with the openings of logs that begin.
    fn batch(&mut self, corpus: &mut Corpus, messages: usize) -> Result<Vec<Change>, BenchError> {
        let mut changes = Vec::with_capacity(messages + 1);
        for _ in 0..messages {
            let number = self.written;
            self.written += 1;
            // The last conversation, of two logs, is the quiet one.
            let busy = self.logs.len().saturating_sub(2).max(1);
            let at = if number.is_multiple_of(QUIET) { busy } else { number % busy };
            let (Some(log), time) = (self.logs.get_mut(at), stamp(number)) else { continue };
            let Some(author) = self.authors.get(log.author) else { continue };
            if log.end.number == 0 {
                let open = OpenBody {
                    descriptor: log.descriptor.clone(),
                    certificate: author.certificate.clone(),
                    chain: BoundedVec::empty(),
                };
                changes.push(log.append(author, EntryKind::Open, &open, time)?);
            }
            let text = Text::new(corpus.message()).map_err(BenchError::failed("a text"))?;
            let body = TextBody { text, reply_to: None };
            changes.push(log.append(author, EntryKind::Text, &body, time.next())?);
        }
        Ok(changes)
    }
}

/// Messages are a minute apart.
fn stamp(number: usize) -> Hlc {
    Hlc::at(FIRST.plus(Duration::from_secs(60 * u64::try_from(number).unwrap_or(0))))
}

impl Log {
    fn append<T: serde::Serialize>(
        &mut self,
        author: &Author,
        kind: EntryKind,
        body: &T,
        time: Hlc,
    ) -> Result<Change, BenchError> {
        let draft = Draft {
            realm: RealmId::OPEN,
            log: self.id,
            time,
            kind,
            message: MessageId(random()?),
            content: codec::encode(body).map_err(BenchError::failed("a body"))?,
            salt: random()?,
        };
        let entry = Entry::write(draft, &self.end, &author.key).map_err(BenchError::failed("an entry"))?;
        self.end = entry.end();
        let (descriptor, author) = (self.descriptor.clone(), author.user);
        Ok(Change::Entry(StoredEntry { entry, descriptor, author, received_at: time.wall(), begins: false }))
    }
}
