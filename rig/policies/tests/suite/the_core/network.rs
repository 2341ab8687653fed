//! What the endpoints in the network let through: this account's, and what a cluster needs.

use std::collections::BTreeSet;

use policies::template::Resolved;
use policies::{Context, Decision, Principal, Request, ResourcePolicy, Target, decide};
use serde_json::json;

use super::{
    SECRETS_KEY, administrator, log_group, login, master, parameter, resolve, secret, session, stack,
};
use crate::asking::{ELSEWHERE, HERE};

/// What an endpoint's policy lets through, of somebody who is allowed everything. It is a policy of its own: both it and the
/// resource's have to allow (Amazon VPC User Guide, "Control access to VPC endpoints using endpoint policies").
fn through(resolved: &Resolved, endpoint: &str, who: Principal, action: &str, resource: &str) -> Decision {
    let policy = &resolved.resource(endpoint).unwrap()["PolicyDocument"];
    let policy = ResourcePolicy::parse(endpoint, policy).unwrap();
    let account = who.account().unwrap_or(HERE).to_owned();
    let request = Request::new(who, action, resource).with(Context::new());
    decide(&request, &administrator(), &Target::role(&account, &policy)).unwrap()
}

fn stranger() -> Principal {
    Principal::role(&format!("arn:aws:iam::{ELSEWHERE}:role/thief"), "session").unwrap()
}

#[test]
fn endpoints_serve_this_account_and_this_cluster() {
    let resolved = resolve(stack().parameter("SessionManager", "true"));
    let ours = secret("keyboot/tsm/node/0/p2p-key");
    let (record, bucket) = (parameter(ELSEWHERE, "node/1/record"), "arn:aws:s3:::code/node.tar.gz");
    for (endpoint, action, resource, not) in [
        ("KmsEndpoint", "kms:Decrypt", SECRETS_KEY, "arn:aws:kms:eu-central-1:111122223333:key/other"),
        ("SecretsManagerEndpoint", "secretsmanager:GetSecretValue", &ours, &secret("other/secret")),
        ("SecretsManagerEndpoint", "secretsmanager:GetSecretValue", &login("0"), &secret("other/rds")),
        ("SecretsManagerEndpoint", "secretsmanager:GetSecretValue", &master("0"), &secret("rds-db")),
        (
            "SsmEndpoint",
            "ssm:GetParameters",
            &record,
            "arn:aws:ssm:eu-central-1:111122223333:parameter/other",
        ),
        ("S3Endpoint", "s3:GetObject", bucket, "arn:aws:s3:::elsewhere/loot"),
        ("SsmMessagesEndpoint", "ssmmessages:CreateDataChannel", "*", ""),
    ] {
        let ask = |who: Principal, resource: &str| through(&resolved, endpoint, who, action, resource);
        assert!(ask(session("tsm-node-0"), resource).is_allowed(), "{endpoint}: {resource}");
        assert!(!ask(stranger(), resource).is_allowed(), "{endpoint}: another account's credentials");
        assert!(not.is_empty() || !ask(session("tsm-node-0"), not).is_allowed(), "{endpoint}: {not}");
    }
    for (endpoint, action, resource) in [
        ("KmsEndpoint", "kms:Encrypt", SECRETS_KEY),
        ("SecretsManagerEndpoint", "secretsmanager:CreateSecret", ours.as_str()),
        ("SecretsManagerEndpoint", "secretsmanager:PutSecretValue", ours.as_str()),
        ("SsmEndpoint", "ssm:PutParameter", record.as_str()),
        ("S3Endpoint", "s3:PutObject", bucket),
        ("LogsEndpoint", "logs:GetLogEvents", &log_group("core-NodeLogGroup0-1ABC")),
    ] {
        let decision = through(&resolved, endpoint, session("admin"), action, resource);
        assert!(!decision.is_allowed(), "{endpoint}: {action}");
    }
    let write = through(
        &resolved,
        "LogsEndpoint",
        session("tsm-node-0"),
        "logs:PutLogEvents",
        &log_group("core-NodeLogGroup0-1ABC"),
    );
    assert!(write.is_allowed());
}

/// A function that answers CloudFormation, and the first start of an instance, come by routes and endpoints: all of those
/// are there before them, and go after them.
#[test]
fn whatever_needs_a_way_out_comes_after_all_of_them() {
    let ready = |stack| {
        let value = resolve(stack).resource("NetworkReady").unwrap()["Value"].clone();
        let value = value.as_str().unwrap().to_owned();
        assert!(value.len() <= 4096, "{} characters", value.len());
        value.split(' ').map(str::to_owned).collect::<BTreeSet<_>>()
    };
    let ways = |stack| -> BTreeSet<_> {
        let resolved = resolve(stack);
        let kinds = ["AWS::EC2::Route", "AWS::EC2::SubnetRouteTableAssociation", "AWS::EC2::VPCEndpoint"];
        let all = resolved.resources().filter(|(_, kind)| kinds.contains(kind));
        all.map(|(id, _)| id.to_owned()).collect()
    };
    for zones in ["2", "3"] {
        for endpoints in ["true", "false"] {
            let stack = || stack().parameter("Zones", zones).parameter("VpcEndpoints", endpoints);
            assert_eq!(ready(stack()), ways(stack()), "{zones} zones, endpoints: {endpoints}");
        }
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../stacks/core.yaml");
    let text = std::fs::read_to_string(path).unwrap();
    for after in [
        "DatabaseLogin${Index}:\n        Type: Custom::DatabaseLogin\n",
        "NodeGroup${Index}:\n        Type: AWS::AutoScaling::AutoScalingGroup\n",
    ] {
        assert!(text.contains(&format!("{after}        DependsOn: NetworkReady\n")), "{after}");
    }
}

/// Nodes connect to nodes of other stacks on one port, which EC2 is told of once.
#[test]
fn nodes_connect_to_nodes_on_one_port() {
    for (exposure, wanted) in [
        ("Internal", &["10.42.0.0/16", "198.51.100.7/32", "203.0.113.0/24"][..]),
        ("InternetFacing", &["0.0.0.0/0"]),
    ] {
        let stack = stack().parameter("PeerCidrs", "198.51.100.7/32,203.0.113.0/24");
        let resolved = resolve(stack.parameter("Exposure", exposure));
        let out = resolved.resource("NodesSecurityGroup").unwrap()["SecurityGroupEgress"].clone();
        let out =
            out.as_array().unwrap().iter().filter(|rule| rule["FromPort"] != 443 && rule["FromPort"] != 5432);
        let to: Vec<_> = out
            .map(|rule| {
                assert_eq!((&rule["FromPort"], &rule["ToPort"]), (&json!(9000), &json!(9000)));
                rule["CidrIp"].as_str().unwrap().to_owned()
            })
            .collect();
        assert_eq!(to, wanted, "{exposure}");
    }
}

/// Another load balancer takes other target groups: one serves one load balancer.
#[test]
fn target_groups_are_named_after_their_load_balancer() {
    let resolved = resolve(stack());
    for (group, name) in [("SdkTargets0", "sdk-0123456789abcdef"), ("MpcTargets1", "mpc-0123456789abcdef")] {
        assert_eq!(resolved.resource(group).unwrap()["Name"], name);
    }
}

/// Every endpoint has a policy, and none lets everything through.
#[test]
fn every_endpoint_has_a_policy() {
    let resolved = resolve(stack().parameter("SessionManager", "true"));
    let endpoints = resolved.resources().filter(|(_, kind)| *kind == "AWS::EC2::VPCEndpoint");
    let endpoints: Vec<_> = endpoints.map(|(id, _)| id.to_owned()).collect();
    assert_eq!(endpoints.len(), 6, "{endpoints:?}");
    for endpoint in endpoints {
        let policy = &resolved.resource(&endpoint).unwrap()["PolicyDocument"];
        for statement in policy["Statement"].as_array().unwrap() {
            assert_ne!(statement["Action"], json!("*"), "{endpoint}");
            assert_eq!(statement["Effect"], "Allow", "{endpoint}");
        }
    }
    let without = resolve(stack().parameter("VpcEndpoints", "false"));
    assert_eq!(without.resources().filter(|(_, kind)| *kind == "AWS::EC2::VPCEndpoint").count(), 0);
}
