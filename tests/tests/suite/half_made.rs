//! A Create that fails half way leaves nothing behind once CloudFormation has sent its Delete: no
//! secret, not even one that is scheduled for deletion, and no parameter.

use anyhow::{Context as _, Result};
use rig::stack::{Deployed, Deployment};
use serde_json::{Value, json};

use crate::delivery::properties;
use crate::snapshot::Snapshot;
use crate::support::{Aws, Role};

const CLIENT: &str = "client";
const CLUSTER: &str = "second";

/// Where a Create is stopped: an action that node-keys is denied, and on what.
const STOPS: &[(&str, &str)] = &[
    ("ssm:PutParameter", "arn:aws:ssm:*:*:parameter/keyboot/second/roster/index"),
    ("ssm:PutParameter", "arn:aws:ssm:*:*:parameter/keyboot/second/roster/1/page/0"),
    ("ssm:PutParameter", "arn:aws:ssm:*:*:parameter/keyboot/second/node/1/record"),
    ("ssm:PutParameter", "arn:aws:ssm:*:*:parameter/keyboot/second/node/0/env"),
    ("ssm:PutParameter", "arn:aws:ssm:*:*:parameter/keyboot/second/intent/*"),
    ("secretsmanager:CreateSecret", "arn:aws:secretsmanager:*:*:secret:keyboot/second/node/1/*"),
    ("secretsmanager:CreateSecret", "arn:aws:secretsmanager:*:*:secret:keyboot/second/node/0/api-key/*"),
    ("kms:Encrypt", "*"),
    ("kms:Sign", "*"),
];

/// A stack with nothing in it, or with a cluster besides.
fn template(keys: Option<Value>) -> String {
    let mut resources = json!({"Note": {"Type": "AWS::SSM::Parameter", "Properties": {
        "Name": "/client/note", "Type": "String", "Value": "here before the cluster",
    }}});
    if let Some(properties) = keys {
        resources["Keys"] = json!({"Type": "Custom::NodeKeys", "Properties": properties});
    }
    json!({"Resources": resources}).to_string()
}

#[tokio::test]
async fn what_a_failed_create_made_goes_with_it() -> Result<()> {
    let aws = Aws::start()?;
    let (kms, _) = aws.deploy([]).await?;
    let client = Deployment::new(&aws.root, CLIENT, &template(None)).create().await?;
    let stack = kms.with("ClientStackIds", &client.id).update().await?;
    let mut keys = properties(&stack, CLUSTER, &["0", "1"])?;
    keys["ServiceToken"] = json!(stack.output("NodeKeysFunctionArn")?);
    keys["ServiceTimeout"] = json!("60");
    let deployment = Deployment::new(&aws.root, CLIENT, &template(Some(keys)));
    let before = Snapshot::glance(&aws).await?;
    for (action, resource) in STOPS {
        let stop = format!("{action} on {resource}");
        deny(&aws, Some((action, resource))).await?;
        let mark = aws.mark()?;
        deployment.begin_update().await?;
        let failed = deployment.wait(&client.id, |_| ()).await.with_context(|| stop.clone())?;
        assert_eq!(failed.status, "UPDATE_ROLLBACK_COMPLETE", "{stop}: {:?}", failed.reasons());
        it_was_stopped_there(&aws, mark, action, &failed, &stop)?;
        assert_eq!(Snapshot::glance(&aws).await?, before, "{stop}");
    }
    deny(&aws, None).await?;
    let made = deployment.update().await.context("something is in the way of a new attempt")?;
    assert_eq!(made.id, client.id);
    let after = Snapshot::glance(&aws).await?;
    assert_eq!(after.secrets.len(), before.secrets.len() + 8);
    Ok(())
}

/// Denies node-keys one action, whatever its own policies allow; or none.
async fn deny(aws: &Aws, what: Option<(&str, &str)>) -> Result<()> {
    let (iam, role) = (aws.root.iam(), Role::of_node_keys(aws).await?.0);
    let Some((action, resource)) = what else {
        iam.delete_role_policy().role_name(role).policy_name("stop").send().await?;
        return Ok(());
    };
    let statement = json!({"Effect": "Deny", "Action": action, "Resource": resource});
    let policy = json!({"Version": "2012-10-17", "Statement": [statement]}).to_string();
    iam.put_role_policy().role_name(role).policy_name("stop").policy_document(policy).send().await?;
    Ok(())
}

/// A Create that failed for this and nothing else, and a Delete of the same id that succeeded.
fn it_was_stopped_there(aws: &Aws, mark: u64, action: &str, failed: &Deployed, stop: &str) -> Result<()> {
    let answers = aws.answers_since(mark)?;
    assert_eq!(answers.len(), 2, "{stop}: a Create and a Delete: {answers:?}");
    assert_eq!(
        (&answers[0]["Status"], &answers[1]["Status"]),
        (&json!("FAILED"), &json!("SUCCESS")),
        "{stop}"
    );
    assert_eq!(answers[0]["PhysicalResourceId"], answers[1]["PhysicalResourceId"], "{stop}");
    let (_, operation) = action.split_once(':').context("no action")?;
    let reason = answers[0]["Reason"].as_str().unwrap_or_default();
    assert!(reason.contains(operation), "{stop}: {reason}");
    assert!(failed.reasons().iter().any(|told| told.starts_with("Keys: ")), "{stop}: {:?}", failed.reasons());
    Ok(())
}
