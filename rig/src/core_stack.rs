//! The Core Stack on the local AWS: what its instances and functions are made of, and its deployment beside a
//! KMS Stack.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use crate::cloud::Cloud;
use crate::functions::{self, Build};
use crate::nodes::ACCOUNT;
use crate::programs;
use crate::python::run;
use crate::stack::{BUCKET, Deployed, Deployment, make_bucket, put, upload};

/// The domain of the nodes' names among themselves.
pub const NODE_DOMAIN: &str = "nodes.internal";
/// The domain of the names that clients know.
pub const SDK_DOMAIN: &str = "tsm.example.com";
/// What the nodes' roles are called before their indexes.
pub const ROLE_PREFIX: &str = "tsm-node";
/// Where in the bucket the functions' code is.
const CODE_PREFIX: &str = "core/";
/// The stack that stands for the domain that whoever deploys has already.
const ZONE_STACK: &str = "domain";
const ZONE: &str = "Resources:
  Zone:
    Type: AWS::Route53::HostedZone
    Properties:
      Name: tsm.example.com
Outputs:
  Id:
    Value: !Ref Zone
";

/// The ARN of the role that the Core Stack gives to a node.
#[must_use]
pub fn role_of_node(index: u32) -> String {
    format!("arn:aws:iam::{ACCOUNT}:role/{ROLE_PREFIX}-{index}")
}

/// What a KMS Stack is told of a Core Stack that comes after it: who its nodes are, and their names.
#[must_use]
pub fn parameters_of_kms_stack(nodes: u32) -> [(&'static str, String); 3] {
    let readers: Vec<_> = (0..nodes).map(|index| format!("{index}={}", role_of_node(index))).collect();
    [
        ("Nodes", indexes(nodes)),
        ("ReaderPrincipals", readers.join(",")),
        ("NodeDomain", NODE_DOMAIN.to_owned()),
    ]
}

/// The indexes of so many nodes, from 0, as a parameter.
#[must_use]
pub fn indexes(nodes: u32) -> String {
    (0..nodes).map(|index| index.to_string()).collect::<Vec<_>>().join(",")
}

/// What the Core Stack is deployed from, uploaded once for all that are deployed to the same local AWS.
#[derive(Clone, Debug)]
pub struct Uploaded {
    cloud: Cloud,
    template: String,
    archive: String,
    sha256: String,
    zone: String,
}

impl Uploaded {
    /// Packs and uploads what the instances install and the function's code, both with `roots`, the certificates
    /// that the local databases are believed by, and makes the domain.
    ///
    /// # Errors
    ///
    /// When something has not been built, or cannot be uploaded.
    pub async fn of(cloud: &Cloud, roots: &Path) -> anyhow::Result<Self> {
        make_bucket(cloud).await?;
        let roots = std::fs::read(roots).with_context(|| format!("reading {}", roots.display()))?;
        let archive = node_archive(&roots)?;
        let sha256 = hex::encode(Sha256::digest(&archive));
        let archive = upload(cloud, archive, "tar.gz").await?;
        let login = std::fs::read(functions::bootstrap("database-login", Build::Local)?)?;
        let login = functions::pack([("bootstrap", login), ("rds-roots.pem", roots)])?;
        put(cloud, &format!("{CODE_PREFIX}database-login.zip"), login).await?;
        let zone = Deployment::new(cloud, ZONE_STACK, ZONE).create().await?.output("Id")?.to_owned();
        let template = std::fs::read_to_string(crate::repository().join("stacks/core.yaml"))?;
        Ok(Self { cloud: cloud.clone(), template, archive, sha256, zone })
    }

    /// The Core Stack of so many nodes, of a KMS Stack in this account that is given by its name.
    ///
    /// # Errors
    ///
    /// When the KMS Stack does not tell its keys.
    pub async fn deployment(
        &self,
        name: &str,
        kms_name: &str,
        kms: &Deployed,
        nodes: u32,
    ) -> anyhow::Result<Deployment> {
        let deployment = Deployment::new(&self.cloud, name, &self.template);
        Ok(deployment
            .with("KmsStackName", kms_name)
            .with("Pins", &pin(&self.cloud, kms).await?)
            .with("Nodes", &indexes(nodes))
            .with("NodeDomain", NODE_DOMAIN)
            .with("NodeRolePrefix", ROLE_PREFIX)
            .with("SdkDomain", SDK_DOMAIN)
            .with("HostedZoneId", &self.zone)
            .with("CodeBucket", BUCKET)
            .with("CodePrefix", CODE_PREFIX)
            .with("NodeArchiveKey", &self.archive)
            .with("NodeArchiveSha256", &self.sha256)
            // Functions and nodes run natively here.
            .with("Architecture", "x86_64"))
    }
}

/// The key whose records are believed, as the Core Stack's parameter `Pins` takes it.
///
/// # Errors
///
/// When the stack does not tell its key, or KMS its public half.
pub async fn pin(cloud: &Cloud, kms: &Deployed) -> anyhow::Result<String> {
    let signer = kms.output("RecordKeyArn")?;
    let key = cloud.kms().get_public_key().key_id(signer).send().await?.public_key;
    Ok(format!("{signer}={}", STANDARD.encode(key.context("KMS gave no public key")?.as_ref())))
}

/// What an instance installs, as `cargo xtask package` packs it, but with the local programs.
fn node_archive(roots: &[u8]) -> anyhow::Result<Vec<u8>> {
    std::fs::create_dir_all(crate::home())?;
    let folder = tempfile::Builder::new().prefix("archive-").tempdir_in(crate::home())?;
    let put = |name: &str, from: &Path| {
        let to = folder.path().join(name);
        std::fs::copy(from, &to).with_context(|| format!("copying {}", from.display()))
    };
    put("keyboot-node", &programs::path(programs::KEYBOOT_NODE)?)?;
    put("tsm-node", &programs::path(programs::STAND_IN)?)?;
    let units = crate::repository().join("node/systemd");
    put("keyboot-node@.service", &units.join("keyboot-node@.service"))?;
    put("keyboot-node.nft", &units.join("keyboot-node.nft"))?;
    std::fs::write(folder.path().join("rds-roots.pem"), roots)?;
    let mut names: Vec<_> = std::fs::read_dir(folder.path())?
        .map(|entry| Ok(entry?.file_name()))
        .collect::<std::io::Result<_>>()?;
    names.sort();
    let archive = folder.path().join("node.tar.gz");
    let mut tar = Command::new("tar");
    // The programs are large, and soon thrown away.
    tar.args(["--use-compress-program", "gzip -1", "--owner=0", "--group=0", "--create", "--file"]);
    run(tar.arg(&archive).arg("--directory").arg(folder.path()).args(&names))?;
    let packed = std::fs::read(&archive)?;
    ensure!(!packed.is_empty(), "tar packed nothing");
    Ok(packed)
}

/// What a deleted stack left where it is, by logical ids: type and physical id.
#[must_use]
pub fn left_behind(deleted: &Deployed) -> BTreeMap<String, (String, String)> {
    let skipped = deleted
        .events
        .iter()
        .filter(|event| event.resource_status().is_some_and(|status| status.as_str() == "DELETE_SKIPPED"));
    let told = skipped.filter_map(|event| {
        let (kind, id) = (event.resource_type()?.to_owned(), event.physical_resource_id()?.to_owned());
        Some((event.logical_resource_id()?.to_owned(), (kind, id)))
    });
    told.collect()
}
