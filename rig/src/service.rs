//! A server process on loopback, for as long as a value lives.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::ops::Range;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tempfile::TempDir;

/// How long a service may take to answer for the first time.
const START: Duration = Duration::from_mins(1);
/// The ports that are chosen from (Linux hands out those from 32768, `ip_local_port_range` in ip(7)).
const PORTS: Range<u16> = 10_000..30_000;
/// How long it may take to end in an orderly way.
const STOP: Duration = Duration::from_secs(10);

/// A running service. Its working files and its log are in a folder of its own.
#[derive(Debug)]
pub(crate) struct Service {
    name: &'static str,
    child: Child,
    address: SocketAddr,
    folder: TempDir,
}

impl Service {
    /// Makes a folder, starts what `command` says for it, and waits for `health` to answer 200.
    ///
    /// # Errors
    ///
    /// When it does not come up; the message then ends with the last lines of its log.
    pub(crate) fn start(
        name: &'static str,
        port: u16,
        health: &str,
        command: impl FnOnce(&Path, SocketAddr) -> Command,
    ) -> anyhow::Result<Self> {
        std::fs::create_dir_all(crate::home())?;
        let prefix = format!("{}-", name.to_lowercase());
        let folder = tempfile::Builder::new().prefix(&prefix).tempdir_in(crate::home())?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let log = File::create(folder.path().join("log"))?;
        let child = command(folder.path(), address)
            // A launcher ends itself when this pipe closes, however this process ends.
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .spawn()
            .with_context(|| format!("starting {name}"))?;
        let service = Self { name, child, address, folder };
        service.wait_until_it_answers(health)
    }

    /// Where it answers.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its folder.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What it wrote.
    pub(crate) fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    fn wait_until_it_answers(mut self, health: &str) -> anyhow::Result<Self> {
        let started = Instant::now();
        while started.elapsed() < START {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended at once ({status}):\n{}", self.name, last_lines(&self.log()));
            }
            if is_healthy(self.address, health) {
                return Ok(self);
            }
            sleep(Duration::from_millis(50));
        }
        bail!("{} did not answer within {} seconds:\n{}", self.name, START.as_secs(), last_lines(&self.log()))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let group = i32::try_from(self.child.id()).map(Pid::from_raw);
        let Ok(group) = group else { return };
        let _ = killpg(group, Signal::SIGTERM);
        let asked = Instant::now();
        while asked.elapsed() < STOP {
            if !matches!(self.child.try_wait(), Ok(None)) {
                break;
            }
            sleep(Duration::from_millis(20));
        }
        // Whatever it started is in the same group: what is left of it goes now.
        let _ = killpg(group, Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

/// A port on loopback that nobody listens on now: below those that the operating system hands out, which may
/// become another connection's before anybody listens, and for each process from a place of its own.
///
/// # Errors
///
/// When there is none.
pub fn free_port() -> anyhow::Result<u16> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    for _ in PORTS {
        let place = std::process::id().wrapping_mul(64).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = PORTS.start + u16::try_from(place % u32::from(PORTS.end - PORTS.start))?;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free port on 127.0.0.1")
}

/// The path of programs, with a folder before all others.
#[expect(clippy::disallowed_methods, reason = "the programs of this machine stay reachable for the services")]
pub(crate) fn path_with(first: &Path) -> std::ffi::OsString {
    let mut path = first.as_os_str().to_owned();
    if let Some(rest) = std::env::var_os("PATH") {
        path.push(":");
        path.push(rest);
    }
    path
}

fn is_healthy(address: SocketAddr, path: &str) -> bool {
    use std::io::{Read as _, Write as _};
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n").as_bytes())?;
        let mut answer = String::new();
        stream.take(64).read_to_string(&mut answer)?;
        Ok(answer.contains(" 200 "))
    };
    ask().unwrap_or(false)
}

fn last_lines(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().rev().take(20).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}
