//! What the function that makes keys may do.

use policies::{Context, Decision, Request, ResourcePolicy, Side, Target, decide};
use serde_json::json;

use super::{
    Deployed, OTHER_STACK, STACK, VIA_SECRETS_MANAGER, administrator, assert_denied_by, assert_not_allowed,
    full, node_keys, pairs, role_arn, secret, stack,
};
use crate::asking::HERE;

#[test]
fn node_keys_seals_only_under_a_full_context() {
    let deployed = Deployed::new(stack());
    let encrypt = |context: Context| deployed.node_keys_with_secrets_key("kms:Encrypt", context);
    let whole = full("keyboot/tsm", "0");
    assert!(encrypt(pairs(&whole)).is_allowed());
    assert!(encrypt(pairs(&full("keyboot/other", "7"))).is_allowed(), "another cluster of the namespace");
    assert_not_allowed(&encrypt(pairs(&full("elsewhere/tsm", "0"))), "another namespace");
    assert_not_allowed(&encrypt(Context::new()), "no context");
    for left_out in 0..whole.len() {
        let mut part = whole.clone();
        let (key, _) = part.remove(left_out);
        assert_not_allowed(&encrypt(pairs(&part)), &format!("without {key}"));
    }
    let mut more = whole.clone();
    more.push(("extra", "x".to_owned()));
    assert_not_allowed(&encrypt(pairs(&more)), "with a key more");
    // Case counts in the names of a context, which the condition on its keys sees to.
    let other_case = whole.iter().map(|(key, value)| match *key {
        "keyboot:node" => ("keyboot:Node", value.clone()),
        _ => (*key, value.clone()),
    });
    assert_not_allowed(&encrypt(pairs(&other_case.collect::<Vec<_>>())), "with another case");
}

#[test]
fn node_keys_decrypts_only_through_the_store() {
    let deployed = Deployed::new(stack());
    for action in ["kms:Decrypt", "kms:GenerateDataKey"] {
        let ask = |context: Context| deployed.node_keys_with_secrets_key(action, context);
        assert!(ask(Context::new().with("kms:ViaService", VIA_SECRETS_MANAGER)).is_allowed(), "{action}");
        assert_not_allowed(&ask(Context::new()), action);
        assert_not_allowed(
            &ask(Context::new().with("kms:ViaService", "ssm.eu-central-1.amazonaws.com")),
            action,
        );
        assert_not_allowed(&ask(pairs(&full("keyboot/tsm", "0"))), action);
    }
    for action in ["kms:CreateGrant", "kms:ReEncryptFrom", "kms:GenerateDataKeyPair", "kms:PutKeyPolicy"] {
        let via = Context::new().with("kms:ViaService", VIA_SECRETS_MANAGER);
        assert_not_allowed(&deployed.node_keys_with_secrets_key(action, via), action);
    }
    // The key policy bounds the role, whatever else is attached to it.
    let decision = deployed.with_secrets_key(node_keys(), &administrator(), "kms:Decrypt", Context::new());
    assert_eq!(decision, Decision::DeniedImplicitly(Side::Resource));
}

#[test]
fn node_keys_reads_no_secret() {
    let deployed = Deployed::new(stack());
    let mine = secret("keyboot/tsm/node/0/p2p-key");
    for action in ["secretsmanager:GetSecretValue", "secretsmanager:BatchGetSecretValue"] {
        assert_denied_by("NeverReadASecret", &deployed.node_keys(action, &mine, Context::new()));
    }
    assert!(deployed.node_keys("secretsmanager:DescribeSecret", &mine, Context::new()).is_allowed());
    let elsewhere = deployed.node_keys("secretsmanager:DescribeSecret", &secret("other/a"), Context::new());
    assert_not_allowed(&elsewhere, "outside the namespace");
    // Not even when a policy of the secret allows it.
    let allows = json!({"Effect": "Allow", "Principal": {"AWS": role_arn("NodeKeysRole")}, "Action": "*", "Resource": "*"});
    let policy = ResourcePolicy::parse("of the secret", &json!({ "Statement": allows })).unwrap();
    let request = Request::new(node_keys(), "secretsmanager:GetSecretValue", &mine);
    let target = Target::in_account(HERE).with_policy(&policy);
    assert_denied_by(
        "NeverReadASecret",
        &decide(&request, &deployed.attached_to("NodeKeysRole"), &target).unwrap(),
    );
}

#[test]
fn node_keys_makes_secrets_only_in_its_stacks_name() {
    let deployed = Deployed::new(stack());
    let shared = Deployed::new(stack().parameter("ClientStackIds", OTHER_STACK));
    let (mine, foreign) = (secret("keyboot/tsm/node/0/p2p-key"), secret("elsewhere/tsm/node/0/p2p-key"));
    let tagged = |stack: &str| Context::new().with("aws:RequestTag/keyboot:stack", stack);
    for action in ["secretsmanager:CreateSecret", "secretsmanager:TagResource"] {
        assert!(deployed.node_keys(action, &mine, tagged(STACK)).is_allowed(), "{action}");
        assert_not_allowed(&deployed.node_keys(action, &mine, tagged(OTHER_STACK)), action);
        assert_not_allowed(&deployed.node_keys(action, &mine, Context::new()), action);
        assert_not_allowed(&deployed.node_keys(action, &foreign, tagged(STACK)), action);
        // A stack that the template names as a client.
        assert!(shared.node_keys(action, &mine, tagged(STACK)).is_allowed(), "{action}");
        assert!(shared.node_keys(action, &mine, tagged(OTHER_STACK)).is_allowed(), "{action}");
        assert_not_allowed(
            &shared.node_keys(action, &mine, tagged(&OTHER_STACK.replace("002", "003"))),
            action,
        );
    }
}

#[test]
fn node_keys_takes_no_secret_of_another_stack() {
    let deployed = Deployed::new(stack());
    let mine = secret("keyboot/tsm/node/0/p2p-key");
    let owned_by = |stack: &str| Context::new().with("aws:ResourceTag/keyboot:stack", stack);
    let tag = |context: Context| {
        deployed.node_keys(
            "secretsmanager:TagResource",
            &mine,
            context.with("aws:RequestTag/keyboot:stack", STACK),
        )
    };
    assert!(tag(owned_by(STACK)).is_allowed());
    assert!(tag(Context::new()).is_allowed(), "one that nobody owns");
    assert_denied_by("NeverTakeAnothersSecret", &tag(owned_by(OTHER_STACK)));
    for action in ["secretsmanager:DeleteSecret", "secretsmanager:RestoreSecret"] {
        assert!(deployed.node_keys(action, &mine, owned_by(STACK)).is_allowed(), "{action}");
        assert_not_allowed(&deployed.node_keys(action, &mine, owned_by(OTHER_STACK)), action);
        assert_not_allowed(&deployed.node_keys(action, &mine, Context::new()), action);
    }
}

#[test]
fn node_keys_publishes_only_under_its_namespace() {
    let deployed = Deployed::new(stack());
    let parameter = |path: &str| format!("arn:aws:ssm:eu-central-1:{HERE}:parameter/{path}");
    for action in ["ssm:PutParameter", "ssm:GetParameters", "ssm:DeleteParameters", "ssm:AddTagsToResource"] {
        let ask = |path: &str| deployed.node_keys(action, &parameter(path), Context::new());
        for path in ["node/0/record", "node/0/env", "roster/index", "roster/1/page/0", "intent/0123"] {
            assert!(ask(&format!("keyboot/tsm/{path}")).is_allowed(), "{action} {path}");
        }
        assert_not_allowed(&ask("elsewhere/tsm/node/0/record"), action);
    }
    let by_path = deployed.node_keys("ssm:GetParametersByPath", &parameter("keyboot/tsm"), Context::new());
    assert_denied_by("NeverReadASecret", &by_path);
    for action in ["cloudformation:DescribeStackResource", "cloudformation:DescribeStacks"] {
        assert!(deployed.node_keys(action, STACK, Context::new()).is_allowed(), "{action}");
        assert_not_allowed(&deployed.node_keys(action, OTHER_STACK, Context::new()), action);
    }
}
