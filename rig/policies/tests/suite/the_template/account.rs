//! What the account's administrators may do, and who takes and signs.

use policies::{Context, Decision, IdentityPolicy, Principal, Request, ResourcePolicy, Side, Target, decide};

use super::node_keys::{KMS_ACTIONS, allowed};
use super::{
    Deployed, RECORD_KEY, SECRETS_KEY, VIA_SECRETS_MANAGER, administrator, assert_not_allowed, full,
    function_arn, node, pairs, resolve, role_arn, schedule_group, secret, session_of, stack,
};
use crate::asking::{ELSEWHERE, HERE, root};

/// Administrators manage the keys and use neither.
#[test]
fn the_account_uses_no_key() {
    let deployed = Deployed::new(stack());
    let admin = || Principal::role(&role_arn("admin"), "console").unwrap();
    for (who, attached) in [(root(HERE), vec![]), (admin(), administrator().to_vec())] {
        let ask = |policy: &ResourcePolicy, key: &str, action: &str, context: Context| {
            let request = Request::new(who.clone(), action, key).with(context);
            decide(&request, &attached, &Target::kms_key(HERE, policy)).unwrap()
        };
        for (policy, key) in [(&deployed.secrets_key, SECRETS_KEY), (&deployed.record_key, RECORD_KEY)] {
            for action in
                ["kms:DescribeKey", "kms:PutKeyPolicy", "kms:ScheduleKeyDeletion", "kms:GetPublicKey"]
            {
                assert!(ask(policy, key, action, Context::new()).is_allowed(), "{who:?}: {action}");
            }
            for action in [
                "kms:CreateGrant",
                "kms:Decrypt",
                "kms:DeriveSharedSecret",
                "kms:Encrypt",
                "kms:GenerateDataKey",
                "kms:GenerateDataKeyPair",
                "kms:ReEncryptFrom",
                "kms:ReplicateKey",
                "kms:Sign",
            ] {
                for context in [
                    Context::new(),
                    pairs(&full("keyboot/tsm", "0")),
                    Context::new().with("kms:ViaService", VIA_SECRETS_MANAGER),
                ] {
                    let decision = ask(policy, key, action, context);
                    assert_eq!(decision, Decision::DeniedImplicitly(Side::Resource), "{who:?}: {action}");
                }
            }
        }
    }
}

#[test]
fn only_node_keys_and_key_rotation_sign() {
    let deployed = Deployed::new(stack());
    let ask = |who: Principal, attached: &[IdentityPolicy], action: &str| {
        let request = Request::new(who, action, RECORD_KEY);
        decide(&request, attached, &Target::kms_key(HERE, &deployed.record_key)).unwrap()
    };
    for role in ["NodeKeysRole", "KeyRotationRole"] {
        let attached = deployed.attached_to(role);
        let found = allowed(KMS_ACTIONS, |action| ask(session_of(role), &attached, &format!("kms:{action}")));
        assert_eq!(found, ["GetPublicKey", "Sign"], "{role}");
        let with_the_wrong_key =
            deployed.with_secrets_key(session_of(role), &attached, "kms:Sign", Context::new());
        assert_not_allowed(&with_the_wrong_key, "the other key");
    }
    for other in ["UnansweredRole", "SchedulerRole", "node-0"] {
        let decision = ask(session_of(other), &administrator(), "kms:Sign");
        assert_eq!(decision, Decision::DeniedImplicitly(Side::Resource), "{other}");
    }
}

/// One service takes each role, and nobody else; a schedule's role is taken for the schedules of the stack's
/// own group only.
#[test]
fn who_takes_the_roles() {
    let resolved = resolve(stack());
    let from = |account: &str| Context::new().with("aws:SourceAccount", account);
    let of = |group: &str| from(HERE).with("aws:SourceArn", group);
    let own = schedule_group("ScheduleGroup");
    for (role, taker, context) in [
        ("NodeKeysRole", "lambda.amazonaws.com", Context::new()),
        ("UnansweredRole", "lambda.amazonaws.com", Context::new()),
        ("KeyRotationRole", "lambda.amazonaws.com", Context::new()),
        ("SchedulerRole", "scheduler.amazonaws.com", of(&own)),
    ] {
        let document = &resolved.resource(role).unwrap()["AssumeRolePolicyDocument"];
        let trust = ResourcePolicy::trust(role, document).unwrap();
        let take = |who: Principal, attached: &[IdentityPolicy], context: Context| {
            let request = Request::new(who, "sts:AssumeRole", &role_arn(role)).with(context);
            decide(&request, attached, &Target::role(HERE, &trust)).unwrap()
        };
        assert!(take(Principal::service(taker), &[], context).is_allowed(), "{role}");
        let services = [
            "lambda.amazonaws.com",
            "scheduler.amazonaws.com",
            "secretsmanager.amazonaws.com",
            "events.amazonaws.com",
            "ec2.amazonaws.com",
        ];
        for other in services.into_iter().filter(|service| *service != taker) {
            assert_not_allowed(&take(Principal::service(other), &[], of(&own)), other);
        }
        assert_not_allowed(&take(root(HERE), &[], of(&own)), "the account's root");
        assert_not_allowed(&take(node(0), &administrator(), of(&own)), "an administrator");
        if role == "SchedulerRole" {
            let scheduler = || Principal::service(taker);
            let on_nobodys = Context::new().with("aws:SourceArn", own.as_str());
            assert_not_allowed(&take(scheduler(), &[], on_nobodys), "on nobody's account");
            let theirs = from(ELSEWHERE).with("aws:SourceArn", own.as_str());
            assert_not_allowed(&take(scheduler(), &[], theirs), "another account's schedule");
            assert_not_allowed(&take(scheduler(), &[], from(HERE)), "of no group");
            for (group, why) in [
                (schedule_group("default"), "a schedule of another group"),
                (own.replace("eu-central-1", "eu-west-1"), "another Region's"),
            ] {
                assert_not_allowed(&take(scheduler(), &[], of(&group)), why);
            }
        }
    }
}

/// What schedules are carried out with.
#[test]
fn the_scheduler_invokes_key_rotation_and_does_nothing_else() {
    let deployed = Deployed::new(stack());
    let ask = |action: &str, resource: &str| deployed.role("SchedulerRole", action, resource, Context::new());
    let function = function_arn("KeyRotationFunction");
    assert!(ask("lambda:InvokeFunction", &function).is_allowed());
    for other in ["NodeKeysFunction", "UnansweredFunction", "KeyRotationFunction:1"] {
        assert_not_allowed(&ask("lambda:InvokeFunction", &function_arn(other)), other);
    }
    assert_not_allowed(&ask("lambda:UpdateFunctionCode", &function), "its code");
    assert_not_allowed(&ask("iam:PassRole", &role_arn("SchedulerRole")), "passing itself on");
    assert_not_allowed(
        &ask("secretsmanager:GetSecretValue", &secret("keyboot/tsm/node/0/p2p-key")),
        "a secret",
    );
}
