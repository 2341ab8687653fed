//! Who reads what once nodes run: everybody of every account that makes keys or runs a node, against everything
//! that there is of every node, in both shapes.
//!
//! What decides is what is deployed: the KMS Stack's and the Core Stack's templates, and the resource policies
//! that node-keys itself wrote. `docs/who-reads.md` is this table.

mod asking;
mod document;
mod roads;
mod shapes;
mod stack_sets;
mod wanted;

use std::collections::BTreeSet;
use std::fmt::Write as _;

use anyhow::{Context as _, Result, ensure};
use contract_double::Policy;
use contract_double::core_stack::CoreStack;
use policies::event_pattern::matches;
use roads::{Road, Scene};
use serde_json::json;
use shapes::{Shape, Somebody};
use wanted::{COLUMNS, Row, Rule, WANTED};

/// What somebody reads of everything: for each node, as many cells as there are columns.
async fn found(shape: &Shape, somebody: &Somebody) -> Result<Vec<String>> {
    let mut nodes = Vec::new();
    for things in &shape.things {
        let mut cells = String::new();
        for thing in things {
            cells.push(match &somebody.access_key {
                Some(key) => asking::read(shape.double(), key, thing).await?,
                None => '.',
            });
        }
        nodes.push(cells);
    }
    Ok(nodes)
}

/// Compares everybody's cells with what is wanted, and shows the rows that differ. `counts` says which of a
/// node's cells do.
async fn assert_table(shape: &Shape, counts: impl Fn(usize) -> bool) -> Result<()> {
    let (mut report, mut wrong) = (String::new(), 0);
    let mut read = vec![false; COLUMNS.len()];
    for somebody in &shape.everybody {
        let row = WANTED.iter().find(|row| row.who == somebody.who);
        let row = row.with_context(|| format!("nobody is {}", somebody.who))?;
        let (own, others) = row.cells_at(somebody.place).with_context(|| {
            format!("the table does not say what {} reads, {:?}", somebody.who, somebody.place)
        })?;
        for (index, found) in found(shape, somebody).await?.iter().enumerate() {
            let is_home = somebody.home.is_some_and(|home| home as usize == index);
            let wanted = if is_home { &own } else { &others };
            ensure!(wanted.len() == found.len(), "{} cells of {}", found.len(), somebody.who);
            for (column, cell) in found.chars().enumerate() {
                read[column] |= cell == '+';
            }
            let cells = wanted.chars().zip(found.chars()).enumerate();
            let differ = cells.filter(|(column, (wanted, found))| counts(*column) && wanted != found).count();
            if differ > 0 {
                let Somebody { who, place, home, .. } = somebody;
                writeln!(
                    report,
                    "{who} ({place:?}, {home:?}), node {index}:\n    wanted {}\n    found  {}",
                    wanted::spaced(wanted),
                    wanted::spaced(found)
                )?;
            }
            wrong += differ;
        }
    }
    ensure!(wrong == 0, "{wrong} cells are wrong:\n{report}");
    // A refusal proves something beside what is allowed: somebody reads each column that anybody is to read.
    for (column, read) in read.iter().enumerate() {
        let is_read = |row: &Row| {
            row.cells.iter().any(|(_, own, others)| {
                let has = |cells: &str| wanted::joined(cells).chars().nth(column) == Some('+');
                has(own) || has(others)
            })
        };
        ensure!(*read == WANTED.iter().any(is_read), "column {} is read by nobody", COLUMNS[column]);
    }
    Ok(())
}

/// A test of one deployment, with the Core Stack's template as it is.
async fn central(nodes: u32, keys_run_a_node: bool) -> Result<Shape> {
    Shape::central(&CoreStack::text()?, nodes, keys_run_a_node).await
}

#[tokio::test(flavor = "multi_thread")]
async fn three_nodes_of_one_account_read_their_own() -> Result<()> {
    assert_table(&Shape::one_account(&CoreStack::text()?, 3).await?, |_| true).await
}

#[tokio::test(flavor = "multi_thread")]
async fn three_nodes_of_three_accounts_read_their_own_where_one_account_makes_the_keys() -> Result<()> {
    assert_table(&central(3, true).await?, |_| true).await
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_nodes_of_twenty_accounts_read_their_own_where_one_account_makes_the_keys() -> Result<()> {
    assert_table(&central(20, false).await?, |_| true).await
}

#[tokio::test(flavor = "multi_thread")]
async fn three_nodes_of_three_accounts_read_their_own_where_each_account_makes_its_keys() -> Result<()> {
    assert_table(&Shape::per_account(&CoreStack::text()?, 3).await?, |_| true).await
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_nodes_of_twenty_accounts_read_their_own_where_each_account_makes_its_keys() -> Result<()> {
    assert_table(&Shape::per_account(&CoreStack::text()?, 20).await?, |_| true).await
}

/// Lets everybody have every secret, as far as the secrets' own policies go.
fn open_secrets(shape: &Shape) -> Result<()> {
    let places = shape.kms.iter().map(|kms| &kms.place).chain(shape.core.iter().map(|core| &core.place));
    let open = Policy::read(&open_to_everybody("secretsmanager:*"))?;
    for place in places {
        shape.double().with(|world| {
            let names: Vec<_> = world.secrets(place).map(|secret| secret.name.clone()).collect();
            for name in names {
                if let Some(secret) = world.secret_mut(place, &name) {
                    secret.policy = Some(open.clone());
                }
            }
        });
    }
    Ok(())
}

/// Lets everybody use every key, as far as the keys' policies go.
fn open_keys(shape: &Shape) -> Result<()> {
    let keys = shape.kms.iter().map(|kms| &kms.secrets_key);
    for key in keys.chain(shape.core.iter().map(|core| &core.storage_key)) {
        shape.double().with(|world| world.put_key_policy(key, &open_to_everybody("kms:*")))?;
    }
    Ok(())
}

fn open_to_everybody(action: &str) -> String {
    let statement = json!({"Effect": "Allow", "Principal": "*", "Action": action, "Resource": "*"});
    json!({"Version": "2012-10-17", "Statement": [statement]}).to_string()
}

/// The keys' policies keep to the table by themselves.
#[tokio::test(flavor = "multi_thread")]
async fn the_keys_policies_alone_keep_to_the_core_table() -> Result<()> {
    for shape in [central(3, true).await?, Shape::per_account(&CoreStack::text()?, 3).await?] {
        open_secrets(&shape)?;
        assert_table(&shape, |_| true).await?;
    }
    Ok(())
}

/// The secrets' policies keep to it too, of what has one: an envelope, RDS's own secret and data under the
/// storage key have none.
#[tokio::test(flavor = "multi_thread")]
async fn the_secrets_policies_alone_keep_to_the_core_table() -> Result<()> {
    for shape in [central(3, true).await?, Shape::per_account(&CoreStack::text()?, 3).await?] {
        open_keys(&shape)?;
        let have_none = |column: usize| {
            ["envelope", "master login", "storage key"].iter().any(|part| COLUMNS[column].contains(part))
        };
        assert_table(&shape, |column| !have_none(column)).await?;
    }
    Ok(())
}

/// Without either the table is another one, which proves that it would show.
#[tokio::test(flavor = "multi_thread")]
async fn without_both_policies_the_table_does_not_hold() -> Result<()> {
    let shape = central(3, true).await?;
    open_secrets(&shape)?;
    open_keys(&shape)?;
    let error = assert_table(&shape, |_| true).await.err().context("the table holds")?.to_string();
    for who in ["an administrator (Keys", "the root user (Central", "a role with forged tags (Central"] {
        ensure!(error.contains(who), "{who} reads nothing more: {error}");
    }
    Ok(())
}

/// A few words of the template changed, and the table tells who reads what he is not to.
#[tokio::test(flavor = "multi_thread")]
async fn a_weaker_template_shows_in_the_table() -> Result<()> {
    const ANYWHERE: (&str, &str) = ("aws:SourceVpc: !Ref Vpc", "aws:PrincipalType: AssumedRole");
    const ANY_INSTANCE: (&str, &str) =
        ("aws:Ec2InstanceSourceVpc: !Ref Vpc", "aws:PrincipalType: AssumedRole");
    const ANY_TRIAL: (&str, &str) = (
        "kms:EncryptionContext:SecretVersionId: RequestToValidateKeyAccess",
        "aws:SecureTransport: \"true\"",
    );
    const ANY_NAME: (&str, &str) = ("role/${NodeRolePrefix}-*-*-database-login", "role/nobody");
    const ANYBODY: (&str, &str) =
        ("Principal: { Service: ec2.amazonaws.com }", "Principal: { AWS: !Ref AWS::AccountId }");
    const SESSIONS: (&str, &str) =
        ("HasSessionManager: !Equals [!Ref SessionManager, \"true\"]", "HasSessionManager: !Equals [a, a]");
    let text = CoreStack::text()?;
    for (changes, who) in [
        // Whoever may have the storage key tried may open what is under it.
        (&[ANY_TRIAL][..], "an administrator (Central"),
        (&[ANY_NAME], "a name like database-login's (Central"),
        (&[ANYWHERE], "node i's credentials, used elsewhere (Central"),
        (&[ANYWHERE, ANY_INSTANCE], "a new instance under node i's profile, in another network (Central"),
        (&[ANYWHERE, ANY_INSTANCE, ANYBODY], "whoever takes node i's role on (Central"),
        (&[SESSIONS], "a session of Session Manager on node i (Central"),
    ] {
        let mut weaker = text.clone();
        for (strong, weak) in changes {
            ensure!(weaker.contains(strong), "the template does not say {strong}");
            weaker = weaker.replace(strong, weak);
        }
        let shape = Shape::central(&weaker, 3, true).await?;
        let error = assert_table(&shape, |_| true).await.err();
        let error = error.with_context(|| format!("the table holds with {changes:?}"))?.to_string();
        ensure!(error.contains(who), "{who} reads nothing more: {error}");
    }
    Ok(())
}

/// What shows who comes by another road: each rule that the table names is in its template, tells what it is for,
/// and leaves alone what happens every day.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_table_says_is_shown_is_told_by_a_rule() -> Result<()> {
    let shape = central(3, true).await?;
    let named = WANTED.iter().flat_map(|row| row.shown).flat_map(|(_, rules)| *rules);
    let named: BTreeSet<_> = named.copied().collect();
    for node in [0, 1] {
        let (kms, core) = (&shape.kms[0], &shape.core[node as usize]);
        let roads = Scene { kms, core, node }.roads();
        ensure!(
            roads.keys().copied().collect::<BTreeSet<_>>() == named,
            "roads that the table does not name"
        );
        for (rule, Road { told, quiet }) in roads {
            let pattern = match rule {
                Rule::Kms(name) => kms.patterns.get(name),
                Rule::Core(name) => core.patterns.get(name),
            };
            let pattern = pattern.with_context(|| format!("there is no {rule:?}"))?;
            for event in told {
                ensure!(matches(pattern, &event)?, "{rule:?} does not tell {event}");
            }
            for event in quiet {
                ensure!(!matches(pattern, &event)?, "{rule:?} tells {event}");
            }
        }
    }
    Ok(())
}
