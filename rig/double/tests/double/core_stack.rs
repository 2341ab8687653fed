//! The Core Stack is deployed as the template says: its policies bind, and so do those of its network.

use contract_double::Double;
use contract_double::core_stack::{CoreStack, in_network};
use rig::cloud::Cloud;

use crate::support::{ACCOUNT, code, root, with_key};

const STACK: &str =
    "arn:aws:cloudformation:us-east-1:111122223333:stack/core/51af3dc0-da77-11e4-872e-1234567db123";

fn deploy(double: &Double, text: &str) -> anyhow::Result<CoreStack> {
    let key = format!("arn:aws:kms:us-east-1:{ACCOUNT}:key/secrets");
    let given = [
        ("Nodes", "0,1"),
        ("KmsKeyArn", key.as_str()),
        ("Pins", "arn:aws:kms:us-east-1:111122223333:key/records=AAAA"),
        ("SdkDomain", "tsm.example.com"),
        ("HostedZoneId", "Z0123456789ABC"),
        ("CodeBucket", "code"),
        ("NodeArchiveKey", "node.tar.gz"),
        ("NodeArchiveSha256", "00"),
    ];
    CoreStack::deploy(double, text, STACK, given)
}

async fn put(function: &Cloud, secret: &str) -> Result<(), String> {
    let put = function.secrets().put_secret_value().secret_id(secret).secret_string("{}").send().await;
    if put.is_ok() { Ok(()) } else { Err(code(put)) }
}

#[tokio::test]
async fn a_function_makes_its_nodes_login_and_the_node_reads_it() {
    let double = Double::start().await.unwrap();
    let stack = deploy(&double, &CoreStack::text().unwrap()).unwrap();
    let (mine, other) = (&stack.nodes[&0], &stack.nodes[&1]);
    let function = with_key(&double, &mine.login_function, None);
    put(&function, &mine.login_secret).await.unwrap();
    assert_eq!(put(&function, &other.login_secret).await.unwrap_err(), "AccessDeniedException");
    let read = async |key: &str, secret: &str| {
        let read = with_key(&double, key, None).secrets().get_secret_value().secret_id(secret).send().await;
        read.map(|_| ()).map_err(|error| code::<(), _>(Err(error)))
    };
    read(&mine.instance, &mine.login_secret).await.unwrap();
    read(&mine.login_function, &mine.master_secret).await.unwrap();
    for (key, secret) in [
        (&other.instance, &mine.login_secret),
        (&mine.instance, &mine.master_secret),
        (&other.login_function, &mine.master_secret),
        // The role without the network.
        (&mine.role.access_key, &mine.login_secret),
    ] {
        assert_eq!(read(key, secret).await.unwrap_err(), "AccessDeniedException");
    }
    let refused = root(&double).secrets().get_secret_value().secret_id(&mine.master_secret).send().await;
    assert_eq!(code(refused), "AccessDeniedException");
}

#[tokio::test]
async fn a_session_tells_where_it_is() {
    let double = Double::start().await.unwrap();
    let stack = deploy(&double, &CoreStack::text().unwrap()).unwrap();
    let node = &stack.nodes[&0];
    put(&with_key(&double, &node.login_function, None), &node.login_secret).await.unwrap();
    let session = |network: &str| {
        let session = double.with(|world| world.add_session(&node.role.arn, in_network(network)));
        with_key(&double, &session.unwrap(), None).secrets().get_secret_value().secret_id(&node.login_secret)
    };
    session(&stack.network).send().await.unwrap();
    assert_eq!(code(session("vpc-other").send().await), "AccessDeniedException");
    double.with(|world| world.add_session("arn:aws:iam::111122223333:role/nobody", [])).unwrap_err();
    // A role that goes takes its sessions with it.
    double.with(|world| world.remove_role(&node.role.arn));
    assert_eq!(
        code(session_of(&double, &node.instance, &node.login_secret).await),
        "UnrecognizedClientException"
    );
}

async fn session_of(
    double: &Double,
    key: &str,
    secret: &str,
) -> Result<
    aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueOutput,
    aws_sdk_secretsmanager::error::SdkError<
        aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueError,
    >,
> {
    with_key(double, key, None).secrets().get_secret_value().secret_id(secret).send().await
}

/// Whoever deploys is asked for the same rights as on AWS: Secrets Manager tries the key when a secret gets it.
#[tokio::test]
async fn a_stack_that_its_deployer_may_not_make_is_not_made() {
    let double = Double::start().await.unwrap();
    let text = CoreStack::text().unwrap();
    let trial = "kms:EncryptionContext:SecretVersionId: RequestToValidateKeyAccess";
    assert!(text.contains(trial));
    let weaker = text.replace(trial, "kms:EncryptionContext:SecretVersionId: another");
    let error = format!("{:#}", deploy(&double, &weaker).unwrap_err());
    assert!(error.contains("making LoginSecret0") && error.contains("kms:Decrypt"), "{error}");
}
