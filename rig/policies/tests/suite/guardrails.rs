//! The sample of service control policies: each road that it closes, with who is stopped, who deploys all the same,
//! and the nearest that is nobody's business.
//!
//! A policy of this kind denies whatever other policies allow, for everybody of an account but service-linked roles
//! (AWS Organizations User Guide, "Service control policies"). It is evaluated here as a policy of a role that is allowed
//! everything.

use std::fs;

use policies::template::{Stack, Template};
use policies::{Context, Decision, IdentityPolicy, Principal, Request, Target, decide};
use serde_json::{Value, json};

use crate::asking::HERE;

const STACK: &str =
    "arn:aws:cloudformation:eu-central-1:999988887777:stack/guardrails/0f2c1c2e-9f0e-4f9a-8a53-000000000001";

/// The policies' documents, by logical id.
fn documents() -> Vec<(String, Value)> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../stacks/guardrails.yaml");
    let template = Template::read(&fs::read_to_string(path).unwrap()).unwrap();
    let roles = "arn:aws:iam::*:role/stacksets-exec-*,arn:aws:iam::*:role/keyboot-deploy";
    let stack = Stack::new(STACK).unwrap().parameter("TargetIds", "ou-ab12-cd34ef56");
    let resolved = template.resolve(&stack.parameter("DeployRoles", roles)).unwrap();
    let policies = resolved.resources().filter(|(_, kind)| *kind == "AWS::Organizations::Policy");
    policies.map(|(id, _)| (id.to_owned(), resolved.resource(id).unwrap()["Content"].clone())).collect()
}

/// A service control policy has 5,120 characters at most (AWS Organizations User Guide, "Quotas and service limits").
#[test]
fn each_policy_is_short_enough() {
    let documents = documents();
    assert_eq!(documents.len(), 2);
    for (id, document) in documents {
        let length = document.to_string().chars().count();
        assert!(length <= 5_120, "{id} has {length} characters");
        for statement in document["Statement"].as_array().unwrap() {
            assert_eq!(statement["Effect"], "Deny", "{id}");
            assert!(statement["Sid"].is_string(), "{id}");
        }
    }
}

fn ask(role: &str, action: &str, resource: &str, context: Context) -> Decision {
    let everything = json!({"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}});
    let documents = documents().into_iter().chain([("administrator".to_owned(), everything)]);
    let attached: Vec<_> =
        documents.map(|(id, document)| IdentityPolicy::parse(&id, &document).unwrap()).collect();
    let who = Principal::role(&format!("arn:aws:iam::{HERE}:role/{role}"), "session").unwrap();
    let request = Request::new(who, action, resource).with(context);
    decide(&request, &attached, &Target::in_account(HERE)).unwrap()
}

/// A road: the statement that closes it, a call, and what the call tells.
type Road = (&'static str, &'static str, String, Context);

fn roads() -> Vec<Road> {
    let key = || Context::new().with("aws:ResourceTag/keyboot:cluster", "keyboot/tsm");
    let to_somebody = || key().with("kms:GrantIsForAWSResource", "false");
    let arn = |service: &str, resource: &str| format!("arn:aws:{service}:eu-central-1:{HERE}:{resource}");
    let iam = |resource: &str| format!("arn:aws:iam::{HERE}:{resource}");
    let secret = || arn("secretsmanager", "secret:keyboot/tsm/node/0/p2p-key-AbCdEf");
    let login = || arn("secretsmanager", "secret:keyboot-storage/tsm/node/0/database-login-AbCdEf");
    let record = || arn("ssm", "parameter/keyboot/tsm/node/0/record");
    let instance = || arn("ec2", "instance/i-0a1b2c3d");
    let any = || "*".to_owned();
    let none = Context::new;
    // What an instance is started with that may be started.
    let version_2 = || Context::new().with("ec2:MetadataHttpTokens", "required");
    let profile = || version_2().with("ec2:InstanceProfile", iam("instance-profile/tsm-node-0"));
    vec![
        ("KeyPolicies", "kms:PutKeyPolicy", arn("kms", "key/k"), key()),
        ("KeyPolicies", "kms:ScheduleKeyDeletion", arn("kms", "key/k"), key()),
        ("KeyPolicies", "kms:UntagResource", arn("kms", "key/k"), key()),
        ("KeyGrants", "kms:CreateGrant", arn("kms", "key/k"), to_somebody()),
        ("SecretsAndTheirPolicies", "secretsmanager:DeleteResourcePolicy", secret(), none()),
        ("SecretsAndTheirPolicies", "secretsmanager:PutResourcePolicy", login(), none()),
        ("SecretsAndTheirPolicies", "secretsmanager:PutSecretValue", secret(), none()),
        ("Documents", "ssm:PutParameter", record(), none()),
        (
            "Functions",
            "lambda:UpdateFunctionCode",
            arn("lambda", "function:kms-NodeKeysFunction-1AB"),
            none(),
        ),
        (
            "Functions",
            "lambda:CreateEventSourceMapping",
            arn("lambda", "function:core-LoginFunction0-1AB"),
            none(),
        ),
        ("Functions", "lambda:InvokeFunction", arn("lambda", "function:core-LoginFunction0-1AB"), none()),
        ("Roles", "iam:UpdateAssumeRolePolicy", iam("role/tsm-node-0"), none()),
        ("Roles", "iam:CreateRole", iam("role/tsm-node-7"), none()),
        ("Roles", "iam:PassRole", iam("role/tsm-node-0"), none()),
        ("Roles", "iam:AddRoleToInstanceProfile", iam("instance-profile/tsm-node-0"), none()),
        ("Trails", "cloudtrail:StopLogging", any(), none()),
        ("Alarms", "events:DisableRule", any(), none()),
        ("Alarms", "events:PutRule", any(), none()),
        ("Alarms", "events:PutTargets", any(), none()),
        ("Alarms", "cloudwatch:PutMetricAlarm", any(), none()),
        ("Alarms", "logs:DeleteRetentionPolicy", any(), none()),
        ("Alarms", "logs:PutRetentionPolicy", any(), none()),
        ("Alarms", "sns:DeleteTopic", any(), none()),
        ("Alarms", "sns:RemovePermission", any(), none()),
        ("Alarms", "sns:SetTopicAttributes", any(), none()),
        ("NodeProfiles", "ec2:RunInstances", instance(), profile()),
        ("NodeProfiles", "ec2:AssociateIamInstanceProfile", instance(), profile()),
        ("GroupsAndTemplates", "ec2:CreateLaunchTemplateVersion", any(), none()),
        ("GroupsAndTemplates", "autoscaling:CreateAutoScalingGroup", any(), none()),
        ("GroupsAndTemplates", "ec2:ModifyInstanceAttribute", any(), none()),
        (
            "MetadataVersion1IsNotStarted",
            "ec2:RunInstances",
            instance(),
            none().with("ec2:MetadataHttpTokens", "optional"),
        ),
        ("MetadataVersion1IsNotSwitchedOn", "ec2:ModifyInstanceMetadataOptions", any(), none()),
        (
            "MetadataVersion1GivesNothing",
            "secretsmanager:GetSecretValue",
            secret(),
            none().with("ec2:RoleDelivery", "1.0"),
        ),
        ("Sessions", "ssm:StartSession", any(), none()),
        ("Sessions", "ec2-instance-connect:SendSSHPublicKey", any(), none()),
        ("CopiesOfVolumes", "ec2:CreateSnapshot", any(), none()),
        ("CopiesOfVolumes", "ebs:GetSnapshotBlock", any(), none()),
        ("DatabasesAreNotShared", "rds:ModifyDBSnapshotAttribute", any(), none()),
        ("Databases", "rds:ModifyDBInstance", any(), none()),
        ("Databases", "rds:RestoreDBInstanceToPointInTime", any(), none()),
        ("Network", "ec2:AuthorizeSecurityGroupIngress", any(), none()),
    ]
}

/// The statements that hold for whoever deploys, too.
const FOR_EVERYBODY: &[&str] = &[
    "KeyGrants",
    "Trails",
    "MetadataVersion1IsNotStarted",
    "MetadataVersion1IsNotSwitchedOn",
    "MetadataVersion1GivesNothing",
    "Sessions",
    "CopiesOfVolumes",
    "DatabasesAreNotShared",
];

#[test]
fn each_road_is_closed_to_administrators_and_open_to_those_who_deploy() {
    let mut closed = Vec::new();
    for (statement, action, resource, context) in roads() {
        for who in ["admin", "AWSReservedSSO_AdministratorAccess_0a1b2c3d", "tsm-node-0"] {
            match ask(who, action, &resource, context.clone()) {
                Decision::DeniedExplicitly(denial) => assert_eq!(denial.statement, statement, "{action}"),
                other => panic!("{action} by {who}: {other}"),
            }
        }
        for deployer in ["stacksets-exec-0a1b2c3d", "keyboot-deploy"] {
            let decision = ask(deployer, action, &resource, context.clone());
            assert_eq!(!decision.is_allowed(), FOR_EVERYBODY.contains(&statement), "{action} by {deployer}");
        }
        closed.push(statement);
    }
    for (id, document) in documents() {
        for statement in document["Statement"].as_array().unwrap() {
            let sid = statement["Sid"].as_str().unwrap();
            assert!(closed.contains(&sid), "{id}: no example of {sid}");
        }
    }
}

/// What runs every day goes on: the functions write, nodes read, and what is not keyboot's is left alone.
#[test]
fn what_runs_every_day_goes_on() {
    let arn = |service: &str, resource: &str| format!("arn:aws:{service}:eu-central-1:{HERE}:{resource}");
    let secret = arn("secretsmanager", "secret:keyboot/tsm/node/0/p2p-key-AbCdEf");
    let login = arn("secretsmanager", "secret:keyboot-storage/tsm/node/0/database-login-AbCdEf");
    let record = arn("ssm", "parameter/keyboot/tsm/node/0/record");
    let none = Context::new;
    let on_instance = || none().with("ec2:RoleDelivery", "2.0");
    for (who, action, resource, context) in [
        ("kms-NodeKeysRole-1ABC", "secretsmanager:PutResourcePolicy", &secret, none()),
        ("kms-NodeKeysRole-1ABC", "ssm:PutParameter", &record, none()),
        ("kms-KeyRotationRole-1ABC", "secretsmanager:PutSecretValue", &secret, none()),
        ("kms-KeyRotationRole-1ABC", "ssm:PutParameter", &record, none()),
        ("tsm-node-0-database-login", "secretsmanager:PutSecretValue", &login, none()),
        ("tsm-node-0", "secretsmanager:GetSecretValue", &login, on_instance()),
        ("admin", "secretsmanager:PutSecretValue", &arn("secretsmanager", "secret:web/db-AbCdEf"), none()),
        ("admin", "kms:PutKeyPolicy", &arn("kms", "key/web"), none()),
        ("admin", "iam:CreateRole", &format!("arn:aws:iam::{HERE}:role/web"), none()),
        ("admin", "lambda:UpdateFunctionCode", &arn("lambda", "function:web"), none()),
        ("admin", "ec2:DescribeInstances", &"*".to_owned(), none()),
        // RDS is lent the storage key for a database that is made.
        (
            "keyboot-deploy",
            "kms:CreateGrant",
            &arn("kms", "key/storage"),
            none()
                .with("aws:ResourceTag/keyboot:cluster", "keyboot/tsm")
                .with("kms:GrantIsForAWSResource", "true"),
        ),
    ] {
        let decision = ask(who, action, resource, context);
        assert!(decision.is_allowed(), "{action} by {who} on {resource}: {decision}");
    }
}
