//! Both ends of a copy over one TCP connection, each a process of its own: plain, or TLS 1.3 with AES-128-GCM.
//!
//! Keeps true: the receiver syncs the file before it answers; the sender is done when it has read that answer. The
//! certificate is made for one copy, and its file is all that the sender trusts.

use super::{Copied, time, timed};
use crate::error::BenchError;
use crate::tcp::accept_one;
use lanchat_tests::command::finish;
use lanchat_tests::lab::Host;
use lanchat_tests::program::Program;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

/// Bytes that are read and written at a time.
const BLOCK: usize = 256 * 1024;
/// Name in the certificate.
const NAME: &str = "localhost";
/// Time for one copy.
const LONG: Duration = Duration::from_secs(600);

/// How the bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Way {
    /// As they are.
    Plain,
    /// In TLS 1.3.
    Tls,
}

impl Way {
    fn word(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Tls => "tls",
        }
    }
}

/// Copies a file.
///
/// # Errors
/// [`BenchError`].
pub fn copy(way: Way, from: &Path, to: &Path) -> Result<Copied, BenchError> {
    timed(from, to, || {
        let own = std::env::current_exe().map_err(BenchError::io("finding the own program"))?;
        let words = [to, &to.with_extension("certificate")].map(|path| path.display().to_string());
        let args = ["receive", way.word()].map(str::to_owned).into_iter().chain(words.clone());
        let log = to.with_extension("log");
        let receiver = Program::try_start(&Host::here(), &own, &args.collect::<Vec<_>>(), &log)
            .map_err(BenchError::Unexpected)?;
        let port = receiver.ready.get("port").map(ToString::to_string).unwrap_or_default();
        let mut sender = Command::new(&own);
        let [_, certificate] = &words;
        sender.args(["send", way.word(), &port, certificate]).arg(from);
        let took = time(|| match finish(sender, b"", LONG) {
            sent if sent.code == 0 => Ok(()),
            sent => Err(BenchError::Unexpected(format!("the copy: {} {}", sent.stderr, receiver.log()))),
        });
        receiver.ended();
        took
    })
}

fn read(path: &Path) -> Result<Vec<u8>, BenchError> {
    std::fs::read(path).map_err(BenchError::io(path.display().to_string()))
}

fn provider() -> Arc<CryptoProvider> {
    let mut provider = ring::default_provider();
    provider.cipher_suites = vec![ring::cipher_suite::TLS13_AES_128_GCM_SHA256];
    Arc::new(provider)
}

/// The receiver: one connection, one file. Prints a ready line with its port.
///
/// # Errors
/// [`BenchError`].
pub fn receive(way: Way, to: &Path, certificate: &Path) -> Result<(), BenchError> {
    let config = (way == Way::Tls).then(|| identity(certificate)).transpose()?;
    let stream = accept_one()?;
    match config {
        None => take(stream, to),
        Some(config) => {
            let session =
                ServerConnection::new(Arc::new(config)).map_err(BenchError::failed("a TLS session"))?;
            take(StreamOwned::new(session, stream), to)
        }
    }
}

/// A new key and certificate; the certificate is left in a file.
fn identity(certificate: &Path) -> Result<ServerConfig, BenchError> {
    let made = rcgen::generate_simple_self_signed(vec![NAME.to_owned()])
        .map_err(BenchError::failed("a certificate"))?;
    std::fs::write(certificate, made.cert.der()).map_err(BenchError::io("keeping the certificate"))?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.key_pair.serialize_der()));
    ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .and_then(|config| config.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key))
        .map_err(BenchError::failed("TLS"))
}

/// Length, then bytes; one byte goes back when they are on the disk.
fn take(mut stream: impl Read + Write, to: &Path) -> Result<(), BenchError> {
    let mut file = File::create(to).map_err(BenchError::io(to.display().to_string()))?;
    let mut len = [0; 8];
    stream.read_exact(&mut len).map_err(BenchError::io("the length"))?;
    carry(&mut stream, &mut file, u64::from_le_bytes(len))?;
    file.sync_all().map_err(BenchError::io("syncing the copy"))?;
    stream.write_all(&[1]).and_then(|()| stream.flush()).map_err(BenchError::io("answering"))?;
    // The sender closes when it has the answer.
    drop(stream.read(&mut [0]));
    Ok(())
}

/// The sender of one file.
///
/// # Errors
/// [`BenchError`].
pub fn send(way: Way, port: u16, certificate: &Path, from: &Path) -> Result<(), BenchError> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).map_err(BenchError::io("connecting"))?;
    match way {
        Way::Plain => give(stream, from),
        Way::Tls => {
            let mut trusted = RootCertStore::empty();
            trusted
                .add(CertificateDer::from(read(certificate)?))
                .map_err(BenchError::failed("the certificate"))?;
            let config = ClientConfig::builder_with_provider(provider())
                .with_protocol_versions(&[&rustls::version::TLS13])
                .map_err(BenchError::failed("TLS"))?
                .with_root_certificates(trusted)
                .with_no_client_auth();
            let name = ServerName::try_from(NAME).map_err(BenchError::failed("a name"))?;
            let session =
                ClientConnection::new(Arc::new(config), name).map_err(BenchError::failed("a TLS session"))?;
            give(StreamOwned::new(session, stream), from)
        }
    }
}

fn give(mut stream: impl Read + Write, from: &Path) -> Result<(), BenchError> {
    let mut file = File::open(from).map_err(BenchError::io(from.display().to_string()))?;
    let len = file.metadata().map_err(BenchError::io(from.display().to_string()))?.len();
    stream.write_all(&len.to_le_bytes()).map_err(BenchError::io("the length"))?;
    carry(&mut file, &mut stream, len)?;
    stream
        .flush()
        .and_then(|()| stream.read_exact(&mut [0]))
        .map_err(BenchError::io("waiting until the copy is on the disk"))
}

fn carry(from: &mut impl Read, to: &mut impl Write, len: u64) -> Result<(), BenchError> {
    let mut block = vec![0; BLOCK];
    let mut left = len;
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(BLOCK);
        let part = block.get_mut(..most).unwrap_or_default();
        let read = from.read(part).map_err(BenchError::io("reading"))?;
        if read == 0 {
            return Err(BenchError::Unexpected("the file ends too soon".to_owned()));
        }
        to.write_all(part.get(..read).unwrap_or_default()).map_err(BenchError::io("writing"))?;
        left -= read as u64;
    }
    Ok(())
}
