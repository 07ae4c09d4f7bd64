//! What the command line understands.

use crate::settings::registration_of;
use clap::{Args, Parser, Subcommand};
use lanchat_coordinator_core::Registration;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Accounts, certificates, presence and addresses of one organisation of lanchat.
#[derive(Parser, Debug)]
#[command(name = "lanchat-coordinator", version, arg_required_else_help = true)]
pub(super) struct Cli {
    /// Directory of the coordinator's data.
    #[arg(long, global = true, env = "LANCHAT_COORDINATOR_DATA_DIR", value_name = "DIR")]
    pub(super) data_dir: Option<PathBuf>,
    /// Print JSON.
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// What to do.
    #[command(subcommand)]
    pub(super) command: Command,
}

/// The commands.
#[derive(Subcommand, Debug)]
pub(super) enum Command {
    /// Run the coordinator in the foreground.
    Run(Box<RunArguments>),
    /// List all accounts.
    Users,
    /// List the devices that are on.
    Online,
    /// Make an invite, or replace the standing one of the join link.
    Invite {
        /// Registrations that it serves.
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000), conflicts_with = "rotate")]
        uses: u32,
        /// How long it serves, such as 30m, 12h or 7d; three days without.
        #[arg(long, value_parser = duration, conflicts_with = "rotate")]
        expires: Option<Duration>,
        /// Replace the standing invite.
        #[arg(long)]
        rotate: bool,
    },
    /// Sign a user out everywhere; the password lets the user in again.
    Kick(UserArguments),
    /// Keep a user out until the ban is lifted.
    Ban(UserArguments),
    /// Lift a ban.
    Unban(UserArguments),
    /// Replace a user's password by a one-time secret.
    ResetPassword {
        /// Login.
        user: String,
    },
    /// Set a user's department; an empty name removes it.
    Department {
        /// Login.
        user: String,
        /// Name of the department.
        name: String,
    },
    /// Speak to everybody; `-` reads the text from stdin.
    Announce {
        /// What to say.
        text: String,
    },
    /// Print counters.
    Stats,
    /// Print what is carried between devices that have no other way to each other.
    Relay,
    /// Print a fresh address of the administration page; it serves once, within a minute.
    Page,
    /// Print the join link as of now.
    Join,
    /// Copy database, keys and settings into one new file.
    Backup {
        /// The file; it must not exist.
        file: PathBuf,
    },
    /// Restore a backup into an empty data directory, while no coordinator runs there.
    Restore {
        /// The backup.
        file: PathBuf,
    },
}

/// Arguments of `run`.
#[derive(Args, Debug)]
pub(super) struct RunArguments {
    /// Address to listen on, such as /ip4/0.0.0.0/tcp/7422 or 0.0.0.0:7422; may be given several times.
    #[arg(long, value_name = "MULTIADDR", value_parser = listen_address)]
    pub(super) listen: Vec<SocketAddr>,
    /// Loopback address of the administration.
    #[arg(long, value_name = "ADDR:PORT")]
    pub(super) admin: Option<SocketAddr>,
    /// The organisation's name; kept in config.toml.
    #[arg(long, value_name = "NAME")]
    pub(super) org: Option<String>,
    /// Who may register: open, invite or closed; kept in config.toml.
    #[arg(long, value_name = "MODE", value_parser = registration)]
    pub(super) registration: Option<Registration>,
    /// Carry circuits between devices that have no other way to each other: on or off; kept in config.toml.
    #[arg(long, value_name = "ON|OFF", value_parser = on_or_off)]
    pub(super) relay: Option<bool>,
    /// Bytes a second that are carried for one user, such as 2000000 or 2MB; kept in config.toml.
    #[arg(long, value_name = "RATE", value_parser = rate)]
    pub(super) relay_per_user: Option<u64>,
    /// Bytes a second that are carried in total, such as 20MB; kept in config.toml.
    #[arg(long, value_name = "RATE", value_parser = rate)]
    pub(super) relay_total: Option<u64>,
    /// Do not announce the coordinator in the local network, this time.
    #[arg(long)]
    pub(super) no_mdns: bool,
    /// Where accounts and presence are kept; this version knows sqlite only.
    #[arg(long, value_name = "URL", default_value = "sqlite", value_parser = ["sqlite"])]
    pub(super) store: String,
    /// Replace the issuing key: needed once after a restore.
    #[arg(long)]
    pub(super) new_issuing_key: bool,
}

/// Arguments of `kick`, `ban`, `unban`.
#[derive(Args, Debug)]
pub(super) struct UserArguments {
    /// Login.
    pub(super) user: String,
    /// Act although devices hold a longer revocation list than this coordinator.
    #[arg(long)]
    pub(super) force: bool,
}

fn listen_address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .ok()
        .or_else(|| lanchat_net::parse_multiaddr(text).map(|(endpoint, _)| endpoint.socket()))
        .ok_or_else(|| {
            "neither a multiaddr like /ip4/0.0.0.0/tcp/7422 nor an address like 0.0.0.0:7422".into()
        })
}

fn registration(text: &str) -> Result<Registration, String> {
    registration_of(text).ok_or_else(|| "open, invite or closed".into())
}

fn on_or_off(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("on or off".into()),
    }
}

/// `2000000`, `500kB`, `2MB`, `1GB`; what is too little or too much is found with the other settings.
fn rate(text: &str) -> Result<u64, String> {
    let units = [("kB", 1000), ("MB", 1_000_000), ("GB", 1_000_000_000), ("", 1)];
    let found = units.iter().find_map(|(unit, bytes)| {
        let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
        number.checked_mul(*bytes)
    });
    found.ok_or_else(|| "bytes a second, such as 2000000, or with kB, MB or GB, such as 2MB".into())
}

/// `90s`, `30m`, `12h`, `7d`.
fn duration(text: &str) -> Result<Duration, String> {
    let units = [('s', 1), ('m', 60), ('h', 3600), ('d', 24 * 3600)];
    let found = units.iter().find_map(|(unit, seconds)| {
        let number: u64 = text.strip_suffix(*unit)?.parse().ok()?;
        number.checked_mul(*seconds)
    });
    let years = 10 * 365 * 24 * 3600;
    found
        .filter(|seconds| (1..=years).contains(seconds))
        .map(Duration::from_secs)
        .ok_or_else(|| "a number with s, m, h or d, such as 12h, up to ten years".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_data_directory_goes_before_or_after_the_command() {
        for line in [["x", "--data-dir", "/d", "users"], ["x", "users", "--data-dir", "/d"]] {
            assert_eq!(Cli::parse_from(line).data_dir, Some("/d".into()));
        }
    }

    #[test]
    fn durations_rates_and_addresses_are_read() {
        assert_eq!(duration("12h"), Ok(Duration::from_secs(43_200)));
        assert_eq!(duration("7d"), Ok(Duration::from_secs(604_800)));
        for bad in ["", "h", "0s", "5", "-1h", "99999999999999999999d", "400000d"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
        assert_eq!((rate("1500"), rate("500kB"), rate("2MB")), (Ok(1500), Ok(500_000), Ok(2_000_000)));
        for bad in ["", "MB", "-1", "1.5MB", "2 MB", "99999999999999GB"] {
            assert!(rate(bad).is_err(), "{bad}");
        }
        assert_eq!(listen_address("/ip4/127.0.0.1/tcp/0"), Ok("127.0.0.1:0".parse().unwrap()));
        assert_eq!(listen_address("[::]:7422"), Ok("[::]:7422".parse().unwrap()));
        assert!(listen_address("nowhere").is_err());
    }
}
