//! The contract double is honest: the same calls go to it, to MiniStack and to moto, and wherever one
//! of them departs from what AWS documents, the list of differences says so and names the page.

mod client;
mod differences;
mod run;
mod sequence;
mod sequences;
mod services;
mod shape;
mod token;

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use differences::Differences;
use rig::python::Venv;
use services::{NAMES, Subject};

#[tokio::test(flavor = "multi_thread")]
async fn every_difference_is_listed_and_every_listed_one_is_there() -> Result<()> {
    let venv = Venv::ready()?;
    let runs = NAMES.iter().map(|name| {
        let venv = venv.clone();
        let run = tokio::spawn(async move {
            let subject = Subject::start(name, &venv).await?;
            run::departures(&subject, &sequences::all()).await
        });
        (*name, run)
    });
    // All of them begin before the first is waited for.
    let runs: Vec<_> = runs.collect();
    let mut said = BTreeMap::new();
    for (name, run) in runs {
        said.insert(name, run.await?.with_context(|| name.to_owned())?);
    }
    let found = Differences::found(&sequences::all(), &said);

    let file = rig::repository().join("tests/honesty/differences.toml");
    let mut listed = Differences::read(&std::fs::read_to_string(&file).unwrap_or_default())?;
    if is_to_be_rewritten() {
        listed = found.clone().with_pages_of(&listed);
        std::fs::write(&file, listed.write()?)?;
    }
    let faults = Differences::faults(&listed, &found);
    assert!(faults.is_empty(), "{} faults\n\n{}", faults.len(), faults.join("\n\n"));
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "no configuration of the project's: a switch of this test")]
fn is_to_be_rewritten() -> bool {
    std::env::var_os("KEYBOOT_HONESTY").is_some_and(|value| value == "write")
}
