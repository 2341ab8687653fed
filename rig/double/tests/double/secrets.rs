//! Making secrets, finding them, describing them.

use aws_sdk_secretsmanager::primitives::Blob;
use aws_sdk_secretsmanager::types::Tag;
use contract_double::{Double, SecretValue};

use crate::support::{code, place, root};

const TOKEN: &str = "00000000-0000-4000-8000-000000000001";

#[tokio::test]
async fn a_secret_is_made_with_its_first_version() {
    let double = Double::start().await.unwrap();
    let secrets = root(&double).secrets();
    let made = secrets
        .create_secret()
        .name("a/b")
        .client_request_token(TOKEN)
        .description("what for")
        .tags(Tag::builder().key("owner").value("me").build())
        .secret_string("value")
        .send()
        .await
        .unwrap();
    let arn = made.arn().unwrap();
    let suffix = arn.strip_prefix("arn:aws:secretsmanager:us-east-1:111122223333:secret:a/b-").unwrap();
    assert_eq!((suffix.len(), made.version_id()), (6, Some(TOKEN)));

    let told = secrets.describe_secret().secret_id(arn).send().await.unwrap();
    assert_eq!((told.arn(), told.name(), told.description()), (Some(arn), Some("a/b"), Some("what for")));
    assert_eq!(told.tags(), [Tag::builder().key("owner").value("me").build()]);
    let stages = told.version_ids_to_stages().unwrap();
    assert_eq!((stages.len(), &stages[TOKEN]), (1, &vec!["AWSCURRENT".to_owned()]));
    // What there is not is not told.
    assert_eq!((told.deleted_date(), told.last_accessed_date(), told.kms_key_id()), (None, None, None));
    double.with(|world| {
        let secret = world.secret(&place(), "a/b").unwrap();
        assert_eq!((secret.text(), secret.created_by), (Some("value"), 1));
    });
}

#[tokio::test]
async fn the_same_request_again_makes_nothing() {
    let double = Double::start().await.unwrap();
    let secrets = root(&double).secrets();
    let create = |token: &str, value: &str| {
        secrets.create_secret().name("a").client_request_token(token).secret_string(value).send()
    };
    let first = create(TOKEN, "value").await.unwrap();
    let again = create(TOKEN, "value").await.unwrap();
    assert_eq!((first.arn(), first.version_id()), (again.arn(), again.version_id()));
    assert_eq!(code(create(TOKEN, "other").await), "ResourceExistsException");
    let other_token = TOKEN.replace("01", "02");
    assert_eq!(code(create(&other_token, "value").await), "ResourceExistsException");
    double.with(|world| assert_eq!(world.secret(&place(), "a").unwrap().versions.len(), 1));
}

#[tokio::test]
async fn a_token_is_the_callers_to_make() {
    let double = Double::start().await.unwrap();
    let secrets = root(&double).secrets();
    // The SDK makes one when none is given.
    assert!(
        secrets.create_secret().name("a").secret_string("v").send().await.unwrap().version_id().is_some()
    );
    let short =
        secrets.create_secret().name("b").client_request_token("short").secret_string("v").send().await;
    assert_eq!(code(short), "ValidationException");
}

#[tokio::test]
async fn a_secret_without_a_value_has_no_version() {
    let double = Double::start().await.unwrap();
    let secrets = root(&double).secrets();
    let made = secrets.create_secret().name("empty").send().await.unwrap();
    assert_eq!(made.version_id(), None);
    let told = secrets.describe_secret().secret_id("empty").send().await.unwrap();
    assert_eq!(told.version_ids_to_stages(), None);
    let read = secrets.get_secret_value().secret_id("empty").send().await;
    assert_eq!(code(read), "ResourceNotFoundException");
}

#[tokio::test]
async fn names_values_and_descriptions_have_limits() {
    let double = Double::start().await.unwrap();
    let secrets = root(&double).secrets();
    let create = |name: String, value: String| secrets.create_secret().name(name).secret_string(value).send();
    create("n".repeat(512), "v".into()).await.unwrap();
    assert_eq!(code(create("n".repeat(513), "v".into()).await), "ValidationException");
    create("/_+=.@-".into(), "v".into()).await.unwrap();
    assert_eq!(code(create("a b".into(), "v".into()).await), "ValidationException");
    create("value".into(), "v".repeat(65_536)).await.unwrap();
    assert_eq!(code(create("more".into(), "v".repeat(65_537)).await), "ValidationException");
    let described = |length: usize| {
        secrets.create_secret().name(format!("described-{length}")).description("d".repeat(length)).send()
    };
    described(2048).await.unwrap();
    assert_eq!(code(described(2049).await), "ValidationException");
}

#[tokio::test]
async fn a_value_is_a_text_or_bytes() {
    let double = Double::start().await.unwrap();
    let secrets = root(&double).secrets();
    secrets.create_secret().name("bytes").secret_binary(Blob::new([0, 255])).send().await.unwrap();
    let read = secrets.get_secret_value().secret_id("bytes").send().await.unwrap();
    assert_eq!((read.secret_binary().unwrap().as_ref(), read.secret_string()), ([0, 255].as_slice(), None));
    double.with(|world| {
        let version = world.secret(&place(), "bytes").unwrap().staged("AWSCURRENT").unwrap();
        assert_eq!(version.value, Some(SecretValue::Binary(vec![0, 255])));
    });
    let both = secrets.create_secret().name("both").secret_string("v").secret_binary(Blob::new([1])).send();
    assert_eq!(code(both.await), "InvalidParameterException");
}

#[tokio::test]
async fn a_secret_is_found_by_name_and_by_arn_whole_or_in_part() {
    let double = Double::start().await.unwrap();
    let secrets = root(&double).secrets();
    let find = |id: String| secrets.describe_secret().secret_id(id).send();
    let made = secrets.create_secret().name("a/b").secret_string("v").send().await.unwrap();
    let arn = made.arn().unwrap();
    let part = &arn[..arn.len() - 7];
    for id in ["a/b", arn, part] {
        assert_eq!(find(id.to_owned()).await.unwrap().arn(), Some(arn), "{id}");
    }
    // Another suffix is another secret, and a name is a whole name.
    for id in [format!("{part}-AAAAAA"), "a".to_owned(), arn.replace("us-east-1", "eu-west-1")] {
        assert_eq!(code(find(id).await), "ResourceNotFoundException");
    }
}

#[tokio::test]
async fn a_partial_arn_that_ends_like_a_whole_one_finds_nothing() {
    let double = Double::start().await.unwrap();
    let secrets = root(&double).secrets();
    let made = secrets.create_secret().name("a-suffix").secret_string("v").send().await.unwrap();
    let arn = made.arn().unwrap();
    secrets.describe_secret().secret_id(arn).send().await.unwrap();
    let part = secrets.describe_secret().secret_id(&arn[..arn.len() - 7]).send().await;
    assert_eq!(code(part), "ResourceNotFoundException");
}

#[tokio::test]
async fn a_retrieval_is_told_by_the_day() {
    let double = Double::start().await.unwrap();
    let secrets = root(&double).secrets();
    secrets.create_secret().name("a").secret_string("v").send().await.unwrap();
    let accessed = async || {
        let told = secrets.describe_secret().secret_id("a").send().await.unwrap();
        told.last_accessed_date().map(aws_sdk_secretsmanager::primitives::DateTime::secs)
    };
    assert_eq!(accessed().await, None);
    secrets.get_secret_value().secret_id("a").send().await.unwrap();
    let day = accessed().await.unwrap();
    assert_eq!(day % (24 * 3600), 0);
    let now = double.with(|world| world.now().as_second());
    assert!((0..2 * 24 * 3600).contains(&(now - day)), "{day} is not today");
}
