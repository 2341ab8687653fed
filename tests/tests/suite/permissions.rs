//! Who may do what, as IAM and the key's policy say it: node-keys reads nothing and works under its
//! own names only; a node reads its own and nobody else's. Each denial stands beside what is allowed.

use std::collections::HashMap;

use anyhow::{Context as _, Result, ensure};
use aws_credential_types::Credentials;
use aws_sdk_kms::types::{DataKeyPairSpec, MessageType, SigningAlgorithmSpec};
use aws_sdk_secretsmanager::types::Tag;
use aws_sdk_ssm::types::{ParameterTier, ParameterType};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use provisioning::names::{NodeIndex, Purpose};
use rig::cloud::Cloud;
use rig::cluster::Published;
use rig::stack::Deployed;
use serde_json::{Value, json};

use crate::support::{Aws, KMS_STACK, Role, counting};

/// How the local AWS took a call.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    Allowed,
    Denied,
    /// Neither; what it said instead.
    Other(String),
}
use Verdict::{Allowed, Denied};

fn verdict<T, E: ProvideErrorMetadata + std::fmt::Debug>(result: Result<T, E>) -> Verdict {
    match result {
        Ok(_) => Allowed,
        Err(error) if error.code().is_some_and(|code| code.starts_with("AccessDenied")) => Denied,
        Err(error) => Verdict::Other(format!("{error:?}")),
    }
}

/// What was tried, what had to come of it, and what came of it.
#[derive(Default)]
pub(crate) struct Table(Vec<(String, Verdict, Verdict)>);

impl Table {
    pub(crate) fn row<T, E: ProvideErrorMetadata + std::fmt::Debug>(
        &mut self,
        wanted: Verdict,
        what: impl Into<String>,
        result: Result<T, E>,
    ) {
        self.0.push((what.into(), wanted, verdict(result)));
    }

    pub(crate) fn holds(self) -> Result<()> {
        let wrong: Vec<_> = self
            .0
            .iter()
            .filter(|(_, wanted, found)| wanted != found)
            .map(|(what, wanted, found)| format!("{what}: {found:?}, not {wanted:?}"))
            .collect();
        ensure!(wrong.is_empty(), "{} of {} do not hold:\n{}", wrong.len(), self.0.len(), wrong.join("\n"));
        let has = |verdict| self.0.iter().any(|(_, wanted, _)| *wanted == verdict);
        ensure!(has(Allowed) && has(Denied), "a table without both sides proves nothing");
        Ok(())
    }
}

pub(crate) const ACCOUNT: &str = "arn:aws:iam::000000000000";

fn trust_account() -> String {
    let statement = json!({"Effect": "Allow", "Principal": {"AWS": format!("{ACCOUNT}:root")}, "Action": "sts:AssumeRole"});
    json!({"Version": "2012-10-17", "Statement": [statement]}).to_string()
}

fn allow(actions: &[&str]) -> String {
    let statement = json!({"Effect": "Allow", "Action": actions, "Resource": "*"});
    json!({"Version": "2012-10-17", "Statement": [statement]}).to_string()
}

async fn assume(aws: &Aws, role: &str) -> Result<Cloud> {
    let arn = format!("{ACCOUNT}:role/{role}");
    let session = aws.root.sts().assume_role().role_arn(arn).role_session_name("test").send().await?;
    let given = session.credentials.context("no credentials")?;
    let token = Some(given.session_token);
    let credentials = Credentials::new(given.access_key_id, given.secret_access_key, token, None, "assumed");
    Ok(Cloud::with(&aws.ministack.endpoint(), credentials))
}

/// The function's own role, its policies as they were deployed. Only who may take it is widened:
/// Lambda's trust is of no use to a test.
async fn as_node_keys(aws: &Aws) -> Result<(String, Cloud)> {
    let role = Role::of_node_keys(aws).await?.0;
    let widened =
        aws.root.iam().update_assume_role_policy().role_name(&role).policy_document(trust_account());
    widened.send().await?;
    let cloud = assume(aws, &role).await?;
    Ok((role, cloud))
}

/// A role with the policy that the stack made for a node.
pub(crate) async fn as_node(aws: &Aws, stack: &Deployed, index: u32) -> Result<Cloud> {
    let (iam, role) = (aws.root.iam(), format!("node-{index}"));
    iam.create_role().role_name(&role).assume_role_policy_document(trust_account()).send().await?;
    let policy = stack.output(&format!("Node{index}ReaderPolicyArn"))?;
    iam.attach_role_policy().role_name(&role).policy_arn(policy).send().await?;
    assume(aws, &role).await
}

async fn deployed(aws: &Aws) -> Result<(Deployed, Published)> {
    let readers = format!("0={ACCOUNT}:role/node-0,1={ACCOUNT}:role/node-1");
    let parameters = [
        ("ReaderPrincipals", readers.as_str()),
        ("ClientPrincipals", &format!("default={ACCOUNT}:role/client")),
        ("ManagementPrincipals", &format!("{ACCOUNT}:role/manager")),
        // Shares are made after the documents: MiniStack looks for each of them, and for nothing more.
        ("ReaderAccounts", "444455556666"),
        ("ShareDocuments", "true"),
    ];
    let (_, stack) = aws.deploy(parameters).await?;
    let published = aws.published(&stack).await?;
    Ok((stack, published))
}

/// An envelope as it is stored: the ciphertext, and the context that it is bound to.
async fn envelope(
    aws: &Aws,
    published: &Published,
    index: u32,
) -> Result<(Vec<u8>, HashMap<String, String>)> {
    let index: NodeIndex = index.to_string().parse()?;
    let record = &published.records[&index];
    let name = record.cluster.secret_name(index, &Purpose::P2pKey);
    let stored: Value = serde_json::from_str(&aws.stored(&name, &record.version_id).await?)?;
    let sealed = STANDARD.decode(stored["sealed"].as_str().context("no envelope")?)?;
    Ok((sealed, serde_json::from_value(stored["context"].clone())?))
}

#[tokio::test]
async fn a_node_reads_its_own_and_nobody_elses() -> Result<()> {
    let aws = Aws::start()?;
    let (stack, published) = deployed(&aws).await?;
    let clouds = [as_node(&aws, &stack, 0).await?, as_node(&aws, &stack, 1).await?];
    let mut table = Table::default();
    for (me, other) in [(0, 1), (1, 0)] {
        let cloud = &clouds[me as usize];
        for (index, wanted) in [(me, Allowed), (other, Denied)] {
            its_secrets_and_environment(&aws, &published, &mut table, cloud, (me, index), &wanted).await?;
        }
        public_documents(&published, &mut table, cloud, me).await?;
    }
    // The stack's policy alone opens nothing: the key's policy has to name the role, and does not.
    let stranger = as_node(&aws, &stack, 2).await?;
    let name = "keyboot/tsm/node/2/p2p-key";
    let read = stranger.secrets().get_secret_value().secret_id(name).send().await;
    table.row(Denied, "a role that the key does not know reads its node's p2p-key", read);
    table.holds()
}

/// A role whose own policy allows everything.
async fn as_mighty(aws: &Aws, role: &str) -> Result<Cloud> {
    let iam = aws.root.iam();
    iam.create_role().role_name(role).assume_role_policy_document(trust_account()).send().await?;
    let all = iam.put_role_policy().role_name(role).policy_name("all");
    all.policy_document(allow(&["*"])).send().await?;
    assume(aws, role).await
}

/// Nothing but the policies of the key and of the secrets keeps these roles out of anything.
#[tokio::test]
async fn a_mighty_role_reads_what_it_is_named_for_and_an_administrator_nothing() -> Result<()> {
    let aws = Aws::start()?;
    let (_, published) = deployed(&aws).await?;
    let mut table = Table::default();
    for (role, reads) in [
        ("node-0", vec!["0 p2p-key", "0 share-encryption-password", "0 envelope"]),
        ("client", vec!["0 api-key/default", "1 api-key/default"]),
        ("manager", vec!["0 management-key", "1 management-key"]),
        ("administrator", vec![]),
    ] {
        let cloud = as_mighty(&aws, role).await?;
        for index in [0, 1] {
            let wanted = |what: &str| {
                if reads.contains(&format!("{index} {what}").as_str()) { Allowed } else { Denied }
            };
            let record = &published.records[&index.to_string().parse()?];
            for (purpose, version) in counting(record) {
                let name = record.cluster.secret_name(record.index, &purpose);
                let read = cloud.secrets().get_secret_value().secret_id(name.as_str()).version_id(version);
                table.row(wanted(&purpose.to_string()), format!("{role} reads {name}"), read.send().await);
            }
            let (sealed, context) = envelope(&aws, &published, index).await?;
            let opened = cloud.kms().decrypt().ciphertext_blob(sealed.into());
            let opened = opened.set_encryption_context(Some(context)).send().await;
            table.row(wanted("envelope"), format!("{role} opens an envelope of node {index}"), opened);
        }
    }
    table.holds()
}

async fn its_secrets_and_environment(
    aws: &Aws,
    published: &Published,
    table: &mut Table,
    cloud: &Cloud,
    (me, index): (u32, u32),
    wanted: &Verdict,
) -> Result<()> {
    let record = &published.records[&index.to_string().parse()?];
    for (purpose, version) in counting(record) {
        let name = record.cluster.secret_name(record.index, &purpose);
        // API keys are for the node's clients, not even for the node itself.
        let wanted = if purpose.is_read_by_the_node() { wanted.clone() } else { Denied };
        let read = cloud.secrets().get_secret_value().secret_id(name.as_str()).version_id(version).send();
        table.row(wanted, format!("node {me} reads {name}"), read.await);
    }
    let environment = record.cluster.environment_parameter(record.index);
    let read = cloud.parameters().get_parameter().name(environment.as_str()).send().await;
    table.row(wanted.clone(), format!("node {me} reads {environment}"), read);
    let (sealed, context) = envelope(aws, published, index).await?;
    let key = record.cluster.to_string();
    assert_eq!(context["keyboot:cluster"], key);
    let opened = cloud.kms().decrypt().ciphertext_blob(sealed.clone().into());
    let opened = opened.set_encryption_context(Some(context)).send().await;
    table.row(wanted.clone(), format!("node {me} opens an envelope of node {index}"), opened);
    let opened = cloud.kms().decrypt().ciphertext_blob(sealed.into()).send().await;
    table.row(Denied, format!("node {me} opens an envelope of node {index} without its context"), opened);
    Ok(())
}

async fn public_documents(published: &Published, table: &mut Table, cloud: &Cloud, me: u32) -> Result<()> {
    let ssm = cloud.parameters();
    let cluster = &published.index.cluster;
    let mut documents: Vec<_> =
        published.records.keys().map(|index| cluster.record_parameter(*index)).collect();
    documents.push(cluster.roster_index_parameter());
    documents.push(cluster.roster_page_parameter(published.index.serial, 0));
    for name in documents {
        let read = ssm.get_parameter().name(name.as_str()).send().await;
        table.row(Allowed, format!("node {me} reads {name}"), read);
        let put = ssm.put_parameter().name(name.as_str()).value("mine").overwrite(true).send().await;
        table.row(Denied, format!("node {me} writes {name}"), put);
    }
    let noted = ssm.get_parameter().name(format!("/{cluster}/intent/0123456789abcdef")).send().await;
    table.row(Denied, format!("node {me} reads a note of node-keys"), noted);
    Ok(())
}

#[tokio::test]
async fn node_keys_reads_no_secret_whatever_is_added_to_its_role() -> Result<()> {
    let aws = Aws::start()?;
    let (stack, published) = deployed(&aws).await?;
    let (role, cloud) = as_node_keys(&aws).await?;
    let node = as_node(&aws, &stack, 0).await?;
    let key = stack.output("KmsKeyArn")?;
    let (sealed, context) = envelope(&aws, &published, 0).await?;
    let name = "keyboot/tsm/node/0/p2p-key";
    let mut table = Table::default();
    for widened in [false, true] {
        let now = if widened { "after more was allowed to it" } else { "as deployed" };
        if widened {
            let actions = [
                "kms:Decrypt",
                "kms:GenerateDataKeyPair",
                "secretsmanager:BatchGetSecretValue",
                "secretsmanager:GetSecretValue",
                "secretsmanager:ListSecrets",
            ];
            let more = aws.root.iam().put_role_policy().role_name(&role).policy_name("more");
            more.policy_document(allow(&actions)).send().await?;
        }
        let listed = cloud.secrets().list_secrets().send().await;
        table.row(if widened { Allowed } else { Denied }, format!("ListSecrets {now}"), listed);
        let described = cloud.secrets().describe_secret().secret_id(name).send().await;
        table.row(Allowed, format!("DescribeSecret {now}"), described);
        let read = cloud.secrets().get_secret_value().secret_id(name).send().await;
        table.row(Denied, format!("GetSecretValue {now}"), read);
        let read = cloud.secrets().batch_get_secret_value().secret_id_list(name).send().await;
        table.row(Denied, format!("BatchGetSecretValue {now}"), read);
        let opened = cloud.kms().decrypt().ciphertext_blob(sealed.clone().into());
        let opened = opened.set_encryption_context(Some(context.clone())).send().await;
        table.row(Denied, format!("Decrypt {now}"), opened);
        let pair =
            cloud.kms().generate_data_key_pair().key_id(key).key_pair_spec(DataKeyPairSpec::EccNistP256);
        let pair = pair.set_encryption_context(Some(context.clone())).send().await;
        table.row(Denied, format!("GenerateDataKeyPair {now}"), pair);
    }
    let read = node.secrets().get_secret_value().secret_id(name).send().await;
    table.row(Allowed, "the node itself: GetSecretValue", read);
    let opened = node.kms().decrypt().ciphertext_blob(sealed.into());
    let opened = opened.set_encryption_context(Some(context)).send().await;
    table.row(Allowed, "the node itself: Decrypt", opened);
    table.holds()
}

#[tokio::test]
async fn node_keys_seals_under_a_full_context_and_signs_with_its_own_key() -> Result<()> {
    let aws = Aws::start()?;
    let (stack, _) = deployed(&aws).await?;
    let (_, cloud) = as_node_keys(&aws).await?;
    let (key, signer) = (stack.output("KmsKeyArn")?, stack.output("RecordKeyArn")?);
    let full = [("keyboot:cluster", "keyboot/tsm"), ("keyboot:node", "0"), ("keyboot:purpose", "p2p-key")];
    let without =
        |missing: &str| full.iter().copied().filter(|(name, _)| *name != missing).collect::<Vec<_>>();
    let with = |name, value| without(name).into_iter().chain([(name, value)]).collect::<Vec<_>>();
    let contexts = [
        (Allowed, full.to_vec()),
        (Allowed, with("keyboot:cluster", "keyboot/another")),
        (Denied, Vec::new()),
        (Denied, without("keyboot:cluster")),
        (Denied, without("keyboot:node")),
        (Denied, without("keyboot:purpose")),
        (Denied, with("another", "key")),
        (Denied, with("keyboot:cluster", "another/tsm")),
        (Denied, with("keyboot:cluster", "keybootx/tsm")),
        (Denied, with("keyboot:cluster", "keyboot")),
        (
            Denied,
            vec![("Keyboot:cluster", "keyboot/tsm"), ("keyboot:node", "0"), ("keyboot:purpose", "p2p-key")],
        ),
    ];
    let mut table = Table::default();
    for (wanted, context) in contexts {
        let what = format!("Encrypt under {context:?}");
        let context = context.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        let sealed = cloud.kms().encrypt().key_id(key).plaintext(b"a key".to_vec().into());
        table.row(wanted, what, sealed.set_encryption_context(Some(context.collect())).send().await);
    }
    let foreign = aws.root.kms().create_key().send().await?.key_metadata.context("no key")?.key_id;
    let context: HashMap<_, _> = full.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let sealed = cloud.kms().encrypt().key_id(&foreign).plaintext(b"a key".to_vec().into());
    table.row(Denied, "Encrypt with another key", sealed.set_encryption_context(Some(context)).send().await);
    let sign = |key: &str| {
        let call = cloud.kms().sign().key_id(key).message(vec![7; 32].into());
        call.message_type(MessageType::Digest).signing_algorithm(SigningAlgorithmSpec::EcdsaSha256)
    };
    table.row(Allowed, "Sign with the record key", sign(signer).send().await);
    let other = aws.root.kms().create_key().key_spec(aws_sdk_kms::types::KeySpec::EccNistP256);
    let other = other.key_usage(aws_sdk_kms::types::KeyUsageType::SignVerify).send().await?;
    let other = other.key_metadata.context("no key")?.key_id;
    table.row(Denied, "Sign with another key", sign(&other).send().await);
    table.holds()
}

#[tokio::test]
async fn node_keys_makes_and_removes_under_its_own_names_and_tags_only() -> Result<()> {
    let aws = Aws::start()?;
    let (stack, _) = deployed(&aws).await?;
    let (_, cloud) = as_node_keys(&aws).await?;
    let key = stack.output("KmsKeyArn")?;
    let foreign = stack.id.replace("/kms/", "/another/");
    ensure!(foreign != stack.id, "the stack's id is not of the expected form: {foreign}");
    let tag = |value: &str| Tag::builder().key("keyboot:stack").value(value).build();
    let make = |cloud: &Cloud, name: &str| {
        cloud.secrets().create_secret().name(name).secret_string("a value").kms_key_id(key)
    };
    let mut table = Table::default();
    let (own, others) = (stack.id.as_str(), foreign.as_str());
    table.row(Allowed, "CreateSecret of its own", make(&cloud, "keyboot/a/own").tags(tag(own)).send().await);
    table.row(Denied, "CreateSecret outside", make(&cloud, "other/a").tags(tag(own)).send().await);
    table.row(Denied, "CreateSecret beside", make(&cloud, "keybootx/a").tags(tag(own)).send().await);
    table.row(Denied, "CreateSecret without a tag", make(&cloud, "keyboot/a/b").send().await);
    table.row(Denied, "CreateSecret for another", make(&cloud, "keyboot/a/c").tags(tag(others)).send().await);

    make(&aws.root, "keyboot/a/others").tags(tag(others)).send().await?;
    make(&aws.root, "keyboot/a/nobodys").send().await?;
    for (name, wanted) in [("own", Allowed), ("others", Denied), ("nobodys", Denied)] {
        let id = format!("keyboot/a/{name}");
        let put = cloud.secrets().put_secret_value().secret_id(&id).secret_string("another value");
        table.row(wanted.clone(), format!("PutSecretValue of {id}"), put.version_stages("ours").send().await);
        let key = cloud.secrets().update_secret().secret_id(&id).kms_key_id(key).send().await;
        table.row(wanted.clone(), format!("UpdateSecret of {id}"), key);
        let moved = cloud.secrets().update_secret_version_stage().secret_id(&id).version_stage("ours");
        let put = aws.root.secrets().put_secret_value().secret_id(&id).secret_string("a third");
        let third = put.version_stages("other").send().await?.version_id.context("no version")?;
        let described = aws.root.secrets().describe_secret().secret_id(&id).send().await?;
        let versions = described.version_ids_to_stages.unwrap_or_default();
        let holder = versions.into_iter().find(|(_, stages)| stages.iter().any(|stage| stage == "ours"));
        let moved = moved.set_remove_from_version_id(holder.map(|(id, _)| id)).move_to_version_id(third);
        table.row(wanted.clone(), format!("UpdateSecretVersionStage of {id}"), moved.send().await);
        let gone = cloud.secrets().delete_secret().secret_id(&id).recovery_window_in_days(30).send().await;
        table.row(wanted.clone(), format!("DeleteSecret of {id}"), gone);
        let _ = aws.root.secrets().delete_secret().secret_id(&id).recovery_window_in_days(30).send().await;
        let back = cloud.secrets().restore_secret().secret_id(&id).send().await;
        table.row(wanted.clone(), format!("RestoreSecret of {id}"), back);
        let _ = aws.root.secrets().restore_secret().secret_id(&id).send().await;
        let gone =
            cloud.secrets().delete_secret().secret_id(&id).force_delete_without_recovery(true).send().await;
        table.row(wanted, format!("DeleteSecret of {id} by force"), gone);
    }
    // Whoever can write the tag could make another stack's secrets its own.
    let tagged = cloud.secrets().tag_resource().secret_id("keyboot/a/others").tags(tag(own)).send().await;
    table.row(Denied, "TagResource of another's", tagged);
    let policy = cloud.secrets().put_resource_policy().secret_id("keyboot/tsm/node/0/p2p-key");
    table.row(Denied, "PutResourcePolicy", policy.resource_policy(allow(&["*"])).send().await);

    let put = |name: &str| {
        let call = cloud.parameters().put_parameter().name(name).value("x").r#type(ParameterType::String);
        call.tier(ParameterTier::Advanced)
    };
    table.row(Allowed, "PutParameter of its own", put("/keyboot/a/roster/b").send().await);
    table.row(Denied, "PutParameter outside", put("/other/a").send().await);
    table.row(Denied, "PutParameter beside", put("/keybootx/a").send().await);
    let gone = cloud.parameters().delete_parameters().names("/keyboot/a/roster/b").send().await;
    table.row(Allowed, "DeleteParameters of its own", gone);
    let gone = cloud.parameters().delete_parameters().names("/other/a").send().await;
    table.row(Denied, "DeleteParameters outside", gone);
    let shown = cloud.cloudformation().describe_stacks().stack_name(own).send().await;
    table.row(Allowed, "DescribeStacks of its own", shown);
    let gone = cloud.cloudformation().delete_stack().stack_name(own).send().await;
    table.row(Denied, "DeleteStack", gone);
    table.holds()
}

#[tokio::test]
async fn the_deployed_policies_say_that_only_the_store_decrypts_for_the_functions() -> Result<()> {
    let aws = Aws::start()?;
    let (stack, _) = deployed(&aws).await?;
    let key = aws.root.kms().get_key_policy().key_id(stack.output("KmsKeyArn")?).send().await?;
    let key: Value = serde_json::from_str(&key.policy.context("no key policy")?)?;
    let node_keys = Role::of_node_keys(&aws).await?.0;
    let policies = policies_of(&aws, &node_keys, &["node-keys", "node-keys-destination"], 2).await?;
    only_the_store_decrypts_for(&node_keys, &policies, &key)?;
    let key_rotation = aws.physical_id(KMS_STACK, "KeyRotationRole").await?;
    let policies = policies_of(&aws, &key_rotation, &["key-rotation"], 0).await?;
    only_the_store_decrypts_for(&key_rotation, &policies, &key)?;
    let root = format!("{ACCOUNT}:root");
    for statement in statements(&key)?.into_iter().filter(|one| one["Principal"]["AWS"] == root.as_str()) {
        let uses =
            ["kms:Decrypt", "kms:Encrypt", "kms:ReEncryptFrom", "kms:GenerateDataKey", "kms:CreateGrant"];
        let found: Vec<_> = actions(statement)?.into_iter().filter(|action| uses.contains(action)).collect();
        let is_conditional = statement["Condition"]["StringEquals"]["aws:PrincipalArn"].is_array();
        assert!(
            found.is_empty() || (found == ["kms:Decrypt"] && is_conditional),
            "administrators may use it: {statement}"
        );
    }
    Ok(())
}

/// What the policies of a function's role and the key's say of it.
fn only_the_store_decrypts_for(role: &str, policies: &[Value], key: &Value) -> Result<()> {
    let mut allowed = Vec::new();
    for policy in policies {
        allowed.extend(statements(policy)?);
    }
    for statement in &allowed {
        let resource = statement["Resource"].as_str().unwrap_or_default();
        // What lists names is on no resource.
        let lists = statement["Action"] == "ssm:DescribeParameters";
        let narrow = resource != "*" || statement["Effect"] == "Deny" || lists;
        assert!(narrow, "everything is allowed in {statement}");
    }
    let arn = format!("{ACCOUNT}:role/{role}");
    // Each of the functions is one of several that a statement names.
    let names_it = |one: &Value| {
        let named = one["Principal"]["AWS"].as_array();
        named.is_some_and(|named| named.iter().any(|name| name == arn.as_str()))
    };
    let of_key: Vec<_> = statements(key)?.into_iter().filter(|one| names_it(one)).collect();
    assert_eq!(of_key.len(), 5, "{role} in the key's policy");
    let mut decrypting = 0;
    for statement in allowed.into_iter().chain(of_key) {
        let actions = actions(statement)?;
        assert!(actions.iter().all(|action| !action.contains('*')), "a wildcard in {statement}");
        if statement["Effect"] == "Allow" && actions.contains(&"kms:Decrypt") {
            decrypting += 1;
            let condition = &statement["Condition"]["StringEquals"];
            let via = condition["kms:ViaService"].as_array().context("any service may decrypt")?;
            assert!(via.iter().all(|via| via == "secretsmanager.us-east-1.amazonaws.com"), "{statement}");
            // The id of no version: nothing that is stored.
            let version = &condition["kms:EncryptionContext:SecretVersionId"];
            assert_eq!(version, "RequestToValidateKeyAccess", "{statement}");
        }
        for never in ["kms:CreateGrant", "kms:ReEncryptFrom", "kms:GenerateDataKeyPair", "iam:PassRole"] {
            assert!(statement["Effect"] == "Deny" || !actions.contains(&never), "{statement}");
        }
    }
    assert_eq!(decrypting, 2, "one in the policy of {role}, one in the key's");
    Ok(())
}

#[tokio::test]
async fn who_answers_for_node_keys_is_invoked_by_it_alone_and_writes_its_log_alone() -> Result<()> {
    let aws = Aws::start()?;
    deployed(&aws).await?;
    let role = Role::of_node_keys(&aws).await?.0;
    let policies = policies_of(&aws, &role, &["node-keys", "node-keys-destination"], 2).await?;
    let [handing_over] = statements(&policies[1])?[..] else { anyhow::bail!("{policies:?}") };
    let function = aws.physical_id(KMS_STACK, "UnansweredFunction").await?;
    assert_eq!(actions(handing_over)?, ["lambda:InvokeFunction"]);
    let arn = format!("arn:aws:lambda:us-east-1:000000000000:function:{function}");
    assert_eq!(handing_over["Resource"], arn.as_str());

    let role = aws.physical_id(KMS_STACK, "UnansweredRole").await?;
    let policies = policies_of(&aws, &role, &["unanswered"], 0).await?;
    let [logging] = statements(&policies[0])?[..] else { anyhow::bail!("{policies:?}") };
    assert_eq!(actions(logging)?, ["logs:CreateLogStream", "logs:PutLogEvents"]);
    let group = aws.physical_id(KMS_STACK, "UnansweredLogGroup").await?;
    let resource = logging["Resource"].as_str().context("no resource")?;
    assert!(resource.contains(&format!(":log-group:{group}:")), "{resource}");
    Ok(())
}

/// The policies of a role, of which it must have these and no others, and after them so many that are
/// attached to it.
async fn policies_of(aws: &Aws, role: &str, names: &[&str], attached: usize) -> Result<Vec<Value>> {
    let iam = aws.root.iam();
    let others = iam.list_attached_role_policies().role_name(role).send().await?;
    let others = others.attached_policies().iter().filter_map(|one| one.policy_arn()).collect::<Vec<_>>();
    assert_eq!(others.len(), attached, "policies that nobody looks at here: {others:?}");
    let mut found = iam.list_role_policies().role_name(role).send().await?.policy_names;
    found.sort();
    assert_eq!(found, names);
    let mut policies = Vec::new();
    for name in names {
        let policy = iam.get_role_policy().role_name(role).policy_name(*name).send().await?;
        policies.push(serde_json::from_slice(&percent_decoded(&policy.policy_document)?)?);
    }
    for arn in others {
        let policy = iam.get_policy().policy_arn(arn).send().await?.policy;
        let version = policy.and_then(|policy| policy.default_version_id).context("no default version")?;
        let policy = iam.get_policy_version().policy_arn(arn).version_id(version).send().await?;
        let document = policy.policy_version.and_then(|version| version.document).context("no document")?;
        policies.push(serde_json::from_slice(&percent_decoded(&document)?)?);
    }
    Ok(policies)
}

fn statements(policy: &Value) -> Result<Vec<&Value>> {
    Ok(policy["Statement"].as_array().context("no statements")?.iter().collect())
}

fn actions(statement: &Value) -> Result<Vec<&str>> {
    match &statement["Action"] {
        Value::String(action) => Ok(vec![action]),
        Value::Array(actions) => Ok(actions.iter().filter_map(Value::as_str).collect()),
        _ => anyhow::bail!("a statement without actions: {statement}"),
    }
}

/// IAM gives documents as they stand in a URL (RFC 3986).
fn percent_decoded(text: &str) -> Result<Vec<u8>> {
    let mut parts = text.split('%');
    let mut decoded = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2).context("a lone percent sign")?;
        decoded.push(u8::from_str_radix(digits, 16)?);
        decoded.extend(rest.as_bytes());
    }
    Ok(decoded)
}
