//! Recovery windows, forced removals, and what becomes of a name.

use std::time::Duration;

use aws_sdk_secretsmanager::Client;
use contract_double::{Double, Linger};

use crate::support::{code, place, root};

const DAY: Duration = Duration::from_hours(24);

async fn secret(double: &Double) -> Client {
    let secrets = root(double).secrets();
    secrets.create_secret().name("s").secret_string("v").send().await.unwrap();
    secrets
}

#[tokio::test]
async fn a_secret_in_its_window_cannot_be_used_and_comes_back_whole() {
    let double = Double::start().await.unwrap();
    let secrets = secret(&double).await;
    let before = double.with(|world| world.snapshot());
    let answer = secrets.delete_secret().secret_id("s").recovery_window_in_days(7).send().await.unwrap();
    let now = double.with(|world| world.now().as_second());
    let end = answer.deletion_date().unwrap().secs();
    assert!((end - now - 7 * 24 * 3600).abs() < 3600, "{end}");

    let told = secrets.describe_secret().secret_id("s").send().await.unwrap();
    assert_eq!(told.deleted_date().unwrap().secs(), end);
    let refused = [
        code(secrets.get_secret_value().secret_id("s").send().await),
        code(secrets.put_secret_value().secret_id("s").secret_string("w").send().await),
        code(secrets.tag_resource().secret_id("s").set_tags(Some(Vec::new())).send().await),
        code(secrets.untag_resource().secret_id("s").tag_keys("k").send().await),
        code(secrets.delete_secret().secret_id("s").send().await),
        code(secrets.create_secret().name("s").secret_string("w").send().await),
        code(secrets.update_secret_version_stage().secret_id("s").version_stage("l").send().await),
    ];
    assert_eq!(refused, ["InvalidRequestException"; 7]);

    secrets.restore_secret().secret_id("s").send().await.unwrap();
    assert_eq!(double.with(|world| world.snapshot()), before);
    secrets.get_secret_value().secret_id("s").send().await.unwrap();
}

#[tokio::test]
async fn at_the_end_of_its_window_a_secret_is_gone_and_its_name_free() {
    let double = Double::start().await.unwrap();
    let secrets = secret(&double).await;
    secrets.delete_secret().secret_id("s").send().await.unwrap();
    double.advance(29 * DAY);
    secrets.describe_secret().secret_id("s").send().await.unwrap();
    double.advance(DAY + Duration::from_mins(1));
    assert_eq!(code(secrets.describe_secret().secret_id("s").send().await), "ResourceNotFoundException");
    assert_eq!(code(secrets.restore_secret().secret_id("s").send().await), "ResourceNotFoundException");
    secrets.create_secret().name("s").secret_string("v").send().await.unwrap();
}

#[tokio::test]
async fn a_window_has_seven_to_thirty_days() {
    let double = Double::start().await.unwrap();
    let secrets = secret(&double).await;
    let delete = |days| secrets.delete_secret().secret_id("s").recovery_window_in_days(days).send();
    for days in [0, 6, 31] {
        assert_eq!(code(delete(days).await), "InvalidParameterException", "{days}");
    }
    delete(30).await.unwrap();
    let both = secrets.delete_secret().secret_id("s").recovery_window_in_days(7);
    let both = both.force_delete_without_recovery(true).send().await;
    assert_eq!(code(both), "InvalidParameterException");
}

#[tokio::test]
async fn force_removes_at_once_whatever_the_secret_is() {
    let double = Double::start().await.unwrap();
    let secrets = secret(&double).await;
    let force = || secrets.delete_secret().secret_id("s").force_delete_without_recovery(true).send();
    secrets.delete_secret().secret_id("s").send().await.unwrap();
    force().await.unwrap();
    double.with(|world| assert_eq!(world.secrets(&place()).count(), 0));
    // One that is not there is removed as well; without force it is missed.
    force().await.unwrap();
    assert_eq!(code(secrets.delete_secret().secret_id("s").send().await), "ResourceNotFoundException");
    secrets.create_secret().name("s").secret_string("w").send().await.unwrap();
}

#[tokio::test]
async fn a_name_may_stay_taken_after_a_removal() {
    let double = Double::start().await.unwrap();
    let secrets = secret(&double).await;
    double.with(|world| world.linger(Linger::Calls(2)));
    let create = || secrets.create_secret().name("s").secret_string("w").send();
    secrets.delete_secret().secret_id("s").force_delete_without_recovery(true).send().await.unwrap();
    // The secret itself is gone.
    assert_eq!(code(secrets.describe_secret().secret_id("s").send().await), "ResourceNotFoundException");
    assert_eq!(code(create().await), "InvalidRequestException");
    assert_eq!(code(create().await), "InvalidRequestException");
    create().await.unwrap();

    double.with(|world| world.linger(Linger::Time(Duration::from_mins(1))));
    secrets.delete_secret().secret_id("s").force_delete_without_recovery(true).send().await.unwrap();
    assert_eq!(code(create().await), "InvalidRequestException");
    double.advance(Duration::from_secs(61));
    create().await.unwrap();
}

#[tokio::test]
async fn restoring_what_is_not_scheduled_changes_nothing() {
    let double = Double::start().await.unwrap();
    let secrets = secret(&double).await;
    let before = double.with(|world| world.snapshot());
    secrets.restore_secret().secret_id("s").send().await.unwrap();
    assert_eq!(double.with(|world| world.snapshot()), before);
}
