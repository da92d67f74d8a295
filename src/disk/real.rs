//! The file system of this machine.

use super::{Disk, DiskError};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The name of the file whose lock stands for the directory.
const LOCK: &str = "lock";

/// So often the lock is tried while others only ask for it.
const ASKERS_MAX: usize = 1_000;

/// What is written at once where there is nothing.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// One directory of a real file system. Clones share their open files.
///
/// New files can be read and written by their owner only.
#[derive(Clone, Debug)]
pub struct RealDisk {
    root: PathBuf,
    read_only: bool,
    open: Arc<Mutex<BTreeMap<String, Arc<File>>>>,
}

impl RealDisk {
    /// The directory `root`, which is made if it is not there.
    ///
    /// # Errors
    ///
    /// [`DiskError::Failed`] if it cannot be made.
    pub fn new(root: impl Into<PathBuf>) -> Result<RealDisk, DiskError> {
        let root = root.into();
        let made = fs::create_dir_all(&root).and_then(|()| parent(&root).map_or(Ok(()), sync_dir));
        made.map_err(|error| failed("make", &root.to_string_lossy(), &error))?;
        Ok(RealDisk { root, read_only: false, open: Arc::default() })
    }

    /// The directory `root` as it is, to look at: nothing is made, every call that would change
    /// something fails, and permission to read is enough.
    pub fn read_only(root: impl Into<PathBuf>) -> RealDisk {
        RealDisk { root: root.into(), read_only: true, open: Arc::default() }
    }

    /// Whether a process holds the directory now. Asking does not hold it: the lock is shared, for
    /// a moment, and only if nobody has it.
    ///
    /// # Errors
    ///
    /// [`DiskError::Failed`] if there is a lock that cannot be looked at.
    pub fn is_held(&self) -> Result<bool, DiskError> {
        let file = match File::open(self.root.join(LOCK)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            file => file.map_err(|error| failed("open", LOCK, &error))?,
        };
        match file.try_lock_shared() {
            Ok(()) => {
                drop(RealLock(file));
                Ok(false)
            }
            Err(fs::TryLockError::WouldBlock) => Ok(true),
            Err(fs::TryLockError::Error(error)) => Err(failed("lock", LOCK, &error)),
        }
    }

    /// Refuses what would change something, if it must.
    fn writable(&self, what: &'static str, name: &str) -> Result<(), DiskError> {
        let denied = || io::Error::new(ErrorKind::PermissionDenied, "opened to be read only");
        if self.read_only { Err(failed(what, name, &denied())) } else { Ok(()) }
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn path(&self, name: &str) -> Result<PathBuf, DiskError> {
        let plain = Path::new(name).file_name().is_some_and(|plain| plain == name);
        let odd = io::Error::new(ErrorKind::InvalidInput, "not a plain file name");
        if plain { Ok(self.root.join(name)) } else { Err(failed("name", name, &odd)) }
    }

    fn handles(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Arc<File>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file(&self, name: &str) -> Result<Arc<File>, DiskError> {
        if let Some(file) = self.handles().get(name) {
            return Ok(file.clone());
        }
        let opened = OpenOptions::new().read(true).write(!self.read_only).open(self.path(name)?);
        let file = Arc::new(opened.map_err(|error| failed("open", name, &error))?);
        self.handles().insert(name.into(), file.clone());
        Ok(file)
    }

    fn new_file(&self, name: &str, fresh: bool) -> Result<File, DiskError> {
        self.writable("create", name)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).mode(0o600).create(true).create_new(fresh);
        options.open(self.path(name)?).map_err(|error| failed("create", name, &error))
    }
}

/// Holds the directory of a [`RealDisk`] against others until it is dropped.
#[derive(Debug)]
pub struct RealLock(File);

impl Drop for RealLock {
    /// Lets go by a call, because closing would not do it always: a lock belongs to the open file,
    /// and while a process is started anywhere in this program, its child has that file open too.
    fn drop(&mut self) {
        // If this fails, closing still lets go, with the last of those children.
        let _ = self.0.unlock();
    }
}

impl Disk for RealDisk {
    type Lock = RealLock;

    fn lock(&self) -> Result<RealLock, DiskError> {
        let file = self.new_file(LOCK, false)?;
        let mut tries = 0;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(RealLock(file)),
                // Who only asks whether it is held shares it for a moment.
                Err(fs::TryLockError::WouldBlock)
                    if tries < ASKERS_MAX && file.try_lock_shared().is_ok() =>
                {
                    tries += 1;
                    std::thread::yield_now();
                }
                Err(fs::TryLockError::WouldBlock) => return Err(DiskError::Locked),
                Err(fs::TryLockError::Error(error)) => return Err(failed("lock", LOCK, &error)),
            }
        }
    }

    fn list(&self) -> Result<Vec<String>, DiskError> {
        let whole = |error: io::Error| failed("list", &self.root.to_string_lossy(), &error);
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.root).map_err(whole)? {
            let entry = entry.map_err(whole)?;
            if entry.file_type().map_err(whole)?.is_file()
                && let Ok(name) = entry.file_name().into_string()
                && name != LOCK
            {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    fn create(&self, name: &str) -> Result<(), DiskError> {
        let file = self.new_file(name, true)?;
        self.handles().insert(name.into(), Arc::new(file));
        Ok(())
    }

    fn len(&self, name: &str) -> Result<u64, DiskError> {
        let metadata = self.file(name)?.metadata();
        Ok(metadata.map_err(|error| failed("measure", name, &error))?.len())
    }

    fn read(&self, name: &str, offset: u64, buffer: &mut [u8]) -> Result<usize, DiskError> {
        let file = self.file(name)?;
        let mut done = 0;
        while done < buffer.len() {
            match file.read_at(&mut buffer[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(failed("read", name, &error)),
            }
        }
        Ok(done)
    }

    fn write(&self, name: &str, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.writable("write", name)?;
        let written = self.file(name)?.write_all_at(bytes, offset);
        written.map_err(|error| failed("write", name, &error))
    }

    fn preallocate(&self, name: &str, len: u64) -> Result<(), DiskError> {
        self.writable("preallocate", name)?;
        let file = self.file(name)?;
        if self.len(name)? < len {
            reserve(&file, len).map_err(|error| failed("preallocate", name, &error))?;
        }
        Ok(())
    }

    /// Writes the zeros that can be read there already. A file system notes with each first write
    /// to a reserved block that the block is in use, and a sync then waits for that note as well:
    /// here it does so once.
    fn prepare(&self, name: &str, from: u64, to: u64) -> Result<(), DiskError> {
        self.writable("prepare", name)?;
        let file = self.file(name)?;
        for at in (from..to).step_by(ZEROS.len()) {
            let part = &ZEROS[..ZEROS.len().min((to - at) as usize)];
            file.write_all_at(part, at).map_err(|error| failed("prepare", name, &error))?;
        }
        Ok(())
    }

    fn truncate(&self, name: &str, len: u64) -> Result<(), DiskError> {
        self.writable("truncate", name)?;
        if self.len(name)? > len {
            let cut = self.file(name)?.set_len(len);
            cut.map_err(|error| failed("truncate", name, &error))?;
        }
        Ok(())
    }

    fn sync(&self, name: &str) -> Result<(), DiskError> {
        self.file(name)?.sync_data().map_err(|error| failed("sync", name, &error))
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        self.writable("rename", from)?;
        let renamed = fs::rename(self.path(from)?, self.path(to)?);
        renamed.map_err(|error| failed("rename", from, &error))?;
        let mut handles = self.handles();
        if from != to {
            handles.remove(to);
            if let Some(file) = handles.remove(from) {
                handles.insert(to.into(), file);
            }
        }
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<(), DiskError> {
        self.writable("remove", name)?;
        self.handles().remove(name);
        fs::remove_file(self.path(name)?).map_err(|error| failed("remove", name, &error))
    }

    fn sync_dir(&self) -> Result<(), DiskError> {
        sync_dir(&self.root).map_err(|e| failed("sync", &self.root.to_string_lossy(), &e))
    }
}

fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn parent(path: &Path) -> Option<&Path> {
    path.parent().map(|parent| if parent == Path::new("") { Path::new(".") } else { parent })
}

#[cfg(target_os = "linux")]
fn reserve(file: &File, len: u64) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    use rustix::io::Errno;
    match fallocate(file, FallocateFlags::empty(), 0, len) {
        // The file system cannot: then a later write may find the disk full.
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => file.set_len(len),
        Err(error) => Err(error.into()),
        Ok(()) => Ok(()),
    }
}

#[cfg(not(target_os = "linux"))]
fn reserve(file: &File, len: u64) -> io::Result<()> {
    file.set_len(len)
}

fn failed(what: &'static str, name: &str, error: &io::Error) -> DiskError {
    let name = name.to_string();
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded if what != "sync" => {
            DiskError::Full { name }
        }
        ErrorKind::NotFound => DiskError::NotFound { name },
        ErrorKind::AlreadyExists => DiskError::Exists { name },
        _ => DiskError::Failed { what, name, why: error.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As while another thread is between the fork and the exec of a process it starts.
    #[test]
    fn a_lock_ends_though_another_has_its_file_open() {
        let root = std::env::temp_dir().join(format!("traft-lock-{}", std::process::id()));
        let disk = RealDisk::new(&root).unwrap();
        let lock = disk.lock().unwrap();
        let inherited = lock.0.try_clone().unwrap();
        assert!(matches!(disk.lock(), Err(DiskError::Locked)));
        assert_eq!(disk.is_held(), Ok(true));
        drop(lock);
        assert_eq!(disk.is_held(), Ok(false));
        assert!(disk.lock().is_ok());
        drop(inherited);
        fs::remove_dir_all(&root).unwrap();
    }
}
