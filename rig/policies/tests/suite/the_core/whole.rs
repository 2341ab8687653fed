//! The template as a whole.

use std::collections::BTreeSet;

use policies::template::{Resolved, Stack};
use policies::{IdentityPolicy, ResourcePolicy};
use serde_json::Value;

use super::{resolve, stack, texts};
use crate::asking::ELSEWHERE;

/// The stacks whose policies differ.
fn stacks() -> Vec<Stack> {
    let key = "arn:aws:kms:eu-central-1:444455556666:key/mrk-secrets";
    let elsewhere = stack().parameter("KeysAccount", ELSEWHERE).parameter("AllNodes", "0,1");
    vec![
        stack(),
        stack().parameter("SessionManager", "true"),
        stack().parameter("Store", "ParameterStore"),
        stack().parameter("VpcEndpoints", "false").parameter("FlowLogs", "false"),
        elsewhere.parameter("KmsKeyArn", key),
        stack().parameter("AlarmTopicArn", "arn:aws:sns:eu-central-1:111122223333:theirs"),
    ]
}

/// The policies of a resource, each with what kind of policy it is.
fn policies_of(resolved: &Resolved, id: &str, kind: &str) -> Vec<(&'static str, Value)> {
    let properties = || resolved.resource(id).unwrap();
    match kind {
        "AWS::KMS::Key" => vec![("resource", resolved.policy(id, "KeyPolicy").unwrap())],
        "AWS::SecretsManager::ResourcePolicy" => vec![("resource", properties()["ResourcePolicy"].clone())],
        "AWS::SNS::TopicPolicy" | "AWS::EC2::VPCEndpoint" => {
            vec![("resource", properties()["PolicyDocument"].clone())]
        }
        "AWS::IAM::Role" => {
            let properties = properties();
            for unread in ["ManagedPolicyArns", "PermissionsBoundary"] {
                assert_eq!(properties.get(unread), None, "{id}");
            }
            let inline = properties["Policies"].as_array().unwrap().iter();
            let inline = inline.map(|policy| ("identity", policy["PolicyDocument"].clone()));
            inline.chain([("trust", properties["AssumeRolePolicyDocument"].clone())]).collect()
        }
        // A resource whose values are not known here has a policy only if its text says so.
        _ => Vec::new(),
    }
}

/// Everything in the template that is a policy is understood, asks for keys that these tests know how to give, and
/// has a name for each statement.
#[test]
fn every_policy_is_understood() {
    let known = [
        "aws:CalledVia",
        "aws:Ec2InstanceSourceVpc",
        "aws:PrincipalAccount",
        "aws:PrincipalArn",
        "aws:ResourceTag/keyboot:delete-after",
        "aws:SecureTransport",
        "aws:SourceAccount",
        "aws:SourceArn",
        "aws:SourceVpc",
        "aws:ViaAWSService",
        "kms:EncryptionContext:PARAMETER_ARN",
        "kms:EncryptionContext:SecretARN",
        "kms:EncryptionContext:SecretVersionId",
        "kms:EncryptionContext:keyboot:cluster",
        "kms:EncryptionContext:keyboot:node",
        "kms:GrantIsForAWSResource",
        "kms:ViaService",
        "lambda:SourceFunctionArn",
    ];
    for stack in stacks() {
        let resolved = resolve(stack);
        let mut counted = 0;
        for (id, kind) in resolved.resources() {
            for (form, policy) in policies_of(&resolved, id, kind) {
                let read;
                let bound;
                let keys = match form {
                    "identity" => {
                        read = IdentityPolicy::parse(id, &policy).unwrap();
                        read.condition_keys()
                    }
                    "trust" => {
                        bound = ResourcePolicy::trust(id, &policy).unwrap();
                        bound.condition_keys()
                    }
                    _ => {
                        bound = ResourcePolicy::parse(id, &policy).unwrap();
                        bound.condition_keys()
                    }
                };
                let unknown: Vec<_> = keys.into_iter().filter(|key| !known.contains(key)).collect();
                assert!(unknown.is_empty(), "{id} asks for {unknown:?}");
                for statement in policy["Statement"].as_array().unwrap() {
                    assert!(statement["Sid"].is_string(), "{id} has a statement without a name");
                }
                counted += 1;
            }
        }
        assert!(counted >= 12, "{counted} policies");
    }
}

/// Nobody is allowed actions by a wildcard; and on everything there is, only what takes no resource.
#[test]
fn nothing_is_allowed_by_a_wildcard() {
    let anything = [
        // Network interfaces of a function: no resource can be named before they are there.
        "ec2:AssignPrivateIpAddresses",
        "ec2:CreateNetworkInterface",
        "ec2:DeleteNetworkInterface",
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeSubnets",
        "ec2:UnassignPrivateIpAddresses",
        // Session Manager's channels have no ARN (Service Authorization Reference).
        "ssm:UpdateInstanceInformation",
        "ssmmessages:CreateControlChannel",
        "ssmmessages:CreateDataChannel",
        "ssmmessages:OpenControlChannel",
        "ssmmessages:OpenDataChannel",
    ];
    for stack in stacks() {
        let resolved = resolve(stack);
        for (id, kind) in resolved.resources() {
            for (form, policy) in policies_of(&resolved, id, kind) {
                for statement in policy["Statement"].as_array().unwrap() {
                    if statement["Effect"] != "Allow" {
                        continue;
                    }
                    let actions: BTreeSet<_> = texts(&statement["Action"]).into_iter().collect();
                    assert!(!actions.iter().any(|action| action.contains(['*', '?'])), "{id}: {actions:?}");
                    if form == "identity" && texts(&statement["Resource"]).contains(&"*".to_owned()) {
                        let strange: Vec<_> =
                            actions.iter().filter(|action| !anything.contains(&action.as_str())).collect();
                        assert!(strange.is_empty(), "{id}: {strange:?} on everything");
                    }
                }
            }
        }
    }
}

/// What the template keeps: the key always, logins unless their stack never was, databases as snapshots.
#[test]
fn what_holds_key_shares_stays() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../stacks/core.yaml");
    let text = std::fs::read_to_string(path).unwrap();
    for (resource, delete, replace) in [
        ("  StorageKey:\n", "Retain", "Retain"),
        ("      LoginSecret${Index}:\n", "RetainExceptOnCreate", "Retain"),
        ("      LoginSecretPolicy${Index}:\n", "RetainExceptOnCreate", "Retain"),
        ("      Database${Index}:\n", "Snapshot", "Snapshot"),
    ] {
        let (_, rest) = text.split_once(resource).unwrap();
        let head = rest.split_once("Properties:").unwrap().0;
        assert!(head.contains(&format!("DeletionPolicy: {delete}\n")), "{resource}");
        assert!(head.contains(&format!("UpdateReplacePolicy: {replace}\n")), "{resource}");
    }
}
