//! What is measured, and in which order.
//!
//! Everything that is compared is measured in the same rounds, one program after the other, each
//! round beginning with another one: what else the machine does falls on all of them alike. The
//! first rounds warm the page cache and compile Python's modules, and count for nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use contract_double::Double;
use contract_double::deploy::KmsStack;

use crate::budgets;
use crate::building::{archive_size, node_size};
use crate::creating::{Conditions, Create, create, start};
use crate::executing::{Node, Way};
use crate::statistics::Samples;
use crate::subject::{Contender as _, Programs, Starter, Subject};
use crate::terminal::{headline, say};

/// The nodes of the cluster that every function makes.
pub(crate) const NODES: u32 = 3;
/// How long the calls take by which sequential rounds are counted.
pub(crate) const DELAYS: [Duration; 2] = [Duration::from_millis(50), Duration::from_millis(150)];

/// How much is measured.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Rounds that count.
    pub(crate) rounds: usize,
    /// Rounds before them, which do not.
    pub(crate) warm_ups: usize,
    /// Creates at each delay by which sequential rounds are counted.
    pub(crate) repeats: usize,
    /// Sizes of clusters, each with the rates of calls that it is made at, as multiples of AWS's.
    pub(crate) sizes: Vec<(u32, u32)>,
}

/// All that was measured. Times are in milliseconds, memory in MiB.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    /// From the start of the process to its first request for an event, as deployed.
    pub(crate) to_next: BTreeMap<Subject, Samples>,
    /// From the start of the process to its first call to AWS, of those that make keys.
    pub(crate) to_first_call: BTreeMap<Subject, Samples>,
    /// From the start of the process to the end of a Create of [`NODES`] nodes.
    pub(crate) whole: BTreeMap<Subject, Samples>,
    /// The most memory in use by then.
    pub(crate) peak_memory: BTreeMap<Subject, Samples>,
    /// How often such a Create waits, and that of a larger cluster.
    pub(crate) waits: Vec<Waits>,
    /// Creates of clusters of several sizes.
    pub(crate) sizes: Vec<Scaled>,
    /// From the start of the process until the command that it became has ended.
    pub(crate) to_exec: BTreeMap<Starter, Samples>,
    /// The most memory in use by then.
    pub(crate) exec_memory: BTreeMap<Starter, Samples>,
    /// How each gets to its command.
    pub(crate) ways: BTreeMap<Starter, Way>,
    /// The size of keyboot-node, in MB (of 1,000,000 bytes).
    pub(crate) node_size: f64,
    /// Sizes of the functions' archives, in MB (of 1,000,000 bytes).
    pub(crate) archives: BTreeMap<&'static str, f64>,
}

/// How often a Create waits for an answer before it goes on.
#[derive(Clone, Debug)]
pub(crate) struct Waits {
    pub(crate) subject: Subject,
    pub(crate) nodes: u32,
    /// The calls that it makes.
    pub(crate) calls: usize,
    /// The most of them under way at once.
    pub(crate) at_once: usize,
    /// The longest chain of calls of which each came after the answer to the one before.
    pub(crate) recorded: usize,
    /// By how much longer a Create takes when every call takes longer: so many times the difference.
    pub(crate) timed: f64,
}

/// A Create of a cluster of some size.
#[derive(Clone, Debug)]
pub(crate) struct Scaled {
    pub(crate) nodes: u32,
    /// How many times AWS's documented rates it was made at.
    pub(crate) rates: u32,
    pub(crate) create: Create,
}

/// Measures everything.
pub(crate) async fn measure(programs: &Programs, plan: &Plan) -> Result<Measured> {
    #[expect(clippy::cast_precision_loss, reason = "a program has some millions of bytes")]
    let node_size = node_size()? as f64 / 1e6;
    let mut measured = Measured {
        to_next: BTreeMap::new(),
        to_first_call: BTreeMap::new(),
        whole: BTreeMap::new(),
        peak_memory: BTreeMap::new(),
        waits: Vec::new(),
        sizes: Vec::new(),
        to_exec: BTreeMap::new(),
        exec_memory: BTreeMap::new(),
        ways: BTreeMap::new(),
        node_size,
        archives: BTreeMap::new(),
    };
    for (function, _) in budgets::ARCHIVES {
        #[expect(clippy::cast_precision_loss, reason = "an archive has some millions of bytes")]
        let size = archive_size(function)? as f64 / 1e6;
        measured.archives.insert(function, size);
    }
    headline(&format!("{} rounds, and {} before them to warm up", plan.rounds, plan.warm_ups));
    let double = Double::start().await?;
    let stack = KmsStack::deploy(&double, [])?;
    let node = Node::of_a_cluster(programs, NODES).await?;
    measured.ways = node.ways(programs).await?;
    for round in 0..plan.warm_ups + plan.rounds {
        let counts = round >= plan.warm_ups;
        measured.round(programs, &stack, &node, round, counts).await?;
        if counts {
            let median = |samples: Option<&Samples>| samples.map(Samples::median).unwrap_or_default();
            say(&format!(
                "round {}: so far {:.1} ms to the first event, {:.1} ms to the first call, {:.1} ms to exec",
                round + 1 - plan.warm_ups,
                median(measured.to_next.get(&Subject::NodeKeys)),
                median(measured.to_first_call.get(&Subject::NodeKeys)),
                median(measured.to_exec.get(&Starter::KeybootNode)),
            ));
        }
    }
    headline("how often a Create waits for AWS");
    for (subject, nodes) in [(Subject::NodeKeys, NODES), (Subject::NodeKeys, 30), (Subject::Python, NODES)] {
        let waits = waits(programs, subject, nodes, plan.repeats).await?;
        say(&format!("{} of {nodes} nodes: {:.1} times", subject.name(), waits.timed));
        measured.waits.push(waits);
    }
    headline("clusters of several sizes, at AWS's documented rates or a multiple of them");
    for (nodes, rates) in plan.sizes.iter().copied() {
        let conditions = Conditions { rates: Some(rates), ..Conditions::free(nodes) };
        let create = create(programs, Subject::NodeKeys, &conditions).await?;
        say(&format!(
            "{nodes} nodes at {rates} times the rates: {:.1} s, {} calls",
            create.whole.as_secs_f64(),
            create.calls
        ));
        measured.sizes.push(Scaled { nodes, rates, create });
    }
    Ok(measured)
}

impl Measured {
    /// One round: every start, then every Create, then every exec.
    async fn round(
        &mut self,
        programs: &Programs,
        stack: &KmsStack,
        node: &Node,
        round: usize,
        counts: bool,
    ) -> Result<()> {
        for subject in turned(Subject::ALL, round) {
            let took = start(programs, subject, stack).await?;
            if counts {
                self.to_next.entry(subject).or_default().push(milliseconds(took));
            }
        }
        for subject in turned(Subject::MAKERS, round) {
            let create = succeeded(create(programs, subject, &Conditions::free(NODES)).await?)?;
            if counts {
                let times =
                    [(&mut self.to_first_call, create.to_first_call), (&mut self.whole, create.whole)];
                for (samples, time) in times {
                    samples.entry(subject).or_default().push(milliseconds(time));
                }
                self.peak_memory.entry(subject).or_default().push(create.peak_memory_mib());
            }
        }
        for starter in turned(Starter::ALL, round) {
            let start = node.start(programs, starter).await?;
            if counts {
                self.to_exec.entry(starter).or_default().push(milliseconds(start.took));
                self.exec_memory.entry(starter).or_default().push(start.peak_memory_mib());
            }
        }
        Ok(())
    }
}

/// Counts how often a Create waits, by the record of calls and by the clock.
async fn waits(programs: &Programs, subject: Subject, nodes: u32, repeats: usize) -> Result<Waits> {
    let mut times = [Samples::default(), Samples::default()];
    let mut last = None;
    for _ in 0..repeats {
        for (delay, times) in DELAYS.into_iter().zip(&mut times) {
            let conditions = Conditions { delay, ..Conditions::free(nodes) };
            let create = succeeded(create(programs, subject, &conditions).await?)?;
            times.push(milliseconds(create.whole));
            last = Some(create);
        }
    }
    let create = last.context("nothing was repeated")?;
    let [shorter, longer] = times;
    Ok(Waits {
        subject,
        nodes,
        calls: create.calls,
        at_once: create.at_once,
        recorded: create.rounds,
        timed: (longer.median() - shorter.median()) / milliseconds(DELAYS[1].saturating_sub(DELAYS[0])),
    })
}

/// A Create that nothing stands in the way of.
fn succeeded(create: Create) -> Result<Create> {
    match &create.failure {
        Some(reason) => bail!("a Create with nothing in its way failed: {reason}"),
        None => Ok(create),
    }
}

/// The same in another order each round.
fn turned<T, const N: usize>(mut subjects: [T; N], round: usize) -> [T; N] {
    subjects.rotate_left(round % N);
    subjects
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_comes_first_as_often_as_any_other() {
        let first = |round| turned(Subject::ALL, round)[0];
        assert_eq!([first(0), first(1), first(2)], Subject::ALL);
        assert_eq!(first(3), first(0));
    }
}
