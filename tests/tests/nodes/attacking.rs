//! What somebody would try who administers the stack's account and uses no key: to have a node run with a
//! password of his own, to let a node back in that was removed, to outlive what watches a node.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use aws_sdk_ssm::types::{ParameterTier, ParameterType};
use key_material::SharePassword;
use nix::sys::signal::Signal;
use provisioning::sealing::StoredValue;
use rig::cluster;
use rig::nodes::How;

use crate::calling::until;
use crate::executing::{Ready, ended};
use crate::stage::{Stage, cluster, parameters};

const ENVIRONMENT: &str = "/keyboot/tsm/node/0/env";

impl Ready {
    async fn parameter(&self, name: &str) -> Result<String> {
        let found = self.root.parameters().get_parameter().name(name).send().await?.parameter;
        found.and_then(|found| found.value).with_context(|| format!("{name} has no value"))
    }

    async fn put(&self, name: &str, text: &str) -> Result<()> {
        let call = self.root.parameters().put_parameter().name(name).value(text).overwrite(true);
        call.r#type(ParameterType::String).tier(ParameterTier::Advanced).send().await?;
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_that_was_planted_under_the_right_name_account_and_version_is_not_used() -> Result<()> {
    let ready = Ready::set().await?;
    let published = cluster::read(&ready.root, &cluster(), ready.stack.output("RecordKeyArn")?).await?;
    let version = published.records[&"0".parse()?].share_version_id.clone().context("no password")?;
    let name = "keyboot/tsm/node/0/share-encryption-password";
    let secrets = ready.root.secrets();
    let old = secrets.describe_secret().secret_id(name).send().await?.arn.context("no ARN")?;
    secrets.delete_secret().secret_id(name).force_delete_without_recovery(true).send().await?;
    let his = SharePassword::make()?;
    // EXPOSE: to the store of this test, as his.
    let value = StoredValue::plain_share_password(&his).expose().to_owned();
    let call = secrets.create_secret().name(name).client_request_token(version).secret_string(value);
    let planted = call.send().await?.arn.context("no ARN")?;
    let environment = ready.parameter(ENVIRONMENT).await?;
    ready.put(ENVIRONMENT, &environment.replace(&old, &planted)).await?;
    let output = ready.exec("env", |_| ())?;
    let (code, said) = ended(&output);
    ensure!(code == Some(1) && said.contains("not sealed") && said.contains(&planted), "{code:?}: {said}");
    // EXPOSE: to the search for it.
    let is_in = |text: &[u8]| String::from_utf8_lossy(text).contains(his.expose());
    ensure!(!is_in(&output.stdout) && !is_in(&output.stderr), "his password reached the node");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_removed_is_not_let_back_in_by_what_is_not_signed() -> Result<()> {
    let ready = Ready::set().await?;
    let fewer = parameters(1);
    let fewer = fewer.iter().map(|(name, value)| (*name, value.as_str()));
    ready.deployment.clone().with_all(fewer).update().await?;
    // Its record is still there, and signed.
    let record = ready.parameter("/keyboot/tsm/node/1/record").await?;
    ensure!(record.contains("\"signature\""), "{record}");
    let environment = ready.parameter(ENVIRONMENT).await?;
    let own = ready.root.parameters().get_parameter().name("/keyboot/tsm/node/1/record").send().await?;
    let arn = own.parameter.and_then(|found| found.arn).context("no ARN")?;
    let widened = environment.replacen('{', &format!("{{\"peerRecordArns\":[\"{arn}\"],"), 1);
    ready.put(ENVIRONMENT, &widened).await?;
    let said = ended(&ready.exec("true", |_| ())?).1;
    ensure!(said.contains("does not name"), "{said}");
    let config = fs::read_to_string(ready.nodes.rendered(0)).unwrap_or_default();
    ensure!(!config.contains("[Players.1]"), "{config}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_does_not_outlive_what_watches_it() -> Result<()> {
    let stage = Stage::set(How::Environment, [("ManagementKey", "true")]).await?;
    ensure!(stage.nodes.status(1).is_ok(), "node 1 does not run");
    stage.nodes.signal(1, Signal::SIGKILL)?;
    until("the node has ended with its watcher", 5, async || Ok(stage.nodes.status(1).is_err())).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    ensure!(stage.nodes.status(0).is_ok(), "another node has ended with it");
    Ok(())
}
