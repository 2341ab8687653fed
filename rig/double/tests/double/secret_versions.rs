//! Versions of secrets and their staging labels.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_secretsmanager::Client;
use contract_double::Double;

use crate::support::{code, message, place, root};

const DAY: Duration = Duration::from_hours(24);

/// A version id, by number.
fn id(number: usize) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}

async fn secret(double: &Double) -> Client {
    let secrets = root(double).secrets();
    let made = secrets.create_secret().name("s").client_request_token(id(1)).secret_string("v1").send();
    made.await.unwrap();
    secrets
}

/// The labels of the versions, by number.
fn labels(double: &Double) -> BTreeMap<usize, Vec<String>> {
    double.with(|world| {
        let versions = world.secret(&place(), "s").unwrap().versions.values();
        let of = |version: &contract_double::SecretVersion| {
            (version.id[30..].parse().unwrap(), version.stages.iter().cloned().collect())
        };
        versions.map(of).collect()
    })
}

macro_rules! labels {
    ($($number:literal: [$($label:literal),*]),*) => {
        BTreeMap::from([$(($number, vec![$($label.to_owned()),*])),*])
    };
}

#[tokio::test]
async fn a_new_value_becomes_current_and_the_one_before_previous() {
    let double = Double::start().await.unwrap();
    let secrets = secret(&double).await;
    let put = |number: usize| {
        secrets.put_secret_value().secret_id("s").client_request_token(id(number)).secret_string("new").send()
    };
    let answer = put(2).await.unwrap();
    assert_eq!(
        (answer.version_id(), answer.version_stages()),
        (Some(&*id(2)), &["AWSCURRENT".to_owned()][..])
    );
    assert_eq!(labels(&double), labels! { 1: ["AWSPREVIOUS"], 2: ["AWSCURRENT"] });
    put(3).await.unwrap();
    assert_eq!(labels(&double), labels! { 1: [], 2: ["AWSPREVIOUS"], 3: ["AWSCURRENT"] });
    // A version without a label is not told.
    let told = secrets.describe_secret().secret_id("s").send().await.unwrap();
    assert_eq!(told.version_ids_to_stages().unwrap().len(), 2);
}

#[tokio::test]
async fn the_same_token_with_the_same_value_changes_nothing() {
    let double = Double::start().await.unwrap();
    let secrets = secret(&double).await;
    let put = |value: &str| {
        secrets.put_secret_value().secret_id("s").client_request_token(id(1)).secret_string(value).send()
    };
    let before = double.with(|world| world.snapshot());
    assert_eq!(put("v1").await.unwrap().version_id(), Some(&*id(1)));
    assert_eq!(code(put("v2").await), "ResourceExistsException");
    assert_eq!(double.with(|world| world.snapshot()), before);
}

#[tokio::test]
async fn labels_that_are_named_move_to_the_new_version() {
    let double = Double::start().await.unwrap();
    let secrets = secret(&double).await;
    for number in [2, 3] {
        let put = secrets.put_secret_value().secret_id("s").client_request_token(id(number));
        put.secret_string("new").version_stages("mine").send().await.unwrap();
    }
    assert_eq!(labels(&double), labels! { 1: ["AWSCURRENT"], 2: [], 3: ["mine"] });
}

#[tokio::test]
async fn the_first_version_is_current_whatever_it_is_labelled() {
    let double = Double::start().await.unwrap();
    let secrets = root(&double).secrets();
    secrets.create_secret().name("s").send().await.unwrap();
    let put = secrets.put_secret_value().secret_id("s").client_request_token(id(1)).secret_string("v");
    put.version_stages("mine").send().await.unwrap();
    assert_eq!(labels(&double), labels! { 1: ["AWSCURRENT", "mine"] });
}

#[tokio::test]
async fn a_label_moves_only_from_where_it_is() {
    let double = Double::start().await.unwrap();
    let secrets = secret(&double).await;
    secrets
        .put_secret_value()
        .secret_id("s")
        .client_request_token(id(2))
        .secret_string("v2")
        .version_stages("pending")
        .send()
        .await
        .unwrap();
    let update = |label: &str, from: Option<usize>, to: Option<usize>| {
        let call = secrets.update_secret_version_stage().secret_id("s").version_stage(label);
        call.set_remove_from_version_id(from.map(id)).set_move_to_version_id(to.map(id)).send()
    };
    let unnamed = update("AWSCURRENT", None, Some(2)).await;
    assert!(message(unnamed).contains(&id(1)));
    assert_eq!(code(update("AWSCURRENT", Some(2), Some(2)).await), "InvalidParameterException");
    update("AWSCURRENT", Some(1), Some(2)).await.unwrap();
    assert_eq!(labels(&double), labels! { 1: ["AWSPREVIOUS"], 2: ["AWSCURRENT", "pending"] });
    // The second of two that knew the same is refused: a compare and set.
    assert_eq!(code(update("AWSCURRENT", Some(1), Some(2)).await), "InvalidParameterException");
}

#[tokio::test]
async fn a_label_is_added_and_taken_away_but_the_current_one_stays() {
    let double = Double::start().await.unwrap();
    let secrets = secret(&double).await;
    let update = |label: &str, from: Option<usize>, to: Option<usize>| {
        let call = secrets.update_secret_version_stage().secret_id("s").version_stage(label);
        call.set_remove_from_version_id(from.map(id)).set_move_to_version_id(to.map(id)).send()
    };
    update("mine", None, Some(1)).await.unwrap();
    assert_eq!(labels(&double), labels! { 1: ["AWSCURRENT", "mine"] });
    update("mine", Some(1), None).await.unwrap();
    assert_eq!(labels(&double), labels! { 1: ["AWSCURRENT"] });
    assert_eq!(code(update("AWSCURRENT", Some(1), None).await), "InvalidParameterException");
    assert_eq!(code(update("mine", None, None).await), "InvalidParameterException");
    assert_eq!(code(update("mine", None, Some(7)).await), "ResourceNotFoundException");
}

#[tokio::test]
async fn a_version_is_read_by_id_by_stage_and_by_both() {
    let double = Double::start().await.unwrap();
    let secrets = secret(&double).await;
    secrets
        .put_secret_value()
        .secret_id("s")
        .client_request_token(id(2))
        .secret_string("v2")
        .send()
        .await
        .unwrap();
    let read = |number: Option<usize>, stage: Option<&str>| {
        let call = secrets.get_secret_value().secret_id("s").set_version_id(number.map(id));
        call.set_version_stage(stage.map(str::to_owned)).send()
    };
    for (number, stage, value) in [
        (None, None, "v2"),
        (Some(1), None, "v1"),
        (None, Some("AWSPREVIOUS"), "v1"),
        (Some(2), Some("AWSCURRENT"), "v2"),
    ] {
        assert_eq!(read(number, stage).await.unwrap().secret_string(), Some(value));
    }
    assert_eq!(code(read(Some(1), Some("AWSCURRENT")).await), "InvalidRequestException");
    assert_eq!(code(read(Some(7), None).await), "ResourceNotFoundException");
    assert_eq!(code(read(None, Some("mine")).await), "ResourceNotFoundException");
}

#[tokio::test]
async fn there_is_room_for_a_hundred_versions_and_those_of_a_day_ago_make_more() {
    let double = Double::start().await.unwrap();
    let secrets = secret(&double).await;
    let put = |number: usize| {
        secrets.put_secret_value().secret_id("s").client_request_token(id(number)).secret_string("v").send()
    };
    for number in 2..=100 {
        put(number).await.unwrap();
    }
    assert_eq!(code(put(101).await), "LimitExceededException");
    double.advance(DAY);
    put(101).await.unwrap();
    let labels = labels(&double);
    assert_eq!(labels.len(), 100);
    assert!(!labels.contains_key(&1), "the oldest without a label goes");
}

#[tokio::test]
async fn versions_are_listed_with_their_labels() {
    let double = Double::start().await.unwrap();
    let secrets = secret(&double).await;
    for number in [2, 3] {
        let put = secrets.put_secret_value().secret_id("s").client_request_token(id(number));
        put.secret_string("v").send().await.unwrap();
    }
    let listed = async |deprecated| {
        let call = secrets.list_secret_version_ids().secret_id("s").include_deprecated(deprecated);
        call.send().await.unwrap().versions().len()
    };
    assert_eq!((listed(false).await, listed(true).await), (2, 3));
    // In pages.
    let page = secrets.list_secret_version_ids().secret_id("s").max_results(1).send().await.unwrap();
    assert_eq!(page.versions().len(), 1);
    let rest = secrets.list_secret_version_ids().secret_id("s").next_token(page.next_token().unwrap());
    let rest = rest.send().await.unwrap();
    assert_eq!((rest.versions().len(), rest.next_token()), (1, None));
    let foreign = secrets.list_secret_version_ids().secret_id("s").next_token("mine").send().await;
    assert_eq!(code(foreign), "InvalidNextTokenException");
}

/// Secrets Manager User Guide, "AWS Secrets Manager quotas": 20 labels across all versions.
#[tokio::test]
async fn a_secret_takes_twenty_labels() {
    let double = Double::start().await.unwrap();
    let secrets = secret(&double).await;
    let label = |label: String| {
        secrets
            .update_secret_version_stage()
            .secret_id("s")
            .version_stage(label)
            .move_to_version_id(id(1))
            .send()
    };
    for number in 2..=20 {
        label(format!("label-{number}")).await.unwrap();
    }
    assert_eq!(code(label("one-more".into()).await), "LimitExceededException");
    let put = secrets.put_secret_value().secret_id("s").client_request_token(id(2)).secret_string("v2");
    assert_eq!(code(put.clone().version_stages("one-more").send().await), "LimitExceededException");
    assert_eq!(labels(&double).len(), 1, "nothing is left of what was refused");
    // One that is there already takes no room, and one that goes makes some.
    label("label-2".into()).await.unwrap();
    let gone = secrets.update_secret_version_stage().secret_id("s").version_stage("label-2");
    gone.remove_from_version_id(id(1)).send().await.unwrap();
    put.version_stages("one-more").send().await.unwrap();
}
