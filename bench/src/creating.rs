//! One Create against a contract double of its own, watched from outside.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use aws_credential_types::Credentials;
use contract_double::deploy::KmsStack;
use contract_double::{Call, Double, Hold, Pattern, Side, Twist, most_at_once, sequential_rounds};
use provisioning::names::ClusterName;
use rig::cloud::Cloud;
use rig::cluster;
use rig::receiver::Receiver;
use rig::runtime::{Function, Outcome};

use crate::subject::{Contender as _, Programs, Subject};

/// How long Lambda lets node-keys run, as template.yaml says.
const TIME: Duration = Duration::from_mins(5);
/// How often Lambda runs it for one event, as template.yaml says.
const RUNS: u32 = 3;
/// How long a function may take to ask for its first event.
const PATIENCE: Duration = Duration::from_secs(30);

/// Under which circumstances a Create is watched.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Conditions {
    /// How many nodes the cluster has.
    pub(crate) nodes: u32,
    /// How long every call to AWS takes at least.
    pub(crate) delay: Duration,
    /// How many times as fast as AWS documents it the double takes calls; without limit if nothing
    /// is said.
    pub(crate) rates: Option<u32>,
}

impl Conditions {
    /// Of so many nodes, and nothing in the way.
    pub(crate) fn free(nodes: u32) -> Self {
        Self { nodes, delay: Duration::ZERO, rates: None }
    }
}

/// What was seen of a Create.
#[derive(Clone, Debug)]
pub(crate) struct Create {
    /// From the start of the process to its first call to AWS.
    pub(crate) to_first_call: Duration,
    /// From the start of the process to the end of its work.
    pub(crate) whole: Duration,
    /// How many calls it made.
    pub(crate) calls: usize,
    /// How many of them were refused as too many.
    pub(crate) throttled: usize,
    /// How often at least it waited for an answer before it called again.
    pub(crate) rounds: usize,
    /// The most calls under way at once.
    pub(crate) at_once: usize,
    /// The most memory that it had in use, in bytes.
    pub(crate) peak_memory: u64,
    /// How often Lambda had to run it.
    pub(crate) runs: u32,
    /// Why CloudFormation was told that it failed, if it was.
    pub(crate) failure: Option<String>,
}

impl Create {
    /// The most memory that it had in use, in MiB.
    pub(crate) fn peak_memory_mib(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "memory of a function is far below 2^52 bytes")]
        let bytes = self.peak_memory as f64;
        bytes / 1024.0 / 1024.0
    }

    /// The share of its calls that were refused as too many.
    pub(crate) fn throttled_share(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a Create makes some thousands of calls")]
        let share = self.throttled as f64 / self.calls.max(1) as f64;
        share
    }
}

/// How long a function takes from its start to its first request for an event.
pub(crate) async fn start(programs: &Programs, subject: Subject, stack: &KmsStack) -> Result<Duration> {
    let environment = programs.environment(subject, stack);
    let mut function = Function::start(&programs.of(subject, false), &environment).await?;
    let ready = function.ready(PATIENCE).await;
    let ended = function.end().await?;
    ready.with_context(|| format!("{} never asked for an event: {}", subject.name(), ended.printed()))
}

/// Has node-keys make the keys of a cluster that is there for something else.
pub(crate) async fn make(programs: &Programs, stack: &KmsStack, nodes: u32) -> Result<()> {
    let receiver = Receiver::start().await?;
    let event = event(stack, nodes, &receiver.url("/answer"));
    let environment = programs.environment_on_the_double(Subject::NodeKeys, stack, None);
    let mut function = Function::start(&programs.of(Subject::NodeKeys, true), &environment).await?;
    function.invoke(event, TIME).await?;
    let answer = receiver.so_far().await.pop();
    let ended = function.end().await?;
    let answer = answer.with_context(|| format!("there was no answer: {}", ended.printed()))?.json()?;
    ensure!(answer["Status"] == "SUCCESS", "the cluster was not made: {}", answer["Reason"]);
    Ok(())
}

/// Starts a function and has it make a cluster's keys.
///
/// Where it ends well, what it has made is checked to be all there.
pub(crate) async fn create(programs: &Programs, subject: Subject, conditions: &Conditions) -> Result<Create> {
    let double = Double::start().await?;
    let stack = KmsStack::deploy(&double, [])?;
    if let Some(times) = conditions.rates {
        double.with(|world| world.enforce_rates_times(times));
    }
    if !conditions.delay.is_zero() {
        double.twist(Pattern::any().every(), Twist::Slow(conditions.delay));
    }
    let first_call = tokio::spawn(passed(double.hold(Pattern::any(), Side::Before)));
    let receiver = Receiver::start().await?;
    let event = event(&stack, conditions.nodes, &receiver.url("/answer"));

    let environment = programs.environment_on_the_double(subject, &stack, conditions.rates);
    let mut function = Function::start(&programs.of(subject, true), &environment).await?;
    let started = function.started();
    let (mut runs, mut answer) = (0, None);
    while answer.is_none() && runs < RUNS {
        runs += 1;
        let ended = function.invoke(event.clone(), TIME).await?;
        answer = receiver.so_far().await.pop();
        if matches!(ended, Outcome::Ended | Outcome::TimedOut) {
            break;
        }
    }
    let whole = started.elapsed();
    let Some(answer) = answer else {
        bail!("{} gave no answer: {}", subject.name(), function.end().await?.printed());
    };
    let peak_memory = function.peak_memory()?;
    function.end().await?;

    let answer = answer.json()?;
    let failed = answer["Status"] != "SUCCESS";
    let failure = failed.then(|| answer["Reason"].as_str().unwrap_or_default().to_owned());
    let calls = double.calls();
    ensure!(!calls.is_empty(), "{} called nothing: {failure:?}", subject.name());
    if failure.is_none() {
        double.clear_twists();
        complete(&double, &stack, conditions).await.with_context(|| subject.name())?;
    }
    Ok(Create {
        to_first_call: first_call.await?.duration_since(started),
        whole,
        throttled: calls.iter().filter(|call| is_throttled(call)).count(),
        rounds: sequential_rounds(&calls),
        at_once: most_at_once(&calls),
        calls: calls.len(),
        peak_memory,
        runs,
        failure,
    })
}

/// When a call has come to a stop, which lets it go on at once.
async fn passed(stop: Hold) -> Instant {
    stop.reached().await;
    let at = Instant::now();
    stop.release();
    at
}

fn event(stack: &KmsStack, nodes: u32, response_url: &str) -> String {
    let mut event = stack.event("Create", "8c8b2ce4-4b3a-4e9e-9f0c-5d3b6a1f0e77", response_url);
    let indexes: Vec<String> = (0..nodes).map(|index| index.to_string()).collect();
    let properties = &mut event["ResourceProperties"];
    properties["Nodes"] = indexes.into();
    // Python's pairs are made in the function, so ours are as well.
    properties["KeyOrigin"] = "Function".into();
    event.to_string()
}

fn is_throttled(call: &Call) -> bool {
    call.error_code().is_some_and(|code| code.contains("Throttl") || code == "LimitExceededException")
}

/// Checks that all is there: each node's secrets and documents, and where that takes no long time,
/// every signature, as a node would.
async fn complete(double: &Double, stack: &KmsStack, conditions: &Conditions) -> Result<()> {
    let nodes = usize::try_from(conditions.nodes)?;
    let (secrets, records) = double.with(|world| {
        let is_record = |name: &str| name.ends_with("/record");
        let records = world.parameters(&stack.place).filter(|parameter| is_record(&parameter.name));
        (world.secrets(&stack.place).count(), records.count())
    });
    ensure!(
        secrets == 4 * nodes && records == nodes,
        "{secrets} secrets and {records} records of {nodes} nodes"
    );
    if conditions.rates.is_none() {
        let root = Credentials::new(&stack.place.account, "of-nobody", None, None, "bench");
        let cloud = Cloud::with(&double.endpoint(), root);
        let name: ClusterName = "keyboot/tsm".parse()?;
        let published = cluster::read(&cloud, &name, &stack.record_key).await?;
        ensure!(published.records.len() == nodes, "the roster lists {} nodes", published.records.len());
    }
    Ok(())
}
