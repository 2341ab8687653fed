//! A death at every request to the server, before it is heard of and after it was answered, and then the same
//! run again: it finishes, as if nothing had happened.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;
use rig::fuse::{Burn, Fuse};

use crate::contract::rules::{assert_gone_by_rule, assert_in_service, assert_made_once, assert_owned};
use crate::parallel::every;
use crate::stage::{Act, Cluster, Declared, Stage, Stored, is_write};

/// A run of the program, and what happened before it.
#[derive(Clone, Debug)]
pub(crate) struct Story {
    pub(crate) name: &'static str,
    pub(crate) before: Vec<Act>,
    pub(crate) act: Act,
    /// Whether it dies at each request that changes nothing as well.
    pub(crate) reads: bool,
    /// What is asked for after all that, and has to find all as it should be.
    pub(crate) then: Option<Act>,
}

/// What was met: before the run, where it died, and after it was begun again.
pub(crate) struct Met {
    pub(crate) stage: Arc<Stage>,
    pub(crate) act: Act,
    pub(crate) start: Stored,
    pub(crate) died: Stored,
    pub(crate) after: Stored,
}

impl Met {
    /// What could be read where it died, of what can be read now: what goes is hidden, and is there.
    pub(crate) fn visible(&self) -> Stored {
        let mut died = self.died.clone();
        for (name, secret) in &mut died.secrets {
            let now = self.after.secrets.get(name).map(|secret| &secret.values);
            secret.values.retain(|version, value| {
                let is_hidden = now.is_some_and(|now| now.get(version) == Some(&None));
                value.is_some() && !is_hidden
            });
        }
        died
    }
}

/// Lets a run die at every request, on both sides of it. Each death has a namespace of its own, in which the
/// same has happened before.
pub(crate) async fn dies_at_every_request<F, Fut>(stage: &Arc<Stage>, story: &Story, check: F) -> Result<()>
where
    F: Fn(Arc<Met>) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = Result<()>> + Send + 'static,
{
    // Undisturbed, to learn how many there are.
    let calm = namespace_of(story.name, "calm");
    prepare(stage, story, &calm).await?;
    let start = stage.stored(&calm).await?;
    let fuse = Fuse::start(&stage.bao.server, Burn::Never)?;
    let act = story.act.clone().at(&calm);
    stage.act_by(&fuse.address(), &act).await?.succeeded().context("undisturbed")?;
    let requests = fuse.requests();
    let total = requests.len();
    ensure!(total > 3, "{} makes {total} requests", story.name);
    let stored = stage.stored(&calm).await?;
    let met = Met { stage: Arc::clone(stage), act, start, died: stored.clone(), after: stored };
    check(Arc::new(met)).await.context("undisturbed")?;

    let burnt = Arc::new(AtomicUsize::new(0));
    // A request that changes nothing leaves behind what the one before it left: of those one side is enough, and
    // of most stories none.
    let deaths = requests.iter().zip(1..).flat_map(|(request, number)| match story.reads {
        _ if is_write(request) => vec![Burn::Before(number), Burn::After(number)],
        true => vec![Burn::Before(number)],
        false => Vec::new(),
    });
    let deaths: Vec<Burn> = deaths.collect();
    let planned = deaths.len();
    let cases = deaths.into_iter().map(|burn| {
        let case = (Arc::clone(stage), story.clone(), burn, Arc::clone(&burnt), check.clone());
        (format!("{}: {burn:?} of {total}", story.name), case)
    });
    every(
        cases.collect::<Vec<_>>(),
        async |(stage, story, burn, burnt, check): (Arc<Stage>, Story, Burn, Arc<AtomicUsize>, F)| {
            let side = format!("{burn:?}").to_lowercase().replace(['(', ')'], "-");
            let namespace = namespace_of(story.name, side.trim_end_matches('-'));
            prepare(&stage, &story, &namespace).await?;
            let act = story.act.clone().at(&namespace);
            let start = stage.stored(&namespace).await?;
            let fuse = Fuse::start(&stage.bao.server, burn)?;
            let ran = stage.act_by(&fuse.address(), &act).await?;
            if fuse.is_burnt() {
                burnt.fetch_add(1, Ordering::Relaxed);
            } else {
                ran.succeeded().context("nothing disturbed it")?;
            }
            let died = stage.stored(&namespace).await?;
            stage.holds_are_over(&namespace).await?;
            let at = || format!("begun again after {:?}", fuse.requests().last());
            stage.act(&act).await.with_context(at)?;
            let after = stage.stored(&namespace).await?;
            let met = Arc::new(Met { stage: Arc::clone(&stage), act: act.clone(), start, died, after });
            check(Arc::clone(&met)).await.with_context(at)?;
            // What is finished is: of the two sides one is enough to see it.
            if matches!(burn, Burn::Before(_)) {
                let written = stage.writes_of(&act).await.context("the third time")?;
                ensure!(written.is_empty(), "the third time writes {written:?}; {}", at());
                let stored = stage.stored(&namespace).await?;
                ensure!(stored.at_rest() == met.after.at_rest(), "the third time changes something");
            }
            if let Some(then) = story.then.map(|then| then.at(&namespace)) {
                stage.act(&then).await.context("what comes after it")?;
                let stored = stage.stored(&namespace).await?;
                assert_in_service(&stage, &then.declared, &stored).await.context("what comes after it")?;
            }
            Ok(())
        },
    )
    .await?;
    let burnt = burnt.load(Ordering::Relaxed);
    // Of what is asked side by side the order varies, and with it here and there the number.
    ensure!(burnt + 4 >= planned, "{}: of {planned} deaths only {burnt} came", story.name);
    Ok(())
}

fn namespace_of(story: &str, case: &str) -> String {
    let story: String = story.split(' ').filter_map(|word| word.chars().next()).collect();
    format!("keyboot/{story}/{case}")
}

async fn prepare(stage: &Stage, story: &Story, namespace: &str) -> Result<()> {
    for act in &story.before {
        stage.act(&act.clone().at(namespace)).await.context("before")?;
    }
    Ok(())
}

/// Whatever was stored where it died counts now or is gone for good: nothing was made twice, and nothing is
/// there that nobody owns.
async fn assert_finished(met: &Met) -> Result<()> {
    assert_in_service(&met.stage, &met.act.declared, &met.after).await?;
    assert_made_once(&met.start, &met.died, &met.after)
}

fn one_node() -> Declared {
    Declared::cluster("keyboot", Cluster::of(&[0]))
}

fn with(change: impl FnOnce(Cluster) -> Cluster) -> Declared {
    let mut declared = one_node();
    declared.cluster = declared.cluster.map(change);
    declared
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_whose_making_dies_anywhere_is_made_by_the_next_run() -> Result<()> {
    let stage = Arc::new(Stage::new().await?);
    let changed = Act::changes(with(|cluster| cluster.with_nodes(&[0, 1])));
    let story = Story {
        name: "making",
        before: Vec::new(),
        act: Act::makes(one_node()),
        reads: true,
        then: Some(changed),
    };
    dies_at_every_request(&stage, &story, async |met| {
        assert_finished(&met).await?;
        ensure!(met.after.secrets.len() == 3, "{:?}", met.after.secrets.keys());
        let generations: BTreeSet<_> =
            met.after.secrets.values().map(|secret| secret.tag("keyboot:generation")).collect();
        ensure!(generations.len() == 1, "of one request: {generations:?}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_adds_and_removes_may_die_anywhere() -> Result<()> {
    let stage = Arc::new(Stage::new().await?);
    let new = with(|cluster| Cluster { applications: vec!["other"], ..cluster.with_nodes(&[1]) });
    let story = Story {
        name: "nodes changed",
        before: vec![Act::makes(one_node())],
        act: Act::changes(new),
        reads: false,
        then: None,
    };
    dies_at_every_request(&stage, &story, async |met| {
        assert_finished(&met).await?;
        ensure!(met.after.secrets.len() == 6, "{:?}", met.after.secrets.keys());
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_are_made_anew_may_die_anywhere() -> Result<()> {
    let stage = Arc::new(Stage::new().await?);
    let new = with(|cluster| cluster.with("regenerate", "\"2026-11\""));
    let story = Story {
        name: "keys renewed",
        before: vec![Act::makes(one_node())],
        act: Act::changes(new),
        reads: false,
        then: None,
    };
    dies_at_every_request(&stage, &story, async |met| {
        assert_finished(&met).await?;
        for (name, secret) in &met.after.secrets {
            let versions = if name.ends_with("/share-encryption-password") { 1 } else { 2 };
            ensure!(secret.values.len() == versions, "{name} has {} versions", secret.values.len());
            ensure!(secret.current()? == versions as u64, "{name} hands out the old one");
        }
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_of_a_nodes_keys_may_die_anywhere() -> Result<()> {
    let stage = Arc::new(Stage::new().await?);
    let rotated = with(Cluster::with_rotation);
    let at = Timestamp::from_second(Timestamp::now().as_second())?;
    for (name, what) in [("api key rotated", "api-key/default"), ("peer key rotated", "p2p-key")] {
        let act = Act::rotates(what, at, rotated.clone());
        let story = Story { name, before: vec![Act::makes(rotated.clone())], act, reads: false, then: None };
        dies_at_every_request(&stage, &story, move |met: Arc<Met>| async move {
            assert_finished(&met).await?;
            let name = format!("{}/node/0/{what}", met.act.declared.cluster_name());
            let secret = met.after.secret(&name)?;
            ensure!(
                (secret.values.len(), secret.current()?) == (2, 2),
                "it has {} versions",
                secret.values.len()
            );
            Ok(())
        })
        .await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_that_dies_anywhere_is_finished_by_the_next_run() -> Result<()> {
    let stage = Arc::new(Stage::new().await?);
    let story = Story {
        name: "all removed",
        before: vec![Act::makes(one_node())],
        act: Act::removes(one_node()),
        reads: false,
        then: Some(Act::changes(one_node())),
    };
    dies_at_every_request(&stage, &story, async |met| {
        let cluster = met.act.declared.cluster_name();
        assert_gone_by_rule(&met.after, &cluster)?;
        assert_owned(&met.act.declared, &cluster, &met.after)?;
        ensure!(met.after.secrets.len() == 3, "something is gone for good");
        assert_made_once(&met.start, &met.died, &met.after)
    })
    .await
}
