//! Parameters below a path, and what is told of parameters.

use aws_sdk_ssm::Client;
use aws_sdk_ssm::types::{ParameterStringFilter, ParameterTier, ParameterType, ResourceTypeForTagging, Tag};
use contract_double::Double;

use crate::support::{ACCOUNT, code, role, root};

async fn with(double: &Double, names: &[&str]) -> Client {
    let parameters = root(double).parameters();
    for name in names {
        let put = parameters.put_parameter().name(*name).value("v").r#type(ParameterType::String);
        put.send().await.unwrap();
    }
    parameters
}

async fn below(parameters: &Client, path: &str, recursive: bool) -> Vec<String> {
    let found = parameters.get_parameters_by_path().path(path).recursive(recursive).send().await.unwrap();
    found.parameters().iter().map(|parameter| parameter.name().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_path_has_what_is_below_it() {
    let double = Double::start().await.unwrap();
    let parameters = with(&double, &["/a/b", "/a/b/c", "/a/d", "/ab/e", "plain"]).await;
    assert_eq!(below(&parameters, "/a", false).await, ["/a/b", "/a/d"]);
    assert_eq!(below(&parameters, "/a/", true).await, ["/a/b", "/a/b/c", "/a/d"]);
    assert_eq!(below(&parameters, "/", true).await.len(), 4);
    assert_eq!(code(parameters.get_parameters_by_path().path("a").send().await), "ValidationException");
}

#[tokio::test]
async fn a_path_is_read_ten_at_a_time() {
    let double = Double::start().await.unwrap();
    let names: Vec<String> = (0..12).map(|index| format!("/p/{index:02}")).collect();
    let parameters = with(&double, &names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let first = parameters.get_parameters_by_path().path("/p").send().await.unwrap();
    assert_eq!(first.parameters().len(), 10);
    let rest = parameters.get_parameters_by_path().path("/p").next_token(first.next_token().unwrap()).send();
    assert_eq!(rest.await.unwrap().parameters().len(), 2);
    let more = parameters.get_parameters_by_path().path("/p").max_results(11).send().await;
    assert_eq!(code(more), "ValidationException");
}

#[tokio::test]
async fn the_right_to_a_path_is_the_right_to_all_below() {
    let double = Double::start().await.unwrap();
    with(&double, &["/a/b", "/a/c/d"]).await;
    let arn = |name: &str| format!("arn:aws:ssm:us-east-1:{ACCOUNT}:parameter/{name}");
    let statements = format!(
        r#"{{"Effect":"Allow","Action":"ssm:GetParametersByPath","Resource":"{}"}},
           {{"Effect":"Deny","Action":"ssm:*","Resource":"{}"}}"#,
        arn("a"),
        arn("a/c/d")
    );
    let parameters = role(&double, ACCOUNT, "reader", &statements).parameters();
    assert_eq!(below(&parameters, "/a", true).await, ["/a/b", "/a/c/d"]);
    let other = parameters.get_parameters_by_path().path("/a/c").send().await;
    assert_eq!(code(other), "AccessDeniedException");
}

#[tokio::test]
async fn parameters_are_described_with_their_policies_in_a_list() {
    let double = Double::start().await.unwrap();
    let parameters = with(&double, &["/plain"]).await;
    let expiration =
        r#"{"Type":"Expiration","Version":"1.0","Attributes":{"Timestamp":"2100-01-02T03:04:05.000Z"}}"#;
    let put = parameters.put_parameter().name("/advanced").value("v").r#type(ParameterType::String);
    let put = put.tier(ParameterTier::Advanced).description("what for").policies(format!("[{expiration}]"));
    put.send().await.unwrap();
    let told = parameters.describe_parameters().send().await.unwrap();
    let [advanced, plain] = told.parameters() else { panic!("{told:?}") };
    assert_eq!((advanced.name(), advanced.description()), (Some("/advanced"), Some("what for")));
    assert_eq!(advanced.tier(), Some(&ParameterTier::Advanced));
    let [policy] = advanced.policies() else { panic!("{advanced:?}") };
    let text: serde_json::Value = serde_json::from_str(policy.policy_text().unwrap()).unwrap();
    assert_eq!(text, serde_json::from_str::<serde_json::Value>(expiration).unwrap());
    assert_eq!((policy.policy_type(), policy.policy_status()), (Some("Expiration"), Some("Pending")));
    assert_eq!((plain.policies().len(), plain.version()), (0, 1));
}

#[tokio::test]
async fn descriptions_are_filtered() {
    let double = Double::start().await.unwrap();
    let parameters = with(&double, &["/a/b", "/a/b/c", "/d"]).await;
    let tag = Tag::builder().key("owner").value("me").build().unwrap();
    let add = parameters.add_tags_to_resource().resource_type(ResourceTypeForTagging::Parameter);
    add.resource_id("/d").tags(tag).send().await.unwrap();
    let told = async |key: &str, option: Option<&str>, value: &str| {
        let filter = ParameterStringFilter::builder().key(key).set_option(option.map(str::to_owned));
        let filter = filter.values(value).build().unwrap();
        let told = parameters.describe_parameters().parameter_filters(filter).send().await;
        told.map(|told| told.parameters().len())
    };
    assert_eq!(told("Name", None, "/d").await.unwrap(), 1);
    assert_eq!(told("Name", Some("BeginsWith"), "/a").await.unwrap(), 2);
    assert_eq!(told("Path", Some("OneLevel"), "/a").await.unwrap(), 1);
    assert_eq!(told("Path", Some("Recursive"), "/a").await.unwrap(), 2);
    assert_eq!(told("Type", None, "SecureString").await.unwrap(), 0);
    assert_eq!(told("tag:owner", None, "me").await.unwrap(), 1);
    assert_eq!(told("tag:owner", None, "them").await.unwrap(), 0);
    assert_eq!(code(told("Label", None, "l").await), "NotInTheDouble");
}
