//! Rotation: what is set up, what Secrets Manager makes before its function, and what it refuses.

use std::time::Duration;

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::operation::describe_secret::DescribeSecretOutput;
use aws_sdk_secretsmanager::types::RotationRulesType;
use contract_double::{Double, Rotation, RotationRules, SecretValue};
use hyper::HeaderMap;

use crate::support::{ACCOUNT, OTHER, allow, code, message, place, role, root, symmetric_key};

const FUNCTION: &str = "arn:aws:lambda:us-east-1:111122223333:function:rotates";
const OTHER_FUNCTION: &str = "arn:aws:lambda:us-east-1:111122223333:function:rotates-too";
const INCOMPLETE: &str = "A previous rotation isn't complete. That rotation will be reattempted.";

/// A version id, by number.
fn id(number: usize) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}

/// A secret with one version, the first.
async fn secret(double: &Double) -> Client {
    let secrets = root(double).secrets();
    let made = secrets.create_secret().name("s").client_request_token(id(1)).secret_string("v1").send();
    made.await.unwrap();
    secrets
}

fn every(schedule: &str) -> RotationRulesType {
    RotationRulesType::builder().schedule_expression(schedule).build()
}

/// Has the secret rotated every ten days, from now on or later.
async fn switch_on(secrets: &Client, token: usize, at_once: bool) {
    let call = secrets.rotate_secret().secret_id("s").client_request_token(id(token));
    let call = call.rotation_lambda_arn(FUNCTION).rotation_rules(every("rate(10 days)"));
    call.rotate_immediately(at_once).send().await.unwrap();
}

/// Puts a value as the function does in `createSecret`.
async fn put_pending(secrets: &Client, number: usize) {
    let put = secrets.put_secret_value().secret_id("s").client_request_token(id(number));
    put.secret_string(format!("v{number}")).version_stages("AWSPENDING").send().await.unwrap();
}

/// Makes a version current as the function does in `finishSecret`.
async fn finish(secrets: &Client, from: usize, to: usize) {
    let move_on = secrets.update_secret_version_stage().secret_id("s").version_stage("AWSCURRENT");
    move_on.remove_from_version_id(id(from)).move_to_version_id(id(to)).send().await.unwrap();
}

async fn take_pending_from(secrets: &Client, number: usize) {
    let call = secrets.update_secret_version_stage().secret_id("s").version_stage("AWSPENDING");
    call.remove_from_version_id(id(number)).send().await.unwrap();
}

async fn described(secrets: &Client) -> DescribeSecretOutput {
    secrets.describe_secret().secret_id("s").send().await.unwrap()
}

/// The labels and the values of the versions, by number.
fn versions(double: &Double) -> Vec<(usize, String, Option<String>)> {
    double.with(|world| {
        let versions = world.secret(&place(), "s").unwrap().versions.values();
        let told = versions.map(|version| {
            let labels: Vec<&str> = version.stages.iter().map(String::as_str).collect();
            let value = version.value.as_ref().map(|value| match value {
                SecretValue::Text(text) => text.clone(),
                SecretValue::Binary(bytes) => format!("{bytes:?}"),
            });
            (version.id[30..].parse().unwrap(), labels.join(","), value)
        });
        told.collect()
    })
}

fn version(number: usize, labels: &str, value: Option<&str>) -> (usize, String, Option<String>) {
    (number, labels.to_owned(), value.map(str::to_owned))
}

fn rotation(double: &Double) -> Option<Rotation> {
    double.with(|world| world.secret(&place(), "s").unwrap().rotation.clone())
}

#[tokio::test]
async fn a_rotation_begins_with_a_pending_version_that_has_no_value() {
    let double = Double::start().await.unwrap();
    let secrets = secret(&double).await;
    let call = secrets.rotate_secret().secret_id("s").client_request_token(id(2));
    let answer =
        call.rotation_lambda_arn(FUNCTION).rotation_rules(every("rate(10 days)")).send().await.unwrap();
    assert_eq!((answer.name(), answer.version_id()), (Some("s"), Some(&*id(2))));
    assert_eq!(answer.arn(), described(&secrets).await.arn());
    assert_eq!(versions(&double), [version(1, "AWSCURRENT", Some("v1")), version(2, "AWSPENDING", None)]);

    let stages = described(&secrets).await.version_ids_to_stages.unwrap();
    assert_eq!(stages[&id(2)], ["AWSPENDING"]);
    let read = |number: Option<usize>, stage: Option<&str>| {
        let call = secrets.get_secret_value().secret_id("s").set_version_id(number.map(id));
        call.set_version_stage(stage.map(str::to_owned)).send()
    };
    for (number, stage) in [(None, Some("AWSPENDING")), (Some(2), None), (Some(2), Some("AWSPENDING"))] {
        assert_eq!(code(read(number, stage).await), "ResourceNotFoundException", "{number:?} {stage:?}");
    }
    let said = message(read(None, Some("AWSPENDING")).await);
    assert!(said.contains("can't find the specified secret value for staging label: AWSPENDING"), "{said}");
    assert_eq!(read(None, None).await.unwrap().secret_string(), Some("v1"));
    assert_eq!(
        double.with(|world| world.secret(&place(), "s").unwrap().text().map(str::to_owned)).unwrap(),
        "v1"
    );
    // A list may leave out what a description tells.
    let listed =
        secrets.list_secret_version_ids().secret_id("s").include_deprecated(true).send().await.unwrap();
    assert_eq!(listed.versions().len(), 1);
    put_pending(&secrets, 2).await;
    let listed = secrets.list_secret_version_ids().secret_id("s").send().await.unwrap();
    assert_eq!(listed.versions().len(), 2);
}

#[tokio::test]
async fn a_token_is_the_callers_to_make() {
    let double = Double::start().await.unwrap();
    let secrets = secret(&double).await;
    // The SDK makes one when none is given.
    let answer = secrets.rotate_secret().secret_id("s").rotation_lambda_arn(FUNCTION).send().await.unwrap();
    assert_eq!(answer.version_id().unwrap().len(), 36);
    let short = secrets.rotate_secret().secret_id("s").client_request_token("short").send().await;
    assert_eq!(code(short), "ValidationException");
    let mut headers = HeaderMap::new();
    let scope =
        format!("AWS4-HMAC-SHA256 Credential={ACCOUNT}/20260101/us-east-1/secretsmanager/aws4_request");
    headers.insert("authorization", scope.parse().unwrap());
    headers.insert("x-amz-target", "secretsmanager.RotateSecret".parse().unwrap());
    let answer = double.answer(&headers, br#"{"SecretId":"s"}"#).await.unwrap();
    let said = String::from_utf8_lossy(answer.body()).into_owned();
    assert!(answer.status() == 400 && said.contains("You must provide a ClientRequestToken"), "{said}");
}

#[tokio::test]
async fn a_value_is_put_into_the_version_that_has_none() {
    let double = Double::start().await.unwrap();
    let secrets = secret(&double).await;
    switch_on(&secrets, 2, true).await;
    let put = |value: &str, label: &str| {
        let call = secrets.put_secret_value().secret_id("s").client_request_token(id(2));
        call.secret_string(value).version_stages(label).send()
    };
    let answer = put("v2", "mine").await.unwrap();
    // What it was labelled it stays.
    assert_eq!(answer.version_stages(), ["AWSPENDING", "mine"]);
    let current = version(1, "AWSCURRENT", Some("v1"));
    assert_eq!(versions(&double), [current.clone(), version(2, "AWSPENDING,mine", Some("v2"))]);
    let calls = double.calls().len() as u64;
    double.with(|world| assert_eq!(world.secret(&place(), "s").unwrap().versions[&id(2)].created_by, calls));
    let read = secrets.get_secret_value().secret_id("s").version_stage("AWSPENDING").send().await.unwrap();
    assert_eq!((read.version_id(), read.secret_string()), (Some(&*id(2)), Some("v2")));
    // From then on it is a version like any other.
    put("v2", "another").await.unwrap();
    assert_eq!(code(put("v3", "mine").await), "ResourceExistsException");
    assert_eq!(versions(&double), [current, version(2, "AWSPENDING,mine", Some("v2"))]);
}

#[tokio::test]
async fn a_value_without_labels_makes_its_version_current() {
    let double = Double::start().await.unwrap();
    let secrets = secret(&double).await;
    switch_on(&secrets, 2, true).await;
    let put = secrets.put_secret_value().secret_id("s").client_request_token(id(2)).secret_string("v2");
    put.send().await.unwrap();
    let after = [version(1, "AWSPREVIOUS", Some("v1")), version(2, "AWSCURRENT,AWSPENDING", Some("v2"))];
    assert_eq!(versions(&double), after);
}

#[tokio::test]
async fn a_value_is_encrypted_when_it_is_put() {
    let double = Double::start().await.unwrap();
    let (key, secrets) = (symmetric_key(&double), root(&double).secrets());
    let made = secrets.create_secret().name("s").client_request_token(id(1)).kms_key_id(&key);
    made.secret_string("v1").send().await.unwrap();
    switch_on(&secrets, 2, true).await;
    let key_of = || double.with(|world| world.secret(&place(), "s").unwrap().versions[&id(2)].key.clone());
    assert_eq!(key_of(), None);
    let rotates = role(&double, ACCOUNT, "rotates", &allow("secretsmanager:*", "*")).secrets();
    let put = rotates.put_secret_value().secret_id("s").client_request_token(id(2)).secret_string("v2");
    assert_eq!(code(put.send().await), "AccessDeniedException", "without a right to the key");
    put_pending(&secrets, 2).await;
    assert_eq!(key_of(), Some(key));
}

#[tokio::test]
async fn a_version_without_a_value_is_never_current() {
    let double = Double::start().await.unwrap();
    let secrets = secret(&double).await;
    switch_on(&secrets, 2, true).await;
    let update = |label: &str, from: Option<usize>| {
        let call = secrets.update_secret_version_stage().secret_id("s").version_stage(label);
        call.set_remove_from_version_id(from.map(id)).move_to_version_id(id(2)).send()
    };
    assert_eq!(code(update("AWSCURRENT", Some(1)).await), "InvalidRequestException");
    assert_eq!(versions(&double)[0], version(1, "AWSCURRENT", Some("v1")));
    update("mine", None).await.unwrap();
    put_pending(&secrets, 2).await;
    update("AWSCURRENT", Some(1)).await.unwrap();
    let after = [version(1, "AWSPREVIOUS", Some("v1")), version(2, "AWSCURRENT,AWSPENDING,mine", Some("v2"))];
    assert_eq!(versions(&double), after);
}

#[tokio::test]
async fn one_rotation_at_a_time() {
    let double = Double::start().await.unwrap();
    let secrets = secret(&double).await;
    switch_on(&secrets, 2, true).await;
    let rotate = |token: usize, at_once: bool| {
        let call = secrets.rotate_secret().secret_id("s").client_request_token(id(token));
        call.rotation_lambda_arn(OTHER_FUNCTION).rotate_immediately(at_once).send()
    };
    let before = double.with(|world| world.snapshot());
    for at_once in [true, false] {
        let refused = rotate(3, at_once).await;
        assert_eq!(code(refused), "InvalidRequestException");
        assert_eq!(message(rotate(3, at_once).await), INCOMPLETE);
    }
    // The same request again makes nothing.
    assert_eq!(rotate(2, true).await.unwrap().version_id(), Some(&*id(2)));
    put_pending(&secrets, 2).await;
    assert_eq!(message(rotate(3, true).await), INCOMPLETE, "with a value, too");
    let after = double.with(|world| world.snapshot());
    let arn = before.secrets.keys().next().unwrap();
    assert_eq!(after.secrets[arn].rotation, before.secrets[arn].rotation);
    assert_eq!(versions(&double).len(), 2);

    // AWSPENDING beside AWSCURRENT is of a rotation that is over, and moves on.
    finish(&secrets, 1, 2).await;
    rotate(3, true).await.unwrap();
    let after = [
        version(1, "AWSPREVIOUS", Some("v1")),
        version(2, "AWSCURRENT", Some("v2")),
        version(3, "AWSPENDING", None),
    ];
    assert_eq!(versions(&double), after);
    // So is one that nobody finished, once its label is gone.
    assert_eq!(message(rotate(4, true).await), INCOMPLETE);
    take_pending_from(&secrets, 3).await;
    rotate(4, true).await.unwrap();
    assert_eq!(versions(&double)[2..], [version(3, "", None), version(4, "AWSPENDING", None)]);
}

#[tokio::test]
async fn what_a_request_leaves_out_is_as_it_was_said_before() {
    let double = Double::start().await.unwrap();
    let secrets = secret(&double).await;
    let rotate = || secrets.rotate_secret().secret_id("s").rotate_immediately(false);
    assert_eq!(code(rotate().send().await), "InvalidRequestException", "without a function");
    assert_eq!(rotation(&double), None);
    rotate().rotation_lambda_arn(FUNCTION).rotation_rules(every("rate(10 days)")).send().await.unwrap();
    let said = |function: &str, schedule: &str| {
        let rules = RotationRules { schedule_expression: Some(schedule.to_owned()), ..Default::default() };
        Some(Rotation {
            enabled: true,
            function: function.to_owned(),
            rules: Some(rules),
            last_rotated: None,
        })
    };
    assert_eq!(rotation(&double), said(FUNCTION, "rate(10 days)"));
    rotate().send().await.unwrap();
    assert_eq!(rotation(&double), said(FUNCTION, "rate(10 days)"));
    rotate().rotation_lambda_arn(OTHER_FUNCTION).send().await.unwrap();
    assert_eq!(rotation(&double), said(OTHER_FUNCTION, "rate(10 days)"));
    rotate().rotation_rules(every("cron(0 8 1 * ? *)")).send().await.unwrap();
    assert_eq!(rotation(&double), said(OTHER_FUNCTION, "cron(0 8 1 * ? *)"));
}

#[tokio::test]
async fn rotation_is_switched_on_without_rotating() {
    let double = Double::start().await.unwrap();
    let secrets = secret(&double).await;
    let told = described(&secrets).await;
    assert_eq!((told.rotation_enabled, told.rotation_lambda_arn, told.rotation_rules), (None, None, None));
    let rules =
        RotationRulesType::builder().schedule_expression("cron(0 8 ? * SUN *)").duration("3h").build();
    let call =
        secrets.rotate_secret().secret_id("s").rotation_lambda_arn(FUNCTION).rotation_rules(rules.clone());
    let answer = call.rotate_immediately(false).send().await.unwrap();
    assert_eq!((answer.name(), answer.version_id()), (Some("s"), None));
    assert_eq!(versions(&double), [version(1, "AWSCURRENT", Some("v1"))]);
    let told = described(&secrets).await;
    assert_eq!((told.rotation_enabled, told.rotation_lambda_arn()), (Some(true), Some(FUNCTION)));
    assert_eq!((told.rotation_rules, told.last_rotated_date), (Some(rules), None));
    // A list tells the same.
    let listed = secrets.list_secrets().send().await.unwrap();
    let [listed] = listed.secret_list() else { panic!("{listed:?}") };
    assert_eq!((listed.rotation_enabled, listed.rotation_lambda_arn()), (Some(true), Some(FUNCTION)));
}

#[tokio::test]
async fn a_schedule_is_a_rate_or_a_cron_expression() {
    let double = Double::start().await.unwrap();
    let secrets = secret(&double).await;
    let rotate = async |schedule: &str, duration: Option<&str>| {
        let rules = RotationRulesType::builder().schedule_expression(schedule);
        let rules = rules.set_duration(duration.map(str::to_owned)).build();
        let call = secrets.rotate_secret().secret_id("s").rotation_lambda_arn(FUNCTION).rotation_rules(rules);
        call.rotate_immediately(false).send().await
    };
    for (schedule, duration) in [
        ("rate(4 hours)", None),
        ("rate(4 hours)", Some("4h")),
        ("rate(1 day)", None),
        ("rate(10 days)", Some("24h")),
        ("rate(999 days)", None),
        ("cron(0 10 * * ? *)", Some("14h")),
        ("cron(0 8 1 * ? *)", None),
        ("cron(0 /4 * * ? *)", None),
        ("cron(0 0 ? * SUN#1 *)", Some("24h")),
        ("cron(0 17 L * ? *)", None),
    ] {
        rotate(schedule, duration).await.unwrap_or_else(|error| panic!("{schedule}: {error:?}"));
    }
    let before = rotation(&double);
    for (schedule, duration) in [
        ("rate(3 hours)", None),
        ("rate(0 days)", None),
        ("rate(1000 days)", None),
        ("rate(10 weeks)", None),
        ("rate(10)", None),
        ("rate(10 days", None),
        ("every 10 days", None),
        ("cron(30 8 1 * ? *)", None),
        ("cron(0 8 1 * ? 2027)", None),
        ("cron(0 8 1 * ?)", None),
        ("cron(0 24 * * ? *)", None),
        ("cron(0 8  * ? *)", None),
        ("at(10 days)", None),
        ("rate(4 hours)", Some("5h")),
        ("rate(10 days)", Some("25h")),
        ("rate(10 days)", Some("0h")),
        ("cron(0 10 * * ? *)", Some("15h")),
    ] {
        assert_eq!(
            code(rotate(schedule, duration).await),
            "InvalidParameterException",
            "{schedule} {duration:?}"
        );
    }
    for (schedule, duration) in
        [("rate(+10 days)", None), ("rate(10 days)", Some("3m")), ("rate(10 days)", Some("100h"))]
    {
        assert_eq!(code(rotate(schedule, duration).await), "ValidationException", "{schedule} {duration:?}");
    }
    assert_eq!(rotation(&double), before, "nothing is left of what was refused");
}

#[tokio::test]
async fn days_are_said_instead_of_a_schedule() {
    let double = Double::start().await.unwrap();
    let secrets = secret(&double).await;
    let rotate = |days: i64, schedule: Option<&str>| {
        let rules = RotationRulesType::builder().automatically_after_days(days);
        let rules = rules.set_schedule_expression(schedule.map(str::to_owned)).build();
        let call = secrets.rotate_secret().secret_id("s").rotation_lambda_arn(FUNCTION).rotation_rules(rules);
        call.rotate_immediately(false).send()
    };
    assert_eq!(code(rotate(10, Some("rate(10 days)")).await), "InvalidParameterException");
    assert_eq!(code(rotate(0, None).await), "ValidationException");
    assert_eq!(code(rotate(1001, None).await), "ValidationException");
    rotate(1000, None).await.unwrap();
    let rules = described(&secrets).await.rotation_rules.unwrap();
    assert_eq!((rules.automatically_after_days(), rules.schedule_expression()), (Some(1000), None));
}

#[tokio::test]
async fn the_function_is_named_by_its_arn() {
    let double = Double::start().await.unwrap();
    let secrets = secret(&double).await;
    for function in ["rotates", "arn:aws:iam::111122223333:role/rotates"] {
        let refused = secrets.rotate_secret().secret_id("s").rotation_lambda_arn(function).send().await;
        assert_eq!(code(refused), "InvalidParameterException", "{function}");
    }
    let external = secrets.rotate_secret().secret_id("s").rotation_lambda_arn(FUNCTION);
    let external = external.external_secret_rotation_role_arn("arn:aws:iam::111122223333:role/rotates");
    assert_eq!(code(external.send().await), "NotInTheDouble");
    assert_eq!(rotation(&double), None);
}

#[tokio::test]
async fn who_has_a_secret_rotated_may_do_so_and_may_invoke_the_function() {
    let double = Double::start().await.unwrap();
    secret(&double).await;
    let rotate = r#"{"Effect":"Allow","Action":"secretsmanager:RotateSecret","Resource":"*"}"#.to_owned();
    let invoke = allow("lambda:InvokeFunction", FUNCTION);
    let with = async |statements: &[&String], function: Option<&str>| {
        let statements: Vec<&str> = statements.iter().map(|statement| statement.as_str()).collect();
        let secrets = role(&double, ACCOUNT, "switches", &statements.join(",")).secrets();
        let call = secrets.rotate_secret().secret_id("s").rotate_immediately(false);
        call.set_rotation_lambda_arn(function.map(str::to_owned)).send().await
    };
    assert_eq!(code(with(&[&invoke], Some(FUNCTION)).await), "AccessDeniedException");
    let refused = with(&[&rotate], Some(FUNCTION)).await;
    assert!(message(refused).contains("lambda:InvokeFunction"));
    assert_eq!(code(with(&[&rotate, &invoke], Some(OTHER_FUNCTION)).await), "AccessDeniedException");
    let theirs = FUNCTION.replace(ACCOUNT, OTHER);
    let everything = allow("lambda:InvokeFunction", "*");
    let elsewhere = with(&[&rotate, &everything], Some(&theirs)).await;
    assert_eq!(code(elsewhere), "AccessDeniedException", "another account's function");
    assert_eq!(rotation(&double), None);
    with(&[&rotate, &invoke], Some(FUNCTION)).await.unwrap();
    // The function of before is invoked as well.
    assert_eq!(code(with(&[&rotate], None).await), "AccessDeniedException");
    with(&[&rotate, &invoke], None).await.unwrap();
}

#[tokio::test]
async fn what_is_asked_for_is_a_condition() {
    let double = Double::start().await.unwrap();
    secret(&double).await;
    let under = |condition: &str| {
        let rotate = format!(
            r#"{{"Effect":"Allow","Action":"secretsmanager:RotateSecret","Resource":"*","Condition":{condition}}}"#
        );
        let invoke = allow("lambda:InvokeFunction", "*");
        role(&double, ACCOUNT, "switches", &format!("{rotate},{invoke}")).secrets()
    };
    let rotate = |secrets: &Client| secrets.rotate_secret().secret_id("s").rotate_immediately(false);

    let secrets = under(&format!(r#"{{"ArnEquals":{{"secretsmanager:RotationLambdaARN":"{FUNCTION}"}}}}"#));
    rotate(&secrets).rotation_lambda_arn(FUNCTION).send().await.unwrap();
    let other = rotate(&secrets).rotation_lambda_arn(OTHER_FUNCTION).send().await;
    assert_eq!(code(other), "AccessDeniedException");
    assert_eq!(code(rotate(&secrets).send().await), "AccessDeniedException", "a request that names none");

    let secrets = under(r#"{"Bool":{"secretsmanager:RotateImmediately":"false"}}"#);
    rotate(&secrets).send().await.unwrap();
    let at_once = rotate(&secrets).set_rotate_immediately(None).send().await;
    assert_eq!(code(at_once), "AccessDeniedException");

    let secrets = under(r#"{"Bool":{"secretsmanager:ModifyRotationRules":"false"}}"#);
    rotate(&secrets).send().await.unwrap();
    let ruled = rotate(&secrets).rotation_rules(every("rate(10 days)")).send().await;
    assert_eq!(code(ruled), "AccessDeniedException");
}

#[tokio::test]
async fn the_function_of_a_secret_is_a_condition_of_every_call() {
    let double = Double::start().await.unwrap();
    let secrets = secret(&double).await;
    let statement = format!(
        r#"{{"Effect":"Allow","Action":"secretsmanager:DescribeSecret","Resource":"*",
            "Condition":{{"ArnEquals":{{"secretsmanager:resource/AllowRotationLambdaArn":"{FUNCTION}"}}}}}}"#
    );
    let looks = role(&double, ACCOUNT, "looks", &statement).secrets();
    let describe = || looks.describe_secret().secret_id("s").send();
    assert_eq!(code(describe().await), "AccessDeniedException");
    switch_on(&secrets, 2, false).await;
    describe().await.unwrap();
}

#[tokio::test]
async fn a_secret_in_its_window_is_not_rotated() {
    let double = Double::start().await.unwrap();
    let secrets = secret(&double).await;
    switch_on(&secrets, 2, false).await;
    secrets.delete_secret().secret_id("s").recovery_window_in_days(7).send().await.unwrap();
    assert_eq!(code(secrets.rotate_secret().secret_id("s").send().await), "InvalidRequestException");
    assert_eq!(code(secrets.cancel_rotate_secret().secret_id("s").send().await), "InvalidRequestException");
    double.with(|world| {
        world.begin_rotation(&place(), "s", &id(2)).unwrap_err();
        world.begin_trial(&place(), "s", &id(2)).unwrap_err();
    });
    assert!(rotation(&double).unwrap().enabled);
    assert_eq!(versions(&double).len(), 1);
    let missing = secrets.rotate_secret().secret_id("t").rotation_lambda_arn(FUNCTION).send().await;
    assert_eq!(code(missing), "ResourceNotFoundException");
}

#[tokio::test]
async fn a_rotation_that_is_cancelled_leaves_its_version_and_its_rules() {
    let double = Double::start().await.unwrap();
    let secrets = secret(&double).await;
    let cancel = || secrets.cancel_rotate_secret().secret_id("s").send();
    assert_eq!(code(cancel().await), "InvalidRequestException", "nothing was ever set up");
    switch_on(&secrets, 2, false).await;
    assert_eq!(cancel().await.unwrap().version_id(), None, "nothing is under way");

    switch_on(&secrets, 2, true).await;
    let before = versions(&double);
    let nobody = role(&double, ACCOUNT, "switches", &allow("secretsmanager:RotateSecret", "*")).secrets();
    let denied = nobody.cancel_rotate_secret().secret_id("s").send().await;
    assert_eq!(code(denied), "AccessDeniedException");
    let canceller =
        role(&double, ACCOUNT, "cancels", &allow("secretsmanager:CancelRotateSecret", "*")).secrets();
    let answer = canceller.cancel_rotate_secret().secret_id("s").send().await.unwrap();
    assert_eq!((answer.name(), answer.version_id()), (Some("s"), Some(&*id(2))));
    assert_eq!(versions(&double), before);
    let told = described(&secrets).await;
    assert_eq!((told.arn(), told.rotation_enabled), (answer.arn(), Some(false)));
    assert_eq!(told.rotation_lambda_arn(), Some(FUNCTION));
    assert_eq!(told.rotation_rules, Some(every("rate(10 days)")));

    // What is left blocks the next one until its label is taken away.
    let rotate = || secrets.rotate_secret().secret_id("s").client_request_token(id(3)).send();
    assert_eq!(message(rotate().await), INCOMPLETE);
    take_pending_from(&secrets, 2).await;
    rotate().await.unwrap();
    assert_eq!(described(&secrets).await.rotation_enabled, Some(true));
}

#[tokio::test]
async fn secrets_manager_rotates_by_itself_what_is_to_be_rotated() {
    let double = Double::start().await.unwrap();
    double.stop_clock();
    let secrets = secret(&double).await;
    let begin = |number: usize| double.with(|world| world.begin_rotation(&place(), "s", &id(number)));
    let end = || double.with(|world| world.end_rotation(&place(), "s"));
    assert_eq!(begin(2).unwrap_err().code, "InvalidRequestException", "nothing was set up");
    assert_eq!(end().unwrap_err().code, "InvalidRequestException", "nothing was set up");
    switch_on(&secrets, 2, false).await;
    begin(2).unwrap();
    let pending = version(2, "AWSPENDING", None);
    assert_eq!(versions(&double), [version(1, "AWSCURRENT", Some("v1")), pending.clone()]);
    // It is tried again as a whole, and no other one begins meanwhile.
    begin(2).unwrap();
    assert_eq!(begin(3).unwrap_err().message, INCOMPLETE);
    assert_eq!(versions(&double)[1..], [pending]);
    put_pending(&secrets, 2).await;
    begin(2).unwrap();
    assert_eq!(end().unwrap_err().message, INCOMPLETE);
    assert_eq!(described(&secrets).await.last_rotated_date, None);

    finish(&secrets, 1, 2).await;
    take_pending_from(&secrets, 2).await;
    let before = versions(&double);
    double.advance(Duration::from_hours(1));
    end().unwrap();
    assert_eq!(versions(&double), before);
    let now = double.with(|world| world.now().as_second());
    let told = described(&secrets).await;
    assert_eq!((told.last_rotated_date.unwrap().secs(), told.last_changed_date.unwrap().secs()), (now, now));
    assert_eq!(begin(2).unwrap_err().code, "InvalidRequestException", "the id of a version");
    begin(3).unwrap();
    take_pending_from(&secrets, 3).await;

    secrets.cancel_rotate_secret().secret_id("s").send().await.unwrap();
    assert_eq!(described(&secrets).await.last_rotated_date, None, "what is switched off tells no date");
    assert_eq!(begin(4).unwrap_err().code, "InvalidRequestException", "it is switched off");
    // The date was not lost, and another request does not change it.
    switch_on(&secrets, 5, false).await;
    assert_eq!(described(&secrets).await.last_rotated_date.unwrap().secs(), now);
}

#[tokio::test]
async fn a_trial_makes_a_version_and_removes_it() {
    let double = Double::start().await.unwrap();
    let secrets = secret(&double).await;
    let begin = |number: usize| double.with(|world| world.begin_trial(&place(), "s", &id(number)));
    let end = |number: usize| double.with(|world| world.end_trial(&place(), "s", &id(number)));
    let before = versions(&double);
    assert_eq!(begin(1).unwrap_err().code, "InvalidRequestException", "the id of a version");
    // Whether or not rotation counts as enabled already.
    for switched_on in [false, true] {
        if switched_on {
            switch_on(&secrets, 2, false).await;
        }
        begin(2).unwrap();
        assert_eq!(versions(&double)[1..], [version(2, "AWSPENDING", None)]);
        assert_eq!(begin(3).unwrap_err().message, INCOMPLETE);
        let read = secrets.get_secret_value().secret_id("s").version_stage("AWSPENDING").send().await;
        assert_eq!(code(read), "ResourceNotFoundException");
        end(2).unwrap();
        assert_eq!(versions(&double), before);
        assert_eq!(described(&secrets).await.last_rotated_date, None);
    }
    assert_eq!(end(2).unwrap_err().code, "ResourceNotFoundException");
    // What has come to be something else is left.
    begin(2).unwrap();
    let label = secrets.update_secret_version_stage().secret_id("s").version_stage("mine");
    label.move_to_version_id(id(2)).send().await.unwrap();
    end(2).unwrap();
    assert_eq!(versions(&double)[1..], [version(2, "mine", None)]);
}

/// Secrets Manager User Guide, "AWS Secrets Manager quotas": they hold for what a rotation makes, too.
#[tokio::test]
async fn a_rotation_finds_room_or_is_refused() {
    let double = Double::start().await.unwrap();
    let secrets = secret(&double).await;
    for number in 2..=100 {
        let put = secrets.put_secret_value().secret_id("s").client_request_token(id(number));
        put.secret_string("v").send().await.unwrap();
    }
    let rotate = || {
        let call = secrets.rotate_secret().secret_id("s").client_request_token(id(101));
        call.rotation_lambda_arn(FUNCTION).send()
    };
    assert_eq!(code(rotate().await), "LimitExceededException");
    assert_eq!(rotation(&double), None);
    double.advance(Duration::from_hours(24));
    rotate().await.unwrap();
    assert_eq!(versions(&double).len(), 100);
    // The value finds the room that was made.
    put_pending(&secrets, 101).await;
    assert_eq!(versions(&double).len(), 100);

    take_pending_from(&secrets, 101).await;
    for number in 3..=20 {
        let label =
            secrets.update_secret_version_stage().secret_id("s").version_stage(format!("label-{number}"));
        label.move_to_version_id(id(100)).send().await.unwrap();
    }
    let one_more = secrets.update_secret_version_stage().secret_id("s").version_stage("one-more");
    one_more.move_to_version_id(id(100)).send().await.unwrap_err();
    let rotate = secrets.rotate_secret().secret_id("s").client_request_token(id(102)).send().await;
    assert_eq!(code(rotate), "LimitExceededException");
    assert!(
        versions(&double).iter().all(|(number, ..)| *number != 102),
        "nothing is left of what was refused"
    );
}

#[tokio::test]
async fn a_snapshot_and_a_copy_have_the_rotation_and_its_version() {
    let double = Double::start().await.unwrap();
    let secrets = secret(&double).await;
    let snapshot = || double.with(|world| world.snapshot());
    let nothing = snapshot();
    switch_on(&secrets, 2, false).await;
    let switched_on = snapshot();
    assert_ne!(switched_on, nothing);
    double.with(|world| world.begin_rotation(&place(), "s", &id(2))).unwrap();
    let begun = snapshot();
    assert_ne!(begun, switched_on);
    let stored = begun.secrets.values().next().unwrap();
    assert_eq!(stored.versions[&id(2)], (None, ["AWSPENDING".to_owned()].into()));
    assert_eq!(stored.rotation, rotation(&double));

    let copy = Double::start().await.unwrap();
    let world = double.with(|world| world.clone());
    copy.with(|other| *other = world);
    assert_eq!(copy.with(|world| world.snapshot()), begun);
    put_pending(&root(&copy).secrets(), 2).await;
    assert_eq!(versions(&copy)[1], version(2, "AWSPENDING", Some("v2")));
    assert_eq!(snapshot(), begun, "each has its own");

    // When it was done is not what is stored.
    put_pending(&secrets, 2).await;
    finish(&secrets, 1, 2).await;
    let finished = snapshot();
    double.with(|world| world.end_rotation(&place(), "s")).unwrap();
    assert_eq!(snapshot(), finished);
}

/// Secrets Manager API Reference, `PutSecretValue`, `RotationToken`: 36 to 256 characters, and not to be
/// logged.
#[tokio::test]
async fn a_rotation_token_is_taken_and_not_written_down() {
    let double = Double::start().await.unwrap();
    let secrets = secret(&double).await;
    switch_on(&secrets, 2, true).await;
    let put = |token: &str| {
        let call = secrets.put_secret_value().secret_id("s").client_request_token(id(2)).secret_string("v2");
        call.version_stages("AWSPENDING").rotation_token(token).send()
    };
    let token = "5ec4e700-f011-4044-8e00-0123456789ab";
    put(token).await.unwrap();
    assert_eq!(versions(&double)[1], version(2, "AWSPENDING", Some("v2")));
    for wrong in [&token[1..], &token.repeat(8)] {
        assert_eq!(code(put(wrong).await), "ValidationException");
    }
    let written = format!("{:?}", double.calls());
    assert!(!written.contains(&token[1..]), "{written}");
    // That there was one is, and so is all else.
    let calls = double.calls();
    let put = calls.iter().find(|call| call.operation == "PutSecretValue").unwrap();
    assert!(put.request["RotationToken"].is_string(), "{put:?}");
    assert_eq!(put.request["SecretString"], "v2");
    assert!(calls[0].request["RotationToken"].is_null());
}
