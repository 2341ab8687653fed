//! Who reads a database login, and who writes it, by the login's own policy: every role here is allowed everything by
//! its own.

use policies::{Context, Decision, IdentityPolicy, Principal, Request, ResourcePolicy, Target, decide};

use super::{administrator, assert_denied_by, login, resolve, session, stack};
use crate::asking::{HERE, root};

fn policy(index: &str) -> ResourcePolicy {
    let resolved = resolve(stack());
    let id = format!("LoginSecretPolicy{index}");
    let properties = resolved.resource(&id).unwrap();
    assert_eq!(properties["SecretId"], login(index));
    assert_eq!(properties["BlockPublicPolicy"], true);
    ResourcePolicy::parse(&id, &properties["ResourcePolicy"]).unwrap()
}

fn ask(index: &str, who: Principal, action: &str, context: Context) -> Decision {
    let attached: &[IdentityPolicy] = &administrator();
    let request = Request::new(who, &format!("secretsmanager:{action}"), &login(index)).with(context);
    decide(&request, attached, &Target::in_account(HERE).with_policy(&policy(index))).unwrap()
}

#[test]
fn a_login_is_read_by_its_node_and_its_function_and_nobody_else() {
    for action in ["GetSecretValue", "BatchGetSecretValue"] {
        let read = |who: Principal| ask("0", who, action, Context::new());
        assert!(read(session("tsm-node-0")).is_allowed());
        assert!(read(session("tsm-node-0-database-login")).is_allowed());
        for other in
            ["admin", "tsm-node-1", "tsm-node-1-database-login", "nodes/tsm-node-0", "tsm-node-0-rescue"]
        {
            assert_denied_by("NodeAndFunctionRead", &read(session(other)));
        }
        assert_denied_by("NodeAndFunctionRead", &read(root(HERE)));
    }
}

#[test]
fn a_login_is_written_by_its_function_and_nobody_else() {
    for action in ["PutSecretValue", "UpdateSecretVersionStage", "ReplicateSecretToRegions"] {
        let write = |who: Principal| ask("0", who, action, Context::new());
        assert!(write(session("tsm-node-0-database-login")).is_allowed(), "{action}");
        for other in ["admin", "tsm-node-0", "tsm-node-1-database-login"] {
            assert_denied_by("FunctionWrites", &write(session(other)));
        }
    }
    // What a secret is called, and under which key it is, CloudFormation changes for whoever deploys.
    let via = |services: &[&str]| Context::new().with_all("aws:CalledVia", services.iter().copied());
    let update = |context: Context| ask("0", session("admin"), "UpdateSecret", context);
    assert!(update(via(&["cloudformation.amazonaws.com"])).is_allowed());
    assert_denied_by("StackDescribes", &update(via(&[])));
    assert_denied_by("StackDescribes", &update(via(&["athena.amazonaws.com"])));
}

/// Whoever administers the account can still take the policy away, and alarms tell of it.
#[test]
fn what_an_administrator_can_do_is_told() {
    for action in ["DeleteResourcePolicy", "PutResourcePolicy", "DeleteSecret"] {
        assert!(ask("0", session("admin"), action, Context::new()).is_allowed(), "{action}");
    }
    let resolved = resolve(stack());
    let names = resolved.resource("LoginChangedRule").unwrap()["EventPattern"]["detail"]["eventName"].clone();
    for action in ["DeleteResourcePolicy", "PutResourcePolicy", "DeleteSecret"] {
        assert!(names.as_array().unwrap().iter().any(|name| name == action), "{action}");
    }
}
