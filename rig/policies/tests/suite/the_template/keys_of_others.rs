//! A stack whose keys are somebody else's: it makes none, and means the given ones everywhere.

use policies::template::Stack;
use policies::{Context, Decision, IdentityPolicy, Request, ResourcePolicy, Side, Target, decide};
use serde_json::json;

use super::node_keys::{
    KMS_ACTIONS, allowed, assert_full_context_only, assert_given_nothing_that_opens, assert_pairs_only_sealed,
};
use super::{
    RECORD_KEY, SECRETS_KEY, STACK, VIA_SECRETS_MANAGER, full, pairs, resolve, role_arn, sealed_under,
    session_of, stack,
};
use crate::asking::HERE;

const THEIRS: &str = "arn:aws:kms:eu-central-1:444455556666:key/mrk-theirs";
const THEIR_RECORD_KEY: &str = "arn:aws:kms:eu-central-1:444455556666:key/their-records";

fn given() -> Stack {
    stack().parameter("ExistingKmsKeyArn", THEIRS).parameter("ExistingRecordKeyArn", THEIR_RECORD_KEY)
}

#[test]
fn a_given_key_takes_the_place_of_the_stacks_own_everywhere() {
    let resolved = resolve(given());
    for gone in ["SecretsKey", "SecretsKeyAlias", "RecordKey", "RecordKeyAlias"] {
        assert!(resolved.resource(gone).is_err(), "{gone} beside a key that is there");
    }
    let said: String = resolved
        .resources()
        .map(|(id, _)| resolved.resource(id).unwrap().to_string())
        .chain(["KmsKeyArn", "RecordKeyArn"].map(|output| resolved.output(output).unwrap().to_string()))
        .collect();
    assert!(!said.contains(SECRETS_KEY) && !said.contains(RECORD_KEY));
    assert_eq!(resolved.output("KmsKeyArn"), Ok(json!(THEIRS)));
    assert_eq!(resolved.output("RecordKeyArn"), Ok(json!(THEIR_RECORD_KEY)));
    assert_eq!(resolved.resource("Keys").unwrap()["KmsKeyArn"], THEIRS);
    for function in ["NodeKeysFunction", "KeyRotationFunction"] {
        let properties = resolved.resource(function).unwrap();
        let told = &properties["Environment"]["Variables"]["KEYBOOT_SIGNING_KEY_ARN"];
        assert_eq!(told, THEIR_RECORD_KEY, "{function}");
    }
    let rule = resolved.resource("KeyChangedRule").unwrap();
    assert_eq!(rule["EventPattern"]["detail"]["resources"]["ARN"], json!([THEIRS, THEIR_RECORD_KEY]));
}

#[test]
fn one_key_may_be_given_and_the_other_made() {
    let resolved = resolve(stack().parameter("ExistingKmsKeyArn", THEIRS));
    assert!(resolved.resource("SecretsKey").is_err() && resolved.resource("RecordKey").is_ok());
    assert_eq!(resolved.output("RecordKeyArn"), Ok(json!(RECORD_KEY)));
    let resolved = resolve(Stack::new(STACK).unwrap().parameter("ExistingRecordKeyArn", THEIR_RECORD_KEY));
    assert!(resolved.resource("SecretsKey").is_ok() && resolved.resource("RecordKey").is_err());
}

/// The statements that the README asks an owner for are enough, and each role's own bind it as before.
#[test]
fn what_the_owner_of_a_key_allows_is_enough() {
    let resolved = resolve(given());
    for (role, policy) in [("NodeKeysRole", "NodeKeysPolicy"), ("KeyRotationRole", "KeyRotationPolicy")] {
        let statement = |actions: &[&str], condition: serde_json::Value| {
            json!({
                "Effect": "Allow", "Principal": {"AWS": format!("arn:aws:iam::{HERE}:root")},
                "Action": actions, "Resource": "*", "Condition": condition,
            })
        };
        let named = json!({"aws:PrincipalArn": role_arn(role)});
        let seals = statement(&["kms:Encrypt"], json!({ "ArnLike": named }));
        let stores = statement(
            &["kms:Decrypt", "kms:GenerateDataKey"],
            json!({"ArnLike": named, "StringEquals": {"kms:ViaService": VIA_SECRETS_MANAGER}}),
        );
        let theirs = ResourcePolicy::parse("theirs", &json!({ "Statement": [seals, stores] })).unwrap();
        let signs = statement(&["kms:Sign", "kms:GetPublicKey"], json!({ "ArnLike": named }));
        let signs = ResourcePolicy::parse("their record key's", &json!({ "Statement": signs })).unwrap();
        let document = &resolved.resource(policy).unwrap()["PolicyDocument"];
        let own = [IdentityPolicy::parse("own", document).unwrap()];
        let ask = |action: &str, context: Context| {
            let request = Request::new(session_of(role), action, THEIRS).with(context);
            decide(&request, &own, &Target::kms_key("444455556666", &theirs)).unwrap()
        };
        let via = |version: &str| {
            sealed_under(&[("SecretVersionId", version)]).with("kms:ViaService", VIA_SECRETS_MANAGER)
        };
        assert!(ask("kms:Encrypt", pairs(&full("keyboot/tsm", "0"))).is_allowed(), "{role}");
        assert!(ask("kms:GenerateDataKey", via("1")).is_allowed(), "{role}");
        assert!(ask("kms:Decrypt", via("RequestToValidateKeyAccess")).is_allowed(), "{role}");
        assert_eq!(ask("kms:Decrypt", via("1")), Decision::DeniedImplicitly(Side::Identity), "{role}");
        assert_eq!(ask("kms:Encrypt", Context::new()), Decision::DeniedImplicitly(Side::Identity), "{role}");
        let sign = Request::new(session_of(role), "kms:Sign", THEIR_RECORD_KEY);
        assert!(
            decide(&sign, &own, &Target::kms_key("444455556666", &signs)).unwrap().is_allowed(),
            "{role}"
        );
    }
}

/// A key whose owner allows the account everything: each role's own policy gives it as little as the stack's
/// own keys do.
#[test]
fn a_key_that_is_open_to_the_account_is_used_no_further() {
    let resolved = resolve(given());
    let anything = json!({
        "Effect": "Allow", "Principal": {"AWS": format!("arn:aws:iam::{HERE}:root")}, "Action": "kms:*", "Resource": "*",
    });
    let theirs = ResourcePolicy::parse("theirs", &json!({ "Statement": anything })).unwrap();
    for (role, policies) in [
        ("NodeKeysRole", &["NodeKeysPolicy", "NodeKeysParametersPolicy", "NodeKeysRotationPolicy"][..]),
        ("KeyRotationRole", &["KeyRotationPolicy"]),
    ] {
        let parsed =
            |id: &&str| IdentityPolicy::parse(id, &resolved.resource(id).unwrap()["PolicyDocument"]).unwrap();
        let own: Vec<_> = policies.iter().map(parsed).collect();
        let ask_of = |key: &str, action: &str, context: Context| {
            let request = Request::new(session_of(role), action, key).with(context);
            decide(&request, &own, &Target::kms_key("444455556666", &theirs)).unwrap()
        };
        let ask = |action: &str, context: Context| ask_of(THEIRS, action, context);
        assert_full_context_only(|context| ask("kms:Encrypt", context));
        assert_pairs_only_sealed(ask);
        assert_given_nothing_that_opens(ask);
        let of_record_key = |action: &str| ask_of(THEIR_RECORD_KEY, &format!("kms:{action}"), Context::new());
        assert_eq!(allowed(KMS_ACTIONS, of_record_key), ["GetPublicKey", "Sign"], "{role}");
    }
}
