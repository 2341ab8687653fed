//! Whether disks and swap areas are encrypted.
//!
//! What the kernel encrypts (dm-crypt, which LUKS is) shows below `/sys`. A disk that encrypts itself, or a
//! volume that the machine under this one encrypts, does not.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::{Host, Mount, without_escapes};
use crate::doctor::finding::{Fault, Report};

/// File systems that are read only by their kind: packages and media.
const READ_ONLY: [&str; 4] = ["erofs", "iso9660", "squashfs", "udf"];
/// What a machine starts from before anything can be decrypted.
const BOOT: [&str; 3] = ["/boot", "/boot/efi", "/efi"];
/// How many devices may lie on each other.
const DEEPEST: u8 = 16;

impl Host {
    pub(super) fn disks(&self, report: &mut Report) {
        let mounts = self.mounts();
        if mounts.is_empty() {
            return report.not_seen("whether disks are encrypted", "/proc/self/mountinfo has no mount");
        }
        let mut seen = BTreeSet::new();
        for mount in &mounts {
            if READ_ONLY.contains(&mount.kind.as_str()) || BOOT.contains(&mount.point.as_str()) {
                continue;
            }
            let what = || format!("whether the disk under {} is encrypted", mount.point);
            if mount.kind == "zfs" {
                report.not_seen(what(), "ask `zfs get encryption`: it does not show elsewhere");
                continue;
            }
            let is_of_a_disk = mount.source.starts_with("/dev/");
            match self.device_of(mount).filter(|_| is_of_a_disk) {
                // One device may be mounted in many places: the first is told.
                Some(device) => {
                    if !seen.insert(device.clone()) {
                        continue;
                    }
                    match self.is_encrypted(&device, DEEPEST) {
                        Some(true) => {}
                        Some(false) => {
                            let seen =
                                format!("{} is on a device below which nothing encrypts", mount.source);
                            report.found(Fault::DiskPlain, mount.point.clone(), seen);
                        }
                        None => report.not_seen(what(), "/sys does not show what its device lies on"),
                    }
                }
                None if is_of_a_disk => report.not_seen(what(), "/sys does not show its device"),
                None if mount.point == "/" && mount.kind == "overlay" => {
                    report.not_seen(what(), "this is a container's: run doctor on the host itself");
                }
                None => {}
            }
        }
    }

    pub(super) fn swap(&self, report: &mut Report) {
        let areas = match self.read("proc/swaps") {
            Ok(areas) => areas,
            Err(error) => return report.not_seen("swap", format!("/proc/swaps: {error}")),
        };
        // The first line is the heading.
        for line in areas.lines().skip(1) {
            let mut fields = line.split_whitespace();
            let (Some(area), Some(kind)) = (fields.next().map(without_escapes), fields.next()) else {
                continue;
            };
            let device = if kind == "file" {
                self.mount_of(&self.path(&area)).and_then(|mount| self.device_of(&mount))
            } else {
                match self.block_device(&area) {
                    // Compressed memory, unless it is written back to a device.
                    Some(device) if is_zram(&device) => match self.backing_of(&device) {
                        Some(backing) => Some(backing),
                        None => continue,
                    },
                    device => device,
                }
            };
            match device.and_then(|device| self.is_encrypted(&device, DEEPEST)) {
                Some(true) => {}
                Some(false) => {
                    report.found(
                        Fault::SwapPlain,
                        area,
                        format!("a swap {kind} below which nothing encrypts"),
                    );
                }
                None => report.not_seen(
                    format!("whether the swap area {area} is encrypted"),
                    "/sys does not show what it lies on",
                ),
            }
        }
    }

    /// The folder of a mount's device below `/sys`.
    fn device_of(&self, mount: &Mount) -> Option<PathBuf> {
        let by_number = self.path("sys/dev/block").join(&mount.device);
        // A file system over several devices has a number of its own (btrfs).
        if by_number.exists() { Some(by_number) } else { self.block_device(&mount.source) }
    }

    /// The folder of a device below `/sys`, by its name in `/dev`.
    fn block_device(&self, name: &str) -> Option<PathBuf> {
        let name = name.strip_prefix("/dev/")?;
        let all = self.path("sys/class/block");
        if let Some(mapped) = name.strip_prefix("mapper/") {
            let is_mapped = |device: &PathBuf| read(&device.join("dm/name")).as_deref() == Some(mapped);
            return folders_in(&all).into_iter().find(is_mapped);
        }
        let device = all.join(Path::new(name).file_name()?);
        device.exists().then_some(device)
    }

    /// Where compressed memory is written back to, if anywhere (kernel documentation, "zram: Compressed
    /// RAM-based block devices").
    fn backing_of(&self, zram: &Path) -> Option<PathBuf> {
        let backing = read(&zram.join("backing_dev")).filter(|backing| backing != "none")?;
        self.block_device(&backing)
    }

    /// Whether all that a device lies on is encrypted; none where that does not show.
    fn is_encrypted(&self, device: &Path, deepest: u8) -> Option<bool> {
        if deepest == 0 || !device.exists() {
            return None;
        }
        let kind = read(&device.join("dm/uuid")).unwrap_or_default();
        if kind.starts_with("CRYPT-")
            && !["CRYPT-VERITY", "CRYPT-INTEGRITY"].iter().any(|sum| kind.starts_with(sum))
        {
            return Some(true);
        }
        let below: Vec<PathBuf> = folders_in(&device.join("slaves"))
            .iter()
            .filter_map(|device| Some(self.path("sys/class/block").join(device.file_name()?)))
            .collect();
        if !below.is_empty() {
            return below
                .iter()
                .try_fold(true, |all, device| Some(all & self.is_encrypted(device, deepest - 1)?));
        }
        if let Some(file) = read(&device.join("loop/backing_file")) {
            let under = self.mount_of(&self.path(file)).and_then(|mount| self.device_of(&mount));
            return self.is_encrypted(&under?, deepest - 1);
        }
        if device.join("partition").exists() {
            let whole = fs::canonicalize(device).ok()?;
            return self.is_encrypted(whole.parent()?, deepest - 1);
        }
        Some(false)
    }
}

fn is_zram(device: &Path) -> bool {
    device.file_name().is_some_and(|name| name.to_string_lossy().starts_with("zram"))
}

fn read(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

fn folders_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut folders: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    folders.sort();
    folders
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::doctor::planted::Planted;

    /// A device by number and name, as `/sys` shows it.
    fn device(host: &Planted, number: &str, name: &str, files: &[(&str, &str)]) {
        for (file, text) in files {
            host.write(&format!("sys/devices/{name}/{file}"), text);
        }
        host.write(&format!("sys/devices/{name}/size"), "1\n");
        for link in [format!("sys/dev/block/{number}"), format!("sys/class/block/{name}")] {
            let link = host.path(&link);
            fs::create_dir_all(link.parent().unwrap()).unwrap();
            symlink(host.path(&format!("sys/devices/{name}")), link).unwrap();
        }
    }

    fn mount(host: &Planted, line: &str) {
        let mounts = fs::read_to_string(host.path("proc/self/mountinfo")).unwrap();
        host.write("proc/self/mountinfo", &format!("{mounts}{line}\n"));
    }

    fn found(host: &Planted) -> (Vec<String>, usize) {
        let report = host.look();
        let places =
            report.findings.into_iter().map(|finding| format!("{} {}", finding.fault.name(), finding.place));
        (places.collect(), report.unseen.len())
    }

    #[test]
    fn a_disk_is_encrypted_where_all_below_it_is() {
        let host = Planted::clean();
        device(&host, "8:16", "sdb", &[]);
        device(&host, "253:5", "dm-5", &[("dm/uuid", "LVM-abc\n"), ("slaves/dm-0/size", "1")]);
        mount(&host, "40 22 253:5 / /var rw - ext4 /dev/mapper/vg-var rw");
        assert_eq!(found(&host), (vec![], 0));
        device(&host, "253:6", "dm-6", &[("slaves/dm-0/size", "1"), ("slaves/sdb/size", "1")]);
        mount(&host, "41 22 253:6 / /srv rw - ext4 /dev/mapper/vg-srv rw");
        assert_eq!(found(&host), (vec!["disk-not-encrypted /srv".into()], 0));
        // The same device again, as containers have it.
        mount(&host, "42 22 253:6 /x /var/lib/x rw - ext4 /dev/mapper/vg-srv rw");
        assert_eq!(found(&host).0.len(), 1);
    }

    #[test]
    fn a_partition_is_on_its_disk() {
        let host = Planted::clean();
        device(&host, "8:16", "sdb", &[("sdb1/partition", "1\n")]);
        symlink(host.path("sys/devices/sdb/sdb1"), host.path("sys/dev/block/8:17")).unwrap();
        mount(&host, "40 22 8:17 / /data rw - xfs /dev/sdb1 rw");
        assert_eq!(found(&host), (vec!["disk-not-encrypted /data".into()], 0));
    }

    #[test]
    fn a_checksum_is_no_encryption() {
        let host = Planted::clean();
        device(&host, "253:7", "dm-7", &[("dm/uuid", "CRYPT-VERITY-abc\n")]);
        mount(&host, "40 22 253:7 / /opt rw - ext4 /dev/mapper/opt rw");
        assert_eq!(found(&host), (vec!["disk-not-encrypted /opt".into()], 0));
    }

    #[test]
    fn what_is_no_disk_of_data_is_left_alone() {
        let host = Planted::clean();
        device(&host, "8:1", "sda1", &[]);
        device(&host, "7:1", "loop1", &[("loop/backing_file", "/var/lib/image\n")]);
        for line in [
            "40 22 8:1 / /boot rw - ext4 /dev/sda1 rw",
            "41 22 7:0 / /snap/core/1 ro - squashfs /dev/loop0 ro",
            "42 22 0:50 / /mnt rw - nfs4 server:/x rw",
            // On a file of the encrypted disk.
            "43 22 7:1 / /mnt/image rw - ext4 /dev/loop1 rw",
        ] {
            mount(&host, line);
        }
        assert_eq!(found(&host), (vec![], 0));
    }

    #[test]
    fn what_does_not_show_is_told() {
        for line in [
            "40 22 0:51 / /tank rw - zfs rpool/tank rw",
            "41 22 8:99 / /lost rw - ext4 /dev/sdz9 rw",
            "42 1 0:52 / / rw - overlay overlay rw,lowerdir=/x",
        ] {
            let host = Planted::clean();
            mount(&host, line);
            assert_eq!(found(&host), (vec![], 1), "{line}");
        }
        let host = Planted::clean();
        host.remove("proc/self/mountinfo");
        assert_eq!(found(&host).1, 1);
    }

    #[test]
    fn a_file_system_over_several_devices_is_found_by_its_source() {
        let host = Planted::clean();
        device(&host, "8:33", "sdc1", &[]);
        mount(&host, "40 22 0:40 / /data rw - btrfs /dev/sdc1 rw");
        mount(&host, "41 22 0:41 / /home rw - btrfs /dev/mapper/root rw");
        assert_eq!(found(&host), (vec!["disk-not-encrypted /data".into()], 0));
    }

    #[test]
    fn swap_is_encrypted_or_in_memory() {
        let swaps = |areas: &str| format!("Filename\t\t\tType\t\tSize\tUsed\tPriority\n{areas}");
        for (areas, expected, unseen) in [
            ("", None, 0),
            ("/dev/dm-0 partition 8388604 0 -2\n", None, 0),
            ("/swapfile file 8388604 0 -2\n", None, 0),
            ("/dev/zram0 partition 8388604 0 100\n", None, 0),
            ("/dev/zram1 partition 8388604 0 100\n", Some("/dev/zram1"), 0),
            ("/dev/sda2 partition 8388604 0 -2\n", Some("/dev/sda2"), 0),
            ("/data/swap\\040file file 8388604 0 -2\n", Some("/data/swap file"), 0),
            ("/dev/gone partition 8388604 0 -2\n", None, 1),
        ] {
            let host = Planted::clean();
            device(&host, "8:2", "sda2", &[]);
            device(&host, "252:0", "zram0", &[("backing_dev", "none\n")]);
            device(&host, "252:1", "zram1", &[("backing_dev", "/dev/sda2\n")]);
            mount(&host, "40 22 8:2 / /data rw - ext4 /dev/sda2 rw");
            host.write("proc/swaps", &swaps(areas));
            let report = host.look();
            let mut places = report.findings.iter().filter(|finding| finding.fault == Fault::SwapPlain);
            assert_eq!(places.next().map(|finding| finding.place.as_str()), expected, "{areas}");
            assert_eq!(report.unseen.len(), unseen, "{areas}");
        }
        let host = Planted::clean();
        host.remove("proc/swaps");
        assert_eq!(host.look().status(), 2);
    }
}
