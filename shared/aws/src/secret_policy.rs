//! A secret's resource policy, as we write it and as we know it again.
//!
//! It lets in those who are named and keeps out everybody else, whatever their own policies say.
//! A principal that does not exist yet is refused by the service, so the Principal is the account
//! and the condition names the role: `aws:PrincipalArn` is the ARN of the role, for each of its
//! sessions (IAM User Guide, "AWS global condition context keys"). Conditions are `StringEquals`,
//! which knows no wildcard.
//!
//! What it denies: reading, to all but those named, the function included, since nobody else has a
//! reason to read; and writing or copying a value, to all but the functions' roles. What it leaves to
//! the policies of the account: deleting, restoring, tagging, and the policy itself, so that nothing
//! is locked up for ever when a stack and its role are gone. A changed policy shows in `CloudTrail`.

use std::collections::BTreeSet;

use provisioning::ports::StoredReaders;
use provisioning::principals::{Readers, RoleArn};
use serde_json::{Value, json};

/// The statement about roles, and the one about accounts.
const ROLES: &str = "TheseRolesRead";
const ACCOUNTS: &str = "TheseAccountsRead";

/// The policy that admits these; `writers` are the functions' own roles.
pub(crate) fn of(readers: &Readers, writers: &[&RoleArn]) -> Value {
    let partition = writers.first().map_or("aws", |role| role.partition());
    let root = |account: &str| format!("arn:{partition}:iam::{account}:root");
    let read = |sid: &str, accounts: BTreeSet<&str>| {
        json!({
            "Sid": sid,
            "Effect": "Allow",
            "Principal": { "AWS": accounts.into_iter().map(root).collect::<Vec<_>>() },
            "Action": ["secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"],
            "Resource": "*",
        })
    };
    let roles: Vec<&str> = readers.roles.iter().map(RoleArn::as_str).collect();
    let mut statements = Vec::new();
    if !roles.is_empty() {
        let mut statement = read(ROLES, readers.roles.iter().map(RoleArn::account).collect());
        statement["Condition"] = json!({ "StringEquals": { "aws:PrincipalArn": roles } });
        statements.push(statement);
    }
    if !readers.accounts.is_empty() {
        statements.push(read(ACCOUNTS, readers.accounts.iter().map(String::as_str).collect()));
    }
    // Of two keys under one operator both have to differ.
    let mut others = json!({});
    if !roles.is_empty() {
        others["aws:PrincipalArn"] = json!(roles);
    }
    if !readers.accounts.is_empty() {
        others["aws:PrincipalAccount"] = json!(readers.accounts);
    }
    statements.push(json!({
        "Sid": "NobodyElseReads",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "secretsmanager:GetSecretValue",
        "Resource": "*",
        "Condition": { "StringNotEquals": others },
    }));
    let writers: Vec<&str> = writers.iter().map(|role| role.as_str()).collect();
    statements.push(json!({
        "Sid": "OnlyKeybootWrites",
        "Effect": "Deny",
        "Principal": "*",
        "Action": [
            "secretsmanager:PutSecretValue",
            "secretsmanager:ReplicateSecretToRegions",
            "secretsmanager:UpdateSecret",
            "secretsmanager:UpdateSecretVersionStage",
        ],
        "Resource": "*",
        "Condition": { "StringNotEquals": { "aws:PrincipalArn": writers } },
    }));
    json!({ "Version": "2012-10-17", "Statement": statements })
}

/// Whom a stored policy admits, if it is one of ours: the text of our own for these, but for the
/// order of what is in it.
pub(crate) fn read(text: &str, writers: &[&RoleArn]) -> StoredReaders {
    let Ok(stored) = serde_json::from_str::<Value>(text) else { return StoredReaders::Otherwise };
    let readers = Readers {
        roles: strings(&stored, ROLES, "/Condition/StringEquals/aws:PrincipalArn")
            .into_iter()
            .filter_map(|text| text.parse().ok())
            .collect(),
        accounts: strings(&stored, ACCOUNTS, "/Principal/AWS")
            .into_iter()
            .filter_map(|root| root.split(':').nth(4).map(str::to_owned))
            .collect(),
    };
    if readers.is_empty() || normal(stored) != normal(of(&readers, writers)) {
        return StoredReaders::Otherwise;
    }
    StoredReaders::Admitted(readers)
}

/// The strings at a place of the statement with this name.
fn strings<'a>(policy: &'a Value, sid: &str, place: &str) -> Vec<&'a str> {
    let statement = policy["Statement"].as_array().into_iter().flatten().find(|found| found["Sid"] == sid);
    match statement.and_then(|statement| statement.pointer(place)) {
        Some(Value::String(text)) => vec![text],
        Some(Value::Array(texts)) => texts.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// A list of one is as good as the one, and no list in a policy has an order.
fn normal(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            Value::Object(members.into_iter().map(|(name, value)| (name, normal(value))).collect())
        }
        Value::Array(items) => {
            let mut items: Vec<Value> = items.into_iter().map(normal).collect();
            items.sort_by_key(Value::to_string);
            if items.len() == 1 { items.swap_remove(0) } else { Value::Array(items) }
        }
        scalar => scalar,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(account: &str, name: &str) -> RoleArn {
        format!("arn:aws:iam::{account}:role/{name}").parse().unwrap()
    }

    fn functions() -> [RoleArn; 2] {
        ["kms-NodeKeysRole", "kms-KeyRotationRole"].map(|name| role("111122223333", name))
    }

    fn text_for(readers: &Readers) -> String {
        of(readers, &functions().each_ref()).to_string()
    }

    fn read_text(text: &str) -> StoredReaders {
        read(text, &functions().each_ref())
    }

    fn readers(accounts: &[&str]) -> Readers {
        Readers {
            roles: [role("444455556666", "b"), role("444455556666", "a"), role("111122223333", "c")].into(),
            accounts: accounts.iter().map(|account| (*account).to_owned()).collect(),
        }
    }

    #[test]
    fn the_text_is_this_one() {
        let one = Readers { roles: [role("444455556666", "node-0")].into(), ..Readers::default() };
        assert_eq!(
            text_for(&one),
            concat!(
                r#"{"Statement":[{"Action":["secretsmanager:DescribeSecret","secretsmanager:GetSecretValue"],"#,
                r#""Condition":{"StringEquals":{"aws:PrincipalArn":["arn:aws:iam::444455556666:role/node-0"]}},"#,
                r#""Effect":"Allow","Principal":{"AWS":["arn:aws:iam::444455556666:root"]},"Resource":"*","#,
                r#""Sid":"TheseRolesRead"},{"Action":"secretsmanager:GetSecretValue","#,
                r#""Condition":{"StringNotEquals":{"aws:PrincipalArn":["arn:aws:iam::444455556666:role/node-0"]}},"#,
                r#""Effect":"Deny","Principal":"*","Resource":"*","Sid":"NobodyElseReads"},"#,
                r#"{"Action":["secretsmanager:PutSecretValue","secretsmanager:ReplicateSecretToRegions","#,
                r#""secretsmanager:UpdateSecret","secretsmanager:UpdateSecretVersionStage"],"#,
                r#""Condition":{"StringNotEquals":{"aws:PrincipalArn":["#,
                r#""arn:aws:iam::111122223333:role/kms-NodeKeysRole","arn:aws:iam::111122223333:role/kms-KeyRotationRole"]}},"#,
                r#""Effect":"Deny","Principal":"*","Resource":"*","Sid":"OnlyKeybootWrites"}],"Version":"2012-10-17"}"#,
            )
        );
    }

    #[test]
    fn what_was_written_is_known_again() {
        for readers in [
            readers(&[]),
            readers(&["777788889999", "444455556666"]),
            Readers { roles: BTreeSet::new(), ..readers(&["777788889999"]) },
        ] {
            let text = text_for(&readers);
            assert_eq!(read_text(&text), StoredReaders::Admitted(readers.clone()));
            let reversed = text.replace(
                r#"["secretsmanager:DescribeSecret","secretsmanager:GetSecretValue"]"#,
                r#"["secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret"]"#,
            );
            assert_ne!(reversed, text);
            assert_eq!(read_text(&reversed), StoredReaders::Admitted(readers));
        }
    }

    #[test]
    fn what_somebody_has_changed_is_not_ours() {
        let text = text_for(&readers(&["777788889999"]));
        let changed = |from: &str, to: &str| {
            let changed = text.replace(from, to);
            assert_ne!(changed, text, "{from}");
            changed
        };
        for text in [
            "no json".to_owned(),
            "{}".to_owned(),
            r#"{"Version":"2012-10-17","Statement":[]}"#.to_owned(),
            changed("Deny", "Allow"),
            changed("StringNotEquals", "StringNotLike"),
            changed("NobodyElseReads", "NobodyElse"),
            changed("2012-10-17", "2008-10-17"),
            changed("secretsmanager:DescribeSecret", "secretsmanager:*"),
            changed("arn:aws:iam::777788889999:root", "arn:aws:iam::777788889999:role/x"),
            changed("kms-NodeKeysRole", "other"),
            changed("kms-KeyRotationRole", "other"),
        ] {
            assert_eq!(read_text(&text), StoredReaders::Otherwise, "{text}");
        }
    }

    #[test]
    fn the_longest_policy_fits() {
        // As many principals as a property takes, as long as it takes them.
        let long = |n: usize| {
            let account = format!("{:012}", 100_000_000_000 + n);
            format!("arn:aws-us-gov:iam::{account}:role/{}{n:02}", "r".repeat(160))
                .parse::<RoleArn>()
                .unwrap()
        };
        let roles: BTreeSet<RoleArn> = (0..40).map(long).collect();
        let characters: usize = roles.iter().map(|role| role.as_str().len()).sum();
        assert_eq!(characters, 8000);
        let role: RoleArn =
            format!("arn:aws-us-gov:iam::111122223333:role/{}", "r".repeat(576)).parse().unwrap();
        let length = of(&Readers { roles, ..Readers::default() }, &[&role, &role]).to_string().len();
        assert!(length <= 20_480, "{length}");
    }
}
