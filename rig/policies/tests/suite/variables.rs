//! Variables in policies. IAM User Guide, "IAM policy elements: Variables and tags".

use policies::{Context, Decision, EvaluationError, IdentityPolicy, Principal, Request, Target};
use serde_json::{Value, json};

use crate::asking::{HERE, identity, reader, try_answer};

fn ask(policy: IdentityPolicy, who: Principal, context: Context) -> Result<Decision, EvaluationError> {
    let request =
        Request::new(who, "ssm:GetParameter", "arn:aws:ssm:eu-central-1:111122223333:parameter/red/a");
    try_answer(&request.with(context), &[policy], &Target::in_account(HERE))
}

fn parameter(path: &str) -> Value {
    json!({"Resource": format!("arn:aws:ssm:eu-central-1:111122223333:parameter/{path}")})
}

fn red() -> Principal {
    reader(HERE).tagged("team", "red")
}

#[test]
fn a_variable_is_the_requests_value() {
    let starred = || reader(HERE).tagged("team", "*");
    for (who, statement, allowed) in [
        (red(), parameter("${aws:PrincipalTag/team}/*"), true),
        (red(), parameter("${AWS:principaltag/Team}/*"), true),
        (reader(HERE).tagged("team", "blue"), parameter("${aws:PrincipalTag/team}/*"), false),
        // What is put in is text: a tag cannot widen a policy.
        (starred(), parameter("${aws:PrincipalTag/team}/*"), false),
        (reader(HERE), parameter("${aws:PrincipalTag/team, 'red'}/*"), true),
        (reader(HERE), parameter("${aws:PrincipalTag/team,'blue'}/*"), false),
        (red(), parameter("${aws:PrincipalTag/team, 'blue'}/*"), true),
        // "${*}, ${?} and ${$}" are the characters themselves.
        (red(), parameter("${*}"), false),
        (red(), parameter("re${?}/a"), false),
        (red(), json!({"Condition": {"StringEquals": {"aws:RequestTag/a": "${$}{x}"}}}), true),
        (
            red(),
            json!({"Condition": {"StringEquals": {"aws:RequestTag/team": "${aws:PrincipalTag/team}"}}}),
            true,
        ),
        (
            red(),
            json!({"Condition": {"StringLike": {"aws:RequestTag/team": "${aws:PrincipalTag/team}*"}}}),
            true,
        ),
        (
            red(),
            json!({"Condition": {"StringNotEquals": {"aws:RequestTag/team": "${aws:PrincipalTag/team}"}}}),
            false,
        ),
        (
            starred(),
            json!({"Condition": {"StringLike": {"aws:RequestTag/team": "${aws:PrincipalTag/team}"}}}),
            false,
        ),
        (
            red(),
            json!({"Condition": {"ArnLike": {"aws:SourceArn": "arn:aws:sns:*:${aws:PrincipalAccount}:${aws:PrincipalTag/team}"}}}),
            true,
        ),
    ] {
        let context = Context::new().with("aws:RequestTag/team", "red").with("aws:RequestTag/a", "${x}");
        let context = context.with("aws:SourceArn", "arn:aws:sns:eu-central-1:111122223333:red");
        let decision = ask(identity(statement.clone()), who.clone(), context).unwrap();
        assert_eq!(decision.is_allowed(), allowed, "{statement} for {who:?}");
    }
}

/// "If AWS cannot resolve a variable, this might cause the entire statement to be invalid."
#[test]
fn a_variable_without_value() {
    let resource = parameter("${aws:PrincipalTag/team}/*");
    assert!(!ask(identity(resource.clone()), reader(HERE), Context::new()).unwrap().is_allowed());
    // Another resource of the same statement does not save it... but it is enough where it matches.
    let either = json!({"Resource": [resource["Resource"], "*"]});
    assert!(ask(identity(either), reader(HERE), Context::new()).unwrap().is_allowed());
    let not = json!({"Resource": null, "NotResource": resource["Resource"]});
    assert!(!ask(identity(not), reader(HERE), Context::new()).unwrap().is_allowed());
    // Whether such a statement denies is not said.
    let deny = |statement: &Value| {
        let mut statement = statement.clone();
        statement["Effect"] = json!("Deny");
        identity(statement)
    };
    let answer = ask(deny(&resource), reader(HERE), Context::new());
    assert!(matches!(answer, Err(EvaluationError::UnresolvedVariable { .. })), "{answer:?}");
    // It is of no account where the statement is about something else.
    let other = json!({"Resource": resource["Resource"], "Action": "ssm:PutParameter"});
    let answer = ask(deny(&other), reader(HERE), Context::new()).unwrap();
    assert!(matches!(answer, Decision::DeniedImplicitly(_)), "{answer}");
}

/// "If you don't include the Version element and set it to an appropriate version date, variables …
/// are treated as literal strings."
#[test]
fn only_the_present_version_has_variables() {
    let tag = |version: Value| {
        let condition = json!({"StringEquals": {"aws:RequestTag/team": "${aws:PrincipalTag/team}"}});
        let statement = json!({"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": condition});
        let mut document = json!({"Statement": [statement]});
        if !version.is_null() {
            document["Version"] = version;
        }
        IdentityPolicy::parse("versioned", &document).unwrap()
    };
    let context = |team: &str| Context::new().with("aws:RequestTag/team", team);
    for (version, team, allowed) in [
        (json!("2012-10-17"), "red", true),
        (json!("2012-10-17"), "${aws:PrincipalTag/team}", false),
        (json!("2008-10-17"), "red", false),
        (json!("2008-10-17"), "${aws:PrincipalTag/team}", true),
        (Value::Null, "red", false),
        (Value::Null, "${aws:PrincipalTag/team}", true),
    ] {
        let decision = ask(tag(version.clone()), red(), context(team)).unwrap();
        assert_eq!(decision.is_allowed(), allowed, "{version} {team}");
    }
}
