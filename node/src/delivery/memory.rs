//! Files that are nowhere but in memory, and that nobody can change any more.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::stat::{Mode, fchmod};
use nix::unistd::{Gid, Uid, fchown};

use crate::formats::Handed;

/// Never to be executed (memfd.h; Linux 6.3). A host can be set to make no other ones.
const NOEXEC: MFdFlags = MFdFlags::from_bits_retain(8);

/// Puts a secret into a memory file that the command inherits: it is not closed on exec(2).
pub(super) fn sealed(secret: &Handed, owner: Option<(Uid, Gid)>) -> io::Result<OwnedFd> {
    let made = match memfd_create(c"keyboot", MFdFlags::MFD_ALLOW_SEALING | NOEXEC) {
        Err(Errno::EINVAL) => memfd_create(c"keyboot", MFdFlags::MFD_ALLOW_SEALING),
        made => made,
    };
    let mut file = File::from(made?);
    // EXPOSE: to a file in memory that only the command's user can open, as configured.
    file.write_all(secret.expose().as_bytes())?;
    let seals =
        SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_SEAL;
    fcntl(&file, FcntlArg::F_ADD_SEALS(seals))?;
    // The command opens it anew, through /proc/self/fd: as any file, by owner and mode. The mode goes first:
    // that of somebody else's file is not root's to change without CAP_FOWNER.
    fchmod(&file, Mode::S_IRUSR)?;
    if let Some((user, group)) = owner {
        fchown(&file, Some(user), Some(group))?;
    }
    Ok(file.into())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;
    use std::os::unix::process::CommandExt as _;
    use std::process::{Command, Output};

    use nix::unistd::geteuid;

    use crate::delivery::tests::handed;
    use crate::delivery::{Delivered, Delivery};

    fn run(delivered: &Delivered, script: &str, user: Option<u32>) -> Output {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", script]).envs(delivered.variables());
        if let Some(user) = user {
            shell.uid(user).gid(user);
        }
        shell.output().unwrap()
    }

    #[test]
    fn the_command_reads_them_as_often_as_it_likes() {
        let delivered = Delivery::MemoryFile.deliver(&handed(), None).unwrap();
        let names: Vec<_> = delivered.variables().map(|(name, _)| name.to_owned()).collect();
        assert_eq!(names, ["NODE_KEY_FILE", "API_TOKEN_FILE"]);
        let read = run(&delivered, "cat \"$NODE_KEY_FILE\" \"$API_TOKEN_FILE\" \"$NODE_KEY_FILE\"", None);
        assert_eq!(String::from_utf8(read.stdout).unwrap(), "canary-keycanary-tokencanary-key");
    }

    #[test]
    fn nobody_changes_them() {
        let delivered = Delivery::MemoryFile.deliver(&handed(), None).unwrap();
        for script in [
            "echo other > \"$NODE_KEY_FILE\"",
            "echo more >> \"$NODE_KEY_FILE\"",
            "truncate -s 0 \"$NODE_KEY_FILE\"",
            "truncate -s 100 \"$NODE_KEY_FILE\"",
        ] {
            assert!(!run(&delivered, script, None).status.success(), "{script}");
        }
        assert_eq!(run(&delivered, "cat \"$NODE_KEY_FILE\"", None).stdout, b"canary-key");
    }

    #[test]
    fn another_user_gets_its_own_and_no_third_one_does() {
        if !geteuid().is_root() {
            return;
        }
        let delivered = Delivery::MemoryFile.deliver(&handed(), Some((65534.into(), 65534.into()))).unwrap();
        let script = "cat \"$NODE_KEY_FILE\"";
        assert_eq!(run(&delivered, script, Some(65534)).stdout, b"canary-key");
        let third = run(&delivered, script, Some(12345));
        assert!(!third.status.success() && third.stdout.is_empty());
        let file = std::fs::File::from(delivered.memory_files[0].try_clone().unwrap());
        let metadata = file.metadata().unwrap();
        assert_eq!((metadata.mode() & 0o7777, metadata.uid()), (0o400, 65534));
    }
}
