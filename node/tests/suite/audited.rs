//! A cluster that node-keys has made, looked at by a role with the policy of the README and nothing else.

use std::collections::BTreeMap;
use std::path::Path;

use aws::{AwsWorld, Settings};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use contract_double::deploy::{KmsStack, STACK_ID};
use contract_double::{Deletion, Double};
use keyboot_node::verify::Check;
use provisioning::ownership::{Generation, Owner};
use provisioning::ports::RecordSigner as _;
use provisioning::properties::ClusterSpec;
use provisioning::{Operation, OperationKind, TimeBudget};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::world::{MONTHLY, OWNER, secret};

const AUDITOR: &str = "arn:aws:iam::111122223333:role/auditor";

/// The policy of the README.
fn policy() -> Value {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let section = readme.split("## An auditor's role").nth(1).unwrap();
    let block = section.split("```json").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    serde_json::from_str(block).unwrap()
}

/// The same without an action.
fn policy_without(permission: &str) -> Value {
    let mut policy = policy();
    for statement in policy["Statement"].as_array_mut().unwrap() {
        match &mut statement["Action"] {
            Value::Array(actions) => actions.retain(|action| action != permission),
            action if action == permission => *action = json!("ssm:DescribeNothing"),
            _ => {}
        }
    }
    policy
}

/// A cluster on the double, and what looks at it.
struct Audited {
    double: Double,
    stack: KmsStack,
    access_key: String,
    folder: TempDir,
}

impl Audited {
    async fn new(parameters: &[(&str, &str)]) -> Self {
        let double = Double::start().await.unwrap();
        let all = [("Cluster", "tsm"), ("Nodes", "0,1,2")].into_iter().chain(parameters.iter().copied());
        let stack = KmsStack::deploy(&double, all).unwrap();
        let told = stack.environment();
        let (settings, pinned) = Settings::read(|name| match name {
            // Emulators take what comes.
            "KEYBOOT_RATES_TIMES" => Some("1000".into()),
            name => told.get(name).cloned(),
        })
        .unwrap();
        let world = AwsWorld::new(settings);
        let Value::Object(properties) = stack.properties() else { panic!("no properties") };
        let operation = Operation {
            kind: OperationKind::Create,
            owner: Owner {
                id: OWNER.parse().unwrap(),
                stack_id: stack.stack_id.clone(),
                logical_id: "Keys".into(),
            },
            generation: Generation::new("create-1"),
            delivered_id: OWNER.into(),
            now: jiff::Timestamp::now(),
            time: TimeBudget::unlimited(),
        };
        let spec = ClusterSpec::parse(&properties).unwrap();
        Box::pin(provisioning::reconcile(&world, &pinned, &operation, &spec, None)).await.unwrap();
        let folder = TempDir::new().unwrap();
        let key = STANDARD.encode(world.verifying_key().await.unwrap());
        std::fs::write(folder.path().join("node.toml"), configuration(&stack, &told, &key, folder.path()))
            .unwrap();
        let access_key = double.with(|world| world.add_role(AUDITOR, &[policy().to_string()]).unwrap());
        Self { double, stack, access_key, folder }
    }

    /// What the program says, and how it ends.
    async fn verify(&self) -> (Option<i32>, Value) {
        let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_keyboot-node"))
            .args(["verify", "--json", "--config"])
            .arg(self.folder.path().join("node.toml"))
            .env_clear()
            .envs([
                ("AWS_ACCESS_KEY_ID", self.access_key.as_str()),
                ("AWS_SECRET_ACCESS_KEY", "of-nobody"),
                ("AWS_SESSION_TOKEN", "of-nobody"),
                ("AWS_ENDPOINT_URL", &self.double.endpoint()),
            ])
            .output()
            .await
            .unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let report = serde_json::from_str(&said);
        let report = report.unwrap_or_else(|_| panic!("{said}{}", String::from_utf8_lossy(&output.stderr)));
        (output.status.code(), report)
    }
}

fn configuration(
    stack: &KmsStack,
    told: &BTreeMap<String, String>,
    verifying_key: &str,
    folder: &Path,
) -> String {
    format!(
        "cluster = \"keyboot/tsm\"\nregion = \"{}\"\nstate = \"{}\"\n[[pin]]\nsigner = \"{}\"\npublic-key = \
         \"{verifying_key}\"\n[audit]\nnode-keys-role = \"{}\"\nkey-rotation-role = \"{}\"\n\
         key-rotation-function = \"{}\"\n",
        stack.place.region,
        folder.display(),
        stack.record_key,
        told["KEYBOOT_ROLE_ARN"],
        told["KEYBOOT_ROTATION_ROLE_ARN"],
        told["KEYBOOT_ROTATION_FUNCTION_ARN"],
    )
}

/// Checks and subjects with a verdict, and what is said of them.
fn with<'a>(report: &'a Value, verdict: &str) -> Vec<(&'a str, &'a str, &'a str)> {
    let rows = report["rows"].as_array().unwrap().iter().filter(|row| row["verdict"] == verdict);
    let text = |row: &'a Value, name: &str| row[name].as_str().unwrap();
    rows.map(|row| (text(row, "check"), text(row, "subject"), text(row, "explanation"))).collect()
}

async fn in_secrets_manager() -> Audited {
    let readers = KmsStack::readers(STACK_ID, 0..3);
    Audited::new(&[
        ("ReaderPrincipals", readers.as_str()),
        ("RotateApiKeysEvery", MONTHLY),
        ("RotateP2pKeysEvery", MONTHLY),
    ])
    .await
}

#[tokio::test]
async fn a_cluster_as_it_was_made_is_without_fault_for_the_role_of_the_readme() {
    let audited = in_secrets_manager().await;
    let before = audited.double.calls().len();
    let (code, report) = audited.verify().await;
    assert_eq!((code, with(&report, "fault")), (Some(0), vec![]), "{report:#}");
    let unknown = with(&report, "unknown");
    assert_eq!(unknown.len(), 1, "{unknown:?}");
    assert_eq!(unknown[0].0, Check::Drift.name());
    let told = with(&report, "ok");
    let readers = |purpose| {
        let is_it = |row: &&(_, _, _)| row.0 == "secret-readers" && row.1 == secret(0, purpose);
        told.iter().find(is_it).unwrap().2
    };
    assert!(readers("p2p-key").contains("role/kms-node-0 read it, and nobody else"), "{report:#}");
    assert!(readers("management-key").contains("the account's own policies decide"), "{report:#}");
    // Nothing was changed, and no value read.
    let calls = audited.double.calls_since(before);
    let reads = ["GetParameters", "DescribeSecret", "GetResourcePolicy"];
    let others: Vec<_> =
        calls.iter().map(|call| &call.operation).filter(|it| !reads.contains(&it.as_str())).collect();
    assert!(!calls.is_empty() && others.is_empty(), "{others:?}");
    assert!(calls.iter().all(|call| call.error_code().is_none()));
}

#[tokio::test]
async fn what_somebody_has_changed_is_found() {
    let audited = in_secrets_manager().await;
    let place = &audited.stack.place;
    audited.double.with(|world| {
        let (asked, due) = (world.now(), world.now());
        let node_0 = world.secret(place, &secret(0, "p2p-key")).unwrap().policy.clone();
        let mut change = |index, purpose, change: &dyn Fn(&mut contract_double::Secret)| {
            change(world.secret_mut(place, &secret(index, purpose)).unwrap());
        };
        change(0, "management-key", &|secret| secret.rotation = None);
        // A policy of ours admits others than this node's own readers, and is told by their names.
        change(1, "p2p-key", &|secret| secret.policy.clone_from(&node_0));
        change(1, "management-key", &|secret| secret.key = None);
        change(2, "api-key/default", &|secret| {
            secret.tags.insert("keyboot:owner".into(), "somebody".into());
        });
        let due = due + jiff::SignedDuration::from_hours(24 * 30);
        change(2, "share-encryption-password", &|secret| {
            secret.deletion = Some(Deletion { asked, due });
        });
    });
    let (code, report) = audited.verify().await;
    let found = with(&report, "fault");
    let found: Vec<_> = found.iter().map(|(check, subject, _)| (*check, (*subject).to_owned())).collect();
    let expected = [
        ("secret-rotation", secret(0, "management-key")),
        ("secret-key", secret(1, "management-key")),
        ("secret-present", secret(2, "share-encryption-password")),
        ("secret-owner", secret(2, "api-key/default")),
    ];
    assert_eq!((code, found.as_slice()), (Some(1), &expected[..]), "{report:#}");
    let told = with(&report, "ok");
    let is_it = |row: &&(_, _, _)| row.0 == "secret-readers" && row.1 == secret(1, "p2p-key");
    assert!(told.iter().find(is_it).unwrap().2.contains("role/kms-node-0"), "{report:#}");
}

#[tokio::test]
async fn each_permission_of_the_policy_is_needed_and_named_where_it_is_missing() {
    let audited = in_secrets_manager().await;
    for permission in
        ["ssm:GetParameters", "secretsmanager:DescribeSecret", "secretsmanager:GetResourcePolicy"]
    {
        let policy = policy_without(permission).to_string();
        audited.double.with(|world| world.add_role(AUDITOR, &[policy]).unwrap());
        let (code, report) = audited.verify().await;
        assert_eq!((code, with(&report, "fault")), (Some(0), vec![]), "{report:#}");
        let unknown = with(&report, "unknown");
        assert!(unknown.iter().any(|row| row.2.contains(permission)), "{permission}: {report:#}");
    }
}

#[tokio::test]
async fn secure_strings_are_audited_by_the_same_role() {
    let parameters = [
        ("Store", "ParameterStore"),
        ("RotateApiKeysEvery", "cron(0 8 1 * ? *)"),
        ("RotateP2pKeysEvery", ""),
    ];
    let audited = Audited::new(&parameters).await;
    let (code, report) = audited.verify().await;
    assert_eq!((code, with(&report, "fault")), (Some(0), vec![]), "{report:#}");
    let unknown: Vec<_> = with(&report, "unknown").iter().map(|row| row.0).collect();
    // API and management keys of three nodes, by schedules of the template; and drift.
    let rotations = unknown.iter().filter(|check| **check == "secret-rotation").count();
    assert_eq!((rotations, unknown.len()), (6, 7), "{report:#}");
    for permission in ["ssm:GetParameterHistory", "ssm:ListTagsForResource"] {
        let policy = policy_without(permission).to_string();
        audited.double.with(|world| world.add_role(AUDITOR, &[policy]).unwrap());
        let (code, report) = audited.verify().await;
        assert_eq!((code, with(&report, "fault")), (Some(0), vec![]), "{report:#}");
        assert!(with(&report, "unknown").iter().any(|row| row.2.contains(permission)), "{report:#}");
    }
}

#[test]
fn the_policy_has_every_permission_that_is_asked_for_and_none_that_reads_a_secret() {
    let policy = policy();
    let actions: Vec<&str> = policy["Statement"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|statement| match &statement["Action"] {
            Value::Array(actions) => actions.iter().filter_map(Value::as_str).collect(),
            action => vec![action.as_str().unwrap()],
        })
        .collect();
    for permission in aws::auditing::PERMISSIONS {
        assert!(actions.contains(&permission), "{permission}");
    }
    for action in actions {
        let (_, call) = action.split_once(':').unwrap();
        let reads =
            ["Get", "List", "Describe", "Detect", "BatchDescribe"].iter().any(|verb| call.starts_with(verb));
        assert!(
            reads && !call.contains('*') && call != "GetSecretValue" && call != "GetParameter",
            "{action}"
        );
    }
}
