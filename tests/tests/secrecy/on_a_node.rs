//! The secrets of nodes that run: in the memory of each node's own process, by the delivery that was chosen,
//! and nowhere else on the host.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::life::stored;
use crate::secret::{self, Secret};
use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use provisioning::names::{ClusterName, Purpose};
use provisioning::record::NodeRecord;
use rig::cloud::Cloud;
use rig::cluster;
use rig::ministack::MiniStack;
use rig::nodes::{How, Nodes, role_of_node};
use rig::python::Venv;
use rig::stack::Deployment;
use spelling::Search;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_given_by_variables_are_in_the_nodes_process_only() -> Result<()> {
    only_in_the_nodes_process(How::Environment).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_given_by_memory_files_are_in_the_nodes_process_only() -> Result<()> {
    only_in_the_nodes_process(How::MemoryFile).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_given_by_private_files_are_in_the_nodes_process_and_its_folder_only() -> Result<()> {
    only_in_the_nodes_process(How::PrivateFile).await
}

/// A node and what must not be found elsewhere.
struct Found {
    pid: u32,
    search: Search,
}

async fn only_in_the_nodes_process(how: How) -> Result<()> {
    let venv = Venv::ready()?;
    let ministack = MiniStack::start(&venv, None)?;
    let root = Cloud::as_root(&ministack.endpoint());
    let readers = format!("0={},1={}", role_of_node(0), role_of_node(1));
    let stack =
        Deployment::of_kms_stack(&root, "kms", [("Nodes", "0,1"), ("ReaderPrincipals", &readers)]).await?;
    let stack = stack.create().await?;
    let name: ClusterName = "keyboot/tsm".parse()?;
    let mut nodes = Nodes::of(&root, &stack, &name, 2, how).await?;
    for index in 0..2 {
        nodes.start(&stack, index).await?;
    }
    let published = cluster::read(&root, &name, stack.output("RecordKeyArn")?).await?;
    let mut found = BTreeMap::new();
    for (index, record) in &published.records {
        let secrets = [
            secret(&root, record, &Purpose::P2pKey).await?,
            secret(&root, record, &Purpose::SharePassword).await?,
        ];
        let pid = pid_of(&nodes, index.get())?;
        found.insert(index.get(), Found { pid, search: secret::search(&secrets) });
    }
    for (index, node) in &found {
        look_for(&nodes, *index, node, how)?;
    }
    a_planted_one_is_found(&found[&0].search, &root, published.records.values().next()).await?;
    others_do_not_see(found[&0].pid, how)?;
    no_core_is_left(&nodes, found[&1].pid)
}

fn pid_of(nodes: &Nodes, index: u32) -> Result<u32> {
    let pid = nodes.status(index)?["pid"].as_u64().context("no process")?;
    Ok(u32::try_from(pid)?)
}

/// A secret of a node, as whoever stores it knows it.
async fn secret(root: &Cloud, record: &NodeRecord, purpose: &Purpose) -> Result<Secret> {
    stored(root, record.cluster.secret_name(record.index, purpose).as_str()).await
}

/// Searches what the run has brought about: every process's arguments and variables, the memory of whatever
/// runs beside the nodes, their files, their swap.
fn look_for(nodes: &Nodes, index: u32, node: &Found, how: How) -> Result<()> {
    let mut holders = BTreeSet::new();
    for pid in processes()? {
        let folder = Path::new("/proc").join(pid.to_string());
        // One that has ended meanwhile holds nothing.
        let arguments = fs::read(folder.join("cmdline")).unwrap_or_default();
        ensure!(node.search.plainly_in(&arguments).is_empty(), "in the arguments of {pid}");
        let variables = fs::read(folder.join("environ")).unwrap_or_default();
        if !node.search.plainly_in(&variables).is_empty() {
            holders.insert(pid);
        }
    }
    let by_variables = if how == How::Environment { BTreeSet::from([node.pid]) } else { BTreeSet::new() };
    ensure!(holders == by_variables, "in the environments of {holders:?}, not of {by_variables:?}");

    let mut holders = BTreeSet::new();
    for beside in 0..2 {
        for pid in [nodes.watcher(beside).context("no keyboot-node")?, pid_of(nodes, beside)?] {
            // A node may keep a key in another form than it was given.
            if !node.search.plainly_in(&memory_of(pid)?).is_empty() {
                holders.insert(pid);
            }
        }
    }
    ensure!(
        holders == BTreeSet::from([node.pid]),
        "in the memory of {holders:?}, node {index} is {}",
        node.pid
    );

    for path in files(nodes.folder())? {
        let content = fs::read(&path).unwrap_or_default();
        ensure!(node.search.plainly_in(&content).is_empty(), "in {}", path.display());
    }
    let status = fs::read_to_string(format!("/proc/{}/status", node.pid))?;
    let swapped = status.lines().find(|line| line.starts_with("VmSwap:")).unwrap_or("VmSwap: 0 kB");
    ensure!(swapped.split_whitespace().nth(1) == Some("0"), "{swapped}");
    Ok(())
}

/// The same search sees what is there: in variables and in memory.
async fn a_planted_one_is_found(search: &Search, root: &Cloud, record: Option<&NodeRecord>) -> Result<()> {
    let record = record.context("no record")?;
    let planted = secret(root, record, &Purpose::SharePassword).await?;
    let text = String::from_utf8(planted.cores[0].clone())?;
    let mut child = Command::new("sleep").arg("60").env("PLANTED", &text).spawn()?;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let variables = fs::read(format!("/proc/{}/environ", child.id()))?;
    // What is in a process's variables is in its memory.
    let memory = memory_of(child.id())?;
    child.kill()?;
    child.wait()?;
    ensure!(!search.plainly_in(&variables).is_empty(), "a planted secret is not seen in variables");
    ensure!(!search.plainly_in(&memory).is_empty(), "a planted secret is not seen in memory");
    Ok(())
}

/// Another user sees the process, and not what it was given.
fn others_do_not_see(pid: u32, how: How) -> Result<()> {
    if !geteuid().is_root() {
        // Only root can be somebody else here.
        return Ok(());
    }
    let reads = |what: &str| -> Result<bool> {
        let mut cat = Command::new("setpriv");
        cat.args(["--reuid=65534", "--regid=65534", "--clear-groups", "cat"])
            .arg(format!("/proc/{pid}/{what}"));
        Ok(cat.output().context("setpriv")?.status.success())
    };
    ensure!(reads("status")?, "another user does not see the process at all: then this says nothing");
    ensure!(!reads("environ")?, "another user reads the variables");
    ensure!(!reads("mem")?, "another user reads the memory");
    if how == How::MemoryFile {
        ensure!(!reads("fd/3")?, "another user reads the memory file");
    }
    Ok(())
}

/// A node that aborts leaves no core dump; a program that is started otherwise does.
fn no_core_is_left(nodes: &Nodes, pid: u32) -> Result<()> {
    let folder = tempfile_folder(nodes)?;
    let mut plain = Command::new("sh");
    plain.args(["-c", "ulimit -c unlimited && kill -ABRT $$"]).current_dir(&folder);
    let dumped = plain.status()?.core_dumped();
    kill(Pid::from_raw(i32::try_from(pid)?), Signal::SIGABRT)?;
    let ended = || fs::read_to_string(nodes.log(1)).unwrap_or_default();
    for _ in 0..100 {
        if ended().contains("the command ended") {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let log = ended();
    ensure!(log.contains("SIGABRT"), "{log}");
    ensure!(!log.contains("core dumped"), "{log}");
    // On a host that gives nobody a core dump this says nothing, and it cannot be had there.
    let is_limited = fs::read_to_string("/proc/self/limits")?
        .lines()
        .find_map(|line| line.strip_prefix("Max core file size"))
        .is_some_and(|limits| limits.split_whitespace().nth(1) == Some("0"));
    ensure!(dumped || is_limited, "no program leaves a core dump here, although it may");
    Ok(())
}

fn tempfile_folder(nodes: &Nodes) -> Result<std::path::PathBuf> {
    let folder = nodes.folder().join("cores");
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

fn processes() -> Result<Vec<u32>> {
    let entries = fs::read_dir("/proc")?;
    Ok(entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect())
}

/// What a process has in memory that it can write to: its heap, its stacks, its variables.
fn memory_of(pid: u32) -> Result<Vec<u8>> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps"))?;
    let mut memory = fs::File::open(format!("/proc/{pid}/mem"))?;
    let mut all = Vec::new();
    for line in
        maps.lines().filter(|line| line.split_whitespace().nth(1).is_some_and(|mode| mode.starts_with("rw")))
    {
        let (start, end) =
            line.split_whitespace().next().and_then(|range| range.split_once('-')).context("maps")?;
        let (start, end) = (u64::from_str_radix(start, 16)?, u64::from_str_radix(end, 16)?);
        memory.seek(SeekFrom::Start(start))?;
        // A guard page cannot be read.
        let _ = memory.by_ref().take(end - start).read_to_end(&mut all);
    }
    ensure!(all.len() > 4096, "the memory of {pid} cannot be read");
    Ok(all)
}

fn files(folder: &Path) -> Result<Vec<std::path::PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else {
            found.push(path);
        }
    }
    Ok(found)
}
