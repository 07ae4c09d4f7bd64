//! `scp` to this same machine, through a server with keys and a port of its own.
//!
//! Keeps true: nobody's keys and settings are used or changed; the server listens on loopback alone and ends with its
//! value. Needs OpenSSH's client and server.

use super::{Copied, time, timed};
use crate::error::BenchError;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How OpenSSH is installed.
const INSTALL: &str = "apt-get install openssh-client openssh-server, or measure with --without-scp";
/// Time that the server has to listen.
const READY: Duration = Duration::from_secs(10);

/// Keys for a server and a client.
#[derive(Debug)]
pub struct Ssh {
    dir: PathBuf,
}

impl Ssh {
    /// Makes keys in this directory.
    ///
    /// # Errors
    /// [`BenchError::Unexpected`] with how to install it when OpenSSH is not there.
    pub fn new(dir: &Path) -> Result<Self, BenchError> {
        let ssh = Self { dir: dir.join("ssh") };
        std::fs::create_dir(&ssh.dir).map_err(BenchError::io("a directory for keys"))?;
        for key in ["host", "user"] {
            let mut make = Command::new("ssh-keygen");
            make.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(ssh.dir.join(key));
            run(&mut make)?;
        }
        if !server().is_file() {
            return Err(BenchError::Unexpected(format!("sshd is missing: {INSTALL}")));
        }
        // Where sshd shuts a part of itself up; it does not start as root without.
        if cfg!(unix) {
            drop(std::fs::create_dir_all("/run/sshd"));
        }
        Ok(ssh)
    }

    /// Copies a file with `scp`. The server is started before and ended after, so that its processor time is known.
    ///
    /// # Errors
    /// [`BenchError`].
    pub fn copy(&self, from: &Path, to: &Path) -> Result<Copied, BenchError> {
        timed(from, to, || {
            let server = Server::start(&self.dir)?;
            let mut scp = Command::new("scp");
            scp.args(["-q", "-F", "/dev/null", "-P", &server.port.to_string(), "-i"])
                .arg(self.dir.join("user"));
            for option in [
                "StrictHostKeyChecking=no",
                "UserKnownHostsFile=/dev/null",
                "IdentitiesOnly=yes",
                "BatchMode=yes",
                "LogLevel=ERROR",
            ] {
                scp.args(["-o", option]);
            }
            scp.arg(from).arg(format!("127.0.0.1:{}", to.display()));
            time(|| run(&mut scp))
        })
    }
}

fn server() -> PathBuf {
    PathBuf::from("/usr/sbin/sshd")
}

fn run(command: &mut Command) -> Result<(), BenchError> {
    let name = command.get_program().to_string_lossy().into_owned();
    let done = command.stdin(Stdio::null()).output();
    match done {
        Ok(done) if done.status.success() => Ok(()),
        Ok(done) => {
            let said = String::from_utf8_lossy(&done.stderr).trim().replace('\n', "; ");
            Err(BenchError::Unexpected(format!("{name}: {said}")))
        }
        Err(error) => Err(BenchError::Unexpected(format!("{name}: {error}: {INSTALL}"))),
    }
}

/// A server that runs.
struct Server {
    child: Child,
    port: u16,
}

impl Server {
    fn start(dir: &Path) -> Result<Self, BenchError> {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
        let port = free.map_err(BenchError::io("a free port"))?.port();
        let mut command = Command::new(server());
        command.args(["-D", "-f", "/dev/null", "-h"]).arg(dir.join("host"));
        let keys = format!("AuthorizedKeysFile={}", dir.join("user.pub").display());
        for option in [
            &format!("Port={port}"),
            &keys,
            "ListenAddress=127.0.0.1",
            "StrictModes=no",
            "PidFile=none",
            "Subsystem=sftp internal-sftp",
        ] {
            command.args(["-o", option]);
        }
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(BenchError::io("starting sshd"))?;
        let server = Self { child, port };
        let begin = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            if begin.elapsed() > READY {
                return Err(BenchError::TimedOut { what: "sshd listening".to_owned(), after: READY });
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Killed, it would not have waited for the processes of its connections, whose time counts.
        let asked = Command::new("kill").arg(self.child.id().to_string()).status();
        if !asked.is_ok_and(|status| status.success()) {
            drop(self.child.kill());
        }
        drop(self.child.wait());
    }
}
