//! The checks, each on files below `proc` and `sys`.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use nix::sys::stat::{major, minor};
use nix::unistd::Uid;

use super::Finding;

/// A host, by its files.
pub(super) struct Host<'a> {
    root: &'a Path,
}

/// A process, as its `status` tells.
struct Process {
    id: u32,
    parent: u32,
    /// Real, effective, saved and for the file system (proc(5)).
    users: Vec<u32>,
    name: String,
}

impl<'a> Host<'a> {
    pub(super) fn new(root: &'a Path) -> Self {
        Self { root }
    }

    pub(super) fn missing(&self, user: Uid, directory: Option<&Path>) -> Vec<Finding> {
        let findings = [
            self.swap(),
            self.core_dumps(),
            self.user(user),
            self.proc_visible(),
            self.ptrace(),
            directory.and_then(|directory| self.private_files_swap(directory)),
        ];
        findings.into_iter().flatten().collect()
    }

    /// Locked memory is unlocked by exec(2): only a limit keeps the command itself from being swapped.
    fn swap(&self) -> Option<Finding> {
        (self.is_swap_on() && !self.is_kept_from_swap()).then(|| Finding {
            name: "swap",
            fault: "the command's memory can be written to a swap area".into(),
            remedy: "set MemorySwapMax=0 in the unit, or turn swap off (swapoff -a, and /etc/fstab)",
        })
    }

    fn is_swap_on(&self) -> bool {
        // The first line is the heading.
        self.read("proc/swaps").is_none_or(|areas| areas.lines().skip(1).any(|area| !area.trim().is_empty()))
    }

    /// A limit counts for all groups below it (cgroup-v2, "memory.swap.max").
    fn is_kept_from_swap(&self) -> bool {
        let groups = self.read("proc/self/cgroup").unwrap_or_default();
        let Some(own) = groups.lines().find_map(|line| line.strip_prefix("0::/")) else { return false };
        Path::new(own).ancestors().any(|group| {
            let limit = self.read(Path::new("sys/fs/cgroup").join(group).join("memory.swap.max"));
            limit.is_some_and(|limit| limit.trim() == "0")
        })
    }

    /// A limit of 1 is what keeps a core dump from a program, too; 0 does not (fs/coredump.c,
    /// `coredump_pipe`). A socket (Linux 6.16) gets it whatever the limit is (`coredump_sock_connect`).
    fn core_dumps(&self) -> Option<Finding> {
        let finding = |fault: &str, remedy| Some(Finding { name: "core-dumps", fault: fault.into(), remedy });
        let pattern = self.read("proc/sys/kernel/core_pattern").unwrap_or_default();
        let limits = self.read("proc/self/limits").unwrap_or_default();
        let limits =
            limits.lines().find_map(|line| line.strip_prefix("Max core file size")).unwrap_or_default();
        let mut limits = limits.split_whitespace().map(str::parse::<u64>);
        let limits = (limits.next(), limits.next());
        let limit = "set LimitCORE=1 in the unit: not 0, which a program that gets core dumps does not heed";
        match (pattern.bytes().next(), limits) {
            (Some(b'@'), _) => finding(
                "a core dump of the command would be sent to a socket, whatever its limit is",
                "give kernel.core_pattern (sysctl) a file or a program instead",
            ),
            (Some(b'|'), (Some(Ok(1)), Some(Ok(1)))) => None,
            (Some(b'|'), _) => finding("a core dump of the command would be sent to a program", limit),
            (Some(_), (_, Some(Ok(0 | 1)))) => None,
            (Some(_), _) => finding("a core dump of the command could be written to a disk", limit),
            (None, _) => finding("it cannot be read where core dumps go", "set ProcSubset=all in the unit"),
        }
    }

    /// Root and the same user see a command's environment and memory.
    fn user(&self, user: Uid) -> Option<Finding> {
        const REMEDY: &str = "make a user for this command alone (useradd --system) and name it as `user` in the configuration";
        if user.is_root() {
            let fault = "the command runs as root, so that nothing keeps it from the rest of the host".into();
            return Some(Finding { name: "command-is-root", fault, remedy: REMEDY });
        }
        let fault = match self.stranger(user) {
            Ok(None) => return None,
            Ok(Some(Process { id, name, .. })) => {
                format!("process {id} ({name}) runs as the command's user {user}, and can read all it knows")
            }
            Err(()) => "it cannot be read which processes run as the command's user".into(),
        };
        Some(Finding { name: super::SHARED_USER, fault, remedy: REMEDY })
    }

    /// A process of a user that neither is this one nor was started by it.
    fn stranger(&self, user: Uid) -> Result<Option<Process>, ()> {
        let own = self.process("self").ok_or(())?.id;
        let entries = fs::read_dir(self.root.join("proc")).map_err(|_| ())?;
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        // One that has ended since is none.
        let processes: Vec<_> = names
            .filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
            .filter_map(|name| self.process(&name))
            .collect();
        let parent = |id| processes.iter().find(|process| process.id == id).map(|process| process.parent);
        let is_own = |process: &Process| {
            // Processes that come and go while they are read could make a circle.
            let line = std::iter::successors(Some(process.id), |id| parent(*id)).take(processes.len() + 1);
            line.into_iter().any(|id| id == own)
        };
        let stranger =
            processes.iter().position(|process| process.users.contains(&user.as_raw()) && !is_own(process));
        Ok(stranger.and_then(|place| processes.into_iter().nth(place)))
    }

    fn process(&self, id: &str) -> Option<Process> {
        let status = self.read(Path::new("proc").join(id).join("status"))?;
        let field = |name: &str| {
            status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
        };
        Some(Process {
            id: field("Pid")?.parse().ok()?,
            parent: field("PPid")?.parse().ok()?,
            users: field("Uid")?.split_whitespace().map(str::parse).collect::<Result<_, _>>().ok()?,
            name: field("Name")?.to_owned(),
        })
    }

    fn proc_visible(&self) -> Option<Finding> {
        // The last one is on top.
        let is_hidden =
            self.mounts().into_iter().rfind(|mount| mount.point == "/proc").is_some_and(|mount| {
                mount.has(&["hidepid=2", "hidepid=invisible", "hidepid=4", "hidepid=ptraceable"])
            });
        (!is_hidden).then(|| Finding {
            name: "proc-visible",
            fault: "everybody sees the processes of all users in this /proc, with their arguments".into(),
            remedy: "set ProtectProc=invisible in the unit, or mount /proc with hidepid=invisible",
        })
    }

    fn ptrace(&self) -> Option<Finding> {
        let scope = self.read("proc/sys/kernel/yama/ptrace_scope");
        let is_restricted =
            scope.and_then(|scope| scope.trim().parse::<u8>().ok()).is_some_and(|scope| scope > 0);
        (!is_restricted).then(|| Finding {
            name: "ptrace",
            fault: "any process of the command's user can read its memory (ptrace)".into(),
            remedy: "set kernel.yama.ptrace_scope to 1 or more (sysctl), on a kernel with Yama",
        })
    }

    /// The unit's own limit does not count here: files can outlive it.
    fn private_files_swap(&self, directory: &Path) -> Option<Finding> {
        let device = device(directory);
        let mount = self.mounts().into_iter().find(|mount| Some(&mount.device) == device.as_ref());
        let is_kept = mount.is_some_and(|mount| mount.kind == "ramfs" || mount.has(&["noswap"]));
        (self.is_swap_on() && !is_kept).then(|| Finding {
            name: "private-files-swap",
            fault: format!("what is in {} can be written to a swap area", directory.display()),
            remedy: "deliver by memory-file, mount a tmpfs there with noswap (Linux 6.4), or turn swap off",
        })
    }

    fn mounts(&self) -> Vec<Mount> {
        let text = self.read("proc/self/mountinfo").unwrap_or_default();
        text.lines().filter_map(Mount::parse).collect()
    }

    fn read(&self, path: impl AsRef<Path>) -> Option<String> {
        fs::read_to_string(self.root.join(path)).ok()
    }
}

/// A line of mountinfo (proc(5)).
struct Mount {
    device: String,
    point: String,
    kind: String,
    options: Vec<String>,
}

impl Mount {
    fn parse(line: &str) -> Option<Self> {
        let (place, system) = line.split_once(" - ")?;
        let mut place = place.split(' ').skip(2);
        let mut system = system.split(' ');
        Some(Self {
            device: place.next()?.to_owned(),
            point: place.nth(1)?.to_owned(),
            kind: system.next()?.to_owned(),
            options: system.nth(1)?.split(',').map(str::to_owned).collect(),
        })
    }

    fn has(&self, options: &[&str]) -> bool {
        self.options.iter().any(|option| options.contains(&option.as_str()))
    }
}

/// The device of a directory, as `proc` writes it.
fn device(directory: &Path) -> Option<String> {
    let device = fs::metadata(directory).ok()?.dev();
    Some(format!("{}:{}", major(device), minor(device)))
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::host::NAMES;

    const USER: u32 = 990;

    /// A host without a fault, on which this process has the number 50.
    struct Planted {
        root: TempDir,
    }

    impl Planted {
        fn clean() -> Self {
            let host = Self { root: tempfile::tempdir().unwrap() };
            host.write("proc/swaps", &swaps(true));
            host.write("proc/self/cgroup", "1:name=systemd:/x\n0::/system.slice/keyboot.slice/a.service\n");
            host.write("sys/fs/cgroup/system.slice/keyboot.slice/a.service/memory.swap.max", "0\n");
            host.write("proc/sys/kernel/core_pattern", "|/usr/lib/systemd/systemd-coredump %P\n");
            host.write("proc/self/limits", &limits("1", "1"));
            host.write("proc/self/mountinfo", &host.mountinfo("rw,hidepid=invisible", "rw,size=4k,noswap"));
            host.write("proc/sys/kernel/yama/ptrace_scope", "1\n");
            host.process("self", 50, 1, 0);
            host.process("50", 50, 1, 0);
            host.process("1", 1, 0, 0);
            // What it started, and what that did.
            host.process("51", 51, 50, 0);
            host.process("52", 52, 51, USER);
            host
        }

        fn with(path: &str, text: &str) -> Self {
            let host = Self::clean();
            host.write(path, text);
            host
        }

        fn without(path: &str) -> Self {
            let host = Self::clean();
            fs::remove_file(host.root.path().join(path)).unwrap();
            host
        }

        fn write(&self, path: &str, text: &str) {
            let path = self.root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        fn process(&self, name: &str, id: u32, parent: u32, user: u32) {
            let status = format!(
                "Name:\ta process\nUmask:\t0022\nTgid:\t{id}\nPid:\t{id}\nPPid:\t{parent}\nUid:\t0\t0\t{user}\t0\n"
            );
            self.write(&format!("proc/{name}/status"), &status);
        }

        fn mountinfo(&self, of_proc: &str, of_directory: &str) -> String {
            let device = device(self.root.path()).unwrap();
            format!(
                "21 1 0:20 / /proc rw,relatime - proc proc rw\n\
                 22 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
                 23 1 {device} / /run rw,nosuid shared:9 - tmpfs tmpfs {of_directory}\n\
                 24 21 0:30 / /proc rw,nosuid shared:2 master:3 - proc proc {of_proc}\n"
            )
        }

        fn findings(&self, user: u32) -> Vec<Finding> {
            Host::new(self.root.path()).missing(Uid::from_raw(user), Some(self.root.path()))
        }

        fn names(&self) -> Vec<&'static str> {
            self.findings(USER).iter().map(|finding| finding.name).collect()
        }
    }

    fn swaps(is_on: bool) -> String {
        let area = if is_on { "/dev/dm-1 partition 8388604 0 -2\n" } else { "" };
        format!("Filename Type Size Used Priority\n{area}")
    }

    fn limits(soft: &str, hard: &str) -> String {
        format!(
            "Limit                     Soft Limit           Hard Limit           Units\n\
             Max cpu time              unlimited            unlimited            seconds\n\
             Max core file size        {soft:<20} {hard:<20} bytes\n"
        )
    }

    #[test]
    fn a_clean_host_has_no_findings() {
        assert_eq!(Planted::clean().findings(USER), []);
    }

    #[test]
    fn each_planted_fault_is_found_and_nothing_else() {
        let clean = Planted::clean();
        let mountinfo = |of_proc, of_directory| {
            Planted::with("proc/self/mountinfo", &clean.mountinfo(of_proc, of_directory))
        };
        let unit = "sys/fs/cgroup/system.slice/keyboot.slice/a.service/memory.swap.max";
        let pattern = "proc/sys/kernel/core_pattern";
        let limited = |soft, hard| Planted::with("proc/self/limits", &limits(soft, hard));
        let to_a_file = |soft, hard| {
            let host = limited(soft, hard);
            host.write(pattern, "core\n");
            host
        };
        let with_process = |name: &str, id, parent, user| {
            let host = Planted::clean();
            host.process(name, id, parent, user);
            host
        };
        let hidden = "rw,hidepid=invisible";
        let faults: Vec<(&str, Planted, &[&str])> = vec![
            ("swap not limited", Planted::with(unit, "max\n"), &["swap"]),
            ("no limit on swap", Planted::without(unit), &["swap"]),
            ("group unknown", Planted::without("proc/self/cgroup"), &["swap"]),
            ("dumps to a program, limit 0", limited("0", "0"), &["core-dumps"]),
            ("dumps to a program, limit can be raised", limited("1", "unlimited"), &["core-dumps"]),
            ("dumps to a program, no limit", limited("unlimited", "unlimited"), &["core-dumps"]),
            ("dumps to a socket", Planted::with(pattern, "@/run/coredump.socket\n"), &["core-dumps"]),
            ("dumps to a file", to_a_file("0", "unlimited"), &["core-dumps"]),
            ("dumps unknown", Planted::without(pattern), &["core-dumps"]),
            ("limits unknown", Planted::without("proc/self/limits"), &["core-dumps"]),
            ("a stranger", with_process("77", 77, 1, USER), &["shared-user"]),
            ("own parent", with_process("1", 1, 0, USER), &["shared-user"]),
            ("processes unknown", Planted::without("proc/self/status"), &["shared-user"]),
            ("proc open", mountinfo("rw", "rw,noswap"), &["proc-visible"]),
            ("proc half open", mountinfo("rw,hidepid=noaccess", "rw,noswap"), &["proc-visible"]),
            (
                "mounts unknown",
                Planted::without("proc/self/mountinfo"),
                &["proc-visible", "private-files-swap"],
            ),
            ("ptrace open", Planted::with("proc/sys/kernel/yama/ptrace_scope", "0\n"), &["ptrace"]),
            ("no Yama", Planted::without("proc/sys/kernel/yama/ptrace_scope"), &["ptrace"]),
            ("tmpfs swaps", mountinfo(hidden, "rw,size=4k"), &["private-files-swap"]),
        ];
        for (what, host, expected) in &faults {
            assert_eq!(host.names(), *expected, "{what}");
        }
        let as_root = clean.findings(0);
        assert_eq!(as_root[0].name, "command-is-root");
        let planted = faults.iter().flat_map(|(_, host, _)| host.names()).chain([as_root[0].name]);
        let elsewhere = ["login-readable", "memory-not-locked", "metadata-reachable"];
        let mut all: Vec<_> = planted.chain(elsewhere).collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all, NAMES);
    }

    #[test]
    fn what_protects_just_as_well_is_no_fault() {
        let hidden = "rw,hidepid=2";
        let swapless = Planted::with("proc/swaps", &swaps(false));
        swapless.write("proc/self/cgroup", "0::/\n");
        swapless.write("proc/self/mountinfo", &swapless.mountinfo(hidden, "rw"));
        assert_eq!(swapless.names(), [""; 0]);
        let limited_above = Planted::with("sys/fs/cgroup/system.slice/memory.swap.max", "0\n");
        limited_above.write("sys/fs/cgroup/system.slice/keyboot.slice/a.service/memory.swap.max", "max\n");
        assert_eq!(limited_above.names(), [""; 0]);
        for limit in ["0", "1"] {
            let to_a_file = Planted::with("proc/self/limits", &limits(limit, limit));
            to_a_file.write("proc/sys/kernel/core_pattern", "/var/crash/%p\n");
            assert_eq!(to_a_file.names(), [""; 0]);
        }
    }

    #[test]
    fn findings_say_what_is_wrong_and_what_to_do() {
        let host = Planted::clean();
        host.process("77", 77, 1, USER);
        assert_eq!(
            host.findings(USER)[0].to_string(),
            "shared-user: process 77 (a process) runs as the command's user 990, and can read all it knows; make a user \
             for this command alone (useradd --system) and name it as `user` in the configuration"
        );
    }

    #[test]
    fn this_machines_files_are_understood() {
        let host = Host::new(Path::new("/"));
        assert_eq!(host.process("self").unwrap().id, std::process::id());
        assert_eq!(host.stranger(Uid::from_raw(3_999_999)).unwrap().map(|process| process.name), None);
        // Such as what runs these tests.
        assert!(host.stranger(nix::unistd::geteuid()).unwrap().is_some());
        let mounts = host.mounts();
        assert_eq!(mounts.iter().find(|mount| mount.point == "/proc").unwrap().kind, "proc");
        let device = device(Path::new("/dev/shm")).unwrap();
        assert_eq!(mounts.iter().find(|mount| mount.device == device).unwrap().kind, "tmpfs");
        let limits = host.read("proc/self/limits").unwrap();
        assert!(limits.lines().any(|line| line.starts_with("Max core file size ")));
    }

    #[test]
    fn processes_whose_parents_go_in_a_circle_are_strangers() {
        let host = Planted::clean();
        host.process("77", 77, 78, USER);
        host.process("78", 78, 77, 0);
        assert_eq!(host.names(), ["shared-user"]);
    }
}
