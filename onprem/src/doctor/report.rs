//! What was found, as a table for people and as JSON for programs.

use std::fmt::Write as _;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{ContentArrangement, Table};
use serde_json::{Value, json};

use super::finding::{Finding, Report};

/// For programs.
#[must_use]
pub fn to_json(report: &Report) -> Value {
    let findings =
        |findings: &mut dyn Iterator<Item = &Finding>| -> Vec<Value> { findings.map(finding).collect() };
    let unseen: Vec<Value> =
        report.unseen.iter().map(|unseen| json!({"what": unseen.what, "why": unseen.why})).collect();
    json!({
        "accepted": findings(&mut report.accepted.iter()),
        "findings": findings(&mut report.findings.iter()),
        "schema": 1,
        "status": report.status(),
        "unseen": unseen,
    })
}

fn finding(Finding { fault, place, seen }: &Finding) -> Value {
    json!({
        "name": fault.name(),
        "remedy": fault.remedy(),
        "seen": on_one_line(seen),
        "where": on_one_line(place),
        "why": fault.why(),
    })
}

/// For people.
#[must_use]
pub fn to_text(report: &Report) -> String {
    let mut text = String::new();
    if report.findings.is_empty() {
        text.push_str("nothing was found\n");
    } else {
        let mut table = Table::new();
        table.load_preset(UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
        table.set_header(["finding", "where", "what was seen", "why it matters", "what to do"]);
        for Finding { fault, place, seen } in &report.findings {
            table.add_row([
                fault.name(),
                &on_one_line(place),
                &on_one_line(seen),
                fault.why(),
                fault.remedy(),
            ]);
        }
        let _ = writeln!(text, "{table}");
    }
    for Finding { fault, place, seen } in &report.accepted {
        let _ = writeln!(text, "accepted: {} at {}: {}", fault.name(), on_one_line(place), on_one_line(seen));
    }
    for unseen in &report.unseen {
        let _ = writeln!(text, "not looked at: {}: {}", on_one_line(&unseen.what), on_one_line(&unseen.why));
    }
    text
}

/// Names of files, processes and policies are others' words: they neither end a line nor move a terminal's
/// cursor.
fn on_one_line(text: &str) -> String {
    text.chars().map(|each| if each.is_control() { ' ' } else { each }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Fault;

    fn report() -> Report {
        let mut report = Report::default();
        report.found(Fault::DiskPlain, "/var/lib", "on sdb1");
        report.found(Fault::SwapPlain, "/dev/sda\n2", "a swap area");
        report.not_seen("the firewall", "only root may ask nft");
        report.accept(&["disk-not-encrypted".parse().unwrap()]);
        report
    }

    #[test]
    fn programs_get_all_of_it() {
        let report = to_json(&report());
        assert_eq!(report["schema"], 1);
        assert_eq!(report["status"], 1);
        let finding = &report["findings"][0];
        assert_eq!(finding["name"], "swap-not-encrypted");
        assert_eq!(finding["where"], "/dev/sda 2");
        assert_eq!(finding["seen"], "a swap area");
        assert!(finding["why"].as_str().unwrap().contains("disk"));
        assert!(finding["remedy"].as_str().unwrap().contains("swapoff"));
        assert_eq!(report["accepted"][0]["where"], "/var/lib");
        assert_eq!(report["unseen"], json!([{"what": "the firewall", "why": "only root may ask nft"}]));
    }

    #[test]
    fn people_get_a_table() {
        let text = to_text(&report());
        for part in ["swap-not-encrypted", "/dev/sda 2", "accepted: disk-not-encrypted at /var/lib: on sdb1"]
        {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(text.ends_with("not looked at: the firewall: only root may ask nft\n"), "{text}");
        assert_eq!(to_text(&Report::default()), "nothing was found\n");
    }
}
