//! The Redis machine once more, as dumb as can be: an ordered map, a few lines for each command.

use bytes::Bytes;
use std::collections::BTreeMap;
use traft::apply::redis::{Answer, ExpireWhen, Failure, Limit, Op, When};

/// A key's value and deadline.
pub(crate) type Twin = BTreeMap<Vec<u8>, (Vec<u8>, Option<u64>)>;

/// The store as one would write it in a hurry.
#[derive(Clone, Debug, Default)]
pub(crate) struct Dumb {
    pub(crate) keys: Twin,
    pub(crate) clock: u64,
}

impl Dumb {
    fn value(&self, key: &[u8]) -> Answer {
        self.keys.get(key).map_or(Answer::Null, |(v, _)| Answer::Value(v.clone().into()))
    }

    fn deadline(&self, key: &[u8]) -> Option<u64> {
        self.keys.get(key).and_then(|(_, at)| *at)
    }

    fn limit(&mut self, key: &[u8], limit: Limit) -> Option<u64> {
        match limit {
            Limit::None => None,
            Limit::Keep => self.deadline(key),
            Limit::At(at) => Some(at),
        }
    }

    pub(crate) fn read(&self, op: &Op<'_>) -> Option<Answer> {
        let number = |n: usize| Answer::Number(n as i64);
        Some(match op {
            Op::Get { key } => self.value(key),
            Op::GetMany { keys } => {
                let one = |key: &&[u8]| self.keys.get(*key).map(|(v, _)| Bytes::from(v.clone()));
                Answer::Values(keys.iter().map(one).collect())
            }
            Op::Length { key } => number(self.keys.get(*key).map_or(0, |(v, _)| v.len())),
            Op::Exists { keys } => {
                number(keys.iter().filter(|key| self.keys.contains_key(**key)).count())
            }
            Op::Deadline { key } => Answer::Number(match self.keys.get(*key) {
                None => -2,
                Some((_, None)) => -1,
                Some((_, Some(at))) => *at as i64,
            }),
            Op::Count => number(self.keys.len()),
            Op::Scan { after, pattern, most } => {
                let above: Vec<&Vec<u8>> =
                    self.keys.keys().filter(|key| after.is_none_or(|a| &key[..] > a)).collect();
                let looked_at = (*most).max(1) as usize;
                let page = &above[..looked_at.min(above.len())];
                let fits = |key: &&&Vec<u8>| pattern.is_none_or(|p| dumb_match(p, key));
                let keys = page.iter().filter(fits).map(|key| Bytes::from(key.to_vec())).collect();
                let next =
                    (above.len() > looked_at).then(|| Bytes::from(page[looked_at - 1].clone()));
                Answer::Page { keys, next }
            }
            Op::Due { now, most } => {
                let mut limited: Vec<(u64, Bytes)> = Vec::new();
                for (key, (_, at)) in &self.keys {
                    limited.extend(at.map(|at| (at, Bytes::from(key.clone()))));
                }
                limited.sort();
                let due = limited.iter().filter(|(at, _)| at <= now).count().min(*most as usize);
                let keys = limited[..due].iter().map(|(at, key)| (key.clone(), *at)).collect();
                Answer::Due { keys, next: limited.get(due).map(|(at, _)| *at) }
            }
            Op::Clock => number(self.clock as usize),
            Op::All { ops } => {
                Answer::All(ops.iter().map(|op| self.read(op)).collect::<Option<_>>()?)
            }
            _ => return None,
        })
    }

    pub(crate) fn apply(&mut self, op: &Op<'_>) -> Answer {
        if let Some(answer) = self.read(op) {
            return answer;
        }
        let flag = |yes: bool| Answer::Number(i64::from(yes));
        match op {
            Op::Set { key, value, deadline } => {
                self.keys.insert(key.to_vec(), (value.to_vec(), *deadline));
                Answer::Nothing
            }
            Op::SetMany { pairs } => {
                for (key, value) in pairs {
                    self.keys.insert(key.to_vec(), (value.to_vec(), None));
                }
                Answer::Nothing
            }
            Op::Clear => {
                self.keys.clear();
                Answer::Nothing
            }
            Op::Put { key, value, limit, when, get } => {
                let (before, is) = (self.value(key), self.keys.contains_key(*key));
                let writes = match when {
                    When::Always => true,
                    When::Absent => !is,
                    When::Present => is,
                };
                if writes {
                    let deadline = self.limit(key, *limit);
                    self.keys.insert(key.to_vec(), (value.to_vec(), deadline));
                }
                let wrote = if writes { Answer::Done } else { Answer::Null };
                if *get { before } else { wrote }
            }
            Op::SetManyIfAbsent { pairs } => {
                let absent = pairs.iter().all(|(key, _)| !self.keys.contains_key(*key));
                if absent {
                    self.apply(&Op::SetMany { pairs: pairs.clone() });
                }
                flag(absent)
            }
            Op::Delete { keys } => {
                let gone = keys.iter().filter(|key| self.keys.remove(**key).is_some()).count();
                Answer::Number(gone as i64)
            }
            Op::Take { key } => {
                let before = self.value(key);
                self.keys.remove(*key);
                before
            }
            Op::GetAndLimit { key, limit } => {
                let deadline = self.limit(key, *limit);
                self.keys.entry(key.to_vec()).and_modify(|entry| entry.1 = deadline);
                self.value(key)
            }
            Op::Persist { key } => {
                let had = self.deadline(key).is_some();
                self.keys.entry(key.to_vec()).and_modify(|entry| entry.1 = None);
                flag(had)
            }
            Op::Evict { keys } => {
                let due = |(key, until): &&(&[u8], u64)| {
                    let is = self.deadline(key).is_some_and(|at| at <= *until);
                    is && self.keys.remove(*key).is_some()
                };
                Answer::Number(keys.iter().filter(due).count() as i64)
            }
            Op::Time { now } => {
                self.clock = self.clock.max(*now);
                Answer::Number(self.clock as i64)
            }
            Op::All { ops } => {
                let answers: Vec<Answer> = ops.iter().map(|op| self.apply(op)).collect();
                let silent = answers.iter().all(|answer| *answer == Answer::Nothing);
                if silent { Answer::Nothing } else { Answer::All(answers) }
            }
            other => self.change(other),
        }
    }

    fn change(&mut self, op: &Op<'_>) -> Answer {
        match op {
            Op::Add { key, by } => {
                let (text, deadline) = match self.keys.get(*key) {
                    Some((value, at)) => (String::from_utf8_lossy(value).into_owned(), *at),
                    None => ("0".into(), None),
                };
                let number = text.parse::<i128>().ok().filter(|n| n.to_string() == text);
                let small = |n: &i128| i64::try_from(*n).is_ok();
                let Some(number) = number.filter(small) else {
                    return Answer::Failed(Failure::NotANumber);
                };
                let sum = number + i128::from(*by);
                let Ok(sum) = i64::try_from(sum) else { return Answer::Failed(Failure::Overflow) };
                self.keys.insert(key.to_vec(), (sum.to_string().into(), deadline));
                Answer::Number(sum)
            }
            Op::Append { key, suffix } => {
                let entry = self.keys.entry(key.to_vec()).or_default();
                entry.0.extend_from_slice(suffix);
                Answer::Number(entry.0.len() as i64)
            }
            Op::Expire { key, deadline, when } => {
                let Some((_, at)) = self.keys.get_mut(*key) else { return Answer::Number(0) };
                let set = match when {
                    ExpireWhen::Always => true,
                    ExpireWhen::Unlimited => at.is_none(),
                    ExpireWhen::Limited => at.is_some(),
                    ExpireWhen::Later => at.unwrap_or(u64::MAX) < *deadline,
                    ExpireWhen::Earlier => at.unwrap_or(u64::MAX) > *deadline,
                };
                if set {
                    *at = Some(*deadline);
                }
                Answer::Number(i64::from(set))
            }
            other => unreachable!("{other:?}"),
        }
    }
}

/// Whether a text matches a pattern: tries everything a star could take.
pub(crate) fn dumb_match(pattern: &[u8], text: &[u8]) -> bool {
    match pattern {
        [] => text.is_empty(),
        [b'*', rest @ ..] => (0..=text.len()).any(|n| dumb_match(rest, &text[n..])),
        [b'?', rest @ ..] => !text.is_empty() && dumb_match(rest, &text[1..]),
        [b'[', b'^', c, b']', rest @ ..] => {
            text.first().is_some_and(|b| b != c) && dumb_match(rest, &text[1..])
        }
        [b'[', a, b'-', z, b']', rest @ ..] => {
            text.first().is_some_and(|b| (a..=z).contains(&b)) && dumb_match(rest, &text[1..])
        }
        [b'\\', c, rest @ ..] => text.first() == Some(c) && dumb_match(rest, &text[1..]),
        [c, rest @ ..] => text.first() == Some(c) && dumb_match(rest, &text[1..]),
    }
}
