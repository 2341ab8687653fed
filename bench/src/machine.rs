//! On what and of what it was measured: without that no figure says anything.

use std::process::Command;

use jiff::Timestamp;

/// The machine, the moment and the version.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    processor: String,
    processors: usize,
    kernel: String,
    /// The load averages before the first round.
    load: String,
    date: String,
    commit: String,
    rust: String,
}

impl Machine {
    /// Looks around.
    pub(crate) fn here() -> Self {
        let line = |path: &str| std::fs::read_to_string(path).unwrap_or_default().trim().to_owned();
        let processor = line("/proc/cpuinfo");
        let processor = processor.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let load = line("/proc/loadavg");
        let commit = said("git", &["rev-parse", "--short", "HEAD"]);
        let is_changed = !said("git", &["status", "--porcelain", "--untracked-files=no"]).is_empty();
        Self {
            processor: processor.map_or("a processor without a name", |(_, name)| name).to_owned(),
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            kernel: line("/proc/sys/kernel/osrelease"),
            load: load.split(' ').take(3).collect::<Vec<_>>().join(", "),
            date: Timestamp::now().strftime("%Y-%m-%d").to_string(),
            commit: if is_changed { format!("{commit} with changes") } else { commit },
            rust: said("rustc", &["--version"]),
        }
    }

    /// All of it in a paragraph.
    pub(crate) fn told(&self) -> String {
        let Self { processor, processors, kernel, load, date, commit, rust } = self;
        format!(
            "Measured on {date} at commit {commit}, on {processors} processors of the kind {processor}, \
             Linux {kernel}, {rust}; the load averages were {load} before the first round."
        )
    }
}

fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).current_dir(rig::repository()).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}
