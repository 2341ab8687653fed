//! MiniStack, with the rig's plug-ins, for as long as a value lives.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::python::Venv;

/// How long MiniStack may take to answer for the first time.
const START: Duration = Duration::from_mins(1);
/// How long it may take to end in an orderly way.
const STOP: Duration = Duration::from_secs(10);

/// A running MiniStack: IAM on, everything on loopback, nothing kept.
#[derive(Debug)]
pub struct MiniStack {
    child: Child,
    address: SocketAddr,
    folder: TempDir,
}

impl MiniStack {
    /// Starts MiniStack on a port, or on one that is free now.
    ///
    /// # Errors
    ///
    /// When the port is in use, or when it does not come up; the message then ends with the last
    /// lines of its log.
    pub fn start(venv: &Venv, port: Option<u16>) -> anyhow::Result<Self> {
        std::fs::create_dir_all(crate::home())?;
        let folder = tempfile::Builder::new().prefix("ministack-").tempdir_in(crate::home())?;
        let port = match port {
            Some(port) if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() => port,
            Some(port) => {
                bail!("port {port} of 127.0.0.1 is in use: name another one, or none for a free one")
            }
            None => free_port()?,
        };
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let log = File::create(folder.path().join("log"))?;
        let child = Command::new(venv.program("python"))
            .arg(crate::repository().join("rig/ministack/launch.py"))
            // Nothing of this machine's environment reaches the services or the functions.
            .env_clear()
            .env("PATH", path_with(&venv.programs()))
            .env("HOME", folder.path())
            .env("TMPDIR", folder.path())
            .env("GATEWAY_PORT", port.to_string())
            .env("BIND_HOST", "127.0.0.1")
            .env("MINISTACK_HOST", "127.0.0.1")
            .env("AWS_ENDPOINT_URL", format!("http://{address}"))
            .env("AUTH", "true")
            .env("IOT_MTLS_ENABLED", "false")
            .env("SFTP_ENABLED", "false")
            .env("KEYBOOT_RIG_CALLS", folder.path().join("calls.jsonl"))
            .env("KEYBOOT_RIG_RETRY_SECONDS", "0.2")
            // The launcher ends itself when this pipe closes, however this process ends.
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .spawn()
            .context("starting MiniStack")?;
        let ministack = Self { child, address, folder };
        ministack.wait_until_it_answers()
    }

    /// Where every service answers.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The record of all AWS calls, one JSON object a line.
    #[must_use]
    pub fn calls(&self) -> PathBuf {
        self.folder.path().join("calls.jsonl")
    }

    /// What MiniStack and its functions wrote.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    fn wait_until_it_answers(mut self) -> anyhow::Result<Self> {
        let started = Instant::now();
        while started.elapsed() < START {
            if let Some(status) = self.child.try_wait()? {
                bail!("MiniStack ended at once ({status}):\n{}", last_lines(&self.log()));
            }
            if is_healthy(self.address) {
                return Ok(self);
            }
            sleep(Duration::from_millis(50));
        }
        bail!("MiniStack did not answer within {} seconds:\n{}", START.as_secs(), last_lines(&self.log()))
    }
}

impl Drop for MiniStack {
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
        // Functions are in the same group: whatever is left of it goes now.
        let _ = killpg(group, Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

fn is_healthy(address: SocketAddr) -> bool {
    use std::io::{Read as _, Write as _};
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        stream.write_all(b"GET /_ministack/health HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")?;
        let mut answer = String::new();
        stream.take(64).read_to_string(&mut answer)?;
        Ok(answer.contains(" 200 "))
    };
    ask().unwrap_or(false)
}

/// A port on loopback that nobody listens on now.
///
/// # Errors
///
/// When there is none.
pub fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port on 127.0.0.1")?;
    Ok(listener.local_addr()?.port())
}

#[expect(clippy::disallowed_methods, reason = "the programs of this machine stay reachable for the services")]
fn path_with(first: &Path) -> std::ffi::OsString {
    let mut path = first.as_os_str().to_owned();
    if let Some(rest) = std::env::var_os("PATH") {
        path.push(":");
        path.push(rest);
    }
    path
}

fn last_lines(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().rev().take(20).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}
