//! Files in a directory that is in memory and closed to everybody but the command's user.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open, openat, renameat};
use nix::sys::stat::{Mode, SFlag, fchmod, fstat, fstatat};
use nix::sys::statfs::{FsType, TMPFS_MAGIC, fstatfs};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchown, geteuid, unlinkat};

use super::DeliveryError;
use crate::formats::Handed;

/// A ramfs (Linux, magic.h).
const RAMFS_MAGIC: FsType = FsType(0x8584_58f6);

/// Written files; dropped, they are removed.
pub(super) struct PrivateFiles {
    path: PathBuf,
    /// Everything goes through this descriptor: what is checked is what is written to, whatever its path
    /// points to later.
    directory: OwnedFd,
    names: Vec<String>,
}

impl PrivateFiles {
    /// Writes each secret to a file of its own. One that is already there is replaced, whole.
    pub(super) fn write(
        path: &Path,
        handed: &[Handed],
        owner: Option<(Uid, Gid)>,
    ) -> Result<Self, DeliveryError> {
        let directory = open_checked(path, owner.map_or_else(geteuid, |(user, _)| user))?;
        let mut files = Self { path: path.to_owned(), directory, names: Vec::new() };
        let names: Vec<String> = handed.iter().map(file_name).collect();
        for name in &names {
            files.refuse_other_than_a_file(name)?;
        }
        for (secret, name) in handed.iter().zip(&names) {
            files.names.push(fresh(name));
            files.write_one(secret, &fresh(name), owner).map_err(files.fault(name))?;
        }
        for (place, name) in names.iter().enumerate() {
            renameat(&files.directory, fresh(name).as_str(), &files.directory, name.as_str())
                .map_err(|error| files.fault(name)(error.into()))?;
            files.names[place].clone_from(name);
        }
        Ok(files)
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = String> {
        self.names.iter().map(|name| self.path.join(name).display().to_string())
    }

    /// A symbolic link would be replaced, too; but who put it there can put others.
    fn refuse_other_than_a_file(&self, name: &str) -> Result<(), DeliveryError> {
        match fstatat(&self.directory, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(found) if SFlag::from_bits_truncate(found.st_mode) & SFlag::S_IFMT == SFlag::S_IFREG => Ok(()),
            Err(Errno::ENOENT) => Ok(()),
            Ok(_) => Err(DeliveryError::Unfit {
                path: self.path.join(name),
                fault: "something is there that is no regular file; only an older file is replaced".into(),
            }),
            Err(error) => Err(self.fault(name)(error.into())),
        }
    }

    fn write_one(&self, secret: &Handed, name: &str, owner: Option<(Uid, Gid)>) -> io::Result<()> {
        // A run that was killed can have left one.
        match unlinkat(&self.directory, name, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(error) => return Err(error.into()),
        }
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let mut file = File::from(openat(&self.directory, name, flags, Mode::S_IRUSR)?);
        // The umask took what it wanted.
        fchmod(&file, Mode::S_IRUSR)?;
        // EXPOSE: to a file in memory that only the command's user can open, as configured.
        file.write_all(secret.expose().as_bytes())?;
        if let Some((user, group)) = owner {
            fchown(&file, Some(user), Some(group))?;
        }
        Ok(())
    }

    fn fault(&self, name: &str) -> impl Fn(io::Error) -> DeliveryError + use<> {
        let path = self.path.join(name);
        move |error| DeliveryError::Write { path: path.clone(), error }
    }
}

impl Drop for PrivateFiles {
    fn drop(&mut self) {
        for name in &self.names {
            let _ = unlinkat(&self.directory, name.as_str(), UnlinkatFlags::NoRemoveDir);
        }
    }
}

/// Opens a directory that is fit for the secrets of a user.
fn open_checked(path: &Path, user: Uid) -> Result<OwnedFd, DeliveryError> {
    let unfit = |fault: String| DeliveryError::Unfit { path: path.to_owned(), fault };
    if !path.is_absolute() || path.to_str().is_none() {
        return Err(unfit("it has to be an absolute path, in UTF-8".into()));
    }
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let directory = open(path, flags, Mode::empty())
        .map_err(|error| unfit(format!("it cannot be opened as a directory, which it has to be: {error}")))?;
    let told = |error: Errno| unfit(format!("it cannot be looked at: {error}"));
    let kind = fstatfs(directory.as_fd()).map_err(told)?.filesystem_type();
    if kind != TMPFS_MAGIC && kind != RAMFS_MAGIC {
        return Err(unfit("it is on a disk; only a tmpfs or ramfs is allowed, such as below /run".into()));
    }
    let found = fstat(&directory).map_err(told)?;
    let (its_owner, mode) = (Uid::from_raw(found.st_uid), found.st_mode & 0o7777);
    if !its_owner.is_root() && its_owner != user {
        return Err(unfit(format!("it belongs to user {its_owner}; only root or user {user} is allowed")));
    }
    // Whoever may only pass through root's directory gets at files of its own in it, and at no others.
    let is_passed_through = its_owner.is_root() && !user.is_root();
    let allowed = if is_passed_through { 0o711 } else { 0o700 };
    if mode & 0o077 & !allowed != 0 || (is_passed_through && mode & 0o001 == 0) {
        return Err(unfit(format!(
            "its mode is {mode:04o}; only {allowed:04o} is allowed where it is user {its_owner}'s and the command \
             runs as user {user}"
        )));
    }
    Ok(directory)
}

/// `NODE_KEY` is in `node-key`.
fn file_name(secret: &Handed) -> String {
    secret.variable.to_ascii_lowercase().replace('_', "-")
}

/// What a file is called until it is whole.
fn fresh(name: &str) -> String {
    format!(".{name}.fresh")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};

    use tempfile::TempDir;

    use super::*;
    use crate::delivery::Delivery;
    use crate::delivery::tests::handed;

    const NOBODY: u32 = 65534;

    fn on_tmpfs(mode: u32) -> TempDir {
        let directory = tempfile::tempdir_in("/dev/shm").unwrap();
        fs::set_permissions(&directory, fs::Permissions::from_mode(mode)).unwrap();
        directory
    }

    fn deliver(directory: &Path, owner: Option<u32>) -> Result<crate::delivery::Delivered, String> {
        let delivery = Delivery::PrivateFile { directory: directory.to_owned() };
        let owner = owner.map(|id| (id.into(), id.into()));
        delivery.deliver(&handed(), owner).map_err(|error| error.to_string())
    }

    fn names(directory: &TempDir) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn files_are_the_users_alone_and_go_with_what_was_delivered() {
        let directory = on_tmpfs(0o700);
        let delivered = deliver(directory.path(), None).unwrap();
        let path = directory.path().join("node-key");
        let variables: Vec<_> = delivered.variables().collect();
        assert_eq!(variables[0], ("NODE_KEY_FILE", path.to_str().unwrap()));
        assert_eq!(fs::read_to_string(&path).unwrap(), "canary-key");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o400);
        assert_eq!(names(&directory), ["api-token", "node-key"]);
        drop(delivered);
        assert!(names(&directory).is_empty());
    }

    #[test]
    fn older_files_are_replaced_and_remains_of_a_killed_run_swept() {
        let directory = on_tmpfs(0o700);
        fs::write(directory.path().join("node-key"), "older and longer than the new one").unwrap();
        fs::write(directory.path().join(".api-token.fresh"), "half").unwrap();
        let _delivered = deliver(directory.path(), None).unwrap();
        assert_eq!(fs::read_to_string(directory.path().join("node-key")).unwrap(), "canary-key");
        assert_eq!(names(&directory), ["api-token", "node-key"]);
    }

    #[test]
    fn roots_directory_can_hold_another_users_files() {
        if !geteuid().is_root() {
            return;
        }
        let directory = on_tmpfs(0o711);
        let _delivered = deliver(directory.path(), Some(NOBODY)).unwrap();
        let metadata = fs::metadata(directory.path().join("node-key")).unwrap();
        assert_eq!((metadata.uid(), metadata.gid(), metadata.mode() & 0o7777), (NOBODY, NOBODY, 0o400));
    }

    #[test]
    fn what_is_not_closed_is_refused_and_left_empty() {
        if !geteuid().is_root() {
            return;
        }
        for (mode, directorys, commands, why) in [
            (0o750, 0, None, "mode is 0750"),
            (0o701, 0, None, "mode is 0701"),
            (0o1777, 0, None, "mode is 1777"),
            (0o700, 0, Some(NOBODY), "only 0711"),
            (0o755, 0, Some(NOBODY), "mode is 0755"),
            (0o711, NOBODY, Some(NOBODY), "only 0700"),
            (0o700, NOBODY, None, "belongs to user 65534; only root or user 0"),
            (0o700, 12345, Some(NOBODY), "belongs to user 12345"),
        ] {
            let directory = on_tmpfs(mode);
            chown(&directory, Some(directorys), None).unwrap();
            let error = deliver(directory.path(), commands).unwrap_err();
            assert!(error.contains(why) && !error.contains("canary"), "{mode:o}: {error}");
            assert!(names(&directory).is_empty());
        }
    }

    #[test]
    fn a_disk_a_link_or_no_directory_is_refused() {
        let program = std::env::current_exe().unwrap();
        let on_disk = tempfile::tempdir_in(program.parent().unwrap()).unwrap();
        fs::set_permissions(&on_disk, fs::Permissions::from_mode(0o700)).unwrap();
        assert!(deliver(on_disk.path(), None).unwrap_err().contains("on a disk"));
        let directory = on_tmpfs(0o700);
        let link = directory.path().join("link");
        symlink("/dev/shm", &link).unwrap();
        assert!(deliver(&link, None).unwrap_err().contains("opened as a directory"));
        assert!(deliver(&directory.path().join("none"), None).unwrap_err().contains("ENOENT"));
        assert!(deliver(Path::new("run"), None).unwrap_err().contains("absolute"));
    }

    #[test]
    fn a_planted_link_is_not_followed() {
        let (directory, elsewhere) = (on_tmpfs(0o700), on_tmpfs(0o700));
        let target = elsewhere.path().join("target");
        fs::write(&target, "untouched").unwrap();
        symlink(&target, directory.path().join("api-token")).unwrap();
        let error = deliver(directory.path(), None).unwrap_err();
        assert!(error.contains("api-token") && error.contains("no regular file"), "{error}");
        assert_eq!(names(&directory), ["api-token"]);
        fs::remove_file(directory.path().join("api-token")).unwrap();
        symlink(&target, directory.path().join(".api-token.fresh")).unwrap();
        let _delivered = deliver(directory.path(), None).unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "untouched");
    }

    #[test]
    fn a_fault_in_the_middle_leaves_nothing() {
        let directory = on_tmpfs(0o700);
        // Where the second file is put together, something stands that cannot be swept.
        let in_the_way = directory.path().join(".api-token.fresh");
        fs::create_dir(&in_the_way).unwrap();
        let error = deliver(directory.path(), None).unwrap_err();
        assert!(error.contains("api-token cannot be written") && !error.contains("canary"), "{error}");
        assert_eq!(names(&directory), [".api-token.fresh"]);
    }
}
