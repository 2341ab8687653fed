//! Where the memory of a program goes that crashes.

use super::Host;
use super::processes::Process;
use crate::doctor::finding::{Fault, Report};

/// The setting that says where core dumps go.
const PATTERN: &str = "proc/sys/kernel/core_pattern";
/// Where systemd's program for core dumps is told what to keep (coredump.conf(5)).
const SYSTEMD: [&str; 5] = [
    "usr/lib/systemd/coredump.conf",
    "etc/systemd/coredump.conf",
    "usr/lib/systemd/coredump.conf.d",
    "run/systemd/coredump.conf.d",
    "etc/systemd/coredump.conf.d",
];

impl Host {
    pub(super) fn core_dumps(&self, processes: &[Process], report: &mut Report) {
        let pattern = match self.read(PATTERN) {
            Ok(pattern) => pattern,
            Err(error) => return report.not_seen("where core dumps go", format!("/{PATTERN}: {error}")),
        };
        let pattern = pattern.trim();
        match pattern.bytes().next() {
            // A socket gets them whatever the limit is (Linux 6.16, fs/coredump.c).
            Some(b'@') => report.found(Fault::CoreDumps, "kernel.core_pattern", "core dumps go to a socket"),
            Some(b'|') if self.discards(pattern) => {}
            // A limit of 1 keeps them from a program, 0 does not (fs/coredump.c).
            Some(b'|') => self.limited(processes, "a program", &["1"], report),
            Some(_) => self.limited(processes, "a file", &["0", "1"], report),
            None => {}
        }
    }

    /// Finds the processes whose dumps are taken; and where none runs, that those to come are.
    fn limited(&self, processes: &[Process], taker: &str, harmless: &[&str], report: &mut Report) {
        let own = std::process::id();
        let holders = || processes.iter().filter(|process| process.id != own);
        for process in holders() {
            let Ok(limits) = self.read(format!("proc/{}/limits", process.id)) else {
                report.not_seen(format!("the limits of {}", process.place()), "run doctor as root");
                continue;
            };
            let limit = limits.lines().find_map(|line| line.strip_prefix("Max core file size"));
            let soft = limit.and_then(|limits| limits.split_whitespace().next()).unwrap_or_default();
            if !harmless.contains(&soft) {
                let seen = format!("a core dump of it would go to {taker}");
                report.found(Fault::CoreDumps, process.place(), seen);
            }
        }
        // The limit that everything starts with is 0: it keeps dumps from files only.
        if holders().next().is_none() && !harmless.contains(&"0") {
            let seen = format!("core dumps go to {taker}, whatever the usual limit of 0 says");
            report.found(Fault::CoreDumps, "kernel.core_pattern", seen);
        }
    }

    /// Whether the program that gets core dumps keeps nothing of them.
    fn discards(&self, pattern: &str) -> bool {
        let program = pattern.trim_start_matches('|').split_whitespace().next().unwrap_or_default();
        match program.rsplit('/').next() {
            Some("false" | "true") => true,
            Some("systemd-coredump") => {
                let settings = SYSTEMD.iter().flat_map(|place| self.coredump_settings(place));
                let mut storage = None;
                for setting in settings {
                    storage = Some(setting);
                }
                storage.as_deref() == Some("none")
            }
            _ => false,
        }
    }

    /// What a file, or those of a folder in their order, set `Storage` to.
    fn coredump_settings(&self, place: &str) -> Vec<String> {
        let path = self.path(place);
        let mut files = match std::fs::read_dir(&path) {
            Ok(entries) => entries.filter_map(|entry| Some(entry.ok()?.path())).collect(),
            Err(_) => vec![path],
        };
        files.sort();
        let texts = files.iter().filter_map(|file| std::fs::read_to_string(file).ok());
        let values = texts.flat_map(|text| {
            let lines = text.lines().filter_map(|line| line.trim().strip_prefix("Storage="));
            lines.map(|value| value.trim().to_owned()).collect::<Vec<_>>()
        });
        values.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::planted::Planted;

    const SYSTEMD_PATTERN: &str = "|/usr/lib/systemd/systemd-coredump %P %u\n";

    fn with(pattern: &str, limit: Option<&str>) -> Planted {
        let host = Planted::clean();
        host.write(PATTERN, pattern);
        if let Some(limit) = limit {
            host.process(77, "bao server -config=/etc/openbao", "");
            host.limit(77, limit);
        }
        host
    }

    fn found(host: &Planted) -> Vec<String> {
        let report = host.look();
        assert!(report.findings.iter().all(|finding| finding.fault == Fault::CoreDumps), "{report:?}");
        report.findings.into_iter().map(|finding| finding.place).collect()
    }

    #[test]
    fn what_takes_a_dump_is_found() {
        let process = "process 77 (bao)";
        for (pattern, limit, expected) in [
            ("core\n", Some("0"), None),
            ("core\n", Some("unlimited"), Some(process)),
            ("/var/crash/%p\n", None, None),
            ("|/usr/share/apport/apport %p\n", Some("1"), None),
            ("|/usr/share/apport/apport %p\n", Some("0"), Some(process)),
            ("|/usr/share/apport/apport %p\n", None, Some("kernel.core_pattern")),
            (SYSTEMD_PATTERN, Some("0"), Some(process)),
            ("|/bin/false\n", Some("unlimited"), None),
            ("@/run/coredump.socket\n", Some("1"), Some("kernel.core_pattern")),
            ("\n", Some("unlimited"), None),
        ] {
            let expected: Vec<_> = expected.into_iter().collect();
            assert_eq!(found(&with(pattern, limit)), expected, "{pattern:?} {limit:?}");
        }
    }

    #[test]
    fn the_last_setting_of_systemds_counts() {
        let host = with(SYSTEMD_PATTERN, None);
        host.write("etc/systemd/coredump.conf", "[Coredump]\n#Storage=external\nStorage=none\n");
        assert_eq!(found(&host), [""; 0]);
        host.write("etc/systemd/coredump.conf.d/50-keep.conf", "[Coredump]\nStorage=external\n");
        assert_eq!(found(&host), ["kernel.core_pattern"]);
        host.write("etc/systemd/coredump.conf.d/90-drop.conf", "[Coredump]\nStorage=none\n");
        assert_eq!(found(&host), [""; 0]);
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        let host = Planted::clean();
        host.remove(PATTERN);
        assert_eq!(host.look().status(), 2);
        let host = with("core\n", Some("0"));
        host.remove("proc/77/limits");
        assert_eq!(host.look().status(), 2);
    }
}
