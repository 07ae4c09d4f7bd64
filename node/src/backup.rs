//! Backups of a node: one file, encrypted under a passphrase.
//!
//! Keeps true: a backup is written whole or not at all, and never over something else; it is read whole or not at all: a
//! wrong passphrase, a changed, moved or missing byte, and a newer format are each refused before anything is handed
//! out. The device key is in it in the open LAN only, where it is the user. Layout: `docs/storage.md#backups`.

use crate::store::{self, StoreError, files};
use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Key, KeyInit, Nonce};
use lanchat_proto::codec::{self, Text};
use lanchat_proto::ids::{Epoch, RealmId, UserId};
use lanchat_proto::signed::SecretKey;
use lanchat_proto::time::Wall;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use tempfile::TempPath;
use zeroize::Zeroizing;

const MAGIC: &[u8; 16] = b"lanchat backup\r\n";
/// The newest format. Everything about a format is fixed by its number, so that a file cannot ask for much memory.
const FORMAT: u16 = 1;
const SALT: usize = 16;
const PREFIX: usize = 7;
const PREAMBLE: usize = MAGIC.len() + 2 + SALT + PREFIX;
/// Plain bytes of every chunk but the last.
const CHUNK: usize = 64 * 1024;
const TAG: usize = 16;
/// Most bytes of the encoded header. A longer one is refused.
const MAX_HEADER: usize = 4096;
const ARGON2_KIB: u32 = 64 * 1024;
const ARGON2_PASSES: u32 = 3;
const ARGON2_LANES: u32 = 1;

/// Why a backup could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A passphrase without characters protects nothing.
    #[error("the passphrase is empty")]
    EmptyPassphrase,
    /// There is something at the path where a new file was to be made.
    #[error("{} exists already", .0.display())]
    Exists(PathBuf),
    /// Not a file that `lanchat backup` wrote.
    #[error("{} is no backup of lanchat", .0.display())]
    NotABackup(PathBuf),
    /// Written by a newer lanchat.
    #[error("the backup has format {0}, which a newer lanchat wrote; update lanchat")]
    Newer(u16),
    /// The first bytes cannot be decrypted.
    #[error("wrong passphrase, or the backup is damaged")]
    Passphrase,
    /// Bytes behind the first ones cannot be decrypted, or are missing.
    #[error("the backup is damaged or cut off")]
    Damaged,
    /// A file could not be read or written.
    #[error("{}: {error}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The database in the backup.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The system gives no random numbers or not enough memory.
    #[error("cannot encrypt: {0}")]
    Crypto(String),
}

/// What goes into a backup.
#[derive(Clone, Copy, Debug)]
pub struct BackupParts<'a> {
    /// The realm.
    pub realm: RealmId,
    /// The user.
    pub user: UserId,
    /// The user's name, at most 256 bytes.
    pub name: &'a str,
    /// The device key. Left out of the file in an organisation, where a restored copy signs in anew.
    pub secret: Option<&'a SecretKey>,
    /// Now.
    pub created: Wall,
    /// A copy of the database that nobody writes to ([`crate::store::Reader::copy_to`]).
    pub database: &'a Path,
}

/// A backup that was read and found whole.
#[derive(Debug)]
pub struct Restored {
    /// The realm.
    pub realm: RealmId,
    /// The user.
    pub user: UserId,
    /// The user's name.
    pub name: String,
    /// The device key, in the open LAN.
    pub secret: Option<SecretKey>,
    /// When the backup was made.
    pub created: Wall,
    /// The version of lanchat that made it.
    pub program: String,
    /// The database, in the directory given to [`read`]; removed when this is dropped.
    pub database: TempPath,
}

impl Restored {
    /// Gives the database a new epoch, as every restored copy needs, and its place, where nothing may be yet.
    ///
    /// # Errors
    /// [`BackupError::Exists`] and others; the place is then as it was.
    pub fn install(self, path: &Path, epoch: Epoch) -> Result<(), BackupError> {
        store::set_epoch(&self.database, epoch)?;
        let file = |error| file_error(path, error);
        self.database.persist_noclobber(path).map_err(|error| file(error.error))?;
        files::sync_directory_of(path).map_err(file)
    }
}

/// The header as it is encoded. Never changes; another one is another format.
#[derive(Serialize, Deserialize)]
struct Header {
    realm: RealmId,
    user: UserId,
    name: Text<256>,
    secret: Option<[u8; 32]>,
    created: Wall,
    program: Text<64>,
}

/// Writes a backup to a file that does not exist yet.
///
/// # Errors
/// [`BackupError`]; nothing is left at the path then.
pub fn write(file: &Path, passphrase: &str, parts: &BackupParts<'_>) -> Result<(), BackupError> {
    let failed = |error| file_error(file, error);
    if file.try_exists().map_err(failed)? {
        return Err(BackupError::Exists(file.to_owned()));
    }
    let header = header(parts)?;
    let mut database = File::open(parts.database).map_err(|error| file_error(parts.database, error))?;
    let mut salt = [0; SALT];
    let mut prefix = [0; PREFIX];
    getrandom::fill(&mut salt).map_err(|error| BackupError::Crypto(error.to_string()))?;
    getrandom::fill(&mut prefix).map_err(|error| BackupError::Crypto(error.to_string()))?;
    let preamble = [MAGIC.as_slice(), &FORMAT.to_be_bytes(), &salt, &prefix].concat();
    let chunks = Chunks::new(passphrase, &salt, prefix, preamble.clone())?;

    // Private to its owner, and gone again if anything fails below.
    let new = tempfile::Builder::new()
        .prefix(".lanchat-backup-")
        .tempfile_in(files::directory_of(file))
        .map_err(failed)?;
    let mut out = BufWriter::new(new.as_file());
    out.write_all(&preamble).map_err(failed)?;
    let mut sealer = Sealer { chunks, plain: Zeroizing::new(Vec::with_capacity(CHUNK)), out };
    let length = u32::try_from(header.len()).map_err(|_| BackupError::Damaged)?;
    sealer.write_all(&length.to_be_bytes()).map_err(failed)?;
    sealer.write_all(&header).map_err(failed)?;
    io::copy(&mut database, &mut sealer).map_err(failed)?;
    sealer.finish().map_err(failed)?;
    new.as_file().sync_all().map_err(failed)?;
    new.persist_noclobber(file).map_err(|error| failed(error.error))?;
    files::sync_directory_of(file).map_err(failed)
}

fn header(parts: &BackupParts<'_>) -> Result<Zeroizing<Vec<u8>>, BackupError> {
    let too_long = |_| BackupError::Crypto("the name is too long".to_owned());
    let header = Header {
        realm: parts.realm,
        user: parts.user,
        name: Text::new(parts.name).map_err(too_long)?,
        secret: parts.secret.filter(|_| parts.realm == RealmId::OPEN).map(|key| *key.seed()),
        created: parts.created,
        program: Text::new(env!("CARGO_PKG_VERSION")).map_err(too_long)?,
    };
    codec::encode(&header).map(Zeroizing::new).map_err(|error| BackupError::Crypto(error.to_string()))
}

/// Reads and checks a whole backup. The database is put into `directory`, best the data directory, so that it can be
/// renamed from there.
///
/// # Errors
/// [`BackupError`]; nothing is left in the directory then.
pub fn read(file: &Path, passphrase: &str, directory: &Path) -> Result<Restored, BackupError> {
    let failed = |error| file_error(file, error);
    let mut input = BufReader::new(File::open(file).map_err(failed)?);
    let (preamble, salt, prefix) = preamble(file, &mut input)?;
    let chunks = Chunks::new(passphrase, &salt, prefix, preamble)?;
    let mut opener = Opener { chunks, next: Vec::new(), input };
    opener.next = opener.fetch().map_err(failed)?;

    let first = opener.open().map_err(failed)?.ok_or(BackupError::Passphrase)?;
    let (length, rest) = first.split_first_chunk::<4>().ok_or(BackupError::Damaged)?;
    let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| BackupError::Damaged)?;
    let (header, mut plain) = rest.split_at_checked(length).ok_or(BackupError::Damaged)?;
    let header: Header = codec::decode(header, MAX_HEADER).map_err(|_| BackupError::Damaged)?;

    let database = tempfile::Builder::new()
        .prefix(".lanchat-restore-")
        .tempfile_in(directory)
        .map_err(|error| file_error(directory, error))?;
    let write_failed = |error| file_error(database.path(), error);
    let mut chunk;
    loop {
        database.as_file().write_all(plain).map_err(write_failed)?;
        if opener.next.is_empty() {
            break;
        }
        chunk = opener.open().map_err(failed)?.ok_or(BackupError::Damaged)?;
        plain = &chunk;
    }
    database.as_file().sync_all().map_err(write_failed)?;
    let database = database.into_temp_path();
    let membership = store::peek(&database)?;
    if (membership.realm, membership.user) != (header.realm, header.user) {
        return Err(BackupError::Damaged);
    }
    Ok(Restored {
        realm: header.realm,
        user: header.user,
        name: header.name.into_string(),
        secret: header.secret.map(Zeroizing::new).map(|seed| SecretKey::from_seed(&seed)),
        created: header.created,
        program: header.program.into_string(),
        database,
    })
}

type Preamble = (Vec<u8>, [u8; SALT], [u8; PREFIX]);

fn preamble(file: &Path, input: &mut impl Read) -> Result<Preamble, BackupError> {
    let mut bytes = Vec::with_capacity(PREAMBLE);
    let limit = u64::try_from(PREAMBLE).unwrap_or(0);
    input.take(limit).read_to_end(&mut bytes).map_err(|error| file_error(file, error))?;
    let not_a_backup = || BackupError::NotABackup(file.to_owned());
    let rest = bytes.strip_prefix(MAGIC.as_slice()).ok_or_else(not_a_backup)?;
    let (format, rest) = rest.split_first_chunk::<2>().ok_or(BackupError::Damaged)?;
    match u16::from_be_bytes(*format) {
        FORMAT => {}
        0 => return Err(BackupError::Damaged),
        newer => return Err(BackupError::Newer(newer)),
    }
    let (salt, prefix) = rest.split_first_chunk::<SALT>().ok_or(BackupError::Damaged)?;
    let (salt, prefix) = (*salt, <[u8; PREFIX]>::try_from(prefix).map_err(|_| BackupError::Damaged)?);
    Ok((bytes, salt, prefix))
}

fn file_error(path: &Path, error: io::Error) -> BackupError {
    let path = path.to_owned();
    match error.kind() {
        io::ErrorKind::AlreadyExists => BackupError::Exists(path),
        _ => BackupError::File { path, error },
    }
}

/// The chunks' cipher: each nonce is the file's prefix, the chunk's number, and whether it is the last, so that no chunk
/// can be left out, repeated, moved or cut off; the preamble is authenticated with each.
struct Chunks {
    cipher: ChaCha20Poly1305,
    prefix: [u8; PREFIX],
    preamble: Vec<u8>,
    number: u32,
}

impl Chunks {
    fn new(
        passphrase: &str,
        salt: &[u8; SALT],
        prefix: [u8; PREFIX],
        preamble: Vec<u8>,
    ) -> Result<Self, BackupError> {
        if passphrase.is_empty() {
            return Err(BackupError::EmptyPassphrase);
        }
        let failed = |error: argon2::Error| BackupError::Crypto(error.to_string());
        let params = Params::new(ARGON2_KIB, ARGON2_PASSES, ARGON2_LANES, Some(32)).map_err(failed)?;
        let mut key = Zeroizing::new([0; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(passphrase.as_bytes(), salt, key.as_mut_slice())
            .map_err(failed)?;
        Ok(Self { cipher: ChaCha20Poly1305::new(&Key::from(*key)), prefix, preamble, number: 0 })
    }

    fn nonce(&mut self, last: bool) -> io::Result<Nonce> {
        let mut nonce = [0; 12];
        let (prefix, rest) = nonce.split_at_mut(PREFIX);
        prefix.copy_from_slice(&self.prefix);
        let (number, flag) = rest.split_at_mut(4);
        number.copy_from_slice(&self.number.to_be_bytes());
        flag.fill(u8::from(last));
        self.number = self.number.checked_add(1).ok_or(io::ErrorKind::FileTooLarge)?;
        Ok(Nonce::from(nonce))
    }

    fn seal(&mut self, plain: &[u8], last: bool) -> io::Result<Vec<u8>> {
        let nonce = self.nonce(last)?;
        let payload = Payload { msg: plain, aad: &self.preamble };
        self.cipher.encrypt(&nonce, payload).map_err(|_| io::Error::other("encryption failed"))
    }

    fn open(&mut self, sealed: &[u8], last: bool) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
        let nonce = self.nonce(last)?;
        let payload = Payload { msg: sealed, aad: &self.preamble };
        Ok(self.cipher.decrypt(&nonce, payload).ok().map(Zeroizing::new))
    }
}

/// Encrypts what is written to it. A full chunk waits until it is known whether it is the last.
struct Sealer<W: Write> {
    chunks: Chunks,
    plain: Zeroizing<Vec<u8>>,
    out: W,
}

impl<W: Write> Sealer<W> {
    fn put(&mut self, last: bool) -> io::Result<()> {
        let sealed = self.chunks.seal(&self.plain, last)?;
        self.plain.clear();
        self.out.write_all(&sealed)
    }

    fn finish(mut self) -> io::Result<()> {
        self.put(true)?;
        self.out.flush()
    }
}

impl<W: Write> Write for Sealer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.plain.len() >= CHUNK {
            self.put(false)?;
        }
        let taken = bytes.len().min(CHUNK.saturating_sub(self.plain.len()));
        self.plain.extend(bytes.iter().take(taken));
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Decrypts chunk by chunk, one ahead, so that the last is known as such.
struct Opener<R: Read> {
    chunks: Chunks,
    next: Vec<u8>,
    input: R,
}

impl<R: Read> Opener<R> {
    fn fetch(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(CHUNK + TAG);
        let limit = u64::try_from(CHUNK + TAG).unwrap_or(0);
        self.input.by_ref().take(limit).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// The next chunk's plain bytes; `None` when it is not what was written.
    fn open(&mut self) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
        let ahead = self.fetch()?;
        let sealed = std::mem::replace(&mut self.next, ahead);
        self.chunks.open(&sealed, self.next.is_empty())
    }
}
