//! What the function that rotates keys may do: it renews what its stack has, and makes, opens, shares and
//! removes nothing.

use std::collections::BTreeSet;

use policies::{Context, Request, ResourcePolicy, Target, decide};
use serde_json::{Value, json};

use super::node_keys::{
    allowed, assert_bounded_by_the_key, assert_decrypts_only_a_trial, assert_full_context_only,
    assert_given_nothing_that_opens, assert_pairs_only_sealed,
};
use super::parameters::through_the_store;
use super::{
    Deployed, OTHER_STACK, STACK, administrator, assert_denied_by, assert_not_allowed, function_arn,
    key_rotation, owned_by, parameter, role_arn, secret, stack,
};
use crate::asking::HERE;

/// What is rotated of a node.
const ROTATED: [&str; 3] = ["p2p-key", "management-key", "api-key/default"];
const PASSWORD: &str = "share-encryption-password";
/// Everything that Secrets Manager does (Service Authorization Reference, "Actions defined by AWS Secrets
/// Manager").
const SECRETS_MANAGER: &str = "BatchGetSecretValue CancelRotateSecret CreateSecret DeleteResourcePolicy \
    DeleteSecret DescribeSecret GetRandomPassword GetResourcePolicy GetSecretValue ListSecretVersionIds \
    ListSecrets PutResourcePolicy PutSecretValue RemoveRegionsFromReplication ReplicateSecretToRegions \
    RestoreSecret RotateSecret StopReplicationToReplica TagResource UntagResource UpdateSecret \
    UpdateSecretVersionStage ValidateResourcePolicy";
/// Everything that Systems Manager does with parameters (Service Authorization Reference, "Actions defined
/// by AWS Systems Manager").
const PARAMETER_STORE: &str = "AddTagsToResource DeleteParameter DeleteParameters DeleteResourcePolicy \
    DescribeParameters GetParameter GetParameterHistory GetParameters GetParametersByPath \
    GetResourcePolicies LabelParameterVersion ListTagsForResource PutParameter PutResourcePolicy \
    RemoveTagsFromResource UnlabelParameterVersion";
/// Everything that EventBridge Scheduler does (Service Authorization Reference, "Actions defined by Amazon
/// EventBridge Scheduler").
const SCHEDULER: &str = "CreateSchedule CreateScheduleGroup DeleteSchedule DeleteScheduleGroup GetSchedule \
    GetScheduleGroup ListScheduleGroups ListSchedules ListTagsForResource TagResource UntagResource \
    UpdateSchedule";

/// A request for what a stack owns that tells all that any statement of this template asks for.
fn telling_all_of(stack: &str) -> Context {
    owned_by(stack)
        .with("aws:RequestTag/keyboot:stack", STACK)
        .with_all("aws:TagKeys", ["keyboot:delete-after", "keyboot:leaving"])
        .with("secretsmanager:BlockPublicPolicy", "true")
        .with("secretsmanager:RecoveryWindowInDays", "30")
        .with("secretsmanager:RotateImmediately", "false")
        .with("secretsmanager:RotationLambdaARN", function_arn("KeyRotationFunction"))
        .with("ssm:Overwrite", "true")
}

/// What its policy speaks of at all, on whatever: what it calls, what the store asks for in its name, and its
/// log.
#[test]
fn key_rotation_is_allowed_these_actions_and_no_others() {
    let deployed = Deployed::new(stack());
    let document = &deployed.resolved.resource("KeyRotationPolicy").unwrap()["PolicyDocument"];
    assert_eq!(deployed.attached_to("KeyRotationRole").len(), 1, "another policy");
    let statements = document["Statement"].as_array().unwrap().iter();
    let allowed = statements.filter(|statement| statement["Effect"] == "Allow");
    let actions = allowed.flat_map(|statement| match &statement["Action"] {
        Value::Array(actions) => actions.clone(),
        action => vec![action.clone()],
    });
    let actions: BTreeSet<_> = actions.map(|action| action.as_str().unwrap().to_owned()).collect();
    let wanted = [
        "kms:Decrypt",
        "kms:Encrypt",
        "kms:GenerateDataKey",
        "kms:GenerateDataKeyPairWithoutPlaintext",
        "kms:GetPublicKey",
        "kms:Sign",
        "logs:CreateLogStream",
        "logs:PutLogEvents",
        "secretsmanager:DescribeSecret",
        "secretsmanager:PutSecretValue",
        "secretsmanager:UpdateSecretVersionStage",
        "ssm:AddTagsToResource",
        "ssm:GetParameterHistory",
        "ssm:GetParameters",
        "ssm:LabelParameterVersion",
        "ssm:ListTagsForResource",
        "ssm:PutParameter",
    ];
    assert_eq!(actions, wanted.map(str::to_owned).into());
}

#[test]
fn of_all_that_secrets_manager_does_key_rotation_looks_at_secrets_and_renews_its_own() {
    let deployed = Deployed::new(stack());
    let shared = Deployed::new(stack().parameter("ClientStackIds", OTHER_STACK));
    let found = |deployed: &Deployed, path: &str, context: &dyn Fn() -> Context| {
        let ask = |action: &str| {
            deployed.key_rotation(&format!("secretsmanager:{action}"), &secret(path), context())
        };
        allowed(SECRETS_MANAGER, ask)
    };
    let renews = ["DescribeSecret", "PutSecretValue", "UpdateSecretVersionStage"];
    for purpose in ROTATED {
        let mine = format!("keyboot/tsm/node/0/{purpose}");
        assert_eq!(found(&deployed, &mine, &|| telling_all_of(STACK)), renews, "{purpose}");
        assert_eq!(found(&deployed, &mine, &|| telling_all_of(OTHER_STACK)), renews[..1], "another stack's");
        assert_eq!(found(&deployed, &mine, &Context::new), renews[..1], "nobody's");
        assert_eq!(found(&shared, &mine, &|| telling_all_of(OTHER_STACK)), renews, "a client's");
        let foreign = format!("elsewhere/tsm/node/0/{purpose}");
        assert_eq!(found(&deployed, &foreign, &|| telling_all_of(STACK)), [""; 0], "outside the namespace");
    }
}

#[test]
fn of_all_that_parameter_store_does_key_rotation_renews_its_own_secrets() {
    let deployed = Deployed::new(stack());
    let shared = Deployed::new(stack().parameter("ClientStackIds", OTHER_STACK));
    let found = |deployed: &Deployed, path: &str, context: &dyn Fn() -> Context| {
        let ask = |action: &str| deployed.key_rotation(&format!("ssm:{action}"), &parameter(path), context());
        allowed(PARAMETER_STORE, ask)
    };
    let renews = ["GetParameterHistory", "LabelParameterVersion", "ListTagsForResource", "PutParameter"];
    let looks = ["GetParameterHistory", "ListTagsForResource"];
    for purpose in ROTATED {
        let mine = format!("keyboot/tsm/node/0/{purpose}");
        assert_eq!(found(&deployed, &mine, &|| telling_all_of(STACK)), renews, "{purpose}");
        assert_eq!(found(&deployed, &mine, &|| telling_all_of(OTHER_STACK)), looks, "another stack's");
        // One that is not there has no tag: none is made.
        assert_eq!(found(&deployed, &mine, &Context::new), looks, "nobody's");
        assert_eq!(found(&shared, &mine, &|| telling_all_of(OTHER_STACK)), renews, "a client's");
        let foreign = format!("elsewhere/tsm/node/0/{purpose}");
        assert_eq!(found(&deployed, &foreign, &|| telling_all_of(STACK)), [""; 0], "outside the namespace");
    }
}

/// An application may be called as a document is, and its secret is no document for that.
#[test]
fn key_rotation_takes_no_secret_parameter_for_a_document_of_its_name() {
    let deployed = Deployed::new(stack());
    let found = |path: &str, context: &dyn Fn() -> Context| {
        let ask = |action: &str| deployed.key_rotation(&format!("ssm:{action}"), &parameter(path), context());
        allowed(PARAMETER_STORE, ask)
    };
    let renews = ["GetParameterHistory", "LabelParameterVersion", "ListTagsForResource", "PutParameter"];
    for application in ["record", "lease"] {
        let path = format!("keyboot/tsm/node/0/api-key/{application}");
        assert_eq!(found(&path, &|| telling_all_of(STACK)), renews, "{application}");
        for context in [telling_all_of(OTHER_STACK), Context::new().with("ssm:Overwrite", "true")] {
            assert_eq!(found(&path, &|| context.clone()), ["GetParameterHistory", "ListTagsForResource"]);
        }
    }
}

/// The key shares that were written under a password are lost without it. Nothing that is added to the
/// role lets it write one.
#[test]
fn key_rotation_writes_no_share_encryption_password_whatever_is_added_to_its_role() {
    let deployed = Deployed::new(stack());
    let mighty = [deployed.attached_to("KeyRotationRole"), administrator().to_vec()].concat();
    let ask = |action: &str, resource: &str| {
        let request = Request::new(key_rotation(), action, resource).with(telling_all_of(STACK));
        decide(&request, &mighty, &Target::in_account(HERE)).unwrap()
    };
    for node in ["keyboot/tsm/node/0", "keyboot/team/tsm/node/999"] {
        let (in_secrets, in_parameters) =
            (secret(&format!("{node}/{PASSWORD}")), parameter(&format!("{node}/{PASSWORD}")));
        for (action, resource) in [
            ("secretsmanager:PutSecretValue", &in_secrets),
            ("secretsmanager:UpdateSecret", &in_secrets),
            ("secretsmanager:UpdateSecretVersionStage", &in_secrets),
            ("ssm:LabelParameterVersion", &in_parameters),
            ("ssm:PutParameter", &in_parameters),
        ] {
            assert_denied_by("NeverWriteAShareEncryptionPassword", &ask(action, resource));
        }
        // It is the password's name that keeps it out.
        assert!(ask("secretsmanager:PutSecretValue", &secret(&format!("{node}/p2p-key"))).is_allowed());
        assert!(ask("ssm:PutParameter", &parameter(&format!("{node}/p2p-key"))).is_allowed());

        // And of its own it does nothing with one but look at it.
        let found = |service: &str, actions, resource: &str| {
            let ask = |action: &str| {
                deployed.key_rotation(&format!("{service}:{action}"), resource, telling_all_of(STACK))
            };
            allowed(actions, ask)
        };
        assert_eq!(found("secretsmanager", SECRETS_MANAGER, &in_secrets), ["DescribeSecret"]);
        assert_eq!(
            found("ssm", PARAMETER_STORE, &in_parameters),
            ["GetParameterHistory", "ListTagsForResource"]
        );
    }
}

#[test]
fn key_rotation_reads_no_secret_whatever_allows_it() {
    let deployed = Deployed::new(stack());
    let mighty = [deployed.attached_to("KeyRotationRole"), administrator().to_vec()].concat();
    let allows = json!({"Effect": "Allow", "Principal": {"AWS": role_arn("KeyRotationRole")}, "Action": "*", "Resource": "*"});
    let policy = ResourcePolicy::parse("of the secret", &json!({ "Statement": allows })).unwrap();
    let ask = |action: &str, resource: &str| {
        let request = Request::new(key_rotation(), action, resource).with(telling_all_of(STACK));
        decide(&request, &mighty, &Target::in_account(HERE).with_policy(&policy)).unwrap()
    };
    for purpose in ROTATED.into_iter().chain([PASSWORD]) {
        let path = format!("keyboot/tsm/node/0/{purpose}");
        for action in ["secretsmanager:GetSecretValue", "secretsmanager:BatchGetSecretValue"] {
            assert_denied_by("NeverReadASecret", &ask(action, &secret(&path)));
        }
        for action in ["ssm:GetParameter", "ssm:GetParameters"] {
            assert_denied_by("NeverReadASecretParameter", &ask(action, &parameter(&path)));
        }
        assert_denied_by("NeverReadASecret", &ask("ssm:GetParametersByPath", &parameter(&path)));
    }
    // Names that look like a public document's, and are a secret's.
    for path in ["keyboot/tsm/node/0/api-key/record", "keyboot/a/roster/node/0/p2p-key"] {
        assert_denied_by("NeverReadASecretParameter", &ask("ssm:GetParameters", &parameter(path)));
    }
}

#[test]
fn key_rotation_seals_under_a_full_context_and_opens_nothing() {
    let deployed = Deployed::new(stack());
    let ask = |action: &str, context: Context| deployed.key_rotation_with_secrets_key(action, context);
    assert_full_context_only(|context| ask("kms:Encrypt", context));
    assert_pairs_only_sealed(ask);
    assert_given_nothing_that_opens(ask);
    assert_decrypts_only_a_trial(ask);
    assert_bounded_by_the_key(|action, context| {
        deployed.with_secrets_key(key_rotation(), &administrator(), action, context)
    });
    // Parameter Store writes under the key in its name, and opens nothing.
    let mine = parameter("keyboot/tsm/node/0/p2p-key");
    assert!(ask("kms:GenerateDataKey", through_the_store(&mine)).is_allowed());
    assert_not_allowed(&ask("kms:GenerateDataKey", through_the_store(&parameter("other/a"))), "outside");
    for action in ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKeyPair"] {
        assert_not_allowed(&ask(action, through_the_store(&mine)), action);
    }
}

/// Of the public documents it writes records that are there already, each while it holds the lease on it.
#[test]
fn key_rotation_rewrites_records_holds_leases_and_leaves_all_other_documents_alone() {
    let deployed = Deployed::new(stack());
    let ask = |action: &str, path: &str, overwrites: &[&str]| {
        let context = Context::new().with_all("ssm:Overwrite", overwrites.iter().copied());
        deployed.key_rotation(&format!("ssm:{action}"), &parameter(path), context)
    };
    for (document, wanted) in [
        ("node/0/record", "GetParameterHistory GetParameters ListTagsForResource PutParameter"),
        (
            "node/0/lease",
            "AddTagsToResource GetParameterHistory GetParameters ListTagsForResource PutParameter",
        ),
        ("node/0/env", "GetParameterHistory ListTagsForResource"),
        ("roster/index", "GetParameters"),
        ("roster/1/page/0", "GetParameters"),
        ("intent/0123456789abcdef", "GetParameters"),
        ("adoption/0123456789abcdef", ""),
    ] {
        let found = |path: &str| allowed(PARAMETER_STORE, |action| ask(action, path, &["true"]));
        assert_eq!(found(&format!("keyboot/tsm/{document}")).join(" "), wanted, "{document}");
        assert_eq!(found(&format!("elsewhere/tsm/{document}")), [""; 0], "{document} outside the namespace");
    }
    for overwrites in [&["false"][..], &[]] {
        let made = ask("PutParameter", "keyboot/tsm/node/0/record", overwrites);
        assert_not_allowed(&made, "a record that is not there");
        assert!(ask("PutParameter", "keyboot/tsm/node/0/lease", overwrites).is_allowed(), "a lease");
    }
}

#[test]
fn key_rotation_writes_its_log_and_uses_no_other_service() {
    let deployed = Deployed::new(stack());
    let ask = |action: &str, resource: &str| deployed.key_rotation(action, resource, telling_all_of(STACK));
    let log = |group: &str| {
        format!("arn:aws:logs:eu-central-1:{HERE}:log-group:{group}:log-stream:2026/01/02/[1]x")
    };
    for action in ["logs:CreateLogStream", "logs:PutLogEvents"] {
        assert!(ask(action, &log("KeyRotationLogGroup")).is_allowed(), "{action}");
        assert_not_allowed(&ask(action, &log("NodeKeysLogGroup")), "the log of node-keys");
    }
    let function = function_arn("KeyRotationFunction");
    for (action, resource) in [
        ("logs:DeleteLogStream", log("KeyRotationLogGroup")),
        ("logs:GetLogEvents", log("KeyRotationLogGroup")),
        ("lambda:InvokeFunction", function.clone()),
        ("lambda:UpdateFunctionCode", function.clone()),
        ("lambda:UpdateFunctionConfiguration", function),
        ("iam:PassRole", role_arn("KeyRotationRole")),
        ("iam:PassRole", role_arn("SchedulerRole")),
        ("sts:AssumeRole", role_arn("NodeKeysRole")),
        ("cloudformation:DescribeStackResource", STACK.to_owned()),
        ("cloudformation:DescribeStacks", STACK.to_owned()),
    ] {
        assert_not_allowed(&ask(action, &resource), action);
    }
    let schedule =
        format!("arn:aws:scheduler:eu-central-1:{HERE}:schedule/ScheduleGroup/keyboot-RetirementSchedule");
    for resource in [schedule.as_str(), "*"] {
        assert_eq!(allowed(SCHEDULER, |action| ask(&format!("scheduler:{action}"), resource)), [""; 0]);
    }
}
