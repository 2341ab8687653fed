//! Events by hand: a stack whose events come to the test instead of to node-keys, and what node-keys
//! answers to whatever the test then hands to it.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use key_material::ApiKeyHash;
use rig::receiver::{Reaction, Receiver, StatusCode, put};
use rig::stack::{Deployed, Deployment};
use serde_json::{Map, Value, json};

use crate::support::Aws;

/// How long anything that goes over loopback may take.
const SOON: Duration = Duration::from_secs(20);

/// A function that answers nobody and sends each event on.
const PASS_ON: &str = "
import json, os, urllib.request
def handler(event, context):
    request = urllib.request.Request(os.environ['TO'], json.dumps(event).encode(), method='POST')
    urllib.request.urlopen(request, timeout=10).read()
";

/// A stack whose resource `Keys` stays in progress until the test answers.
pub(crate) struct RelayedStack {
    pub(crate) deployment: Deployment,
    pub(crate) id: String,
    events: Receiver,
}

impl RelayedStack {
    /// Begins to create it.
    pub(crate) async fn begin(aws: &Aws, name: &str, properties: &Value) -> Result<(Self, Value)> {
        let events = Receiver::start().await?;
        let deployment = Deployment::new(&aws.root, name, &relayed(&events, properties));
        let id = deployment.begin_create().await?;
        let stack = Self { deployment, id, events };
        let event = stack.event().await?;
        Ok((stack, event))
    }

    /// Begins to update it to other properties.
    pub(crate) async fn begin_update(&mut self, aws: &Aws, name: &str, properties: &Value) -> Result<Value> {
        self.deployment = Deployment::new(&aws.root, name, &relayed(&self.events, properties));
        self.deployment.begin_update().await?;
        self.event().await
    }

    /// Begins to delete it.
    pub(crate) async fn begin_delete(&self) -> Result<Value> {
        self.deployment.begin_delete().await?;
        self.event().await
    }

    /// The event that CloudFormation has just sent.
    pub(crate) async fn event(&self) -> Result<Value> {
        self.events.next(SOON).await.context("CloudFormation sent no event")?.json()
    }

    /// Gives an answer to CloudFormation in place of node-keys, and waits for the stack's end.
    pub(crate) async fn finish(&self, event: &Value, answer: &Value, wanted: &str) -> Result<Deployed> {
        self.answer(event, answer).await?;
        let stack = self.deployment.wait(&self.id, |_| ()).await?;
        assert_eq!(stack.status, wanted, "{:?}", stack.reasons());
        Ok(stack)
    }

    /// Gives an answer to CloudFormation in place of node-keys.
    pub(crate) async fn answer(&self, event: &Value, answer: &Value) -> Result<()> {
        let url = event["ResponseURL"].as_str().context("no ResponseURL")?;
        let status = put(url, answer.to_string()).await?;
        ensure!(status.is_success(), "CloudFormation refused the answer: {status}");
        Ok(())
    }
}

fn relayed(events: &Receiver, properties: &Value) -> String {
    let assume = json!({"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"});
    let mut keys: Map<String, Value> = properties.as_object().cloned().unwrap_or_default();
    keys.insert("ServiceToken".into(), json!({"Fn::GetAtt": ["Relay", "Arn"]}));
    keys.entry("ServiceTimeout").or_insert(json!("60"));
    let template = json!({"Resources": {
        "Role": {"Type": "AWS::IAM::Role", "Properties": {
            "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [assume]},
        }},
        "Relay": {"Type": "AWS::Lambda::Function", "Properties": {
            "Runtime": "python3.12",
            "Handler": "index.handler",
            "Timeout": 20,
            "Role": {"Fn::GetAtt": ["Role", "Arn"]},
            "Code": {"ZipFile": PASS_ON},
            "Environment": {"Variables": {"TO": events.url("/")}},
        }},
        "Keys": {"Type": "Custom::NodeKeys", "Properties": keys},
    }});
    template.to_string()
}

/// Hands events to node-keys and takes its answers.
pub(crate) struct ByHand<'a> {
    aws: &'a Aws,
    function: String,
    answers: Receiver,
}

impl<'a> ByHand<'a> {
    pub(crate) async fn of(aws: &'a Aws, kms_stack: &Deployed) -> Result<Self> {
        let function = kms_stack.output("NodeKeysFunctionArn")?.to_owned();
        Ok(Self { aws, function, answers: Receiver::start_with(Reaction::LikeS3).await? })
    }

    /// Where its answers come to the test.
    pub(crate) fn response_url(&self) -> String {
        self.answers.url("/answer?Signature=of-nobody")
    }

    /// An event as it is, but for where the answer goes.
    pub(crate) fn to_be_answered_here(&self, event: &Value) -> Value {
        let mut event = event.clone();
        event["ResponseURL"] = json!(self.response_url());
        event
    }

    /// Invokes node-keys with an event, whatever it is, and waits for the end of it.
    pub(crate) async fn invoke(&self, event: &str) -> Result<()> {
        let call = self.aws.root.lambda().invoke().function_name(&self.function);
        let ended =
            call.payload(event.as_bytes().to_vec().into()).send().await.context("invoking node-keys")?;
        let payload = ended.payload.unwrap_or_default();
        let told = String::from_utf8_lossy(payload.as_ref()).into_owned();
        ensure!(ended.function_error.is_none(), "node-keys failed: {told}");
        Ok(())
    }

    /// The next answer that came.
    pub(crate) async fn answer(&self) -> Result<Value> {
        let received = self.answers.next(SOON).await.context("node-keys did not answer")?;
        assert_eq!(received.status, Some(StatusCode::OK), "S3 would not have taken it: {received:?}");
        assert!(received.body.len() <= 4096, "an answer of {} bytes", received.body.len());
        received.json()
    }

    /// Delivers an event, and gives the answer to it.
    pub(crate) async fn deliver(&self, event: &Value) -> Result<Value> {
        self.invoke(&self.to_be_answered_here(event).to_string()).await?;
        self.answer().await
    }

    /// That no answer came which nobody has asked for yet.
    pub(crate) async fn heard_nothing(&self) -> Result<()> {
        let more = self.answers.next(Duration::from_millis(200)).await;
        ensure!(more.is_err(), "an answer that was not meant to be: {more:?}");
        Ok(())
    }
}

/// The properties of a client's cluster under the KMS Stack's key.
pub(crate) fn properties(kms_stack: &Deployed, cluster: &str, nodes: &[&str]) -> Result<Value> {
    let key = kms_stack.output("KmsKeyArn")?;
    Ok(json!({"Namespace": "keyboot", "Cluster": cluster, "Nodes": nodes, "KmsKeyArn": key}))
}

/// The id that a stack's resource `Keys` has for a cluster.
pub(crate) fn physical_id(stack_id: &str, cluster: &str) -> String {
    let digest = ApiKeyHash::of(&format!("{stack_id}\0Keys"));
    format!("keyboot/keyboot/{cluster}/{}", hex::encode(&digest.as_bytes()[..8]))
}
