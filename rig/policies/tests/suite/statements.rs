//! Effect, Action, Resource and their negations. Pages are of the IAM User Guide.

use policies::{Context, Decision, IdentityPolicy, Request, Target};
use serde_json::json;

use crate::asking::{HERE, allows, answer, identity, reader};

#[test]
fn actions() {
    let page = "IAM JSON policy elements: Action, and NotAction";
    for (element, listed, action, allowed) in [
        ("Action", json!("kms:Decrypt"), "kms:Decrypt", true),
        ("Action", json!("kms:Decrypt"), "kms:DecryptX", false),
        ("Action", json!("KMS:decrypt"), "kms:Decrypt", true),
        ("Action", json!("kms:*"), "kms:Decrypt", true),
        ("Action", json!("kms:*"), "ssm:GetParameter", false),
        ("Action", json!("kms:GenerateDataKey*"), "kms:GenerateDataKeyPair", true),
        ("Action", json!("kms:GenerateDataKey*"), "kms:generatedatakey", true),
        ("Action", json!("kms:GenerateDataKey?"), "kms:GenerateDataKey", false),
        ("Action", json!("kms:*Key*"), "kms:DescribeKey", true),
        ("Action", json!("*"), "kms:Decrypt", true),
        ("Action", json!(["kms:Encrypt", "ssm:Get*"]), "ssm:GetParameters", true),
        ("Action", json!(["kms:Encrypt", "ssm:Get*"]), "ssm:PutParameter", false),
        ("NotAction", json!("kms:Decrypt"), "kms:Encrypt", true),
        ("NotAction", json!("kms:Decrypt"), "kms:decrypt", false),
        ("NotAction", json!(["kms:*", "ssm:*"]), "kms:Encrypt", false),
        ("NotAction", json!(["kms:*", "ssm:*"]), "secretsmanager:GetSecretValue", true),
    ] {
        let statement = json!({"Action": null, element: listed});
        assert_eq!(
            allows(&statement, action, "*", Context::new()),
            allowed,
            "{page}: {statement} for {action}"
        );
    }
}

#[test]
fn resources() {
    let page = "IAM JSON policy elements: Resource, and NotResource";
    let secret = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:keyboot/tsm/node/0/p2p-key-AbCdEf";
    let with = |resource: &str| format!("arn:aws:secretsmanager:eu-central-1:111122223333:{resource}");
    for (element, listed, allowed) in [
        ("Resource", json!("*"), true),
        ("Resource", json!(secret), true),
        ("Resource", json!(with("secret:keyboot/tsm/node/0/p2p-key-??????")), true),
        ("Resource", json!(with("secret:keyboot/tsm/node/0/p2p-key-?????")), false),
        ("Resource", json!(with("secret:keyboot/tsm/node/1/p2p-key-??????")), false),
        ("Resource", json!(with("secret:keyboot/*")), true),
        ("Resource", json!(with("secret:Keyboot/*")), false),
        ("Resource", json!(with("secret:*/node/*/p2p-key-*")), true),
        ("Resource", json!("arn:aws:secretsmanager:*:*:secret:*"), true),
        ("Resource", json!("arn:aws:secretsmanager:*:*:*"), true),
        ("Resource", json!("arn:aws:secretsmanager:*:444455556666:*"), false),
        ("Resource", json!("arn:aws:secretsmanager:us-*:*:*"), false),
        ("Resource", json!("arn:aws:ssm:*:*:*"), false),
        ("Resource", json!("arn:aws-cn:secretsmanager:*:*:*"), false),
        // A `*` that ends a part reaches over colons; another does not.
        ("Resource", json!("arn:aws:secretsmanager:e*:secret:keyboot/tsm/node/0/p2p-key-AbCdEf"), true),
        ("Resource", json!("arn:aws:secretsmanager:e*3:secret:keyboot/tsm/node/0/p2p-key-AbCdEf"), false),
        ("Resource", json!(with("secret?keyboot/tsm/node/0/p2p-key-AbCdEf")), false),
        ("Resource", json!(["arn:aws:ssm:*:*:*", secret]), true),
        ("NotResource", json!(secret), false),
        ("NotResource", json!("arn:aws:ssm:*:*:*"), true),
        ("NotResource", json!(["arn:aws:ssm:*:*:*", with("secret:*")]), false),
    ] {
        let statement = json!({"Resource": null, element: listed});
        let allows = allows(&statement, "secretsmanager:GetSecretValue", secret, Context::new());
        assert_eq!(allows, allowed, "{page}: {statement}");
    }
}

#[test]
fn an_action_on_no_resource_needs_a_star() {
    for (listed, allowed) in [("*", true), ("arn:aws:ssm:*:*:*", false)] {
        let statement = json!({"Resource": listed});
        assert_eq!(allows(&statement, "ssm:DescribeParameters", "*", Context::new()), allowed, "{listed}");
    }
}

/// "Policy evaluation logic": an explicit Deny in any policy overrides any Allow, wherever it stands.
#[test]
fn a_deny_wins() {
    let allow = || identity(json!({}));
    let deny = || identity(json!({"Sid": "NoDecrypt", "Effect": "Deny", "Action": "kms:Decrypt"}));
    let target = Target::in_account(HERE);
    for policies in [[allow(), deny()], [deny(), allow()]] {
        let denied = answer(&Request::new(reader(HERE), "kms:Decrypt", "*"), &policies, &target);
        let Decision::DeniedExplicitly(denial) = &denied else { panic!("{denied}") };
        assert_eq!((denial.policy.as_str(), denial.statement.as_str()), ("identity", "NoDecrypt"));
        assert_eq!(denied.to_string(), "denied by NoDecrypt of policy identity");
        assert!(answer(&Request::new(reader(HERE), "kms:Encrypt", "*"), &policies, &target).is_allowed());
    }
    let nothing = answer(&Request::new(reader(HERE), "kms:Decrypt", "*"), &[], &target);
    assert!(matches!(nothing, Decision::DeniedImplicitly(_)), "{nothing}");
}

/// "Troubleshoot access denied error messages".
#[test]
fn what_the_denied_is_told() {
    let request = Request::new(reader(HERE), "kms:Decrypt", "arn:aws:kms:eu-central-1:111122223333:key/1");
    let target = Target::in_account(HERE);
    let user = "User: arn:aws:sts::111122223333:assumed-role/reader/morning is not authorized to perform: \
                kms:Decrypt on resource: arn:aws:kms:eu-central-1:111122223333:key/1 ";
    let told = |policies: &[IdentityPolicy]| answer(&request, policies, &target).message(&request);
    let expected = |rest: &str| Some(format!("{user}{rest}"));
    assert_eq!(told(&[]), expected("because no identity-based policy allows the kms:Decrypt action"));
    let deny = identity(json!({"Effect": "Deny"}));
    assert_eq!(told(&[deny]), expected("with an explicit deny in an identity-based policy"));
    assert_eq!(told(&[identity(json!({}))]), None);
}

/// "IAM JSON policy elements: Statement": one, or a list.
#[test]
fn a_single_statement_needs_no_list() {
    let document = json!({"Statement": {"Effect": "Allow", "Action": "kms:*", "Resource": "*"}});
    let policy = IdentityPolicy::parse("single", &document).unwrap();
    let request = Request::new(reader(HERE), "kms:Decrypt", "*");
    assert!(answer(&request, &[policy], &Target::in_account(HERE)).is_allowed());
}

#[test]
fn a_policy_tells_the_keys_it_asks_for() {
    let condition = json!({"StringEquals": {"aws:PrincipalArn": "x", "kms:ViaService": "y"}, "Null": {"kms:ViaService": "false"}});
    let policy = identity(json!({ "Condition": condition }));
    assert_eq!(
        policy.condition_keys().into_iter().collect::<Vec<_>>(),
        ["aws:PrincipalArn", "kms:ViaService"]
    );
}
