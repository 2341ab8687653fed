//! Files in folders: keys, tokens and shares in plaintext, and settings that cannot work.
//!
//! What a file holds decides, and its name only where its content could be something public just as well. A
//! file in memory (tmpfs) is no file on a disk: there it counts whether others may read it. Links are not
//! followed, and nothing that a file holds is ever told.

pub(crate) mod compose;
pub(crate) mod content;
pub(crate) mod signer;
mod variables;

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use self::content::{Held, held_by};
use super::finding::{Fault, Report};
use super::hcl::{self, Item};
use super::host::{Host, Mount, mount_among};
use super::yaml;

/// A key, a keystore or a Compose file is shorter, in bytes.
const LONGEST: u64 = 1024 * 1024;

/// A file that is looked at.
pub(crate) struct Seen<'a> {
    pub(crate) host: &'a Host,
    /// Where it is below the host's root.
    pub(crate) path: &'a Path,
    /// Its text.
    pub(crate) text: &'a str,
    /// Whether it is in memory only.
    pub(crate) is_in_memory: bool,
    /// Whether everybody on the host may read it.
    pub(crate) is_open: bool,
}

impl Seen<'_> {
    /// What the host calls it.
    pub(crate) fn place(&self) -> String {
        self.host.name(self.path).display().to_string()
    }

    /// Its name without the folder, in lower case.
    pub(crate) fn name(&self) -> String {
        self.path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default()
    }

    /// Whether its name ends in one of these.
    pub(crate) fn is_one_of(&self, extensions: &[&str]) -> bool {
        let extension = self.path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
        extensions.contains(&extension.as_str())
    }

    /// Tells of what the file holds, unless only its owner can read it and it goes with the power.
    pub(crate) fn exposes(&self, fault: Fault, what: &str, report: &mut Report) {
        let how = match (self.is_in_memory, self.is_open) {
            (true, false) => return,
            (true, true) => "that everybody on the host may read",
            (false, false) => "on a disk",
            (false, true) => "on a disk, that everybody on the host may read",
        };
        report.found(fault, self.place(), format!("{what} {how}"));
    }
}

/// Looks at a folder of the host's and all below it.
pub(crate) fn look(host: &Host, folder: &Path, report: &mut Report) {
    let path = host.path(folder);
    // A folder that is named may be a link; none in it is followed.
    let start = match fs::canonicalize(&path) {
        Ok(start) if start.is_dir() => start,
        Ok(_) => return report.not_seen(format!("{}", folder.display()), "it is no folder"),
        Err(error) => return report.not_seen(format!("{}", folder.display()), error.to_string()),
    };
    let mounts = host.mounts();
    let mut folders = vec![start];
    while let Some(folder) = folders.pop() {
        let mut files = Vec::new();
        match entries(&folder) {
            Ok(entries) => {
                for (path, kind) in entries {
                    if kind.is_dir() && !is_foreign(&mounts, &path, &host.name(&path)) {
                        folders.push(path);
                    } else if kind.is_file() {
                        files.push(path);
                    }
                }
            }
            Err(error) => not_read(host, &folder, &error, report),
        }
        let is_in_memory = mount_among(&mounts, &host.name(&folder)).is_some_and(Mount::is_in_memory);
        look_at_files(host, is_in_memory, &files, report);
    }
}

fn entries(folder: &Path) -> io::Result<Vec<(PathBuf, fs::FileType)>> {
    let entries =
        fs::read_dir(folder)?.map(|entry| entry.and_then(|entry| Ok((entry.path(), entry.file_type()?))));
    entries.collect()
}

/// Whether a folder is the kernel's, or the history of a repository.
fn is_foreign(mounts: &[Mount], folder: &Path, name: &Path) -> bool {
    const KERNELS: [&str; 7] = ["cgroup", "cgroup2", "debugfs", "devtmpfs", "proc", "sysfs", "tracefs"];
    let is_of_git = folder.file_name().is_some_and(|name| name == ".git");
    is_of_git
        || mounts
            .iter()
            .any(|mount| Path::new(&mount.point) == name && KERNELS.contains(&mount.kind.as_str()))
}

fn look_at_files(host: &Host, is_in_memory: bool, files: &[PathBuf], report: &mut Report) {
    let mut keystores = Vec::new();
    let mut passwords = Vec::new();
    for path in files {
        let (text, is_open) = match read(path) {
            Ok(Some(read)) => read,
            Ok(None) => continue,
            // It has gone since.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => {
                not_read(host, path, &error, report);
                continue;
            }
        };
        let file = Seen { host, path, text: &text, is_in_memory, is_open };
        for held in held_by(&file, files) {
            match held {
                Held::Key(what) => file.exposes(Fault::KeyFile, what, report),
                Held::Token(what) => file.exposes(Fault::TokenExposed, what, report),
                Held::Shares(what) => file.exposes(Fault::UnsealShares, what, report),
                Held::Keystore => keystores.push(file.place()),
                Held::Password => passwords.push(file.place()),
            }
        }
        variables::look(&file, report);
        if file.is_one_of(&["yaml", "yml"]) {
            for document in yaml::read(&text).unwrap_or_default() {
                signer::look(&file, &document, report);
                compose::look(&file, &document, report);
            }
        }
        if file.is_one_of(&["hcl"]) {
            look_at_server(&file, report);
        }
    }
    if let (Some(keystore), Some(password)) = (keystores.first(), passwords.first()) {
        report.found(
            Fault::KeystorePassword,
            keystore,
            format!("a keystore, and its password may be in {password}"),
        );
    }
}

/// A server's configuration.
fn look_at_server(file: &Seen<'_>, report: &mut Report) {
    let Some(items) = hcl::read(file.text) else { return };
    let listeners = items.iter().filter(|item| item.name == "listener");
    if listeners.flat_map(Item::fields).any(|field| field.name == "tls_disable" && field.is_true()) {
        report.found(Fault::TlsOff, file.place(), "a listener has tls_disable");
    }
}

/// A text, and whether everybody may read it; none where it is no text, or too long to be of interest.
fn read(path: &Path) -> io::Result<Option<(Zeroizing<String>, bool)>> {
    let about = fs::symlink_metadata(path)?;
    let Ok(length) = usize::try_from(about.len().min(LONGEST + 1)) else { return Ok(None) };
    if !about.is_file() || about.len() > LONGEST || length == 0 {
        return Ok(None);
    }
    let bytes = Host::read_secret(path, length)?;
    let Ok(text) = str::from_utf8(&bytes) else { return Ok(None) };
    let is_open = about.permissions().mode() & 0o004 != 0;
    Ok((!text.contains('\0')).then(|| (Zeroizing::new(text.to_owned()), is_open)))
}

fn not_read(host: &Host, path: &Path, error: &io::Error, report: &mut Report) {
    report.not_seen(host.name(path).display().to_string(), error.to_string());
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::doctor::planted::Planted;

    const KEY: &str = "PRIVATE_KEY=0x53dadf1d5a164d6b4acdb15e24aa4c5b1d3461bdbd42abedb0a4404d56ced8fb\n";

    fn places(report: &Report) -> Vec<&str> {
        report.findings.iter().map(|finding| finding.place.as_str()).collect()
    }

    #[test]
    fn a_file_in_memory_is_its_owners_alone() {
        let host = Planted::clean();
        host.write("run/keyboot/env", KEY);
        assert_eq!(host.look_in("/run").findings.len(), 0);
        host.open("run/keyboot/env");
        let report = host.look_in("/run");
        assert_eq!(
            report.findings.first().unwrap().seen,
            "a private key as a setting that everybody on the host may read"
        );
    }

    #[test]
    fn folders_are_looked_through_and_links_are_not() {
        let host = Planted::clean();
        host.write("srv/a/b/c/.env", KEY);
        host.write("home/key", KEY);
        host.write("srv/repository/.git/key", KEY);
        symlink(host.path("home/key"), host.path("srv/link")).unwrap();
        symlink(host.path("home"), host.path("srv/folder")).unwrap();
        assert_eq!(places(&host.look_in("srv")), ["/srv/a/b/c/.env"]);
        assert_eq!(places(&host.look_in("/srv/folder")), ["/home/key"]);
    }

    #[test]
    fn what_is_no_text_or_long_is_left_out() {
        let host = Planted::clean();
        host.write("srv/long", &(KEY.to_owned() + &" ".repeat(1024 * 1024)));
        host.write("srv/binary", &format!("\0{KEY}"));
        host.write("srv/empty", "");
        fs::write(host.path("srv/bytes"), [0xff; 32]).unwrap();
        assert_eq!(host.look_in("/srv"), Report::default());
    }

    #[test]
    fn a_folder_that_is_not_there_is_told() {
        let host = Planted::clean();
        host.write("srv", "a file");
        assert_eq!(host.look_in("/none").status(), 2);
        assert_eq!(host.look_in("/srv").status(), 2);
    }

    #[test]
    fn what_this_project_hands_out_is_clean() {
        let handed_out = Path::new(env!("CARGO_MANIFEST_DIR"));
        for folder in ["compose", "systemd"] {
            let mut report = Report::default();
            look(&Host::below(&handed_out.join(folder)), Path::new("/"), &mut report);
            assert_eq!(report, Report::default(), "{folder}");
        }
    }

    #[test]
    fn the_settings_that_the_guide_has_one_write_are_clean() {
        let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/onprem.md");
        let guide = std::fs::read_to_string(guide).unwrap();
        let blocks: Vec<&str> =
            guide.split("```ini\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
        let [of_web3signer, of_op_batcher] = <[&str; 2]>::try_from(blocks).unwrap();
        assert!(of_op_batcher.contains("OP_BATCHER_SIGNER_ADDRESS="));
        let host = Planted::clean();
        host.write("etc/keyboot/web3signer.env", of_web3signer);
        host.write("etc/keyboot/op-batcher.env", of_op_batcher);
        assert_eq!(host.look_in("/etc"), Report::default());
    }

    #[test]
    fn a_listener_without_tls_is_found() {
        let host = Planted::clean();
        let listener =
            |off: &str| format!("listener \"tcp\" {{\n  address = \"127.0.0.1:8200\"\n  {off}\n}}\n");
        host.write("etc/openbao/server.hcl", &listener("tls_disable = true"));
        assert_eq!(host.look_in("/etc").findings.first().unwrap().fault, Fault::TlsOff);
        host.write("etc/openbao/server.hcl", &listener("tls_disable = \"false\""));
        assert_eq!(host.look_in("/etc").findings.len(), 0);
    }
}
