//! What people and other nodes see of files: two places on loopback, and holders that follow a script.

mod resume;
mod saving;
mod serving;
mod stories;

use super::*;
use lanchat_net::{Channel, DialId, DialTarget, Net, NetConfig, NetEvent, NetHandle};
use lanchat_node_core::boot::TransferState;
use lanchat_node_core::output::FetchOrder;
use lanchat_proto::frame::{Frame, Kind};
use lanchat_proto::ids::{ConversationId, DeviceId, EntryHash, UserId};
use lanchat_proto::signed::SecretKey;
use lanchat_proto::wire::Endpoint;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use tempfile::TempDir;

/// Longer than anything here may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what}: nothing in time"))
}

/// Bytes that look like nothing else.
fn content(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(&len.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

/// A directory with files of a membership, and where they are saved.
struct Place {
    dir: TempDir,
    files: Files,
    said: mpsc::Receiver<FromFiles>,
    settings: watch::Sender<Settings>,
    /// The transfers that the core has.
    rows: BTreeMap<MessageId, StoredTransfer>,
}

impl Place {
    fn new() -> Self {
        Self::at(tempfile::tempdir().unwrap())
    }

    fn at(dir: TempDir) -> Self {
        Self::waiting(dir, Waits::default())
    }

    fn waiting(dir: TempDir, waits: Waits) -> Self {
        let settings = Settings { download_dir: Some(dir.path().join("saved")), ..Settings::default() };
        let (sender, settings) = watch::channel(settings);
        let (files, said) =
            Files::open_with(&dir.path().join("blobs"), &dir.path().join("downloads"), settings, waits)
                .unwrap();
        Self { dir, files, said, settings: sender, rows: BTreeMap::new() }
    }

    /// The program ends and starts again.
    async fn restart(self) -> Self {
        self.files.shutdown().await;
        Self { rows: self.rows, ..Self::at(self.dir) }
    }

    /// What the core orders for a transfer that it has.
    fn fetch(&mut self, row: &StoredTransfer, link: &lanchat_net::Link) {
        self.rows.insert(row.offer, row.clone());
        self.files.fetch(order(row, link), link.clone());
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn saved(&self) -> BTreeMap<String, Vec<u8>> {
        let entries = std::fs::read_dir(self.dir.path().join("saved")).into_iter().flatten();
        entries
            .map(|entry| entry.unwrap())
            .map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap()))
            .collect()
    }

    /// Names of what lies in the directory of files under way.
    fn kept(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.dir.path().join("blobs")).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// How the fetch of an offer ends over a link.
    async fn end(&mut self, link: LinkId) -> FetchEnd {
        let is_end = |said| match said {
            FromFiles::FetchEnded { link: ended, end, .. } if ended == link => Some(end),
            _ => None,
        };
        self.hear("the end of a fetch", is_end).await
    }

    /// How the saving of a file ends that was all here.
    async fn save_end(&mut self, row: &StoredTransfer) -> FetchEnd {
        self.files.save_whole(row.offer, row.file.clone());
        let is_end = |said| match said {
            FromFiles::SaveEnded { end, .. } => Some(end),
            _ => None,
        };
        self.hear("the end of a saving", is_end).await
    }

    /// That all of a file is here.
    async fn is_whole(&mut self) -> MessageId {
        let is_whole = |said| match said {
            FromFiles::Whole { offer } => Some(offer),
            _ => None,
        };
        self.hear("that a file is whole", is_whole).await
    }

    /// Waits for something that is said.
    async fn hear<T>(&mut self, what: &str, wanted: impl Fn(FromFiles) -> Option<T>) -> T {
        let heard = async {
            loop {
                match self.said.recv().await.unwrap() {
                    FromFiles::Transfers { answer } => {
                        drop(answer.send(self.rows.values().cloned().collect()));
                    }
                    said => {
                        if let Some(heard) = wanted(said) {
                            return heard;
                        }
                    }
                }
            }
        };
        soon(what, heard).await
    }
}

/// A device in the network.
struct Device {
    net: NetHandle,
    events: mpsc::Receiver<NetEvent>,
    at: Endpoint,
}

impl Device {
    async fn new(seed: u8) -> Self {
        let config = NetConfig::new(SecretKey::from_seed(&[seed; 32]), vec![Channel::Link]);
        let (net, mut events) = Net::start(config).unwrap();
        let at = net.listen(Endpoint::new(([127, 0, 0, 1], 0).into())).await.unwrap();
        assert!(matches!(soon("listening", events.recv()).await, Some(NetEvent::Listening(_))));
        Self { net, events, at }
    }

    async fn opened(&mut self) -> lanchat_net::Opened {
        let opened = async {
            loop {
                if let NetEvent::Opened(opened) = self.events.recv().await.unwrap() {
                    return opened;
                }
            }
        };
        soon("a link", opened).await
    }

    /// A link to another device, admitted by both, as this one has it.
    async fn link(&mut self, other: &mut Self) -> lanchat_net::Link {
        let target = DialTarget {
            device: Some(other.net.device()),
            endpoints: vec![other.at],
            channel: Channel::Link,
            via: None,
        };
        static DIALS: AtomicU64 = AtomicU64::new(1);
        self.net.dial(DialId(DIALS.fetch_add(1, Ordering::Relaxed)), target).unwrap();
        let (here, there) = (self.opened().await.link, other.opened().await.link);
        here.admit();
        there.admit();
        here
    }
}

/// What a place says when it is asked for a file.
type Rule = Arc<Mutex<Result<StoredTransfer, BlobRefusal>>>;

fn offer(number: u8) -> MessageId {
    MessageId([number; 16])
}

fn row(offer: MessageId, file: FileBody) -> StoredTransfer {
    StoredTransfer {
        offer,
        conversation: ConversationId([1; 32]),
        entry: EntryHash([2; 32]),
        author: UserId([3; 16]),
        device: DeviceId([4; 32]),
        file,
        state: TransferState::Running,
        error: String::new(),
    }
}

fn order(row: &StoredTransfer, link: &lanchat_net::Link) -> FetchOrder {
    let open = BlobOpen { conversation: row.conversation, offer: row.entry, hash: row.file.hash };
    FetchOrder { offer: row.offer, open, file: row.file.clone(), link: LinkId(link.id().0), relayed: false }
}

/// A place that sends to whoever asks, as its rule says. Returns what it says of serving.
fn serve(mut device: Device, place: Place, rule: Rule) -> mpsc::UnboundedReceiver<bool> {
    let (said, serving) = mpsc::unbounded_channel();
    let mut place = place;
    tokio::spawn(async move {
        let _runs = (&device.net, &place.dir);
        loop {
            tokio::select! {
                event = device.events.recv() => match event {
                    Some(NetEvent::Stream { stream, .. }) => place.files.serve(stream),
                    Some(NetEvent::Opened(opened)) => opened.link.admit(),
                    Some(_) => {}
                    None => return,
                },
                Some(asked) = place.said.recv() => match asked {
                    FromFiles::MayFetch { answer, .. } => drop(answer.send(rule.lock().unwrap().clone())),
                    FromFiles::Serving { now, .. } => drop(said.send(now)),
                    FromFiles::Transfers { answer } => drop(answer.send(Vec::new())),
                    _ => {}
                },
            }
        }
    });
    serving
}
