//! A scenario file: paragraphs of commands, each with what came of it.

use super::stage::Stage;
use super::verbs;

/// What came of a run.
pub struct Outcome {
    /// The file as it should be.
    pub text: String,
    /// Broken invariants and commands that make no sense. Never blessed.
    pub broken: Vec<String>,
}

impl Outcome {
    /// What is wrong, if the file said `expected`.
    pub fn failure(&self, expected: &str) -> Option<String> {
        if !self.broken.is_empty() {
            return Some(format!("{}\nin\n{}", self.broken.join("\n"), self.text));
        }
        let (said, came): (Vec<&str>, Vec<&str>) =
            (expected.lines().collect(), self.text.lines().collect());
        let at = (0..said.len().max(came.len())).find(|at| said.get(*at) != came.get(*at))?;
        let show = |lines: &[&str]| lines.get(at).copied().unwrap_or("(the end)").to_string();
        Some(format!("line {}\n- {}\n+ {}", at + 1, show(&said), show(&came)))
    }
}

/// Runs the commands of a file.
pub fn run(text: &str) -> Outcome {
    let mut stage = Stage::default();
    let mut broken = Vec::new();
    let mut paragraphs = Vec::new();
    for paragraph in text.split("\n\n").map(str::trim).filter(|p| !p.is_empty()) {
        let mut lines: Vec<String> = Vec::new();
        let mut output: Vec<String> = Vec::new();
        for line in paragraph.lines().take_while(|line| *line != "----") {
            lines.push(line.to_string());
            if line.starts_with('#') {
                continue;
            }
            if let Err(what) = verbs::run(&mut stage, line) {
                broken.push(format!("{line}: {what}"));
            }
            output.append(&mut stage.finish_command());
        }
        if !output.is_empty() {
            lines.push("----".to_string());
            lines.append(&mut output);
        }
        paragraphs.push(lines.join("\n"));
    }
    broken.extend(stage.broken());
    Outcome { text: paragraphs.join("\n\n") + "\n", broken }
}
