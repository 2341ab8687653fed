//! Secrets under a customer's key: what Secrets Manager asks of KMS on its caller's behalf.

use contract_double::{Double, KeyState};

use crate::support::{ACCOUNT, OTHER, allow, code, place, policy, role, root, symmetric_key};

const SECRETS: &str = "secretsmanager:*";

/// A key policy of these statements, after one that leaves management to root.
fn key_policy(statement: &str) -> String {
    let manage = r#"{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:root"},
        "Action":["kms:DescribeKey","kms:PutKeyPolicy"],"Resource":"*"}"#;
    policy(&format!("{manage},{statement}"))
}

/// A statement that lets the whole account use a key through Secrets Manager, under a condition.
fn via_store(actions: &str, condition: &str) -> String {
    format!(
        r#"{{"Effect":"Allow","Principal":{{"AWS":"*"}},"Action":{actions},"Resource":"*","Condition":{{
            "StringEquals":{{"kms:ViaService":"secretsmanager.us-east-1.amazonaws.com","kms:CallerAccount":"{ACCOUNT}"}}
            {condition}}}}}"#
    )
}

#[tokio::test]
async fn a_secret_is_made_with_both_rights_to_its_key() {
    let double = Double::start().await.unwrap();
    let key = symmetric_key(&double);
    let secrets = role(&double, ACCOUNT, "maker", &allow(SECRETS, "*")).secrets();
    let create = async |name: &str| {
        secrets.create_secret().name(name).kms_key_id(&key).secret_string("v").send().await
    };
    for (actions, enough) in [
        (r#"["kms:GenerateDataKey","kms:Decrypt"]"#, true),
        (r#""kms:GenerateDataKey""#, false),
        (r#""kms:Decrypt""#, false),
    ] {
        let policy = key_policy(&via_store(actions, ""));
        double.with(|world| world.put_key_policy(&key, &policy)).unwrap();
        let made = create(&format!("s{}", actions.len())).await;
        if enough {
            made.unwrap();
        } else {
            assert_eq!(code(made), "AccessDeniedException", "{actions}");
        }
    }
    double
        .with(|world| assert_eq!(world.secrets(&place()).count(), 1, "nothing is left of what was refused"));
}

#[tokio::test]
async fn a_right_to_call_kms_directly_is_not_a_right_through_the_store() {
    let double = Double::start().await.unwrap();
    let key = symmetric_key(&double);
    let statements = format!("{},{}", allow(SECRETS, "*"), allow("kms:*", "*"));
    let cloud = role(&double, ACCOUNT, "maker", &statements);
    let direct = r#"{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"kms:*","Resource":"*",
        "Condition":{"Null":{"kms:ViaService":"true"}}}"#;
    double.with(|world| world.put_key_policy(&key, &key_policy(direct))).unwrap();
    cloud.kms().generate_data_key().key_id(&key).number_of_bytes(32).send().await.unwrap();
    let create = || cloud.secrets().create_secret().name("s").kms_key_id(&key).secret_string("v").send();
    assert_eq!(code(create().await), "AccessDeniedException");
    let stored = key_policy(&via_store(r#"["kms:GenerateDataKey","kms:Decrypt"]"#, ""));
    double.with(|world| world.put_key_policy(&key, &stored)).unwrap();
    create().await.unwrap();
    let direct = cloud.kms().generate_data_key().key_id(&key).number_of_bytes(32).send().await;
    assert_eq!(code(direct), "AccessDeniedException");
}

#[tokio::test]
async fn the_context_names_the_secret_and_its_version() {
    let double = Double::start().await.unwrap();
    let key = symmetric_key(&double);
    let secrets = role(&double, ACCOUNT, "maker", &allow(SECRETS, "*")).secrets();
    let token = "00000000-0000-4000-8000-000000000001";
    let names = r#","StringLike":{"kms:EncryptionContext:SecretARN":"arn:aws:secretsmanager:us-east-1:111122223333:secret:mine/*"},
        "ForAnyValue:StringEquals":{"kms:EncryptionContextKeys":["SecretVersionId"]}"#;
    let writes = via_store(r#""kms:GenerateDataKey""#, names);
    // To write it is enough to be allowed the Decrypt that tries the key.
    let tries = via_store(
        r#""kms:Decrypt""#,
        r#","StringLike":{"kms:EncryptionContext:SecretVersionId":"RequestToValidateKeyAccess"}"#,
    );
    double.with(|world| world.put_key_policy(&key, &key_policy(&format!("{writes},{tries}")))).unwrap();
    let create = |name: &str| {
        let call = secrets.create_secret().name(name).kms_key_id(&key).client_request_token(token);
        call.secret_string("v").send()
    };
    create("mine/a").await.unwrap();
    assert_eq!(code(create("theirs/a").await), "AccessDeniedException");
    // A new version is written without any Decrypt, and is not read by the right to try.
    let put = |token: &str| secrets.put_secret_value().secret_id("mine/a").client_request_token(token);
    put(&token.replace("01", "02")).secret_string("w").send().await.unwrap();
    assert_eq!(code(secrets.get_secret_value().secret_id("mine/a").send().await), "AccessDeniedException");
    // Putting a version again takes its decryption, to compare.
    assert_eq!(code(put(token).secret_string("v").send().await), "AccessDeniedException");

    let reads = via_store(
        r#""kms:Decrypt""#,
        &format!(r#","StringEquals":{{"kms:EncryptionContext:SecretVersionId":"{token}"}}"#),
    );
    let reads = reads.replacen(r#""StringEquals""#, r#""StringEqualsIgnoreCase""#, 1);
    double.with(|world| world.put_key_policy(&key, &key_policy(&format!("{writes},{reads}")))).unwrap();
    secrets.get_secret_value().secret_id("mine/a").version_id(token).send().await.unwrap();
    assert_eq!(code(secrets.get_secret_value().secret_id("mine/a").send().await), "AccessDeniedException");
    put(token).secret_string("v").send().await.unwrap();
}

#[tokio::test]
async fn a_key_that_cannot_be_used_is_a_failure() {
    let double = Double::start().await.unwrap();
    let secrets = root(&double).secrets();
    let key = symmetric_key(&double);
    let create = |name: &str| secrets.create_secret().name(name).kms_key_id(&key).secret_string("v").send();
    create("s").await.unwrap();
    for state in [KeyState::Disabled, KeyState::PendingDeletion] {
        double.with(|world| world.set_key_state(&key, state));
        assert_eq!(code(create("t").await), "EncryptionFailure");
        let put = secrets.put_secret_value().secret_id("s").secret_string("w").send().await;
        assert_eq!(code(put), "EncryptionFailure");
        assert_eq!(code(secrets.get_secret_value().secret_id("s").send().await), "DecryptionFailure");
        // What needs no key works on.
        secrets.describe_secret().secret_id("s").send().await.unwrap();
    }
    double.with(|world| world.set_key_state(&key, KeyState::Enabled));
    secrets.get_secret_value().secret_id("s").send().await.unwrap();
    let missing = secrets.create_secret().name("u").kms_key_id(key.replace("key/mrk", "key/no")).send();
    drop(missing);
    let missing = secrets.create_secret().name("u").kms_key_id(format!("{key}0")).send().await;
    assert_eq!(code(missing), "EncryptionFailure");
}

#[tokio::test]
async fn another_account_needs_a_customers_key_named_by_its_arn() {
    let double = Double::start().await.unwrap();
    let (secrets, key) = (root(&double).secrets(), symmetric_key(&double));
    let reader =
        role(&double, OTHER, "reader", &format!("{},{}", allow(SECRETS, "*"), allow("kms:Decrypt", "*")));
    let let_in = policy(&format!(
        r#"{{"Effect":"Allow","Principal":{{"AWS":"arn:aws:iam::{OTHER}:role/reader"}},
            "Action":["secretsmanager:GetSecretValue","secretsmanager:DescribeSecret"],"Resource":"*"}}"#
    ));
    let open = key_policy(&format!(
        r#"{{"Effect":"Allow","Principal":{{"AWS":["arn:aws:iam::{OTHER}:root","arn:aws:iam::{ACCOUNT}:root"]}},
            "Action":"kms:*","Resource":"*"}}"#
    ));
    double.with(|world| world.put_key_policy(&key, &open)).unwrap();
    let key_id = key.rsplit('/').next().unwrap();
    let mut arns = Vec::new();
    for (name, key) in [("default", None), ("by-id", Some(key_id)), ("by-arn", Some(key.as_str()))] {
        let call = secrets.create_secret().name(name).set_kms_key_id(key.map(str::to_owned));
        let made = call.secret_string(name).send().await.unwrap();
        secrets.put_resource_policy().secret_id(name).resource_policy(&let_in).send().await.unwrap();
        arns.push(made.arn().unwrap().to_owned());
    }
    let read = |arn: &str| reader.secrets().get_secret_value().secret_id(arn).send();
    // The key of AWS serves its own account only.
    reader.secrets().describe_secret().secret_id(&arns[0]).send().await.unwrap();
    assert_eq!(code(read(&arns[0]).await), "InvalidRequestException");
    // An id is looked for in the reader's own account.
    assert_eq!(code(read(&arns[1]).await), "DecryptionFailure");
    assert_eq!(read(&arns[2]).await.unwrap().secret_string(), Some("by-arn"));
    // By name there is nothing in this account.
    assert_eq!(code(read("by-arn").await), "ResourceNotFoundException");
}

/// Secrets Manager API Reference, `UpdateSecret`, `KmsKeyId`: values that are there are encrypted anew
/// by who may Encrypt under the new key, and by nobody else.
#[tokio::test]
async fn another_key_holds_for_further_versions_and_for_staged_ones_by_who_may_encrypt() {
    let both = r#"["kms:GenerateDataKey","kms:Decrypt"]"#;
    let three = r#"["kms:GenerateDataKey","kms:Decrypt","kms:Encrypt"]"#;
    for (actions, encrypted_anew) in [(both, false), (three, true)] {
        let double = Double::start().await.unwrap();
        let (first, second) = (symmetric_key(&double), symmetric_key(&double));
        let secrets = role(&double, ACCOUNT, "maker", &allow(SECRETS, "*")).secrets();
        double.with(|world| world.put_key_policy(&first, &key_policy(&via_store(both, "")))).unwrap();
        let named = |number: u8| format!("00000000-0000-4000-8000-{number:012}");
        let create = secrets.create_secret().name("s").client_request_token(named(1)).kms_key_id(&first);
        create.secret_string("v1").send().await.unwrap();
        let put = |number: u8, label: &str| {
            let put = secrets.put_secret_value().secret_id("s").client_request_token(named(number));
            put.secret_string(format!("v{number}")).version_stages(label).send()
        };
        put(2, "of-mine").await.unwrap();

        let update = || secrets.update_secret().secret_id("s").kms_key_id(&second).send();
        let nothing = key_policy(&via_store(r#""kms:DescribeKey""#, ""));
        double.with(|world| world.put_key_policy(&second, &nothing)).unwrap();
        assert_eq!(code(update().await), "AccessDeniedException", "without a right to the new key");
        double.with(|world| world.put_key_policy(&second, &key_policy(&via_store(actions, "")))).unwrap();
        update().await.unwrap();
        put(3, "of-mine-too").await.unwrap();
        double.with(|world| {
            let secret = world.secret(&place(), "s").unwrap();
            assert_eq!(secret.key.as_ref(), Some(&second));
            let key_of = |number: u8| secret.versions[&named(number)].key.clone().unwrap();
            assert_eq!(key_of(1), if encrypted_anew { second.clone() } else { first.clone() });
            assert_eq!(key_of(2), first, "a version without a label of AWS");
            assert_eq!(key_of(3), second);
            assert_eq!(secret.versions.len(), 3, "no value has come of it");
        });
        let described = secrets.update_secret().secret_id("s").description("told").send().await.unwrap();
        assert_eq!(described.version_id(), None);
        double.with(|world| {
            assert_eq!(world.secret(&place(), "s").unwrap().description.as_deref(), Some("told"));
        });
        secrets.delete_secret().secret_id("s").recovery_window_in_days(7).send().await.unwrap();
        assert_eq!(code(update().await), "InvalidRequestException", "in its recovery window");
    }
}
