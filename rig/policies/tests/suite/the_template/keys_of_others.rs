//! A stack whose keys are somebody else's: it makes none, and means the given ones everywhere.

use policies::template::Stack;
use policies::{Context, Decision, IdentityPolicy, Request, ResourcePolicy, Side, Target, decide};
use serde_json::json;

use super::{
    RECORD_KEY, SECRETS_KEY, STACK, VIA_SECRETS_MANAGER, full, node_keys, pairs, resolve, sealed_under, stack,
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
    let function = resolved.resource("NodeKeysFunction").unwrap();
    assert_eq!(function["Environment"]["Variables"]["KEYBOOT_SIGNING_KEY_ARN"], THEIR_RECORD_KEY);
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

/// The statements that the README asks an owner for are enough, and the role's own bind it as before.
#[test]
fn what_the_owner_of_a_key_allows_is_enough() {
    let resolved = resolve(given());
    let role = format!("arn:aws:iam::{HERE}:role/NodeKeysRole");
    let statement = |actions: &[&str], condition: serde_json::Value| {
        json!({
            "Effect": "Allow", "Principal": {"AWS": format!("arn:aws:iam::{HERE}:root")},
            "Action": actions, "Resource": "*", "Condition": condition,
        })
    };
    let seals = statement(&["kms:Encrypt"], json!({"ArnLike": {"aws:PrincipalArn": role}}));
    let stores = statement(
        &["kms:Decrypt", "kms:GenerateDataKey"],
        json!({"ArnLike": {"aws:PrincipalArn": role}, "StringEquals": {"kms:ViaService": VIA_SECRETS_MANAGER}}),
    );
    let policy = ResourcePolicy::parse("theirs", &json!({ "Statement": [seals, stores] })).unwrap();
    let document = &resolved.resource("NodeKeysPolicy").unwrap()["PolicyDocument"];
    let own = [IdentityPolicy::parse("own", document).unwrap()];
    let ask = |action: &str, context: Context| {
        let request = Request::new(node_keys(), action, THEIRS).with(context);
        decide(&request, &own, &Target::kms_key("444455556666", &policy)).unwrap()
    };
    let via = |version: &str| {
        sealed_under(&[("SecretVersionId", version)]).with("kms:ViaService", VIA_SECRETS_MANAGER)
    };
    assert!(ask("kms:Encrypt", pairs(&full("keyboot/tsm", "0"))).is_allowed());
    assert!(ask("kms:GenerateDataKey", via("1")).is_allowed());
    assert!(ask("kms:Decrypt", via("RequestToValidateKeyAccess")).is_allowed());
    assert_eq!(ask("kms:Decrypt", via("1")), Decision::DeniedImplicitly(Side::Identity));
    assert_eq!(ask("kms:Encrypt", Context::new()), Decision::DeniedImplicitly(Side::Identity));
}
