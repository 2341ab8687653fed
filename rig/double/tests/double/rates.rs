//! Quotas of calls a second.

use std::time::Duration;

use aws_sdk_secretsmanager::types::Tag;
use aws_sdk_ssm::types::ParameterType;
use contract_double::{Double, World};

use crate::support::{ACCOUNT, OTHER, code, root, root_of};

#[tokio::test]
async fn nobody_is_throttled_unless_a_test_says_so() {
    let double = Double::start().await.unwrap();
    double.stop_clock();
    let put =
        || root(&double).parameters().put_parameter().name("p").value("v").r#type(ParameterType::String);
    for _ in 0..4 {
        put().overwrite(true).send().await.unwrap();
    }
}

#[tokio::test]
async fn an_account_that_calls_too_often_is_throttled_for_a_while() {
    let double = Double::start().await.unwrap();
    double.stop_clock();
    double.with(World::enforce_rates);
    let put = |account: &str| {
        let call =
            root_of(&double, account).parameters().put_parameter().name("p").value("v").overwrite(true);
        call.r#type(ParameterType::String).send()
    };
    for _ in 0..3 {
        put(OTHER).await.unwrap();
    }
    assert_eq!(code(put(OTHER).await), "ThrottlingException");
    // Another account and another quota have their own.
    put(ACCOUNT).await.unwrap();
    root_of(&double, OTHER).parameters().get_parameters().names("p").send().await.unwrap();
    // A third of a second brings one more.
    double.advance(Duration::from_millis(333));
    assert_eq!(code(put(OTHER).await), "ThrottlingException");
    double.advance(Duration::from_millis(1));
    put(OTHER).await.unwrap();
    assert_eq!(code(put(OTHER).await), "ThrottlingException");
    // However long nobody calls, no more than a second's worth is saved.
    double.advance(Duration::from_hours(1));
    for _ in 0..3 {
        put(OTHER).await.unwrap();
    }
    assert_eq!(code(put(OTHER).await), "ThrottlingException");
}

#[tokio::test]
async fn quotas_can_be_so_many_times_as_large() {
    let double = Double::start().await.unwrap();
    double.stop_clock();
    double.with(|world| world.enforce_rates_times(2));
    let put = || {
        let call = root(&double).parameters().put_parameter().name("p").value("v").overwrite(true);
        call.r#type(ParameterType::String).send()
    };
    for _ in 0..6 {
        put().await.unwrap();
    }
    assert_eq!(code(put().await), "ThrottlingException");
    // A sixth of a second brings one more.
    double.advance(Duration::from_millis(167));
    put().await.unwrap();
    assert_eq!(code(put().await), "ThrottlingException");
}

#[tokio::test]
async fn calls_that_share_a_quota_use_it_up_together() {
    let double = Double::start().await.unwrap();
    let secrets = root(&double).secrets();
    secrets.create_secret().name("s").send().await.unwrap();
    double.stop_clock();
    double.with(World::enforce_rates);
    let tag = || {
        let tag = Tag::builder().key("k").value("v").build();
        secrets.tag_resource().secret_id("s").tags(tag).send()
    };
    let untag = || secrets.untag_resource().secret_id("s").tag_keys("k").send();
    for _ in 0..25 {
        tag().await.unwrap();
        untag().await.unwrap();
    }
    assert_eq!(
        (code(tag().await), code(untag().await)),
        ("ThrottlingException".into(), "ThrottlingException".into())
    );
    secrets.describe_secret().secret_id("s").send().await.unwrap();
}

/// Secrets Manager User Guide, "AWS Secrets Manager quotas": `RotateSecret` and `CancelRotateSecret`,
/// combined.
#[tokio::test]
async fn rotations_have_a_quota_of_their_own() {
    let double = Double::start().await.unwrap();
    let secrets = root(&double).secrets();
    secrets.create_secret().name("s").send().await.unwrap();
    double.stop_clock();
    double.with(World::enforce_rates);
    let rotate = || {
        let call = secrets.rotate_secret().secret_id("s").rotate_immediately(false);
        call.rotation_lambda_arn("arn:aws:lambda:us-east-1:111122223333:function:rotates").send()
    };
    let cancel = || secrets.cancel_rotate_secret().secret_id("s").send();
    for _ in 0..25 {
        rotate().await.unwrap();
        cancel().await.unwrap();
    }
    assert_eq!(
        (code(rotate().await), code(cancel().await)),
        ("ThrottlingException".into(), "ThrottlingException".into())
    );
    secrets.describe_secret().secret_id("s").send().await.unwrap();
}
