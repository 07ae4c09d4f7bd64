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

/// Reads at a place of a file, wherever its cursor is. 0 at the end.
///
/// # Errors
/// As the file system says.
#[cfg(unix)]
pub fn read_at(file: &File, into: &mut [u8], at: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, into, at)
}

/// Reads at a place of a file; its cursor moves. 0 at the end.
///
/// # Errors
/// As the file system says.
#[cfg(windows)]
pub fn read_at(file: &File, into: &mut [u8], at: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, into, at)
}

/// Writes at a place of a file, wherever its cursor is. Returns how many bytes were taken.
///
/// # Errors
/// As the file system says.
#[cfg(unix)]
pub fn write_at(file: &File, bytes: &[u8], at: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::write_at(file, bytes, at)
}

/// Writes at a place of a file; its cursor moves. Returns how many bytes were taken.
///
/// # Errors
/// As the file system says.
#[cfg(windows)]
pub fn write_at(file: &File, bytes: &[u8], at: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_write(file, bytes, at)
}

/// What tells one file from another under the same name: volume and file number.
#[cfg(unix)]
#[must_use]
pub fn file_identity(metadata: &fs::Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt;
    (metadata.dev(), metadata.ino())
}

/// What tells one file from another under the same name: when it was made, since Windows tells the file's number only to
/// whoever has it open.
#[cfg(windows)]
#[must_use]
pub fn file_identity(metadata: &fs::Metadata) -> (u64, u64) {
    use std::os::windows::fs::MetadataExt;
    (0, metadata.creation_time())
}

/// Whether two directories lie on one volume, so that a file can be renamed from one to the other.
#[cfg(unix)]
#[must_use]
pub fn same_volume(one: &Path, other: &Path) -> bool {
    let volume = |path: &Path| fs::metadata(path).ok().map(|metadata| file_identity(&metadata).0);
    volume(one).is_some_and(|volume_one| volume(other) == Some(volume_one))
}

/// Whether two directories lie on one volume, as far as their drives tell.
#[cfg(windows)]
#[must_use]
pub fn same_volume(one: &Path, other: &Path) -> bool {
    let drive = |path: &Path| {
        fs::canonicalize(path)
            .ok()
            .and_then(|path| path.components().next().map(|part| part.as_os_str().to_owned()))
    };
    drive(one).is_some_and(|drive_one| drive(other) == Some(drive_one))
}

/// A path as bytes, exactly.
#[cfg(unix)]
#[must_use]
pub fn path_to_bytes(path: &Path) -> Vec<u8> {
    use std::os::unix::ffi::OsStrExt;
    path.as_os_str().as_bytes().to_vec()
}

/// A path as bytes, exactly: UTF-16, little-endian.
#[cfg(windows)]
#[must_use]
pub fn path_to_bytes(path: &Path) -> Vec<u8> {
    use std::os::windows::ffi::OsStrExt;
    path.as_os_str().encode_wide().flat_map(u16::to_le_bytes).collect()
}

/// The path that [`path_to_bytes`] was given.
#[cfg(unix)]
#[must_use]
pub fn path_from_bytes(bytes: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    std::ffi::OsStr::from_bytes(bytes).into()
}

/// The path that [`path_to_bytes`] was given.
#[cfg(windows)]
#[must_use]
pub fn path_from_bytes(bytes: &[u8]) -> PathBuf {
    use std::os::windows::ffi::OsStringExt;
    let wide: Vec<u16> = bytes.as_chunks::<2>().0.iter().map(|pair| u16::from_le_bytes(*pair)).collect();
    std::ffi::OsString::from_wide(&wide).into()
}

/// A path in the form that the system takes at any length.
#[cfg(windows)]
#[must_use]
pub fn any_length(path: &Path) -> PathBuf {
    // What canonicalize answers begins with \\?\. A drive that does not tell keeps the plain path.
    let dir = path.parent().and_then(|dir| fs::canonicalize(dir).ok());
    dir.zip(path.file_name()).map_or_else(|| path.to_path_buf(), |(dir, name)| dir.join(name))
}

/// A path in the form that the system takes at any length: as it is.
#[cfg(not(windows))]
#[must_use]
pub fn any_length(path: &Path) -> PathBuf {
    path.to_path_buf()
}

/// The directory where the user's downloads go, where the system names one.
#[must_use]
pub fn download_dir() -> Option<PathBuf> {
    directories::UserDirs::new().and_then(|dirs| dirs.download_dir().map(Path::to_path_buf))
}

/// Marks a file as one that came from elsewhere, so that the system asks before it runs it.
///
/// # Errors
/// As the file system says; one that has no streams (FAT) cannot be marked.
#[cfg(windows)]
pub fn mark_foreign(path: &Path) -> io::Result<()> {
    let mut stream = path.as_os_str().to_owned();
    stream.push(":Zone.Identifier");
    fs::write(stream, b"[ZoneTransfer]\r\nZoneId=3\r\n")
}

/// Marks a file as one that came from elsewhere, so that the system asks before it runs it.
///
/// # Errors
/// When the system's own tool for it does not run.
#[cfg(target_os = "macos")]
pub fn mark_foreign(path: &Path) -> io::Result<()> {
    let mut mark = std::process::Command::new("/usr/bin/xattr");
    mark.args(["-w", "com.apple.quarantine", "0081;00000000;lanchat;"]).arg(path);
    let status = mark.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::null()).status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other("xattr failed")) }
}

/// Other systems have no such mark: what comes has no permission to run.
///
/// # Errors
/// None.
#[cfg(not(any(windows, target_os = "macos")))]
pub fn mark_foreign(_path: &Path) -> io::Result<()> {
    Ok(())
}

/// Makes a file that only its owner may read, where nothing may be.
///
/// # Errors
/// As the file system says.
pub fn create_private(path: &Path) -> io::Result<File> {
    private_options().open(path)
}

/// Opens a file that only its owner may read, for reading and writing, making it if it is not there.
///
/// # Errors
/// As the file system says.
#[cfg(unix)]
pub fn open_private(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// Opens a file for reading and writing, making it if it is not there; the profile's permissions are inherited.
///
/// # Errors
/// As the file system says.
#[cfg(not(unix))]
pub fn open_private(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
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
