//! The KMS Stack is deployed as the template says: its policies bind.

use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{MessageType, SigningAlgorithmSpec};
use aws_sdk_secretsmanager::types::Tag;
use contract_double::Double;
use contract_double::deploy::{KmsStack, STACK_ID};
use rig::cloud::Cloud;
use serde_json::json;

use crate::support::{code, root_of, with_key};

const NAME: &str = "keyboot/tsm/node/0/p2p-key";

/// The nodes' roles, as a parameter of the template.
fn readers() -> String {
    KmsStack::readers(STACK_ID, 0..3)
}

async fn make(function: &Cloud, stack: &KmsStack, name: &str, owner: &str) -> String {
    let call =
        function.secrets().create_secret().name(name).kms_key_id(&stack.secrets_key).secret_string("v");
    let tag = Tag::builder().key("keyboot:stack").value(owner).build();
    code_or_arn(call.tags(tag).send().await)
}

fn code_or_arn<E: aws_sdk_kms::error::ProvideErrorMetadata + std::fmt::Debug>(
    made: Result<
        aws_sdk_secretsmanager::operation::create_secret::CreateSecretOutput,
        aws_sdk_secretsmanager::error::SdkError<E>,
    >,
) -> String {
    match made {
        Ok(made) => made.arn.unwrap(),
        refused => code(refused),
    }
}

#[tokio::test]
async fn the_function_makes_secrets_with_an_owner_and_reads_none() {
    let double = Double::start().await.unwrap();
    let stack = KmsStack::deploy(&double, []).unwrap();
    let function = with_key(&double, &stack.access_key, Some("function"));
    let arn = make(&function, &stack, NAME, &stack.stack_id).await;
    assert!(arn.starts_with("arn:"), "{arn}");
    assert_eq!(make(&function, &stack, "keyboot/x", "another stack").await, "AccessDeniedException");
    assert_eq!(make(&function, &stack, "elsewhere/x", &stack.stack_id).await, "AccessDeniedException");
    let read = function.secrets().get_secret_value().secret_id(&arn).send().await;
    assert_eq!(code(read), "AccessDeniedException");
}

#[tokio::test]
async fn the_function_seals_under_a_full_context_and_opens_nothing() {
    let double = Double::start().await.unwrap();
    let stack = KmsStack::deploy(&double, []).unwrap();
    let kms = with_key(&double, &stack.access_key, None).kms();
    let encrypt = || kms.encrypt().key_id(&stack.secrets_key).plaintext(Blob::new("p"));
    let full = encrypt()
        .encryption_context("keyboot:cluster", "keyboot/tsm")
        .encryption_context("keyboot:node", "0")
        .encryption_context("keyboot:purpose", "p2p-key");
    let sealed = full.clone().send().await.unwrap().ciphertext_blob.unwrap();
    assert_eq!(code(full.encryption_context("more", "x").send().await), "AccessDeniedException");
    assert_eq!(code(encrypt().send().await), "AccessDeniedException");
    let open = kms.decrypt().ciphertext_blob(sealed).encryption_context("keyboot:cluster", "keyboot/tsm");
    let open = open.encryption_context("keyboot:node", "0").encryption_context("keyboot:purpose", "p2p-key");
    assert_eq!(code(open.send().await), "AccessDeniedException");
}

#[tokio::test]
async fn only_the_function_signs_and_the_root_user_manages() {
    let double = Double::start().await.unwrap();
    let stack = KmsStack::deploy(&double, []).unwrap();
    let sign = |cloud: Cloud| {
        let call = cloud.kms().sign().key_id(&stack.record_key).message(Blob::new([7; 32]));
        call.message_type(MessageType::Digest).signing_algorithm(SigningAlgorithmSpec::EcdsaSha256).send()
    };
    sign(with_key(&double, &stack.access_key, None)).await.unwrap();
    let root = || root_of(&double, &stack.place.account);
    assert_eq!(code(sign(root()).await), "AccessDeniedException");
    let encrypt = root().kms().encrypt().key_id(&stack.secrets_key).plaintext(Blob::new("p")).send().await;
    assert_eq!(code(encrypt), "AccessDeniedException");
    let told = root().kms().describe_key().key_id(&stack.secrets_key).send().await.unwrap();
    assert_eq!(told.key_metadata().unwrap().multi_region(), Some(true));
    let alias = root().kms().get_public_key().key_id("alias/keyboot-kms-records").send().await.unwrap();
    assert_eq!(alias.key_id(), Some(stack.record_key.as_str()));
}

#[tokio::test]
async fn a_node_reads_its_own_secret_and_nobody_elses() {
    let double = Double::start().await.unwrap();
    let stack = KmsStack::deploy(&double, [("ReaderPrincipals", readers().as_str())]).unwrap();
    let function = with_key(&double, &stack.access_key, None);
    let arn = make(&function, &stack, NAME, &stack.stack_id).await;
    let read = |index: u32| {
        with_key(&double, &stack.nodes[&index], None).secrets().get_secret_value().secret_id(&arn).send()
    };
    read(0).await.unwrap();
    assert_eq!(code(read(1).await), "AccessDeniedException");
    // The key policy is the ceiling: without the roles in it nobody reads.
    let double = Double::start().await.unwrap();
    let stack = KmsStack::deploy(&double, []).unwrap();
    let function = with_key(&double, &stack.access_key, None);
    let arn = make(&function, &stack, NAME, &stack.stack_id).await;
    let node = with_key(&double, &stack.nodes[&0], None);
    assert_eq!(code(node.secrets().get_secret_value().secret_id(&arn).send().await), "AccessDeniedException");
}

#[tokio::test]
async fn a_node_opens_its_own_envelope_and_nobody_elses() {
    let double = Double::start().await.unwrap();
    let stack = KmsStack::deploy(&double, [("ReaderPrincipals", readers().as_str())]).unwrap();
    let context = |node: &str| {
        let pairs =
            [("keyboot:cluster", "keyboot/tsm"), ("keyboot:node", node), ("keyboot:purpose", "p2p-key")];
        Some(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into())
    };
    let function = with_key(&double, &stack.access_key, None).kms();
    let sealed = function.encrypt().key_id(&stack.secrets_key).plaintext(Blob::new("p"));
    let sealed = sealed.set_encryption_context(context("0")).send().await.unwrap().ciphertext_blob.unwrap();
    let open = |index: u32| {
        let kms = with_key(&double, &stack.nodes[&index], None).kms();
        kms.decrypt().ciphertext_blob(sealed.clone()).set_encryption_context(context("0")).send()
    };
    open(0).await.unwrap();
    assert_eq!(code(open(1).await), "AccessDeniedException");
}

#[tokio::test]
async fn the_resource_and_the_environment_are_the_templates() {
    let double = Double::start().await.unwrap();
    let stack = KmsStack::deploy(&double, [("Nodes", "0,7"), ("RecoveryWindowDays", "7")]).unwrap();
    let properties = stack.properties();
    assert_eq!(properties["Nodes"], json!(["0", "7"]));
    assert_eq!(
        (&properties["RecoveryWindowDays"], &properties["ServiceTimeout"]),
        (&json!("7"), &json!("1800"))
    );
    assert_eq!(properties["KmsKeyArn"], json!(stack.secrets_key));
    let environment = stack.environment_of("mine");
    for (name, value) in [
        ("KEYBOOT_SIGNING_KEY_ARN", stack.record_key.as_str()),
        ("KEYBOOT_STACK_IDS", &stack.stack_id),
        ("KEYBOOT_ROLE_ARN", &stack.role),
        ("AWS_ENDPOINT_URL", &double.endpoint()),
        ("AWS_SESSION_TOKEN", "mine"),
        ("AWS_ACCESS_KEY_ID", &stack.access_key),
    ] {
        assert_eq!(environment[name], value, "{name}");
    }
    // Who rotates is told to node-keys, and key-rotation is told of itself.
    let rotation = stack.rotation_environment();
    assert!(environment["KEYBOOT_ROTATION_FUNCTION_ARN"].contains(":function:"), "{environment:?}");
    assert_eq!(environment["KEYBOOT_ROTATION_ROLE_ARN"], rotation["KEYBOOT_ROLE_ARN"]);
    assert_ne!(rotation["KEYBOOT_ROLE_ARN"], stack.role);
    for (name, value) in [
        ("KEYBOOT_SIGNING_KEY_ARN", stack.record_key.as_str()),
        ("KEYBOOT_STACK_IDS", &stack.stack_id),
        ("AWS_ENDPOINT_URL", &double.endpoint()),
        ("AWS_ACCESS_KEY_ID", &stack.roles["KeyRotationRole"]),
    ] {
        assert_eq!(rotation[name], value, "{name}");
    }
    for name in ["KEYBOOT_ROTATION_FUNCTION_ARN", "KEYBOOT_ROTATION_ROLE_ARN"] {
        assert!(!rotation.contains_key(name), "{name}");
    }
    assert_eq!(stack.nodes.keys().collect::<Vec<_>>(), [&0, &7]);
    assert!(KmsStack::deploy(&double, [("NoParameter", "x")]).is_err());
}

#[tokio::test]
async fn an_update_keeps_the_keys_and_other_stacks_have_their_own() {
    let double = Double::start().await.unwrap();
    let stack = KmsStack::deploy(&double, []).unwrap();
    stack.shows(&double, "CREATE_COMPLETE", Some("id"));
    let updated = KmsStack::deploy(&double, [("Nodes", "0,1,2,3")]).unwrap();
    assert_eq!((&updated.secrets_key, &updated.record_key), (&stack.secrets_key, &stack.record_key));
    assert_eq!((updated.access_key, updated.nodes.len()), (stack.access_key, 4));
    let policy = || double.with(|world| world.key(&stack.secrets_key).unwrap().policy.text().to_owned());
    let before = policy();
    KmsStack::deploy(&double, [("ReaderPrincipals", readers().as_str())]).unwrap();
    assert!(!before.contains("NodesOpenTheirEnvelopes") && policy().contains("NodesOpenTheirEnvelopes"));
    double.with(|world| {
        let keys = &world.stack(&stack.stack_id).unwrap().resources["Keys"];
        assert_eq!(keys.physical_id.as_deref(), Some("id"));
    });
    let id =
        "arn:aws-cn:cloudformation:cn-north-1:444455556666:stack/other/51af3dc0-da77-11e4-872e-1234567db124";
    let other = KmsStack::deploy_as(&double, id, []).unwrap();
    assert_ne!(other.secrets_key, stack.secrets_key);
    assert!(other.secrets_key.starts_with("arn:aws-cn:kms:cn-north-1:444455556666:key/"));
}
