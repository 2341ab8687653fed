//! Writing public files, possibly as root.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use nix::fcntl::OFlag;
use nix::unistd::geteuid;

/// Writes a file that its readers see whole or not at all.
///
/// # Errors
///
/// The file system's own; and where its folder is one that another user may write to: he could plant a link
/// that leads elsewhere.
pub fn write_whole(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    refuse_others(folder)?;
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(format!(".{}.fresh", std::process::id()));
    match fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let written = (|| {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(mode).custom_flags(OFlag::O_NOFOLLOW.bits());
        let mut file = options.open(&fresh)?;
        file.write_all(text.as_bytes())?;
        // Whatever the umask takes away: the command may be another user.
        file.set_permissions(Permissions::from_mode(mode))?;
        file.sync_all()?;
        fs::rename(&fresh, path)
    })();
    if written.is_err() {
        let _ = fs::remove_file(&fresh);
    }
    written
}

fn refuse_others(folder: &Path) -> io::Result<()> {
    let found = fs::metadata(folder)?;
    let is_ours = found.uid() == 0 || found.uid() == geteuid().as_raw();
    if is_ours && found.mode() & 0o022 == 0 {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::PermissionDenied,
        format!(
            "its folder {} has to be root's or this user's, and writable to nobody else",
            folder.display()
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_whole_readable_as_asked_and_never_written_through_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (path, victim) = (folder.path().join("config"), folder.path().join("victim"));
        fs::write(&victim, "kept").unwrap();
        let fresh = folder.path().join(format!("config.{}.fresh", std::process::id()));
        std::os::unix::fs::symlink(&victim, &fresh).unwrap();
        write_whole(&path, "text", 0o644).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "text");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o644);
        assert_eq!(fs::read_to_string(&victim).unwrap(), "kept");
        assert!(!fresh.exists());
        // Nor over what a link leads to.
        std::os::unix::fs::symlink(&victim, folder.path().join("link")).unwrap();
        write_whole(&folder.path().join("link"), "text", 0o600).unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "kept");
    }

    #[test]
    fn a_folder_that_others_may_write_to_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).unwrap();
        let error = write_whole(&folder.path().join("config"), "text", 0o644).unwrap_err().to_string();
        assert!(error.contains("writable to nobody else"), "{error}");
        assert!(write_whole(&folder.path().join("none/config"), "text", 0o644).is_err());
    }
}
