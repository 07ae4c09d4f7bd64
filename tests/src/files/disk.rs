//! A small file system of its own, in memory.

use crate::fail::{fail, must};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file system in memory; gone with this value. What is in it is free to whoever runs the story.
#[derive(Debug)]
pub struct SmallDisk(PathBuf);

#[track_caller]
fn mount(args: &[&str]) {
    let done = must(Command::new("mount").args(args).status(), "mount");
    if !done.success() {
        fail(format_args!("mount {args:?} failed: this story needs root, as in CI (sudo tests/run)"));
    }
}

impl SmallDisk {
    /// A disk of this size (`16m`) at a directory, which is made. Programs that run already may not see it.
    ///
    /// # Panics
    /// When it cannot be mounted.
    #[must_use]
    #[track_caller]
    pub fn new(at: &Path, size: &str) -> Self {
        must(std::fs::create_dir_all(at), at.display());
        mount(&["-t", "tmpfs", "-o", &format!("size={size}"), "lanchat-story", &at.display().to_string()]);
        Self(at.to_owned())
    }

    /// Fills it to the last byte with a file that is in nobody's way but for its size.
    ///
    /// # Panics
    /// When something else than room is missing.
    #[track_caller]
    pub fn fill(&self) {
        let path = self.ballast();
        let mut file = must(std::fs::File::options().append(true).create(true).open(&path), path.display());
        // In small steps at the end, since a write that does not fit as a whole may be taken in part.
        for len in [1024 * 1024, 4096] {
            let block = vec![0; len];
            let full =
                std::iter::repeat(()).find_map(|()| std::io::Write::write_all(&mut file, &block).err());
            let kind = full.map(|error| error.kind());
            assert_eq!(kind, Some(std::io::ErrorKind::StorageFull), "{}", path.display());
        }
    }

    /// Changes how it is mounted (`ro`, `size=64m`).
    ///
    /// # Panics
    /// When that does not work.
    #[track_caller]
    pub fn remount(&self, option: &str) {
        mount(&["-o", &format!("remount,{option}"), &self.0.display().to_string()]);
    }

    /// Ends [`SmallDisk::fill`].
    pub fn clear(&self) {
        drop(std::fs::remove_file(self.ballast()));
    }

    fn ballast(&self) -> PathBuf {
        self.0.join("ballast")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily, for a program that was killed may still be going.
        let path = self.0.display().to_string();
        drop(Command::new("umount").args(["--lazy", &path]).status());
    }
}
