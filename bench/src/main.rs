//! `cargo xtask bench`: node-keys beside a Rust function without an SDK and one in Python, and keyboot-node
//! beside a script in Python, in one run.

mod budgets;
mod building;
mod creating;
mod executing;
mod machine;
mod measuring;
mod plot;
mod report;
mod statistics;
mod subject;
mod terminal;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Parser;
use comfy_table::{ContentArrangement, Table, presets};

use budgets::Budget;
use machine::Machine;
use measuring::Plan;
use terminal::{complain, headline, say};

/// Measures node-keys and keyboot-node beside the same in Python with boto3, and beside the least in Rust
///
/// The functions are built as they are deployed (node-keys once more with the feature `local`), started in
/// turns and given the same Create of three nodes, against the contract double. keyboot-node is built alike,
/// and becomes a node's command in turns with a script that does so. A table and a plot are written, and the
/// budgets are shown beside what was measured. A budget that is missed fails nothing: only a run that breaks
/// does. Nothing else should run on the machine meanwhile. The first build takes half an hour or more, most
/// of it in the links of node-keys and keyboot-node, two each; measuring takes some five minutes.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench", bin_name = "cargo xtask bench")]
struct Options {
    /// Rounds that count (with --quick 3)
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// Rounds before them, which do not (with --quick 1)
    #[arg(long, default_value_t = 3)]
    warm_ups: u16,
    /// A short run: few rounds, clusters of up to 30 nodes; table and plot go to target/bench
    #[arg(long)]
    quick: bool,
    /// Enforces AWS's documented rates for clusters of all sizes: 1,000 nodes take 11 minutes more
    #[arg(long, conflicts_with = "quick")]
    real_rates: bool,
    /// Measures what the last run built
    #[arg(long)]
    no_build: bool,
    /// The folder for table and plot [default: docs, with --quick target/bench]
    #[arg(long, value_name = "FOLDER")]
    output: Option<PathBuf>,
}

impl Options {
    fn plan(&self) -> Plan {
        let (small, large) = ([(3, 1), (30, 1)], [(300, 10), (1000, 10)]);
        if self.quick {
            return Plan { rounds: 3, warm_ups: 1, repeats: 1, sizes: small.into() };
        }
        let times = |(nodes, times)| (nodes, if self.real_rates { 1 } else { times });
        Plan {
            rounds: self.rounds.into(),
            warm_ups: self.warm_ups.into(),
            repeats: 5,
            sizes: small.into_iter().chain(large).map(times).collect(),
        }
    }

    fn output(&self) -> PathBuf {
        let usual = || if self.quick { building::home() } else { rig::repository().join("docs") };
        self.output.clone().unwrap_or_else(usual)
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    let result = tokio::select! {
        result = run(&options) => result,
        // What was started ends with this, and what was written for it goes.
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("stopped")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &Options) -> Result<()> {
    let programs = building::build(!options.no_build)?;
    let (machine, plan) = (Machine::here(), options.plan());
    let measured = measuring::measure(&programs, &plan).await?;
    let budgets = budgets::all(&measured);

    let folder = options.output();
    std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let table = folder.join("benchmarks.md");
    std::fs::write(&table, report::markdown(&machine, &plan, &measured, &budgets))
        .with_context(|| format!("writing {}", table.display()))?;
    plot::draw(&measured, &folder.join(report::PLOT))?;

    headline("budgets");
    show(&budgets);
    say(&format!("table and plot are in {}", folder.display()));
    Ok(())
}

fn show(budgets: &[Budget]) {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_BORDERS_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["what", "allowed", "measured", ""]);
    for budget in budgets {
        table.add_row([budget.what, budget.allowed.0, &budget.measured.0, &budget.verdict()]);
    }
    say(&table.to_string());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(arguments: &[&str]) -> Plan {
        Options::parse_from(std::iter::once("bench").chain(arguments.iter().copied())).plan()
    }

    #[test]
    fn a_usual_run_measures_a_thousand_nodes_at_a_multiple_of_the_rates() {
        let plan = plan(&[]);
        assert_eq!((plan.rounds, plan.warm_ups), (20, 3));
        assert_eq!(plan.sizes, [(3, 1), (30, 1), (300, 10), (1000, 10)]);
    }

    #[test]
    fn real_rates_are_for_all_sizes() {
        assert!(plan(&["--real-rates"]).sizes.iter().all(|(_, times)| *times == 1));
    }

    #[test]
    fn a_quick_run_is_short_and_leaves_the_table_alone() {
        let quick = Options::parse_from(["bench", "--quick"]);
        assert_eq!(quick.plan().sizes, [(3, 1), (30, 1)]);
        assert!(!quick.output().ends_with("docs"));
        assert!(Options::parse_from(["bench"]).output().ends_with("docs"));
    }
}
