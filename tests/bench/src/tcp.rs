//! What the machine itself does: a message over raw TCP to another process and back, and a flush to disk.

use crate::error::BenchError;
use crate::figures::Samples;
use lanchat_tests::lab::Host;
use lanchat_tests::program::Program;
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::time::Instant;

/// Bytes of a message.
pub const MESSAGE: usize = 200;
/// Bytes of a write that is flushed: a page of the database.
const PAGE: usize = 4096;
/// Pages of the file that is written in.
const PAGES: usize = 256;

/// Listens on loopback, prints a ready line with the port, and waits for one connection.
///
/// # Errors
/// [`BenchError::Io`].
pub fn accept_one() -> Result<TcpStream, BenchError> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(BenchError::io("listening"))?;
    let port = listener.local_addr().map_err(BenchError::io("listening"))?.port();
    let mut out = std::io::stdout();
    writeln!(out, "{}", serde_json::json!({ "event": "ready", "port": port }))
        .and_then(|()| out.flush())
        .map_err(BenchError::io("telling the port"))?;
    let (stream, _) = listener.accept().map_err(BenchError::io("accepting"))?;
    Ok(stream)
}

/// The other process: sends every message back, until the connection ends. Prints a ready line with its port.
///
/// # Errors
/// [`BenchError::Io`].
pub fn serve_echo() -> Result<(), BenchError> {
    let mut stream = accept_one()?;
    stream.set_nodelay(true).map_err(BenchError::io("accepting"))?;
    let mut message = [0; MESSAGE];
    while stream.read_exact(&mut message).is_ok() {
        stream.write_all(&message).map_err(BenchError::io("answering"))?;
    }
    Ok(())
}

/// Times of messages to another process and back.
///
/// # Errors
/// [`BenchError`].
///
/// # Panics
/// When the other process does not become ready.
pub fn ping_pong(rounds: usize, warm_up: usize) -> Result<Samples, BenchError> {
    let own = std::env::current_exe().map_err(BenchError::io("finding the own program"))?;
    let log = tempfile::NamedTempFile::new().map_err(BenchError::io("a temporary file"))?;
    let peer = Program::start(&Host::here(), &own, &["echo".to_owned()], log.path());
    let port = peer.ready.get("port").and_then(serde_json::Value::as_u64);
    let port = port.and_then(|port| u16::try_from(port).ok());
    let port = port.ok_or_else(|| BenchError::Unexpected("the peer told no port".to_owned()))?;
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).map_err(BenchError::io("connecting"))?;
    stream.set_nodelay(true).map_err(BenchError::io("connecting"))?;
    let mut message = [7; MESSAGE];
    let mut samples = Samples::new();
    for round in 0..warm_up + rounds {
        let begin = Instant::now();
        stream
            .write_all(&message)
            .and_then(|()| stream.read_exact(&mut message))
            .map_err(BenchError::io("a message over TCP"))?;
        if round >= warm_up {
            samples.push(begin.elapsed());
        }
    }
    drop(peer);
    Ok(samples)
}

/// Times of writing a page in a file in this directory and having it on disk. The file has its size already, as a
/// write-ahead log has that was used before.
///
/// # Errors
/// [`BenchError::Io`].
pub fn flushes(dir: &Path, rounds: usize) -> Result<Samples, BenchError> {
    let path = dir.join("flushes");
    let mut file = File::create_new(&path).map_err(BenchError::io("making a file to flush"))?;
    let mut samples = Samples::new();
    file.write_all(&vec![1; PAGE * PAGES])
        .and_then(|()| file.sync_all())
        .map_err(BenchError::io("flushing"))?;
    for round in 0..rounds {
        let begin = Instant::now();
        if round % PAGES == 0 {
            file.rewind().map_err(BenchError::io("flushing"))?;
        }
        file.write_all(&[2; PAGE]).and_then(|()| file.sync_data()).map_err(BenchError::io("flushing"))?;
        samples.push(begin.elapsed());
    }
    std::fs::remove_file(&path).map_err(BenchError::io("removing a file"))?;
    Ok(samples)
}

/// Rounds for a run of this length.
#[must_use]
pub fn rounds(quick: bool) -> usize {
    if quick { 50 } else { 2000 }
}
