//! One trial of one law: two runs that must look the same.

use crate::apply::Machine;
use crate::base::Command;
use bytes::Bytes;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A point of the contract of [`Machine`], as two runs that must look the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Law {
    /// Points 1 and 4: the same commands give the same results and state again, and no panic.
    Determined,
    /// Point 2: two commands that do not interfere commute.
    Commute,
    /// Point 2: a command that writes nothing changes nothing.
    ReadOnly,
    /// Reading changes nothing, and gives what executing would if the command writes nothing.
    ReadAgrees,
    /// Point 3: a blind command returns nothing.
    Silent,
    /// Point 3: a blind command is invisible once another blind one has written all its keys.
    Override,
}

impl Law {
    /// What it means that two runs differ.
    const fn breach(self) -> &'static str {
        match self {
            Law::Determined => "executed twice, the same commands differ",
            Law::Commute => "two commands declared independent do not commute",
            Law::ReadOnly => "a command that declares no writes changes the state",
            Law::ReadAgrees => "reading changes the state, or differs from executing",
            Law::Silent => "a blind command returns something",
            Law::Override => "a blind write that is written over stays visible",
        }
    }
}

/// A law, the commands that lead to a state, the command or two that it is about, and commands
/// that look at the state afterwards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// What is tried.
    pub law: Law,
    /// What leads to the state, from the machine's first one.
    pub history: Vec<Command>,
    /// The command.
    pub first: Command,
    /// The other one, if the law is about two.
    pub second: Option<Command>,
    /// Executed afterwards.
    pub after: Vec<Command>,
}

/// What one of the two runs showed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// What was run, in words.
    pub run: &'static str,
    /// Whether the machine panicked. Then there is nothing else.
    pub panicked: bool,
    /// The result of [`Case::first`], if the law compares it.
    pub first: Option<Bytes>,
    /// The result of [`Case::second`].
    pub second: Option<Bytes>,
    /// The results of [`Case::after`].
    pub after: Vec<Bytes>,
    /// The state at the end.
    pub digest: u64,
}

/// What a run does between the history and the commands afterwards.
#[derive(Clone, Copy)]
enum Step {
    First,
    Second,
    ReadFirst,
}

impl Case {
    /// What the two runs showed, if that is not the same.
    pub fn breach<M: Machine>(&self, new: &impl Fn() -> M) -> Option<(Seen, Seen)> {
        use Step::{First, ReadFirst, Second};
        let run = |name, steps: &[Step]| self.run(name, steps, new);
        let reads_only = self.first.footprint.writes.is_empty();
        let (left, right) = match self.law {
            Law::Determined => (run("once", &[First]), run("again", &[First])),
            Law::Commute => {
                (run("in this order", &[First, Second]), run("in the other", &[Second, First]))
            }
            Law::ReadOnly => (run("with it", &[First]), run("without", &[])),
            Law::ReadAgrees if reads_only => (run("executed", &[First]), run("read", &[ReadFirst])),
            Law::ReadAgrees => {
                let read = run("read", &[ReadFirst]);
                (Seen { first: None, ..read }, run("without", &[]))
            }
            Law::Silent => {
                let executed = run("executed", &[First]);
                let silent = Seen { run: "expected", ..executed.clone() };
                (executed, Seen { first: Some(Bytes::new()), ..silent })
            }
            Law::Override => (run("with it", &[First, Second]), run("without", &[Second])),
        };
        (!left.looks_like(&right)).then_some((left, right))
    }

    fn run<M: Machine>(&self, run: &'static str, steps: &[Step], new: &impl Fn() -> M) -> Seen {
        let seen = catch_unwind(AssertUnwindSafe(|| {
            let mut machine = new();
            let mut seen = Seen { run, ..Seen::default() };
            self.history.iter().for_each(|command| drop(machine.apply(&command.body)));
            for step in steps {
                match (step, &self.second) {
                    (Step::First, _) => seen.first = Some(machine.apply(&self.first.body)),
                    (Step::ReadFirst, _) => seen.first = Some(machine.read(&self.first.body)),
                    (Step::Second, Some(second)) => seen.second = Some(machine.apply(&second.body)),
                    (Step::Second, None) => {}
                }
            }
            seen.after = self.after.iter().map(|command| machine.apply(&command.body)).collect();
            seen.digest = machine.digest();
            seen
        }));
        seen.unwrap_or(Seen { run, panicked: true, ..Seen::default() })
    }

    /// Every case with one command less.
    fn smaller(&self) -> impl Iterator<Item = Case> + '_ {
        let history = (0..self.history.len()).map(|at| {
            let mut case = self.clone();
            case.history.remove(at);
            case
        });
        let after = (0..self.after.len()).map(|at| {
            let mut case = self.clone();
            case.after.remove(at);
            case
        });
        after.chain(history)
    }
}

impl Seen {
    /// Whether the runs agree in all that both did. One that panicked agrees with none.
    fn looks_like(&self, other: &Seen) -> bool {
        let agree = |a: &Option<Bytes>, b: &Option<Bytes>| a.is_none() || b.is_none() || a == b;
        !self.panicked
            && !other.panicked
            && agree(&self.first, &other.first)
            && agree(&self.second, &other.second)
            && self.after == other.after
            && self.digest == other.digest
    }
}

/// A breach of a law from which no command can be left out.
#[derive(Clone, Debug)]
pub struct Counterexample {
    /// The commands.
    pub case: Case,
    /// What the first run showed.
    pub left: Seen,
    /// What the second run showed.
    pub right: Seen,
    /// The seed and the round that found it.
    pub found: (u64, u32),
    show: fn(&Bytes) -> String,
}

impl Counterexample {
    /// Leaves out commands of `case`, which breaches its law, as long as it still does.
    pub(super) fn shrink<M: Machine>(
        mut case: Case,
        new: &impl Fn() -> M,
        seed: u64,
        round: u32,
        show: fn(&Bytes) -> String,
    ) -> Counterexample {
        loop {
            let smaller = case.smaller().find(|smaller| smaller.breach(new).is_some());
            match smaller {
                Some(smaller) => case = smaller,
                None => break,
            }
        }
        let (left, right) = case.breach(new).unwrap_or_default();
        Counterexample { case, left, right, found: (seed, round), show }
    }

    fn line(&self, f: &mut fmt::Formatter<'_>, name: &str, command: &Command) -> fmt::Result {
        writeln!(f, "  {name:<7} {}   [{}]", (self.show)(&command.body), command.footprint)
    }

    fn seen(&self, f: &mut fmt::Formatter<'_>, seen: &Seen) -> fmt::Result {
        write!(f, "{}:", seen.run)?;
        if seen.panicked {
            return writeln!(f, " panicked");
        }
        let text = |bytes: &Bytes| bytes.escape_ascii().to_string();
        let mut result = |name: &str, result: &Option<Bytes>| match result {
            Some(bytes) => write!(f, " {name} \"{}\",", text(bytes)),
            None => Ok(()),
        };
        result("first", &seen.first)?;
        result("second", &seen.second)?;
        seen.after.iter().try_for_each(|bytes| write!(f, " after \"{}\",", text(bytes)))?;
        writeln!(f, " state {:016x}", seen.digest)
    }
}

/// The law, the commands with their footprints, what each run showed, and where it was found.
impl fmt::Display for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Case { law, history, first, second, after } = &self.case;
        writeln!(f, "{}", law.breach())?;
        history.iter().try_for_each(|command| self.line(f, "before", command))?;
        self.line(f, "first", first)?;
        second.iter().try_for_each(|command| self.line(f, "second", command))?;
        after.iter().try_for_each(|command| self.line(f, "after", command))?;
        self.seen(f, &self.left)?;
        self.seen(f, &self.right)?;
        let (seed, round) = self.found;
        write!(f, "found with seed {seed} in round {round}")
    }
}

impl std::error::Error for Counterexample {}
