//! Is a recorded history linearizable? For keys with values: gets, puts, deletes, compare-and-set,
//! append and increment, of one key or of several.
//!
//! A history is a list of [`Event`]s, in any order: who called what when, and what came back when.
//! It is linearizable if every operation seems to take effect at one moment between its call and
//! its answer (Herlihy and Wing 1990). An operation without an answer may take effect at any moment
//! after its call, or never.
//!
//! Linearizability is local: a history is linearizable if each of its objects is. So keys are
//! looked at one by one, and keys that some operation touches together as one object. For each the
//! search is that of Wing and Gong (1993) with Lowe's memory of configurations (2017): what has
//! taken effect, and the state that it led to. What is remembered is exact, no hash stands for it.
//!
//! | step | file |
//! | --- | --- |
//! | what an event is, and what an operation answers | `event.rs` |
//! | keys that belong together, values as numbers | `object.rs` |
//! | what can be told of unknown ends | `object/ends.rs` |
//! | the search | `search.rs` |
//! | one event a line, for other checkers | `lines.rs` |
//!
//! Not looked at: the order of operations of one client beyond what their times say, and results of
//! commands that failed without an effect.

mod event;
#[cfg(feature = "compare")]
mod lines;
mod object;
mod search;

pub use event::{Action, Answer, Event};
#[cfg(feature = "compare")]
pub use lines::{BadLine, parse, print};

use bytes::Bytes;
use std::fmt;

/// What came of a check.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Events that were placed. Those that are known to have had no effect are not counted.
    pub events: usize,
    /// Of these, the ones whose end nobody knows.
    pub unknown: usize,
    /// Objects: keys, or groups of keys that some event touches together.
    pub objects: usize,
    /// How many of them have several keys.
    pub groups: usize,
    /// Configurations looked at.
    pub steps: u64,
    /// The objects that are not linearizable, in order of their least key.
    pub anomalies: Vec<Anomaly>,
    /// Objects that took more steps than were allowed: nothing is known of them.
    pub undecided: Vec<Vec<Bytes>>,
}

impl Report {
    /// Whether the whole history is known to be linearizable.
    pub fn is_linearizable(&self) -> bool {
        self.anomalies.is_empty() && self.undecided.is_empty()
    }
}

/// An object whose history is not linearizable: no order of its events explains all answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anomaly {
    /// The keys of the object.
    pub keys: Vec<Bytes>,
    /// The events that the longest order found explains, in that order: the last few of them.
    pub explained: Vec<Event>,
    /// How many it explains in all.
    pub length: usize,
    /// The values of the keys after those.
    pub state: Vec<Option<Bytes>>,
    /// What would have to come next: one of these, and none has the answer that it gave.
    pub stuck: Vec<Event>,
}

/// One paragraph for a person.
impl fmt::Display for Anomaly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |bytes: &Bytes| bytes.escape_ascii().to_string();
        let keys: Vec<String> = self.keys.iter().map(text).collect();
        write!(f, "not linearizable: {}; {} events fit", keys.join(" "), self.length)?;
        let values = self.keys.iter().zip(&self.state);
        let value = |value: &Option<Bytes>| value.as_ref().map_or("-".to_string(), text);
        let state: Vec<String> =
            values.map(|(key, v)| format!("{}={}", text(key), value(v))).collect();
        write!(f, ", and then {}", state.join(" "))?;
        for event in &self.explained {
            write!(f, "\n    {event}")?;
        }
        for event in &self.stuck {
            write!(f, "\n  ? {event}")?;
        }
        Ok(())
    }
}

/// Checks a history, its events in any order. `steps_max` bounds the work on each object; what
/// takes more is [`undecided`](Report::undecided). A history with few operations at once, and few
/// of unknown end on a key, takes about as many steps as it has events.
pub fn check(events: &[Event], steps_max: u64) -> Report {
    let mut report = Report::default();
    for (object, mut values) in object::objects(events) {
        report.events += object.events();
        report.unknown += object.unanswered;
        report.objects += 1;
        report.groups += usize::from(object.keys.len() > 1);
        let found = search::search(&object, &mut values, steps_max);
        report.steps += found.steps;
        match found.end {
            search::End::Explained => {}
            search::End::GaveUp => report.undecided.push(object.keys),
            search::End::Stuck(stuck) => {
                report.anomalies.push(stuck.anomaly(&object, &values, events))
            }
        }
    }
    report
}
