//! Backups from the outside: what goes in comes out, and nothing else ever does.

use lanchat::backup::{self, BackupError, BackupParts};
use lanchat::store::{Membership, Store, StoreError, peek};
use lanchat_proto::certificate::Certificate;
use lanchat_proto::codec::BoundedVec;
use lanchat_proto::ids::{Epoch, RealmId, UserId};
use lanchat_proto::signed::SecretKey;
use lanchat_proto::time::Wall;
use std::path::{Path, PathBuf};

struct Desk {
    directory: tempfile::TempDir,
    key: SecretKey,
    membership: Membership,
}

fn desk(realm: RealmId) -> Desk {
    let key = SecretKey::from_seed(&[1; 32]);
    let device = key.public();
    let certificate =
        Certificate::self_signed(&key, "alice".parse().unwrap(), [0; 32], Wall(1_750_000_000_000)).unwrap();
    let membership = Membership {
        realm,
        user: UserId::of_open_device(&device),
        name: "alice".to_owned(),
        device,
        certificate,
        chain: BoundedVec::empty(),
        coordinator: None,
        org: String::new(),
    };
    let directory = tempfile::tempdir().unwrap();
    Store::create(&directory.path().join("lanchat.db"), &membership, Epoch(1)).unwrap();
    Desk { directory, key, membership }
}

impl Desk {
    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, file: &Path, passphrase: &str) -> Result<(), BackupError> {
        let parts = BackupParts {
            realm: self.membership.realm,
            user: self.membership.user,
            name: "alice",
            secret: Some(&self.key),
            created: Wall(7),
            database: &self.path("lanchat.db"),
        };
        backup::write(file, passphrase, &parts)
    }

    fn files(&self) -> usize {
        std::fs::read_dir(self.directory.path()).unwrap().count()
    }
}

#[test]
fn a_backup_comes_back_with_a_new_epoch() {
    let desk = desk(RealmId::OPEN);
    let file = desk.path("backup");
    desk.write(&file, "correct horse").unwrap();
    assert!(matches!(desk.write(&file, "correct horse"), Err(BackupError::Exists(_))));
    let elsewhere = tempfile::tempdir().unwrap();
    let restored = backup::read(&file, "correct horse", elsewhere.path()).unwrap();
    assert_eq!((restored.realm, restored.user), (RealmId::OPEN, desk.membership.user));
    assert_eq!((restored.name.as_str(), restored.created), ("alice", Wall(7)));
    assert_eq!(restored.program, env!("CARGO_PKG_VERSION"));
    assert_eq!(restored.secret.as_ref().unwrap().public(), desk.key.public());
    assert_eq!(std::fs::read(&restored.database).unwrap(), std::fs::read(desk.path("lanchat.db")).unwrap());
    let path = elsewhere.path().join("lanchat.db");
    restored.install(&path, Epoch(2)).unwrap();
    assert_eq!(peek(&path).unwrap(), desk.membership);
    let (_, _, opened) = Store::open(&path, tokio::sync::mpsc::channel(1).0).unwrap();
    assert_eq!(opened.epoch, Epoch(2));
    let again = backup::read(&file, "correct horse", elsewhere.path()).unwrap();
    assert!(matches!(again.install(&path, Epoch(3)), Err(BackupError::Exists(_))));
}

#[test]
fn the_device_key_stays_out_of_an_organisations_backup() {
    let desk = desk(RealmId([3; 32]));
    desk.write(&desk.path("backup"), "x").unwrap();
    let restored = backup::read(&desk.path("backup"), "x", desk.directory.path()).unwrap();
    assert!(restored.secret.is_none());
    drop(restored);
    assert_eq!(desk.files(), 2);
}

#[test]
fn nothing_readable_is_in_the_file_and_nobody_else_may_open_it() {
    let desk = desk(RealmId::OPEN);
    let file = desk.path("backup");
    desk.write(&file, "x").unwrap();
    let bytes = std::fs::read(&file).unwrap();
    for secret in [b"CREATE TABLE".as_slice(), b"alice", desk.key.seed().as_slice()] {
        assert!(!bytes.windows(secret.len()).any(|window| window == secret));
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn every_broken_file_is_refused_and_leaves_nothing_behind() {
    let desk = desk(RealmId::OPEN);
    let sql = rusqlite::Connection::open(desk.path("lanchat.db")).unwrap();
    sql.execute("INSERT INTO announcements VALUES (1, 1, ?1)", ["more ".repeat(20_000)]).unwrap();
    sql.close().unwrap();
    let whole = desk.path("backup");
    desk.write(&whole, "x").unwrap();
    let bytes = std::fs::read(&whole).unwrap();
    let files = desk.files() + 1;
    let chunk = 64 * 1024 + 16;
    let read = |bytes: &[u8], passphrase: &str| {
        std::fs::write(desk.path("broken"), bytes).unwrap();
        let result = backup::read(&desk.path("broken"), passphrase, desk.directory.path());
        let error = result.err().unwrap();
        assert_eq!(desk.files(), files, "{error}");
        assert!(!error.to_string().contains('\n'));
        error
    };
    assert!(matches!(read(&bytes, "y"), BackupError::Passphrase));
    assert!(matches!(read(&bytes, ""), BackupError::EmptyPassphrase));
    assert!(matches!(read(b"", "x"), BackupError::NotABackup(_)));
    assert!(matches!(read(b"SQLite format 3\0 and more", "x"), BackupError::NotABackup(_)));
    assert!(matches!(read(&bytes[..20], "x"), BackupError::Damaged));
    assert!(matches!(read(&bytes[..41], "x"), BackupError::Passphrase));
    assert!(matches!(read(&bytes[..41 + chunk], "x"), BackupError::Passphrase));
    assert!(bytes.len() > 41 + 2 * chunk, "the database has three chunks");
    for cut in [41 + chunk + 1, 41 + 2 * chunk, bytes.len() - 1] {
        assert!(matches!(read(&bytes[..cut], "x"), BackupError::Damaged), "cut at {cut}");
    }
    let changed = |at: usize| {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        changed
    };
    assert!(matches!(read(&changed(3), "x"), BackupError::NotABackup(_)));
    assert!(matches!(read(&changed(16), "x"), BackupError::Newer(0x101)));
    for at in [18, 34, 41, 41 + chunk - 1] {
        assert!(matches!(read(&changed(at), "x"), BackupError::Passphrase), "byte {at}");
    }
    for at in [41 + chunk, 41 + 2 * chunk, bytes.len() - 1] {
        assert!(matches!(read(&changed(at), "x"), BackupError::Damaged), "byte {at}");
    }
    let mut swapped = bytes.clone();
    swapped.copy_within(41 + chunk..41 + 2 * chunk, 41);
    assert!(matches!(read(&swapped, "x"), BackupError::Passphrase));
    let longer = [bytes.as_slice(), b"more"].concat();
    assert!(matches!(read(&longer, "x"), BackupError::Damaged));
}

#[test]
fn a_backup_that_cannot_be_written_leaves_nothing_behind() {
    let desk = desk(RealmId::OPEN);
    assert!(desk.write(&desk.path("no/such/directory"), "x").is_err());
    assert!(matches!(desk.write(&desk.path("backup"), ""), Err(BackupError::EmptyPassphrase)));
    assert_eq!(desk.files(), 1);
    std::fs::write(desk.path("lanchat.db"), "not a database").unwrap();
    desk.write(&desk.path("backup"), "x").unwrap();
    let error = backup::read(&desk.path("backup"), "x", desk.directory.path()).err().unwrap();
    assert!(matches!(error, BackupError::Store(StoreError::Damaged { .. })), "{error}");
    assert_eq!(desk.files(), 2);
}
