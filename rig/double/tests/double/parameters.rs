//! Putting, reading and removing parameters.

use std::time::Duration;

use aws_sdk_ssm::Client;
use aws_sdk_ssm::operation::put_parameter::builders::PutParameterFluentBuilder;
use aws_sdk_ssm::types::{ParameterTier, ParameterType, ResourceTypeForTagging, Tag};
use contract_double::{Double, KeyState, Pattern, Twist};

use crate::support::{ACCOUNT, allow, code, place, policy, role, root, symmetric_key, until};

fn string(parameters: &Client, name: &str, value: &str) -> PutParameterFluentBuilder {
    parameters.put_parameter().name(name).value(value).r#type(ParameterType::String)
}

fn tag(key: &str, value: &str) -> Tag {
    Tag::builder().key(key).value(value).build().unwrap()
}

#[tokio::test]
async fn a_parameter_is_put_once_and_then_overwritten() {
    let double = Double::start().await.unwrap();
    let parameters = root(&double).parameters();
    let put = string(&parameters, "/a/b", "1").send().await.unwrap();
    assert_eq!((put.version(), put.tier()), (1, Some(&ParameterTier::Standard)));
    assert_eq!(code(string(&parameters, "/a/b", "2").send().await), "ParameterAlreadyExists");
    assert_eq!(string(&parameters, "/a/b", "2").overwrite(true).send().await.unwrap().version(), 2);
    let read = parameters.get_parameter().name("/a/b").send().await.unwrap().parameter.unwrap();
    assert_eq!((read.value(), read.version()), (Some("2"), 2));
    assert_eq!(read.arn(), Some("arn:aws:ssm:us-east-1:111122223333:parameter/a/b"));
}

#[tokio::test]
async fn a_version_is_read_by_its_number_and_by_its_label() {
    let double = Double::start().await.unwrap();
    let parameters = root(&double).parameters();
    string(&parameters, "p", "1").send().await.unwrap();
    string(&parameters, "p", "2").overwrite(true).send().await.unwrap();
    let label = |labels: &[&str], version: Option<i64>| {
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        let call = parameters.label_parameter_version().name("p").set_labels(Some(labels));
        call.set_parameter_version(version).send()
    };
    let read = async |name: &str| {
        parameters.get_parameter().name(name).send().await.map(|read| read.parameter.unwrap().value.unwrap())
    };
    label(&["first"], Some(1)).await.unwrap();
    assert_eq!(read("p:first").await.unwrap(), "1");
    assert_eq!(read("p:2").await.unwrap(), "2");
    assert_eq!(read("arn:aws:ssm:us-east-1:111122223333:parameter/p:1").await.unwrap(), "1");
    assert_eq!(code(read("p:3").await), "ParameterVersionNotFound");
    assert_eq!(code(read("p:other").await), "ParameterVersionNotFound");
    // A label is on one version: it moves, by default to the latest.
    label(&["first"], None).await.unwrap();
    assert_eq!(read("p:first").await.unwrap(), "2");
    let answer = label(&["aws-mine", "1st", "good"], None).await.unwrap();
    assert_eq!(answer.invalid_labels(), ["aws-mine", "1st"]);
    let many: Vec<String> = (0..9).map(|index| format!("l{index}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(code(label(&many, None).await), "ParameterVersionLabelLimitExceeded");
    assert_eq!(code(label(&["l"], Some(7)).await), "ParameterVersionNotFound");
}

#[tokio::test]
async fn what_is_not_there_is_named_in_the_answer() {
    let double = Double::start().await.unwrap();
    let parameters = root(&double).parameters();
    for name in ["/z", "/a"] {
        string(&parameters, name, name).send().await.unwrap();
    }
    let read = parameters.get_parameters().names("/z").names("/b").names("/a").send().await.unwrap();
    let names: Vec<_> = read.parameters().iter().map(|parameter| parameter.name().unwrap()).collect();
    assert_eq!((names, read.invalid_parameters()), (vec!["/a", "/z"], &["/b".to_owned()][..]));
    assert_eq!(code(parameters.get_parameter().name("/b").send().await), "ParameterNotFound");
    let gone = parameters.delete_parameters().names("/a").names("/b").send().await.unwrap();
    assert_eq!(
        (gone.deleted_parameters(), gone.invalid_parameters()),
        (&["/a".to_owned()][..], &["/b".to_owned()][..])
    );
    assert_eq!(code(parameters.delete_parameter().name("/a").send().await), "ParameterNotFound");
    parameters.delete_parameter().name("/z").send().await.unwrap();
    double.with(|world| assert_eq!(world.parameters(&place()).count(), 0));
}

#[tokio::test]
async fn tags_are_set_by_the_first_put_and_never_by_an_overwriting_one() {
    let double = Double::start().await.unwrap();
    let parameters = root(&double).parameters();
    string(&parameters, "p", "1").tags(tag("owner", "me")).send().await.unwrap();
    let both = string(&parameters, "p", "2").tags(tag("owner", "them")).overwrite(true).send().await;
    assert_eq!(code(both), "ValidationException");
    let of_p = ResourceTypeForTagging::Parameter;
    let add = parameters.add_tags_to_resource().resource_type(of_p.clone()).resource_id("p");
    add.tags(tag("k", "v")).send().await.unwrap();
    let remove = parameters.remove_tags_from_resource().resource_type(of_p.clone()).resource_id("p");
    remove.tag_keys("owner").send().await.unwrap();
    let list = || parameters.list_tags_for_resource().resource_type(of_p.clone());
    assert_eq!(list().resource_id("p").send().await.unwrap().tag_list(), [tag("k", "v")]);
    assert_eq!(code(list().resource_id("q").send().await), "InvalidResourceId");
    let put = |key: &str, value: &str| string(&parameters, "q", "1").tags(tag(key, value)).send();
    for (key, value) in [("aws:k", "v"), ("k!", "v"), ("k", "v#")] {
        assert_eq!(code(put(key, value).await), "ValidationException", "{key} {value}");
    }
    put("ключ 1_.:/=+-@", "é").await.unwrap();
}

#[tokio::test]
async fn tags_in_a_put_need_the_right_to_tag() {
    let double = Double::start().await.unwrap();
    let put = |name: &str, actions: &str| {
        let statement = format!(r#"{{"Effect":"Allow","Action":{actions},"Resource":"*"}}"#);
        let parameters = role(&double, ACCOUNT, "putter", &statement).parameters();
        string(&parameters, name, "1").tags(tag("k", "v")).send()
    };
    assert_eq!(code(put("p", r#""ssm:PutParameter""#).await), "AccessDeniedException");
    put("p", r#"["ssm:PutParameter","ssm:AddTagsToResource"]"#).await.unwrap();
}

#[tokio::test]
async fn a_secure_string_asks_kms_as_its_tier_has_it() {
    let double = Double::start().await.unwrap();
    let key = symmetric_key(&double);
    let parameters = role(&double, ACCOUNT, "putter", &allow("ssm:*", "*")).parameters();
    let allow_only = |operation: &str| {
        let text = policy(&format!(
            r#"{{"Effect":"Allow","Principal":{{"AWS":"arn:aws:iam::{ACCOUNT}:role/putter"}},"Action":"kms:{operation}",
                "Resource":"*","Condition":{{"StringEquals":{{"kms:ViaService":"ssm.us-east-1.amazonaws.com",
                "kms:EncryptionContext:PARAMETER_ARN":"arn:aws:ssm:us-east-1:{ACCOUNT}:parameter/mine"}}}}}}"#
        ));
        double.with(|world| world.put_key_policy(&key, &text)).unwrap();
    };
    let put = |name: &str, tier: ParameterTier| {
        let call = parameters.put_parameter().name(name).value("v").r#type(ParameterType::SecureString);
        call.key_id(&key).tier(tier).overwrite(true).send()
    };
    let read = |decrypt| parameters.get_parameter().name("/mine").with_decryption(decrypt).send();
    for (tier, right, wrong) in [
        (ParameterTier::Standard, "Encrypt", "GenerateDataKey"),
        (ParameterTier::Advanced, "GenerateDataKey", "Encrypt"),
    ] {
        allow_only(wrong);
        assert_eq!(code(put("/mine", tier.clone()).await), "AccessDeniedException");
        allow_only(right);
        put("/mine", tier.clone()).await.unwrap();
        assert_eq!(code(put("/theirs", tier).await), "AccessDeniedException");
        let sealed = read(false).await.unwrap().parameter.unwrap().value.unwrap();
        assert_ne!(sealed, "v");
        assert_eq!(code(read(true).await), "AccessDeniedException");
        allow_only("Decrypt");
        assert_eq!(read(true).await.unwrap().parameter.unwrap().value.unwrap(), "v");
    }
    double.with(|world| world.set_key_state(&key, KeyState::Disabled));
    assert_eq!(code(read(true).await), "InvalidKeyId");
}

#[tokio::test]
async fn a_type_is_given_once_and_stays() {
    let double = Double::start().await.unwrap();
    let parameters = root(&double).parameters();
    let put = |kind: Option<ParameterType>| {
        parameters.put_parameter().name("p").value("v").set_type(kind).overwrite(true).send()
    };
    assert_eq!(code(put(None).await), "ValidationException");
    put(Some(ParameterType::String)).await.unwrap();
    put(None).await.unwrap();
    assert_eq!(code(put(Some(ParameterType::SecureString)).await), "HierarchyTypeMismatchException");
}

#[tokio::test]
async fn a_parameter_expires_when_its_policy_says_so() {
    let double = Double::start().await.unwrap();
    let parameters = root(&double).parameters();
    let in_an_hour = double.with(|world| world.now()) + Duration::from_hours(1);
    let expiration =
        format!(r#"[{{"Type":"Expiration","Version":"1.0","Attributes":{{"Timestamp":"{in_an_hour}"}}}}]"#);
    let put = |name: &str| string(&parameters, name, "v").tier(ParameterTier::Advanced).overwrite(true);
    for name in ["goes", "stays", "lifted"] {
        put(name).policies(&expiration).send().await.unwrap();
    }
    // Another put leaves the policy as it is; an empty one takes it away.
    put("goes").send().await.unwrap();
    put("lifted").policies("[{}]").send().await.unwrap();
    parameters.delete_parameter().name("stays").send().await.unwrap();
    put("stays").send().await.unwrap();
    double.advance(Duration::from_secs(3590));
    parameters.get_parameter().name("goes").send().await.unwrap();
    double.advance(Duration::from_secs(20));
    assert_eq!(code(parameters.get_parameter().name("goes").send().await), "ParameterNotFound");
    for name in ["stays", "lifted"] {
        parameters.get_parameter().name(name).send().await.unwrap();
    }
}

#[tokio::test]
async fn policies_are_checked() {
    let double = Double::start().await.unwrap();
    let parameters = root(&double).parameters();
    let put = |tier: ParameterTier, policies: &str| {
        string(&parameters, "p", "v").tier(tier).policies(policies).send()
    };
    let expiration =
        r#"{"Type":"Expiration","Version":"1.0","Attributes":{"Timestamp":"2100-01-02T03:04:05.000Z"}}"#;
    let refused = |policies: String| put(ParameterTier::Advanced, &policies);
    assert_eq!(code(put(ParameterTier::Standard, &format!("[{expiration}]")).await), "ValidationException");
    for (policies, refusal) in [
        (format!("[{expiration},{expiration}]"), "IncompatiblePolicyException"),
        ("[".to_owned() + &[expiration; 11].join(",") + "]", "PoliciesLimitExceededException"),
        (expiration.replace("2100", "the year 2100"), "InvalidPolicyTypeException"),
        (format!("[{}]", expiration.replace("2100", "the year 2100")), "InvalidPolicyAttributeException"),
        (format!("[{}]", expiration.replace("Expiration", "Perhaps")), "InvalidPolicyTypeException"),
        (format!("[{}]", expiration.replace("Expiration", "NoChangeNotification")), "NotInTheDouble"),
    ] {
        assert_eq!(code(refused(policies.clone()).await), refusal, "{policies}");
    }
    put(ParameterTier::Advanced, &format!("[{expiration}]")).await.unwrap();
}

#[tokio::test]
async fn of_two_puts_at_a_time_one_is_refused() {
    let double = Double::start().await.unwrap();
    let parameters = root(&double).parameters();
    let put = |name: &str| string(&parameters, name, "v").overwrite(true).send();
    double.twist(Pattern::operation("PutParameter"), Twist::Slow(Duration::from_hours(1)));
    let first = tokio::spawn(put("p"));
    until(async || !double.calls().is_empty()).await;
    assert_eq!(code(put("p").await), "TooManyUpdates");
    put("q").await.unwrap();
    // A put whose caller is gone is in nobody's way; the server sees the connection close, and not
    // at once.
    first.abort();
    until(async || put("p").await.is_ok()).await;
    assert_eq!(double.calls()[0].answered, None);
}

#[tokio::test]
async fn a_put_that_took_its_time_is_over_when_it_is_answered() {
    let double = Double::start().await.unwrap();
    let parameters = root(&double).parameters();
    let put = || string(&parameters, "p", "v").overwrite(true).send();
    double.twist(Pattern::operation("PutParameter"), Twist::Slow(Duration::from_millis(1)));
    put().await.unwrap();
    assert_eq!(put().await.unwrap().version(), 2);
}
