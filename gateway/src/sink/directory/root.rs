//! The root of a directory sink: files below it, reached step by step from its own handle.
//!
//! No step follows a symbolic link, so that nothing outside can be reached, whatever others do meanwhile.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};

/// The name under which a file is written before it is renamed. There is one writer, and it writes one file at a time.
const TEMPORARY: &str = ".kubedex-tmp";

/// The name of the file that is locked.
const LOCK: &str = ".kubedex-lock";

/// What may stand where a file is to be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Nothing,
    /// A file of these bytes and this mode.
    File(Vec<u8>, u32),
    /// Something else, or a file of another size.
    Other,
}

/// An open root, and the lock on it.
#[derive(Debug)]
pub(super) struct Root {
    dir: OwnedFd,
    /// Where it is and which file it is, to tell when another was put in its place.
    identity: (u64, u64),
    _lock: File,
    fsync: bool,
    /// How many further effects succeed.
    #[cfg(test)]
    pub(super) effects_left: Option<usize>,
}

/// Another writer has the directory.
#[derive(Debug, thiserror::Error)]
#[error("another process, or another publication, writes to this directory")]
pub(super) struct Locked;

const FOLDER: OFlags = OFlags::DIRECTORY
    .union(OFlags::RDONLY)
    .union(OFlags::CLOEXEC);

/// The mode of folders that are made, whatever the umask is: the consumer often runs as another user.
const FOLDER_MODE: u32 = 0o755;

/// The mode of a folder that was made with one. What it has from the folder above stays: with setgid, as volumes of a pod
/// have it, what is in it is of the same group.
fn folder_mode(made: u32) -> u32 {
    made & 0o7000 | FOLDER_MODE
}

/// Makes a directory, and those above it, where there is none.
pub(super) fn make(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(above) = path.parent().filter(|above| !above.as_os_str().is_empty()) {
        make(above)?;
    }
    match std::fs::create_dir(path) {
        Ok(()) => {
            let made = std::fs::metadata(path)?.permissions().mode();
            std::fs::set_permissions(path, PermissionsExt::from_mode(folder_mode(made)))
        }
        Err(_) if path.is_dir() => Ok(()),
        Err(error) => Err(error),
    }
}

impl Root {
    /// Opens a directory and locks it. The way to the root may lead over links.
    pub(super) fn open(path: &Path, fsync: bool) -> io::Result<Self> {
        let dir = rustix::fs::openat(CWD, path, FOLDER, Mode::empty())?;
        let flags = OFlags::CREATE | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let lock: File = rustix::fs::openat(&dir, LOCK, flags, Mode::from_raw_mode(0o644))?.into();
        match lock.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => {
                return Err(io::Error::new(io::ErrorKind::ResourceBusy, Locked));
            }
            Err(std::fs::TryLockError::Error(error)) => return Err(error),
        }
        Ok(Self {
            identity: identity(&rustix::fs::fstat(&dir)?),
            dir,
            _lock: lock,
            fsync,
            #[cfg(test)]
            effects_left: None,
        })
    }

    /// Whether the path still leads here.
    pub(super) fn is_at(&self, path: &Path) -> bool {
        rustix::fs::stat(path).is_ok_and(|stat| identity(&stat) == self.identity)
    }

    /// Stands before each step that changes something.
    #[cfg_attr(not(test), allow(clippy::unused_self, clippy::unnecessary_wraps))]
    fn effect(&mut self) -> io::Result<()> {
        #[cfg(test)]
        if let Some(left) = &mut self.effects_left {
            *left = left
                .checked_sub(1)
                .ok_or_else(|| io::Error::other("the process ends here"))?;
        }
        Ok(())
    }

    /// The folder in which a file stands, and the file's name.
    fn parent<'a>(&mut self, path: &'a str, create: bool) -> io::Result<(OwnedFd, &'a str)> {
        let mut folder = self.dir.try_clone()?;
        let Some((above, name)) = path.rsplit_once('/') else {
            return Ok((folder, path));
        };
        let flags = FOLDER | OFlags::NOFOLLOW;
        for part in above.split('/') {
            let mut next = rustix::fs::openat(&folder, part, flags, Mode::empty());
            if create && matches!(next, Err(rustix::io::Errno::NOENT)) {
                self.effect()?;
                rustix::fs::mkdirat(&folder, part, Mode::from_raw_mode(FOLDER_MODE))?;
                self.sync(&folder)?;
                let made = rustix::fs::openat(&folder, part, flags, Mode::empty())?;
                let mode = folder_mode(rustix::fs::fstat(&made)?.st_mode);
                rustix::fs::fchmod(&made, Mode::from_raw_mode(mode))?;
                next = Ok(made);
            }
            folder = next?;
        }
        Ok((folder, name))
    }

    fn sync(&self, file: impl AsFd) -> io::Result<()> {
        if self.fsync {
            rustix::fs::fsync(file)?;
        }
        Ok(())
    }

    /// Whether anything stands there.
    pub(super) fn exists(&mut self, path: &str) -> io::Result<bool> {
        let found = self.parent(path, false).and_then(|(folder, name)| {
            Ok(rustix::fs::statat(
                &folder,
                name,
                AtFlags::SYMLINK_NOFOLLOW,
            )?)
        });
        match found {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// What stands there. A file is read if its size is the one that is wanted.
    pub(super) fn read(&mut self, path: &str, size: Option<u64>) -> io::Result<Standing> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let opened = self.parent(path, false).and_then(|(folder, name)| {
            Ok(rustix::fs::openat(&folder, name, flags, Mode::empty())?)
        });
        let mut file: File = match opened {
            Ok(file) => file.into(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Standing::Nothing),
            // A link, or a folder that is one or is none.
            Err(error) if is_in_the_way(&error) => return Ok(Standing::Other),
            Err(error) => return Err(error),
        };
        let stat = rustix::fs::fstat(&file)?;
        let has = u64::try_from(stat.st_size).unwrap_or(0);
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile
            || size.is_some_and(|size| size != has)
        {
            return Ok(Standing::Other);
        }
        let mut bytes = Vec::new();
        (&mut file).take(has).read_to_end(&mut bytes)?;
        Ok(Standing::File(bytes, stat.st_mode & 0o7777))
    }

    /// Puts a file in its place, whole, making the folders on the way.
    pub(super) fn write(&mut self, path: &str, bytes: &[u8], mode: u32) -> io::Result<()> {
        let (folder, name) = self.parent(path, true)?;
        self.effect()?;
        unlink(&folder, TEMPORARY)?;
        let flags =
            OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(mode);
        let mut file: File = rustix::fs::openat(&folder, TEMPORARY, flags, Mode::RUSR)?.into();
        let written = (|| {
            // A crash may leave a part of it.
            let (head, tail) = bytes.split_at(bytes.len() / 2);
            file.write_all(head)?;
            self.effect()?;
            file.write_all(tail)?;
            // Whatever the umask is.
            rustix::fs::fchmod(&file, mode)?;
            self.sync(&file)?;
            self.effect()?;
            Ok(rustix::fs::renameat(&folder, TEMPORARY, &folder, name)?)
        })();
        if let Err(error) = written {
            // What is left of it is removed by the next one if this fails, too.
            if self.effect().is_ok() {
                let _ = unlink(&folder, TEMPORARY);
            }
            return Err(error);
        }
        self.sync(&folder)
    }

    /// Removes a file. That it is not there, or something else is, is none of our business.
    pub(super) fn remove(&mut self, path: &str) -> io::Result<bool> {
        self.effect()?;
        let removed = self.parent(path, false).and_then(|(folder, name)| {
            rustix::fs::unlinkat(&folder, name, AtFlags::empty())?;
            self.sync(&folder)
        });
        match removed {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound || is_in_the_way(&error) => {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Removes what a crash left of a write in the folder of a file.
    pub(super) fn tidy_beside(&mut self, path: &str) -> io::Result<()> {
        match self.parent(path, false) {
            Ok((folder, _)) => unlink(&folder, TEMPORARY),
            Err(error) if error.kind() == io::ErrorKind::NotFound || is_in_the_way(&error) => {
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

fn identity(stat: &rustix::fs::Stat) -> (u64, u64) {
    (stat.st_dev, stat.st_ino)
}

/// Whether something stands in a place that is of another kind than was thought.
pub(super) fn is_in_the_way(error: &io::Error) -> bool {
    use io::ErrorKind::{IsADirectory, NotADirectory};
    matches!(error.kind(), IsADirectory | NotADirectory)
        || error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error())
}

fn unlink(folder: &OwnedFd, name: &str) -> io::Result<()> {
    match rustix::fs::unlinkat(folder, name, AtFlags::empty()) {
        Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
