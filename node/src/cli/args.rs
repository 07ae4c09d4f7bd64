//! What can be typed.

use crate::cli::RunOptions;
use crate::config::is_listen_address;
use crate::lang::Lang;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::net::SocketAddr;
use std::path::PathBuf;

fn listen_address(text: &str) -> Result<String, String> {
    if is_listen_address(text) {
        Ok(text.to_owned())
    } else {
        Err("an address such as /ip4/0.0.0.0/tcp/7420 is needed".into())
    }
}

fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text.parse().map_err(|_| "an address such as 127.0.0.1:7421 is needed")?;
    if address.ip().is_loopback() { Ok(address) } else { Err("the page is served on loopback only".into()) }
}

/// Chat and files from PC to PC, without a server in the middle.
#[derive(Parser)]
#[command(name = "lanchat", version, max_term_width = 100)]
pub(super) struct Cli {
    /// Where this node keeps its data.
    #[arg(long, global = true, env = "LANCHAT_DATA_DIR", value_name = "DIR")]
    pub(super) data_dir: Option<PathBuf>,
    /// Print JSON.
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// Language of the output: en or zh-CN.
    #[arg(long, global = true, value_name = "LANG")]
    pub(super) lang: Option<Lang>,
    #[command(subcommand)]
    pub(super) command: Option<Command>,
}

#[derive(Subcommand)]
pub(super) enum Command {
    /// Run the node in the foreground.
    Run(RunArgs),
    /// Try lanchat on this one machine: a coordinator and three nodes in temporary directories.
    Demo,
    /// Create an account in an organisation and sign in.
    Register(EnrolArgs),
    /// Sign in to an organisation.
    Login(EnrolArgs),
    /// Sign out and go back to the open LAN.
    Logout,
    /// Change the password.
    Passwd(PasswdArgs),
    /// Show how this node is doing.
    Status,
    /// Show what stands between this PC and the others, and what to do about it.
    Doctor,
    /// Show the people.
    Users {
        /// Part of a name or department, or @user_id.
        query: Option<String>,
    },
    /// Show the safety code of the pair, to be compared with the other person.
    Verify(VerifyArgs),
    /// Show or set the own profile.
    Profile(ProfileArgs),
    /// The starred people.
    #[command(subcommand)]
    Contacts(ContactsCommand),
    /// Send a text.
    Send(SendArgs),
    /// Send files.
    SendFile(SendFileArgs),
    /// Show the files that come and go.
    Transfers,
    /// Fetch an offered file.
    Accept {
        /// The transfer, as `transfers` shows it; its first 4 digits or more are enough.
        id: String,
        /// Save it in this directory.
        #[arg(long, value_name = "DIR")]
        to: Option<PathBuf>,
    },
    /// Say that an offered file is not wanted.
    Reject {
        /// The transfer, as `transfers` shows it.
        id: String,
    },
    /// Fetch or send no more of a file for now.
    Pause {
        /// The transfer, as `transfers` shows it.
        id: String,
    },
    /// Go on with a file that is paused; whoever fetches one that failed tries it again.
    Resume {
        /// The transfer, as `transfers` shows it.
        id: String,
    },
    /// Give a file up; an offer of one's own is withdrawn.
    Cancel {
        /// The transfer, as `transfers` shows it.
        id: String,
    },
    /// Shake somebody's window.
    Nudge {
        /// User name or @user_id.
        user: String,
    },
    /// Show a conversation, oldest first.
    History(HistoryArgs),
    /// Search all conversations.
    Search {
        /// Words that all have to be there.
        query: String,
        /// Only with this user name or @user_id.
        #[arg(long = "in", value_name = "TO")]
        within: Option<String>,
        /// Most messages shown.
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
    },
    /// Show what happens, as it happens.
    Watch {
        /// Begin after this event.
        #[arg(long, value_name = "ID")]
        since: Option<u64>,
    },
    /// Settings.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Write everything to a file, encrypted under a passphrase.
    Backup(BackupArgs),
    /// Bring a backup back; no node may run.
    Restore(BackupArgs),
    /// The own devices, and those of others that nobody vouches for.
    #[command(subcommand)]
    Devices(DevicesCommand),
}

#[derive(Args)]
pub(super) struct RunArgs {
    /// No desktop notifications.
    #[arg(long)]
    headless: bool,
    /// User name in the open LAN.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Join link, host, host:port, multiaddr or auto.
    #[arg(long, value_name = "ADDR")]
    coordinator: Vec<String>,
    /// Neither announce this node by mDNS nor look for others.
    #[arg(long)]
    no_mdns: bool,
    /// Listen here only.
    #[arg(long, value_name = "MULTIADDR", value_parser = listen_address)]
    listen: Vec<String>,
    /// Serve the page here, on loopback.
    #[arg(long, value_name = "ADDR:PORT", value_parser = loopback)]
    ui: Option<SocketAddr>,
}

impl RunArgs {
    pub(super) fn options(self, data_dir: PathBuf, lang: Option<Lang>) -> RunOptions {
        RunOptions {
            data_dir,
            name: self.name,
            coordinators: self.coordinator,
            mdns: !self.no_mdns,
            listen: self.listen,
            ui: self.ui,
            headless: self.headless,
            open_browser: false,
            lang,
        }
    }
}

#[derive(Args)]
pub(super) struct EnrolArgs {
    /// Join link, host, host:port, multiaddr or auto.
    #[arg(long, value_name = "ADDR", default_value = "")]
    pub(super) coordinator: String,
    /// User name.
    #[arg(long, value_name = "NAME")]
    pub(super) user: String,
    /// Read the password from the first line of standard input.
    #[arg(long)]
    pub(super) password_stdin: bool,
    /// The invite, when the join link has none (register).
    #[arg(long, value_name = "CODE")]
    pub(super) invite: Option<String>,
    /// The name to display (register).
    #[arg(long, value_name = "NAME")]
    pub(super) display_name: Option<String>,
    /// The organisation's fingerprint.
    #[arg(long, value_name = "FINGERPRINT")]
    pub(super) trust: Option<String>,
    /// Accept that the coordinator's key changed.
    #[arg(long)]
    pub(super) trust_new_key: bool,
}

#[derive(Args)]
pub(super) struct VerifyArgs {
    /// User name or @user_id.
    pub(super) user: String,
    /// The other person sees the same code: mark it as compared.
    #[arg(long)]
    pub(super) confirm: bool,
    /// Take the mark back.
    #[arg(long, conflicts_with = "confirm")]
    pub(super) revoke: bool,
}

#[derive(Args)]
pub(super) struct PasswdArgs {
    /// Read the old password from the first line of standard input and the new one from the second.
    #[arg(long)]
    pub(super) password_stdin: bool,
}

#[derive(Args)]
pub(super) struct ProfileArgs {
    /// Name to display.
    #[arg(long, value_name = "TEXT")]
    pub(super) display_name: Option<String>,
    /// Department.
    #[arg(long, value_name = "TEXT")]
    pub(super) department: Option<String>,
    /// Title.
    #[arg(long, value_name = "TEXT")]
    pub(super) title: Option<String>,
    /// Note.
    #[arg(long, value_name = "TEXT")]
    pub(super) note: Option<String>,
    /// PNG, JPEG, WebP or GIF of at most 64 KiB; an empty name removes the avatar.
    #[arg(long, value_name = "FILE")]
    pub(super) avatar: Option<PathBuf>,
    /// How to be seen.
    #[arg(long, value_name = "PRESENCE")]
    pub(super) presence: Option<PresenceArg>,
}

#[derive(Clone, Copy, ValueEnum)]
pub(super) enum PresenceArg {
    Online,
    Away,
    Busy,
}

#[derive(Subcommand)]
pub(super) enum ContactsCommand {
    /// Star somebody.
    Add {
        /// User name or @user_id.
        user: String,
    },
    /// Take a star away.
    Remove {
        /// User name or @user_id.
        user: String,
    },
    /// Show the starred people.
    List,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum WaitArg {
    #[default]
    Stored,
    Delivered,
    Read,
}

#[derive(Args)]
pub(super) struct SendArgs {
    /// User name or @user_id.
    pub(super) to: String,
    /// The text; `-` reads standard input.
    pub(super) text: String,
    /// Wait until it is there.
    #[arg(long, value_enum, default_value_t)]
    pub(super) wait: WaitArg,
    /// Seconds to wait; the message stays on its way.
    #[arg(long, value_name = "S", default_value_t = 30)]
    pub(super) timeout: u64,
    /// The message that this one answers.
    #[arg(long, value_name = "ID")]
    pub(super) reply_to: Option<String>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum FileWaitArg {
    #[default]
    Offered,
    Complete,
}

#[derive(Args)]
pub(super) struct SendFileArgs {
    /// User name or @user_id.
    pub(super) to: String,
    /// The files.
    #[arg(required = true, value_name = "PATH")]
    pub(super) paths: Vec<PathBuf>,
    /// Wait until they are offered, or until every receiver has them.
    #[arg(long, value_enum, default_value_t)]
    pub(super) wait: FileWaitArg,
    /// Seconds to wait for every receiver, once the files are offered; the transfers go on.
    #[arg(long, value_name = "S")]
    pub(super) timeout: Option<u64>,
}

#[derive(Args)]
pub(super) struct HistoryArgs {
    /// User name or @user_id.
    pub(super) to: String,
    /// Most messages shown.
    #[arg(long, value_name = "N")]
    pub(super) limit: Option<usize>,
    /// Only what comes before this message.
    #[arg(long, value_name = "ID")]
    pub(super) before: Option<String>,
    /// With --json: mark the conversation as read, as is done without it.
    #[arg(long)]
    pub(super) mark_read: bool,
}

#[derive(Subcommand)]
pub(super) enum ConfigCommand {
    /// Show a setting.
    Get {
        /// Its name.
        key: String,
    },
    /// Change a setting; a bad value is refused and nothing changes.
    Set {
        /// Its name.
        key: String,
        /// Its value; empty goes back to the default.
        #[arg(allow_hyphen_values = true)]
        value: String,
    },
    /// Show all settings.
    List,
}

#[derive(Args)]
pub(super) struct BackupArgs {
    /// The backup.
    pub(super) file: PathBuf,
    /// Read the passphrase from the first line of standard input.
    #[arg(long)]
    pub(super) passphrase_stdin: bool,
}

#[derive(Subcommand)]
pub(super) enum DevicesCommand {
    /// Show them.
    List,
    /// Vouch for another device of one's own; for this one itself: begin anew where all older ones are lost.
    Endorse {
        /// As `devices list` shows it.
        device: String,
    },
    /// Accept a device of somebody else that nobody vouches for.
    Accept {
        /// As `devices list` shows it.
        device: String,
    },
}
