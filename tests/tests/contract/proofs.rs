//! What the record of calls proves: the order of what is stored and published, that nothing is read,
//! how many calls are under way at once, and how many rounds a Create takes.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use contract_double::{Call, Pattern, Side, Twist};
use provisioning::version_label::{SignedLabel, VersionLabel};
use rig::calls::NODE_KEYS_OPERATIONS;
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::cloudformation::{Properties, Sent};
use crate::stage::Stage;
use crate::stories::{creates, deletes, replacement, updates};

/// Calls of one kind under way at once, as `provisioning::parallel` promises; at most two kinds go side
/// by side.
const AT_ONCE: usize = 24;

/// Long against what the double takes for an answer, so that calls sent together overlap.
const ANSWER_TIME: Duration = Duration::from_millis(60);

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_ever_read_and_no_ciphertext_opened_but_by_the_store() -> Result<()> {
    let stage = Stage::new().await?;
    let id = |cluster: &str| stage.physical_id(cluster);
    let mut operations = BTreeSet::new();
    for story in creates(&id).into_iter().chain(updates(&id)).chain(deletes(&id)).chain([replacement(&id)]) {
        let stage = Stage::after(&story.before).await?;
        stage.carry_out(&story.sent).await?;
        operations.extend(stage.double.calls().into_iter().map(|call| call.operation));
    }
    operations.retain(|operation| !NODE_KEYS_OPERATIONS.contains(&operation.as_str()));
    ensure!(operations.is_empty(), "node-keys also calls {operations:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_public_half_is_published_after_its_private_half_is_stored() -> Result<()> {
    let stage = Stage::new().await?;
    let id = |cluster: &str| stage.physical_id(cluster);
    for story in creates(&id).into_iter().take(1).chain(updates(&id)).chain([replacement(&id)]) {
        let stage = Stage::after(&story.before).await?;
        // Slow stores, so that whoever does not wait is seen.
        for store in STORES {
            stage.double.twist(Pattern::operation(store).every(), Twist::Slow(ANSWER_TIME));
        }
        for name in ["*/p2p-key", "*/management-key", "*/api-key/*"] {
            let put = Pattern::operation("PutParameter").on(name).every();
            stage.double.twist(put, Twist::Slow(ANSWER_TIME));
        }
        let first = stage.double.calls().len();
        stage.carry_out(&story.sent).await?;
        let calls = stage.double.calls_since(first);
        let mut told = 0;
        for put in calls.iter().filter(|call| call.operation == "PutParameter") {
            let text = put.request["Value"].as_str().context("a parameter without a value")?;
            for public in published(text)? {
                let Some(stored) = calls.iter().find(|call| stores(call, &public)) else {
                    continue;
                };
                let answered = stored.answered.context("a store that was not answered")?;
                ensure!(
                    answered < put.arrived,
                    "{}: {public} was published before it was stored",
                    story.name
                );
                told += 1;
            }
        }
        let made = calls.iter().filter(|call| stores_a_value(call)).count();
        ensure!(made == 0 || told > 0, "{}: nothing that was made was published", story.name);
    }
    Ok(())
}

/// Public halves that a document tells.
fn published(text: &str) -> Result<Vec<String>> {
    let Ok(json) = serde_json::from_str::<Value>(text) else { return Ok(Vec::new()) };
    let record = &json["record"];
    let mut public: Vec<String> = record["publicKey"].as_str().map(str::to_owned).into_iter().collect();
    let hashes = record["apiKeys"].as_object().into_iter().flat_map(|keys| keys.values());
    for key in hashes.chain([&record["managementKeys"]]).filter_map(Value::as_array).flatten() {
        let hash = key["hash"].as_str().context("a key without a hash")?;
        ensure!(STANDARD.decode(hash)?.len() == 32, "no hash: {hash}");
        public.push(hash.to_owned());
    }
    Ok(public)
}

/// The calls that store a value, and nothing else.
const STORES: [&str; 2] = ["CreateSecret", "PutSecretValue"];

/// Whether a call stores a value, in either store.
fn stores_a_value(call: &Call) -> bool {
    STORES.contains(&call.operation.as_str()) || call.request["Type"] == "SecureString"
}

/// Whether a call stores the private half of this public one: a first version says so in its tags, a
/// further one in its label, and in Parameter Store each in its description.
fn stores(call: &Call, public: &str) -> bool {
    let tags = call.request["Tags"].as_array().into_iter().flatten();
    let mut tagged =
        tags.filter(|tag| tag["Key"] == "keyboot:public").filter_map(|tag| tag["Value"].as_str());
    let labels = call.request["VersionStages"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut labelled = labels.filter_map(|label| label.parse::<VersionLabel>().ok());
    match call.operation.as_str() {
        "CreateSecret" => tagged.any(|tagged| tagged == public),
        "PutParameter" if stores_a_value(call) => {
            let label = call.request["Description"].as_str().and_then(SignedLabel::in_description);
            label.is_some_and(|(label, _)| label.public_base64() == public)
        }
        "PutSecretValue" => labelled.any(|label| label.public_base64() == public),
        _ => false,
    }
}

/// Rule 9, and the promise of `Regenerate`: it takes the same rounds whatever the cluster's size.
#[tokio::test(flavor = "multi_thread")]
async fn an_update_with_another_token_takes_the_same_rounds_whatever_the_size() -> Result<()> {
    let mut taken = Vec::new();
    for count in [1_u32, 3] {
        let nodes: Vec<u32> = (0..count).collect();
        let (old, new) = (Properties::nodes(&nodes), Properties::nodes(&nodes).with("Regenerate", "1"));
        let stage = Stage::after(&[Sent::create("create-1", &old)]).await?;
        let sent = Sent::update("update-1", &old, &new, &stage.physical_id("tsm"));
        let rounds = Rounds::of(&stage, &sent).await?;
        ensure!(rounds.most <= 2 * AT_ONCE, "{} calls at once", rounds.most);
        taken.push(rounds.taken);
    }
    ensure!(taken[0] == taken[1], "rounds of 1 and 3 nodes: {taken:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_takes_the_same_rounds_whatever_its_size_and_a_bounded_number_of_calls_at_once() -> Result<()>
{
    let one = Rounds::of_create(1).await?;
    for nodes in [2, 3] {
        let more = Rounds::of_create(nodes).await?;
        ensure!(more.taken == one.taken, "{nodes} nodes take {} rounds, one takes {}", more.taken, one.taken);
        ensure!(more.most <= 2 * AT_ONCE, "{} calls at once", more.most);
    }
    // Where there is more to do than may be under way at once, a round is as many waves as that needs.
    let many = Rounds::of_create(24).await?;
    ensure!((AT_ONCE..=2 * AT_ONCE).contains(&many.most), "{} calls at once", many.most);
    let waves = many.calls.div_ceil(AT_ONCE);
    ensure!(many.taken <= one.taken + waves, "24 nodes take {} rounds", many.taken);
    Ok(())
}

/// What an operation takes when nothing is answered before it has asked for all it can ask for.
struct Rounds {
    taken: usize,
    calls: usize,
    most: usize,
}

impl Rounds {
    async fn of_create(nodes: u32) -> Result<Self> {
        let nodes: Vec<u32> = (0..nodes).collect();
        Self::of(&Stage::new().await?, &Sent::create("create-1", &Properties::nodes(&nodes))).await
    }

    async fn of(stage: &Stage, sent: &Sent) -> Result<Self> {
        stage.begins(sent);
        let every = || stage.double.hold(Pattern::any().every(), Side::Before);
        let before = stage.double.calls().len();
        let (mut held, mut answered) = (every(), before);
        let delivery = stage.start(sent, "rounds").await?;
        let process = delivery.function.process_id();
        let running = tokio::spawn(delivery.carried_out());
        let mut rounds = Self { taken: 0, calls: 0, most: 0 };
        while !running.is_finished() {
            let arrived = all_asked(stage, process, &running).await?;
            if arrived > answered {
                rounds.taken += 1;
                rounds.most = rounds.most.max(arrived - answered);
                answered = arrived;
            }
            let next = every();
            held.release();
            held = next;
        }
        let answer = running.await??;
        ensure!(answer.succeeded(), "{}", answer.reason());
        rounds.calls = answered - before;
        Ok(rounds)
    }
}

/// Waits until the function sleeps and nothing more arrives, and gives how many calls have arrived.
async fn all_asked<T>(stage: &Stage, process: u32, running: &JoinHandle<T>) -> Result<usize> {
    let mut alike = (None, 0);
    while alike.1 < 5 && !running.is_finished() {
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{process}/stat")) else { break };
        // After the name in parentheses: the state, and at 12 and 13 the times in user and kernel mode.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let sleeps = fields.first() == Some(&"S");
        let now = (fields.get(11..13).map(<[&str]>::concat), stage.double.calls().len());
        alike =
            if sleeps && alike.0.as_ref() == Some(&now) { (alike.0, alike.1 + 1) } else { (Some(now), 0) };
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(stage.double.calls().len())
}
