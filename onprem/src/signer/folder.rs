//! The folder of the key files: in memory, and nobody else's.
//!
//! Files appear whole: each is written beside its place, for its owner alone, and moved there. What moves
//! is always a new file, so that its time of change is new as well: Web3Signer reads a file again only when
//! that has changed ("Key configuration files": loaded signers are cached by the time of change).

use std::io;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use nix::sys::statfs::{FsType, TMPFS_MAGIC, statfs};

use super::SignerError;

/// `RAMFS_MAGIC` of `linux/magic.h`: the file system of systemd's credentials.
const RAMFS_MAGIC: FsType = FsType(0x8584_58f6);

/// A folder that key files may be in.
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// Looks at a folder. It has to be there: whoever makes it says whose it is.
    ///
    /// # Errors
    ///
    /// [`SignerError::Folder`] where it is no absolute path of a folder, others may write in it, or it is on a
    /// disk and `on_disk` does not allow that.
    pub fn open(path: &Path, on_disk: bool) -> Result<Self, SignerError> {
        let fault =
            |fault: &str| SignerError::Folder { folder: path.display().to_string(), fault: fault.to_owned() };
        // Web3Signer is given it as it is, and a quotation mark would end it in a key file.
        if !path.to_str().is_some_and(super::is_plain) {
            return Err(fault("it must be an absolute path, of plain text without quotation marks"));
        }
        let found = std::fs::metadata(path).map_err(|error| fault(&error.to_string()))?;
        if !found.is_dir() {
            return Err(fault("it is no folder"));
        }
        if found.permissions().mode() & 0o022 != 0 {
            return Err(fault("others may write in it: its mode must be 0700 or 0750"));
        }
        if found.uid() != nix::unistd::geteuid().as_raw() {
            return Err(fault("it is another user's: run this as the user that Web3Signer runs as"));
        }
        if !on_disk && !is_in_memory(path).map_err(|error| fault(&error.to_string()))? {
            return Err(fault(
                "it is on a disk, where a token would stay: it must be on a tmpfs, such as below /run \
                 (--on-disk allows a disk, for one that is encrypted)",
            ));
        }
        Ok(Self(path.to_owned()))
    }

    /// The path of a file in it.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The text of a file in it; nothing where there is none.
    ///
    /// # Errors
    ///
    /// [`SignerError::File`] where it cannot be read.
    pub fn read(&self, name: &str) -> Result<String, SignerError> {
        let path = self.path(name);
        match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            read => read.map_err(|error| SignerError::file(&path, &error)),
        }
    }

    /// Puts a file in its place, whole, new, and for its owner alone (mode 0600).
    ///
    /// # Errors
    ///
    /// [`SignerError::File`] where it cannot be written.
    pub fn write(&self, name: &str, text: &str) -> Result<(), SignerError> {
        let path = self.path(name);
        let put = || -> io::Result<()> {
            // Its own name has no ending that Web3Signer reads. The mode is 0600 from the first moment on.
            let mut file = tempfile::Builder::new().prefix(".new-").suffix(".part").tempfile_in(&self.0)?;
            file.write_all(text.as_bytes())?;
            file.as_file().sync_all()?;
            file.persist(&path)?;
            Ok(())
        };
        put().map_err(|error| SignerError::file(&path, &error))
    }

    /// Takes a file away. Whether there was one.
    ///
    /// # Errors
    ///
    /// [`SignerError::File`] where it is there and stays.
    pub fn remove(&self, name: &str) -> Result<bool, SignerError> {
        let path = self.path(name);
        match std::fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(SignerError::file(&path, &error)),
        }
    }
}

/// Whether a path is on a file system that is in memory.
fn is_in_memory(path: &Path) -> io::Result<bool> {
    let kind = statfs(path)?.filesystem_type();
    Ok(kind == TMPFS_MAGIC || kind == RAMFS_MAGIC)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(mode: u32) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(mode)).unwrap();
        folder
    }

    #[test]
    fn a_folder_on_a_disk_is_refused_unless_it_is_asked_for() {
        let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
        std::fs::create_dir_all(&target).unwrap();
        let on_disk = tempfile::tempdir_in(target.canonicalize().unwrap()).unwrap();
        std::fs::set_permissions(on_disk.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        assert!(!is_in_memory(on_disk.path()).unwrap(), "target is expected to be on a disk");
        let refused = Folder::open(on_disk.path(), false).unwrap_err();
        assert!(refused.to_string().contains("it is on a disk"), "{refused}");
        Folder::open(on_disk.path(), true).unwrap();

        // /dev/shm is a tmpfs on every Linux.
        let in_memory = tempfile::tempdir_in("/dev/shm").unwrap();
        std::fs::set_permissions(in_memory.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        Folder::open(in_memory.path(), false).unwrap();
    }

    #[test]
    fn a_folder_that_others_write_in_is_refused() {
        for (mode, allowed) in [(0o700, true), (0o750, true), (0o770, false), (0o777, false), (0o702, false)]
        {
            let folder = folder(mode);
            let opened = Folder::open(folder.path(), true);
            assert_eq!(opened.is_ok(), allowed, "{mode:o}: {opened:?}");
        }
        for (path, fault) in [
            ("keys", "absolute"),
            ("/nowhere/at/all", "No such file"),
            ("/run/\"x", "plain text"),
            ("/run/\nx", "plain text"),
        ] {
            let refused = Folder::open(Path::new(path), true).unwrap_err().to_string();
            assert!(refused.contains(fault), "{refused}");
        }
    }

    #[test]
    fn a_file_is_replaced_whole_by_a_new_one_for_its_owner_alone() {
        let place = folder(0o700);
        let folder = Folder::open(place.path(), true).unwrap();
        folder.write("a.yaml", "first").unwrap();
        let first = std::fs::metadata(folder.path("a.yaml")).unwrap();
        assert_eq!(first.permissions().mode() & 0o777, 0o600);
        // Whatever mode somebody gave it meanwhile.
        std::fs::set_permissions(folder.path("a.yaml"), std::fs::Permissions::from_mode(0o644)).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(20));
        folder.write("a.yaml", "first").unwrap();
        let second = std::fs::metadata(folder.path("a.yaml")).unwrap();
        assert_eq!(second.permissions().mode() & 0o777, 0o600);
        assert_ne!(first.ino(), second.ino());
        assert!(second.modified().unwrap() > first.modified().unwrap());
        assert_eq!(folder.read("a.yaml").unwrap(), "first");
        // Nothing else stays in the folder.
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 1);
        assert!(folder.remove("a.yaml").unwrap());
        assert!(!folder.remove("a.yaml").unwrap());
        assert_eq!(folder.read("a.yaml").unwrap(), "");
    }
}
