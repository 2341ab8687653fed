//! What keyboot-onprem does to itself before it makes a key or reads a share.

use nix::sys::mman::{MlockAllFlags, mlockall};
use nix::sys::prctl;
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};

/// The one limit at which the kernel gives no core dump to a program either (fs/coredump.c, `coredump_pipe`).
const NO_CORE_DUMP: u64 = 1;

/// Keeps this process's memory from core dumps, from other processes of its user and, where the host lets it, from
/// swap. What the host refuses is no reason not to run: `doctor` finds swap and core dumps.
pub fn protect() {
    let _ = setrlimit(Resource::RLIMIT_CORE, NO_CORE_DUMP, NO_CORE_DUMP);
    let _ = prctl::set_dumpable(false);
    // Below a limit, memory that is asked for later would be refused instead of not being locked.
    let _ = setrlimit(Resource::RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY);
    if getrlimit(Resource::RLIMIT_MEMLOCK).is_ok_and(|(soft, _)| soft == RLIM_INFINITY) {
        let _ = mlockall(MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE);
    }
}
