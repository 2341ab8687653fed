//! Names, sizes, tiers and numbers of parameters.

use aws_sdk_ssm::Client;
use aws_sdk_ssm::operation::put_parameter::builders::PutParameterFluentBuilder;
use aws_sdk_ssm::types::{ParameterTier, ParameterType};
use contract_double::Double;

use crate::support::{code, place, root};

fn string(parameters: &Client, name: impl Into<String>, value: &str) -> PutParameterFluentBuilder {
    parameters.put_parameter().name(name).value(value).r#type(ParameterType::String)
}

#[tokio::test]
async fn names_follow_the_rules() {
    let double = Double::start().await.unwrap();
    let parameters = root(&double).parameters();
    let put = |name: String| string(&parameters, name, "v").send();
    let levels = |count: usize| "/l".repeat(count);
    // The ARN before the name counts: 44 characters here, and a slash.
    let long = |length: usize| {
        format!("/{}", "n".repeat(length - "arn:aws:ssm:us-east-1:111122223333:parameter/".len()))
    };
    for name in ["plain".into(), "/a_b.c-D/1".into(), levels(15), long(1011)] {
        put(name).await.unwrap();
    }
    for name in ["a b", "awsome", "/AWS/x", "ssm-x", "a/b", "/a/", "/a//b", "/a:b"] {
        assert_eq!(code(put(name.into()).await), "ValidationException", "{name}");
    }
    assert_eq!(code(put(long(1012)).await), "ValidationException");
    assert_eq!(code(put(levels(16)).await), "HierarchyLevelLimitExceededException");
}

#[tokio::test]
async fn a_tier_has_its_size() {
    let double = Double::start().await.unwrap();
    let parameters = root(&double).parameters();
    for (tier, bytes) in [(ParameterTier::Standard, 4096), (ParameterTier::Advanced, 8192)] {
        let put = |bytes: usize| {
            let name = format!("/{}/{bytes}", tier.as_str());
            string(&parameters, name, &"v".repeat(bytes)).tier(tier.clone()).send()
        };
        put(bytes).await.unwrap();
        assert_eq!(code(put(bytes + 1).await), "ValidationException");
    }
    let empty = string(&parameters, "empty", "").send().await;
    assert_eq!(code(empty), "ValidationException");
}

#[tokio::test]
async fn an_advanced_parameter_stays_one() {
    let double = Double::start().await.unwrap();
    let parameters = root(&double).parameters();
    let put =
        |tier: Option<ParameterTier>| string(&parameters, "p", "v").overwrite(true).set_tier(tier).send();
    assert_eq!(put(None).await.unwrap().tier(), Some(&ParameterTier::Standard));
    assert_eq!(put(Some(ParameterTier::Advanced)).await.unwrap().tier(), Some(&ParameterTier::Advanced));
    assert_eq!(code(put(Some(ParameterTier::Standard)).await), "ValidationException");
    assert_eq!(put(None).await.unwrap().tier(), Some(&ParameterTier::Advanced));
    let whichever = Some(ParameterTier::IntelligentTiering);
    assert_eq!(put(whichever).await.unwrap().tier(), Some(&ParameterTier::Advanced));
}

#[tokio::test]
async fn the_tier_that_fits_is_the_cheaper_one_where_it_can_be() {
    let double = Double::start().await.unwrap();
    let parameters = root(&double).parameters();
    let put = |name: &str, bytes: usize| {
        string(&parameters, name, &"v".repeat(bytes)).tier(ParameterTier::IntelligentTiering)
    };
    assert_eq!(put("small", 4096).send().await.unwrap().tier(), Some(&ParameterTier::Standard));
    assert_eq!(put("large", 4097).send().await.unwrap().tier(), Some(&ParameterTier::Advanced));
    let policies = put("policies", 1).policies("[{}]").send().await.unwrap();
    assert_eq!(policies.tier(), Some(&ParameterTier::Advanced));
}

#[tokio::test]
async fn the_model_bounds_each_member() {
    let double = Double::start().await.unwrap();
    let parameters = root(&double).parameters();
    let described =
        |length: usize| string(&parameters, "p", "v").description("d".repeat(length)).overwrite(true);
    described(1024).send().await.unwrap();
    assert_eq!(code(described(1025).send().await), "ValidationException");
    let kind = |kind: ParameterType| parameters.put_parameter().name("q").value("v").r#type(kind).send();
    assert_eq!(code(kind(ParameterType::from("Other")).await), "ValidationException");
    kind(ParameterType::StringList).await.unwrap();
    let label =
        |length: usize| parameters.label_parameter_version().name("p").labels("l".repeat(length)).send();
    label(100).await.unwrap();
    assert_eq!(code(label(101).await), "ValidationException");
}

#[tokio::test]
async fn a_value_nests_no_parameter() {
    let double = Double::start().await.unwrap();
    let parameters = root(&double).parameters();
    string(&parameters, "json", r#"{"a":{"b":{}}}"#).send().await.unwrap();
    assert_eq!(code(string(&parameters, "nested", "{{ssm:other}}").send().await), "ValidationException");
}

#[tokio::test]
async fn a_call_names_up_to_ten() {
    let double = Double::start().await.unwrap();
    let parameters = root(&double).parameters();
    let names = |count: usize| Some((0..count).map(|index| format!("/p{index}")).collect::<Vec<_>>());
    parameters.get_parameters().set_names(names(10)).send().await.unwrap();
    parameters.delete_parameters().set_names(names(10)).send().await.unwrap();
    for count in [0, 11] {
        assert_eq!(
            code(parameters.get_parameters().set_names(names(count)).send().await),
            "ValidationException"
        );
        assert_eq!(
            code(parameters.delete_parameters().set_names(names(count)).send().await),
            "ValidationException"
        );
    }
    let twice = parameters.get_parameters().names("/p").names("/p").send().await;
    assert_eq!(code(twice), "NotInTheDouble");
}

#[tokio::test]
async fn a_hundred_versions_are_kept_and_a_labelled_one_is_not_let_go() {
    let double = Double::start().await.unwrap();
    let parameters = root(&double).parameters();
    let put = || string(&parameters, "p", "v").overwrite(true).send();
    for _ in 0..101 {
        put().await.unwrap();
    }
    let kept = || {
        double.with(|world| {
            let versions = &world.parameter(&place(), "p").unwrap().versions;
            (versions.len(), versions[0].version)
        })
    };
    assert_eq!(kept(), (100, 2));
    parameters.label_parameter_version().name("p").parameter_version(2).labels("kept").send().await.unwrap();
    assert_eq!(code(put().await), "ParameterMaxVersionLimitExceeded");
    assert_eq!(kept(), (100, 2));
    parameters.label_parameter_version().name("p").labels("kept").send().await.unwrap();
    put().await.unwrap();
    assert_eq!(kept(), (100, 3));
}
