//! Each policy as the server itself understands it: what it may at every path that any policy names, by the
//! server's own answer; and those who look or keep, who do what they are there for and nothing beside.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, ensure};
use hyper::{Method, StatusCode};
use keyboot_onprem::policies::{Capability, Policy, Rule};
use serde_json::{Value, json};
use vault::Mounts;

use crate::stage::{Chain, Cluster, Declared, SECRETS, Stage};

/// What is put in the place of a segment that is counted.
const COUNTED: &str = "7";

fn declared() -> Declared {
    let mut cluster = Cluster::of(&[0, 1]);
    cluster.management_key = true;
    let mut declared = Declared::cluster("keyboot", cluster);
    declared.chain = Some(Chain::of(&["batcher", "sequencer"], &[0]));
    declared
}

/// What a policy says of a path, read as a person would.
fn said(policy: &Policy, path: &str) -> BTreeSet<String> {
    let fits = |pattern: &str| {
        let (pattern, path): (Vec<_>, Vec<_>) = (pattern.split('/').collect(), path.split('/').collect());
        pattern.len() == path.len()
            && pattern.iter().zip(&path).all(|(one, other)| *one == "+" || one == other)
    };
    let spelled = |capability: &Capability| format!("{capability:?}").to_lowercase();
    let found: BTreeSet<String> = policy
        .rules()
        .iter()
        .filter(|rule| fits(rule.path()))
        .flat_map(Rule::capabilities)
        .map(spelled)
        .collect();
    if found.is_empty() { BTreeSet::from(["deny".to_owned()]) } else { found }
}

#[tokio::test]
async fn the_server_understands_each_policy_as_it_is_written_and_no_more() -> Result<()> {
    let stage = Stage::new().await?;
    let subjects = declared().subjects()?;
    stage.admit(&subjects).await?;
    let policies = subjects.policies(&Mounts::default())?;
    let mut paths: BTreeSet<String> = policies
        .iter()
        .flat_map(|policy| policy.rules().iter().map(|rule| rule.path().replace('+', COUNTED)))
        .collect();
    // And some that nobody may.
    paths.extend(
        [
            "sys/policies/acl/root",
            "sys/seal",
            "sys/raw/core",
            "keyboot-secrets/data/other/tsm/node/0/p2p-key",
        ]
        .map(str::to_owned),
    );
    let (mut granted, mut faults) = (0, Vec::new());
    for policy in &policies {
        let token = stage.token_of(&[policy.name()]).await?;
        let asked = json!({ "token": token, "paths": paths });
        let told = stage.ask(Method::POST, "sys/capabilities", Some(&asked)).await?.accepted()?;
        for path in &paths {
            let capabilities: BTreeSet<String> = serde_json::from_value(told["data"][path].clone())
                .with_context(|| format!("nothing is told of {path}"))?;
            let expected = said(policy, path);
            granted += usize::from(!expected.contains("deny"));
            if capabilities != expected {
                faults.push(format!("{} at {path}: {capabilities:?} and not {expected:?}", policy.name()));
            }
        }
    }
    ensure!(faults.is_empty(), "{}", faults.join("\n"));
    ensure!(granted > 300, "only {granted} were granted: the paths are not those of the policies");
    Ok(())
}

/// Tries a call with two tokens: granted to one and refused to the other.
async fn only(
    stage: &Stage,
    tokens: (&str, &str),
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> Result<()> {
    let (who, other) = tokens;
    let refused = stage.bao.server.call(method.clone(), path, Some(other), body).await?;
    ensure!(
        refused.status == StatusCode::FORBIDDEN,
        "{method} {path} is answered {} to the other",
        refused.status
    );
    let granted = stage.bao.server.call(method.clone(), path, Some(who), body).await?;
    ensure!(granted.status.is_success(), "{method} {path} is answered {}", granted.status);
    Ok(())
}

#[tokio::test]
async fn the_auditor_sees_the_rules_and_changes_none() -> Result<()> {
    let stage = Stage::new().await?;
    stage.admit(&declared().subjects()?).await?;
    let app_role = json!({ "type": "approle" });
    stage.ask(Method::POST, "sys/auth/approle", Some(&app_role)).await?.accepted()?;
    let role = json!({ "token_policies": ["provisioner"] });
    stage.ask(Method::POST, "auth/approle/role/provisioner", Some(&role)).await?.accepted()?;
    let (auditor, provisioner) =
        (stage.token_of(&["auditor"]).await?, stage.token_of(&["provisioner"]).await?);
    let list = || Method::from_bytes(b"LIST").unwrap();
    for (method, path) in [
        (Method::GET, "sys/audit"),
        (Method::GET, "sys/mounts"),
        (Method::GET, "sys/auth"),
        (Method::GET, "sys/config/state/sanitized"),
        (list(), "sys/policies/acl"),
        (Method::GET, "sys/policies/acl/provisioner"),
        (list(), "auth/approle/role"),
        (Method::GET, "auth/approle/role/provisioner"),
        (list(), "auth/token/accessors"),
        (Method::GET, "keyboot-secrets/config"),
        (Method::GET, "keyboot-transit/keys/seal"),
    ] {
        only(&stage, (&auditor, &provisioner), method, path, None).await?;
    }
    // The same places, to change something there.
    let something = json!({ "policy": "", "type": "file", "options": { "file_path": "discard" } });
    for (method, path) in [
        (Method::POST, "sys/audit/third"),
        (Method::DELETE, "sys/audit/file-1"),
        (Method::POST, "sys/mounts/more"),
        (Method::PUT, "sys/policies/acl/auditor"),
        (Method::DELETE, "sys/policies/acl/provisioner"),
        (Method::POST, "auth/approle/role/provisioner"),
        (Method::POST, "auth/approle/role/provisioner/secret-id"),
        (Method::GET, "auth/approle/role/provisioner/role-id"),
        (Method::POST, "auth/token/revoke-accessor"),
        (Method::POST, "keyboot-secrets/config"),
        (Method::POST, "keyboot-transit/keys/seal/rotate"),
    ] {
        let answer = stage.bao.server.call(method.clone(), path, Some(&auditor), Some(&something)).await?;
        ensure!(answer.status == StatusCode::FORBIDDEN, "{method} {path} is answered {}", answer.status);
    }
    Ok(())
}

/// What stands beside a value can be changed; how many values are kept, and for how long, cannot.
#[tokio::test]
async fn what_is_said_beside_a_secret_is_all_that_its_maker_changes_of_it() -> Result<()> {
    let stage = Stage::new().await?;
    stage.admit(&declared().subjects()?).await?;
    let token = stage.token_of(&["provisioner"]).await?;
    let path = "keyboot/tsm/node/0/p2p-key";
    let put = |body: Value| {
        let (server, token) = (&stage.bao.server, &token);
        async move { server.call(Method::POST, &format!("{SECRETS}/data/{path}"), Some(token), Some(&body)).await }
    };
    // Without a comparison nothing goes in, not even where nothing stands.
    ensure!(put(json!({ "data": { "value": "a" } })).await?.status == StatusCode::FORBIDDEN);
    ensure!(put(json!({ "data": { "value": "a" }, "options": {} })).await?.status == StatusCode::BAD_REQUEST);
    put(json!({ "data": { "value": "a" }, "options": { "cas": 0 } })).await?.accepted()?;
    let metadata = format!("{SECRETS}/metadata/{path}");
    for (body, status) in [
        (json!({ "custom_metadata": { "a": "b" } }), StatusCode::NO_CONTENT),
        (json!({ "custom_metadata": { "a": "b" }, "max_versions": 1 }), StatusCode::FORBIDDEN),
        (json!({ "custom_metadata": { "a": "b" }, "delete_version_after": "1s" }), StatusCode::FORBIDDEN),
        (json!({ "custom_metadata": { "a": "b" }, "CAS_REQUIRED": false }), StatusCode::FORBIDDEN),
    ] {
        let answer = stage.bao.server.call(Method::POST, &metadata, Some(&token), Some(&body)).await?;
        ensure!(answer.status == status, "{body} is answered {}", answer.status);
    }
    // What was taken out of use counts as standing still.
    let all = json!({ "versions": [1] });
    stage.ask(Method::POST, &format!("{SECRETS}/delete/{path}"), Some(&all)).await?.accepted()?;
    for newest in [0, 1] {
        let answer = put(json!({ "data": { "value": "b" }, "options": { "cas": newest } })).await?;
        ensure!(
            answer.status == StatusCode::FORBIDDEN,
            "it writes over what was taken out of use: {}",
            answer.status
        );
    }
    let read = stage.ask(Method::GET, &metadata, None).await?.accepted()?;
    let data: BTreeMap<String, Value> = serde_json::from_value(read["data"].clone())?;
    ensure!(data["current_version"] == 1 && data["max_versions"] == 0, "{data:?}");
    Ok(())
}
