//! The template as a whole.

use policies::template::Stack;
use policies::{IdentityPolicy, ResourcePolicy};
use serde_json::{Value, json};

use super::{OTHER_STACK, RECORD_KEY, SECRETS_KEY, STACK, resolve, stack};

/// Everything in the template that is a policy is understood, and asks for nothing but the keys that
/// these tests, and a double, know how to give.
#[test]
fn every_policy_is_understood() {
    let known = [
        "aws:PrincipalArn",
        "aws:RequestTag/keyboot:stack",
        "aws:ResourceTag/keyboot:adopted-from",
        "aws:ResourceTag/keyboot:delete-after",
        "aws:ResourceTag/keyboot:stack",
        "aws:SecureTransport",
        "aws:SourceAccount",
        "aws:SourceArn",
        "aws:TagKeys",
        "kms:DataKeyPairSpec",
        "kms:EncryptionContext:PARAMETER_ARN",
        "kms:EncryptionContext:SecretARN",
        "kms:EncryptionContext:SecretVersionId",
        "kms:EncryptionContext:keyboot:cluster",
        "kms:EncryptionContext:keyboot:node",
        "kms:EncryptionContext:keyboot:purpose",
        "kms:EncryptionContextKeys",
        "kms:ViaService",
        "secretsmanager:BlockPublicPolicy",
        "secretsmanager:RecoveryWindowInDays",
        "secretsmanager:RotateImmediately",
        "secretsmanager:RotationLambdaARN",
        "ssm:Overwrite",
    ];
    let adopting =
        stack().parameter("AdoptFromStackIds", OTHER_STACK).parameter("FormerRecordKeyArns", RECORD_KEY);
    let read = stack()
        .parameter("ClientPrincipals", "default=arn:aws:iam::444455556666:role/client")
        .parameter("ManagementPrincipals", "arn:aws:iam::111122223333:role/manager")
        .parameter("ReaderAccounts", "444455556666")
        .parameter("ShareDocuments", "true");
    let serving = stack().parameter("ClientStackIds", OTHER_STACK);
    let read_parameters = read.clone().parameter("Store", "ParameterStore");
    let rotating = stack()
        .parameter("RotateApiKeysEvery", "cron(0 8 1 * ? *)")
        .parameter("RotateP2pKeysEvery", "cron(0 8 1 1/3 ? *)");
    let rotating_parameters = rotating.clone().parameter("Store", "ParameterStore");
    let stacks = [stack(), adopting, read, read_parameters, serving, rotating, rotating_parameters];
    for stack in stacks.into_iter().chain([Stack::new(STACK).unwrap()]) {
        let resolved = resolve(stack);
        let mut counted = 0;
        for (id, kind) in resolved.resources() {
            let properties = resolved.resource(id).unwrap();
            let check = |keys: std::collections::BTreeSet<&str>| {
                let unknown: Vec<_> = keys.into_iter().filter(|key| !known.contains(key)).collect();
                assert!(unknown.is_empty(), "{id} asks for {unknown:?}");
            };
            match kind {
                "AWS::KMS::Key" => {
                    check(
                        ResourcePolicy::parse(id, &resolved.policy(id, "KeyPolicy").unwrap())
                            .unwrap()
                            .condition_keys(),
                    );
                }
                "AWS::IAM::Role" => {
                    check(
                        ResourcePolicy::trust(id, &properties["AssumeRolePolicyDocument"])
                            .unwrap()
                            .condition_keys(),
                    );
                    assert_eq!(properties.get("Policies"), None, "{id}");
                }
                "AWS::IAM::Policy" | "AWS::IAM::ManagedPolicy" => {
                    check(IdentityPolicy::parse(id, &properties["PolicyDocument"]).unwrap().condition_keys());
                }
                "AWS::SNS::TopicPolicy" => {
                    check(ResourcePolicy::parse(id, &properties["PolicyDocument"]).unwrap().condition_keys());
                }
                _ => {
                    assert!(!has_a_policy(&properties), "{id} has a policy that no test reads");
                    continue;
                }
            }
            counted += 1;
        }
        assert!(counted >= 12, "{counted} policies");
    }
}

#[test]
fn a_node_more_is_a_reader_more() {
    let readers = |nodes: &str| {
        let resolved = resolve(Stack::new(STACK).unwrap().parameter("Nodes", nodes));
        let ids = resolved.resources().map(|(id, _)| id.to_owned());
        ids.filter(|id| id.starts_with("NodeReader")).collect::<Vec<_>>()
    };
    assert_eq!(readers("0,7"), ["NodeReader0", "NodeReader7"]);
    let resolved = resolve(stack());
    assert_eq!(resolved.output("Node1ReaderPolicyArn"), Ok(json!("NodeReader1")));
    assert_eq!(resolved.output("KmsKeyArn"), Ok(json!(SECRETS_KEY)));
}

/// Whether a policy document stands anywhere in a value.
fn has_a_policy(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.contains_key("Statement") || map.values().any(has_a_policy),
        Value::Array(list) => list.iter().any(has_a_policy),
        _ => false,
    }
}
