//! Comma-separated values.

use super::super::row::{Bound, Row};
use super::super::work::Report;

/// The columns of `--csv`: the fields of `--json`, bounds flattened.
const CSV_COLUMNS: [&str; 42] = [
    "scenario",
    "network",
    "link",
    "side",
    "interference",
    "param",
    "mean_ms",
    "p50_ms",
    "p99_ms",
    "p999_ms",
    "max_ms",
    "rtt_ms",
    "bound_p50_ms",
    "bound_p99_ms",
    "bound_p999_ms",
    "bound_ordered_p50_ms",
    "bound_ordered_p99_ms",
    "bound_ordered_p999_ms",
    "ops",
    "unfinished",
    "messages",
    "records_sent",
    "records_applied",
    "bytes",
    "terms",
    "detection_ms",
    "after_detection_ms",
    "windows",
    "lowest_window",
    "full_after_s",
    "caught_up_ms",
    "decision_ms",
    "complete_ms",
    "everyone_ms",
    "site_mean_ms",
    "floor_ms",
    "per_second",
    "read_mean_ms",
    "read_p99_ms",
    "write_mean_ms",
    "write_p99_ms",
    "violations",
];

/// A line of names, then a line for each row.
pub(in super::super) fn csv(report: &Report) -> String {
    let mut text = CSV_COLUMNS.join(",") + "\n";
    for row in report.groups.iter().flat_map(|group| &group.rows) {
        text += &csv_fields(row).join(",");
        text.push('\n');
    }
    text
}

fn csv_fields(row: &Row) -> Vec<String> {
    fn or_empty<T: ToString>(value: Option<T>) -> String {
        value.map_or(String::new(), |value| value.to_string())
    }
    let bound = |bound: Option<Bound>| {
        [bound.map(|b| b.p50_ms), bound.map(|b| b.p99_ms), bound.map(|b| b.p999_ms)].map(or_empty)
    };
    let names = [row.scenario.into(), quoted(&row.network), row.link.into(), row.side.into()];
    let setting = [or_empty(row.interference), quoted(&or_empty(row.param.clone()))];
    let times = [row.mean_ms, row.p50_ms, row.p99_ms, row.p999_ms, row.max_ms, row.rtt_ms];
    let counts =
        [row.ops, row.unfinished, row.messages, row.records_sent, row.records_applied, row.bytes];
    let event = [
        or_empty(row.terms),
        or_empty(row.detection_ms),
        or_empty(row.after_detection_ms),
        row.windows.as_ref().map_or(String::new(), |windows| listed(windows)),
        or_empty(row.lowest_window),
        or_empty(row.full_after_s),
        or_empty(row.caught_up_ms),
        or_empty(row.decision_ms),
        or_empty(row.complete_ms),
        or_empty(row.everyone_ms),
        row.site_mean_ms.as_ref().map_or(String::new(), |means| listed(means)),
        or_empty(row.floor_ms),
        or_empty(row.per_second),
        or_empty(row.read_mean_ms),
        or_empty(row.read_p99_ms),
        or_empty(row.write_mean_ms),
        or_empty(row.write_p99_ms),
        row.violations.to_string(),
    ];
    names
        .into_iter()
        .chain(setting)
        .chain(times.map(|t| t.to_string()))
        .chain(bound(row.bound))
        .chain(bound(row.bound_ordered))
        .chain(counts.map(|n| n.to_string()))
        .chain(event)
        .collect()
}

/// With blanks between them.
fn listed(numbers: &[f64]) -> String {
    numbers.iter().map(f64::to_string).collect::<Vec<_>>().join(" ")
}

/// A field that a comma, a quote or a line break would tear apart, in quotes.
fn quoted(text: &str) -> String {
    match text.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{keys, report, row};
    use super::*;

    #[test]
    fn csv_has_the_fields_of_json() {
        let mut one = row("raft", "ordered", 0.5, 5.5);
        one.param = Some("a,b".into());
        let document = serde_json::to_value(&one).expect("JSON");
        let mut fields: Vec<String> = CSV_COLUMNS
            .iter()
            .map(|name| match name.starts_with("bound") {
                true => name.rsplit_once("_p").expect("a percentile").0.to_string(),
                false => name.to_string(),
            })
            .collect();
        fields.sort_unstable();
        fields.dedup();
        assert_eq!(fields, keys(&document));
        assert_eq!(csv_fields(&one).len(), CSV_COLUMNS.len());
        assert_eq!(
            csv(&report(vec![one])).lines().nth(1),
            Some(
                "loss,lan,ordered,raft,2,\"a,b\",0.5,0.5,5.5,5.5,5.5,0.5,0.5,0.5,1.5,0.5,5.5,6,\
                 100,0,400,210,300,120000,,,,,,,,,,,,,,,,,,0"
            )
        );
    }
}
