//! Resource policies of secrets.

use contract_double::Double;

use crate::support::{ACCOUNT, OTHER, code, policy, role, root};

fn for_principal(principal: &str, condition: &str) -> String {
    policy(&format!(
        r#"{{"Effect":"Allow","Principal":{{"AWS":"{principal}"}},"Action":"secretsmanager:DescribeSecret",
            "Resource":"*"{condition}}}"#
    ))
}

#[tokio::test]
async fn a_policy_is_put_shown_and_taken_away() {
    let double = Double::start().await.unwrap();
    let secrets = root(&double).secrets();
    secrets.create_secret().name("s").send().await.unwrap();
    let shown = async || {
        let shown = secrets.get_resource_policy().secret_id("s").send().await.unwrap();
        shown.resource_policy().map(str::to_owned)
    };
    assert_eq!(shown().await, None);
    let text = for_principal(&format!("arn:aws:iam::{OTHER}:root"), "");
    secrets.put_resource_policy().secret_id("s").resource_policy(&text).send().await.unwrap();
    assert_eq!(shown().await.as_deref(), Some(text.as_str()));
    secrets.delete_resource_policy().secret_id("s").send().await.unwrap();
    assert_eq!(shown().await, None);
}

#[tokio::test]
async fn a_policy_lets_in_and_keeps_out() {
    let double = Double::start().await.unwrap();
    let secrets = root(&double).secrets();
    let made = secrets.create_secret().name("s").send().await.unwrap();
    let own = role(&double, ACCOUNT, "own", r#"{"Effect":"Allow","Action":"kms:Decrypt","Resource":"*"}"#);
    let describe = || own.secrets().describe_secret().secret_id(made.arn().unwrap()).send();
    let put = |text: String| secrets.put_resource_policy().secret_id("s").resource_policy(text).send();
    assert_eq!(code(describe().await), "AccessDeniedException");
    put(for_principal(&format!("arn:aws:iam::{ACCOUNT}:role/own"), "")).await.unwrap();
    describe().await.unwrap();
    let deny = r#"{"Effect":"Deny","Principal":"*","Action":"secretsmanager:DescribeSecret","Resource":"*"}"#;
    put(policy(deny)).await.unwrap();
    assert_eq!(code(describe().await), "AccessDeniedException");
    // A Deny binds the account's root as well.
    assert_eq!(code(secrets.describe_secret().secret_id("s").send().await), "AccessDeniedException");
}

#[tokio::test]
async fn a_policy_that_cannot_be_read_is_refused() {
    let double = Double::start().await.unwrap();
    let secrets = root(&double).secrets();
    secrets.create_secret().name("s").send().await.unwrap();
    let put = |text: &str| secrets.put_resource_policy().secret_id("s").resource_policy(text).send();
    for text in ["no json", "{}", r#"{"Version":"2012-10-17","Statement":[{"Effect":"Perhaps"}]}"#] {
        assert_eq!(code(put(text).await), "MalformedPolicyDocumentException", "{text}");
    }
    assert_eq!(code(put(&" ".repeat(20_481)).await), "ValidationException");
    // A condition that nothing here could meet would be met or missed for the wrong reason.
    let unknown = for_principal("*", r#","Condition":{"StringEquals":{"aws:SourceVpce":"vpce-1"}}"#);
    assert_eq!(code(put(&unknown).await), "NotInTheDouble");
}

#[tokio::test]
async fn a_policy_names_only_who_is_there() {
    let double = Double::start().await.unwrap();
    let secrets = root(&double).secrets();
    secrets.create_secret().name("s").send().await.unwrap();
    let text = for_principal(&format!("arn:aws:iam::{OTHER}:role/planned"), "");
    let put = || secrets.put_resource_policy().secret_id("s").resource_policy(&text).send();
    assert_eq!(code(put().await), "MalformedPolicyDocumentException");
    role(&double, OTHER, "planned", r#"{"Effect":"Allow","Action":"kms:Decrypt","Resource":"*"}"#);
    put().await.unwrap();
}

#[tokio::test]
async fn a_public_policy_is_refused_when_it_is_to_be() {
    let double = Double::start().await.unwrap();
    let secrets = root(&double).secrets();
    secrets.create_secret().name("s").send().await.unwrap();
    let put = |text: &str, block| {
        secrets.put_resource_policy().secret_id("s").resource_policy(text).block_public_policy(block).send()
    };
    let public = for_principal("*", "");
    assert_eq!(code(put(&public, true).await), "PublicPolicyException");
    put(&public, false).await.unwrap();
    for narrow in [
        for_principal("*", r#","Condition":{"StringEquals":{"aws:PrincipalAccount":"444455556666"}}"#),
        for_principal(&format!("arn:aws:iam::{OTHER}:root"), ""),
    ] {
        put(&narrow, true).await.unwrap();
    }
    let wide = for_principal("*", r#","Condition":{"StringLike":{"aws:PrincipalArn":"arn:aws:iam::*"}}"#);
    assert_eq!(code(put(&wide, true).await), "PublicPolicyException");
}

#[tokio::test]
async fn whether_public_policies_are_blocked_is_a_condition() {
    let double = Double::start().await.unwrap();
    root(&double).secrets().create_secret().name("s").send().await.unwrap();
    let statements = r#"{"Effect":"Allow","Action":"secretsmanager:PutResourcePolicy","Resource":"*",
        "Condition":{"Bool":{"secretsmanager:BlockPublicPolicy":"true"}}}"#;
    let secrets = role(&double, ACCOUNT, "blocker", statements).secrets();
    let text = for_principal(&format!("arn:aws:iam::{OTHER}:root"), "");
    let put = || secrets.put_resource_policy().secret_id("s").resource_policy(&text);
    put().block_public_policy(true).send().await.unwrap();
    assert_eq!(code(put().send().await), "AccessDeniedException");
}

#[tokio::test]
async fn the_stage_is_a_condition_only_where_the_request_names_it() {
    let double = Double::start().await.unwrap();
    let made = root(&double).secrets().create_secret().name("s").secret_string("v").send().await.unwrap();
    let statements = r#"{"Effect":"Allow","Action":"secretsmanager:GetSecretValue","Resource":"*",
        "Condition":{"StringEquals":{"secretsmanager:VersionStage":"AWSCURRENT"}}}"#;
    let secrets = role(&double, ACCOUNT, "reader", statements).secrets();
    let read = || secrets.get_secret_value().secret_id("s");
    read().version_stage("AWSCURRENT").send().await.unwrap();
    assert_eq!(code(read().version_id(made.version_id().unwrap()).send().await), "AccessDeniedException");
    assert_eq!(code(read().send().await), "AccessDeniedException");
}
