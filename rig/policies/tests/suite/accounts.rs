//! Who allows what across identities, resources and accounts. Pages are of the IAM User Guide
//! unless they say otherwise.

use policies::{
    Context, Decision, IdentityPolicy, Principal, Request, ResourcePolicy, Share, SharedWith, Side, Target,
};
use serde_json::{Value, json};

use crate::asking::{ELSEWHERE, HERE, allowing, answer, identity, reader, resource, root};

const SECRET: &str = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:a-AbCdEf";
const KEY: &str = "arn:aws:kms:eu-central-1:111122223333:key/1";

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Outcome {
    Allowed,
    /// Nothing on the side of who asks allows it.
    LacksIdentity,
    /// Nothing on the side of what is asked for allows it.
    LacksResource,
    /// A statement of this side denies it.
    Denied(Side),
}
use Outcome::{Allowed, Denied, LacksIdentity, LacksResource};

fn outcome(decision: &Decision) -> Outcome {
    match decision {
        Decision::Allowed => Allowed,
        Decision::DeniedImplicitly(Side::Identity) => LacksIdentity,
        Decision::DeniedImplicitly(Side::Resource) => LacksResource,
        Decision::DeniedExplicitly(denial) => Denied(denial.side),
    }
}

fn account() -> Value {
    json!({"AWS": "arn:aws:iam::111122223333:root"})
}

fn the_role() -> Value {
    json!({"AWS": "arn:aws:iam::111122223333:role/reader"})
}

fn allow_to(principal: &Value) -> ResourcePolicy {
    resource(json!({ "Principal": principal }))
}

fn deny_to(principal: &Value) -> ResourcePolicy {
    resource(json!({"Effect": "Deny", "Principal": principal}))
}

fn everything() -> Vec<IdentityPolicy> {
    vec![identity(json!({}))]
}

fn deny_all() -> Vec<IdentityPolicy> {
    vec![identity(json!({})), identity(json!({"Effect": "Deny"}))]
}

/// "Policy evaluation logic", "Evaluating identity-based policies with resource-based policies".
#[test]
fn within_an_account_either_side_allows() {
    let nobody = Vec::new;
    let request = Request::new(reader(HERE), "secretsmanager:GetSecretValue", SECRET);
    for (attached, policy, expected) in [
        (nobody(), None, LacksIdentity),
        (everything(), None, Allowed),
        (nobody(), Some(allow_to(&the_role())), Allowed),
        // An account "delegates authority to the account": its own policies have to allow too.
        (nobody(), Some(allow_to(&account())), LacksIdentity),
        (everything(), Some(allow_to(&account())), Allowed),
        // Who is named both ways is named himself.
        (nobody(), Some(allow_to(&json!({"AWS": [HERE, "arn:aws:iam::111122223333:role/reader"]}))), Allowed),
        // "For IAM users and role principals within your account, no other permissions are required."
        (nobody(), Some(allow_to(&json!("*"))), Allowed),
        (nobody(), Some(allow_to(&json!({"AWS": "*"}))), Allowed),
        (everything(), Some(deny_to(&the_role())), Denied(Side::Resource)),
        (everything(), Some(deny_to(&account())), Denied(Side::Resource)),
        (everything(), Some(deny_to(&json!("*"))), Denied(Side::Resource)),
        (everything(), Some(deny_to(&json!({"AWS": ELSEWHERE}))), Allowed),
        (deny_all(), Some(allow_to(&the_role())), Denied(Side::Identity)),
    ] {
        let target = Target::in_account(HERE);
        let target = policy.as_ref().map_or(target, |policy| target.with_policy(policy));
        assert_eq!(outcome(&answer(&request, &attached, &target)), expected, "{policy:?}");
    }
}

/// "AWS JSON policy elements: Principal".
#[test]
fn how_a_statement_names_a_principal() {
    let pathed = Principal::role("arn:aws:iam::111122223333:role/team/a/reader", "morning").unwrap();
    let user = || Principal::user("arn:aws:iam::111122223333:user/alice").unwrap();
    let lambda = || Principal::service("lambda.amazonaws.com");
    for (principal, who, expected) in [
        (the_role(), reader(HERE), true),
        (the_role(), reader(ELSEWHERE), false),
        (json!({"AWS": "arn:aws:iam::111122223333:role/Reader"}), reader(HERE), false),
        (json!({"AWS": "arn:aws:iam::111122223333:role/team/a/reader"}), pathed.clone(), true),
        (the_role(), pathed.clone(), false),
        // The ARN of a session has no path.
        (json!({"AWS": "arn:aws:sts::111122223333:assumed-role/reader/morning"}), pathed, true),
        (json!({"AWS": "arn:aws:sts::111122223333:assumed-role/reader/morning"}), reader(HERE), true),
        (json!({"AWS": "arn:aws:sts::111122223333:assumed-role/reader/evening"}), reader(HERE), false),
        (
            json!({"AWS": ["arn:aws:iam::444455556666:role/reader", "arn:aws:iam::111122223333:role/reader"]}),
            reader(HERE),
            true,
        ),
        (json!({"AWS": "arn:aws:iam::111122223333:user/alice"}), user(), true),
        (json!({"AWS": "arn:aws:iam::111122223333:user/bob"}), user(), false),
        (json!({"Service": "lambda.amazonaws.com"}), lambda(), true),
        (json!({"Service": "events.amazonaws.com"}), lambda(), false),
        (json!({"AWS": HERE}), lambda(), false),
        (json!({"Service": "lambda.amazonaws.com"}), reader(HERE), false),
        (
            json!({"Service": "lambda.amazonaws.com", "AWS": "arn:aws:iam::111122223333:role/reader"}),
            reader(HERE),
            true,
        ),
    ] {
        let (policy, none) = (allow_to(&principal), []);
        let request = Request::new(who.clone(), "secretsmanager:GetSecretValue", SECRET);
        let decision = answer(&request, &none, &Target::in_account(HERE).with_policy(&policy));
        assert_eq!(decision.is_allowed(), expected, "{principal} for {who:?}");
    }
}

/// "Cross-account policy evaluation logic": both accounts allow.
#[test]
fn across_accounts_both_sides_allow() {
    let request = Request::new(reader(ELSEWHERE), "secretsmanager:GetSecretValue", SECRET);
    let their_role = json!({"AWS": "arn:aws:iam::444455556666:role/reader"});
    let their_account = json!({ "AWS": ELSEWHERE });
    for (attached, policy, expected) in [
        (everything(), None, LacksResource),
        (everything(), Some(allow_to(&account())), LacksResource),
        (vec![], Some(allow_to(&their_role)), LacksIdentity),
        (everything(), Some(allow_to(&their_role)), Allowed),
        (everything(), Some(allow_to(&their_account)), Allowed),
        (vec![], Some(allow_to(&their_account)), LacksIdentity),
        // "For principals in other accounts, they must also have identity-based permissions."
        (vec![], Some(allow_to(&json!("*"))), LacksIdentity),
        (everything(), Some(allow_to(&json!("*"))), Allowed),
        (deny_all(), Some(allow_to(&their_role)), Denied(Side::Identity)),
        (everything(), Some(deny_to(&their_account)), Denied(Side::Resource)),
    ] {
        let target = Target::in_account(HERE);
        let target = policy.as_ref().map_or(target, |policy| target.with_policy(policy));
        assert_eq!(outcome(&answer(&request, &attached, &target)), expected, "{policy:?}");
    }
}

/// KMS Developer Guide, "Key policies in AWS KMS", "Default key policy" (Allows access to the AWS
/// account and enables IAM policies) and "Allowing users in other accounts to use a KMS key".
#[test]
fn a_key_is_only_what_its_policy_makes_of_it() {
    let their_account = json!({ "AWS": ELSEWHERE });
    for (who, attached, policy, expected) in [
        // No statement for the account: a role's own policies count for nothing.
        (reader(HERE), everything(), allow_to(&their_account), LacksResource),
        (reader(HERE), everything(), allow_to(&account()), Allowed),
        (reader(HERE), vec![], allow_to(&account()), LacksIdentity),
        (reader(HERE), vec![], allow_to(&the_role()), Allowed),
        (reader(HERE), deny_all(), allow_to(&the_role()), Denied(Side::Identity)),
        (reader(HERE), everything(), deny_to(&account()), Denied(Side::Resource)),
        // The account's root has what the key policy gives the account, and nothing else.
        (root(HERE), vec![], allow_to(&account()), Allowed),
        (root(HERE), vec![], allow_to(&the_role()), LacksResource),
        (root(HERE), vec![], deny_to(&account()), Denied(Side::Resource)),
        (reader(ELSEWHERE), everything(), allow_to(&their_account), Allowed),
        (reader(ELSEWHERE), vec![], allow_to(&their_account), LacksIdentity),
        (reader(ELSEWHERE), everything(), allow_to(&account()), LacksResource),
        (root(ELSEWHERE), vec![], allow_to(&their_account), Allowed),
        (root(ELSEWHERE), vec![], allow_to(&account()), LacksResource),
        (Principal::service("secretsmanager.amazonaws.com"), vec![], allow_to(&account()), LacksResource),
    ] {
        let request = Request::new(who.clone(), "kms:Decrypt", KEY);
        let decision = answer(&request, &attached, &Target::kms_key(HERE, &policy));
        assert_eq!(outcome(&decision), expected, "{who:?} {policy:?}");
    }
}

/// "Policy evaluation logic": the root user has full access in its account; a resource's policy can
/// deny it.
#[test]
fn the_root_user() {
    let request = Request::new(root(HERE), "secretsmanager:GetSecretValue", SECRET);
    let target = Target::in_account(HERE);
    assert_eq!(outcome(&answer(&request, &[], &target)), Allowed);
    let policy = deny_to(&json!("*"));
    assert_eq!(outcome(&answer(&request, &[], &target.with_policy(&policy))), Denied(Side::Resource));
    let policy = deny_to(&account());
    assert_eq!(outcome(&answer(&request, &[], &target.with_policy(&policy))), Denied(Side::Resource));
    let policy = deny_to(&the_role());
    assert_eq!(outcome(&answer(&request, &[], &target.with_policy(&policy))), Allowed);
    // No policy is attached to it: what is given for one does not bind it.
    assert_eq!(outcome(&answer(&request, &deny_all(), &target)), Allowed);

    let from_elsewhere = Request::new(root(ELSEWHERE), "secretsmanager:GetSecretValue", SECRET);
    assert_eq!(outcome(&answer(&from_elsewhere, &[], &target)), LacksResource);
}

/// "AWS global condition context keys", properties of the principal and of the resource.
#[test]
fn what_is_known_of_a_principal() {
    let role = || reader(HERE).in_organization("o-a1b2c3d4e5").tagged("Team", "red");
    let user = || Principal::user("arn:aws:iam::111122223333:user/people/alice").unwrap();
    let service = || Principal::service("lambda.amazonaws.com");
    for (who, key, value, expected) in [
        // The ARN of the role, not of its session.
        (role(), "aws:PrincipalArn", "arn:aws:iam::111122223333:role/reader", true),
        (role(), "aws:PrincipalArn", "arn:aws:sts::111122223333:assumed-role/reader/morning", false),
        (role(), "aws:PrincipalAccount", HERE, true),
        (role(), "aws:PrincipalOrgID", "o-a1b2c3d4e5", true),
        (reader(HERE), "aws:PrincipalOrgID", "o-a1b2c3d4e5", false),
        (role(), "aws:PrincipalTag/team", "red", true),
        (role(), "aws:PrincipalTag/team", "blue", false),
        (role(), "aws:PrincipalType", "AssumedRole", true),
        (role(), "aws:PrincipalIsAWSService", "false", true),
        (role(), "aws:ResourceAccount", HERE, true),
        (root(HERE), "aws:PrincipalArn", "arn:aws:iam::111122223333:root", true),
        (root(HERE), "aws:PrincipalType", "Account", true),
        (user(), "aws:PrincipalArn", "arn:aws:iam::111122223333:user/people/alice", true),
        (user(), "aws:username", "alice", true),
        (user(), "aws:PrincipalType", "User", true),
        (service(), "aws:PrincipalIsAWSService", "true", true),
        (service(), "aws:PrincipalServiceName", "lambda.amazonaws.com", true),
        (service(), "aws:PrincipalArn", "arn:aws:iam::111122223333:root", false),
    ] {
        let statement = json!({"Principal": "*", "Condition": {"StringEquals": {key: value}}});
        let policy = resource(statement);
        let request = Request::new(who.clone(), "kms:Decrypt", KEY);
        let decision = answer(&request, &[], &Target::kms_key(HERE, &policy));
        assert_eq!(decision.is_allowed(), expected, "{key} {value} for {who:?}");
    }
    // Nobody says of himself who he is.
    let forged = Context::new().with("aws:PrincipalArn", "arn:aws:iam::111122223333:role/admin");
    let request = Request::new(reader(HERE), "kms:Decrypt", KEY).with(forged);
    let condition = json!({"ArnEquals": {"aws:PrincipalArn": "arn:aws:iam::111122223333:role/admin"}});
    let policy = resource(json!({"Principal": "*", "Condition": condition}));
    assert_eq!(outcome(&answer(&request, &[], &Target::kms_key(HERE, &policy))), LacksResource);
}

/// "IAM roles: trust policies": a role is taken by whom its trust policy names, and by nobody else.
#[test]
fn a_trust_policy() {
    let document = |principal: Value| {
        let statement = json!({"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"});
        ResourcePolicy::trust("trust", &json!({"Version": "2012-10-17", "Statement": [statement]})).unwrap()
    };
    let role = "arn:aws:iam::111122223333:role/node-keys";
    let lambda = Principal::service("lambda.amazonaws.com");
    for (principal, who, attached, expected) in [
        (json!({"Service": "lambda.amazonaws.com"}), lambda.clone(), vec![], Allowed),
        (json!({"Service": "events.amazonaws.com"}), lambda, vec![], LacksResource),
        (json!({"Service": "lambda.amazonaws.com"}), root(HERE), vec![], LacksResource),
        (json!({"Service": "lambda.amazonaws.com"}), reader(HERE), everything(), LacksResource),
        (account(), reader(HERE), everything(), Allowed),
        (account(), reader(HERE), vec![], LacksIdentity),
        (the_role(), reader(HERE), vec![], Allowed),
    ] {
        let policy = document(principal.clone());
        let request = Request::new(who.clone(), "sts:AssumeRole", role);
        let decision = answer(&request, &attached, &Target::role(HERE, &policy));
        assert_eq!(outcome(&decision), expected, "{principal} for {who:?}");
    }
}

const RECORD: &str = "arn:aws:ssm:eu-central-1:111122223333:parameter/keyboot/tsm/node/0/record";
const OTHER_RECORD: &str = "arn:aws:ssm:eu-central-1:111122223333:parameter/keyboot/tsm/node/1/record";

/// Systems Manager User Guide, "Working with shared parameters in Parameter Store", "Permissions sets
/// for sharing parameters".
#[test]
fn what_a_share_of_a_parameter_allows() {
    let share = || Share::parameter(RECORD, vec![SharedWith::Account(ELSEWHERE.to_owned())]);
    for (share, action, resource, attached, expected) in [
        (share(), "ssm:GetParameter", RECORD, everything(), Allowed),
        (share(), "ssm:GetParameters", RECORD, everything(), Allowed),
        (share(), "ssm:DescribeParameters", RECORD, everything(), Allowed),
        (share(), "ssm:GetParameter", OTHER_RECORD, everything(), LacksResource),
        (share(), "ssm:PutParameter", RECORD, everything(), LacksResource),
        (share(), "ssm:GetParameterHistory", RECORD, everything(), LacksResource),
        (share().with_history(), "ssm:GetParameterHistory", RECORD, everything(), Allowed),
        // The consumer's own policies have to allow it too.
        (share(), "ssm:GetParameter", RECORD, vec![], LacksIdentity),
        (share(), "ssm:GetParameter", RECORD, deny_all(), Denied(Side::Identity)),
    ] {
        let request = Request::new(reader(ELSEWHERE), action, resource);
        let shares = [Share::parameter(OTHER_RECORD, vec![]), share];
        let decision = answer(&request, &attached, &Target::in_account(HERE).with_shares(&shares));
        assert_eq!(outcome(&decision), expected, "{action}, {shares:?}");
    }
}

/// RAM User Guide, "Sharing your AWS resources": accounts, organizations, roles.
#[test]
fn whom_a_share_is_with() {
    let account = || SharedWith::Account(ELSEWHERE.to_owned());
    let organization = || SharedWith::Organization("o-a1b2c3d4e5".to_owned());
    let role = |name: &str| SharedWith::Role(format!("arn:aws:iam::444455556666:role/{name}"));
    let member = || reader(ELSEWHERE).in_organization("o-a1b2c3d4e5");
    for (who, with, attached, expected) in [
        (reader(ELSEWHERE), vec![account()], everything(), Allowed),
        (reader("777788889999"), vec![account()], everything(), LacksResource),
        (reader("777788889999"), vec![], everything(), LacksResource),
        (member(), vec![organization()], everything(), Allowed),
        (reader(ELSEWHERE), vec![organization()], everything(), LacksResource),
        (reader(ELSEWHERE), vec![organization(), account()], everything(), Allowed),
        (reader(ELSEWHERE), vec![role("reader")], everything(), Allowed),
        (reader(ELSEWHERE), vec![role("writer")], everything(), LacksResource),
        (root(ELSEWHERE), vec![account()], vec![], Allowed),
    ] {
        let request = Request::new(who.clone(), "ssm:GetParameter", RECORD);
        let shares = [Share::parameter(RECORD, with)];
        let decision = answer(&request, &attached, &Target::in_account(HERE).with_shares(&shares));
        assert_eq!(outcome(&decision), expected, "{who:?}, {shares:?}");
    }
}

#[test]
fn a_policy_tells_whom_it_names() {
    let principal = json!({"AWS": ["arn:aws:iam::111122223333:role/reader", "arn:aws:iam::444455556666:user/alice", HERE, "*"]});
    let policy = allow_to(&principal);
    let named: Vec<_> = policy.named_principals().into_iter().collect();
    assert_eq!(named, ["arn:aws:iam::111122223333:role/reader", "arn:aws:iam::444455556666:user/alice"]);
}

/// IAM API Reference, `CreateRole`; STS API Reference, `AssumeRole`.
#[test]
fn what_is_no_principal() {
    for arn in [
        "arn:aws:iam::111122223333:user/a",
        "arn:aws:iam::1111:role/a",
        "arn:aws:iam::111122223333:role/",
        "a",
        "arn:aws:iam::111122223333:role/a*",
    ] {
        assert!(Principal::role(arn, "morning").is_err(), "{arn}");
    }
    for session in ["a", "", "a b", "a/b", &"a".repeat(65)] {
        assert!(Principal::role("arn:aws:iam::111122223333:role/a", session).is_err(), "{session}");
    }
    assert!(Principal::root("arn:aws:iam::111122223333:role/root").is_err());
    assert!(Principal::user("arn:aws:iam::111122223333:role/alice").is_err());
    let china = Principal::root("arn:aws-cn:iam::111122223333:root").unwrap();
    assert_eq!(china.arn().as_deref(), Some("arn:aws-cn:iam::111122223333:root"));
    let role = reader(HERE);
    assert_eq!(
        (role.account(), role.caller_arn().as_str()),
        (Some(HERE), "arn:aws:sts::111122223333:assumed-role/reader/morning")
    );
}

#[test]
fn the_helper_that_makes_policies_makes_what_it_says() {
    let expected =
        json!({"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}]});
    assert_eq!(allowing(json!({"Effect": "Deny"})), expected);
}
