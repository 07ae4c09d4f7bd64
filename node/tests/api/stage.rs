//! The stage: an API over a scripted node, and clients that can say anything.

use crate::script::Script;
use lanchat::adapters::Adapter;
use lanchat::api::{self, API_FILE, ApiConfig, ApiFile, ApiServer, Contacts};
use lanchat::blobs::Files;
use lanchat::config::Config;
use lanchat::doctor::{Coordinator, Dialled, Facts, Mdns, MdnsState, MdnsWish, Person};
use lanchat::handle::{
    Enrol, EnrolError, Entered, Handle, HandleEnd, HandleError, NodeStatus, NumberedEvent, Request,
};
use lanchat::platform::Firewall;
use lanchat_node_core::input::Command;
use lanchat_node_core::output::{Answer, CommandError, Event, StoredEntry};
use lanchat_node_core::view::{
    AddressView, CoordinatorState, DeviceView, ReachView, RelayState, Route, Source, StatusView, UserView,
};
use lanchat_proto::certificate::SafetyCode;
use lanchat_proto::codec::{self, Text};
use lanchat_proto::entry::{Descriptor, Draft, Entry, EntryKind, LogEnd, TextBody};
use lanchat_proto::ids::{ConversationId, DeviceId, Epoch, LogId, MessageId, RealmId, UserId};
use lanchat_proto::limits::MAX_TEXT;
use lanchat_proto::signed::SecretKey;
use lanchat_proto::time::{Hlc, Wall};
use lanchat_proto::wire::Endpoint;
use lanchat_proto::wire::coordinator::{Presence, Refusal};
use lanchat_proto::wire::reach::{Dialled as Outcome, DialledPort};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::broadcast;

pub(crate) const ALICE: UserId = UserId([1; 16]);
pub(crate) const BOB: UserId = UserId([2; 16]);
const REALM: RealmId = RealmId::OPEN;
/// Longest that anything here may take.
pub(crate) const SOON: Duration = Duration::from_secs(10);

pub(crate) struct Stage {
    pub(crate) server: ApiServer,
    pub(crate) file: ApiFile,
    pub(crate) dir: tempfile::TempDir,
    pub(crate) events: Events,
}

/// The scripted node's voice.
#[derive(Clone)]
pub(crate) struct Events {
    sender: broadcast::Sender<NumberedEvent>,
    next: Arc<std::sync::Mutex<u64>>,
}

impl Events {
    pub(crate) fn tell(&self, event: Event) {
        let mut next = self.next.lock().unwrap();
        *next += 1;
        drop(self.sender.send(NumberedEvent { id: *next, at: Wall(1000), event: Arc::new(event) }));
    }
}

pub(crate) fn user(id: UserId, name: &str) -> UserView {
    UserView {
        user: id,
        name: name.into(),
        display_name: format!("{name} 李"),
        department: "Office".into(),
        title: String::new(),
        note: String::new(),
        avatar: [0; 32],
        presence: Some(Presence::Online),
        route: Route::Direct,
        addr: None,
        verified: false,
        gone: false,
        last_seen: None,
        devices: vec![DeviceView {
            device: DeviceId(id.0.repeat(2).try_into().unwrap()),
            route: Route::Direct,
            addr: None,
            endorsed: true,
        }],
    }
}

pub(crate) fn safety_code() -> SafetyCode {
    SafetyCode::of(&REALM, (ALICE, DeviceId([1; 32])), (BOB, DeviceId([2; 32])))
}

fn people() -> Vec<UserView> {
    let mut gone = user(UserId([9; 16]), "gone");
    gone.gone = true;
    vec![user(BOB, "bob"), user(UserId([3; 16]), "sam"), user(UserId([4; 16]), "sam"), gone]
}

fn status() -> NodeStatus {
    let core = StatusView {
        realm: REALM,
        user: ALICE,
        name: "alice".into(),
        device: DeviceId([1; 32]),
        coordinator: CoordinatorState::None,
        coordinator_addr: None,
        listening: Vec::new(),
        direct: 1,
        relay: 0,
        clock_offset: 0,
        relay_state: lanchat_node_core::view::RelayState::None,
    };
    NodeStatus {
        core,
        peer_id: api::peer_id(&DeviceId([1; 32])),
        listen: vec!["/ip4/127.0.0.1/tcp/7420".into()],
        coordinator_addr: None,
        org: String::new(),
        fingerprint: String::new(),
        mdns: false,
        started: Wall(0),
    }
}

/// Bob is reached through the coordinator only, and nobody gets through to this node.
fn facts() -> Facts {
    let endpoint = Endpoint::new("192.168.1.6:7420".parse().unwrap());
    let failure = Some("Timeout has been reached".to_owned());
    let tried_ago = Some(Duration::from_secs(4));
    let way = ReachView {
        device: DeviceId([2; 32]),
        user: BOB,
        route: Route::Relay,
        addr: Some(endpoint),
        wanted: true,
        addresses: vec![AddressView { endpoint, source: Source::Coordinator, tried_ago, failure }],
        circuit_failure: None,
        next_try: Some(Duration::from_secs(2)),
    };
    Facts {
        adapters: vec![Adapter::new("eth0", "192.168.1.5".parse().unwrap(), 24, true)],
        listening: vec![Endpoint::new("192.168.1.5:7420".parse().unwrap())],
        loopback_only: false,
        dialled: Dialled::NobodyToAsk,
        firewall: Firewall::Ufw,
        mdns: Mdns {
            wish: MdnsWish::OffByOption,
            state: MdnsState::Off,
            interfaces: BTreeMap::new(),
            announcements: 0,
            devices: 0,
            heard: None,
        },
        coordinator: Coordinator {
            state: CoordinatorState::Connected,
            addr: Some("192.168.1.9:7422".into()),
            since: Duration::from_secs(60),
            relay: RelayState::Reserved,
        },
        clock_offset: 7,
        people: BTreeMap::from([(BOB, Person { name: "bob".into(), online: true })]),
        ways: vec![way],
    }
}

/// The author's log in the scripted node.
struct Author {
    key: SecretKey,
    end: LogEnd,
    count: u8,
}

impl Author {
    fn write(&mut self, text: &str) -> StoredEntry {
        let descriptor = Descriptor::direct(ALICE, BOB);
        let conversation = descriptor.id(&REALM).unwrap();
        self.count += 1;
        let body = TextBody { text: Text::new(text).unwrap(), reply_to: None };
        let draft = Draft {
            realm: REALM,
            log: LogId { conversation, device: self.key.public(), epoch: Epoch(7) },
            time: Hlc(u64::from(self.count) << 16),
            kind: EntryKind::Text,
            message: MessageId([self.count; 16]),
            salt: [0; 16],
            content: codec::encode(&body).unwrap(),
        };
        let entry = Entry::write(draft, &self.end, &self.key).unwrap();
        self.end = entry.end();
        StoredEntry { entry, descriptor, author: ALICE, received_at: Wall(5), begins: false }
    }
}

/// Says what a node would: texts named after an error bring that error, `slow` is never delivered.
fn carry_out(
    command: Command,
    author: &mut Author,
    script: &mut Script,
    events: &Events,
) -> Result<Answer, CommandError> {
    match command {
        Command::SendText { text, .. } if text.is_empty() => Err(CommandError::EmptyText),
        Command::SendText { text, .. } if text.len() > MAX_TEXT => {
            Err(CommandError::TextTooLong { len: text.len(), max: MAX_TEXT })
        }
        Command::SendText { text, .. } if text == "disk full" => Err(CommandError::Store("disk full".into())),
        Command::SendText { to, text, .. } => {
            let stored = author.write(&text);
            let (log, number) = (stored.entry.header.log(), stored.entry.header.number);
            let message = stored.entry.header.message;
            let read = if text == "read me" { number } else { 0 };
            events.tell(Event::Message(Box::new(stored)));
            if text != "slow" {
                events.tell(Event::Receipt { log, user: to, received: number, read });
            }
            Ok(Answer::Sent {
                message,
                conversation: log.conversation,
                sent_at: Wall(1),
                recipients: vec![to],
            })
        }
        Command::Nudge { .. } => Err(CommandError::NudgeTooSoon(3)),
        Command::AskSafetyCode { user } if user == BOB => {
            Ok(Answer::SafetyCode { code: safety_code(), verified: false })
        }
        Command::AskSafetyCode { .. } => Err(CommandError::NoSafetyCode),
        Command::AskAvatar { .. } => Ok(Answer::Avatar(b"\x89PNG\r\n\x1a\nrest".to_vec())),
        Command::AskToBeDialled => Ok(Answer::Dialled {
            by: None,
            ports: vec![DialledPort { port: 7420, outcome: Outcome::Failed }],
        }),
        Command::Endorse { .. } => Err(CommandError::NotEndorsed),
        Command::OfferFile { to, file } => Ok(script.offer(to, file, events)),
        Command::Transfer { offer, act } => script.act(offer, act, events),
        _ => Ok(Answer::Done),
    }
}

fn enrol(wish: &Enrol) -> Result<(), EnrolError> {
    let refused = |refusal| Err(EnrolError::Refused { refusal, retry_after_s: 0 });
    match wish.user.as_str() {
        "wrong" => refused(Refusal::WrongPassword),
        "taken" => refused(Refusal::NameTaken),
        "banned" => refused(Refusal::Banned),
        "stranger" if wish.trust.is_none() => {
            Err(EnrolError::TrustNeeded { org: "Office".into(), fingerprint: "0123-4567".into() })
        }
        "changed" => Err(EnrolError::KeyChanged("another key".into())),
        "away" => Err(EnrolError::Unreachable { address: "x:1".into(), reason: "refused".into() }),
        _ => Ok(()),
    }
}

async fn play(mut end: HandleEnd, events: Events) {
    let key = SecretKey::from_seed(&[1; 32]);
    let mut author = Author { key, end: LogEnd::EMPTY, count: 0 };
    let mut script = Script::new();
    while let Some(request) = end.requests.recv().await {
        match request {
            Request::Command(command, answer) => {
                drop(answer.send(carry_out(command, &mut author, &mut script, &events)));
            }
            Request::Users(answer) => drop(answer.send(people())),
            Request::Me(answer) => drop(answer.send(user(ALICE, "alice"))),
            Request::Status(answer) => drop(answer.send(status())),
            Request::Transfers(answer) => drop(answer.send(script.all())),
            Request::Transfer(offer, answer) => drop(answer.send(script.one(&offer))),
            Request::TransferMoved(offer) => events.tell(Event::Transfer { offer }),
            Request::ContactsChanged => {}
            Request::Facts(answer) => drop(answer.send(Box::new(facts()))),
            Request::Enrol(wish, answer) => drop(answer.send(enrol(&wish).map(|()| Entered::default()))),
            Request::Logout(answer) => drop(answer.send(Ok(Entered::default()))),
            Request::ChangePassword(old, _, answer) => drop(answer.send(if *old == "right" {
                Ok(())
            } else {
                Err(HandleError::Command(CommandError::Refused(Refusal::WrongPassword)))
            })),
            Request::Backup(_, _, answer) => drop(answer.send(Ok(()))),
            Request::Shutdown => return,
        }
    }
}

impl Stage {
    pub(crate) async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (handle, end): (Handle, HandleEnd) = lanchat::handle::channel();
        let events = Events { sender: end.events.clone(), next: Arc::default() };
        let config = Arc::new(Config::open(dir.path()).unwrap());
        let (files, _) = Files::open(&dir.path().join("blobs"), dir.path(), config.subscribe()).unwrap();
        end.set_files(Some(files));
        tokio::spawn(play(end, events.clone()));
        let listen = Some("127.0.0.1:0".parse().unwrap());
        let contacts = Arc::new(Contacts::open(dir.path()).unwrap());
        let settings = ApiConfig { listen, data_dir: dir.path().to_owned(), config, contacts };
        let server = api::serve(handle, settings).await.unwrap();
        let file = std::fs::read(dir.path().join(API_FILE)).unwrap();
        let file = serde_json::from_slice(&file).unwrap();
        Self { server, file, dir, events }
    }

    pub(crate) fn port(&self) -> u16 {
        self.server.addr().port()
    }

    /// A request that passes the guard.
    pub(crate) fn request(&self, method: &str, path: &str) -> Wish {
        let headers = BTreeMap::from([
            ("Host".into(), format!("127.0.0.1:{}", self.port())),
            ("Authorization".into(), format!("Bearer {}", self.file.token)),
            ("Content-Type".into(), "application/json".into()),
        ]);
        Wish { port: self.port(), method: method.into(), path: path.into(), headers, body: b"{}".to_vec() }
    }

    /// A one-time code, from the page's address.
    pub(crate) fn code(&self) -> String {
        self.server.url_with_code().unwrap().split_once('#').unwrap().1.to_owned()
    }
}

/// A request that says whatever it wants.
pub(crate) struct Wish {
    port: u16,
    method: String,
    path: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

/// An answer.
pub(crate) struct Said {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Said {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.body))
    }

    pub(crate) fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or_default().to_owned()
    }
}

impl Wish {
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.insert(name.into(), value.into());
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.headers.remove(name);
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    pub(crate) async fn ask(self) -> Said {
        let mut text = format!("{} {} HTTP/1.1\r\nConnection: close\r\n", self.method, self.path);
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str(&format!("Content-Length: {}\r\n\r\n", self.body.len()));
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(&self.body);
        // A refusal may come before the whole body was taken.
        drop(stream.write_all(&bytes).await);
        let mut answer = Vec::new();
        drop(tokio::time::timeout(SOON, stream.read_to_end(&mut answer)).await.expect("an answer in time"));
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        Said { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
    }
}

pub(crate) fn direct_conversation() -> ConversationId {
    Descriptor::direct(ALICE, BOB).id(&REALM).unwrap()
}
