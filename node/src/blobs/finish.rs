//! The end of a fetch: a whole and verified file gets its final name.
//!
//! Keeps true: a name is taken only where nothing is, in one step, so that nothing is ever replaced and no link at the
//! name is followed; names that differ only in case or composition count as the same, as some systems have it; the file
//! is on the disk, and marked as one from elsewhere, before it has the name; what is made outside is written down before,
//! so that whatever a crash leaves is known and removed. It may be read and written by its owner, and never run.

use super::limits::MAX_NUMBER;
use super::shelf::{Part, copy_name, remove};
use crate::platform;
use lanchat_proto::file_name::FileName;
use lanchat_proto::ids::MessageId;
use lanchat_proto::time::Wall;
use std::collections::BTreeSet;
use std::fs::{File, FileTimes};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tempfile::TempPath;
use unicode_normalization::UnicodeNormalization;

/// Why a file cannot be saved, as people are told.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SaveError {
    /// The system does not let this program write there.
    #[error("the directory for it may not be written to")]
    NotAllowed,
    /// Nothing lies there, or something else does.
    #[error("the directory for it is missing, or is not a directory")]
    NoDirectory,
    /// What the system says.
    #[error("it cannot be saved: {0}")]
    Other(String),
}

impl From<&io::Error> for SaveError {
    fn from(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Self::NotAllowed,
            io::ErrorKind::NotADirectory | io::ErrorKind::NotFound => Self::NoDirectory,
            _ => Self::Other(error.to_string()),
        }
    }
}

/// A whole file that is to be saved.
pub(super) struct Whole<'a> {
    pub(super) offer: MessageId,
    pub(super) file: &'a File,
    pub(super) path: PathBuf,
    pub(super) name: &'a FileName,
    /// Where it was to be saved before.
    pub(super) tried: Option<PathBuf>,
    /// When it was last changed, as its author says.
    pub(super) changed: Wall,
}

/// A name as the least strict system compares it.
fn folded(name: &str) -> String {
    name.nfc().flat_map(char::to_lowercase).nfc().collect()
}

/// Gives a file its name in a directory. `about_to` is told each name before it is tried, and a copy before it is made,
/// so that a crash in between can be told from a file that was never saved. Blocks.
pub(super) fn save(
    whole: &Whole<'_>,
    dir: &Path,
    mut about_to: impl FnMut(Part, &Path) -> io::Result<()>,
) -> io::Result<PathBuf> {
    make_dir(dir)?;
    ready(whole.file, &whole.path, whole.changed)?;
    if let Some(tried) = whole.tried.as_deref().filter(|tried| is_empty_file(tried)) {
        // The name was taken, and the program ended before the file came there.
        remove(tried);
    }
    let taken = taken_names(dir)?;
    let mut from = whole.path.clone();
    for number in 0..=MAX_NUMBER {
        let name = whole.name.numbered(number);
        if taken.contains(&folded(name.as_str())) {
            continue;
        }
        let to = dir.join(name.as_str());
        about_to(Part::Saved, &to)?;
        let mut moved = rename_new(&from, &to);
        if moved.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::CrossesDevices) {
            let copy = dir.join(copy_name(&whole.offer));
            about_to(Part::Copy, &copy)?;
            copy_beside(whole, &copy)?;
            from = copy;
            moved = rename_new(&from, &to);
        }
        match moved {
            Ok(()) => {
                if let Err(error) = platform::sync_dir(dir) {
                    tracing::warn!(%error, "The name of a saved file may not survive a power cut");
                }
                if from != whole.path {
                    remove(&whole.path);
                }
                return Ok(to);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::new(io::ErrorKind::AlreadyExists, "too many files of this name"))
}

/// Makes the directory, if it is not there.
fn make_dir(dir: &Path) -> io::Result<()> {
    std::fs::create_dir_all(dir).map_err(|error| match error.kind() {
        // Something else lies there.
        io::ErrorKind::AlreadyExists => io::ErrorKind::NotADirectory.into(),
        _ => error,
    })
}

/// Tries whether a file could be saved in a directory, or in one that would be made there, by making one without a name.
/// Nothing is left of it. Blocks.
pub(super) fn try_dir(dir: &Path) -> io::Result<()> {
    let missing = |error: &io::Error| {
        // Below something that is no directory nothing can be.
        matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
    };
    for there in dir.ancestors().filter(|there| !there.as_os_str().is_empty()) {
        match std::fs::symlink_metadata(there) {
            Err(error) if missing(&error) => {}
            Err(error) => return Err(error),
            Ok(_) if !there.is_dir() => return Err(io::ErrorKind::NotADirectory.into()),
            Ok(_) => return try_to_make_file(there),
        }
    }
    Err(io::ErrorKind::NotFound.into())
}

/// Makes a file without a name in a directory that is there.
fn try_to_make_file(dir: &Path) -> io::Result<()> {
    let made = std::fs::read_dir(dir).and_then(|_| tempfile::tempfile_in(dir));
    made.map(drop).map_err(|error| match (error.kind(), error.raw_os_error()) {
        // What no file can be made in, as in the directories that a system makes up.
        (io::ErrorKind::NotFound, _) => io::ErrorKind::PermissionDenied.into(),
        // It would name a file of which nobody knows.
        (kind, None) => kind.into(),
        _ => error,
    })
}

/// Brings a file to the disk as it is to be, but for its name: mark and time go with it.
fn ready(file: &File, path: &Path, changed: Wall) -> io::Result<()> {
    // Before the time is set, since some systems take the mark for a change.
    if let Err(error) = platform::mark_foreign(path) {
        tracing::warn!(%error, "A file could not be marked as one from elsewhere");
    }
    set_times(file, changed);
    file.sync_all()
}

fn is_empty_file(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.len() == 0)
}

fn taken_names(dir: &Path) -> io::Result<BTreeSet<String>> {
    let mut taken = BTreeSet::new();
    for entry in std::fs::read_dir(dir)? {
        if let Some(name) = entry?.file_name().to_str() {
            taken.insert(folded(name));
        }
    }
    Ok(taken)
}

/// Renames where nothing may be at the new name.
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    let (from, to) = (&platform::any_length(from), &platform::any_length(to));
    let error = match TempPath::try_from_path(from)?.persist_noclobber(to) {
        Ok(()) => return Ok(()),
        Err(failed) => {
            // Else it would be removed with the value.
            failed.path.keep().map_err(|kept| kept.error)?;
            failed.error
        }
    };
    match error.kind() {
        io::ErrorKind::Unsupported | io::ErrorKind::PermissionDenied => {}
        _ => return Err(error),
    }
    // A file system with neither a rename that replaces nothing nor hard links (FAT): the name is taken first, and what is
    // replaced is one's own empty file.
    drop(File::create_new(to)?);
    std::fs::rename(from, to).inspect_err(|_| remove(to))
}

/// Copies a file to a hidden name in a directory on another volume.
fn copy_beside(whole: &Whole<'_>, path: &Path) -> io::Result<()> {
    remove(path);
    let copied = (|| {
        let mut to = platform::create_private(path)?;
        let mut from = File::open(&whole.path)?;
        io::copy(&mut from, &mut to)?;
        ready(&to, path, whole.changed)
    })();
    copied.inspect_err(|_| remove(path))
}

/// Sets the time of change that the author names, if it is one that has been.
fn set_times(file: &File, changed: Wall) {
    let at = UNIX_EPOCH.checked_add(Duration::from_millis(changed.0));
    if let Some(at) = at.filter(|_| changed.0 > 0) {
        let times = FileTimes::new().set_modified(at.min(SystemTime::now()));
        // Some file systems keep none.
        drop(file.set_times(times));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    struct Scene {
        dir: tempfile::TempDir,
    }

    impl Scene {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            std::fs::create_dir(dir.path().join("target")).unwrap();
            Self { dir }
        }

        fn target(&self) -> PathBuf {
            self.dir.path().join("target")
        }

        fn save(&self, name: &FileName, bytes: &[u8]) -> io::Result<PathBuf> {
            let path = self.dir.path().join("partial");
            std::fs::write(&path, bytes).unwrap();
            let file = File::options().read(true).write(true).open(&path).unwrap();
            let whole = Whole {
                offer: MessageId([1; 16]),
                file: &file,
                path,
                name,
                tried: None,
                changed: Wall(1_000_000),
            };
            save(&whole, &self.target(), |_, _| Ok(()))
        }

        fn files(&self) -> BTreeMap<String, Vec<u8>> {
            let entries = std::fs::read_dir(self.target()).unwrap().map(|entry| entry.unwrap());
            entries
                .map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap()))
                .collect()
        }
    }

    /// Names that somebody might send who means harm.
    fn hostile() -> Vec<String> {
        let mut names = Vec::new();
        let plain = ["x", "passwd", "authorized_keys", "report.pdf"];
        for name in plain {
            for way in [
                "../",
                "../../",
                "/",
                "//",
                "./",
                "a/../",
                "..\\",
                "\\",
                "\\\\host\\share\\",
                "\\\\?\\C:\\",
                "C:",
                "c:\\",
                "C:/",
                "~/",
                "\u{2215}",
                "..\u{ff0f}",
                "\u{2044}etc\u{2044}",
                "..\u{29f5}",
            ] {
                names.push(format!("{way}{name}"));
            }
            for end in [
                " ",
                ".",
                "...",
                ". .",
                ":stream",
                "::$DATA",
                "\0.txt",
                "\n",
                "\r\n",
                "\u{7f}",
                "\u{85}",
                "\u{202e}fdp.exe",
                "\u{200b}",
                "\u{feff}",
                "/",
                "\\",
                "/..",
                "\\..",
            ] {
                names.push(format!("{name}{end}"));
            }
        }
        for device in [
            "CON",
            "PRN",
            "AUX",
            "NUL",
            "COM0",
            "COM1",
            "COM9",
            "LPT1",
            "LPT9",
            "COM\u{b9}",
            "LPT\u{b2}",
            "CONIN$",
            "CONOUT$",
            "CLOCK$",
        ] {
            for form in [
                device.to_owned(),
                device.to_lowercase(),
                format!("{device}.txt"),
                format!("{device} .txt"),
                format!("{device}:"),
                format!("{device}.tar.gz"),
                format!(" {device}"),
            ] {
                names.push(form);
            }
        }
        for odd in [
            "",
            ".",
            "..",
            "...",
            " ",
            "\t",
            "\u{a0}",
            "\u{3000}",
            "\u{200b}",
            "\u{202e}",
            "-rf",
            "--help",
            "*",
            "?",
            "|",
            "<>",
            "\"",
            "$HOME",
            "%PATH%",
            "`id`",
            "$(id)",
            ".bashrc",
            "desktop.ini",
            "autorun.inf",
            ".lanchat-x.partial",
        ] {
            names.push(odd.to_owned());
        }
        for len in [199, 200, 201, 254, 255, 256, 1000, 5000] {
            names.extend([
                "a".repeat(len),
                "长".repeat(len),
                format!("{}.pdf", "b".repeat(len)),
                format!("x.{}", "y".repeat(len)),
            ]);
        }
        for (one, other) in [
            ("Report.TXT", "report.txt"),
            ("stra\u{df}e", "STRA\u{df}E"),
            ("caf\u{e9}", "cafe\u{301}"),
            ("\u{c5}", "\u{212b}"),
            ("\u{3a9}", "\u{2126}"),
            ("I.txt", "i.txt"),
        ] {
            names.extend([one.to_owned(), other.to_owned()]);
        }
        names
    }

    #[test]
    fn hostile_names_write_nothing_outside_and_replace_nothing() {
        let scene = Scene::new();
        let names = hostile();
        assert!(names.len() >= 300, "{}", names.len());
        let mut expected = 0;
        for (number, name) in names.iter().enumerate() {
            let Ok(name) = FileName::new(name) else { continue };
            let saved = scene.save(&name, format!("{number}").as_bytes()).unwrap();
            assert_eq!(saved.parent(), Some(scene.target().as_path()));
            expected += 1;
        }
        let files = scene.files();
        assert_eq!(files.len(), expected);
        let folds: BTreeSet<String> = files.keys().map(|name| folded(name)).collect();
        assert_eq!(folds.len(), expected, "names that some systems hold for the same");
        let contents: BTreeSet<&Vec<u8>> = files.values().collect();
        assert_eq!(contents.len(), expected, "something was replaced");
        assert_eq!(std::fs::read_dir(scene.dir.path()).unwrap().count(), 1, "something lies outside");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_at_the_name_is_neither_followed_nor_replaced() {
        let scene = Scene::new();
        let outside = scene.dir.path().join("outside");
        std::os::unix::fs::symlink(&outside, scene.target().join("a.txt")).unwrap();
        let name = FileName::new("a.txt").unwrap();
        assert_eq!(scene.save(&name, b"x").unwrap(), scene.target().join("a (1).txt"));
        assert!(!outside.exists());
        assert!(rename_new(&scene.target().join("a (1).txt"), &scene.target().join("a.txt")).is_err());
        assert!(!outside.exists());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_directory_on_another_disk_gets_a_whole_copy() {
        let Ok(other) = tempfile::tempdir_in("/dev/shm") else { return };
        let scene = Scene::new();
        let path = scene.dir.path().join("partial");
        std::fs::write(&path, b"bytes").unwrap();
        let file = File::options().read(true).write(true).open(&path).unwrap();
        let name = FileName::new("a.txt").unwrap();
        let whole = Whole {
            offer: MessageId([1; 16]),
            file: &file,
            path,
            name: &name,
            tried: None,
            changed: Wall(0),
        };
        let mut told = Vec::new();
        let tell = |part: Part, path: &Path| {
            assert!(!path.exists(), "it was told too late");
            told.push(part);
            Ok(())
        };
        let saved = save(&whole, other.path(), tell).unwrap();
        assert_eq!(told, [Part::Saved, Part::Copy]);
        assert_eq!(std::fs::read(saved).unwrap(), b"bytes");
        assert_eq!(std::fs::read_dir(other.path()).unwrap().count(), 1);
        assert!(!whole.path.exists());
    }
}
