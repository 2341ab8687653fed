//! The table: what was measured, as Markdown. No I/O here.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::budgets::{self, Budget};
use crate::executing::Way;
use crate::machine::Machine;
use crate::measuring::{DELAYS, Measured, NODES, Plan};
use crate::statistics::Samples;
use crate::subject::{Contender, Starter, Subject};

/// Where the plot is, as seen from the table.
pub(crate) const PLOT: &str = "benchmarks.svg";
/// What a call to AWS takes, in milliseconds, where it is told what waits would make of a time.
const WAIT: f64 = 30.0;

/// Writes the whole table.
pub(crate) fn markdown(machine: &Machine, plan: &Plan, measured: &Measured, budgets: &[Budget]) -> String {
    let parts = [
        introduction(machine, plan),
        table("Budgets", "", &["What", "Allowed", "Measured", ""], budgets.iter().map(budget)),
        format!("![The same figures as a plot]({PLOT})\n"),
        side_by_side(measured),
        waits(measured),
        sizes(measured),
        starts(measured),
        conditions(),
    ];
    parts.join("\n")
}

fn introduction(machine: &Machine, plan: &Plan) -> String {
    format!(
        "# Benchmarks\n\n\
         Written by `cargo xtask bench`; change nothing by hand. {}\n\n\
         {} rounds count, after {} to warm up. In each round everything that is compared is started and used \
         once, in turns. Figures are medians, and in brackets the quartiles. Ratios are taken within a round. How \
         it is measured, and what that leaves out, stands at the end.\n",
        machine.told(),
        plan.rounds,
        plan.warm_ups,
    )
}

fn budget(budget: &Budget) -> [String; 4] {
    [budget.what.to_owned(), budget.allowed.0.to_owned(), budget.measured.0.clone(), budget.verdict()]
}

fn side_by_side(measured: &Measured) -> String {
    let rows = Subject::ALL.map(|subject| {
        let cell = |samples, unit| cell(samples, subject, unit);
        [
            subject.name().to_owned(),
            cell(&measured.to_next, "ms"),
            cell(&measured.to_first_call, "ms"),
            cell(&measured.whole, "ms"),
            cell(&measured.peak_memory, "MiB"),
        ]
    });
    let start = budgets::ratio(&measured.to_next, Subject::NodeKeys, Subject::Python);
    let memory = budgets::ratio(&measured.peak_memory, Subject::NodeKeys, Subject::Python);
    let heads =
        ["Function", "Start to `/next`", "Start to the first call", "Start to the end", "Peak memory"];
    table(
        "Side by side",
        &format!(
            "`/next` is the first request to Lambda's Runtime API, of the function as it is deployed. The rest is of a \
             Create of {NODES} nodes whose event waits already. Against Python, node-keys needs {} of the time to \
             `/next` and {} of the memory.",
            budgets::fraction(&start),
            budgets::fraction(&memory),
        ),
        &heads,
        rows,
    )
}

fn waits(measured: &Measured) -> String {
    let rows = measured.waits.iter().map(|waits| {
        [
            waits.subject.name().to_owned(),
            waits.nodes.to_string(),
            waits.calls.to_string(),
            waits.at_once.to_string(),
            waits.recorded.to_string(),
            format!("{:.1}", waits.timed),
        ]
    });
    let [shorter, longer] = DELAYS.map(|delay| delay.as_millis());
    let heads = ["Function", "Nodes", "Calls", "Most at once", "Waits by the record", "Waits by the clock"];
    table(
        "Calls, and how often a Create waits for them",
        &format!(
            "On AWS a call takes some tens of milliseconds, and a Create about as many times that as it waits for an \
             answer before it goes on. By the record: the longest chain of calls of which each came after the answer \
             to the one before. By the clock: every call was made to take {shorter} ms, then {longer} ms, and the \
             Create took so many times the difference longer.",
        ),
        &heads,
        rows,
    )
}

fn sizes(measured: &Measured) -> String {
    let rows = measured.sizes.iter().map(|size| {
        let create = &size.create;
        [
            size.nodes.to_string(),
            format!("x {}", size.rates),
            match &create.failure {
                None if create.runs == 1 => "made".to_owned(),
                None => format!("made in {} runs", create.runs),
                Some(reason) => format!("failed: {reason}"),
            },
            format!("{:.1} s", create.whole.as_secs_f64()),
            create.calls.to_string(),
            format!("{:.1} %", create.throttled_share() * 100.0),
            format!("{:.1} MiB", create.peak_memory_mib()),
        ]
    });
    let heads =
        ["Nodes", "Rates", "Ended", "Start to the end", "Calls", "Refused as too many", "Peak memory"];
    table(
        "Clusters of several sizes",
        "node-keys, once each, where AWS's documented default rates are enforced, or so many times as high: at the \
         rates themselves a Create of 1,000 nodes takes 11 minutes, nearly all of it waiting for Parameter Store's \
         3 puts a second (`--real-rates` does that).",
        &heads,
        rows,
    )
}

fn starts(measured: &Measured) -> String {
    let rows = Starter::ALL.map(|starter| {
        let count = |count: fn(&Way) -> usize| {
            measured.ways.get(&starter).map_or_else(|| "-".to_owned(), |way| count(way).to_string())
        };
        [
            starter.name().to_owned(),
            cell(&measured.to_exec, starter, "ms"),
            cell(&measured.exec_memory, starter, "MiB"),
            count(|way| way.calls),
            count(|way| way.waits),
            if starter.is_ours() { format!("{:.2} MB", measured.node_size) } else { "-".to_owned() },
        ]
    });
    let ratio = |samples| budgets::fraction(&budgets::ratio(samples, Starter::KeybootNode, Starter::Python));
    let is_unlocked = measured.ways.values().any(|way| way.cannot_lock_memory);
    let locking = if is_unlocked {
        "here it may not, and where it may, pages count that are not used, too"
    } else {
        "here it may, so pages count that are not used, too"
    };
    let heads = ["Program", "Start to exec", "Peak memory", "Calls", "Waits by the record", "Size"];
    table(
        "The start of a node's command",
        &format!(
            "From the start of the process until `/bin/true`, which it becomes, has ended: a node of a cluster of {NODES} fetches \
             its P2P key and its share-encryption password out of Secrets Manager, has KMS open both envelopes, and \
             hands them over in the environment of a TSM node. Against Python, keyboot-node needs {} of the time and \
             {} of the memory. On AWS each wait adds some tens of milliseconds to either: with {WAIT} ms each, \
             keyboot-node would need 1/{:.1} of the time. It locks its memory where it may: {locking}. The size is that of the \
             program as it is deployed, not compressed; Python needs an interpreter and the packages of boto3.",
            ratio(&measured.to_exec),
            ratio(&measured.exec_memory),
            with_waits(measured, Starter::Python) / with_waits(measured, Starter::KeybootNode),
        ),
        &heads,
        rows,
    )
}

/// The time to exec, in milliseconds, if each wait took [`WAIT`].
fn with_waits(measured: &Measured, starter: Starter) -> f64 {
    let waits = measured.ways.get(&starter).and_then(|way| u32::try_from(way.waits).ok()).unwrap_or_default();
    measured.to_exec.get(&starter).map(Samples::median).unwrap_or_default() + WAIT * f64::from(waits)
}

fn conditions() -> String {
    String::from(
        "## How it is measured\n\n\
         - The Rust functions are built and packed as `cargo xtask package` does it, for this machine's processor. \
         The one without an SDK (`bench/sdk-less`) is `lambda_runtime` and nothing else, in the same profile.\n\
         - The Python function (`bench/python/app.py`) makes the same keys, stores the same secrets and publishes the \
         same signed documents, which are checked as a node would check them. It runs under `awslambdaric`, Lambda's \
         own runtime client, with crhelper and boto3 as pinned in `bench/python/requirements.txt`, its modules \
         compiled. It asks nothing beforehand and writes nothing that makes a retry safe, so it makes fewer calls.\n\
         - AWS is the contract double, on loopback and over plain HTTP, which is not AWS: what TLS takes is in no \
         figure but the start to `/next`. A deployed node-keys cannot talk to it, so all that concerns AWS is of a \
         build with the feature `local` and the same profile.\n\
         - Lambda is a Runtime API on loopback. Nothing limits processor or memory as Lambda does by a function's \
         memory size; on Lambda all these times are longer, and the ratios are what carries over.\n\
         - Peak memory of a function is the kernel's `VmHWM` of the process after its answer.\n\
         - Where nothing is said of rates, the double takes what comes, and node-keys is told that it may call as \
         fast.\n\
         - keyboot-node is built by cargo in the same profile, with the feature `local` for all but its size. The \
         Python script (`bench/python/exec.py`) hands over the same values, which is checked before the first round. \
         It believes what it reads, and reads no more than it hands over. keyboot-node reads the roster and every \
         peer's record as well, checks all signatures and looks at the host. The host has run the node before: of what keyboot-node keeps, only the \
         file that it writes at every start is written, to a disk (`target/rig`) and with fsync(2).\n\
         - The time to exec holds what `/bin/true` takes, the same for both, and two attempts to connect to the \
         instance's metadata service: where its address neither answers nor refuses, they last 0.2 s each.\n\
         - Peak memory up to exec is the kernel's `ru_maxrss` of the process after its end, which exec(2) does not \
         set back; it is the larger one of what became the command and of the command. A small program (`bench/src/\
         bin/stopwatch.rs`) starts both and takes the time, since a process begins with the peak of whoever starts it.\n",
    )
}

fn cell<T: Contender>(samples: &BTreeMap<T, Samples>, contender: T, unit: &str) -> String {
    samples.get(&contender).map_or_else(|| "-".to_owned(), |samples| spread(samples, unit))
}

fn spread(samples: &Samples, unit: &str) -> String {
    let (low, high) = samples.quartiles();
    format!("{:.1} {unit} ({low:.1} to {high:.1})", samples.median())
}

fn table<const N: usize>(
    title: &str,
    about: &str,
    heads: &[&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut text = format!("## {title}\n\n");
    if !about.is_empty() {
        let _ = writeln!(text, "{about}\n");
    }
    let _ = writeln!(text, "| {} |\n|{}", heads.join(" | "), "---|".repeat(N));
    for row in rows {
        // A reason may hold what would end a cell.
        let cells = row.map(|cell| cell.replace('|', "\\|").replace('\n', " "));
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_markdown_whatever_its_cells_hold() {
        let text = table("T", "", &["a", "b"], [["1|2".to_owned(), "3\n4".to_owned()]]);
        assert_eq!(text, "## T\n\n| a | b |\n|---|---|\n| 1\\|2 | 3 4 |\n");
    }

    #[test]
    fn a_median_is_shown_with_its_quartiles() {
        let samples: Samples = [1.0, 2.0, 3.0].into_iter().collect();
        assert_eq!(spread(&samples, "ms"), "2.0 ms (1.5 to 2.5)");
    }
}
