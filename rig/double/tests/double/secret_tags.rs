//! Tags of secrets, and rights that hang on them.

use aws_sdk_secretsmanager::types::Tag;
use contract_double::Double;

use crate::support::{ACCOUNT, allow, code, place, role, root};

fn tag(key: impl Into<String>, value: impl Into<String>) -> Tag {
    Tag::builder().key(key).value(value).build()
}

#[tokio::test]
async fn tags_are_added_replaced_and_taken_away() {
    let double = Double::start().await.unwrap();
    let secrets = root(&double).secrets();
    secrets.create_secret().name("s").tags(tag("a", "1")).send().await.unwrap();
    let call = secrets.tag_resource().secret_id("s").tags(tag("a", "2")).tags(tag("b", "3"));
    call.send().await.unwrap();
    let tags = || double.with(|world| world.secret(&place(), "s").unwrap().tags.clone());
    assert_eq!(tags(), [("a".to_owned(), "2".to_owned()), ("b".to_owned(), "3".to_owned())].into());
    secrets.untag_resource().secret_id("s").tag_keys("a").tag_keys("c").send().await.unwrap();
    assert_eq!(tags(), [("b".to_owned(), "3".to_owned())].into());
}

#[tokio::test]
async fn tags_have_limits() {
    let double = Double::start().await.unwrap();
    let secrets = root(&double).secrets();
    let create = |name: &str, tags: Vec<Tag>| secrets.create_secret().name(name).set_tags(Some(tags)).send();
    let many = |count: usize| (0..count).map(|index| tag(index.to_string(), "")).collect::<Vec<_>>();
    create("fifty", many(50)).await.unwrap();
    assert_eq!(code(create("more", many(51)).await), "InvalidParameterException");
    let more = secrets.tag_resource().secret_id("fifty").tags(tag("new", "")).send().await;
    assert_eq!(code(more), "InvalidParameterException");
    secrets.tag_resource().secret_id("fifty").tags(tag("7", "changed")).send().await.unwrap();

    create("long", vec![tag("k".repeat(128), "v".repeat(256))]).await.unwrap();
    assert_eq!(code(create("key", vec![tag("k".repeat(129), "")]).await), "ValidationException");
    assert_eq!(code(create("value", vec![tag("k", "v".repeat(257))]).await), "ValidationException");
    assert_eq!(code(create("aws", vec![tag("aws:mine", "")]).await), "InvalidParameterException");
    assert_eq!(code(create("twice", vec![tag("k", "1"), tag("k", "2")]).await), "InvalidParameterException");
}

#[tokio::test]
async fn tags_in_a_creation_need_the_right_to_tag() {
    let double = Double::start().await.unwrap();
    let secrets = role(&double, ACCOUNT, "maker", &allow("secretsmanager:CreateSecret", "*")).secrets();
    secrets.create_secret().name("plain").send().await.unwrap();
    let tagged = secrets.create_secret().name("tagged").tags(tag("k", "v")).send().await;
    assert_eq!(code(tagged), "AccessDeniedException");
    let both = format!(
        "{},{}",
        allow("secretsmanager:CreateSecret", "*"),
        allow("secretsmanager:TagResource", "arn:aws:secretsmanager:*:*:secret:tagged")
    );
    let secrets = role(&double, ACCOUNT, "maker", &both).secrets();
    secrets.create_secret().name("tagged").tags(tag("k", "v")).send().await.unwrap();
}

#[tokio::test]
async fn tags_of_the_request_and_of_the_secret_are_conditions() {
    let double = Double::start().await.unwrap();
    root(&double).secrets().create_secret().name("theirs").tags(tag("owner", "them")).send().await.unwrap();
    let statements = r#"
        {"Effect":"Allow","Action":["secretsmanager:CreateSecret","secretsmanager:TagResource"],"Resource":"*",
         "Condition":{"StringEquals":{"aws:RequestTag/owner":"me"},"ForAllValues:StringEquals":{"aws:TagKeys":["owner"]}}},
        {"Effect":"Allow","Action":"secretsmanager:DeleteSecret","Resource":"*",
         "Condition":{"StringEquals":{"aws:ResourceTag/owner":"me"}}},
        {"Effect":"Allow","Action":"secretsmanager:DescribeSecret","Resource":"*",
         "Condition":{"StringEquals":{"secretsmanager:ResourceTag/owner":"me"}}}"#;
    let secrets = role(&double, ACCOUNT, "me", statements).secrets();
    secrets.create_secret().name("mine").tags(tag("owner", "me")).send().await.unwrap();
    let other = secrets.create_secret().name("other").tags(tag("owner", "them")).send().await;
    assert_eq!(code(other), "AccessDeniedException");
    let more = secrets.create_secret().name("more").tags(tag("owner", "me")).tags(tag("k", "v")).send().await;
    assert_eq!(code(more), "AccessDeniedException");
    secrets.describe_secret().secret_id("mine").send().await.unwrap();
    assert_eq!(code(secrets.describe_secret().secret_id("theirs").send().await), "AccessDeniedException");
    assert_eq!(code(secrets.delete_secret().secret_id("theirs").send().await), "AccessDeniedException");
    secrets.delete_secret().secret_id("mine").force_delete_without_recovery(true).send().await.unwrap();
    // A secret that is gone has no tags, so that it is denied and not missed.
    assert_eq!(code(secrets.describe_secret().secret_id("mine").send().await), "AccessDeniedException");
    let missed = root(&double).secrets().describe_secret().secret_id("mine").send().await;
    assert_eq!(code(missed), "ResourceNotFoundException");
}

#[tokio::test]
async fn nobody_tags_a_secret_away_from_himself() {
    let double = Double::start().await.unwrap();
    root(&double).secrets().create_secret().name("s").tags(tag("owner", "me")).send().await.unwrap();
    let statements = r#"{"Effect":"Allow","Action":["secretsmanager:TagResource","secretsmanager:UntagResource"],
        "Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/owner":"me"}}}"#;
    let secrets = role(&double, ACCOUNT, "me", statements).secrets();
    secrets.tag_resource().secret_id("s").tags(tag("note", "kept")).send().await.unwrap();
    let away = secrets.tag_resource().secret_id("s").tags(tag("owner", "them")).send().await;
    assert_eq!(code(away), "AccessDeniedException");
    let bare = secrets.untag_resource().secret_id("s").tag_keys("owner").send().await;
    assert_eq!(code(bare), "AccessDeniedException");
    let owner = double.with(|world| world.secret(&place(), "s").unwrap().tags["owner"].clone());
    assert_eq!(owner, "me");
}
