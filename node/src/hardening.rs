//! What keyboot-node does to itself before it reads a secret, and how it stops being root.
//!
//! What remains for the command is the limit on core dumps, what is left out of them, and that it gains no
//! privileges. exec(2) unlocks memory and makes a process dumpable again, unless its user cannot read the
//! command's file: hence the checks of [`crate::host`].

use std::ffi::CString;

use nix::errno::Errno;
use nix::sys::mman::{MlockAllFlags, mlockall};
use nix::sys::prctl;
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};
use nix::sys::signal::Signal;
use nix::unistd::{
    Gid, Uid, User, getegid, geteuid, getgroups, getppid, getresgid, getresuid, initgroups, setresgid,
    setresuid,
};

use crate::host::Finding;

/// The host did not let keyboot-node protect itself.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum HardeningError {
    /// The kernel refused something.
    #[error("{what} failed: {error}")]
    Refused {
        /// What.
        what: &'static str,
        /// Why.
        error: Errno,
    },
    /// The command cannot run as this user.
    #[error("the command cannot run as {user}: {fault}")]
    User {
        /// The user.
        user: String,
        /// What is wrong, and what is allowed.
        fault: &'static str,
    },
}

/// The one limit at which the kernel gives no core dump to a program either: it means "a crash of the program
/// that gets core dumps" (fs/coredump.c, `coredump_pipe`; core(5) says that other limits are not heeded).
const NO_CORE_DUMP: u64 = 1;

/// Keeps this process's memory from swap, from core dumps and from other processes.
///
/// Core dumps stay off for the command as well, by limit, and should one be made all the same, by
/// `coredump_filter` (core(5)) without its memory.
///
/// # Errors
///
/// [`HardeningError`]. That memory cannot be locked is a finding instead. That the limit cannot be set is one
/// of [`crate::host::missing`], which reads it.
pub fn lock() -> Result<Vec<Finding>, HardeningError> {
    let _ = setrlimit(Resource::RLIMIT_CORE, NO_CORE_DUMP, NO_CORE_DUMP);
    let _ = std::fs::write("/proc/self/coredump_filter", "0");
    make_undumpable()?;
    Ok(lock_memory().into_iter().collect())
}

/// Gives this process a name, by which another one tells it from the command that it becomes.
pub(crate) fn call_itself(name: &str) {
    if let Ok(name) = CString::new(name) {
        let _ = prctl::set_name(&name);
    }
}

fn make_undumpable() -> Result<(), HardeningError> {
    prctl::set_dumpable(false).map_err(refused("PR_SET_DUMPABLE"))
}

fn lock_memory() -> Option<Finding> {
    // Below a limit, memory that is asked for later would be refused instead of not being locked: at the
    // latest when root's privileges are gone.
    let _ = setrlimit(Resource::RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY);
    let is_limited = getrlimit(Resource::RLIMIT_MEMLOCK).map_or(true, |(soft, _)| soft != RLIM_INFINITY);
    let fault = if is_limited {
        "how much memory may be locked is limited".to_owned()
    } else {
        match mlockall(MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE) {
            Ok(()) => return None,
            Err(error) => format!("memory cannot be locked ({error})"),
        }
    };
    let fault = format!("{fault}, so keyboot-node's own can be written to a swap area");
    Some(Finding { name: "memory-not-locked", fault, remedy: "set LimitMEMLOCK=infinity in the unit" })
}

/// Becomes another user, with its groups, for good: afterwards there is no way back to root, by no
/// set-user-ID program either.
///
/// Whoever is that user already only makes sure of it. The user is all threads', what no set-user-ID program
/// gives is the calling one's, which has to be the one that becomes the command.
///
/// # Errors
///
/// [`HardeningError`]: then the process must not go on.
pub fn become_user(user: &User) -> Result<(), HardeningError> {
    let unfit = |fault| HardeningError::User { user: user.name.clone(), fault };
    if user.uid.is_root() || user.gid == Gid::from_raw(0) {
        return Err(unfit("neither root nor its group is allowed; name a user of the command's own"));
    }
    if geteuid().is_root() {
        let name = CString::new(user.name.as_str()).map_err(|_| unfit("its name is none"))?;
        initgroups(&name, user.gid).map_err(refused("initgroups"))?;
        setresgid(user.gid, user.gid, user.gid).map_err(refused("setresgid"))?;
        setresuid(user.uid, user.uid, user.uid).map_err(refused("setresuid"))?;
        // A change of user sets this to what fs.suid_dumpable says.
        make_undumpable()?;
    } else if geteuid() != user.uid || getegid() != user.gid {
        return Err(unfit("only root can become another user"));
    }
    prctl::set_no_new_privs().map_err(refused("PR_SET_NO_NEW_PRIVS"))?;
    if has_way_back(user)? {
        return Err(unfit("root's user, group or privileges could be had back; the unit must not give any"));
    }
    Ok(())
}

fn has_way_back(user: &User) -> Result<bool, HardeningError> {
    let (users, groups) =
        (getresuid().map_err(refused("getresuid"))?, getresgid().map_err(refused("getresgid"))?);
    let is_still_another = [users.real, users.effective, users.saved].iter().any(|id| *id != user.uid)
        || [groups.real, groups.effective, groups.saved].iter().any(|id| *id != user.gid);
    let (root, root_group) = (Uid::from_raw(0), Gid::from_raw(0));
    let is_in_roots_group = getgroups().map_err(refused("getgroups"))?.contains(&root_group);
    Ok(is_still_another
        || is_in_roots_group
        || setresuid(root, root, root).is_ok()
        || setresgid(root_group, root_group, root_group).is_ok())
}

/// Has this process end with its parent, which has to be the one that started it: of one that has ended
/// before, nothing would be heard.
///
/// # Errors
///
/// [`HardeningError`].
pub fn end_with_parent(parent: u32) -> Result<(), HardeningError> {
    prctl::set_pdeathsig(Signal::SIGTERM).map_err(refused("PR_SET_PDEATHSIG"))?;
    if u32::try_from(getppid().as_raw()) == Ok(parent) {
        Ok(())
    } else {
        Err(HardeningError::Refused {
            what: "finding the process that started this one",
            error: Errno::ESRCH,
        })
    }
}

/// Keeps this process, and the command that it becomes, from gaining privileges.
///
/// # Errors
///
/// [`HardeningError`].
pub fn gain_nothing() -> Result<(), HardeningError> {
    prctl::set_no_new_privs().map_err(refused("PR_SET_NO_NEW_PRIVS"))
}

fn refused(what: &'static str) -> impl Fn(Errno) -> HardeningError {
    move |error| HardeningError::Refused { what, error }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt as _;
    use std::path::Path;
    use std::process::{Command, Output};
    use std::{fs, thread};

    use super::*;

    // What these change holds for a whole process: each runs in one of its own, as a test that is ignored
    // unless another one asks for it.

    fn alone(test: &str, directory: &Path) -> Output {
        let program = std::env::current_exe().unwrap();
        let test = format!("hardening::tests::{test}");
        Command::new(program)
            .args(["--ignored", "--exact", &test, "--nocapture"])
            .current_dir(directory)
            .output()
            .unwrap()
    }

    fn passes_alone(test: &str) {
        let output = alone(test, Path::new("/"));
        let told = [output.stdout, output.stderr].map(|told| String::from_utf8_lossy(&told).into_owned());
        assert!(output.status.success() && told[0].contains("1 passed"), "{}", told.concat());
    }

    fn nobody() -> User {
        User::from_name("nobody").unwrap().unwrap()
    }

    fn status(field: &str) -> String {
        let status = fs::read_to_string("/proc/thread-self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        line.unwrap().trim().to_owned()
    }

    #[test]
    fn memory_is_locked_and_not_dumped() {
        passes_alone("alone_memory_is_locked_and_not_dumped");
    }

    #[test]
    #[ignore = "run by another test, in a process of its own"]
    fn alone_memory_is_locked_and_not_dumped() {
        let findings = lock().unwrap();
        assert!(!prctl::get_dumpable().unwrap());
        assert_eq!(getrlimit(Resource::RLIMIT_CORE).unwrap(), (1, 1));
        assert_eq!(fs::read_to_string("/proc/self/coredump_filter").unwrap().trim(), "00000000");
        // Whether the limit can be raised, this machine decides.
        if getrlimit(Resource::RLIMIT_MEMLOCK).unwrap().0 == RLIM_INFINITY {
            assert_eq!(findings, []);
            assert_ne!(status("VmLck"), "0 kB");
        } else {
            assert_eq!(findings[0].name, "memory-not-locked");
        }
    }

    #[test]
    fn a_limit_on_locked_memory_is_a_finding() {
        passes_alone("alone_a_limit_on_locked_memory_is_a_finding");
    }

    #[test]
    #[ignore = "run by another test, in a process of its own"]
    fn alone_a_limit_on_locked_memory_is_a_finding() {
        setrlimit(Resource::RLIMIT_MEMLOCK, 65536, 65536).unwrap();
        if geteuid().is_root() {
            become_user(&nobody()).unwrap();
        }
        let findings = lock().unwrap();
        assert_eq!(findings[0].name, "memory-not-locked");
        assert!(findings[0].remedy.contains("LimitMEMLOCK"));
        assert_eq!(status("VmLck"), "0 kB");
    }

    #[test]
    fn there_is_no_way_back_to_root() {
        if geteuid().is_root() {
            passes_alone("alone_there_is_no_way_back_to_root");
        }
    }

    #[test]
    #[ignore = "run by another test, in a process of its own"]
    fn alone_there_is_no_way_back_to_root() {
        let nobody = nobody();
        lock().unwrap();
        become_user(&nobody).unwrap();
        // All of its threads did.
        let users = thread::spawn(|| getresuid().unwrap()).join().unwrap();
        assert_eq!([users.real, users.effective, users.saved], [nobody.uid; 3]);
        assert_eq!(getgroups().unwrap(), [nobody.gid]);
        for set in ["CapPrm", "CapEff", "CapAmb"] {
            assert_eq!(status(set), "0000000000000000", "{set}");
        }
        assert_eq!(status("NoNewPrivs"), "1");
        assert!(!prctl::get_dumpable().unwrap());
        // Memory can still be had, although what there is can be locked.
        assert_eq!(vec![1_u8; 64 << 20].len(), 64 << 20);
        become_user(&nobody).unwrap();
        end_with_parent(std::os::unix::process::parent_id()).unwrap();
        assert!(end_with_parent(1 << 22).is_err());
    }

    #[test]
    fn root_is_no_user_for_a_command() {
        let root = User::from_name("root").unwrap().unwrap();
        let error = become_user(&root).unwrap_err().to_string();
        assert!(error.contains("neither root nor its group"), "{error}");
        if !geteuid().is_root() {
            assert!(become_user(&nobody()).unwrap_err().to_string().contains("only root"));
        }
    }

    /// Whether a command that aborts leaves something in a folder.
    fn leaves_a_core_dump(test: &str) -> bool {
        let directory = tempfile::tempdir().unwrap();
        let output = alone(test, directory.path());
        assert!(!output.status.success());
        fs::read_dir(directory.path()).unwrap().next().is_some()
    }

    #[test]
    fn an_aborted_command_leaves_no_core_dump() {
        let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
        let can_tell = !pattern.starts_with(['/', '|', '@']) && geteuid().is_root();
        assert!(!can_tell || leaves_a_core_dump("alone_abort_without_limits"));
        assert!(!leaves_a_core_dump("alone_abort"));
    }

    #[test]
    #[ignore = "sets where core dumps go, for this whole machine: cargo xtask test --host"]
    fn a_program_gets_no_core_dump_either() {
        struct Reset(String);
        impl Drop for Reset {
            fn drop(&mut self) {
                fs::write(PATTERN, &self.0).unwrap();
            }
        }
        const PATTERN: &str = "/proc/sys/kernel/core_pattern";
        let directory = tempfile::tempdir().unwrap();
        let taken = directory.path().join("taken");
        let _reset = Reset(fs::read_to_string(PATTERN).unwrap());
        fs::write(PATTERN, format!("|/usr/bin/tee {}", taken.display())).unwrap();
        for (test, is_taken) in [
            ("alone_abort", false),
            ("alone_abort_with_limit_zero", true),
            ("alone_abort_without_limits", true),
        ] {
            assert!(!alone(test, directory.path()).status.success());
            thread::sleep(std::time::Duration::from_millis(300));
            assert_eq!(taken.exists(), is_taken, "{test}");
            let _ = fs::remove_file(&taken);
        }
    }

    fn abort() {
        // The command, not this process: which could not be dumped anyway.
        let error = Command::new("/bin/sh").args(["-c", "kill -ABRT $$"]).exec();
        unreachable!("{error}");
    }

    #[test]
    #[ignore = "run by another test, in a process of its own"]
    fn alone_abort() {
        lock().unwrap();
        abort();
    }

    #[test]
    #[ignore = "run by another test, in a process of its own"]
    fn alone_abort_without_limits() {
        setrlimit(Resource::RLIMIT_CORE, RLIM_INFINITY, RLIM_INFINITY).unwrap();
        abort();
    }

    #[test]
    #[ignore = "run by another test, in a process of its own"]
    fn alone_abort_with_limit_zero() {
        setrlimit(Resource::RLIMIT_CORE, 0, 0).unwrap();
        abort();
    }
}
