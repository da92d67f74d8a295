//! A rule switched off, and the shortest schedule that breaks.

use super::diagram::{Diagram, draw};
use super::{Membership, Overrides, Replication, Rule, Searched, Spec, search};
use crate::check::search::{ForEach, Report};

/// What came of it.
#[derive(Clone, Debug)]
pub struct Ablation {
    /// What the rule says.
    pub rule: &'static str,
    /// What was done instead.
    pub without: &'static str,
    /// How far the search went.
    pub report: Report,
    /// The schedule, drawn, if something broke.
    pub diagram: Option<Diagram>,
}

/// A rule that can be switched off: its name, what it says, what is done instead.
type Known = (&'static str, &'static str, &'static str);

const RULES: [Known; 7] = [
    (
        "lineage",
        "A new leader takes the records that the greatest committer had adopted, from any voter",
        "it takes at each position what was accepted under the greatest leader, and nothing is \
         dropped",
    ),
    (
        "any-voter",
        "A new leader takes the records that the greatest committer had adopted, from any voter",
        "it takes those of the voters alone that have the greatest committer",
    ),
    ("closure", "A record whose dependency is lost is dropped", "it is kept"),
    (
        "durable-before-answer",
        "What an answer says is on the disk before it leaves",
        "it may be gone after a restart, and nobody knows",
    ),
    (
        "promise",
        "Whoever has voted for a leader refuses every lower one, for ever",
        "any leader is accepted, and anybody is voted for",
    ),
    (
        "override",
        "Holding an overriding record is not holding its victim",
        "its holder counts for its victims",
    ),
    (
        "barrier",
        "A change of membership commits only when its quorums hold everything below it",
        "it commits like any other record",
    ),
];

/// The names of the rules, with what each says.
pub fn rules() -> impl Iterator<Item = (&'static str, &'static str)> {
    RULES.iter().map(|(name, says, _)| (*name, *says))
}

/// Switches a rule off, and looks breadth first for a state that is wrong, in up to `states_max` of
/// them. `None`: there is no such rule.
pub fn ablate(name: &str, states_max: u64, each: &ForEach<'_>) -> Option<Ablation> {
    run(name, true, states_max, each)
}

/// With the rule off, or on: then nothing may break.
fn run(name: &str, off: bool, states_max: u64, each: &ForEach<'_>) -> Option<Ablation> {
    let (_, rule, without) = RULES.iter().copied().find(|(known, ..)| *known == name)?;
    let three = Replication::with_leaders(3);
    let (report, diagram) = match name {
        "lineage" | "any-voter" => {
            let wrong = if name == "lineage" { Rule::PerSlot } else { Rule::MaxCommitter };
            let rule = if off { wrong } else { Rule::Lineage };
            look(&Replication { rule, ..three }, states_max, each)
        }
        "closure" => look(&Replication { closure: !off, ..three }, states_max, each),
        "durable-before-answer" => {
            let max_loss = u8::from(off);
            let (jump, knows) = (false, false);
            let (max_lsn, keys) = (1, 2);
            let spec = Replication { max_loss, jump, knows, max_lsn, keys, ..three };
            look(&spec, states_max, each)
        }
        "promise" => {
            let (max_lsn, max_leader) = (1, 2);
            look(&Replication { promises: !off, max_lsn, max_leader, ..three }, states_max, each)
        }
        "override" => {
            let (max_lsn, two) = (3, false);
            let spec = Overrides { holding_counts: off, max_lsn, two, ..Overrides::small() };
            look(&spec, states_max, each)
        }
        _ => {
            let (members, read) = ([0b01, 0b10, 0], [1, 1, 0]);
            let spec = Membership { barrier: !off, members, read, ..Membership::small() };
            look(&spec, states_max, each)
        }
    };
    Some(Ablation { rule, without, report, diagram })
}

fn look<S: Spec>(spec: &S, states_max: u64, each: &ForEach<'_>) -> (Report, Option<Diagram>) {
    let report = search(&Searched(spec), states_max, each, &|_| {});
    let diagram = report.wrong.as_ref().map(|wrong| draw(spec, wrong));
    (report, diagram)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::search::one_by_one;

    /// What breaks, and after how many steps: none shorter exists in these small worlds.
    #[test]
    fn each_rule_is_needed() {
        for (name, number) in [
            ("lineage", "I-7"),
            ("any-voter", "I-6"),
            ("closure", "I-7"),
            ("durable-before-answer", "I-6"),
            ("promise", "I-6"),
            ("barrier", "I-6"),
        ] {
            let off = run(name, true, 2_000_000, &one_by_one).expect("a rule");
            let wrong = off.report.wrong.expect(name);
            assert!(wrong.what.starts_with(number), "{name}: {}", wrong.what);
            let diagram = off.diagram.expect(name).to_string();
            assert!(diagram.contains(number), "{diagram}");
            let on = run(name, false, 5_000, &one_by_one).expect("a rule");
            assert_eq!(on.report.wrong, None, "{name} is on");
        }
        assert!(ablate("gravity", 1, &one_by_one).is_none());
    }
}
