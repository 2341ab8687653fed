//! The files that hold the shares of the unseal key: one for each holder, in a folder of his own.
//!
//! They are there, with room in them, before the server is initialised: what it gives then it gives once. A
//! file that is there already is never written over: it may hold a share that somebody needs.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::error::OnpremError;

/// Room for the longest share, in bytes.
const ROOM: usize = 256;

/// Files for shares, before there are shares. Those that get none are removed again.
#[derive(Debug)]
pub(crate) struct Reserved {
    files: Vec<(PathBuf, File)>,
    is_written: bool,
}

/// What is to be told of where the shares went.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Remark {
    /// All of them can be read by who reads one file system.
    OneFileSystem,
    /// All of them belong to one user.
    OneOwner,
}

impl Reserved {
    /// Makes the files.
    ///
    /// # Errors
    ///
    /// [`OnpremError::Refused`] where a folder holds two, or others can look into it;
    /// [`OnpremError::Write`] where a file is there already or cannot be made.
    pub(crate) fn make(paths: &[PathBuf], together: bool) -> Result<Self, OnpremError> {
        if !together {
            refuse_together(paths)?;
        }
        let mut reserved = Self { files: Vec::new(), is_written: false };
        for path in paths {
            reserved
                .add(path)
                .map_err(|error| OnpremError::Write { path: path.display().to_string(), error })?;
        }
        Ok(reserved)
    }

    fn add(&mut self, path: &Path) -> std::io::Result<()> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        self.files.push((path.to_owned(), file));
        if let Some((_, file)) = self.files.last_mut() {
            // Whatever the mask of the process is.
            file.set_permissions(Permissions::from_mode(0o600))?;
            file.write_all(&[b'\n'; ROOM])?;
            file.sync_all()?;
        }
        Ok(())
    }

    /// What is to be told of where they are.
    pub(crate) fn remarks(&self) -> Vec<Remark> {
        let facts: Vec<_> = self.files.iter().filter_map(|(_, file)| file.metadata().ok()).collect();
        let is_one =
            |of: fn(&std::fs::Metadata) -> u64| facts.windows(2).all(|two| of(&two[0]) == of(&two[1]));
        let file_system = is_one(std::os::unix::fs::MetadataExt::dev).then_some(Remark::OneFileSystem);
        let owner = is_one(|facts| u64::from(facts.uid())).then_some(Remark::OneOwner);
        file_system.into_iter().chain(owner).collect()
    }

    /// Writes a share into each.
    ///
    /// # Errors
    ///
    /// [`OnpremError::Write`] with the file that could not be written.
    pub(crate) fn write(mut self, shares: &[Zeroizing<String>]) -> Result<(), OnpremError> {
        // From here on a file may hold what nobody gives a second time.
        self.is_written = true;
        for ((path, file), share) in self.files.iter_mut().zip(shares) {
            let written = put(file, share);
            written.map_err(|error| OnpremError::Write { path: path.display().to_string(), error })?;
        }
        Ok(())
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if !self.is_written {
            for (path, _) in &self.files {
                let _ = std::fs::remove_file(path);
            }
        }
    }
}

fn put(file: &mut File, share: &str) -> std::io::Result<()> {
    let mut line = Zeroizing::new(String::with_capacity(share.len() + 1));
    // EXPOSE: into the file of one holder, which he takes away.
    line.push_str(share);
    line.push('\n');
    file.seek(SeekFrom::Start(0))?;
    file.write_all(line.as_bytes())?;
    file.set_len(line.len() as u64)?;
    file.sync_all()
}

/// Reads as many shares as are needed from those of the files that are here.
///
/// # Errors
///
/// [`OnpremError::Refused`] where too few are.
pub(crate) fn read(paths: &[PathBuf], threshold: usize) -> Result<Vec<Zeroizing<String>>, OnpremError> {
    let mut shares = Vec::new();
    let mut missing = Vec::new();
    for path in paths {
        match std::fs::read_to_string(path).map(Zeroizing::new) {
            Ok(text) if !text.trim().is_empty() => shares.push(Zeroizing::new(text.trim().to_owned())),
            Ok(_) => missing.push(format!("{} is empty", path.display())),
            Err(error) => missing.push(format!("{}: {error}", path.display())),
        }
        if shares.len() == threshold {
            return Ok(shares);
        }
    }
    Err(OnpremError::Refused(format!(
        "{threshold} shares of the unseal key are needed and {} are here: each holder brings his to the place where \
         it was written ({})",
        shares.len(),
        missing.join("; ")
    )))
}

/// A folder holds one share, and nobody else looks into it.
fn refuse_together(paths: &[PathBuf]) -> Result<(), OnpremError> {
    let mut folders: BTreeMap<(u64, u64), &Path> = BTreeMap::new();
    for path in paths {
        let folder = path.parent().unwrap_or(Path::new("/"));
        let facts = std::fs::metadata(folder)
            .map_err(|error| OnpremError::Read { path: folder.display().to_string(), error })?;
        if facts.permissions().mode() & 0o077 != 0 {
            return Err(OnpremError::Refused(format!(
                "{} would hold a share of the unseal key, and others than its owner can use that folder: it must \
                 have mode 0700",
                folder.display()
            )));
        }
        if let Some(other) = folders.insert((facts.dev(), facts.ino()), path) {
            return Err(OnpremError::Refused(format!(
                "{} and {} are in one folder: whoever finds it finds both shares, and cutting the key was for \
                 nothing; give each holder a medium of his own (for a test there is --shares-together-for-a-test)",
                other.display(),
                path.display()
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Folders of holders, each with mode 0700.
    fn holders(count: usize) -> (tempfile::TempDir, Vec<PathBuf>) {
        let root = tempfile::tempdir().unwrap();
        let paths = (0..count)
            .map(|holder| {
                let folder = root.path().join(holder.to_string());
                std::fs::create_dir(&folder).unwrap();
                std::fs::set_permissions(&folder, Permissions::from_mode(0o700)).unwrap();
                folder.join("share")
            })
            .collect();
        (root, paths)
    }

    fn shares(count: usize) -> Vec<Zeroizing<String>> {
        (0..count).map(|share| Zeroizing::new(format!("share-{share}"))).collect()
    }

    #[test]
    fn each_holder_gets_one_and_enough_of_them_are_read_back() {
        let (_root, paths) = holders(3);
        let reserved = Reserved::make(&paths, false).unwrap();
        assert_eq!(reserved.remarks(), [Remark::OneFileSystem, Remark::OneOwner]);
        reserved.write(&shares(3)).unwrap();
        for (number, path) in paths.iter().enumerate() {
            assert_eq!(std::fs::read_to_string(path).unwrap(), format!("share-{number}\n"));
            assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        std::fs::remove_file(&paths[0]).unwrap();
        let read = read(&paths, 2).unwrap();
        assert_eq!(read.iter().map(|share| share.as_str()).collect::<Vec<_>>(), ["share-1", "share-2"]);
    }

    #[test]
    fn too_few_shares_are_told_by_file() {
        let (_root, paths) = holders(3);
        Reserved::make(&paths, false).unwrap().write(&shares(3)).unwrap();
        std::fs::remove_file(&paths[0]).unwrap();
        std::fs::write(&paths[1], "\n").unwrap();
        let said = read(&paths, 2).unwrap_err().to_string();
        assert!(said.contains("2 shares") && said.contains("and 1 are here"), "{said}");
        assert!(said.contains("1/share is empty"), "{said}");
    }

    #[test]
    fn two_in_one_folder_are_refused_also_by_another_spelling() {
        let (root, paths) = holders(2);
        let same = root.path().join("1/../0/other");
        let said = Reserved::make(&[paths[0].clone(), same.clone()], false).unwrap_err().to_string();
        assert!(said.contains("in one folder"), "{said}");
        assert!(!paths[0].exists());
        let link = root.path().join("link");
        std::os::unix::fs::symlink(root.path().join("0"), &link).unwrap();
        assert!(Reserved::make(&[paths[0].clone(), link.join("other")], false).is_err());
        // As told, for a test.
        Reserved::make(&[paths[0].clone(), same], true).unwrap();
    }

    #[test]
    fn a_folder_that_others_use_is_refused() {
        let (root, paths) = holders(2);
        std::fs::set_permissions(root.path().join("1"), Permissions::from_mode(0o750)).unwrap();
        assert!(Reserved::make(&paths, false).unwrap_err().to_string().contains("0700"));
        assert!(!paths[0].exists());
    }

    #[test]
    fn what_is_there_is_never_written_over_and_what_got_no_share_goes() {
        let (_root, paths) = holders(3);
        std::fs::write(&paths[2], "a share of another server").unwrap();
        assert!(matches!(Reserved::make(&paths, false), Err(OnpremError::Write { .. })));
        assert!(!paths[0].exists() && !paths[1].exists());
        assert_eq!(std::fs::read_to_string(&paths[2]).unwrap(), "a share of another server");
        std::fs::remove_file(&paths[2]).unwrap();
        drop(Reserved::make(&paths, false).unwrap());
        assert!(paths.iter().all(|path| !path.exists()));
    }
}
