//! A report, as a table or as JSON.

use std::fmt::Write as _;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{ContentArrangement, Table};
use serde_json::{Value, json};

use super::{Report, Row, Verdict};

/// A report, for programs. `schema` counts the versions of this form.
#[must_use]
pub fn to_json(report: &Report) -> Value {
    let rows: Vec<Value> = report.rows.iter().map(row).collect();
    json!({
        "cluster": report.cluster,
        "counts": {
            "fault": report.count(Verdict::Fault),
            "ok": report.count(Verdict::Ok),
            "unknown": report.count(Verdict::Unknown),
        },
        "rows": rows,
        "schema": 1,
    })
}

fn row(row: &Row) -> Value {
    json!({
        "check": row.check.name(),
        "explanation": row.explanation,
        "subject": row.subject,
        "verdict": row.verdict.name(),
    })
}

/// The same for people: the worst stands last, where it is seen.
#[must_use]
pub fn to_text(report: &Report) -> String {
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["verdict", "check", "subject", "because"]);
    let mut rows: Vec<&Row> = report.rows.iter().collect();
    rows.sort_by_key(|row| row.verdict);
    for row in rows {
        table.add_row([row.verdict.name(), row.check.name(), &row.subject, &row.explanation]);
    }
    let mut text = format!("{table}\n");
    let [ok, unknown, fault] =
        [Verdict::Ok, Verdict::Unknown, Verdict::Fault].map(|verdict| report.count(verdict));
    let _ = writeln!(text, "{}: {ok} ok, {unknown} unknown, {fault} at fault", report.cluster);
    text
}
