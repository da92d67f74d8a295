//! Below the rows of `wan`: means by rate, and what others have published on the same matrix.

use super::report::figure;
use super::row::Row;
use super::work::Group;
use std::fmt::Write;

/// Mean execution latency as the client sees it, published with fantoch on these round trips: 32
/// closed-loop clients at each site, infinite CPU, no loss, its own simulator, at 0, 2, 10, 30 and
/// 100 % of the commands on one hot key. Quoted, not run here.
const PUBLISHED: [(&str, [u32; 5]); 6] = [
    ("EPaxos", [138, 142, 172, 255, 360]),
    ("Atlas f=1", [138, 140, 158, 208, 218]),
    ("Atlas f=2", [171, 175, 232, 351, 525]),
    ("Tempo f=1", [138, 140, 152, 186, 278]),
    ("Tempo f=2", [171, 174, 198, 256, 443]),
    ("Caesar f=2", [171, 175, 237, 625, 6967]),
];

/// The same for classic Raft or Multi-Paxos with the leader at eu-west-1, at every rate.
const PUBLISHED_MAJORITY: u32 = 246;

/// The rates of the published figures, in percent.
const PUBLISHED_RATES: [u32; 5] = [0, 2, 10, 30, 100];

/// A line for each setting: the mean at each rate.
pub(super) fn means(text: &mut String, group: &Group) {
    let Some(lines) = lines(group) else { return };
    let _ = writeln!(text, "mean ms by percent that interfere, and what the ways alone take:");
    for line in lines {
        let _ = writeln!(text, "  {line}");
    }
}

/// The lines of [`means`] without what stands before them; `None` in other scenarios.
pub(super) fn lines(group: &Group) -> Option<Vec<String>> {
    let rows: Vec<&Row> = group.rows.iter().filter(|row| row.site_mean_ms.is_some()).collect();
    if rows.is_empty() {
        return None;
    }
    let mut rates: Vec<u32> = rows.iter().filter_map(|row| row.interference).collect();
    rates.sort_unstable();
    rates.dedup();
    let head: String = rates.iter().map(|rate| format!("{:>8}", format!("{rate} %"))).collect();
    let mut lines = vec![format!("{:<78}{head}{:>8}", "", "floor")];
    let mut named = Vec::new();
    for row in &rows {
        let name = setting(row);
        if named.contains(&name) {
            continue;
        }
        let at = |rate| rows.iter().find(|r| r.interference == Some(rate) && setting(r) == name);
        let mean = |rate: &u32| at(*rate).map_or("-".into(), |r| figure(r.mean_ms));
        let means: String = rates.iter().map(|rate| format!("{:>8}", mean(rate))).collect();
        let floor = row.floor_ms.map_or("-".into(), figure);
        lines.push(format!("{name:<78}{means}{floor:>8}"));
        named.push(name);
    }
    if group.rows.iter().any(|row| row.network == "aws5") {
        let published = |figures: [u32; 5]| -> String {
            let of = |rate: &u32| PUBLISHED_RATES.iter().position(|r| r == rate);
            let show = |rate| of(rate).map_or("-".into(), |at| figures[at].to_string());
            rates.iter().map(|rate| format!("{:>8}", show(rate))).collect()
        };
        lines.push("published with fantoch, in its own simulator; quoted, not run here:".into());
        for (name, figures) in PUBLISHED {
            lines.push(format!("{:<78}{}", format!("{name}, 5 sites, closed"), published(figures)));
        }
        let majority = published([PUBLISHED_MAJORITY; 5]);
        let name = "majority (Raft, Multi-Paxos), leader eu-west-1, 5 sites, closed";
        lines.push(format!("{name:<78}{majority}"));
    }
    Some(lines)
}

fn setting(row: &Row) -> String {
    format!("{} {} {}", row.side, row.link, row.param.as_deref().unwrap_or_default())
}
