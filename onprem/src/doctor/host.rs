//! A host, by the files below a root and by what a few programs of its own say.
//!
//! Everything is looked at below that root, so that a test plants each fault in a folder. Nothing is changed,
//! and nothing is sent anywhere.

pub(crate) mod disks;
pub(crate) mod dumps;
pub(crate) mod firewall;
pub(crate) mod ports;
pub(crate) mod processes;

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use zeroize::Zeroizing;

use super::finding::Report;

/// Where programs of the administrator's are.
const PROGRAM_FOLDERS: [&str; 4] = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"];
/// Where a host below another root keeps what its programs say.
const TOLD: &str = "commands";

/// A host.
#[derive(Clone, Debug)]
pub struct Host {
    root: PathBuf,
    /// Whether it is this one, whose programs can be asked.
    is_this: bool,
}

/// What came of asking a program.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Told {
    /// There is no such program.
    Nothing,
    /// It refused, or could not be started.
    Refused,
    /// What it wrote.
    Said(String),
}

impl Host {
    /// This host.
    #[must_use]
    pub fn this() -> Self {
        Self { root: "/".into(), is_this: true }
    }

    /// A host whose files are below a folder, and what its programs say in `commands` there: `commands/nft`
    /// is what `nft` writes, `commands/nft.refused` says that it refuses.
    #[must_use]
    pub fn below(root: &Path) -> Self {
        let is_this = root == Path::new("/");
        let root = fs::canonicalize(root).unwrap_or_else(|_| root.to_owned());
        Self { root, is_this }
    }

    /// All that is wrong with it but for files in folders, for which see [`super::files::look`].
    pub fn look(&self, report: &mut Report) {
        self.ports(report);
        self.firewall(report);
        self.disks(report);
        self.swap(report);
        let processes = self.processes();
        self.core_dumps(&processes, report);
        self.settings(&processes, report);
    }

    /// Where a path of the host's is.
    pub(crate) fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// What the host itself calls a path that was found below the root.
    pub(crate) fn name(&self, path: &Path) -> PathBuf {
        Path::new("/").join(path.strip_prefix(&self.root).unwrap_or(path))
    }

    /// A file of the kernel's or of the administrator's, in which nothing is secret.
    pub(crate) fn read(&self, path: impl AsRef<Path>) -> io::Result<String> {
        fs::read(self.path(path)).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// A file in which there may be a secret, or its beginning where it is longer than `longest` bytes.
    pub(crate) fn read_secret(path: &Path, longest: usize) -> io::Result<Zeroizing<Vec<u8>>> {
        // Memory for all of it at once: a buffer that grows would leave copies behind.
        let mut bytes = Zeroizing::new(vec![0; longest]);
        let mut file = fs::File::open(path)?;
        let mut length = 0;
        loop {
            match file.read(&mut bytes[length..]) {
                Ok(0) => break,
                Ok(count) => length += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        bytes.truncate(length);
        Ok(bytes)
    }

    /// Asks a program of the host's own, with an environment that holds nothing.
    pub(crate) fn ask(&self, program: &str, arguments: &[&str]) -> Told {
        if !self.is_this {
            let told = self.path(TOLD).join(program);
            return match fs::read_to_string(&told) {
                Ok(said) => Told::Said(said),
                Err(_) if told.with_extension("refused").exists() => Told::Refused,
                Err(_) => Told::Nothing,
            };
        }
        let mut places = PROGRAM_FOLDERS.iter().map(|folder| Path::new(folder).join(program));
        let Some(place) = places.find(|place| place.exists()) else { return Told::Nothing };
        let output = Command::new(place).args(arguments).env_clear().stdin(Stdio::null()).output();
        match output {
            Ok(output) if output.status.success() => {
                Told::Said(String::from_utf8_lossy(&output.stdout).into_owned())
            }
            _ => Told::Refused,
        }
    }

    /// What is mounted; the last one at a place is on top.
    pub(crate) fn mounts(&self) -> Vec<Mount> {
        let text = self.read("proc/self/mountinfo").unwrap_or_default();
        text.lines().filter_map(Mount::parse).collect()
    }

    /// What is mounted where a path is.
    pub(crate) fn mount_of(&self, path: &Path) -> Option<Mount> {
        mount_among(&self.mounts(), &self.name(path)).cloned()
    }
}

/// A line of mountinfo (proc(5)).
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Mount {
    /// `major:minor`.
    pub(crate) device: String,
    /// Where.
    pub(crate) point: String,
    /// The file system's kind.
    pub(crate) kind: String,
    /// What is mounted.
    pub(crate) source: String,
}

impl Mount {
    /// Whether what is there is in memory, and gone with the power.
    pub(crate) fn is_in_memory(&self) -> bool {
        matches!(self.kind.as_str(), "tmpfs" | "ramfs")
    }

    fn parse(line: &str) -> Option<Self> {
        let (place, system) = line.split_once(" - ")?;
        let mut place = place.split(' ').skip(2);
        let mut system = system.split(' ');
        Some(Self {
            device: place.next()?.to_owned(),
            point: without_escapes(place.nth(1)?),
            kind: system.next()?.to_owned(),
            source: without_escapes(system.next()?),
        })
    }
}

/// Of mounts, that of a path as the host calls it. Of several that are equally deep it is the last one.
pub(crate) fn mount_among<'a>(mounts: &'a [Mount], name: &Path) -> Option<&'a Mount> {
    let reaching = mounts.iter().filter(|mount| name.starts_with(&mount.point));
    reaching.max_by_key(|mount| Path::new(&mount.point).components().count())
}

/// Spaces and the like stand there in octal (proc(5), as in fstab(5)).
pub(crate) fn without_escapes(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(text.to_owned(), |text, (escape, meant)| text.replace(escape, meant))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::planted::Planted;

    #[test]
    fn the_mount_of_a_path_is_the_deepest_and_last() {
        let host = Planted::empty();
        host.write(
            "proc/self/mountinfo",
            "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
             23 22 0:21 / /run rw,nosuid shared:9 - tmpfs tmpfs rw\n\
             24 22 8:2 / /srv/a\\040b rw - ext4 /dev/sda2 rw\n\
             25 22 8:3 / /srv/a\\040b rw - xfs /dev/sda3 rw\n\
             not a mount\n",
        );
        let host = host.host();
        let kind = |path: &str| host.mount_of(&host.path(path)).unwrap().kind;
        assert_eq!(kind("/run/keyboot/token"), "tmpfs");
        assert_eq!(kind("/runner"), "ext4");
        assert_eq!(kind("/srv/a b/c"), "xfs");
    }

    #[test]
    fn no_more_is_read_than_wanted() {
        let host = Planted::empty();
        host.write("a", "0123456789");
        let path = host.host().path("a");
        assert_eq!(Host::read_secret(&path, 4).unwrap().as_slice(), b"0123");
        assert_eq!(Host::read_secret(&path, 40).unwrap().as_slice(), b"0123456789");
    }

    #[test]
    fn a_program_is_asked_without_an_environment() {
        let host = Host::this();
        assert_eq!(host.ask("env", &[]), Told::Said(String::new()));
        assert_eq!(host.ask("false", &[]), Told::Refused);
        assert_eq!(host.ask("there-is-no-such-program", &[]), Told::Nothing);
    }

    #[test]
    fn this_machines_files_are_understood() {
        let host = Host::this();
        assert_eq!(host.mount_of(Path::new("/proc/self")).unwrap().kind, "proc");
        let own = std::process::id();
        assert!(host.processes().iter().any(|process| process.id == own));
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(host.listeners().unwrap().iter().any(|listener| listener.address.port() == port));
    }
}
