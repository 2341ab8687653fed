//! `cargo xtask demo --onprem`: the main job without AWS, on one's own servers.

use console::style;
use rig::onprem::OnPrem;
use rig::onprem_story::{Right, Scene, play};
use rig::programs;
use rig::python::Venv;

use super::{table, unless_interrupted};
use crate::terminal::{headline, say, step};

/// Runs the demonstration; whatever it started has ended when it returns.
pub(super) fn run() -> anyhow::Result<()> {
    headline("keyboot demo: a chain's keys, made on one's own servers");
    let venv = step("Python environment with OpenBao and the stand-in signer", Venv::onprem)?;
    programs::build()?;
    let onprem = unless_interrupted(play(&venv, |onprem, scene| {
        show(onprem, scene);
        Ok(())
    }))?;
    step("OpenBao ended, and its folder and its logins with it", || {
        drop(onprem);
        Ok(())
    })
}

fn show(onprem: &OnPrem, scene: Scene) {
    match scene {
        Scene::Started(address) => {
            headline("OpenBao, the real server: raft, TLS, two audit devices");
            say(&format!("  {} {address}: sealed, and nothing is on it", style("endpoint").dim()));
        }
        Scene::SetUp(told) => {
            headline("keyboot-onprem init: once in its life, then nobody is root");
            tell(&told);
        }
        Scene::Foreseen(told) => {
            headline("keyboot-onprem provision --dry-run: nothing is written");
            tell(&told);
        }
        Scene::Provisioned(told) => {
            headline("keyboot-onprem provision: a TSM cluster's keys, and a chain's");
            tell(&told);
        }
        Scene::Shown(told) => {
            headline("What is public, every signature checked");
            say(&told);
        }
        Scene::Tried(rights) => {
            headline("Who reads what, tried at the server");
            say(&rows_of(&rights).to_string());
        }
        Scene::SignerUp { version, accounts, folder: _ } => {
            headline("A stand-in for Web3Signer fetches the batcher's key (it is no Web3Signer)");
            say(&format!("  {} {version}", style("it says").dim()));
            say(&format!("  {} {}", style("it signs for").dim(), accounts.join(", ")));
            say(&format!(
                "  {} {} has its token and no key",
                style("its key file").dim(),
                onprem.file("web3signer").display()
            ));
        }
        Scene::Signed { kind, sender } => {
            say(&format!(
                "  a transaction {kind}, as op-batcher asks for it: sent by {sender}, the provisioned address"
            ));
        }
        Scene::Rotated(told) => {
            headline("The batcher's key is rotated: prepared, then finished on command");
            tell(&told);
        }
        Scene::Examined(told, status) => {
            headline("keyboot-onprem doctor: this machine and that server, as an auditor sees them");
            say(&told);
            say(&format!(
                "  {} {status}; on a host that is hardened it finds nothing",
                style("it ended with").dim()
            ));
        }
    }
}

fn tell(told: &str) {
    for line in told.lines() {
        say(&format!("  {line}"));
    }
}

fn rows_of(rights: &[Right]) -> comfy_table::Table {
    let mut rows = table(["with the login of", "path", ""]);
    for right in rights {
        let outcome = if right.is_let_in { "read" } else { "denied" };
        rows.add_row([right.role.as_str(), right.path.as_str(), outcome]);
    }
    rows
}
