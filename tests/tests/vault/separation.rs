//! Who reads what, as the server itself decides it: every secret against everybody who logs in, and what else
//! somebody might try. Whatever is refused to one is granted to another, or the test would prove nothing.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::{Method, StatusCode};
use rig::openbao::Answer;
use serde_json::{Value, json};

use crate::stage::{Chain, Cluster, Declared, SECRETS, Stage, TRANSIT, text_in};

/// Every secret that there is, and who reads it.
const READERS: [(&str, &[&str]); 11] = [
    ("keyboot/tsm/node/0/p2p-key", &["node.keyboot.tsm.0"]),
    ("keyboot/tsm/node/1/p2p-key", &["node.keyboot.tsm.1"]),
    ("keyboot/tsm/node/0/share-encryption-password", &["node.keyboot.tsm.0"]),
    ("keyboot/tsm/node/1/share-encryption-password", &["node.keyboot.tsm.1"]),
    ("keyboot/tsm/node/0/api-key/default", &["client.keyboot.tsm.default"]),
    ("keyboot/tsm/node/0/api-key/other", &["client.keyboot.tsm.other"]),
    ("keyboot/tsm/node/1/management-key", &["manager.keyboot.tsm"]),
    ("keyboot/l2/node/0/p2p-key", &["node.keyboot.l2.0", "sequencer.keyboot.l2"]),
    ("keyboot/l2/role/batcher/1", &["signer.keyboot.l2.batcher.1"]),
    ("keyboot/l2/role/batcher/2", &["signer.keyboot.l2.batcher.2"]),
    ("keyboot/l2/role/sequencer/1", &["sequencer.keyboot.l2"]),
];

/// Those who read no secret at all.
const NEVER: [&str; 5] = ["provisioner", "rotator", "auditor", "operator", "custodian"];

/// The server with a token for everybody, and something to be read at every path.
struct Everybody {
    stage: Stage,
    tokens: BTreeMap<String, String>,
}

impl Everybody {
    async fn is_there() -> Result<Self> {
        let stage = Stage::new().await?;
        let mut cluster = Cluster::of(&[0, 1]);
        cluster.applications.push("other");
        cluster.management_key = true;
        let mut declared = Declared::cluster("keyboot", cluster);
        declared.chain = Some(Chain::of(&["batcher", "sequencer"], &[0]));
        let subjects = declared.subjects()?;
        stage.admit(&subjects).await?;
        let mut tokens = BTreeMap::new();
        for policy in subjects.policies(&vault::Mounts::default())? {
            let name = policy.name();
            // Whoever signs blocks is a node of the chain as well.
            let policies =
                if name == "sequencer.keyboot.l2" { vec![name, "node.keyboot.l2.0"] } else { vec![name] };
            tokens.insert(name.to_owned(), stage.token_of(&policies).await?);
        }
        let everybody = Self { stage, tokens };
        for (path, _) in READERS {
            let made = everybody.put("provisioner", path, 0).await?;
            ensure!(made.status == StatusCode::OK, "the provisioner makes no {path}");
        }
        Ok(everybody)
    }

    async fn asks(&self, who: &str, method: Method, path: &str, body: Option<&Value>) -> Result<Answer> {
        let token = self.tokens.get(who).with_context(|| format!("there is no {who}"))?;
        self.stage.bao.server.call(method, path, Some(token), body).await.with_context(|| path.to_owned())
    }

    async fn put(&self, who: &str, path: &str, newest: u64) -> Result<Answer> {
        let body = json!({
            "options": { "cas": newest },
            "data": { "value": value_of(path), "keyboot": { "keyboot:owner=somebody": "" } },
        });
        self.asks(who, Method::POST, &format!("{SECRETS}/data/{path}"), Some(&body)).await
    }
}

/// What is secret at a path.
fn value_of(path: &str) -> String {
    format!("the secret at {path}")
}

#[tokio::test]
async fn every_secret_is_read_by_those_whose_it_is_and_by_nobody_else() -> Result<()> {
    let everybody = Everybody::is_there().await?;
    let mut faults = Vec::new();
    let mut granted = 0;
    for (path, readers) in READERS {
        for who in everybody.tokens.keys() {
            let expected = readers.contains(&who.as_str());
            let read = format!("{SECRETS}/data/{path}");
            for path_read in [read.clone(), format!("{read}?version=1")] {
                let answer = everybody.asks(who, Method::GET, &path_read, None).await?;
                let is_read = answer.body["data"]["data"]["value"] == value_of(path);
                let is_as_expected = if expected { is_read } else { answer.status == StatusCode::FORBIDDEN };
                if !is_as_expected || answer.body.to_string().contains(&value_of(path)) != expected {
                    faults.push(format!("{who} at {path_read}: {}", answer.status));
                }
                granted += usize::from(is_read);
            }
        }
    }
    ensure!(faults.is_empty(), "{}", faults.join("\n"));
    ensure!(
        granted == 2 * READERS.iter().map(|(_, readers)| readers.len()).sum::<usize>(),
        "{granted} were granted"
    );
    for who in NEVER {
        ensure!(everybody.tokens.contains_key(who), "nobody is {who}");
        ensure!(!READERS.iter().any(|(_, readers)| readers.contains(&who)));
    }
    // A signer's token reads one path of all that there are, and lists and describes nothing.
    let signer = "signer.keyboot.l2.batcher.1";
    let list = || Method::from_bytes(b"LIST").unwrap();
    for (method, path, status) in [
        (Method::GET, "keyboot-secrets/data/keyboot/l2/role/batcher/1", StatusCode::OK),
        (Method::GET, "keyboot-secrets/subkeys/keyboot/l2/role/batcher/1", StatusCode::FORBIDDEN),
        (Method::GET, "keyboot-secrets/metadata/keyboot/l2/role/batcher/1", StatusCode::FORBIDDEN),
        (list(), "keyboot-secrets/metadata/keyboot/l2/role/batcher", StatusCode::FORBIDDEN),
        (Method::GET, "keyboot-documents/data/keyboot/l2/chain", StatusCode::FORBIDDEN),
        (Method::GET, "keyboot-secrets/config", StatusCode::FORBIDDEN),
        (Method::GET, "sys/mounts", StatusCode::FORBIDDEN),
    ] {
        let answer = everybody.asks(signer, method.clone(), path, None).await?;
        ensure!(answer.status == status, "{signer}: {method} {path} is answered {}", answer.status);
    }
    Ok(())
}

/// Ways around a path that others than its reader may try. None of them gives the value.
#[tokio::test]
async fn no_other_spelling_of_a_path_leads_to_what_is_somebody_elses() -> Result<()> {
    let everybody = Everybody::is_there().await?;
    let spellings = [
        "keyboot/tsm/node/1/../0/p2p-key",
        "keyboot/tsm/node/1/%2e%2e/0/p2p-key",
        "keyboot/tsm/node/1/..%2f0/p2p-key",
        "keyboot/tsm/node//0/p2p-key",
        "keyboot/tsm/node/0/p2p-key/",
        "/keyboot/tsm/node/0/p2p-key",
        "keyboot/tsm/node/0/p2p%2dkey",
        "keyboot%2ftsm%2fnode%2f0%2fp2p-key",
        "keyboot/tsm/node/+/p2p-key",
        "keyboot/tsm/node/*",
    ];
    let secret = value_of("keyboot/tsm/node/0/p2p-key");
    for who in ["node.keyboot.tsm.1", "provisioner", "rotator", "auditor", "client.keyboot.tsm.default"] {
        for part in ["data", "subkeys", "metadata"] {
            for spelling in spellings {
                for method in [Method::GET, Method::from_bytes(b"LIST")?, Method::HEAD] {
                    let path = format!("{SECRETS}/{part}/{spelling}");
                    // What is no answer of the server's own gives nothing either.
                    let Ok(answer) = everybody.asks(who, method, &path, None).await else { continue };
                    ensure!(!answer.body.to_string().contains(&secret), "{who} reads it at {path}");
                }
            }
        }
    }
    let path = format!("{SECRETS}/data/keyboot/tsm/node/0/p2p-key");
    let answer = everybody.asks("node.keyboot.tsm.0", Method::GET, &path, None).await?;
    ensure!(answer.body.to_string().contains(&secret), "nor does its own reader");
    Ok(())
}

#[tokio::test]
async fn who_makes_keys_reads_none_back_and_writes_over_none() -> Result<()> {
    let everybody = Everybody::is_there().await?;
    let path = "keyboot/tsm/node/0/p2p-key";
    let (data, subkeys) = (format!("{SECRETS}/data/{path}"), format!("{SECRETS}/subkeys/{path}"));
    for who in ["provisioner", "rotator"] {
        // The names of the keys are told, and no value.
        let told = everybody.asks(who, Method::GET, &subkeys, None).await?.accepted()?;
        ensure!(
            told["data"]["subkeys"]
                == json!({ "value": null, "keyboot": { "keyboot:owner=somebody": null } })
        );
        ensure!(!told.to_string().contains("the secret"), "{who} is told a value");
        for (method, path, body) in [
            (Method::GET, data.clone(), Value::Null),
            (Method::GET, format!("{data}?version=1"), Value::Null),
            (Method::POST, format!("{SECRETS}/destroy/{path}"), json!({ "versions": [1] })),
            (Method::DELETE, data.clone(), Value::Null),
            (Method::POST, format!("{SECRETS}/metadata/{path}"), json!({ "max_versions": 1 })),
            (Method::POST, format!("{SECRETS}/metadata/{path}"), json!({ "cas_required": false })),
            (Method::POST, format!("{SECRETS}/config"), json!({ "cas_required": false })),
        ] {
            let body = Some(&body).filter(|body| !body.is_null());
            let answer = everybody.asks(who, method.clone(), &path, body).await?;
            ensure!(
                answer.status == StatusCode::FORBIDDEN,
                "{who}: {method} {path} is answered {}",
                answer.status
            );
        }
        // The server looks at what kind of change this is before it looks at who asks: it is none in any case.
        let body = json!({ "data": { "more": "" }, "options": { "cas": 1 } });
        let answer = everybody.asks(who, Method::PATCH, &data, Some(&body)).await?;
        ensure!(!answer.status.is_success(), "{who} changes a part of a value");
    }
    // What stands is written over by the rotator alone, and only where he knows what stands.
    for newest in [0, 1] {
        let answer = everybody.put("provisioner", path, newest).await?;
        ensure!(
            answer.status == StatusCode::FORBIDDEN,
            "the provisioner writes over a key: {}",
            answer.status
        );
    }
    ensure!(everybody.put("rotator", path, 0).await?.status == StatusCode::BAD_REQUEST, "without looking");
    ensure!(everybody.put("rotator", path, 1).await?.status == StatusCode::OK, "the rotator cannot rotate");
    // Hidden, brought back and removed by the rotator alone.
    let versions = json!({ "versions": [1] });
    for (part, method, body) in [
        ("delete", Method::POST, Some(&versions)),
        ("undelete", Method::POST, Some(&versions)),
        ("metadata", Method::DELETE, None),
    ] {
        let path = format!("{SECRETS}/{part}/{path}");
        let denied = everybody.asks("provisioner", method.clone(), &path, body).await?;
        ensure!(denied.status == StatusCode::FORBIDDEN, "the provisioner: {part}: {}", denied.status);
        let granted = everybody.asks("rotator", method, &path, body).await?;
        ensure!(granted.status.is_success(), "the rotator: {part}: {}", granted.status);
    }
    Ok(())
}

#[tokio::test]
async fn what_is_sealed_for_a_node_is_opened_by_that_node_alone() -> Result<()> {
    let everybody = Everybody::is_there().await?;
    let context = |node: u32, purpose: &str| {
        let context = json!({
            "keyboot:cluster": "keyboot/tsm", "keyboot:node": node.to_string(), "keyboot:purpose": purpose,
        });
        STANDARD.encode(context.to_string())
    };
    let (encrypt, decrypt) = (format!("{TRANSIT}/encrypt/seal"), format!("{TRANSIT}/decrypt/seal"));
    let plain = STANDARD.encode("a private key");
    for purpose in ["p2p-key", "share-encryption-password"] {
        let mut sealed = Vec::new();
        for node in [0, 1] {
            let body = json!({ "plaintext": plain, "context": context(node, purpose) });
            let answer =
                everybody.asks("provisioner", Method::POST, &encrypt, Some(&body)).await?.accepted()?;
            sealed.push(text_in(&answer, "/data/ciphertext")?.to_owned());
        }
        for who in everybody.tokens.keys() {
            for node in [0_u32, 1] {
                let ciphertext = &sealed[usize::try_from(node)?];
                let expected = *who == format!("node.keyboot.tsm.{node}");
                let body = json!({ "ciphertext": ciphertext, "context": context(node, purpose) });
                let answer = everybody.asks(who, Method::POST, &decrypt, Some(&body)).await?;
                let is_opened = answer.body["data"]["plaintext"] == plain;
                let is_as_expected =
                    if expected { is_opened } else { answer.status == StatusCode::FORBIDDEN && !is_opened };
                ensure!(is_as_expected, "{who} opens {purpose} of node {node}: {}", answer.status);
                // With what is its own beside it, in a batch, or under a context of its own.
                let own = context(1 - node, purpose);
                for body in [
                    json!({ "batch_input": [{ "ciphertext": ciphertext, "context": context(node, purpose) }] }),
                    json!({
                        "ciphertext": ciphertext, "context": own,
                        "batch_input": [{ "ciphertext": ciphertext, "context": context(node, purpose) }],
                    }),
                    json!({ "ciphertext": ciphertext, "context": own }),
                    json!({ "ciphertext": ciphertext }),
                ] {
                    let answer = everybody.asks(who, Method::POST, &decrypt, Some(&body)).await?;
                    ensure!(
                        !answer.status.is_success() && !answer.body.to_string().contains(&plain),
                        "{who} opens it otherwise: {}",
                        answer.status
                    );
                }
            }
        }
    }
    Ok(())
}

/// What gives keys, rights or logins to whoever may do it.
#[tokio::test]
async fn nobody_gets_further_than_his_own_rights() -> Result<()> {
    let everybody = Everybody::is_there().await?;
    let policy = json!({ "policy": "path \"*\" { capabilities = [\"sudo\"] }" });
    let token = json!({ "policies": ["root"] });
    let digest = json!({
        "input": STANDARD.encode([7; 32]), "prehashed": true, "hash_algorithm": "sha2-256", "marshaling_algorithm": "asn1",
    });
    let forbidden = [
        (Method::PUT, "sys/policies/acl/node.keyboot.tsm.0", Some(&policy)),
        (Method::POST, "auth/token/create", Some(&token)),
        (Method::POST, "auth/token/create-orphan", Some(&token)),
        (Method::GET, "keyboot-transit/export/encryption-key/seal", None),
        (Method::GET, "keyboot-transit/backup/seal", None),
        (Method::POST, "keyboot-transit/rewrap/seal", Some(&policy)),
        (Method::POST, "keyboot-transit/datakey/plaintext/seal", Some(&policy)),
        (Method::POST, "keyboot-transit/keys/seal/config", Some(&policy)),
        (Method::POST, "keyboot-transit/keys/other", Some(&policy)),
        (Method::DELETE, "keyboot-transit/keys/records", None),
        (Method::POST, "sys/mounts/more", Some(&policy)),
        (Method::DELETE, "sys/audit/file-1", None),
        (Method::GET, "sys/raw/sys/token", None),
        (Method::GET, "sys/storage/raft/snapshot", None),
        (Method::POST, "sys/rotate", None),
        (Method::POST, "sys/seal", None),
    ];
    for who in everybody.tokens.keys() {
        for (method, path, body) in &forbidden {
            let answer = everybody.asks(who, method.clone(), path, *body).await?;
            ensure!(
                matches!(
                    answer.status,
                    StatusCode::FORBIDDEN | StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED
                ),
                "{who}: {method} {path} is answered {}",
                answer.status
            );
        }
        // Records are signed by those who make keys, and so is nothing else by anybody else.
        let answer =
            everybody.asks(who, Method::POST, &format!("{TRANSIT}/sign/records"), Some(&digest)).await?;
        let expected = ["provisioner", "rotator"].contains(&who.as_str());
        ensure!(answer.status.is_success() == expected, "{who} signs a record: {}", answer.status);
    }
    // The same calls are granted to root: they are spelled as the server knows them.
    for (method, path, body) in [
        (Method::GET, "sys/policies/acl/node.keyboot.tsm.0", None),
        (Method::POST, "auth/token/create", Some(&token)),
        (Method::POST, "keyboot-transit/keys/other", None),
        (Method::GET, "sys/storage/raft/configuration", None),
    ] {
        everybody.stage.ask(method, path, body).await?.accepted().context(path)?;
    }
    Ok(())
}
