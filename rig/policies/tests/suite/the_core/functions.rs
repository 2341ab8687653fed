//! What the functions that make database logins may do, and what flow logs are written with.

use policies::template::Resolved;
use policies::{Context, Decision, Principal, Request, ResourcePolicy, Target, decide};

use super::{
    STORAGE_KEY, actions_of, administrator, assert_denied_by, assert_not_allowed, for_secret, log_group,
    login, master, policies_of, resolve, role_arn, secret, session, stack,
};
use crate::asking::{ELSEWHERE, HERE, root};

/// What the function's own code may do, in the stack's network.
fn function_0(resolved: &Resolved, action: &str, resource: &str, context: Context) -> Decision {
    let code =
        context.with("lambda:SourceFunctionArn", "arn:aws:lambda:eu-central-1:111122223333:function:f");
    as_role(resolved, action, resource, code.with("aws:SourceVpc", "Vpc"))
}

fn as_role(resolved: &Resolved, action: &str, resource: &str, context: Context) -> Decision {
    let request = Request::new(session("tsm-node-0-database-login"), action, resource).with(context);
    decide(&request, &policies_of(resolved, "LoginRole0"), &Target::in_account(HERE)).unwrap()
}

fn directly() -> Context {
    Context::new().with("aws:ViaAWSService", "false")
}

#[test]
fn database_login_has_these_actions_and_no_others() {
    let resolved = resolve(stack());
    let wanted = [
        "ec2:AssignPrivateIpAddresses",
        "ec2:CreateNetworkInterface",
        "ec2:DeleteNetworkInterface",
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeSubnets",
        "ec2:UnassignPrivateIpAddresses",
        "kms:Decrypt",
        "kms:GenerateDataKey",
        "logs:CreateLogStream",
        "logs:PutLogEvents",
        "secretsmanager:DescribeSecret",
        "secretsmanager:GetSecretValue",
        "secretsmanager:PutSecretValue",
        "secretsmanager:UpdateSecretVersionStage",
    ];
    for role in ["LoginRole0", "LoginRole1"] {
        assert_eq!(actions_of(&resolved, role), wanted.map(str::to_owned).into(), "{role}");
    }
}

#[test]
fn database_login_makes_its_nodes_login_and_reads_nothing_of_the_cluster() {
    let resolved = resolve(stack());
    let ask =
        |action: &str, arn: &str| function_0(&resolved, &format!("secretsmanager:{action}"), arn, directly());
    for action in ["DescribeSecret", "GetSecretValue", "PutSecretValue", "UpdateSecretVersionStage"] {
        assert!(ask(action, &login("0")).is_allowed(), "{action}");
        assert_not_allowed(&ask(action, &login("1")), "another node's login");
    }
    assert!(ask("GetSecretValue", &master("0")).is_allowed());
    assert_not_allowed(&ask("GetSecretValue", &master("1")), "another database's");
    for action in ["DescribeSecret", "PutSecretValue", "UpdateSecretVersionStage"] {
        assert_not_allowed(&ask(action, &master("0")), "the master's is RDS's");
    }
    for not in ["keyboot/tsm/node/0/p2p-key", "keyboot/tsm/node/0/share-encryption-password"] {
        assert_not_allowed(&ask("GetSecretValue", &secret(not)), not);
    }
    let with_key = |action: &str, context: Context| function_0(&resolved, action, STORAGE_KEY, context);
    assert!(with_key("kms:Decrypt", for_secret(&login("0"), "1")).is_allowed());
    assert!(with_key("kms:GenerateDataKey", for_secret(&login("0"), "1")).is_allowed());
    assert!(with_key("kms:Decrypt", for_secret(&master("0"), "1")).is_allowed());
    assert_not_allowed(&with_key("kms:GenerateDataKey", for_secret(&master("0"), "1")), "the master's");
    assert_not_allowed(&with_key("kms:Decrypt", for_secret(&login("1"), "1")), "another node's");
    assert_not_allowed(&with_key("kms:Decrypt", directly()), "past the store");
    let write = |group: &str| function_0(&resolved, "logs:PutLogEvents", &log_group(group), directly());
    assert!(write("LoginLogGroup0").is_allowed());
    assert_not_allowed(&write("LoginLogGroup1"), "another function's log");
}

/// Lambda has the right to put the function into the network, and the function's own code has not.
#[test]
fn a_functions_code_touches_no_network_interface() {
    let resolved = resolve(stack());
    for action in ["ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface", "ec2:DescribeSubnets"] {
        assert!(as_role(&resolved, action, "*", directly()).is_allowed(), "{action} by Lambda");
        assert_denied_by("NeverByItsOwnCode", &function_0(&resolved, action, "*", directly()));
    }
    let elsewhere = directly().with("aws:SourceVpc", "vpc-other");
    let read = as_role(&resolved, "secretsmanager:GetSecretValue", &master("0"), elsewhere);
    assert_denied_by("OnlyFromThisNetwork", &read);
}

/// One service takes each role, and nobody else; that of flow logs for the account's own only.
#[test]
fn who_takes_the_roles() {
    let resolved = resolve(stack());
    let of = |account: &str| {
        let log = format!("arn:aws:ec2:eu-central-1:{account}:vpc-flow-log/fl-0a1b2c3d");
        Context::new().with("aws:SourceAccount", account).with("aws:SourceArn", log)
    };
    for (role, taker) in [
        ("LoginRole0", "lambda.amazonaws.com"),
        ("LoginRole1", "lambda.amazonaws.com"),
        ("FlowLogRole", "vpc-flow-logs.amazonaws.com"),
    ] {
        let trust = &resolved.resource(role).unwrap()["AssumeRolePolicyDocument"];
        let trust = ResourcePolicy::trust(role, trust).unwrap();
        let take = |who: Principal, context: Context| {
            let request = Request::new(who, "sts:AssumeRole", &role_arn(role)).with(context);
            decide(&request, &administrator(), &Target::role(HERE, &trust)).unwrap()
        };
        assert!(take(Principal::service(taker), of(HERE)).is_allowed(), "{role}");
        for other in ["ec2.amazonaws.com", "lambda.amazonaws.com", "secretsmanager.amazonaws.com"] {
            if other != taker {
                assert_not_allowed(&take(Principal::service(other), of(HERE)), other);
            }
        }
        assert_not_allowed(&take(root(HERE), of(HERE)), "the account's root");
        assert_not_allowed(&take(session("admin"), of(HERE)), "an administrator");
        if role == "FlowLogRole" {
            assert_not_allowed(&take(Principal::service(taker), of(ELSEWHERE)), "another account's flow log");
        }
    }
    let kinds = resolved.resources().filter(|(_, kind)| *kind == "AWS::IAM::Role");
    assert_eq!(kinds.count(), 5, "a role that no test reads");
}

/// Secrets Manager invokes a function for its own login, and nobody else invokes one by its policy.
#[test]
fn only_secrets_manager_invokes_a_function_and_for_one_secret() {
    let resolved = resolve(stack());
    for index in ["0", "1"] {
        let permission = resolved.resource(&format!("LoginPermission{index}")).unwrap();
        assert_eq!(permission["Principal"], "secretsmanager.amazonaws.com");
        assert_eq!(permission["SourceArn"], login(index));
        assert_eq!(permission["SourceAccount"], HERE);
        assert_eq!(permission["FunctionName"], format!("LoginFunction{index}"));
    }
    let kinds = resolved.resources().filter(|(_, kind)| *kind == "AWS::Lambda::Permission");
    assert_eq!(kinds.count(), 2);
}

#[test]
fn flow_logs_are_written_and_nothing_else() {
    let resolved = resolve(stack());
    let wanted = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"];
    assert_eq!(actions_of(&resolved, "FlowLogRole"), wanted.map(str::to_owned).into());
    let request = |group: &str| {
        let request = Request::new(session("FlowLogRole"), "logs:PutLogEvents", &log_group(group));
        decide(&request, &policies_of(&resolved, "FlowLogRole"), &Target::in_account(HERE)).unwrap()
    };
    assert!(request("FlowLogGroup").is_allowed());
    assert_not_allowed(&request("NodeLogGroup0"), "a node's log");
}
