//! What clients were told took effect is there at the end, once. Each append adds a mark of its
//! own: every mark is in the list at most once, and the acknowledged ones are.

use super::Check;
use super::claims::Claims;
use crate::base::{LeaderId, Lsn, Record};
use crate::check::history::{Action, Answer, Event};
use std::collections::BTreeMap;

/// Records that somebody was answered with.
#[derive(Default)]
pub(super) struct Effects {
    answered: BTreeMap<Lsn, LeaderId>,
}

impl Effects {
    pub(super) fn answered(&mut self, record: &Record) {
        self.answered.insert(record.lsn, record.author);
    }

    /// At the end of a run, its last reads being in the history.
    pub(super) fn kept(&self, claims: &Claims, history: &[Event]) -> Check {
        for (lsn, author) in &self.answered {
            if let Some(settled) = claims.author(*lsn)
                && settled != *author
            {
                return Err(format!(
                    "the record of {author} at {lsn} was answered, and {settled}'s is settled there"
                ));
            }
        }
        let is_list = |event: &&Event| match &event.action {
            Action::Get(keys) => keys.len() == 1 && keys[0].starts_with(b"l"),
            _ => false,
        };
        let last = history.iter().rfind(is_list).and_then(|event| event.end.as_ref());
        let Some((_, Answer::Values(values))) = last else { return Ok(()) };
        let list =
            values[0].as_ref().map_or(String::new(), |value| value.escape_ascii().to_string());
        for event in history {
            let Action::Append { suffix, .. } = &event.action else { continue };
            let mark = suffix.escape_ascii().to_string();
            let times = list.split_inclusive(';').filter(|other| **other == mark).count();
            let acknowledged = matches!(event.end, Some((_, Answer::Length(_))));
            if times > 1 || acknowledged && times == 0 {
                return Err(format!("{event} took effect {times} times; the list is {list}"));
            }
        }
        Ok(())
    }
}
