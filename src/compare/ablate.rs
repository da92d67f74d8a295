//! `traft ablate RULE`: a rule switched off, and the shortest schedule that breaks.

use super::cli::BadInput;
use super::picture::{Arrow, Cell, EVENT_CHARS, LEFT_CHARS, Line, Picture, Row, wrapped};
use crate::check::search::one_by_one;
use crate::check::spec::{Ablation, Diagram, ablate, rules};
use clap::Args;
use serde_json::json;
use std::path::PathBuf;

/// What may be asked.
#[derive(Args, Debug)]
pub(super) struct AblateArgs {
    /// Which rule (listed below)
    #[arg(value_name = "RULE")]
    rule: String,
    /// Give up after so many distinct states
    #[arg(long, value_name = "N", default_value_t = 10_000_000)]
    states: u64,
    /// Write a picture (SVG), as `traft explain` draws them
    #[arg(long, value_name = "FILE")]
    picture: Option<PathBuf>,
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
  traft ablate any-voter --picture any-voter.svg
      a picture of it
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
/// There is no such rule, or the picture cannot be written.
pub(super) fn run(args: &AblateArgs) -> Result<(String, Vec<String>), BadInput> {
    let found = ablate(&args.rule, args.states, &one_by_one).ok_or_else(|| BadInput::Unknown {
        what: "rule",
        name: args.rule.clone(),
        known: rules().map(|(name, _)| name).collect::<Vec<_>>().join(", "),
    })?;
    let Ablation { rule, without, report, diagram } = &found;
    if let (Some(to), Some(diagram)) = (&args.picture, diagram) {
        std::fs::write(to, svg(&args.rule, &found, diagram))
            .map_err(|error| BadInput::Together(format!("{}: {error}", to.display())))?;
    }
    let diagram = diagram.as_ref().map(Diagram::to_string).unwrap_or_default();
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

/// As a picture.
fn svg(name: &str, Ablation { rule, without, .. }: &Ablation, diagram: &Diagram) -> String {
    let mut rows: Vec<Row> = diagram
        .rows
        .iter()
        .map(|row| {
            let mut cells = vec![Cell::default(); diagram.heads.len()];
            for (column, said) in &row.cells {
                cells[*column].events = wrapped(said, EVENT_CHARS);
                cells[*column].role = diagram.heads[*column].clone();
            }
            // Nothing is on its way for longer than a step.
            let arrow = |&(from, to): &(usize, usize)| Arrow { from, to, since: usize::MAX };
            let arrows = row.arrows.iter().map(arrow).collect();
            let left = wrapped(&row.note, LEFT_CHARS).into_iter().map(Line::Then);
            Row { left: left.collect(), cells, arrows }
        })
        .collect();
    let wrong = wrapped(&diagram.wrong, LEFT_CHARS).into_iter().map(Line::Step).collect();
    rows.push(Row { left: wrong, ..Row::default() });
    let about = format!("The rule: {rule}. Without it, {without}. {}", diagram.wrong);
    Picture { name: name.into(), about, heads: diagram.heads.clone(), rows }.svg()
}

#[cfg(test)]
mod tests {
    use super::super::picture::tests::{is_as_committed, is_sound};
    use super::*;

    #[test]
    fn the_pictures_of_the_rejected_rules_are_what_breaks() {
        for (rule, page) in [("lineage", "per-position"), ("any-voter", "max-committer")] {
            let found = ablate(rule, 1_000_000, &one_by_one).expect("a rule");
            let diagram = found.diagram.as_ref().expect("it breaks");
            let picture = svg(rule, &found, diagram);
            is_sound(&picture);
            is_as_committed(&format!("design/rejected/{page}.svg"), &picture);
        }
    }
}
