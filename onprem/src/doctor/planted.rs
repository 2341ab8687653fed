//! A host in a folder, into which tests plant faults.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::finding::Report;
use super::host::Host;

/// A host in a folder.
pub(crate) struct Planted {
    root: TempDir,
}

impl Planted {
    /// A host of which nothing is known.
    pub(crate) fn empty() -> Self {
        Self { root: tempfile::tempdir().unwrap() }
    }

    /// A host without a fault: an encrypted disk with a tmpfs at `/run`, no swap, a firewall, and nothing that
    /// listens but for itself.
    pub(crate) fn clean() -> Self {
        let host = Self::empty();
        host.write(
            "proc/self/mountinfo",
            "20 1 0:5 / /proc rw - proc proc rw\n\
             22 1 253:0 / / rw,relatime shared:1 - ext4 /dev/mapper/root rw\n\
             23 22 0:21 / /run rw,nosuid shared:9 - tmpfs tmpfs rw\n",
        );
        host.write("sys/devices/dm-0/dm/uuid", "CRYPT-LUKS2-9c1f-root\n");
        host.write("sys/devices/dm-0/dm/name", "root\n");
        for link in ["sys/dev/block/253:0", "sys/class/block/dm-0"] {
            fs::create_dir_all(host.path(link).parent().unwrap()).unwrap();
            symlink(host.path("sys/devices/dm-0"), host.path(link)).unwrap();
        }
        host.write("proc/swaps", "Filename\t\t\tType\t\tSize\t\tUsed\t\tPriority\n");
        host.write("proc/sys/kernel/core_pattern", "core\n");
        host.write("proc/net/tcp", &listening("127.0.0.1:8200".parse().unwrap()));
        host.write("proc/net/tcp6", &listening("[::]:22".parse().unwrap()));
        host.write("proc/net/if_inet6", "fe800000000000000000000000000001 02 40 20 80     eth0\n");
        host.write(
            "commands/nft",
            r#"{"nftables": [{"metainfo": {"json_schema_version": 1}}, {"chain": {"family": "inet", "table":
                "filter", "name": "input", "type": "filter", "hook": "input", "prio": 0, "policy": "drop"}}]}"#,
        );
        host
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path.trim_start_matches('/'))
    }

    /// Writes a file that only its owner may read.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// Lets everybody read a file.
    pub(crate) fn open(&self, path: &str) {
        fs::set_permissions(self.path(path), fs::Permissions::from_mode(0o644)).unwrap();
    }

    pub(crate) fn remove(&self, path: &str) {
        fs::remove_file(self.path(path)).unwrap();
    }

    /// A process with a command of words, and variables with a zero between them.
    pub(crate) fn process(&self, id: u32, command: &str, environment: &str) {
        self.write(&format!("proc/{id}/cmdline"), &format!("{}\0", command.replace(' ', "\0")));
        self.write(&format!("proc/{id}/environ"), environment);
        self.limit(id, "0");
    }

    /// A process's limit on core dumps.
    pub(crate) fn limit(&self, id: u32, soft: &str) {
        let limits = format!(
            "Limit                     Soft Limit           Hard Limit           Units\n\
             Max cpu time              unlimited            unlimited            seconds\n\
             Max core file size        {soft:<20} unlimited            bytes\n"
        );
        self.write(&format!("proc/{id}/limits"), &limits);
    }

    pub(crate) fn host(&self) -> Host {
        Host::below(self.root.path())
    }

    /// What is found but for files.
    pub(crate) fn look(&self) -> Report {
        let mut report = Report::default();
        self.host().look(&mut report);
        report
    }

    /// What is found in a folder.
    pub(crate) fn look_in(&self, folder: &str) -> Report {
        let mut report = Report::default();
        super::files::look(&self.host(), Path::new(folder), &mut report);
        report
    }
}

/// A line of `/proc/net/tcp` or `tcp6`, for something that listens.
pub(crate) fn listening(address: SocketAddr) -> String {
    let bytes = match address.ip() {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let words = bytes.chunks_exact(4).map(|word| u32::from_ne_bytes(word.try_into().unwrap()));
    let ip = words.map(|word| format!("{word:08X}")).collect::<Vec<_>>().concat();
    let none = "0".repeat(ip.len());
    format!(
        "   0: {ip}:{:04X} {none}:0000 0A 00000000:00000000 00:00000000 00000000   990        0 94 1 0 100 0 0 10 0\n",
        address.port()
    )
}
