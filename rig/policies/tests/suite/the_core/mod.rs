//! The policies of the Core Stack's template, for a stack of two nodes: each thing that somebody may do, beside the
//! nearest that he may not.

mod alarms;
mod functions;
mod logins;
mod network;
mod nodes;
mod storage_key;
mod whole;

use std::collections::BTreeSet;
use std::fs;

use policies::template::{Resolved, Stack, Template};
use policies::{Context, Decision, IdentityPolicy, Principal, Request, ResourcePolicy, Target, decide};
use serde_json::{Value, json};

use crate::asking::HERE;

const STACK: &str =
    "arn:aws:cloudformation:eu-central-1:111122223333:stack/core/0f2c1c2e-9f0e-4f9a-8a53-000000000001";
const SECRETS_KEY: &str = "arn:aws:kms:eu-central-1:111122223333:key/mrk-secrets";
const STORAGE_KEY: &str = "arn:aws:kms:eu-central-1:111122223333:key/storage";
const VIA_SECRETS_MANAGER: &str = "secretsmanager.eu-central-1.amazonaws.com";
/// Auto Scaling's role for this stack's groups, which ends with a part of the stack's id.
const SCALING_ROLE: &str =
    "aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling_keyboot-0f2c1c2e";
const SCALING_NAME: &str = "AWSServiceRoleForAutoScaling_keyboot-0f2c1c2e";

fn stack() -> Stack {
    stack_of(STACK)
}

fn stack_of(id: &str) -> Stack {
    let given = [
        ("Nodes", "0,1"),
        ("KmsKeyArn", SECRETS_KEY),
        ("Pins", "arn:aws:kms:eu-central-1:111122223333:key/records=AAAA"),
        ("SdkDomain", "tsm.example.com"),
        ("HostedZoneId", "Z0123456789ABC"),
        ("CodeBucket", "code"),
        ("NodeArchiveKey", "node.tar.gz"),
        ("NodeArchiveSha256", "00"),
    ];
    given.into_iter().fold(Stack::new(id).unwrap(), |stack, (name, value)| stack.parameter(name, value))
}

/// The template for a stack, in which all that has an ARN has one, and each resource is called as its logical id.
fn resolve(stack: Stack) -> Resolved {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../stacks/core.yaml");
    let template = Template::read(&fs::read_to_string(path).unwrap()).unwrap();
    let ids: Vec<_> = {
        let resolved = template.resolve(&stack).unwrap();
        resolved.resources().map(|(id, kind)| (id.to_owned(), kind.to_owned())).collect()
    };
    let stack = ids.iter().fold(stack, |stack, (id, kind)| {
        let index = id.trim_start_matches(|c: char| !c.is_ascii_digit());
        let (reference, arn) = match kind.as_str() {
            "AWS::IAM::Role" => (role_name(id, index), role_arn(&role_name(id, index))),
            "AWS::IAM::ServiceLinkedRole" => (SCALING_NAME.to_owned(), String::new()),
            "AWS::SecretsManager::Secret" => (login(index), login(index)),
            "AWS::KMS::Key" if id == "StorageKey" => ("storage".to_owned(), STORAGE_KEY.to_owned()),
            "AWS::Logs::LogGroup" => (id.clone(), log_group(id)),
            "AWS::SNS::Topic" => (topic(), topic()),
            "AWS::ElasticLoadBalancingV2::LoadBalancer" => (load_balancer(id), String::new()),
            "AWS::IAM::InstanceProfile" => {
                (id.clone(), format!("arn:aws:iam::{HERE}:instance-profile/tsm-node-{index}"))
            }
            _ => (id.clone(), format!("arn:aws:any:eu-central-1:{HERE}:{id}")),
        };
        let stack = stack.physical_id(id, &reference).attribute(id, "Arn", arn);
        match kind.as_str() {
            "AWS::RDS::DBInstance" => stack
                .attribute(id, "MasterUserSecret.SecretArn", master(index))
                .attribute(id, "DbiResourceId", format!("db-{index}"))
                .attribute(id, "Endpoint.Address", "db.internal")
                .attribute(id, "Endpoint.Port", "5432"),
            "AWS::EC2::SecurityGroup" => stack.attribute(id, "GroupId", format!("sg-{id}")),
            "AWS::ElasticLoadBalancingV2::LoadBalancer" => stack
                .attribute(id, "LoadBalancerFullName", format!("net/{id}"))
                .attribute(id, "DNSName", format!("{id}.elb.amazonaws.com"))
                .attribute(id, "CanonicalHostedZoneID", "Z0"),
            "AWS::ElasticLoadBalancingV2::TargetGroup" => {
                stack.attribute(id, "TargetGroupFullName", format!("targetgroup/{id}"))
            }
            "AWS::EC2::LaunchTemplate" => stack.attribute(id, "LatestVersionNumber", "1"),
            _ => stack,
        }
    });
    template.resolve(&stack).unwrap()
}

/// The name of a role, which the template says for nodes and their functions.
fn role_name(id: &str, index: &str) -> String {
    match id.trim_end_matches(|c: char| c.is_ascii_digit()) {
        "NodeRole" => format!("tsm-node-{index}"),
        "LoginRole" => format!("tsm-node-{index}-database-login"),
        other => other.to_owned(),
    }
}

fn role_arn(name: &str) -> String {
    format!("arn:aws:iam::{HERE}:role/{name}")
}

fn login(index: &str) -> String {
    secret(&format!("keyboot-storage/tsm/node/{index}/database-login"))
}

fn master(index: &str) -> String {
    secret(&format!("rds!db-{index}"))
}

fn secret(path: &str) -> String {
    format!("arn:aws:secretsmanager:eu-central-1:{HERE}:secret:{path}-AbCdEf")
}

fn parameter(account: &str, path: &str) -> String {
    format!("arn:aws:ssm:eu-central-1:{account}:parameter/keyboot/tsm/{path}")
}

fn load_balancer(id: &str) -> String {
    format!("arn:aws:elasticloadbalancing:eu-central-1:{HERE}:loadbalancer/net/{id}/0123456789abcdef")
}

fn log_group(id: &str) -> String {
    format!("arn:aws:logs:eu-central-1:{HERE}:log-group:{id}:*")
}

fn topic() -> String {
    format!("arn:aws:sns:eu-central-1:{HERE}:AlarmTopic")
}

/// The inline policies of a role.
fn policies_of(resolved: &Resolved, role: &str) -> Vec<IdentityPolicy> {
    let properties = resolved.resource(role).unwrap();
    let inline = properties["Policies"].as_array().unwrap();
    inline.iter().map(|one| IdentityPolicy::parse(role, &one["PolicyDocument"]).unwrap()).collect()
}

/// The actions that a role's policies allow, as they are written.
fn actions_of(resolved: &Resolved, role: &str) -> BTreeSet<String> {
    let properties = resolved.resource(role).unwrap();
    let inline = properties["Policies"].as_array().unwrap().iter();
    let statements = inline.flat_map(|one| one["PolicyDocument"]["Statement"].as_array().unwrap());
    let allow = statements.filter(|statement| statement["Effect"] == "Allow");
    allow.flat_map(|statement| texts(&statement["Action"])).collect()
}

/// A text, or a list of texts.
fn texts(value: &Value) -> Vec<String> {
    let list = value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
    list.iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

fn session(name: &str) -> Principal {
    Principal::role(&role_arn(name), "i-0a1b2c3d").unwrap()
}

/// A call that somebody makes himself, at an endpoint of a network.
fn at(network: &str) -> Context {
    Context::new()
        .with("aws:ViaAWSService", "false")
        .with("aws:SourceVpc", network)
        .with("aws:Ec2InstanceSourceVpc", network)
}

/// What Secrets Manager asks of KMS for a secret.
fn for_secret(arn: &str, version: &str) -> Context {
    Context::new()
        .with("aws:ViaAWSService", "true")
        .with("kms:ViaService", VIA_SECRETS_MANAGER)
        .with("kms:EncryptionContext:SecretARN", arn)
        .with("kms:EncryptionContext:SecretVersionId", version)
        .with_all("kms:EncryptionContextKeys", ["SecretARN", "SecretVersionId"])
}

/// A policy that allows everything, as an administrator has.
fn administrator() -> [IdentityPolicy; 1] {
    let statement = json!({"Effect": "Allow", "Action": "*", "Resource": "*"});
    [IdentityPolicy::parse("administrator", &json!({ "Statement": statement })).unwrap()]
}

fn storage_key_policy(resolved: &Resolved) -> ResourcePolicy {
    ResourcePolicy::parse("StorageKey", &resolved.policy("StorageKey", "KeyPolicy").unwrap()).unwrap()
}

/// What somebody may do with the storage key.
fn with_storage_key(
    resolved: &Resolved,
    who: &Principal,
    attached: &[IdentityPolicy],
    action: &str,
    context: Context,
) -> Decision {
    let policy = storage_key_policy(resolved);
    let request = Request::new(who.clone(), action, STORAGE_KEY).with(context);
    decide(&request, attached, &Target::kms_key(HERE, &policy)).unwrap()
}

fn assert_not_allowed(decision: &Decision, why: &str) {
    assert!(matches!(decision, Decision::DeniedImplicitly(_)), "{why}: {decision}");
}

fn assert_denied_by(statement: &str, decision: &Decision) {
    match decision {
        Decision::DeniedExplicitly(denial) => assert_eq!(denial.statement, statement),
        other => panic!("{statement} does not deny: {other}"),
    }
}
