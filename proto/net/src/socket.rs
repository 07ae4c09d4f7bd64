//! Options of TCP sockets and how many there may be, the only code here that differs between platforms.
//!
//! Keeps true: no two programs ever share a listening port (on Unix the address may be reused right after a restart, never
//! the port of a live listener; on Windows "reuse" would mean just that, so it stays off); a dead peer is noticed by
//! keepalive everywhere, and on Linux by unacknowledged data too.

#[cfg(unix)]
use crate::limits::MIN_CONNECTIONS;
use crate::limits::{BACKLOG, KEEPALIVE};
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use std::io;
use std::net::{SocketAddr, TcpListener};
use tokio::net::TcpStream;
use tracing::debug;

/// A listening socket at exactly this address, not blocking. IPv6 does not include IPv4.
pub(crate) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Sets a connected socket up. An option that the system does not have is no reason to drop the connection.
pub(crate) fn tune(stream: &TcpStream) {
    let socket = SockRef::from(stream);
    let mut failed = Vec::new();
    let mut note = |option: &'static str, result: io::Result<()>| {
        if result.is_err() {
            failed.push(option);
        }
    };
    note("nodelay", socket.set_tcp_nodelay(true));
    note("keepalive", socket.set_tcp_keepalive(&keepalive()));
    #[cfg(any(target_os = "linux", target_os = "android"))]
    note("user timeout", socket.set_tcp_user_timeout(Some(crate::limits::USER_TIMEOUT)));
    #[cfg(any(target_os = "linux", target_os = "android"))]
    note("unsent", socket.set_tcp_notsent_lowat(crate::limits::UNSENT));
    if !failed.is_empty() {
        debug!(?failed, "Socket options were not taken");
    }
}

/// How many of the wanted connections the system permits beside all else that this program opens, after asking for as many
/// as are wanted: a connection more than that would leave none for files.
#[cfg(unix)]
pub(crate) fn permitted(connections: usize) -> usize {
    let others = crate::limits::MAX_ATTEMPTS as u64 + crate::limits::OTHER_FILES;
    let wanted = others.saturating_add(connections as u64);
    match rlimit::increase_nofile_limit(wanted) {
        Ok(files) => {
            let left = usize::try_from(files.saturating_sub(others)).unwrap_or(usize::MAX);
            connections.min(left.max(MIN_CONNECTIONS))
        }
        Err(error) => {
            debug!(%error, "The system does not say how many files may be open");
            connections
        }
    }
}

/// Windows has no such limit on sockets.
#[cfg(not(unix))]
pub(crate) fn permitted(connections: usize) -> usize {
    connections
}

#[cfg(unix)]
fn keepalive() -> TcpKeepalive {
    TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE).with_retries(2)
}

#[cfg(windows)]
fn keepalive() -> TcpKeepalive {
    TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE)
}

#[cfg(not(any(unix, windows)))]
fn keepalive() -> TcpKeepalive {
    TcpKeepalive::new().with_time(KEEPALIVE)
}
