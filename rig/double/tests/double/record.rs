//! The record, and what is read out of it.

use std::time::Duration;

use aws_sdk_kms::primitives::Blob;
use contract_double::{
    CallKey, Double, Outcome, Pattern, Service, Side, Twist, call_keys, most_at_once, sequential_rounds,
};

use crate::support::{place, root, symmetric_key, until, with_key};

#[tokio::test]
async fn a_call_is_written_down_with_what_came_of_it() {
    let double = Double::start().await.unwrap();
    let secrets = with_key(&double, "111122223333", Some("one")).secrets();
    let made = secrets.create_secret().name("a/b").secret_string("v").send().await.unwrap();
    let arn = made.arn().unwrap();
    secrets.create_secret().name("a/b").secret_string("v").send().await.unwrap_err();
    secrets.describe_secret().secret_id(arn).send().await.unwrap();
    let calls = double.calls();
    let [created, refused, described] = calls.as_slice() else { panic!("{calls:?}") };
    assert_eq!((created.number, created.service), (1, Some(Service::SecretsManager)));
    assert_eq!((created.operation.as_str(), created.subject.as_str()), ("CreateSecret", "a/b"));
    assert_eq!(
        (created.session.as_deref(), created.principal.as_str()),
        (Some("one"), "arn:aws:iam::111122223333:root")
    );
    assert_eq!((created.request["Name"].as_str(), created.status()), (Some("a/b"), Some(200)));
    let Outcome::Answer(answer) = &created.outcome else { panic!("{created:?}") };
    assert_eq!(answer["ARN"].as_str(), Some(arn));
    assert!(created.took_effect && !refused.took_effect);
    assert_eq!((refused.error_code(), refused.status()), (Some("ResourceExistsException"), Some(400)));
    // By its ARN it is the same subject.
    assert_eq!(described.subject, "a/b");
    assert!(created.arrived < created.answered.unwrap() && created.answered.unwrap() < refused.arrived);
    assert_eq!(double.calls_since(2), calls[2..]);
}

#[tokio::test]
async fn subjects_tell_calls_apart_in_words_that_do_not_change() {
    let mut seen = Vec::new();
    for _ in 0..2 {
        let double = Double::start().await.unwrap();
        let (cloud, key) = (root(&double), symmetric_key(&double));
        for node in ["0", "1"] {
            let call = cloud.kms().encrypt().key_id(&key).plaintext(Blob::new("p"));
            call.encryption_context("node", node).encryption_context("a", "b").send().await.unwrap();
        }
        cloud.parameters().get_parameters().names("/a").names("/b").send().await.unwrap();
        let secret = cloud.secrets().create_secret().name("s").send().await.unwrap();
        let gone = cloud.secrets().delete_secret().secret_id(secret.arn().unwrap());
        gone.force_delete_without_recovery(true).send().await.unwrap();
        cloud.secrets().describe_secret().secret_id(secret.arn().unwrap()).send().await.unwrap_err();
        let stack = cloud.cloudformation().describe_stack_resource().logical_resource_id("Keys");
        stack
            .stack_name("arn:aws:cloudformation:us-east-1:111122223333:stack/kms/1")
            .send()
            .await
            .unwrap_err();
        seen.push(call_keys(&double.calls()));
    }
    assert_eq!(seen[0], seen[1]);
    let key = |operation: &str, subject: &str| {
        seen[0].iter().any(|key| key.operation == operation && key.subject == subject)
    };
    assert!(
        key("GetParameters", "/a,/b")
            && key("DescribeSecret", "s")
            && key("DescribeStackResource", "kms/Keys")
    );
    assert!(seen[0][0].subject.ends_with(" a=b,node=0") && seen[0][1].subject.ends_with(" a=b,node=1"));
}

#[tokio::test]
async fn occurrences_are_counted_among_the_calls_that_are_given() {
    let double = Double::start().await.unwrap();
    let parameters = root(&double).parameters();
    for name in ["/a", "/a", "/b", "/a"] {
        parameters.get_parameters().names(name).send().await.unwrap();
    }
    let key = |subject: &str, occurrence| CallKey {
        operation: "GetParameters".into(),
        subject: subject.into(),
        occurrence,
    };
    assert_eq!(call_keys(&double.calls()), [key("/a", 1), key("/a", 2), key("/b", 1), key("/a", 3)]);
    assert_eq!(call_keys(&double.calls_since(2)), [key("/b", 1), key("/a", 1)]);
    assert_eq!(key("/b", 2).to_string(), "GetParameters /b #2");
}

#[tokio::test]
async fn rounds_and_concurrency_are_those_of_the_caller() {
    let double = Double::start().await.unwrap();
    let parameters = root(&double).parameters();
    let hold = double.hold(Pattern::any().every(), Side::After);
    let read = |name: &str| parameters.get_parameters().names(name).send();
    let all = tokio::spawn(futures_three(read("/a"), read("/b"), read("/c")));
    until(async || double.calls().len() == 3).await;
    assert_eq!((most_at_once(&double.calls()), sequential_rounds(&double.calls())), (3, 1));
    hold.release();
    all.await.unwrap();
    read("/d").await.unwrap();
    let calls = double.calls();
    assert_eq!((most_at_once(&calls), sequential_rounds(&calls)), (3, 2));
    assert_eq!((most_at_once(&calls[3..]), sequential_rounds(&calls[3..])), (1, 1));
    assert_eq!((most_at_once(&[]), sequential_rounds(&[])), (0, 0));
}

async fn futures_three<A, B, C>(one: A, two: B, three: C)
where
    A: Future,
    B: Future,
    C: Future,
{
    tokio::join!(one, two, three);
}

#[tokio::test]
async fn answers_that_take_their_time_show_what_was_sent_together() {
    let double = Double::start().await.unwrap();
    let parameters = root(&double).parameters();
    double.twist(Pattern::any().every(), Twist::Slow(Duration::from_millis(50)));
    let read = |name: &str| parameters.get_parameters().names(name).send();
    Box::pin(futures_three(read("/a"), read("/b"), read("/c"))).await;
    read("/d").await.unwrap();
    assert_eq!((most_at_once(&double.calls()), sequential_rounds(&double.calls())), (3, 2));
}

#[tokio::test]
async fn a_snapshot_is_of_what_is_stored_and_not_of_how() {
    let double = Double::start().await.unwrap();
    let secrets = root(&double).secrets();
    secrets
        .create_secret()
        .name("s")
        .client_request_token("0".repeat(32))
        .secret_string("v")
        .send()
        .await
        .unwrap();
    let before = double.with(|world| world.snapshot());
    secrets.get_secret_value().secret_id("s").send().await.unwrap();
    double.advance(Duration::from_mins(1));
    assert_eq!(double.with(|world| world.snapshot()), before);
    secrets.put_secret_value().secret_id("s").secret_string("w").send().await.unwrap();
    let after = double.with(|world| world.snapshot());
    assert_ne!(after, before);
    let arn = double.with(|world| world.secret(&place(), "s").unwrap().arn.clone());
    assert_eq!(after.secrets[&arn].versions.len(), 2);
}
