//! Rotations by the real function, driven as Secrets Manager and EventBridge Scheduler drive it: killed at
//! every call and begun again, side by side, and in the middle of what a stack does.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use contract_double::{Call, CallKey, Pattern, Rotation, Side, Twist, call_keys};
use jiff::{SignedDuration, Timestamp};
use key_material::{ApiKeyHash, P2pPrivateKey};
use provisioning::names::{ClusterName, Purpose};
use provisioning::record::{AcceptedKey, KeyState, NodeRecord};
use provisioning::version_label::VersionLabel;
use rig::calls::KEY_ROTATION_OPERATIONS;
use rig::functions::{Build, bootstrap};
use rig::runtime::{self, Function, Outcome};
use serde_json::json;

use crate::cloudformation::{Answer, Properties, Sent};
use crate::parallel::{WAITING_AT_ONCE, every, every_of};
use crate::rules::open;
use crate::stage::{SOON, Stage, StoredSecret, TIME};
use crate::stories::CLUSTER;

const ROTATED: [&str; 3] = ["p2p-key", "api-key/default", "management-key"];
const TOKEN: &str = "11111111-aaaa-4bbb-8ccc-000000000001";
const NEXT: &str = "11111111-aaaa-4bbb-8ccc-000000000002";
const STEPS: [&str; 4] = ["createSecret", "setSecret", "testSecret", "finishSecret"];

/// What is rotated, of which store.
#[derive(Clone, Copy, Debug)]
struct Kind {
    purpose: &'static str,
    store: &'static str,
    origin: &'static str,
}

impl Kind {
    const ALL: [Self; 8] = {
        const fn kind(purpose: &'static str, store: &'static str, origin: &'static str) -> Kind {
            Kind { purpose, store, origin }
        }
        [
            kind("p2p-key", "SecretsManager", "Function"),
            kind("p2p-key", "SecretsManager", "Kms"),
            kind("api-key/default", "SecretsManager", "Function"),
            kind("management-key", "SecretsManager", "Function"),
            kind("p2p-key", "ParameterStore", "Function"),
            kind("p2p-key", "ParameterStore", "Kms"),
            kind("api-key/default", "ParameterStore", "Function"),
            kind("management-key", "ParameterStore", "Function"),
        ]
    };

    fn of(purpose: &'static str) -> Self {
        Self { purpose, store: "SecretsManager", origin: "Function" }
    }

    fn is_in_secrets_manager(self) -> bool {
        self.store == "SecretsManager"
    }

    /// One node, of which everything is rotated that ever is.
    fn declared(self) -> Properties {
        Properties::nodes(&[0])
            .with("Store", self.store)
            .with("KeyOrigin", self.origin)
            .with("RotateApiKeysEvery", "cron(0 8 1 * ? *)")
            .with("RotateP2pKeysEvery", "cron(0 8 1 1 ? *)")
    }

    async fn in_service(self) -> Result<Stage> {
        Stage::after(&[Sent::create("create-1", &self.declared())]).await
    }

    fn name(self) -> String {
        format!("keyboot/{CLUSTER}/node/0/{}", self.purpose)
    }

    /// What the function is invoked with, one after the other.
    fn events(self, stage: &Stage, token: &str) -> Result<Vec<String>> {
        if self.is_in_secrets_manager() {
            return Ok(steps(&stage.secret(self.purpose)?.arn, token));
        }
        let at = scheduled_for(token);
        let event =
            json!({ "Rotate": self.purpose, "Cluster": format!("keyboot/{CLUSTER}"), "Node": "0", "At": at });
        Ok(vec![event.to_string()])
    }

    /// What Secrets Manager does before its first step, unless that is done.
    fn begin(self, stage: &Stage, token: &str) -> Result<()> {
        let is_current = || {
            let secret = stage.secret(self.purpose)?;
            Ok::<_, anyhow::Error>(secret.labels.get("AWSCURRENT").is_some_and(|current| current == token))
        };
        if self.is_in_secrets_manager() && !is_current()? {
            stage.begin_rotation(&self.name(), token)?;
        }
        Ok(())
    }
}

/// For when a schedule asked for it: the same rotation as often as it comes, one of this day.
fn scheduled_for(token: &str) -> String {
    static TODAY: LazyLock<Timestamp> = LazyLock::new(Timestamp::now);
    let hours = i64::from(token == NEXT);
    let at = *TODAY + SignedDuration::from_hours(hours);
    Timestamp::from_second(at.as_second()).unwrap_or(at).to_string()
}

fn steps(arn: &str, token: &str) -> Vec<String> {
    let event = |step| json!({ "Step": step, "SecretId": arn, "ClientRequestToken": token, "RotationToken": "a-credential" });
    STEPS.map(|step| event(step).to_string()).into()
}

fn cluster() -> Result<ClusterName> {
    Ok(format!("keyboot/{CLUSTER}").parse()?)
}

impl Stage {
    fn secret(&self, purpose: &str) -> Result<StoredSecret> {
        let name = format!("keyboot/{CLUSTER}/node/0/{purpose}");
        self.stored().secrets.remove(&name).with_context(|| format!("there is no {name}"))
    }

    fn record(&self) -> Result<NodeRecord> {
        let cluster = cluster()?;
        let index = "0".parse()?;
        let name = cluster.record_parameter(index);
        let text = self.stored().documents.remove(name.as_str()).context("there is no record")?.text;
        Ok(NodeRecord::verify(&text, &self.keys, &cluster, index, 0)?)
    }

    fn begin_rotation(&self, name: &str, token: &str) -> Result<()> {
        self.double.with(|world| world.begin_rotation(&self.stack.place, name, token))?;
        Ok(())
    }

    /// A process of key-rotation whose calls have this session.
    async fn rotator(&self, session: &str) -> Result<Function> {
        let program: PathBuf = bootstrap("key-rotation", Build::Local)?;
        let mut environment = runtime::environment("key-rotation");
        environment.extend(self.stack.rotation_environment());
        environment.insert("AWS_SESSION_TOKEN".to_owned(), session.to_owned());
        environment.insert("AWS_ENDPOINT_URL".to_owned(), self.double.endpoint());
        Function::start(&program, &environment).await
    }

    /// Has a process do what these events ask for, as far as it succeeds.
    async fn ask(&self, session: &str, events: Vec<String>) -> Result<Outcome> {
        self.rotator(session).await?.ask(events, TIME).await
    }

    /// A rotation from its first event to its last, which has to succeed.
    async fn rotate(&self, kind: Kind, token: &str) -> Result<()> {
        kind.begin(self, token)?;
        let outcome = self.ask("rotates", kind.events(self, token)?).await?;
        ensure!(matches!(outcome, Outcome::Response(_)), "{kind:?}: {}", said(&outcome));
        Ok(())
    }

    /// Half a minute goes by: nobody holds a record any more.
    fn half_a_minute_later(&self) {
        let name = format!("/keyboot/{CLUSTER}/node/0/lease");
        self.double.with(|world| {
            if let Some(lease) = world.parameter_mut(&self.stack.place, &name)
                && let Some(latest) = lease.versions.last_mut()
            {
                r#"{"seen":0}"#.clone_into(&mut latest.value);
            }
        });
    }
}

fn said(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Response(body) | Outcome::Error(body) => String::from_utf8_lossy(body).into_owned(),
        other => format!("{other:?}"),
    }
}

fn refusal(outcome: &Outcome) -> Result<String> {
    match outcome {
        Outcome::Error(_) => Ok(said(outcome)),
        other => bail!("it was not refused: {}", said(other)),
    }
}

fn accepted(record: &NodeRecord, purpose: &Purpose) -> Vec<AcceptedKey> {
    match purpose {
        Purpose::ApiKey(application) => record.api_keys.get(application).cloned().unwrap_or_default(),
        _ => record.management_keys.clone(),
    }
}

/// Whoever holds what is handed out now is accepted by what is published now.
fn assert_usable(stage: &Stage) -> Result<()> {
    let record = stage.record()?;
    for purpose in ROTATED {
        let secret = stage.secret(purpose)?;
        let (_, value) = secret.current().with_context(|| format!("{purpose} hands out nothing"))?;
        let purpose: Purpose = purpose.parse()?;
        if purpose == Purpose::P2pKey {
            let key = P2pPrivateKey::from_pkcs8_der(&open(stage, value)?)?;
            let pending = record.pending.as_ref().map(|pending| &pending.public_key);
            let mut listed = [Some(&record.public_key), pending].into_iter().flatten();
            ensure!(listed.any(|public| key.matches(public)), "the P2P key is in no record");
        } else {
            let hash = ApiKeyHash::of(value);
            let is_it = |key: &AcceptedKey| key.hash == hash;
            ensure!(accepted(&record, &purpose).iter().any(is_it), "{purpose} is not accepted");
        }
    }
    Ok(())
}

/// Rotated once: one new version, handed out and published, and nothing pending.
fn assert_rotated(stage: &Stage, kind: Kind, before: &NodeRecord) -> Result<()> {
    assert_usable(stage)?;
    let (secret, record) = (stage.secret(kind.purpose)?, stage.record()?);
    let (current, _) = secret.current().context("nothing is handed out")?;
    if kind.is_in_secrets_manager() {
        ensure!(secret.versions.len() == 2, "{} versions", secret.versions.len());
    }
    ensure!(!secret.labels.contains_key("AWSPENDING"), "something is pending: {:?}", secret.labels);
    ensure!(secret.labels.get("AWSPREVIOUS").is_some_and(|previous| previous != current), "no previous one");
    let own = secret.labels.iter().filter(|(label, _)| label.parse::<VersionLabel>().is_ok());
    let labelled: BTreeSet<&String> = own.map(|(_, version)| version).collect();
    ensure!(labelled.contains(current), "what is handed out says nothing of itself: {:?}", secret.labels);
    let purpose: Purpose = kind.purpose.parse()?;
    if purpose == Purpose::P2pKey {
        let pending = record.pending.context("no key waits for its time")?;
        ensure!(pending.version_id == *current && pending.version == before.version + 1, "another one waits");
        ensure!(record.version_id == before.version_id && record.public_key == before.public_key);
        return Ok(());
    }
    let [new, old] = &accepted(&record, &purpose)[..] else { bail!("{:?}", accepted(&record, &purpose)) };
    ensure!(new.state == KeyState::Current && new.version_id.as_ref() == Some(current), "{new:?}");
    ensure!(old.state == KeyState::Retiring && old.until.is_some(), "{old:?}");
    ensure!(old.hash == accepted(before, &purpose)[0].hash, "the one before is another one");
    Ok(())
}

/// A cluster, and the calls of a rotation that nothing disturbs.
struct Rehearsed {
    kind: Kind,
    start: Stage,
    before: NodeRecord,
    calls: Vec<CallKey>,
}

impl Rehearsed {
    async fn of(kind: Kind) -> Result<Arc<Self>> {
        let start = kind.in_service().await?;
        let before = start.record()?;
        let stage = start.copy().await?;
        stage.rotate(kind, TOKEN).await?;
        assert_rotated(&stage, kind, &before)?;
        let calls = call_keys(&stage.double.calls());
        Ok(Arc::new(Self { kind, start, before, calls }))
    }

    /// A rotation that dies at a call, and then goes on as whoever asked for it makes it.
    async fn dies_and_is_asked_again(&self, call: &CallKey, side: Side) -> Result<()> {
        let (kind, stage) = (self.kind, self.start.copy().await?);
        kind.begin(&stage, TOKEN)?;
        let hold = stage.double.hold(Pattern::from(call), side);
        let mut function = stage.rotator("dies").await?;
        let asked = async {
            for event in kind.events(&stage, TOKEN)? {
                function.invoke(event, TIME).await?;
            }
            Ok::<_, anyhow::Error>(())
        };
        tokio::select! {
            reached = tokio::time::timeout(SOON, hold.reached()) => {
                reached.context("the call was not made")?;
            }
            ended = asked => bail!("it ended before the call was made: {ended:?}"),
        }
        function.end().await?;
        assert_usable(&stage).context("where it died")?;
        stage.half_a_minute_later();
        stage.rotate(kind, TOKEN).await.context("asked again")?;
        assert_rotated(&stage, kind, &self.before)?;
        let record = stage.record()?;
        stage.rotate(kind, TOKEN).await.context("asked once more")?;
        ensure!(stage.record()? == record, "the third time changes something");
        assert_rotated(&stage, kind, &self.before)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_that_dies_anywhere_is_completed_when_it_is_asked_for_again() -> Result<()> {
    for kind in Kind::ALL {
        let rehearsed = Rehearsed::of(kind).await?;
        let points =
            rehearsed.calls.iter().flat_map(|call| [Side::Before, Side::After].map(|side| (call, side)));
        let cases = points.map(|(call, side)| {
            (format!("{kind:?}: {side:?} {call}"), (Arc::clone(&rehearsed), call.clone(), side))
        });
        every(cases.collect::<Vec<_>>(), async |(rehearsed, call, side): (Arc<Rehearsed>, CallKey, Side)| {
            rehearsed.dies_and_is_asked_again(&call, side).await
        })
        .await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_at_any_call_is_got_over_or_told_and_the_retry_completes_it() -> Result<()> {
    for kind in [Kind::of("api-key/default"), Kind::of("p2p-key"), Kind::ALL[6]] {
        let rehearsed = Rehearsed::of(kind).await?;
        let twists = [
            Twist::Throttle,
            Twist::ServerError(500),
            Twist::AnswerLost,
            Twist::refuse("AccessDeniedException"),
        ];
        let points =
            rehearsed.calls.iter().flat_map(|call| twists.clone().map(|twist| (call.clone(), twist)));
        let cases = points.map(|(call, twist)| {
            (format!("{kind:?}: {twist:?} at {call}"), (Arc::clone(&rehearsed), call, twist))
        });
        every(
            cases.collect::<Vec<_>>(),
            async |(rehearsed, call, twist): (Arc<Rehearsed>, CallKey, Twist)| {
                let (kind, stage) = (rehearsed.kind, rehearsed.start.copy().await?);
                kind.begin(&stage, TOKEN)?;
                stage.double.twist(Pattern::from(&call), twist);
                stage.ask("meets it", kind.events(&stage, TOKEN)?).await?;
                assert_usable(&stage)?;
                stage.half_a_minute_later();
                stage.rotate(kind, TOKEN).await?;
                assert_rotated(&stage, kind, &rehearsed.before)
            },
        )
        .await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_rotation_twice_at_once_makes_one_key() -> Result<()> {
    let cases = Kind::ALL
        .into_iter()
        .flat_map(|kind| [0, 3, 9].map(|lead| (format!("{kind:?} {lead}"), (kind, lead))));
    every(cases.collect::<Vec<_>>(), async |(kind, lead): (Kind, u64)| {
        let stage = kind.in_service().await?;
        let before = stage.record()?;
        kind.begin(&stage, TOKEN)?;
        let events = kind.events(&stage, TOKEN)?;
        let second = async {
            tokio::time::sleep(Duration::from_millis(lead)).await;
            stage.ask("second", events.clone()).await
        };
        tokio::try_join!(stage.ask("first", events.clone()), second)?;
        assert_usable(&stage)?;
        // What one of the two could not do is asked for again.
        stage.rotate(kind, TOKEN).await?;
        assert_rotated(&stage, kind, &before)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn all_secrets_of_a_node_are_rotated_at_once() -> Result<()> {
    let cases = (0..6).map(|number| (format!("run {number}"), ()));
    every(cases.collect::<Vec<_>>(), async |()| {
        let stage = Kind::of("p2p-key").in_service().await?;
        let before = stage.record()?;
        let [a, b, c] = ROTATED.map(|purpose| stage.rotate(Kind::of(purpose), TOKEN));
        // Each waits for the others where it has to.
        tokio::try_join!(a, b, c)?;
        ROTATED.iter().try_for_each(|purpose| assert_rotated(&stage, Kind::of(purpose), &before))
    })
    .await
}

/// Lets a rotation happen while an operation of the stack is stopped at each of its calls.
async fn meanwhile<F>(
    kind: Kind,
    sent: impl Fn(&Stage) -> Sent,
    check: impl Fn(Arc<Stage>, Answer) -> F + Clone + Send + 'static,
) -> Result<()>
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    let start = Arc::new(kind.in_service().await?);
    let sent = sent(&start);
    let (calls, answer) = start.rehearse(&sent).await?;
    ensure!(answer.succeeded(), "{}", answer.reason());
    let cases = calls.into_iter().map(|call| {
        let name = format!("{kind:?}: {} stopped before {call}", sent.id);
        (name, (kind, Arc::clone(&start), sent.clone(), call, check.clone()))
    });
    every(
        cases.collect::<Vec<_>>(),
        async |(kind, start, sent, call, check): (Kind, Arc<Stage>, Sent, CallKey, _)| {
            let stage = Arc::new(start.copy().await?);
            stage.begins(&sent);
            kind.begin(&stage, TOKEN)?;
            let events = kind.events(&stage, TOKEN)?;
            let hold = stage.double.hold(Pattern::from(&call).by("stopped"), Side::Before);
            let mut delivery = stage.start(&sent, "stopped").await?;
            let running = tokio::spawn(async move {
                delivery.invocation().await?;
                delivery.answer().await
            });
            tokio::time::timeout(SOON, hold.reached()).await.context("the call was not made")?;
            let rotates = tokio::spawn({
                let stage = Arc::clone(&stage);
                async move { stage.ask("meanwhile", events).await }
            });
            // It may be waiting for a record that the other one holds.
            let mut rotates = rotates;
            let _ = tokio::time::timeout(Duration::from_millis(700), &mut rotates).await;
            hold.release();
            let answer = running.await??;
            if !rotates.is_finished() {
                rotates.await??;
            }
            // What had to give way to the rotation is delivered again.
            stage.half_a_minute_later();
            let answer = match answer {
                Some(answer) => answer,
                None => stage.deliver(&sent).await?,
            };
            check(stage, answer).await
        },
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_during_a_regeneration_leaves_keys_that_are_accepted() -> Result<()> {
    for kind in [Kind::of("api-key/default"), Kind::of("p2p-key"), Kind::ALL[6]] {
        let new = kind.declared().with("Regenerate", "1");
        let update = {
            let (old, new) = (kind.declared(), new.clone());
            move |stage: &Stage| Sent::update("update-1", &old, &new, &stage.physical_id(CLUSTER))
        };
        meanwhile(kind, update, move |stage, answer| {
            async move {
                ensure!(answer.succeeded(), "the Update: {}", answer.reason());
                assert_usable(&stage)?;
                // The next rotation goes through, whatever became of this one.
                let waits = stage.record()?.pending.is_some();
                if !(waits && kind.purpose == "p2p-key") {
                    stage.rotate(kind, NEXT).await.context("the next rotation")?;
                }
                assert_usable(&stage)
            }
        })
        .await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_while_another_node_is_added_leaves_keys_that_are_accepted() -> Result<()> {
    for kind in [Kind::of("api-key/default"), Kind::of("p2p-key"), Kind::ALL[6]] {
        let update = move |stage: &Stage| {
            let (old, new) = (kind.declared(), kind.declared().with_nodes(&[0, 1]));
            Sent::update("update-1", &old, &new, &stage.physical_id(CLUSTER))
        };
        meanwhile(kind, update, move |stage, answer| async move {
            ensure!(answer.succeeded(), "the Update: {}", answer.reason());
            assert_usable(&stage)?;
            // What is handed out is no key whose time ends.
            let (record, purpose) = (stage.record()?, kind.purpose.parse::<Purpose>()?);
            let current = stage.secret(kind.purpose)?.labels.remove("AWSCURRENT");
            let retiring =
                accepted(&record, &purpose).into_iter().find(|key| key.state == KeyState::Retiring);
            ensure!(retiring.is_none_or(|key| key.version_id != current), "{record:?}");
            Ok(())
        })
        .await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_during_a_deletion_brings_nothing_back() -> Result<()> {
    for kind in [Kind::of("api-key/default"), Kind::of("p2p-key"), Kind::ALL[6]] {
        let delete =
            move |stage: &Stage| Sent::delete("delete-1", &kind.declared(), &stage.physical_id(CLUSTER));
        meanwhile(kind, delete, |stage, answer| async move {
            ensure!(answer.succeeded(), "the Delete: {}", answer.reason());
            for (name, secret) in &stage.stored().secrets {
                let is_password = name.ends_with("/share-encryption-password");
                ensure!(secret.scheduled != is_password, "{name}: scheduled is {}", secret.scheduled);
            }
            Ok(())
        })
        .await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_rotated_is_refused_with_the_reason() -> Result<()> {
    let stage = Kind::of("p2p-key").in_service().await?;
    let before = stage.stored();
    let password = &before.secrets[&format!("keyboot/{CLUSTER}/node/0/share-encryption-password")].arn;
    let own = &stage.secret("api-key/default")?.arn;
    let foreign = own.replace("/node/0/api-key/default", "/other");
    let elsewhere = own.replace("111122223333", "444455556666");
    // Nobody has switched its rotation on; the function looks at the secret all the same.
    let (function, rules, last_rotated) = ("of nobody".to_owned(), None, None);
    stage.double.with(|world| {
        if let Some(secret) = world.secret_mut(&stage.stack.place, &name_of(password)) {
            secret.rotation = Some(Rotation { enabled: true, function, rules, last_rotated });
        }
    });
    stage.begin_rotation(&name_of(password), TOKEN)?;
    let refused = async |arn: &str, why: &str| -> Result<()> {
        for event in steps(arn, TOKEN) {
            if event.contains("testSecret") {
                continue;
            }
            let said = refusal(&stage.ask("refused", vec![event]).await?)?;
            ensure!(said.contains(why), "{said}");
        }
        Ok(())
    };
    let stored = stage.stored();
    refused(password, "share-encryption password").await?;
    refused(&foreign, "no secret of a keyboot cluster").await?;
    refused(&elsewhere, "no secret of a keyboot cluster").await?;
    refused(own, "no such version").await?;
    ensure!(stage.stored() == stored, "something was changed");
    Ok(())
}

fn name_of(arn: &str) -> String {
    let name = arn.rsplit(':').next().unwrap_or_default();
    name[..name.len() - 7].to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trial_at_switch_on_succeeds_and_changes_nothing() -> Result<()> {
    for purpose in ROTATED {
        let stage = Kind::of(purpose).in_service().await?;
        let (name, arn) = (Kind::of(purpose).name(), stage.secret(purpose)?.arn);
        let calm = stage.stored();
        stage.double.with(|world| world.begin_trial(&stage.stack.place, &name, TOKEN))?;
        let test = steps(&arn, TOKEN).swap_remove(2);
        let before = stage.stored();
        let calls = stage.double.calls().len();
        let outcome = stage.ask("tried", vec![test.clone()]).await?;
        ensure!(matches!(outcome, Outcome::Response(_)), "{}", said(&outcome));
        ensure!(stage.stored() == before, "the trial changed something");
        let writes = |call: &Call| !rig::calls::NODE_KEYS_READS.contains(&call.operation.as_str());
        ensure!(!stage.double.calls_since(calls).iter().any(writes), "the trial wrote");
        // It comes late, when what was tried is gone again.
        stage.double.with(|world| world.end_trial(&stage.stack.place, &name, TOKEN))?;
        let outcome = stage.ask("late", vec![test]).await?;
        ensure!(matches!(outcome, Outcome::Response(_)), "{}", said(&outcome));
        ensure!(stage.stored() == calm, "the late trial changed something");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_read_that_fails_makes_no_second_version() -> Result<()> {
    let cases = Kind::ALL.map(|kind| (format!("{kind:?}"), kind));
    every_of(WAITING_AT_ONCE, cases, async |kind: Kind| {
        let stage = kind.in_service().await?;
        kind.begin(&stage, TOKEN)?;
        let before = stage.stored();
        let read = if kind.is_in_secrets_manager() { "DescribeSecret" } else { "GetParameterHistory" };
        stage.double.twist(Pattern::operation(read).every(), Twist::Throttle);
        refusal(&stage.ask("throttled", kind.events(&stage, TOKEN)?).await?)?;
        stage.double.clear_twists();
        ensure!(stage.stored() == before, "something was changed");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_older_rotation_left_pending_is_healed() -> Result<()> {
    for purpose in ROTATED {
        let kind = Kind::of(purpose);
        for stop in 1..STEPS.len() {
            let stage = kind.in_service().await?;
            kind.begin(&stage, TOKEN)?;
            let mut events = kind.events(&stage, TOKEN)?;
            events.truncate(stop);
            stage.ask("stops", events).await?;
            // Somebody takes the label from it, so that Secrets Manager begins another one.
            stage.double.with(|world| {
                for version in world
                    .secret_mut(&stage.stack.place, &kind.name())
                    .into_iter()
                    .flat_map(|secret| secret.versions.values_mut())
                {
                    version.stages.remove("AWSPENDING");
                }
            });
            let outcome = {
                kind.begin(&stage, NEXT)?;
                stage.ask("next", kind.events(&stage, NEXT)?).await?
            };
            if purpose == "p2p-key" && stop > 1 {
                // What is published already waits for its time: it is no leftover.
                ensure!(refusal(&outcome)?.contains("has not begun to count"), "{}", said(&outcome));
            } else {
                ensure!(matches!(outcome, Outcome::Response(_)), "{purpose} {stop}: {}", said(&outcome));
                let purpose: Purpose = purpose.parse()?;
                if purpose != Purpose::P2pKey {
                    ensure!(accepted(&stage.record()?, &purpose).len() == 2, "a candidate is left");
                }
                ensure!(!stage.secret(kind.purpose)?.labels.contains_key("AWSPENDING"));
            }
            assert_usable(&stage)?;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_overlap_is_ended_early() -> Result<()> {
    let kind = Kind::of("api-key/default");
    let stage = kind.in_service().await?;
    stage.rotate(kind, TOKEN).await?;
    let retire = vec![json!({ "Retire": format!("keyboot/{CLUSTER}") }).to_string()];
    let outcome = stage.ask("early", retire).await?;
    ensure!(said(&outcome).contains("nothing to do"), "{}", said(&outcome));
    ensure!(accepted(&stage.record()?, &kind.purpose.parse()?).len() == 2);
    Ok(())
}

/// The first one comes again when the second one has taken its place.
#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_that_was_followed_turns_nothing_back() -> Result<()> {
    for kind in Kind::ALL.into_iter().filter(|kind| kind.purpose != "p2p-key") {
        let stage = kind.in_service().await?;
        let first = kind.events(&stage, TOKEN)?;
        stage.rotate(kind, TOKEN).await?;
        stage.rotate(kind, NEXT).await?;
        let (secret, record) = (stage.secret(kind.purpose)?, stage.record()?);
        for event in first {
            stage.ask("again", vec![event]).await?;
        }
        ensure!(stage.secret(kind.purpose)? == secret, "{kind:?}: the secret has changed");
        ensure!(stage.record()? == record, "{kind:?}: the record has changed");
    }
    Ok(())
}

/// Schedules are set and cleared whatever a rotation has come to, and the next one begins.
#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_changes_at_any_point_of_a_rotation() -> Result<()> {
    let cases = ["api-key/default", "p2p-key"].into_iter().flat_map(|purpose| {
        (0..=STEPS.len()).map(move |stop| (format!("{purpose} {stop}"), (purpose, stop)))
    });
    every_of(WAITING_AT_ONCE, cases.collect::<Vec<_>>(), async |(purpose, stop): (&'static str, usize)| {
        let kind = Kind::of(purpose);
        let stage = kind.in_service().await?;
        kind.begin(&stage, TOKEN)?;
        let mut events = kind.events(&stage, TOKEN)?;
        events.truncate(stop);
        if !events.is_empty() {
            stage.ask("stops", events).await?;
        }
        let every =
            |every: &str| kind.declared().with("RotateApiKeysEvery", every).with("RotateP2pKeysEvery", every);
        let off = Properties::nodes(&[0]);
        let changes = [
            (kind.declared(), every("rate(7 days)")),
            (every("rate(7 days)"), off.clone()),
            (off, kind.declared()),
        ];
        for (number, (old, new)) in changes.iter().enumerate() {
            let id = format!("update-{number}");
            let answer = stage.carry_out(&Sent::update(&id, old, new, &stage.physical_id(CLUSTER))).await?;
            ensure!(answer.succeeded(), "{id}: {}", answer.reason());
            assert_usable(&stage)?;
        }
        if stage.record()?.pending.is_none() || purpose != "p2p-key" {
            stage.rotate(kind, NEXT).await?;
        }
        assert_usable(&stage)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_reads_no_value_and_names_no_credential() -> Result<()> {
    let mut operations = BTreeSet::new();
    for kind in Kind::ALL {
        let stage = kind.in_service().await?;
        let first = stage.double.calls().len();
        stage.rotate(kind, TOKEN).await?;
        let calls = stage.double.calls_since(first);
        ensure!(!calls.is_empty(), "no calls");
        for call in &calls {
            ensure!(!call.request.to_string().contains("a-credential"), "{} carries it", call.operation);
        }
        operations.extend(calls.into_iter().map(|call| call.operation));
    }
    operations.retain(|operation| !KEY_ROTATION_OPERATIONS.contains(&operation.as_str()));
    ensure!(operations.is_empty(), "key-rotation also calls {operations:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_event_is_refused_by_its_field_without_its_value() -> Result<()> {
    let stage = Kind::of("p2p-key").in_service().await?;
    let before = stage.stored();
    let own = stage.secret("p2p-key")?.arn;
    for (event, field) in [
        (json!({ "Step": "canary", "SecretId": own, "ClientRequestToken": TOKEN }), "Step"),
        (json!({ "Step": "createSecret", "SecretId": "canary", "ClientRequestToken": TOKEN }), "SecretId"),
        (
            json!({ "Step": "createSecret", "SecretId": own, "ClientRequestToken": "canary" }),
            "ClientRequestToken",
        ),
        (
            json!({ "Rotate": "canary", "Cluster": "keyboot/tsm", "Node": "0", "At": scheduled_for(TOKEN) }),
            "Rotate",
        ),
        (
            json!({ "Rotate": "p2p-key", "Cluster": "canary", "Node": "0", "At": scheduled_for(TOKEN) }),
            "Cluster",
        ),
        (json!({ "Retire": "canary" }), "Retire"),
        (json!({ "canary": true }), "Step"),
        (json!(["canary"]), "Step"),
    ] {
        let said = refusal(&stage.ask("malformed", vec![event.to_string()]).await?)?;
        ensure!(said.contains(field) && !said.contains("canary"), "{said}");
    }
    ensure!(stage.stored() == before, "something was changed");
    Ok(())
}

/// Every file of `events/rotation`, as its name says what comes of it. Secrets Manager adds six characters
/// of its own choice to a secret's name, so those of the stage are put in.
#[tokio::test(flavor = "multi_thread")]
async fn every_event_in_the_repository_is_answered_as_it_is_named() -> Result<()> {
    let mut files: Vec<_> = std::fs::read_dir(rig::repository().join("events/rotation"))?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    files.sort();
    let stages = [Kind::of("api-key/default"), Kind::ALL[6]];
    let [secrets, parameters] = [stages[0].in_service().await?, stages[1].in_service().await?];
    let mut seen = BTreeSet::new();
    for file in files {
        let name = file.file_stem().and_then(|name| name.to_str()).context("no name")?.to_owned();
        let mut event: serde_json::Value = serde_json::from_slice(&std::fs::read(&file)?)?;
        if let Some(known) = event["SecretId"].as_str().filter(|arn| arn.contains("/node/0/")) {
            let purpose = known.split("/node/0/").nth(1).unwrap_or_default();
            if let Some(purpose) = purpose.strip_suffix("-AbCdEf") {
                event["SecretId"] = secrets.secret(purpose)?.arn.into();
            }
        }
        let token = event["ClientRequestToken"].as_str().unwrap_or_default().to_owned();
        if !event["At"].is_null() {
            event["At"] = scheduled_for(TOKEN).into();
        }
        if name == "step-1-create-secret" {
            secrets.begin_rotation(&stages[0].name(), &token)?;
        }
        let is_scheduled = name.starts_with("scheduled-");
        let stage = if is_scheduled { &parameters } else { &secrets };
        let before = stage.stored();
        let outcome = stage.ask("by hand", vec![event.to_string()]).await?;
        let kind = name.split('-').next().unwrap_or_default().to_owned();
        match kind.as_str() {
            "step" | "scheduled" => {
                ensure!(matches!(outcome, Outcome::Response(_)), "{name}: {}", said(&outcome));
                let is_check = name.contains("test-secret")
                    || name.contains("set-secret")
                    || name.contains("retirement");
                ensure!(is_check == (stage.stored() == before), "{name}: {}", said(&outcome));
            }
            "trial" => {
                ensure!(matches!(outcome, Outcome::Response(_)), "{name}: {}", said(&outcome));
                ensure!(stage.stored() == before, "{name}");
            }
            "refused" | "malformed" => {
                let said = refusal(&outcome)?;
                ensure!(stage.stored() == before, "{name}: {said}");
            }
            other => bail!("{other} is no kind of event"),
        }
        seen.insert(kind);
    }
    ensure!(seen.len() == 5, "kinds {seen:?}");
    Ok(())
}
