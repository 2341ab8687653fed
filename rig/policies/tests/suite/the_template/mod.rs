//! The policies of this repository's template, for a stack of two nodes: each thing that somebody
//! may do, beside the nearest that he may not.

mod account;
mod alarms;
mod functions;
mod key_rotation;
mod keys_of_others;
mod node_keys;
mod nodes;
mod parameters;
mod readers;
mod schedules;
mod times;
mod whole;

use std::fs;

use policies::template::{Resolved, Stack, Template};
use policies::{Context, Decision, IdentityPolicy, Principal, Request, ResourcePolicy, Target, decide};
use serde_json::json;

use crate::asking::HERE;

const STACK: &str =
    "arn:aws:cloudformation:eu-central-1:111122223333:stack/keyboot/0f2c1c2e-9f0e-4f9a-8a53-000000000001";
const OTHER_STACK: &str =
    "arn:aws:cloudformation:eu-central-1:111122223333:stack/other/0f2c1c2e-9f0e-4f9a-8a53-000000000002";
const SECRETS_KEY: &str = "arn:aws:kms:eu-central-1:111122223333:key/mrk-secrets";
const RECORD_KEY: &str = "arn:aws:kms:eu-central-1:111122223333:key/records";
const VIA_SECRETS_MANAGER: &str = "secretsmanager.eu-central-1.amazonaws.com";

/// The template for a stack, in which all that has an ARN has one.
fn resolve(stack: Stack) -> Resolved {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../template.yaml");
    let template = Template::read(&fs::read_to_string(path).unwrap()).unwrap();
    let stack = stack.attribute("SecretsKey", "Arn", SECRETS_KEY).attribute("RecordKey", "Arn", RECORD_KEY);
    let ids: Vec<_> = {
        let resolved = template.resolve(&stack).unwrap();
        resolved.resources().map(|(id, kind)| (id.to_owned(), kind.to_owned())).collect()
    };
    let stack = ids.iter().fold(stack, |stack, (id, kind)| {
        let arn = match kind.as_str() {
            "AWS::IAM::Role" => format!("arn:aws:iam::{HERE}:role/{id}"),
            "AWS::Serverless::Function" => function_arn(id),
            "AWS::Logs::LogGroup" => format!("arn:aws:logs:eu-central-1:{HERE}:log-group:{id}:*"),
            "AWS::Scheduler::ScheduleGroup" => schedule_group(id),
            "AWS::SNS::Topic" => {
                return stack.physical_id(id, &format!("arn:aws:sns:eu-central-1:{HERE}:{id}"));
            }
            _ => return stack.physical_id(id, id),
        };
        stack.attribute(id, "Arn", arn).physical_id(id, id)
    });
    template.resolve(&stack).unwrap()
}

fn stack() -> Stack {
    let readers = format!("0={},1={}", role_arn("node-0"), role_arn("node-1"));
    Stack::new(STACK).unwrap().parameter("Nodes", "0,1").parameter("ReaderPrincipals", &readers)
}

fn role_arn(name: &str) -> String {
    format!("arn:aws:iam::{HERE}:role/{name}")
}

/// The policies as they are once the stack is made.
struct Deployed {
    resolved: Resolved,
    secrets_key: ResourcePolicy,
    record_key: ResourcePolicy,
}

impl Deployed {
    fn new(stack: Stack) -> Self {
        let resolved = resolve(stack);
        let key_policy =
            |id: &str| ResourcePolicy::parse(id, &resolved.policy(id, "KeyPolicy").unwrap()).unwrap();
        Self { secrets_key: key_policy("SecretsKey"), record_key: key_policy("RecordKey"), resolved }
    }

    fn policy(&self, id: &str) -> IdentityPolicy {
        IdentityPolicy::parse(id, &self.resolved.resource(id).unwrap()["PolicyDocument"]).unwrap()
    }

    /// The policies that the template attaches to a role of its own.
    fn attached_to(&self, role: &str) -> Vec<IdentityPolicy> {
        let policies = self.resolved.resources();
        let policies =
            policies.filter(|(_, kind)| ["AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"].contains(kind));
        let attached =
            policies.filter(|(id, _)| self.resolved.resource(id).unwrap()["Roles"] == json!([role]));
        attached.map(|(id, _)| self.policy(id)).collect()
    }

    /// What a role of the template's own may do with something that is not a key.
    fn role(&self, role: &str, action: &str, resource: &str, context: Context) -> Decision {
        let request = Request::new(session_of(role), action, resource).with(context);
        decide(&request, &self.attached_to(role), &Target::in_account(HERE)).unwrap()
    }

    fn node_keys(&self, action: &str, resource: &str, context: Context) -> Decision {
        self.role("NodeKeysRole", action, resource, context)
    }

    fn key_rotation(&self, action: &str, resource: &str, context: Context) -> Decision {
        self.role("KeyRotationRole", action, resource, context)
    }

    /// What somebody with these policies may do with the key that seals.
    fn with_secrets_key(
        &self,
        who: Principal,
        attached: &[IdentityPolicy],
        action: &str,
        context: Context,
    ) -> Decision {
        let request = Request::new(who, action, SECRETS_KEY).with(context);
        decide(&request, attached, &Target::kms_key(HERE, &self.secrets_key)).unwrap()
    }

    fn node_keys_with_secrets_key(&self, action: &str, context: Context) -> Decision {
        self.with_secrets_key(node_keys(), &self.attached_to("NodeKeysRole"), action, context)
    }

    fn key_rotation_with_secrets_key(&self, action: &str, context: Context) -> Decision {
        self.with_secrets_key(key_rotation(), &self.attached_to("KeyRotationRole"), action, context)
    }

    /// What the role of a node may do with the key, with the policy that the template has for it.
    fn node_with_secrets_key(&self, index: usize, context: Context) -> Decision {
        let attached = [self.policy(&format!("NodeReader{index}"))];
        self.with_secrets_key(node(index), &attached, "kms:Decrypt", context)
    }
}

fn session_of(role: &str) -> Principal {
    Principal::role(&role_arn(role), "function").unwrap()
}

fn node_keys() -> Principal {
    session_of("NodeKeysRole")
}

fn key_rotation() -> Principal {
    session_of("KeyRotationRole")
}

fn node(index: usize) -> Principal {
    Principal::role(&role_arn(&format!("node-{index}")), "instance").unwrap()
}

/// A policy that allows everything, as an administrator has.
fn administrator() -> [IdentityPolicy; 1] {
    let statement = json!({"Effect": "Allow", "Action": "*", "Resource": "*"});
    [IdentityPolicy::parse("administrator", &json!({ "Statement": statement })).unwrap()]
}

/// What KMS makes of an encryption context (KMS Developer Guide, "AWS KMS condition keys").
fn sealed_under(pairs: &[(&str, &str)]) -> Context {
    let keys = Context::new().with_all("kms:EncryptionContextKeys", pairs.iter().map(|(key, _)| *key));
    pairs
        .iter()
        .fold(keys, |context, (key, value)| context.with(&format!("kms:EncryptionContext:{key}"), *value))
}

fn full(cluster: &str, node: &str) -> Vec<(&'static str, String)> {
    vec![
        ("keyboot:cluster", cluster.to_owned()),
        ("keyboot:node", node.to_owned()),
        ("keyboot:purpose", "p2p-key".to_owned()),
    ]
}

fn pairs(owned: &[(&'static str, String)]) -> Context {
    sealed_under(&owned.iter().map(|(key, value)| (*key, value.as_str())).collect::<Vec<_>>())
}

fn secret(path: &str) -> String {
    format!("arn:aws:secretsmanager:eu-central-1:{HERE}:secret:{path}-AbCdEf")
}

fn parameter(path: &str) -> String {
    format!("arn:aws:ssm:eu-central-1:{HERE}:parameter/{path}")
}

fn schedule_group(name: &str) -> String {
    format!("arn:aws:scheduler:eu-central-1:{HERE}:schedule-group/{name}")
}

fn function_arn(name: &str) -> String {
    format!("arn:aws:lambda:eu-central-1:{HERE}:function:{name}")
}

/// A secret, or a parameter, that a stack has made its own.
fn owned_by(stack: &str) -> Context {
    Context::new().with("aws:ResourceTag/keyboot:stack", stack)
}

fn assert_denied_by(statement: &str, decision: &Decision) {
    match decision {
        Decision::DeniedExplicitly(denial) => assert_eq!(denial.statement, statement),
        other => panic!("{statement} does not deny: {other}"),
    }
}

fn assert_not_allowed(decision: &Decision, why: &str) {
    assert!(matches!(decision, Decision::DeniedImplicitly(_)), "{why}: {decision}");
}
