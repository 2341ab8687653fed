//! Accounts, Regions, and parameters that are shared.

use aws_credential_types::Credentials;
use aws_sdk_ssm::types::{ParameterTier, ParameterType};
use contract_double::{Double, Place};
use policies::{Share, SharedWith};
use rig::cloud::Cloud;

use crate::support::{
    ACCOUNT, OTHER, allow, code, place, policy, role, root, root_of, symmetric_key, with_key,
};

#[tokio::test]
async fn what_one_account_has_another_does_not_see() {
    let double = Double::start().await.unwrap();
    root(&double).secrets().create_secret().name("s").secret_string("v").send().await.unwrap();
    let theirs = root_of(&double, OTHER).secrets();
    assert_eq!(code(theirs.describe_secret().secret_id("s").send().await), "ResourceNotFoundException");
    theirs.create_secret().name("s").secret_string("other").send().await.unwrap();
    double.with(|world| {
        assert_eq!(world.secret(&place(), "s").unwrap().text(), Some("v"));
        let place = Place::new(OTHER, "us-east-1");
        assert_eq!(world.secret(&place, "s").unwrap().text(), Some("other"));
    });
}

#[tokio::test]
async fn access_keys_are_accounts_or_roles() {
    let double = Double::start().await.unwrap();
    let test = Cloud::with(&double.endpoint(), Credentials::new("test", "test", None, None, "test"));
    test.secrets().create_secret().name("s").send().await.unwrap();
    double.with(|world| {
        assert!(world.secret(&Place::new("000000000000", "us-east-1"), "s").is_some());
    });
    let nobody = with_key(&double, "AKIAIOSFODNN7EXAMPLE", None);
    assert_eq!(code(nobody.secrets().list_secrets().send().await), "UnrecognizedClientException");
    let stacks = nobody.cloudformation().describe_stacks().stack_name("s").send().await;
    assert_eq!(code(stacks), "InvalidClientTokenId");

    role(&double, ACCOUNT, "path/mine", &allow("secretsmanager:ListSecrets", "*"));
    let arn = format!("arn:aws:iam::{ACCOUNT}:role/path/mine");
    let key = double.with(|world| world.role(&arn).unwrap().access_key.clone());
    with_key(&double, &key, Some("one")).secrets().list_secrets().send().await.unwrap();
    let calls = double.calls();
    let call = calls.last().unwrap();
    assert_eq!((call.principal.as_str(), call.session.as_deref()), (arn.as_str(), Some("one")));
    double.with(|world| world.remove_role(&arn));
    let gone = with_key(&double, &key, None).secrets().list_secrets().send().await;
    assert_eq!(code(gone), "UnrecognizedClientException");
}

#[tokio::test]
async fn a_role_does_what_its_policies_say_and_its_account_root_all() {
    let double = Double::start().await.unwrap();
    let secrets = role(&double, ACCOUNT, "maker", &allow("secretsmanager:CreateSecret", "*")).secrets();
    secrets.create_secret().name("s").send().await.unwrap();
    assert_eq!(code(secrets.describe_secret().secret_id("s").send().await), "AccessDeniedException");
    root(&double).secrets().describe_secret().secret_id("s").send().await.unwrap();
}

#[tokio::test]
async fn a_shared_parameter_is_read_by_its_arn() {
    let double = Double::start().await.unwrap();
    let ours = root(&double).parameters();
    for (name, tier) in [("/shared", ParameterTier::Advanced), ("/standard", ParameterTier::Standard)] {
        ours.put_parameter()
            .name(name)
            .value("v")
            .r#type(ParameterType::String)
            .tier(tier)
            .send()
            .await
            .unwrap();
    }
    let arn = |name: &str| format!("arn:aws:ssm:us-east-1:{ACCOUNT}:parameter{name}");
    let theirs = root_of(&double, OTHER).parameters();
    let read = |name: &str| theirs.get_parameter().name(name).send();
    assert_eq!(code(read(&arn("/shared")).await), "AccessDeniedException");
    let share = |name: &str| Share::parameter(&arn(name), vec![SharedWith::Account(OTHER.to_owned())]);
    double.with(|world| world.share(share("/shared"))).unwrap();
    assert!(double.with(|world| world.share(share("/standard"))).is_err(), "only Advanced ones are shared");

    assert_eq!(read(&arn("/shared")).await.unwrap().parameter.unwrap().value(), Some("v"));
    assert_eq!(code(read("/shared").await), "ParameterNotFound");
    let many = theirs.get_parameters().names(arn("/shared")).send().await.unwrap();
    assert_eq!(many.parameters().len(), 1);
    assert_eq!(theirs.get_parameters_by_path().path("/").send().await.unwrap().parameters().len(), 0);
    let told = theirs.describe_parameters().shared(true).send().await.unwrap();
    assert_eq!(told.parameters().len(), 1);
    assert_eq!(theirs.describe_parameters().send().await.unwrap().parameters().len(), 0);

    // Their own policies have to allow it too.
    let node = |action: &str| role(&double, OTHER, "node", &allow(action, "*")).parameters();
    node("ssm:GetParameter").get_parameter().name(arn("/shared")).send().await.unwrap();
    let without = node("ssm:PutParameter").get_parameter().name(arn("/shared")).send().await;
    assert_eq!(code(without), "AccessDeniedException");
    // The share goes with the parameter.
    ours.delete_parameter().name("/shared").send().await.unwrap();
    let again = ours.put_parameter().name("/shared").value("w").r#type(ParameterType::String);
    again.tier(ParameterTier::Advanced).send().await.unwrap();
    assert_eq!(code(read(&arn("/shared")).await), "AccessDeniedException");
}

#[tokio::test]
async fn a_shared_secure_string_needs_a_customers_key() {
    let double = Double::start().await.unwrap();
    let (ours, key) = (root(&double).parameters(), symmetric_key(&double));
    let both = policy(&format!(
        r#"{{"Effect":"Allow","Principal":{{"AWS":["arn:aws:iam::{OTHER}:root","arn:aws:iam::{ACCOUNT}:root"]}},
            "Action":"kms:*","Resource":"*"}}"#
    ));
    double.with(|world| world.put_key_policy(&key, &both)).unwrap();
    let key_id = key.rsplit('/').next().unwrap();
    for (name, key) in [("/default", None), ("/mine", Some(key_id.to_owned()))] {
        let put = ours.put_parameter().name(name).value("v").r#type(ParameterType::SecureString);
        put.tier(ParameterTier::Advanced).set_key_id(key).send().await.unwrap();
        let arn = format!("arn:aws:ssm:us-east-1:{ACCOUNT}:parameter{name}");
        let share = Share::parameter(&arn, vec![SharedWith::Account(OTHER.to_owned())]);
        double.with(|world| world.share(share)).unwrap();
    }
    let theirs = root_of(&double, OTHER).parameters();
    let read = |name: &str| {
        let arn = format!("arn:aws:ssm:us-east-1:{ACCOUNT}:parameter{name}");
        theirs.get_parameter().name(arn).with_decryption(true).send()
    };
    assert_eq!(read("/mine").await.unwrap().parameter.unwrap().value(), Some("v"));
    assert_eq!(code(read("/default").await), "AccessDeniedException");
    ours.get_parameter().name("/default").with_decryption(true).send().await.unwrap();
}

#[tokio::test]
async fn a_share_may_be_with_an_organization() {
    let double = Double::start().await.unwrap();
    let ours = root(&double).parameters();
    let put = ours.put_parameter().name("/p").value("v").r#type(ParameterType::String);
    put.tier(ParameterTier::Advanced).send().await.unwrap();
    let arn = format!("arn:aws:ssm:us-east-1:{ACCOUNT}:parameter/p");
    let share = Share::parameter(&arn, vec![SharedWith::Organization("o-example1234".to_owned())]);
    double.with(|world| world.share(share)).unwrap();
    let read = || root_of(&double, OTHER).parameters().get_parameter().name(&arn).send();
    assert_eq!(code(read().await), "AccessDeniedException");
    double.with(|world| world.join_organization(OTHER, "o-example1234"));
    read().await.unwrap();
}
