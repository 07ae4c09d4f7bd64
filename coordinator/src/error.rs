//! What can go wrong at the start and while running, as one line for a person.

use lanchat_proto::wire::Endpoint;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// The coordinator cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// A file or directory.
    #[error("{path}: {error}", path = path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// Another coordinator runs on the data directory.
    #[error("a coordinator already runs for {path}", path = .0.display())]
    Running(PathBuf),
    /// `config.toml` says something that it may not.
    #[error("{path}: {what}", path = path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What, and what is expected.
        what: String,
    },
    /// `org.key` cannot be used.
    #[error("{path}: {what}; restore it from a backup", path = path.display())]
    Keys {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: &'static str,
    },
    /// A listening port is taken.
    #[error("{0} is in use by another program; choose another one with --listen")]
    PortTaken(Endpoint),
    /// The administration's port is taken.
    #[error("{0} is in use by another program; choose another one with --admin")]
    AdminTaken(SocketAddr),
    /// The administration may not be offered to the network.
    #[error("--admin {0}: the administration listens on a loopback address only")]
    AdminAddress(SocketAddr),
    /// The network.
    #[error("{0}")]
    Net(#[from] lanchat_net::NetError),
    /// The database.
    #[error("{0}")]
    Store(#[from] crate::store::StoreError),
    /// A certificate or list in the database does not hold.
    #[error("coordinator.db does not belong to org.key or is damaged ({0}); restore a backup")]
    Records(#[from] lanchat_proto::certificate::CertificateError),
    /// The system gives no random numbers.
    #[error("the system gives no random numbers: {0}")]
    Random(#[from] getrandom::Error),
    /// The restore's target is in use.
    #[error("{path} already holds a coordinator; restore into an empty directory", path = .0.display())]
    NotEmpty(PathBuf),
}

impl ServerError {
    /// An error of a file.
    pub(crate) fn file(path: &Path) -> impl FnOnce(std::io::Error) -> Self + '_ {
        move |error| Self::File { path: path.to_owned(), error }
    }
}
