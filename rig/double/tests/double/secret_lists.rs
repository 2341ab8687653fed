//! `ListSecrets`, which may lag behind.

use std::time::Duration;

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::types::{Filter, FilterNameStringType, Tag};
use contract_double::Double;

use crate::support::{OTHER, code, role, root, root_of};

const FIVE_MINUTES: Duration = Duration::from_mins(5);

async fn names(secrets: &Client) -> Vec<String> {
    let listed = secrets.list_secrets().send().await.unwrap();
    listed.secret_list().iter().map(|entry| entry.name().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_list_shows_what_is_there_but_for_what_goes() {
    let double = Double::start().await.unwrap();
    let secrets = root(&double).secrets();
    for name in ["a", "b"] {
        secrets.create_secret().name(name).secret_string("v").send().await.unwrap();
    }
    root_of(&double, OTHER).secrets().create_secret().name("theirs").send().await.unwrap();
    secrets.delete_secret().secret_id("a").send().await.unwrap();
    assert_eq!(names(&secrets).await, ["b"]);
    let all = secrets.list_secrets().include_planned_deletion(true).send().await.unwrap();
    assert_eq!(all.secret_list().len(), 2);
}

#[tokio::test]
async fn a_list_is_filtered_and_cut_into_pages() {
    let double = Double::start().await.unwrap();
    let secrets = root(&double).secrets();
    for (name, owner) in [("x/1", "me"), ("x/2", "them"), ("y/1", "me")] {
        let tag = Tag::builder().key("owner").value(owner).build();
        secrets.create_secret().name(name).tags(tag).send().await.unwrap();
    }
    let filtered = async |key: FilterNameStringType, value: &str| {
        let filter = Filter::builder().key(key).values(value).build();
        secrets.list_secrets().filters(filter).send().await.map(|listed| listed.secret_list().len())
    };
    assert_eq!(filtered(FilterNameStringType::Name, "x/").await.unwrap(), 2);
    assert_eq!(filtered(FilterNameStringType::Name, "X/").await.unwrap(), 0);
    assert_eq!(filtered(FilterNameStringType::TagValue, "me").await.unwrap(), 2);
    assert_eq!(filtered(FilterNameStringType::TagKey, "own").await.unwrap(), 3);
    assert_eq!(code(filtered(FilterNameStringType::All, "x").await), "NotInTheDouble");
    let first = secrets.list_secrets().max_results(2).send().await.unwrap();
    let rest = secrets.list_secrets().next_token(first.next_token().unwrap()).send().await.unwrap();
    assert_eq!((first.secret_list().len(), rest.secret_list().len()), (2, 1));
}

#[tokio::test]
async fn a_list_may_show_what_was() {
    let double = Double::start().await.unwrap();
    let secrets = root(&double).secrets();
    secrets.create_secret().name("old").send().await.unwrap();
    double.with(|world| world.lists_lag(FIVE_MINUTES));
    secrets.create_secret().name("new").send().await.unwrap();
    secrets.delete_secret().secret_id("old").force_delete_without_recovery(true).send().await.unwrap();
    assert_eq!(names(&secrets).await, ["old"]);
    // Who asks for the one secret is told the truth.
    secrets.describe_secret().secret_id("new").send().await.unwrap();
    assert_eq!(code(secrets.describe_secret().secret_id("old").send().await), "ResourceNotFoundException");
    double.advance(FIVE_MINUTES);
    assert_eq!(names(&secrets).await, ["new"]);
}

#[tokio::test]
async fn listing_is_a_right_of_its_own() {
    let double = Double::start().await.unwrap();
    let statement = |action: &str| format!(r#"{{"Effect":"Allow","Action":"{action}","Resource":"*"}}"#);
    let with = |action: &str| role(&double, OTHER, "lister", &statement(action)).secrets();
    assert_eq!(
        code(with("secretsmanager:DescribeSecret").list_secrets().send().await),
        "AccessDeniedException"
    );
    with("secretsmanager:ListSecrets").list_secrets().send().await.unwrap();
}
