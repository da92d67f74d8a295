//! `traft plan`: what a change of membership requires.

use crate::base::{Membership, NotationError, ReplicaId};
use crate::quorum::{Outlook, Phase, Plan, PlanError, Stage, plan};
use clap::Args;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// What may be asked.
#[derive(Args, Debug)]
pub(super) struct PlanArgs {
    /// The membership in force, such as "(n1 n2 n3)"
    from: String,
    /// The membership that shall be
    to: String,
    /// Replicas that are down, separated by commas
    #[arg(long, value_name = "REPLICA", value_delimiter = ',')]
    down: Vec<String>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// What follows the options in `--help`.
pub(super) const GUIDE: &str = "\
Memberships:
  (n1 n2 n3)                          majorities of these
  (n1 n2 n3 n4; read 3, write 2)      3 of them elect, 2 commit
  (n1:2 n2 n3; read 2, write 3)       by weight
  grid (n1 n2|n3 n4)                  a full row elects, one of each row commits
  majority (majority (n1 n2 n3); majority (n4 n5 n6); majority (n7 n8 n9))
                                      a majority of zones, each by a majority of its own
  (n1 n2 n3) learners (n4)            n4 is sent everything and does not vote
  The whole notation: docs/quorums.md

Examples:
  traft plan '(n1 n2 n3)' '(n1 n2 n4)'
      who has to catch up, who is waited for, what one more failure would stop
  traft plan '(n1 n2 n3)' '(n1 n2 n3 n4 n5)' --down n3
      whether that can be done while n3 is down
  traft plan '(n1 n2 n3)' '(n4 n5 n6)' --json
      every fact, for other programs

Exit codes:
  0  the change can be made now
  1  with those replicas down it cannot, or would stop the cluster
  2  the command line is wrong, or a membership is not sound; the reason is on standard error";

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadChange {
    /// A text that is no membership.
    #[error("{0}, {1}")]
    Notation(&'static str, NotationError),
    /// A name that is none.
    #[error("--down: expected a replica such as n1, not {0:?}")]
    Name(String),
    /// A name that means nobody here.
    #[error("--down names {0}, which neither membership knows")]
    Stranger(ReplicaId),
    /// A membership that may not be in force.
    #[error(transparent)]
    Plan(#[from] PlanError),
}

/// The text for standard output, and whether the change can be made.
pub(super) fn run(args: &PlanArgs) -> Result<(String, bool), BadChange> {
    let read = |name, text: &str| -> Result<Membership, BadChange> {
        text.parse().map_err(|error| BadChange::Notation(name, error))
    };
    let (from, to) = (read("FROM", &args.from)?, read("TO", &args.to)?);
    let down = args.down.iter().map(|name| replica(name)).collect::<Result<Vec<_>, _>>()?;
    let plan = plan(&from, &to, &down)?;
    if let Some(stranger) = plan.strangers.first() {
        return Err(BadChange::Stranger(*stranger));
    }
    let works = matches!(plan.outlook(), Outlook::Works | Outlook::Nothing);
    Ok((if args.json { document(&plan, &down) } else { text(&plan, &down) }, works))
}

fn replica(name: &str) -> Result<ReplicaId, BadChange> {
    let number = name.trim().strip_prefix('n').filter(|n| n.bytes().all(|b| b.is_ascii_digit()));
    let number = number.and_then(|number| number.parse().ok());
    number.map(ReplicaId).ok_or_else(|| BadChange::Name(name.into()))
}

fn names(ids: &[ReplicaId]) -> String {
    ids.iter().map(ReplicaId::to_string).collect::<Vec<_>>().join(" ")
}

fn stage(phase: &Phase) -> &'static str {
    match phase.stage {
        Stage::Before => "before",
        Stage::Pending => "pending",
        Stage::After => "after",
    }
}

fn text(plan: &Plan, down: &[ReplicaId]) -> String {
    let [before, pending, after] = &plan.phases;
    let mut text = String::new();
    // Writing to a string does not fail.
    let mut line = |name: &str, what: &str| {
        let _ = writeln!(text, "{}", format!("{name:<9} {what}").trim_end());
    };
    line("from", &before.membership.to_string());
    line("to", &after.membership.to_string());
    if !down.is_empty() {
        line("down", &names(down));
    }
    if !plan.joining.is_empty() {
        line("joining", &names(&plan.joining));
        line("", waiting(plan).as_str());
    }
    if !plan.promoted.is_empty() {
        line("", &format!("learners so far: {}", names(&plan.promoted)));
    }
    if !plan.leaving.is_empty() {
        line("leaving", &names(&plan.leaving));
        line("", "to be kept running until the change is reported complete");
    }
    line("pending", "until it commits, electing and committing need a quorum of both:");
    line("  elect", &pending.membership.read.to_string());
    line("  commit", &pending.membership.write.to_string());
    line("", "");
    line("phase", "elects  commits  one more failure that stops it");
    let yes = |yes: bool| if yes { "yes" } else { "no" };
    for phase in &plan.phases {
        let critical = if phase.critical.is_empty() { "-".into() } else { names(&phase.critical) };
        let works = format!("{:<7} {:<8} {critical}", yes(phase.elects), yes(phase.commits));
        line(stage(phase), &works);
    }
    line("", "");
    text + &verdict(plan, down) + "\n"
}

/// Who has to have caught up before the change commits.
fn waiting(plan: &Plan) -> String {
    match &plan.enough {
        None => "even with all of them, no write quorum of the new membership is up".into(),
        Some(enough) if enough.is_empty() => {
            "catching up in the background; the change does not wait for it".into()
        }
        Some(enough) if *enough == plan.needed => {
            let have = if enough.len() > 1 { "have" } else { "has" };
            format!("the change waits until {} {have} caught up", and(enough))
        }
        Some(enough) => {
            format!("the change waits until enough have caught up, for example {}", and(enough))
        }
    }
}

fn and(ids: &[ReplicaId]) -> String {
    match ids {
        [first @ .., last] if !first.is_empty() => format!("{} and {last}", names(first)),
        _ => names(ids),
    }
}

fn verdict(plan: &Plan, down: &[ReplicaId]) -> String {
    let [before, _, after] = &plan.phases;
    let lacks = |phase: &Phase| match (phase.elects, phase.commits) {
        (false, false) => "neither elect nor commit",
        (false, true) => "not elect",
        (true, _) => "not commit",
    };
    let down = and(down);
    match plan.outlook() {
        Outlook::Nothing => "The two memberships are the same: there is nothing to change.".into(),
        Outlook::Works => "The change can be made now.".into(),
        Outlook::Lost => format!(
            "With {down} down the present membership can {}: nothing can be changed before some \
             come back.",
            lacks(before)
        ),
        Outlook::WouldLose => format!(
            "Do not make this change now: with {down} down the new membership can {}, and the \
             cluster would stop until some come back.",
            lacks(after)
        ),
    }
}

fn document(plan: &Plan, down: &[ReplicaId]) -> String {
    let list =
        |ids: &[ReplicaId]| -> Vec<String> { ids.iter().map(ReplicaId::to_string).collect() };
    let [before, _, after] = &plan.phases;
    let phase = |phase: &Phase| {
        json!({
            "phase": stage(phase),
            "read": phase.membership.read.to_string(),
            "write": phase.membership.write.to_string(),
            "elects": phase.elects,
            "commits": phase.commits,
            "critical": list(&phase.critical),
        })
    };
    let phases: Vec<Value> = plan.phases.iter().map(phase).collect();
    let outlook = match plan.outlook() {
        Outlook::Nothing => "nothing",
        Outlook::Works => "works",
        Outlook::Lost => "lost",
        Outlook::WouldLose => "would-lose",
    };
    let document = json!({
        "from": before.membership.to_string(),
        "to": after.membership.to_string(),
        "down": list(down),
        "outlook": outlook,
        "joining": list(&plan.joining),
        "promoted": list(&plan.promoted),
        "leaving": list(&plan.leaving),
        "needed": list(&plan.needed),
        "enough": plan.enough.as_deref().map(list),
        "phases": phases,
    });
    format!("{document}\n")
}
