//! What each platform does its own way: private files, the identity of this machine, the names of user and host.
//!
//! Keeps true: a private file is readable by its owner only before the first secret byte is in it, and a crash leaves
//! either the old file or the new one. Nothing else of the node asks which platform it runs on.

use lanchat_proto::ids::HostId;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Options for a new file that only its owner may read.
#[cfg(unix)]
fn private_options() -> OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    options
}

/// Options for a new file. Windows gives files in a user's profile to that user alone by inheritance.
#[cfg(not(unix))]
fn private_options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    options
}

/// Creates a directory (and those above) that only its owner may enter.
///
/// # Errors
/// As the file system says.
#[cfg(unix)]
pub fn create_private_dir(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Creates a directory (and those above); the profile's permissions are inherited.
///
/// # Errors
/// As the file system says.
#[cfg(not(unix))]
pub fn create_private_dir(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)
}

/// Makes a rename in this directory survive a power cut. Windows flushes directory entries by itself.
#[cfg(unix)]
pub fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Makes a rename in this directory survive a power cut. Windows flushes directory entries by itself.
///
/// # Errors
/// None.
#[cfg(not(unix))]
pub fn sync_dir(_path: &Path) -> io::Result<()> {
    Ok(())
}

/// Writes a private file in one step: temporary file, flush to disk, rename over the old one.
///
/// # Errors
/// As the file system says; the old file is then untouched.
pub fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    // Temporary files of this crate are their owner's alone, and gone again when anything fails.
    let mut file = tempfile::Builder::new().prefix(".lanchat-").tempfile_in(dir)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    sync_dir(dir)
}

fn hash_host(parts: &[&[u8]]) -> HostId {
    let mut hasher = blake3::Hasher::new_derive_key("lanchat/host/1");
    for part in parts {
        hasher.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
        hasher.update(part);
    }
    let mut id = [0; 16];
    hasher.finalize_xof().fill(&mut id);
    HostId(id)
}

/// This machine in this boot and network namespace: only within it do processes share loopback addresses.
#[cfg(target_os = "linux")]
#[must_use]
pub fn host_id() -> HostId {
    let boot = fs::read("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let namespace = fs::read_link("/proc/self/ns/net").unwrap_or_default();
    if boot.is_empty() {
        return temporary_host_id();
    }
    hash_host(&[&boot, namespace.as_os_str().as_encoded_bytes()])
}

/// This machine, as far as programs of one user see it.
#[cfg(not(target_os = "linux"))]
#[must_use]
pub fn host_id() -> HostId {
    temporary_host_id()
}

/// A random token in the user's temporary directory: there is no portable name for a boot. A token that cannot be
/// shared makes a host of its own, which costs only the short cut over loopback.
fn temporary_host_id() -> HostId {
    let path = std::env::temp_dir().join("lanchat-host-id");
    let mut fresh = [0; 16];
    if getrandom::fill(&mut fresh).is_err() {
        return HostId([0; 16]);
    }
    if let Ok(mut file) = private_options().open(&path) {
        // Whoever reads a half-written token is only another host.
        drop(file.write_all(&fresh));
    }
    hash_host(&[&fs::read(&path).unwrap_or_else(|_| fresh.to_vec())])
}

/// The name of the person at this machine, as the system calls them.
#[must_use]
pub fn person() -> Option<String> {
    ["USER", "USERNAME", "LOGNAME"]
        .iter()
        .find_map(|name| std::env::var(name).ok())
        .filter(|name| !name.is_empty())
}

/// The platform's directory for the data of lanchat.
#[must_use]
pub fn default_data_dir() -> Option<PathBuf> {
    directories::ProjectDirs::from("", "", "lanchat").map(|dirs| dirs.data_local_dir().to_path_buf())
}

/// What decides here who may connect.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Firewall {
    /// ufw under Linux, switched on.
    Ufw,
    /// firewalld under Linux, running.
    Firewalld,
    /// The one of Windows.
    Windows,
    /// The one of macOS.
    MacOs,
    /// Another, or none.
    Other,
}

/// The firewall of this machine, as far as that can be seen without rights.
#[cfg(target_os = "linux")]
#[must_use]
pub fn firewall() -> Firewall {
    let ufw = fs::read_to_string("/etc/ufw/ufw.conf").unwrap_or_default();
    if ufw.lines().any(|line| line.trim().eq_ignore_ascii_case("enabled=yes")) {
        Firewall::Ufw
    } else if ["/run/firewalld.pid", "/run/firewalld"].iter().any(|path| Path::new(path).exists()) {
        Firewall::Firewalld
    } else {
        Firewall::Other
    }
}

/// The firewall of this machine.
#[cfg(windows)]
#[must_use]
pub fn firewall() -> Firewall {
    Firewall::Windows
}

/// The firewall of this machine.
#[cfg(target_os = "macos")]
#[must_use]
pub fn firewall() -> Firewall {
    Firewall::MacOs
}

/// The firewall of this machine is not known here.
#[cfg(not(any(target_os = "linux", target_os = "macos", windows)))]
#[must_use]
pub fn firewall() -> Firewall {
    Firewall::Other
}

/// Ends when the system or the person asks the program to end.
#[cfg(unix)]
pub async fn asked_to_end() {
    use tokio::signal::unix::{SignalKind, signal};
    let term = async {
        match signal(SignalKind::terminate()) {
            Ok(mut term) => {
                term.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = term => {}
    }
}

/// Ends when the system or the person asks the program to end.
#[cfg(not(unix))]
pub async fn asked_to_end() {
    // A handler that cannot be installed leaves the window's close button.
    drop(tokio::signal::ctrl_c().await);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_file_is_replaced_whole_and_closed_to_others() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        write_private(&path, b"one").unwrap();
        write_private(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn one_machine_has_one_host_id() {
        assert_eq!(host_id(), host_id());
        assert_eq!(temporary_host_id(), temporary_host_id());
    }
}
