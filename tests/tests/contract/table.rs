//! Who reads what, of everybody and everything: each principal of three accounts against each secret and
//! each envelope of a cluster of three nodes.
//!
//! What decides is what is deployed: the template's key policy, its reader policies, the policies that the
//! README gives to roles of other accounts, and the resource policies that the function itself wrote. Secrets
//! in Parameter Store have no policies of their own: of those the key's policy decides.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Context as _, Result, ensure};
use aws_credential_types::Credentials;
use aws_sdk_kms::error::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use contract_double::deploy::{KmsStack, STACK_ID};
use rig::cloud::Cloud;
use serde_json::{Value, json};

use crate::cloudformation::{Properties, Sent};
use crate::stage::Stage;

/// The account of the keys, in which node 0 runs too; of node 1; of node 2; and one that reads nothing.
const KEYS: &str = "111122223333";
const ONE: &str = "444455556666";
const TWO: &str = "777788889999";
const NEITHER: &str = "999900001111";

/// For each node: P2P key, share-encryption password, API keys of two applications, management key; then
/// the envelopes of the first two, opened directly. `+` is read, `.` is refused.
const WANTED: &[(&str, &str)] = &[
    ("node 0, of the keys' account", "++...++ ....... ......."),
    ("node 1, of another account", "....... ++...++ ......."),
    ("node 2, of a third account", "....... ....... ++...++"),
    ("a second role of node 2", "....... ....... ++...++"),
    ("client of a", "..+.... ..+.... ..+...."),
    ("client of b, of the keys' account", "...+... ...+... ...+..."),
    ("manager", "....+.. ....+.. ....+.."),
    ("node-keys", "....... ....... ......."),
    ("the keys' account's administrator", "....... ....... ......."),
    ("the keys' account's root user", "....... ....... ......."),
    ("node 1's account's administrator", "....... ....... ......."),
    ("node 1's account's root user", "....... ....... ......."),
    ("node 2's account's administrator", "....... ....... ......."),
    ("an administrator of no reader's account", "....... ....... ......."),
    ("a role with node 1's policy, of the keys' account", "....... ....... ......."),
    ("node 0's namesake in another account", "....... ....... ......."),
    ("node 1's name under another path", "....... ....... ......."),
    ("a role with forged tags, of the keys' account", "....... ....... ......."),
    ("a role with forged tags, of node 1's account", "....... ....... ......."),
];

/// The same of secrets in Parameter Store, whose readers are of the keys' account. Who is in the account and
/// reads nothing has a policy that allows him everything.
const WANTED_OF_PARAMETERS: &[(&str, &str)] = &[
    ("node 0", "++...++ ....... ......."),
    ("node 1", "....... ++...++ ......."),
    ("node 2", "....... ....... ++...++"),
    ("a second role of node 2", "....... ....... ++...++"),
    ("client of a", "..+.... ..+.... ..+...."),
    ("client of b", "...+... ...+... ...+..."),
    ("manager", "....+.. ....+.. ....+.."),
    ("node-keys", "....... ....... ......."),
    ("the keys' account's administrator", "....... ....... ......."),
    ("the keys' account's root user", "....... ....... ......."),
    ("an administrator of another account", "....... ....... ......."),
    ("node 1's namesake in another account", "....... ....... ......."),
    ("node 1's name under another path", "....... ....... ......."),
    ("a role with forged tags", "....... ....... ......."),
];

const PURPOSES: [&str; 5] =
    ["p2p-key", "share-encryption-password", "api-key/a", "api-key/b", "management-key"];

fn role(account: &str, name: &str) -> String {
    format!("arn:aws:iam::{account}:role/{name}")
}

/// The stack, whose readers are in three accounts, with its keys made.
async fn made() -> Result<Stage> {
    let readers = [
        format!("0={}", KmsStack::node_role(STACK_ID, 0)),
        format!("1={}", role(ONE, "nodes/tsm-node-1")),
        format!("2={}", role(TWO, "tsm-node-2")),
        format!("2={}", role(TWO, "tsm-node-2-rescue")),
    ];
    let clients = [format!("a={}", role(ONE, "client-a")), format!("b={}", role(KEYS, "client-b"))];
    let stage = Stage::with([
        ("Nodes", "0,1,2"),
        ("Applications", "a,b"),
        ("ReaderPrincipals", readers.join(",").as_str()),
        ("ClientPrincipals", clients.join(",").as_str()),
        ("ManagementPrincipals", role(ONE, "manager").as_str()),
        ("ReaderAccounts", format!("{ONE},{TWO}").as_str()),
        ("ShareDocuments", "true"),
    ])
    .await?;
    create(stage).await
}

/// The same stack with its secrets in Parameter Store, and everybody in its own account.
async fn made_in_parameter_store() -> Result<Stage> {
    let readers = [KmsStack::readers(STACK_ID, [0, 1, 2]), format!("2={}", role(KEYS, "tsm-node-2-rescue"))];
    let clients = [format!("a={}", role(KEYS, "client-a")), format!("b={}", role(KEYS, "client-b"))];
    let stage = Stage::with([
        ("Nodes", "0,1,2"),
        ("Applications", "a,b"),
        ("Store", "ParameterStore"),
        ("ReaderPrincipals", readers.join(",").as_str()),
        ("ClientPrincipals", clients.join(",").as_str()),
        ("ManagementPrincipals", role(KEYS, "manager").as_str()),
    ])
    .await?;
    create(stage).await
}

/// Makes a stack's keys.
async fn create(stage: Stage) -> Result<Stage> {
    // As CloudFormation sends them for this template.
    let Value::Object(declared) = stage.stack.properties() else { anyhow::bail!("no properties") };
    let declared = Properties(declared);
    let answer = stage.carry_out(&Sent::create("create-1", &declared)).await?;
    // What is stored is not looked at otherwise: whether its policies are right, the table says.
    ensure!(answer.succeeded(), "{}", answer.reason());
    Ok(stage)
}

/// A policy of the README, for this stack and node.
fn policy_of_the_readme(stage: &Stage, marker: &str, node: u32) -> Result<String> {
    let readme = std::fs::read_to_string(rig::repository().join("README.md"))?;
    let (_, rest) = readme.split_once(marker).with_context(|| format!("the README has no {marker}"))?;
    let (_, rest) = rest.split_once("```json\n").context("no JSON follows")?;
    let text = rest.split_once("```").context("no end of the JSON")?.0;
    let mut document: Value = serde_json::from_str(text)?;
    adapt(&mut document, stage, node);
    Ok(document.to_string())
}

/// The README's examples are of node 1, of another Region, with another key.
fn adapt(value: &mut Value, stage: &Stage, node: u32) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| adapt(item, stage, node)),
        Value::Object(members) => members.values_mut().for_each(|member| adapt(member, stage, node)),
        Value::String(text) if text.contains(":key/") => stage.stack.secrets_key.clone_into(text),
        Value::String(text) if text == "1" => *text = node.to_string(),
        Value::String(text) => {
            *text = text
                .replace("eu-central-1", &stage.stack.place.region)
                .replace("/node/1/", &format!("/node/{node}/"))
                .replace("/api-key/default", "/api-key/*");
        }
        _ => {}
    }
}

/// A client with an access key of the double.
fn cloud(stage: &Stage, key: &str) -> Cloud {
    Cloud::with(&stage.double.endpoint(), Credentials::new(key, "of-nobody", None, None, "table"))
}

/// A client with a new role that has this policy.
fn with_role(stage: &Stage, arn: &str, policy: &str) -> Result<Cloud> {
    Ok(cloud(stage, &stage.double.with(|world| world.add_role(arn, &[policy.to_owned()]))?))
}

/// A client with a role that is allowed everything, and says of itself that it is node 1.
fn forger(stage: &Stage, account: &str) -> Result<Cloud> {
    let arn = role(account, "forger");
    let forger = with_role(stage, &arn, &everything())?;
    stage.double.with(|world| {
        for (key, value) in
            [("keyboot:node", "1"), ("keyboot:cluster", "keyboot/tsm"), ("keyboot:purpose", "p2p-key")]
        {
            world.tag_role(&arn, key, value);
        }
    });
    Ok(forger)
}

/// A policy that allows everything.
fn everything() -> String {
    let all = json!({"Effect": "Allow", "Action": "*", "Resource": "*"});
    json!({"Version": "2012-10-17", "Statement": [all]}).to_string()
}

/// Everybody in Parameter Store's table, by the names in it.
fn everybody_of_parameters(stage: &Stage) -> Result<BTreeMap<&'static str, Cloud>> {
    let all = |account: &str, name: &str| with_role(stage, &role(account, name), &everything());
    Ok(BTreeMap::from([
        ("node 0", cloud(stage, &stage.stack.nodes[&0])),
        ("node 1", cloud(stage, &stage.stack.nodes[&1])),
        ("node 2", cloud(stage, &stage.stack.nodes[&2])),
        ("a second role of node 2", all(KEYS, "tsm-node-2-rescue")?),
        ("client of a", all(KEYS, "client-a")?),
        ("client of b", all(KEYS, "client-b")?),
        ("manager", all(KEYS, "manager")?),
        ("node-keys", cloud(stage, &stage.stack.access_key)),
        ("the keys' account's administrator", all(KEYS, "admin")?),
        ("the keys' account's root user", cloud(stage, KEYS)),
        ("an administrator of another account", all(ONE, "admin")?),
        ("node 1's namesake in another account", all(ONE, "kms-node-1")?),
        ("node 1's name under another path", all(KEYS, "nodes/kms-node-1")?),
        ("a role with forged tags", forger(stage, KEYS)?),
    ]))
}

/// Everybody, by the names of the table.
fn everybody(stage: &Stage) -> Result<BTreeMap<&'static str, Cloud>> {
    let cloud = |key: &str| cloud(stage, key);
    let add = |arn: String, policy: &str| with_role(stage, &arn, policy);
    let all = everything();
    let node = |index| policy_of_the_readme(stage, "<!-- policy of a node's role -->", index);
    let client = policy_of_the_readme(stage, "<!-- policy of a client's role -->", 1)?;
    let manager = policy_of_the_readme(stage, "<!-- policy of a manager's role -->", 1)?;
    Ok(BTreeMap::from([
        ("node 0, of the keys' account", cloud(&stage.stack.nodes[&0])),
        ("node 1, of another account", add(role(ONE, "nodes/tsm-node-1"), &node(1)?)?),
        ("node 2, of a third account", add(role(TWO, "tsm-node-2"), &node(2)?)?),
        // The policies of the keys' side are enough to keep it to its node.
        ("a second role of node 2", add(role(TWO, "tsm-node-2-rescue"), &all)?),
        ("client of a", add(role(ONE, "client-a"), &client)?),
        ("client of b, of the keys' account", add(role(KEYS, "client-b"), &all)?),
        ("manager", add(role(ONE, "manager"), &manager)?),
        ("node-keys", cloud(&stage.stack.access_key)),
        ("the keys' account's administrator", add(role(KEYS, "admin"), &all)?),
        ("the keys' account's root user", cloud(KEYS)),
        ("node 1's account's administrator", add(role(ONE, "admin"), &all)?),
        ("node 1's account's root user", cloud(ONE)),
        ("node 2's account's administrator", add(role(TWO, "admin"), &all)?),
        ("an administrator of no reader's account", add(role(NEITHER, "admin"), &all)?),
        ("a role with node 1's policy, of the keys' account", cloud(&stage.stack.nodes[&1])),
        ("node 0's namesake in another account", add(role(ONE, "kms-node-0"), &all)?),
        ("node 1's name under another path", add(role(ONE, "tsm-node-1"), &all)?),
        ("a role with forged tags, of the keys' account", forger(stage, KEYS)?),
        ("a role with forged tags, of node 1's account", forger(stage, ONE)?),
    ]))
}

/// How a call was taken: `+`, `.`, or `?` for what is neither.
fn verdict<T, E: ProvideErrorMetadata + std::fmt::Debug>(result: Result<T, SdkError<E>>) -> char {
    match result {
        Ok(_) => '+',
        Err(error) => match error.as_service_error().and_then(ProvideErrorMetadata::code) {
            Some("AccessDeniedException") => '.',
            _ => '?',
        },
    }
}

/// What somebody reads of everything, as a row of the table.
async fn row(stage: &Stage, cloud: &Cloud) -> Result<String> {
    let stored = stage.stored();
    let mut nodes = Vec::new();
    for node in 0..3 {
        let mut cells = String::new();
        let mut sealed = Vec::new();
        for purpose in PURPOSES {
            let name = format!("keyboot/tsm/node/{node}/{purpose}");
            let secret = stored.secrets.get(&name).with_context(|| format!("there is no {name}"))?;
            let (version, value) = secret.current().context("no version")?;
            // As a reader asks: by full ARN, the version that its record names.
            cells.push(if secret.arn.contains(":ssm:") {
                let read = cloud.parameters().get_parameter().name(format!("{}:{version}", secret.arn));
                verdict(read.with_decryption(true).send().await)
            } else {
                let read = cloud.secrets().get_secret_value().secret_id(&secret.arn).version_id(version);
                verdict(read.send().await)
            });
            if let Ok(envelope) = serde_json::from_str::<Value>(value)
                && let Some(ciphertext) = envelope["sealed"].as_str()
            {
                sealed.push((STANDARD.decode(ciphertext)?, envelope["context"].clone()));
            }
        }
        ensure!(sealed.len() == 2, "node {node} has {} envelopes", sealed.len());
        for (ciphertext, context) in sealed {
            let open = cloud.kms().decrypt().key_id(&stage.stack.secrets_key);
            let open = open.set_encryption_context(Some(serde_json::from_value(context)?));
            cells.push(verdict(open.ciphertext_blob(ciphertext.into()).send().await));
        }
        nodes.push(cells);
    }
    Ok(nodes.join(" "))
}

/// How many cells of a node are about its secrets; the rest are about envelopes.
const SECRETS: usize = PURPOSES.len();

/// Compares each row with what is wanted, and shows the whole table if one cell differs. `counts` says
/// which of a node's cells do.
async fn assert_table(stage: &Stage, counts: impl Fn(usize) -> bool) -> Result<()> {
    assert_rows(stage, WANTED, &everybody(stage)?, counts).await
}

async fn assert_rows(
    stage: &Stage,
    rows: &[(&str, &str)],
    everybody: &BTreeMap<&str, Cloud>,
    counts: impl Fn(usize) -> bool,
) -> Result<()> {
    ensure!(everybody.len() == rows.len(), "{} principals and {} rows", everybody.len(), rows.len());
    // A refusal proves something beside what is allowed: somebody reads each column.
    for column in 0..rows[0].1.len() {
        let cells: String = rows.iter().filter_map(|(_, row)| row.chars().nth(column)).collect();
        ensure!(cells.contains('+') || cells.trim().is_empty(), "nobody reads column {column}");
    }
    let (mut report, mut wrong) = (String::new(), 0);
    for (who, wanted) in rows {
        let found = row(stage, everybody.get(who).with_context(|| format!("nobody is {who}"))?).await?;
        ensure!(found.len() == wanted.len(), "a row of {} cells", found.len());
        let cells = wanted.split(' ').zip(found.split(' '));
        let cells = cells.flat_map(|(wanted, found)| wanted.chars().zip(found.chars()).enumerate());
        let differ = cells.filter(|(place, (wanted, found))| counts(*place) && wanted != found).count();
        let mark = if differ == 0 { "" } else { "   <- not this" };
        writeln!(report, "{who:<52} wanted {wanted}\n{:<52} found  {found}{mark}", "")?;
        wrong += differ;
    }
    ensure!(wrong == 0, "{wrong} cells are wrong:\n{report}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_reads_what_the_table_says_and_nothing_else() -> Result<()> {
    assert_table(&made().await?, |_| true).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_of_secrets_in_parameter_store() -> Result<()> {
    let stage = made_in_parameter_store().await?;
    assert_rows(&stage, WANTED_OF_PARAMETERS, &everybody_of_parameters(&stage)?, |_| true).await
}

/// Each of the two policies on the keys' side keeps to the table by itself, whatever becomes of the
/// other one.
#[tokio::test(flavor = "multi_thread")]
async fn the_keys_policy_alone_keeps_to_the_table() -> Result<()> {
    let stage = made().await?;
    let open = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": "*", "Action": "secretsmanager:GetSecretValue", "Resource": "*"},
    ]});
    let root = Credentials::new(KEYS, "of-nobody", None, None, "table");
    let secrets = Cloud::with(&stage.double.endpoint(), root).secrets();
    for secret in stage.stored().secrets.values() {
        let put = secrets.put_resource_policy().secret_id(&secret.arn).resource_policy(open.to_string());
        put.block_public_policy(false).send().await?;
    }
    assert_table(&stage, |_| true).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_secrets_policies_alone_keep_to_the_table() -> Result<()> {
    let stage = made().await?;
    let open = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*"},
    ]});
    let key = &stage.stack.secrets_key;
    stage.double.with(|world| world.put_key_policy(key, &open.to_string()))?;
    // An envelope has no policy but the key's.
    assert_table(&stage, |cell| cell < SECRETS).await
}

/// Records and environments travel by Resource Access Manager: by full ARN, to the accounts that are named,
/// and there to whom their own policies let.
#[tokio::test(flavor = "multi_thread")]
async fn shared_documents_are_read_in_the_readers_accounts_and_nowhere_else() -> Result<()> {
    let stage = made().await?;
    let everybody = everybody(&stage)?;
    let arn = |path: &str| {
        let (partition, region) = (stage.stack.place.partition(), &stage.stack.place.region);
        format!("arn:{partition}:ssm:{region}:{KEYS}:parameter/keyboot/tsm/{path}")
    };
    let reads = async |who: &str, path: &str| {
        verdict(everybody[who].parameters().get_parameter().name(arn(path)).send().await)
    };
    let node = "node 1, of another account";
    ensure!(reads(node, "node/0/record").await == '.', "read before it was shared");
    stage.stack.share_documents(&stage.double)?;
    for (who, path, wanted) in [
        (node, "node/0/record", '+'),
        (node, "node/1/record", '+'),
        (node, "node/1/env", '+'),
        (node, "node/2/env", '.'),
        ("node 0, of the keys' account", "node/2/record", '+'),
        ("node 0, of the keys' account", "node/2/env", '.'),
        ("node 2's account's administrator", "node/1/env", '+'),
        ("node 2's account's administrator", "roster/index", '.'),
        ("client of a", "node/0/record", '.'),
        ("an administrator of no reader's account", "node/0/record", '.'),
    ] {
        let found = reads(who, path).await;
        ensure!(found == wanted, "{who} and {path}: {found}, not {wanted}");
    }
    Ok(())
}
