//! The main job on one's own servers, from an empty machine to signed batches, as a story in scenes: the demo shows
//! them, and a test looks between them for what must not be there.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use hyper::Method;
use serde_json::Value;

use crate::ethereum::sender_of;
use crate::onprem::OnPrem;
use crate::python::Venv;
use crate::web3signer::{Batcher, Mode, Transaction, Web3Signer};

/// The chain, in its namespace.
pub const CHAIN: &str = "keyboot/l2";
/// The chain that it settles on, whose transactions its batcher sends.
pub const L1: u64 = 1;
/// What the story declares: a TSM cluster and a chain.
pub const DECLARATION: &str = r#"owner = "ops"
namespace = "keyboot"

[[cluster]]
name = "tsm"
nodes = [0, 1, 2]

[[chain]]
name = "l2"
chain-id = 901
l1-chain-id = 1
roles = ["batcher", "proposer", "challenger", "sequencer"]
nodes = [0, 1]
node-domain = "l2.internal"
"#;
/// Where batches go.
const INBOX: &str = "0xff00000000000000000000000000000000000901";

/// What has just happened.
#[derive(Clone, Debug)]
pub enum Scene {
    /// The server answers at this address; it is sealed, and nothing is on it.
    Started(String),
    /// The server was set up for production; what keyboot-onprem told.
    SetUp(String),
    /// What would be made, and nothing was.
    Foreseen(String),
    /// The keys were made; what keyboot-onprem told.
    Provisioned(String),
    /// What is public of them.
    Shown(String),
    /// Who was let in to which secret.
    Tried(Vec<Right>),
    /// The signer has the batcher's key in its memory.
    SignerUp {
        /// What it says that it is.
        version: String,
        /// The addresses that it signs for.
        accounts: Vec<String>,
        /// Where it works.
        folder: PathBuf,
    },
    /// A transaction was signed.
    Signed {
        /// What kind of transaction.
        kind: &'static str,
        /// Who sent it, as an independent library says.
        sender: String,
    },
    /// The batcher has another key, which counts now; what keyboot-onprem told on the way.
    Rotated(String),
    /// What the doctor says, and how it ended.
    Examined(String, i32),
}

/// Whether somebody was let in to a secret.
#[derive(Clone, Debug)]
pub struct Right {
    /// As which role.
    pub role: String,
    /// To which path.
    pub path: String,
    /// Whether he was.
    pub is_let_in: bool,
}

/// Plays it, and has each scene told when it is over. Gives the server with all that is on it.
///
/// # Errors
///
/// When something is not as it has to be.
pub async fn play(
    venv: &Venv,
    mut tell: impl FnMut(&OnPrem, Scene) -> anyhow::Result<()>,
) -> anyhow::Result<OnPrem> {
    let onprem = OnPrem::start(venv)?;
    tell(&onprem, Scene::Started(onprem.server().address()))?;
    let declaration = onprem.declare(DECLARATION)?;
    let declared = declaration.display().to_string();
    let told = onprem.init(&declaration).await?;
    tell(&onprem, Scene::SetUp(told))?;

    let run = async |role: &str, arguments: &[&str]| onprem.run_as(role, arguments).await?.succeeded();
    let told = run("provisioner", &["provision", "--dry-run", &declared]).await?;
    tell(&onprem, Scene::Foreseen(told))?;
    let told = run("provisioner", &["provision", &declared]).await?;
    tell(&onprem, Scene::Provisioned(told))?;
    let told = run("auditor", &["show", &declared]).await?;
    tell(&onprem, Scene::Shown(told))?;
    let rights = rights(&onprem).await?;
    tell(&onprem, Scene::Tried(rights))?;

    let first = batcher(&onprem, &declared, "current").await?;
    let folder = onprem.file("web3signer");
    std::fs::create_dir(&folder)?;
    hand_over(&onprem, &folder, 1).await?;
    let signer = Web3Signer::start(venv, &folder, Mode::Eth1 { chain_id: L1 })?;
    let accounts = signer.accounts().await?;
    ensure!(accounts == [first.to_lowercase()], "it signs for {accounts:?} and not for {first}");
    let works_in = signer.folder().to_owned();
    tell(&onprem, Scene::SignerUp { version: signer.version().await?, accounts, folder: works_in })?;
    for (kind, transaction) in transactions(0) {
        let sender = signed(venv, &signer, &first, &transaction).await?;
        tell(&onprem, Scene::Signed { kind, sender })?;
    }

    let of_batcher = ["--chain", "l2", "--role", "batcher"];
    let step = async |name: &str| {
        let arguments: Vec<&str> =
            ["rotate", name].into_iter().chain(of_batcher).chain([declared.as_str()]).collect();
        run("rotator", &arguments).await
    };
    let mut told = step("prepare").await?;
    let second = batcher(&onprem, &declared, "pending").await?;
    hand_over(&onprem, &folder, 2).await?;
    signer.reload().await?;
    let accounts = signer.accounts().await?;
    ensure!(accounts.len() == 2, "while both are in use it signs for {accounts:?}");
    told.push_str(&step("finish").await?);
    let out = folder.display().to_string();
    let arguments =
        ["signer", "retire", "--chain", "l2", "--role", "batcher", "--number", "1", "--out", &out];
    // It asks the server for nothing.
    onprem.run(&onprem.file("signer.keyboot.l2.batcher.1.toml"), &arguments).await?.succeeded()?;
    signer.reload().await?;
    let accounts = signer.accounts().await?;
    ensure!(accounts == [second.to_lowercase()], "it signs for {accounts:?} and not for {second}");
    tell(&onprem, Scene::Rotated(told))?;
    for (kind, transaction) in transactions(1) {
        let sender = signed(venv, &signer, &second, &transaction).await?;
        tell(&onprem, Scene::Signed { kind, sender })?;
    }
    drop(signer);

    let looked = onprem.file("").display().to_string();
    let examined = onprem.run_as("auditor", &["doctor", "--log-in", "--folder", &looked]).await?;
    tell(&onprem, Scene::Examined(examined.out, examined.code))?;
    Ok(onprem)
}

/// Tries who reads what, as each of them is let in.
async fn rights(onprem: &OnPrem) -> anyhow::Result<Vec<Right>> {
    let batcher = "keyboot-secrets/data/keyboot/l2/role/batcher/1";
    let proposer = "keyboot-secrets/data/keyboot/l2/role/proposer/1";
    let [own, other] = [0, 1].map(|node| format!("keyboot-secrets/data/keyboot/tsm/node/{node}/p2p-key"));
    let cases = [
        ("provisioner", vec![(batcher, false), (own.as_str(), false)]),
        ("signer.keyboot.l2.batcher.1", vec![(batcher, true), (proposer, false), (own.as_str(), false)]),
        ("node.keyboot.tsm.0", vec![(own.as_str(), true), (other.as_str(), false), (batcher, false)]),
        ("auditor", vec![(batcher, false), (own.as_str(), false)]),
    ];
    let mut rights = Vec::new();
    for (role, paths) in cases {
        let token = onprem.token_of(role).await?;
        for (path, expected) in paths {
            let answer = onprem.call(Method::GET, path, Some(&token), None).await?;
            let is_let_in = match answer.status.as_u16() {
                200 => true,
                403 => false,
                status => anyhow::bail!("{path} was answered with {status}"),
            };
            ensure!(is_let_in == expected, "that {role} is let in to {path} is {is_let_in}");
            rights.push(Right { role: role.to_owned(), path: path.to_owned(), is_let_in });
        }
    }
    Ok(rights)
}

/// The address of the batcher's key that counts, or that is prepared.
async fn batcher(onprem: &OnPrem, declared: &str, which: &str) -> anyhow::Result<String> {
    let told = onprem.run_as("auditor", &["show", "--json", declared]).await?.succeeded()?;
    let view: Value = serde_json::from_str(&told)?;
    let roles = view["chains"][0]["roles"].as_array().context("no roles")?;
    let batcher = roles.iter().find(|role| role["role"] == "batcher").context("no batcher")?;
    Ok(batcher[which]["address"].as_str().context("no address")?.to_owned())
}

/// Writes what the signer needs for one of the batcher's keys.
async fn hand_over(onprem: &OnPrem, folder: &Path, number: u32) -> anyhow::Result<()> {
    let (number, out) = (number.to_string(), folder.display().to_string());
    let role = format!("signer.{}.batcher.{number}", CHAIN.replace('/', "."));
    let arguments =
        ["signer", "write", "--chain", "l2", "--role", "batcher", "--number", &number, "--out", &out];
    onprem.run_as(&role, &arguments).await?.succeeded().map(drop)
}

/// Has a transaction signed, and gives whom an independent library takes for its sender.
async fn signed(
    venv: &Venv,
    signer: &Web3Signer,
    address: &str,
    asked: &Transaction,
) -> anyhow::Result<String> {
    let raw = Batcher::start(&signer.endpoint(), address).await?.sign(L1, asked).await?;
    let found = sender_of(venv, &raw)?;
    ensure!(found.sender == address.to_lowercase(), "{} sent it and not {address}", found.sender);
    let blobs = asked.blobs.as_ref().map_or(0, |(hashes, _)| hashes.len());
    ensure!(
        found.chain_id == L1 && found.nonce == asked.nonce && found.to == INBOX,
        "another transaction was signed: {found:?}"
    );
    ensure!(found.blob_versioned_hashes.len() == blobs, "it has other blobs: {found:?}");
    Ok(found.sender)
}

/// What op-batcher sends: calldata, and blobs.
fn transactions(nonce: u64) -> [(&'static str, Transaction); 2] {
    let calldata = Transaction {
        nonce: 2 * nonce,
        to: INBOX.to_owned(),
        gas: 120_000,
        max_fee_per_gas: 30_000_000_000,
        max_priority_fee_per_gas: 1_000_000_000,
        input: vec![0, 1, 2, 3],
        blobs: None,
    };
    let mut hash = [7; 32];
    // The version of a hash that stands for a KZG commitment (EIP-4844).
    hash[0] = 1;
    let blobs = Transaction {
        nonce: 2 * nonce + 1,
        input: Vec::new(),
        blobs: Some((vec![hash], 5)),
        ..calldata.clone()
    };
    [("with calldata (EIP-1559)", calldata), ("with a blob (EIP-4844)", blobs)]
}

/// Every file below a folder.
///
/// # Errors
///
/// When one cannot be listed.
pub fn files_below(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let (mut files, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            } else {
                files.push(entry.path());
            }
        }
    }
    files.sort();
    Ok(files)
}
