//! A Builder Vault TSM node can be configured with what the stack made: its `config.toml` holds the
//! node's own private key, its peers' public keys, the hashes of the API keys that clients hold, and
//! the password of its key shares. Other programs than ours say that they fit.

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use key_material::P2pPrivateKey;
use provisioning::names::Purpose;
use provisioning::record::NodeRecord;
use rig::cluster::Published;
use serde_json::{Value, json};

use crate::support::{Aws, NodeSecret, accepted_keys, current_keys, piped};

const AS_JSON: &str = "import json, sys, tomllib; json.dump(tomllib.load(sys.stdin.buffer), sys.stdout)";

#[tokio::test]
async fn a_tsm_node_is_configured_from_envelopes() -> Result<()> {
    every_node_is_configured("Envelope").await
}

#[tokio::test]
async fn a_tsm_node_is_configured_from_what_secrets_manager_protects() -> Result<()> {
    every_node_is_configured("Service").await
}

async fn every_node_is_configured(protection: &str) -> Result<()> {
    let aws = Aws::start()?;
    let parameters = [("Protection", protection), ("Applications", "default,backoffice")];
    let (_, stack) = aws.deploy(parameters).await?;
    let published = aws.published(&stack).await?;
    ensure!(published.records.len() == 3, "the roster lists {} nodes", published.records.len());
    for record in published.records.values() {
        let private_key = private_key(&aws, record, protection).await?;
        the_private_key_is_the_one_that_is_published(&private_key, record)?;
        clients_hold_the_keys_that_the_node_accepts(&aws, record).await?;
        let password = share_password(&aws, record, protection).await?;
        let config = config(record, &published, &private_key, &password);
        the_config_says_what_was_meant(&aws, &config, record, &published, &private_key, &password)?;
    }
    Ok(())
}

/// SEC 1 DER in base64, made by the reader's side of what is stored.
async fn private_key(aws: &Aws, record: &NodeRecord, protection: &str) -> Result<String> {
    Ok(match aws.node_secret(record, &Purpose::P2pKey).await? {
        NodeSecret::Plain(value) => {
            ensure!(protection == "Service", "stored without an envelope");
            value["sec1"].as_str().context("no SEC 1 form")?.to_owned()
        }
        NodeSecret::Opened(pkcs8) => {
            ensure!(protection == "Envelope", "stored in an envelope");
            // EXPOSE: to the configuration of a node of this test.
            P2pPrivateKey::from_pkcs8_der(&pkcs8)?.expose_sec1_base64().to_string()
        }
    })
}

async fn share_password(aws: &Aws, record: &NodeRecord, protection: &str) -> Result<String> {
    let password = match aws.node_secret(record, &Purpose::SharePassword).await? {
        NodeSecret::Plain(value) if protection == "Service" => {
            value["password"].as_str().context("no password")?.to_owned()
        }
        NodeSecret::Opened(password) if protection == "Envelope" => String::from_utf8(password)?,
        _ => anyhow::bail!("the password is not protected by {protection}"),
    };
    let alphabet = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    ensure!(password.len() == 43 && password.bytes().all(alphabet), "not 32 bytes in base64url");
    Ok(password)
}

fn the_private_key_is_the_one_that_is_published(private_key: &str, record: &NodeRecord) -> Result<()> {
    ensure!(private_key.len() == 164 && private_key.starts_with("MHcCAQEE"), "not SEC 1 with both parts");
    let der = STANDARD.decode(private_key)?;
    let spki = piped("openssl", &["ec", "-inform", "DER", "-pubout", "-outform", "DER"], &der)?;
    assert_eq!(STANDARD.encode(&spki), record.public_key.to_spki_base64(), "node {}", record.index);
    let digest = piped("openssl", &["dgst", "-sha256", "-binary"], &spki)?;
    // That the roster lists the fingerprint of the record is checked wherever they are read.
    assert_eq!(
        format!("sha256:{}", hex::encode(digest)),
        record.fingerprint.to_string(),
        "node {}",
        record.index
    );
    let checked = piped("openssl", &["ec", "-inform", "DER", "-check", "-noout"], &der);
    checked.context("openssl finds a fault in the private key")?;
    Ok(())
}

async fn clients_hold_the_keys_that_the_node_accepts(aws: &Aws, record: &NodeRecord) -> Result<()> {
    let current = current_keys(record);
    assert_eq!(current.len(), 3, "two applications and the management interface");
    assert_eq!(current.len(), accepted_keys(record).len(), "a new node accepts nothing but what is current");
    for (purpose, key) in current {
        let version_id = key.version_id.as_ref().context("the record names no version")?;
        let held = aws.stored(&record.cluster.secret_name(record.index, &purpose), version_id).await?;
        let prefix = if purpose == Purpose::ManagementKey { "keybootm_" } else { "keyboot_" };
        assert!(held.starts_with(prefix) && held.len() == prefix.len() + 49, "{purpose}: not a key");
        let digest = piped("openssl", &["dgst", "-sha256", "-binary"], held.as_bytes())?;
        assert_eq!(STANDARD.encode(digest), key.hash.to_string(), "{purpose} of node {}", record.index);
    }
    Ok(())
}

/// The parts of the vendor's `config.toml` that hold keys.
fn config(record: &NodeRecord, published: &Published, private_key: &str, password: &str) -> String {
    use std::fmt::Write as _;
    let mut text = format!("[Player]\nIndex = {}\nPrivateKey = \"{private_key}\"\n\n", record.index);
    for (index, peer) in published.records.iter().filter(|(index, _)| **index != record.index) {
        let key = peer.public_key.to_spki_base64();
        let address = format!("tcp://node-{index}.nodes.internal:9000");
        let _ = write!(text, "[Players.{index}]\nAddress = \"{address}\"\nPublicKey = \"{key}\"\n\n");
    }
    let _ = write!(
        text,
        "[Database]\nDriverName = \"postgres\"\nEncryptorMasterPassword = \"{password}\"\n\n\
         [MPCDirectServer]\nPort = 9000\n\n[SDKServer]\nPort = 8080\n\n[ManagementServer]\nPort = 14401\n\n"
    );
    for (purpose, key) in accepted_keys(record) {
        let _ = match purpose {
            Purpose::ApiKey(application) => write!(
                text,
                "[[Authentication.APIKeys]]\nApplicationID = \"{application}\"\nAPIKey = \"{}\"\n\n",
                key.hash
            ),
            _ => write!(
                text,
                "[[ManagementServer.APIKeys]]\nAPIKey = \"{}\"\nPermissions = [\"HEALTH\", \"METRICS\"]\n\n",
                key.hash
            ),
        };
    }
    text
}

fn the_config_says_what_was_meant(
    aws: &Aws,
    config: &str,
    record: &NodeRecord,
    published: &Published,
    private_key: &str,
    password: &str,
) -> Result<()> {
    assert!(!config.contains("ExportWhiteList"), "a config that lets keys be exported");
    let parsed = piped(aws.venv.program("python"), &["-c", AS_JSON], config.as_bytes())?;
    let parsed: Value = serde_json::from_slice(&parsed)?;
    assert_eq!(parsed["Player"], json!({"Index": record.index.get(), "PrivateKey": private_key}));
    assert_eq!(parsed["Database"]["EncryptorMasterPassword"], password);
    let peers = parsed["Players"].as_object().context("no peers")?;
    assert_eq!(peers.len(), published.records.len() - 1, "every other node, and not the node itself");
    for (index, peer) in peers {
        let theirs = &published.records[&index.parse()?];
        assert_eq!(peer["PublicKey"], theirs.public_key.to_spki_base64(), "peer {index}");
    }
    let hashes = |list: &Value| list.as_array().map_or(0, Vec::len);
    assert_eq!(hashes(&parsed["Authentication"]["APIKeys"]), 2);
    assert_eq!(hashes(&parsed["ManagementServer"]["APIKeys"]), 1);
    Ok(())
}
