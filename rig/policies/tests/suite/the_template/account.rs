//! What the account's administrators may do, and who takes and signs.

use policies::{Context, Decision, IdentityPolicy, Principal, Request, ResourcePolicy, Side, Target, decide};

use super::{
    Deployed, RECORD_KEY, SECRETS_KEY, VIA_SECRETS_MANAGER, administrator, assert_not_allowed, full, node,
    node_keys, pairs, resolve, role_arn, stack,
};
use crate::asking::{HERE, root};

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
fn only_node_keys_signs() {
    let deployed = Deployed::new(stack());
    let sign = |who: Principal, attached: &[IdentityPolicy], action: &str| {
        let request = Request::new(who, action, RECORD_KEY);
        decide(&request, attached, &Target::kms_key(HERE, &deployed.record_key)).unwrap()
    };
    let attached = deployed.attached_to("NodeKeysRole");
    assert!(sign(node_keys(), &attached, "kms:Sign").is_allowed());
    assert_not_allowed(&sign(node_keys(), &attached, "kms:ScheduleKeyDeletion"), "management");
    assert_not_allowed(&sign(node(0), &administrator(), "kms:Sign"), "a node");
    let with_the_wrong_key = deployed.node_keys_with_secrets_key("kms:Sign", Context::new());
    assert_not_allowed(&with_the_wrong_key, "the other key");
}

/// Lambda takes the roles, and nobody else.
#[test]
fn who_takes_the_roles() {
    let resolved = resolve(stack());
    let document = &resolved.resource("NodeKeysRole").unwrap()["AssumeRolePolicyDocument"];
    let trust = ResourcePolicy::trust("NodeKeysRole", document).unwrap();
    let take = |who: Principal, attached: &[IdentityPolicy]| {
        let request = Request::new(who, "sts:AssumeRole", &role_arn("NodeKeysRole"));
        decide(&request, attached, &Target::role(HERE, &trust)).unwrap()
    };
    assert!(take(Principal::service("lambda.amazonaws.com"), &[]).is_allowed());
    assert_not_allowed(&take(Principal::service("ec2.amazonaws.com"), &[]), "another service");
    assert_not_allowed(&take(root(HERE), &[]), "the account's root");
    assert_not_allowed(&take(node(0), &administrator()), "an administrator");
}
