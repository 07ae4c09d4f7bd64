//! `lanchat demo`: a coordinator and three people on this one machine, in temporary directories that go with it.
//!
//! The only file of the node that knows the coordinator's library (feature `demo`).

use crate::app::{AppError, Node};
use crate::blobs::OfferError;
use crate::cli::RunOptions;
use crate::config::ConfigError;
use crate::handle::{Enrol, EnrolMode, HandleError};
use crate::platform;
use lanchat_coordinator::{Config, Registration, Server, ServerError};
use lanchat_node_core::boot::TransferState;
use lanchat_node_core::input::Command;
use lanchat_node_core::output::Answer;
use lanchat_node_core::view::Route;
use lanchat_proto::ids::{MessageId, UserId};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// Who plays.
const PEOPLE: [(&str, &str); 3] = [("alice", "Alice"), ("bob", "Bob 李"), ("carol", "Carol")];
/// The file that alice sends, and what is in it.
const FILE: (&str, &str) = ("Lunch 午餐.txt", "Monday: noodles\n星期二：饺子\nWednesday: curry\n");
/// Time for the file to arrive.
const ARRIVE: Duration = Duration::from_secs(20);
/// Time for the three to find each other.
const MEET: Duration = Duration::from_secs(20);
/// Any free port of this machine.
const LOOPBACK: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// Nobody but these three ever sees that coordinator.
const PASSWORD: &str = "demo-only";

/// The demo could not go on.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The temporary directory.
    #[error("temporary directory: {0}")]
    Directory(#[from] std::io::Error),
    /// The coordinator.
    #[error("coordinator: {0}")]
    Coordinator(#[from] ServerError),
    /// A node.
    #[error(transparent)]
    Node(#[from] AppError),
    /// What a node was asked for.
    #[error(transparent)]
    Handle(#[from] HandleError),
    /// The settings of a node.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The file could not be offered.
    #[error(transparent)]
    Offer(#[from] OfferError),
    /// The file did not arrive.
    #[error("the file did not arrive within {} s", ARRIVE.as_secs())]
    NoFile,
    /// The three did not find each other.
    #[error("the three did not find each other within {} s", MEET.as_secs())]
    Apart,
}

/// A person's page, for the one who plays.
pub struct Page {
    /// Who.
    pub name: &'static str,
    /// Where.
    pub url: String,
}

/// The file that arrived.
pub struct Arrived {
    /// Who sent it.
    pub from: &'static str,
    /// Who has it now.
    pub to: &'static str,
    /// Where.
    pub path: PathBuf,
}

/// A running demo.
pub struct Demo {
    coordinator: Server,
    nodes: Vec<Node>,
    directory: tempfile::TempDir,
    arrived: Option<Arrived>,
}

impl Demo {
    /// Starts everything and lets the three say a few words; one sends another a file.
    ///
    /// # Errors
    /// [`DemoError`]; everything that was started is taken down again.
    pub async fn start() -> Result<Self, DemoError> {
        let directory = tempfile::Builder::new().prefix("lanchat-demo-").tempdir()?;
        let coordinator = Server::bind(coordinator_config(directory.path())).await?;
        let mut demo = Self { coordinator, nodes: Vec::new(), directory, arrived: None };
        match demo.people().await {
            Ok(()) => Ok(demo),
            Err(error) => {
                demo.stop().await;
                Err(error)
            }
        }
    }

    async fn people(&mut self) -> Result<(), DemoError> {
        let join = self.coordinator.join_link();
        for (name, display_name) in PEOPLE {
            settle(&self.directory.path().join(name))?;
            let node = Node::start(node_options(self.directory.path(), name)).await?;
            let enrol = Enrol {
                coordinator: join.clone(),
                trust: None,
                trust_new_key: false,
                user: name.to_owned(),
                password: Zeroizing::new(PASSWORD.to_owned()),
                mode: EnrolMode::Register { invite: None, display_name: Some(display_name.to_owned()) },
            };
            node.handle.enrol(enrol).await?;
            self.nodes.push(node);
        }
        let deadline = Instant::now() + MEET;
        for node in &self.nodes {
            meet(node, deadline).await?;
        }
        self.chat().await?;
        self.share().await
    }

    /// A file from alice to bob, whose node takes it unasked.
    async fn share(&mut self) -> Result<(), DemoError> {
        let [alice, bob, _] = self.nodes.as_slice() else { return Err(DemoError::Apart) };
        let [(from, _), (to, _), _] = PEOPLE;
        let path = self.directory.path().join(FILE.0);
        std::fs::write(&path, FILE.1)?;
        let files = alice.handle.files().ok_or(HandleError::Stopped)?;
        let mut events = bob.handle.events();
        let file = files.offer(&path, |_| {}).await?.file;
        let command = Command::OfferFile { to: user_named(alice, to).await?, file };
        let offer = sent(alice.handle.command(command).await?).ok_or(DemoError::NoFile)?;
        let deadline = Instant::now() + ARRIVE;
        loop {
            let transfer = bob.handle.transfer(offer).await?;
            if transfer.is_some_and(|transfer| transfer.stored.state == TransferState::Complete) {
                let saved = bob.handle.files().and_then(|files| files.saved(&offer));
                self.arrived = Some(Arrived { from, to, path: saved.ok_or(DemoError::NoFile)? });
                return Ok(());
            }
            let left = deadline.checked_duration_since(Instant::now()).ok_or(DemoError::NoFile)?;
            // Any event may be the one; a missed one shows in the next look.
            if tokio::time::timeout(left, events.recv()).await.is_err() {
                return Err(DemoError::NoFile);
            }
        }
    }

    /// The file that arrived.
    #[must_use]
    pub fn arrived(&self) -> Option<&Arrived> {
        self.arrived.as_ref()
    }

    /// A few messages, so that the pages are not empty.
    async fn chat(&self) -> Result<(), DemoError> {
        let [alice, bob, carol] = self.nodes.as_slice() else { return Err(DemoError::Apart) };
        let asked = say(alice, "bob", "Morning! Is the printer on the second floor back?", None).await?;
        say(bob, "alice", "早上好！修好了，可以用了。", asked).await?;
        say(carol, "alice", "Lunch at half past twelve?", None).await?;
        say(carol, "bob", "中午一起吃饭吗？", None).await?;
        Ok(())
    }

    /// The pages of the three. Each link works once, for 60 s.
    #[must_use]
    pub fn pages(&self) -> Vec<Page> {
        PEOPLE
            .iter()
            .zip(&self.nodes)
            .map(|((name, _), node)| Page { name, url: node.ready.ui.clone() })
            .collect()
    }

    /// Waits until the person asks the demo to end.
    pub async fn wait(&self) {
        platform::asked_to_end().await;
    }

    /// Takes everything down and removes the directories.
    pub async fn stop(self) {
        for node in self.nodes {
            if let Err(error) = node.stop().await {
                tracing::warn!(%error, "A node of the demo ended badly");
            }
        }
        if let Err(error) = self.coordinator.shutdown().await {
            tracing::warn!(%error, "The demo's coordinator ended badly");
        }
        if let Err(error) = self.directory.close() {
            tracing::warn!(%error, "The demo's directory is left behind");
        }
    }
}

fn coordinator_config(directory: &Path) -> Config {
    Config {
        listen: vec![LOOPBACK],
        admin: Some(LOOPBACK),
        org: Some("Demo".to_owned()),
        registration: Some(Registration::Open),
        ..Config::new(directory.join("coordinator"))
    }
}

fn node_options(directory: &Path, name: &str) -> RunOptions {
    RunOptions {
        data_dir: directory.join(name),
        name: Some(name.to_owned()),
        coordinators: Vec::new(),
        mdns: false,
        listen: vec!["/ip4/127.0.0.1/tcp/0".to_owned()],
        ui: Some(LOOPBACK),
        headless: true,
        open_browser: false,
        lang: None,
    }
}

/// Settings of a node: files are taken unasked, and go where they are removed with everything else.
fn settle(data_dir: &Path) -> Result<(), DemoError> {
    let downloads = data_dir.join("downloads");
    platform::create_private_dir(&downloads)?;
    let config = crate::config::Config::open(data_dir)?;
    config.set("auto_accept", "all")?;
    config.set("download_dir", &downloads.display().to_string())?;
    Ok(())
}

/// Waits until a node has direct links to both others.
async fn meet(node: &Node, deadline: Instant) -> Result<(), DemoError> {
    let mut events = node.handle.events();
    loop {
        let users = node.handle.users().await?;
        if users.iter().filter(|user| user.route == Route::Direct).count() + 1 >= PEOPLE.len() {
            return Ok(());
        }
        let left = deadline.checked_duration_since(Instant::now()).ok_or(DemoError::Apart)?;
        // Any event may be the one; a missed one shows in the next look at the users.
        if tokio::time::timeout(left, events.recv()).await.is_err() {
            return Err(DemoError::Apart);
        }
    }
}

async fn say(
    from: &Node,
    to: &str,
    text: &str,
    reply_to: Option<MessageId>,
) -> Result<Option<MessageId>, DemoError> {
    let to = user_named(from, to).await?;
    Ok(sent(from.handle.command(Command::SendText { to, text: text.to_owned(), reply_to }).await?))
}

async fn user_named(node: &Node, name: &str) -> Result<UserId, DemoError> {
    let users = node.handle.users().await?;
    users.iter().find(|user| user.name == name).map(|user| user.user).ok_or(DemoError::Apart)
}

fn sent(answer: Answer) -> Option<MessageId> {
    match answer {
        Answer::Sent { message, .. } => Some(message),
        Answer::Done
        | Answer::Salt(_)
        | Answer::Avatar(_)
        | Answer::SafetyCode { .. }
        | Answer::Dialled { .. } => None,
    }
}
