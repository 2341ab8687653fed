//! Optional parts of the Core Stack: every two of them together, in some stack that is deployed and deleted.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use rig::cloud::Cloud;
use rig::core_stack::Uploaded;
use rig::ministack::MiniStack;
use rig::python::Venv;
use serde_json::json;

use crate::stage::{KMS, Stage, kms_stack};

/// A choice that whoever deploys has, by what each of its answers sets.
type Choice = (&'static str, &'static [&'static [(&'static str, &'static str)]]);

/// All choices. What of `KEYS` and `TOPIC` is told when there is one.
const CHOICES: [Choice; 11] = [
    ("zones", &[&[("Zones", "2")], &[("Zones", "3")]]),
    ("NAT gateways", &[&[("NatGateways", "One")], &[("NatGateways", "PerZone")]]),
    ("VPC endpoints", &[&[("VpcEndpoints", "true")], &[("VpcEndpoints", "false")]]),
    ("exposure", &[&[("Exposure", "Internal")], &[("Exposure", "InternetFacing")]]),
    ("Session Manager", &[&[("SessionManager", "false")], &[("SessionManager", "true")]]),
    ("second zone of the database", &[&[("DatabaseMultiAz", "false")], &[("DatabaseMultiAz", "true")]]),
    ("flow logs", &[&[("FlowLogs", "true")], &[("FlowLogs", "false")]]),
    ("alarms", &[&[], &[("AlarmEmail", "operator@example.com")], &[("AlarmTopicArn", TOPIC)]]),
    ("keys", &[&[("KmsStackName", KMS)], &[("KmsStackName", ""), ("KmsKeyArn", KEY)]]),
    ("peers elsewhere", &[&[], &[("PeerAddresses", "7=tcp://node-7.example.com:9000"), ("AllNodes", "0,7")]]),
    ("rotation", &[&[("RotateDatabaseLoginEvery", "rate(30 days)")], &[("RotateDatabaseLoginEvery", "")]]),
];
const KEY: &str = "the KMS Stack's key";
const TOPIC: &str = "arn:aws:sns:us-east-1:000000000000:alarms";

/// A row of the table: which answer to each choice.
type Row = [usize; CHOICES.len()];

/// Rows in which any two answers to different choices come together: one row after the other, each the one of some
/// that brings the most pairs that no row before has.
fn rows() -> Vec<Row> {
    let mut missing: BTreeSet<Pair> = pairs_of_all().collect();
    let (mut rows, mut state) = (Vec::new(), 1);
    while !missing.is_empty() {
        let candidates: Vec<_> = (0..100).map(|_| candidate(&missing, &mut state)).collect();
        let brings = |row: &Row| pairs_of(row).filter(|pair| missing.contains(pair)).count();
        let Some(row) = candidates.into_iter().max_by_key(brings) else { break };
        missing.retain(|pair| !pairs_of(&row).any(|there| there == *pair));
        rows.push(row);
    }
    rows
}

/// A row made in some order of the choices, each answered by what brings the most with those before.
fn candidate(missing: &BTreeSet<Pair>, state: &mut u32) -> Row {
    // Always the same numbers: the table is the same at each run.
    let mut next = || {
        *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *state >> 8
    };
    let mut order: Vec<_> = (0..CHOICES.len()).map(|choice| (next(), choice)).collect();
    order.sort_unstable();
    let mut row: [Option<usize>; CHOICES.len()] = [None; CHOICES.len()];
    for (_, choice) in order {
        let brings = |answer: usize| {
            let before = row.iter().enumerate().filter_map(|(other, set)| Some((other, (*set)?)));
            before.filter(|other| missing.contains(&pair((choice, answer), *other))).count()
        };
        let answers = (0..CHOICES[choice].1.len()).map(|answer| (brings(answer), next(), answer));
        row[choice] = answers.max().map(|(_, _, answer)| answer);
    }
    row.map(Option::unwrap_or_default)
}

/// Two answers, each with the choice that it is to; the lower choice first.
type Pair = ((usize, usize), (usize, usize));

fn pair(one: (usize, usize), other: (usize, usize)) -> Pair {
    (one.min(other), one.max(other))
}

fn pairs_of(row: &Row) -> impl Iterator<Item = Pair> {
    let choices = 0..row.len();
    choices.flat_map(move |one| (one + 1..row.len()).map(move |other| ((one, row[one]), (other, row[other]))))
}

fn pairs_of_all() -> impl Iterator<Item = Pair> {
    let answers = |choice: usize| (0..CHOICES[choice].1.len()).map(move |answer| (choice, answer));
    let all = move || (0..CHOICES.len()).flat_map(answers);
    all().flat_map(move |one| all().filter(move |other| other.0 > one.0).map(move |other| (one, other)))
}

#[test]
fn any_two_answers_are_together_in_some_row() {
    let rows = rows();
    for ((one, answer), (other, another)) in pairs_of_all() {
        let is_there = rows.iter().any(|row| row[one] == answer && row[other] == another);
        assert!(is_there, "{} {answer} and {} {another}", CHOICES[one].0, CHOICES[other].0);
    }
    assert!(rows.len() <= 10, "{} rows for so few choices", rows.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_combination_of_two_parts_is_deployed_and_deleted_in_the_first_half() -> Result<()> {
    let rows = rows();
    deploy_and_delete(&rows[..rows.len() / 2]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_combination_of_two_parts_is_deployed_and_deleted_in_the_second_half() -> Result<()> {
    let rows = rows();
    deploy_and_delete(&rows[rows.len() / 2..]).await
}

async fn deploy_and_delete(rows: &[Row]) -> Result<()> {
    let ministack = MiniStack::start(&Venv::ready()?, None)?;
    let root = Cloud::as_root(&ministack.endpoint());
    let kms = kms_stack(&root, KMS, 1).await?.create().await?;
    let key = kms.output("KmsKeyArn")?;
    let uploaded = Uploaded::of(&root, &ministack.database_roots()).await?;
    for (number, row) in rows.iter().enumerate() {
        let name = format!("core-{number}");
        let answers = row.iter().zip(&CHOICES).flat_map(|(answer, (_, answers))| answers[*answer]);
        let parameters: Vec<_> = answers.map(|(name, value)| (*name, value.replace(KEY, key))).collect();
        let deployment = uploaded.deployment(&name, KMS, &kms, 1).await?;
        let deployment = deployment
            .with_all(parameters.iter().map(|(name, value)| (*name, value.as_str())))
            .with("DatabaseDeletionProtection", "false")
            // What stays of one stack is in no other's way.
            .with("Cluster", &format!("row-{number}"));
        let deployed = deployment.create().await.with_context(|| format!("{parameters:?}"))?;
        let deleted = deployment.delete(&deployed.id).await.with_context(|| format!("{parameters:?}"))?;
        ensure!(deleted.status == "DELETE_COMPLETE", "{}", deleted.status);
    }
    Ok(())
}

/// What may be changed later: where the load balancers are reached from, the endpoints, and a zone more. A target group
/// serves one load balancer, so another one has others; the mark behind the ways out is changed in its place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_exposure_other_endpoints_and_a_zone_more_are_taken_by_an_update() -> Result<()> {
    let mut stage =
        Stage::set(1, &[("Zones", "2"), ("NatGateways", "One"), ("VpcEndpoints", "false")]).await?;
    let before = of_the_load_balancer(&stage).await?;
    for (parameter, value) in [("VpcEndpoints", "true"), ("Zones", "3"), ("Exposure", "InternetFacing")] {
        stage.deployment = stage.deployment.clone().with(parameter, value);
        stage.core = stage.deployment.update().await.with_context(|| format!("{parameter}={value}"))?;
        let after = of_the_load_balancer(&stage).await?;
        ensure!((before == after) == (parameter != "Exposure"), "{parameter}={value}: {after:?}");
        ensure!(before.is_disjoint(&after) || before == after, "{before:?}, {after:?}");
    }
    let mark = stage.resources("AWS::SSM::Parameter").await?;
    let name = mark.get("NetworkReady").context("no mark")?;
    let mark = stage.ask("ssm", "get_parameter", &json!({ "Name": name }))?;
    let ways = mark["Parameter"]["Value"].as_str().context("no value")?.split(' ').count();
    // Public routes, private routes, endpoints.
    ensure!(ways == 4 + 6 + 5, "{mark}");
    let deleted = stage.deployment.clone().with("DatabaseDeletionProtection", "false");
    deleted.update().await?;
    let deleted = deleted.delete(&stage.core.id).await?;
    ensure!(deleted.status == "DELETE_COMPLETE", "{}", deleted.status);
    Ok(())
}

/// The load balancer and its target groups, which are named after it and which the node's group is in.
async fn of_the_load_balancer(stage: &Stage) -> Result<BTreeSet<String>> {
    let balancer = stage.of_node("AWS::ElasticLoadBalancingV2::LoadBalancer", 0).await?;
    let id = balancer.rsplit('/').next().unwrap_or_default();
    let groups = stage.resources("AWS::ElasticLoadBalancingV2::TargetGroup").await?;
    for (group, name) in [("SdkTargets0", "sdk"), ("MpcTargets0", "mpc")] {
        let arn = groups.get(group).with_context(|| format!("no {group}"))?;
        ensure!(arn.contains(&format!(":targetgroup/{name}-{id}/")), "{arn} of {balancer}");
    }
    let names = json!({"AutoScalingGroupNames": [stage.core.output("Node0GroupName")?]});
    let shown = stage.ask("autoscaling", "describe_auto_scaling_groups", &names)?;
    let arns = shown["AutoScalingGroups"][0]["TargetGroupARNs"].as_array().into_iter().flatten();
    let serving: BTreeSet<_> = arns.filter_map(|arn| arn.as_str()).map(str::to_owned).collect();
    ensure!(serving == groups.into_values().collect(), "{shown}");
    Ok(serving.into_iter().chain([balancer]).collect())
}
