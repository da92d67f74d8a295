//! A scenario file: paragraphs of commands, each with what came of it.

use super::frame::Frame;
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
    drive(text, Stage::default(), &mut |_, _, _, _| {})
}

/// Runs the commands of a file, and gives what every replica looks like after each of them.
pub fn watch(text: &str) -> (Outcome, Vec<Frame>) {
    let mut frames = Vec::new();
    let outcome = drive(text, Stage::drawn(), &mut |stage, line, command, said| {
        frames.push(Frame::of(stage, line, command, said));
    });
    (outcome, frames)
}

/// Hears of the stage after each command: in which line it stood, how it goes, what came of it.
type Watcher<'a> = &'a mut dyn FnMut(&mut Stage, usize, &str, &[String]);

fn drive(text: &str, mut stage: Stage, watcher: Watcher) -> Outcome {
    let mut broken = Vec::new();
    let mut paragraphs: Vec<String> = Vec::new();
    let (mut lines, mut output): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
    let mut expected = false;
    for (number, line) in text.lines().chain([""]).enumerate() {
        let line = line.trim_end();
        if line.is_empty() {
            if !output.is_empty() {
                lines.push("----".to_string());
                lines.append(&mut output);
            }
            if !lines.is_empty() {
                paragraphs.push(std::mem::take(&mut lines).join("\n"));
            }
            expected = false;
            continue;
        }
        expected |= line == "----";
        if expected {
            continue;
        }
        lines.push(line.to_string());
        if line.starts_with('#') {
            continue;
        }
        if let Err(what) = verbs::run(&mut stage, line) {
            broken.push(format!("line {}, {line}: {what}", number + 1));
        }
        let mut said = stage.finish_command();
        watcher(&mut stage, number + 1, line, &said);
        output.append(&mut said);
    }
    broken.extend(stage.broken());
    Outcome { text: paragraphs.join("\n\n") + "\n", broken }
}
