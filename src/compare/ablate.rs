//! `traft ablate RULE`: a rule switched off, and the shortest schedule that breaks.

use super::cli::BadInput;
use crate::check::search::one_by_one;
use crate::check::spec::{Ablation, ablate, rules};
use clap::Args;
use serde_json::json;

/// What may be asked.
#[derive(Args, Debug)]
pub(super) struct AblateArgs {
    /// Which rule (listed below)
    #[arg(value_name = "RULE")]
    rule: String,
    /// Give up after so many distinct states
    #[arg(long, value_name = "N", default_value_t = 10_000_000)]
    states: u64,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// What follows the options in `--help`.
pub(super) fn guide() -> String {
    let rules: String = rules().map(|(name, says)| format!("  {name:<22} {says}\n")).collect();
    format!(
        "Searches the specification of the algorithm (design/*.tla, as Rust) breadth first with one
rule switched off, for a state in which an invariant does not hold: no schedule is shorter in so
small a world. It is drawn with time going down, leaders and replicas side by side. Leaders are
counted in the order of their ids, positions from @1. That the specification holds with all rules,
and has the states that a checker of TLA+ counts, is tested.

Rules:
{rules}
Examples:
  traft ablate closure
      what happens when a record outlives what it depends on
  traft ablate promise --json
      the same for other programs

Exit codes:
  0  a schedule was found
  1  none was found in so many states
  2  the command line is wrong"
    )
}

/// What came of it: the text for standard output, and complaints for standard error.
///
/// # Errors
///
/// There is no such rule.
pub(super) fn run(args: &AblateArgs) -> Result<(String, Vec<String>), BadInput> {
    let found = ablate(&args.rule, args.states, &one_by_one).ok_or_else(|| BadInput::Unknown {
        what: "rule",
        name: args.rule.clone(),
        known: rules().map(|(name, _)| name).collect::<Vec<_>>().join(", "),
    })?;
    let Ablation { rule, without, report, diagram } = &found;
    let complaints = match report.wrong {
        Some(_) => Vec::new(),
        None => vec![format!("nothing breaks in {} states", report.states)],
    };
    let text = match args.json {
        true => {
            let document = json!({
                "rule": args.rule, "says": rule, "without": without, "states": report.states,
                "steps": report.wrong.as_ref().map(|wrong| wrong.path.len()),
                "violation": report.wrong.as_ref().map(|wrong| wrong.what.clone()),
                "diagram": diagram.lines().collect::<Vec<_>>(),
            });
            format!("{document:#}\n")
        }
        false => format!(
            "The rule: {rule}.\nWithout it, {without}.\n\n{diagram}\n{} states were looked at.\n",
            report.states
        ),
    };
    Ok((text, complaints))
}
