//! Who reads what with an instance's credentials: a node its own, and no other's; and what anybody may read holds no
//! secret.

use anyhow::{Context as _, Result, ensure};
use rig::cloud::Cloud;
use rig::instances::groups;
use serde_json::json;

use crate::stage::{CORE, Stage, cluster};

/// What an attempt ended with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Outcome {
    Read,
    Denied,
}
use Outcome::{Denied, Read};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_reads_its_own_nodes_secrets_and_no_others() -> Result<()> {
    let mut stage = Stage::set(2, &[]).await?;
    stage.instances.follow().await?;
    let mut as_expected = 0;
    for index in 0..2 {
        let instance = stage.instances.instance(index)?;
        ensure!(instance.booted().await?, "{}", instance.console());
        let role = Cloud::with(stage.root.endpoint(), instance.credentials().clone());
        let asked = instance.metadata().asked();
        ensure!(asked.contains(&"PUT /latest/api/token".to_owned()), "{asked:?}");
        let who = role.sts().get_caller_identity().send().await?.arn.unwrap_or_default();
        ensure!(who.contains(&format!("assumed-role/tsm-node-{index}/{}", instance.id)), "{who}");
        for other in 0..2 {
            let own = if index == other { Read } else { Denied };
            let master = stage.core.output(&format!("Node{other}MasterSecretArn"))?.to_owned();
            let login = stage.login_secret(other)?;
            let node = format!("{}/node/{other}", cluster());
            let attempts = [
                ("P2P key", own, secret(&role, &format!("{node}/p2p-key")).await?),
                ("share password", own, secret(&role, &format!("{node}/share-encryption-password")).await?),
                ("API key", Denied, secret(&role, &format!("{node}/api-key/default")).await?),
                ("database login", own, secret(&role, &login).await?),
                ("master user", Denied, secret(&role, &master).await?),
                ("environment", own, parameter(&role, &format!("/{node}/env")).await?),
                ("record", Read, parameter(&role, &format!("/{node}/record")).await?),
            ];
            for (what, expected, found) in attempts {
                ensure!(found == expected, "node {index}, {what} of node {other}: {found:?}");
                as_expected += 1;
            }
        }
        changes_nothing(&stage, &role, index).await?;
    }
    ensure!(as_expected == 28, "{as_expected}");
    holds_no_secret(&stage).await
}

/// What a node's role may not do with what it reads.
async fn changes_nothing(stage: &Stage, role: &Cloud, index: u32) -> Result<()> {
    let login = stage.login_secret(index)?;
    let put = role.secrets().put_secret_value().secret_id(&login).secret_string("{}").send().await;
    ensure!(put.is_err_and(|fault| is_denied(&fault)), "node {index} changes its login");
    let record = format!("/{}/node/{index}/record", cluster());
    let put = role.parameters().put_parameter().name(record).value("{}").overwrite(true).send().await;
    ensure!(put.is_err_and(|fault| is_denied(&fault)), "node {index} changes its record");
    let archive = stage.deployment.parameter("NodeArchiveKey").context("no archive")?;
    let own = role.s3().get_object().bucket("keyboot-code").key(archive).send().await;
    ensure!(own.is_ok(), "node {index} does not read its own program: {:?}", own.err());
    let other = role.s3().get_object().bucket("keyboot-code").key("core/database-login.zip").send().await;
    ensure!(other.is_err(), "node {index} reads the function's code");
    let listed = role.s3().list_objects_v2().bucket("keyboot-code").send().await;
    ensure!(listed.is_err(), "node {index} sees what else is in the bucket");
    Ok(())
}

/// User data and launch templates are readable by whoever may describe them (EC2 User Guide, "Work with instance
/// user data").
async fn holds_no_secret(stage: &Stage) -> Result<()> {
    let secrets = stage.all_secrets().await?;
    ensure!(secrets.len() >= 10, "only {} secrets", secrets.len());
    let mut templates = String::new();
    for index in 0..2 {
        let id = stage.of_node("AWS::EC2::LaunchTemplate", index).await?;
        let all = json!({"LaunchTemplateId": id});
        templates += &stage.ask("ec2", "describe_launch_template_versions", &all)?.to_string();
    }
    let groups = groups(&stage.venv, &stage.root, CORE)?;
    ensure!(groups.len() == 2 && groups.iter().all(|group| group.user_data.starts_with("#!")), "{groups:?}");
    let stack = format!("{:?} {:?}", stage.core.stack, stage.core.events);
    let instances = stage.ask("ec2", "describe_instances", &json!({}))?;
    let places = [templates, format!("{groups:?}"), stack, instances.to_string()];
    for (name, value) in &secrets {
        ensure!(places.iter().all(|place| !place.contains(value.as_str())), "a secret of {name} is told");
    }
    // And on the instances' disks; what is there is found.
    let found = stage.instances.find_on_disks(secrets.iter().map(|(_, value)| value.as_str()))?;
    ensure!(found.is_empty(), "on a disk: {found:?}");
    let public = stage.instances.find_on_disks(["sealed-under"])?;
    ensure!(public.iter().filter(|path| path.ends_with("etc/keyboot/tsm.toml")).count() == 2, "{public:?}");
    Ok(())
}

async fn secret(role: &Cloud, id: &str) -> Result<Outcome> {
    match role.secrets().get_secret_value().secret_id(id).send().await {
        Ok(read) => {
            read.secret_string.context("no text")?;
            Ok(Read)
        }
        Err(fault) if is_denied(&fault) => Ok(Denied),
        Err(fault) => Err(fault).with_context(|| format!("reading {id}")),
    }
}

async fn parameter(role: &Cloud, name: &str) -> Result<Outcome> {
    match role.parameters().get_parameter().name(name).send().await {
        Ok(_) => Ok(Read),
        Err(fault) if is_denied(&fault) => Ok(Denied),
        Err(fault) => Err(fault).with_context(|| format!("reading {name}")),
    }
}

fn is_denied(fault: &impl aws_smithy_types::error::metadata::ProvideErrorMetadata) -> bool {
    fault.code().is_some_and(|code| code.starts_with("AccessDenied"))
}
