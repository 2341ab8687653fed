//! Faults and stops.

use std::time::Duration;

use aws_sdk_ssm::error::SdkError;
use aws_sdk_ssm::types::ParameterType;
use contract_double::{Double, Outcome, Pattern, Service, Side, Twist, call_keys};

use crate::support::{code, place, root, until, with_key};

#[tokio::test]
async fn a_fault_happens_in_the_calls_stead_and_once() {
    let double = Double::start().await.unwrap();
    let cloud = root(&double);
    let create = |name: &str| cloud.secrets().create_secret().name(name).secret_string("v").send();
    for (twist, refusal, status) in [
        (Twist::Throttle, "ThrottlingException", 400),
        (Twist::refuse("EncryptionFailure"), "EncryptionFailure", 400),
        (Twist::ServerError(500), "InternalServiceError", 500),
        (Twist::ServerError(503), "ServiceUnavailable", 503),
    ] {
        double.twist(Pattern::operation("CreateSecret"), twist);
        assert_eq!(code(create("s").await), refusal);
        let calls = double.calls();
        assert_eq!(
            (calls.last().unwrap().status(), calls.last().unwrap().took_effect),
            (Some(status), false)
        );
        double.with(|world| assert_eq!(world.secrets(&place()).count(), 0));
    }
    create("s").await.unwrap();
}

#[tokio::test]
async fn each_service_has_its_own_words() {
    let double = Double::start().await.unwrap();
    let cloud = root(&double);
    double.twist(Pattern::service(Service::CloudFormation), Twist::Throttle);
    assert_eq!(code(cloud.cloudformation().describe_stacks().stack_name("s").send().await), "Throttling");
    double.twist(Pattern::service(Service::Kms), Twist::ServerError(500));
    assert_eq!(code(cloud.kms().describe_key().key_id("k").send().await), "KMSInternalException");
    double.twist(Pattern::service(Service::ParameterStore), Twist::ServerError(500));
    assert_eq!(code(cloud.parameters().get_parameter().name("p").send().await), "InternalServerError");
}

#[tokio::test]
async fn a_connection_is_closed_before_or_after_the_call_is_carried_out() {
    let double = Double::start().await.unwrap();
    let secrets = root(&double).secrets();
    for (twist, effect) in [(Twist::Reset, false), (Twist::AnswerLost, true)] {
        double.twist(Pattern::operation("CreateSecret").on("s"), twist);
        let lost = secrets.create_secret().name("s").secret_string("v").send().await.unwrap_err();
        assert!(matches!(lost, aws_sdk_secretsmanager::error::SdkError::DispatchFailure(_)), "{lost:?}");
        let calls = double.calls();
        let call = calls.last().unwrap();
        assert_eq!((&call.outcome, call.took_effect), (&Outcome::Lost, effect));
        assert_eq!(double.with(|world| world.secret(&place(), "s").is_some()), effect);
    }
}

#[tokio::test]
async fn a_pattern_says_which_calls_are_meant() {
    let double = Double::start().await.unwrap();
    let read = async |session: &str, name: &str| {
        let parameters = with_key(&double, "111122223333", Some(session)).parameters();
        parameters.get_parameters().names(name).send().await.is_err()
    };
    let outcomes = async |calls: &[(&str, &str)]| {
        let mut outcomes = Vec::new();
        for (session, name) in calls {
            outcomes.push(read(session, name).await);
        }
        double.clear_twists();
        outcomes
    };
    let four = [("a", "/p"), ("b", "/p"), ("a", "/q/r"), ("a", "/p")];
    for (pattern, expected) in [
        (Pattern::operation("GetParameters"), [true, false, false, false]),
        (Pattern::operation("GetParameters").nth(3), [false, false, true, false]),
        (Pattern::any().times(2), [true, true, false, false]),
        (Pattern::any().since(3), [false, false, true, true]),
        (Pattern::any().by("a").every(), [true, false, true, true]),
        (Pattern::any().on("/p").every(), [true, true, false, true]),
        (Pattern::any().on("/q/*"), [false, false, true, false]),
        (Pattern::any().on("*r").by("a"), [false, false, true, false]),
        (Pattern::operation("PutParameter").every(), [false; 4]),
        (Pattern::service(Service::Kms).every(), [false; 4]),
    ] {
        double.twist(pattern.clone(), Twist::Throttle);
        assert_eq!(outcomes(&four).await, expected, "{pattern:?}");
    }
}

#[tokio::test]
async fn a_call_of_an_undisturbed_run_is_met_in_another() {
    let run = async |double: &Double| {
        let parameters = root(double).parameters();
        let put = |name: &str| {
            parameters
                .put_parameter()
                .name(name)
                .value("v")
                .r#type(ParameterType::String)
                .overwrite(true)
                .send()
        };
        // In whatever order: the subjects tell them apart.
        let (one, two, three) = tokio::join!(put("/a"), put("/b"), put("/a"));
        [one.is_err(), two.is_err(), three.is_err()].iter().filter(|failed| **failed).count()
    };
    let undisturbed = Double::start().await.unwrap();
    assert_eq!(Box::pin(run(&undisturbed)).await, 0);
    let keys = call_keys(&undisturbed.calls());
    assert_eq!(keys.len(), 3);
    for key in keys {
        let double = Double::start().await.unwrap();
        double.twist(&key, Twist::refuse("InternalServerError"));
        assert_eq!(Box::pin(run(&double)).await, 1, "{key}");
        let calls = double.calls();
        let failed = calls.iter().zip(call_keys(&calls)).find(|(call, _)| call.error_code().is_some());
        assert_eq!(failed.unwrap().1, key);
    }
}

#[tokio::test]
async fn a_held_call_waits_before_it_is_carried_out_or_after() {
    let double = Double::start().await.unwrap();
    let secrets = root(&double).secrets();
    for (name, side, effect) in [("before", Side::Before, false), ("after", Side::After, true)] {
        let hold = double.hold(Pattern::operation("CreateSecret").on(name), side);
        assert!(!hold.is_reached());
        let call = tokio::spawn(secrets.create_secret().name(name).secret_string("v").send());
        let number = hold.reached().await;
        assert!(hold.is_reached());
        let there = || double.with(|world| world.secret(&place(), name).is_some());
        assert_eq!(there(), effect);
        let call_then = double.calls()[usize::try_from(number).unwrap() - 1].clone();
        assert_eq!(
            (call_then.took_effect, call_then.outcome, call_then.answered),
            (effect, Outcome::Unanswered, None)
        );
        // Others go on meanwhile.
        secrets.describe_secret().secret_id("other").send().await.unwrap_err();
        hold.release();
        call.await.unwrap().unwrap();
        assert!(there());
    }
}

#[tokio::test]
async fn a_call_whose_caller_is_gone_is_carried_out_when_it_is_released() {
    let double = Double::start().await.unwrap();
    let secrets = root(&double).secrets();
    let hold = double.hold(Pattern::operation("CreateSecret"), Side::Before);
    let call = tokio::spawn(secrets.create_secret().name("s").secret_string("v").send());
    hold.reached().await;
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    hold.release();
    until(async || double.with(|world| world.secret(&place(), "s").is_some())).await;
}

#[tokio::test]
async fn a_slow_call_outlasts_an_impatient_caller() {
    let double = Double::start().await.unwrap();
    let parameters = root(&double).parameters();
    double.twist(Pattern::operation("GetParameters"), Twist::Slow(Duration::from_hours(1)));
    let read = parameters.get_parameters().names("/p").customize().config_override(
        aws_sdk_ssm::config::Builder::new()
            .timeout_config(
                aws_smithy_types::timeout::TimeoutConfig::builder()
                    .operation_timeout(Duration::from_millis(50))
                    .build(),
            )
            .sleep_impl(aws_sdk_ssm::config::SharedAsyncSleep::new(Sleep)),
    );
    let late = read.send().await.unwrap_err();
    assert!(matches!(late, SdkError::TimeoutError(_)), "{late:?}");
    parameters.get_parameters().names("/p").send().await.unwrap();
}

/// The SDK's clients of the rig have no timer of their own.
#[derive(Debug)]
struct Sleep;

impl aws_sdk_ssm::config::AsyncSleep for Sleep {
    fn sleep(&self, duration: Duration) -> aws_sdk_ssm::config::Sleep {
        aws_sdk_ssm::config::Sleep::new(tokio::time::sleep(duration))
    }
}
