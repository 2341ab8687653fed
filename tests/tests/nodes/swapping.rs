//! Memory pressure on a host that has swap: what the unit says of it keeps a node's memory out of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rig::cloud::Cloud;
use rig::ministack::MiniStack;
use rig::nodes::{How, Nodes, role_of_node};
use rig::python::Venv;
use rig::stack::Deployment;

use crate::stage::cluster;

/// What the node, its keyboot-node and whatever presses them have together.
const LIMIT: &str = "67108864";
/// Takes more than that by itself, touches all of it again and again, and is what the kernel ends first.
const HOG: &str = "import os,time
open('/proc/self/oom_score_adj','w').write('1000')
held=[]
end=time.time()+6
while time.time()<end:
    if len(held)<90: held.append(bytearray(os.urandom(1<<20)))
    for block in held:
        block[::4096]=bytes(len(block[::4096]))
";

/// Needs root, and control groups of version 1: there `memory.memsw.limit_in_bytes` is what `MemorySwapMax=0`
/// is to version 2. It switches a swap file on for the whole host.
#[ignore = "switches swap on for the whole host: cargo xtask test --host"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_is_not_swapped_where_its_unit_says_so() -> Result<()> {
    let _swap = SwapFile::on()?;
    ensure!(swapped(None).await? > 0, "nothing is swapped without it: then this says nothing");
    ensure!(swapped(Some(LIMIT)).await? == 0, "the node was swapped");
    Ok(())
}

/// How many kilobytes of a node are swapped under pressure, where memory and swap have a limit together.
async fn swapped(both: Option<&str>) -> Result<u64> {
    let ministack = MiniStack::start(&Venv::ready()?, None)?;
    let root = Cloud::as_root(&ministack.endpoint());
    let readers = format!("0={}", role_of_node(0));
    let stack =
        Deployment::of_kms_stack(&root, "kms", [("Nodes", "0,1"), ("ReaderPrincipals", &readers)]).await?;
    let stack = stack.create().await?;
    let mut nodes = Nodes::of(&root, &stack, &cluster(), 2, How::Environment).await?;
    let group = Group::new(both)?;
    group.enter()?;
    let started = nodes.start(&stack, 0).await;
    let hog = Command::new("python3").args(["-c", HOG]).spawn();
    Group::leave()?;
    started?;
    let mut hog = hog?;
    let pid = nodes.status(0)?["pid"].as_u64().context("no process")?;
    let mut most = 0;
    while hog.try_wait()?.is_none() {
        most = most.max(swap_of(pid)?);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    nodes.stop(0)?;
    Ok(most)
}

fn swap_of(pid: u64) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmSwap:")).context("no VmSwap")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

struct SwapFile(PathBuf);

impl SwapFile {
    fn on() -> Result<Self> {
        let file = Self(rig::home().join("swap"));
        fs::create_dir_all(rig::home())?;
        fs::write(&file.0, vec![0; 256 << 20])?;
        for program in ["mkswap", "swapon"] {
            let done = Command::new(program).arg(&file.0).output()?;
            ensure!(done.status.success(), "{program}: {}", String::from_utf8_lossy(&done.stderr));
        }
        Ok(file)
    }
}

impl Drop for SwapFile {
    fn drop(&mut self) {
        let _ = Command::new("swapoff").arg(&self.0).status();
        let _ = fs::remove_file(&self.0);
    }
}

struct Group(PathBuf);

impl Group {
    fn new(both: Option<&str>) -> Result<Self> {
        let group = Self(Path::new("/sys/fs/cgroup/memory").join(format!("keyboot-{}", std::process::id())));
        fs::create_dir(&group.0).context("no control groups of version 1")?;
        fs::write(group.0.join("memory.limit_in_bytes"), LIMIT)?;
        if let Some(both) = both {
            fs::write(group.0.join("memory.memsw.limit_in_bytes"), both)?;
        }
        Ok(group)
    }

    /// What is started from now on is in it.
    fn enter(&self) -> Result<()> {
        Ok(fs::write(self.0.join("cgroup.procs"), std::process::id().to_string())?)
    }

    fn leave() -> Result<()> {
        Ok(fs::write("/sys/fs/cgroup/memory/cgroup.procs", std::process::id().to_string())?)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = Self::leave();
        std::thread::sleep(Duration::from_millis(200));
        let _ = fs::remove_dir(&self.0);
    }
}
