//! What a node may do.

use policies::template::Resolved;
use policies::{Context, Decision, Principal, Request, ResourcePolicy, Target, decide};
use serde_json::json;

use super::{
    SECRETS_KEY, actions_of, administrator, assert_denied_by, assert_not_allowed, at, for_secret, log_group,
    login, master, parameter, policies_of, resolve, role_arn, secret, session, stack,
};
use crate::asking::{ELSEWHERE, HERE, root};

/// What node 0 may do, by its own policy, with something whose owner would let it.
fn node_0(resolved: &Resolved, action: &str, resource: &str, context: Context) -> Decision {
    let owner = resource.split(':').nth(4).filter(|owner| !owner.is_empty()).unwrap_or(HERE);
    let open = json!({"Statement": {"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}});
    let open = ResourcePolicy::parse("open to everybody", &open).unwrap();
    let request = Request::new(session("tsm-node-0"), action, resource).with(context);
    let here = Target::in_account(owner);
    // In its own account its own policy is enough, elsewhere both sides have to allow.
    let target = if owner == HERE { here } else { here.with_policy(&open) };
    decide(&request, &policies_of(resolved, "NodeRole0"), &target).unwrap()
}

const OWN: &[&str] = &[
    "kms:Decrypt",
    "logs:CreateLogStream",
    "logs:DescribeLogStreams",
    "logs:PutLogEvents",
    "s3:GetObject",
    "secretsmanager:DescribeSecret",
    "secretsmanager:GetSecretValue",
    "ssm:GetParameter",
    "ssm:GetParameters",
];

#[test]
fn a_node_has_these_actions_and_no_others() {
    let resolved = resolve(stack());
    for role in ["NodeRole0", "NodeRole1"] {
        assert_eq!(actions_of(&resolved, role), OWN.iter().map(|action| (*action).to_owned()).collect());
    }
    let sessions = [
        "ssm:UpdateInstanceInformation",
        "ssmmessages:CreateControlChannel",
        "ssmmessages:CreateDataChannel",
        "ssmmessages:OpenControlChannel",
        "ssmmessages:OpenDataChannel",
    ];
    let with_sessions = resolve(stack().parameter("SessionManager", "true"));
    let wanted = OWN.iter().chain(&sessions).map(|action| (*action).to_owned()).collect();
    assert_eq!(actions_of(&with_sessions, "NodeRole0"), wanted);
}

#[test]
fn a_node_reads_its_own_secrets_and_nobody_elses() {
    let resolved = resolve(stack());
    let read = |arn: &str| node_0(&resolved, "secretsmanager:GetSecretValue", arn, at("Vpc"));
    for own in ["keyboot/tsm/node/0/p2p-key", "keyboot/tsm/node/0/share-encryption-password"] {
        assert!(read(&secret(own)).is_allowed(), "{own}");
    }
    assert!(read(&login("0")).is_allowed(), "its database login");
    for not in [
        "keyboot/tsm/node/1/p2p-key",
        "keyboot/tsm/node/10/p2p-key",
        "keyboot/other/node/0/p2p-key",
        "keyboot/tsm/node/0/api-key/default",
        "keyboot/tsm/node/0/management-key",
        "keyboot/tsm/node/0/p2p-key/more",
    ] {
        assert_not_allowed(&read(&secret(not)), not);
    }
    assert_not_allowed(&read(&login("1")), "another node's login");
    assert_not_allowed(&read(&master("0")), "the master user's");
    let put = node_0(&resolved, "secretsmanager:PutSecretValue", &login("0"), at("Vpc"));
    assert_not_allowed(&put, "writing its login");
}

#[test]
fn a_node_opens_its_own_under_the_keys_and_nothing_else() {
    let resolved = resolve(stack());
    let envelope = |cluster: &str, node: &str| {
        at("Vpc")
            .with("kms:EncryptionContext:keyboot:cluster", cluster)
            .with("kms:EncryptionContext:keyboot:node", node)
    };
    let open = |context: Context| node_0(&resolved, "kms:Decrypt", SECRETS_KEY, context);
    assert!(open(envelope("keyboot/tsm", "0")).is_allowed());
    assert_not_allowed(&open(envelope("keyboot/tsm", "1")), "another node's envelope");
    assert_not_allowed(&open(envelope("keyboot/other", "0")), "another cluster's");
    assert_not_allowed(&open(at("Vpc")), "under no context");
    for (arn, why) in [
        (secret("keyboot/tsm/node/1/p2p-key"), "another node's secret"),
        (login("0"), "its login, which is under another key"),
    ] {
        assert_not_allowed(&open(for_secret(&arn, "1")), why);
    }
    assert!(open(for_secret(&secret("keyboot/tsm/node/0/p2p-key"), "1")).is_allowed());
    let stored = |context: Context| node_0(&resolved, "kms:Decrypt", super::STORAGE_KEY, context);
    assert!(stored(for_secret(&login("0"), "1")).is_allowed());
    assert_not_allowed(&stored(for_secret(&login("1"), "1")), "another node's login");
    assert_not_allowed(&stored(for_secret(&master("0"), "1")), "the master user's");
    assert_not_allowed(&stored(at("Vpc")), "a volume's");
    for action in ["kms:Encrypt", "kms:GenerateDataKey", "kms:CreateGrant", "kms:ReEncryptFrom"] {
        assert_not_allowed(&node_0(&resolved, action, SECRETS_KEY, envelope("keyboot/tsm", "0")), action);
    }
}

#[test]
fn a_node_sees_what_is_public_and_changes_nothing() {
    let resolved = resolve(stack());
    let see = |arn: &str| node_0(&resolved, "ssm:GetParameters", arn, at("Vpc"));
    for (account, path) in
        [(HERE, "node/0/env"), (HERE, "node/1/record"), (ELSEWHERE, "node/7/record"), (HERE, "roster/index")]
    {
        assert!(see(&parameter(account, path)).is_allowed(), "{path} of {account}");
    }
    for (account, path) in [
        (HERE, "node/1/env"),
        (ELSEWHERE, "node/0/env"),
        (ELSEWHERE, "roster/index"),
        (HERE, "node/0/p2p-key"),
        (HERE, "intent/0"),
    ] {
        assert_not_allowed(&see(&parameter(account, path)), path);
    }
    for action in ["ssm:PutParameter", "ssm:GetParametersByPath", "ssm:DescribeParameters"] {
        assert_not_allowed(&node_0(&resolved, action, &parameter(HERE, "node/0/env"), at("Vpc")), action);
    }
}

#[test]
fn a_node_fetches_its_program_and_writes_its_log() {
    let resolved = resolve(stack());
    let fetch = |key: &str| node_0(&resolved, "s3:GetObject", &format!("arn:aws:s3:::{key}"), at("Vpc"));
    assert!(fetch("code/node.tar.gz").is_allowed());
    assert_not_allowed(&fetch("code/other.tar.gz"), "another object");
    assert_not_allowed(&fetch("other/node.tar.gz"), "another bucket");
    let write = |group: &str| node_0(&resolved, "logs:PutLogEvents", &log_group(group), at("Vpc"));
    assert!(write("NodeLogGroup0").is_allowed());
    assert_not_allowed(&write("NodeLogGroup1"), "another node's log");
    assert_not_allowed(&write("LoginLogGroup0"), "its function's");
}

/// Wherever its credentials were given to, and wherever they are used.
#[test]
fn a_node_is_one_only_within_its_network() {
    let resolved = resolve(stack());
    let (own, envelope) = (secret("keyboot/tsm/node/0/p2p-key"), ("kms:Decrypt", SECRETS_KEY));
    let given_in = |network: &str, used_in: Option<&str>| {
        let context = Context::new().with("aws:ViaAWSService", "false");
        let context = context.with("aws:Ec2InstanceSourceVpc", network);
        used_in.into_iter().fold(context, |context, used_in| context.with("aws:SourceVpc", used_in))
    };
    for (action, resource) in [
        ("secretsmanager:GetSecretValue", own.as_str()),
        envelope,
        ("ssm:GetParameters", &parameter(HERE, "node/0/env")),
    ] {
        let ask = |context: Context| node_0(&resolved, action, resource, context);
        assert_denied_by("OnlyOnAnInstanceOfThisNetwork", &ask(given_in("vpc-other", Some("vpc-other"))));
        let nowhere = Context::new().with("aws:ViaAWSService", "false").with("aws:SourceVpc", "Vpc");
        assert_denied_by("OnlyOnAnInstanceOfThisNetwork", &ask(nowhere));
        assert_denied_by("OnlyFromThisNetwork", &ask(given_in("Vpc", Some("vpc-other"))));
        assert_denied_by("OnlyFromThisNetwork", &ask(given_in("Vpc", None)));
    }
    // Without endpoints no call tells the network that it comes from.
    let without = resolve(stack().parameter("VpcEndpoints", "false"));
    assert!(node_0(&without, "secretsmanager:GetSecretValue", &own, given_in("Vpc", None)).is_allowed());
    let other = node_0(&without, "secretsmanager:GetSecretValue", &own, given_in("vpc-other", None));
    assert_denied_by("OnlyOnAnInstanceOfThisNetwork", &other);
}

/// Where another account makes the keys, all that is read is read there.
#[test]
fn a_node_of_another_account_reads_in_the_keys_account() {
    let key = "arn:aws:kms:eu-central-1:444455556666:key/mrk-secrets";
    let stack = stack().parameter("KeysAccount", ELSEWHERE).parameter("AllNodes", "0,1,2");
    let resolved = resolve(stack.parameter("KmsKeyArn", key));
    let own = secret("keyboot/tsm/node/0/p2p-key");
    let read = |arn: &str| node_0(&resolved, "secretsmanager:GetSecretValue", arn, at("Vpc"));
    assert!(read(&own.replace(HERE, ELSEWHERE)).is_allowed());
    assert_not_allowed(&read(&own), "a secret of that name here");
    let see = |arn: &str| node_0(&resolved, "ssm:GetParameters", arn, at("Vpc"));
    assert!(see(&parameter(ELSEWHERE, "node/0/env")).is_allowed());
    assert_not_allowed(&see(&parameter(HERE, "node/0/env")), "an environment here");
    let open = |key: &str| {
        let context = at("Vpc").with("kms:EncryptionContext:keyboot:cluster", "keyboot/tsm");
        node_0(&resolved, "kms:Decrypt", key, context.with("kms:EncryptionContext:keyboot:node", "0"))
    };
    assert!(open(key).is_allowed());
    assert_not_allowed(&open(SECRETS_KEY), "a key here");
}

/// Secrets in Parameter Store: what is scheduled for deletion is read no more.
#[test]
fn a_node_reads_its_own_in_parameter_store() {
    let resolved = resolve(stack().parameter("Store", "ParameterStore"));
    let read =
        |path: &str, context: Context| node_0(&resolved, "ssm:GetParameter", &parameter(HERE, path), context);
    assert!(read("node/0/p2p-key", at("Vpc")).is_allowed());
    assert_not_allowed(&read("node/1/p2p-key", at("Vpc")), "another node's");
    assert_not_allowed(&read("node/0/management-key", at("Vpc")), "a management key");
    let going = at("Vpc").with("aws:ResourceTag/keyboot:delete-after", "2026-01-01T00:00:00Z");
    assert_not_allowed(&read("node/0/p2p-key", going), "one that goes");
    assert!(!actions_of(&resolved, "NodeRole0").is_empty());
}

/// EC2 takes a node's role for its instances, and nobody else does.
#[test]
fn only_instances_are_nodes() {
    let resolved = resolve(stack());
    for index in ["0", "1"] {
        let role = format!("NodeRole{index}");
        let trust = &resolved.resource(&role).unwrap()["AssumeRolePolicyDocument"];
        let trust = ResourcePolicy::trust(&role, trust).unwrap();
        let take = |who: Principal| {
            let request = Request::new(who, "sts:AssumeRole", &role_arn(&format!("tsm-node-{index}")));
            decide(&request, &administrator(), &Target::role(HERE, &trust)).unwrap()
        };
        assert!(take(Principal::service("ec2.amazonaws.com")).is_allowed());
        for service in ["lambda", "ssm", "ecs-tasks", "cloudformation", "autoscaling", "rds"] {
            let service = format!("{service}.amazonaws.com");
            assert_not_allowed(&take(Principal::service(&service)), &service);
        }
        assert_not_allowed(&take(root(HERE)), "the account's root");
        assert_not_allowed(&take(session("admin")), "an administrator");
        assert_not_allowed(&take(session("tsm-node-1-database-login")), "a function");
        let profile = resolved.resource(&format!("NodeProfile{index}")).unwrap();
        let name = format!("tsm-node-{index}");
        assert_eq!((&profile["InstanceProfileName"], &profile["Roles"]), (&json!(name), &json!([name])));
    }
}
