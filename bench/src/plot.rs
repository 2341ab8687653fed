//! The plot: the same figures as the table's, for the eye. matplotlib draws it.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use rig::python::Venv;
use serde_json::{Value, json};

use crate::budgets;
use crate::building::home;
use crate::measuring::Measured;
use crate::statistics::Samples;
use crate::subject::{Contender, Starter, Subject};

/// Draws everything into a file.
pub(crate) fn draw(measured: &Measured, plot: &Path) -> Result<()> {
    std::fs::create_dir_all(home())?;
    let figures = home().join("figures.json");
    std::fs::write(&figures, figures_of(measured).to_string())
        .with_context(|| format!("writing {}", figures.display()))?;
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/plot/plot.py");
    let mut command = Command::new(Venv::plotting()?.program("python"));
    command.arg(program).arg(figures).arg(plot).stdin(Stdio::null());
    let output = command.output().context("starting Python")?;
    ensure!(output.status.success(), "nothing was drawn: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// What is drawn: a panel each, with its unit and, where something is promised, the limit.
fn figures_of(measured: &Measured) -> Value {
    let median = |samples: &BTreeMap<Subject, Samples>, subject| samples.get(&subject).map(Samples::median);
    let of_sdk_less = |times: f64| Some(times * median(&measured.to_next, Subject::SdkLess)?);
    let of_python = |part: f64| Some(part * median(&measured.to_first_call, Subject::Python)?);
    let of_script = |part: f64| Some(part * measured.to_exec.get(&Starter::Python)?.median());
    let panels = [
        ("Start to the first request for an event", "ms", &measured.to_next, of_sdk_less(budgets::TO_NEXT)),
        ("Start to the first call to AWS", "ms", &measured.to_first_call, of_python(budgets::TO_FIRST_CALL)),
        ("Start to the end of a Create of three nodes", "ms", &measured.whole, None),
        ("Peak memory of a Create of three nodes", "MiB", &measured.peak_memory, Some(budgets::MEMORY)),
    ];
    let of_nodes = [
        ("Start to the exec of a node's command", "ms", &measured.to_exec, of_script(budgets::TO_EXEC)),
        ("Peak memory up to that exec", "MiB", &measured.exec_memory, None),
    ];
    let panels = panels.map(panel).into_iter().chain(of_nodes.map(panel)).collect::<Vec<_>>();
    let sizes = measured.sizes.iter().filter(|size| size.create.failure.is_none());
    let sizes = sizes.map(|size| json!({ "nodes": size.nodes, "memory": size.create.peak_memory_mib() }));
    let archives = budgets::ARCHIVES.map(|(function, budget)| {
        json!({ "name": function, "size": measured.archives.get(function), "budget": budget })
    });
    json!({ "bars": panels, "sizes": sizes.collect::<Vec<_>>(), "archives": archives })
}

fn panel<T: Contender>(
    (title, unit, samples, budget): (&str, &str, &BTreeMap<T, Samples>, Option<f64>),
) -> Value {
    json!({ "title": title, "unit": unit, "bars": bars(samples), "budget": budget })
}

fn bars<T: Contender>(samples: &BTreeMap<T, Samples>) -> Vec<Value> {
    let bar = |(contender, samples): (&T, &Samples)| {
        let ((low, high), median) = (samples.quartiles(), samples.median());
        let (name, ours) = (contender.name(), contender.is_ours());
        json!({ "name": name, "ours": ours, "median": median, "low": low, "high": high })
    };
    samples.iter().map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_has_the_tables_figures() {
        let times = BTreeMap::from([(Subject::NodeKeys, [1.0, 2.0, 3.0].into_iter().collect())]);
        let expected = json!([{ "name": "node-keys", "ours": true, "median": 2.0, "low": 1.5, "high": 2.5 }]);
        assert_eq!(Value::from(bars(&times)), expected);
    }
}
