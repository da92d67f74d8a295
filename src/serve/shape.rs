//! How the result of a command is told.

use crate::apply::redis::{Answer, Failure};
use crate::resp::Value;
use bytes::Bytes;

/// What becomes of an [`Answer`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    /// `OK`, or nothing if a condition was not met.
    Ok,
    /// As it is.
    Plain,
    /// 1 if it wrote, 0 if not.
    Flag,
    /// `string` or `none`.
    Type,
    /// A deadline as what is left until then.
    Left {
        /// In these milliseconds.
        unit: u64,
        /// The moment of the question.
        now: u64,
    },
    /// A deadline as a moment.
    Moment {
        /// In these milliseconds.
        unit: u64,
    },
    /// A digest, as `DEBUG DIGEST` gives it.
    Digest,
    /// All keys of a page.
    Keys,
    /// A page with a cursor.
    Page,
    /// Of each command of a transaction.
    All(Vec<Shape>),
}

/// Gives a number to where a scan is to go on.
pub type Cursor<'a> = &'a mut dyn FnMut(Bytes) -> u64;

impl Shape {
    /// The reply.
    pub fn value(&self, answer: Answer, cursor: Cursor<'_>) -> Value {
        match (self, answer) {
            (_, Answer::Failed(failure)) => failed(failure),
            (Shape::All(shapes), Answer::All(answers)) => {
                let each = shapes.iter().zip(answers);
                Value::Array(each.map(|(shape, answer)| shape.value(answer, cursor)).collect())
            }
            // Of those that give nothing it is known what they would give.
            (Shape::All(shapes), Answer::Nothing) => Value::Array(
                shapes.iter().map(|shape| shape.value(Answer::Nothing, cursor)).collect(),
            ),
            (Shape::Ok, Answer::Nothing | Answer::Done) => Value::OK,
            (Shape::Flag, answer) => Value::Number(i64::from(answer == Answer::Done)),
            (Shape::Type, Answer::Number(there)) => {
                Value::Simple(Bytes::from_static(if there > 0 { b"string" } else { b"none" }))
            }
            (Shape::Digest, Answer::Number(digest)) => {
                Value::Simple(Bytes::from(format!("{:040x}", digest as u64)))
            }
            (Shape::Left { unit, now }, Answer::Number(at)) => Value::Number(left(at, *unit, *now)),
            (Shape::Moment { unit }, Answer::Number(at)) => {
                Value::Number(if at < 0 { at } else { at / *unit as i64 })
            }
            (Shape::Keys, Answer::Page { next: Some(_), .. }) => {
                Value::error("ERR too many keys for one reply; use SCAN")
            }
            (Shape::Keys, Answer::Page { keys, .. }) => bulks(keys),
            (Shape::Page, Answer::Page { keys, next }) => {
                let next = next.map_or(0, cursor);
                Value::Array(vec![Value::text(next.to_string()), bulks(keys)])
            }
            (_, Answer::Value(value)) => Value::Bulk(value),
            (_, Answer::Values(values)) => {
                let one = |value: Option<Bytes>| value.map_or(Value::Null, Value::Bulk);
                Value::Array(values.into_iter().map(one).collect())
            }
            (_, Answer::Number(number)) => Value::Number(number),
            (_, Answer::Null) => Value::Null,
            (_, Answer::Nothing | Answer::Done) => Value::OK,
            (_, Answer::All(_) | Answer::Page { .. } | Answer::Due { .. }) => {
                Value::error("ERR a result of another command")
            }
        }
    }
}

/// What is left until a deadline, or -1 or -2. Seconds are rounded as Redis does.
fn left(at: i64, unit: u64, now: u64) -> i64 {
    match u64::try_from(at) {
        Ok(at) => ((at.saturating_sub(now) + unit / 2) / unit) as i64,
        Err(_) => at,
    }
}

fn bulks(keys: Vec<Bytes>) -> Value {
    Value::Array(keys.into_iter().map(Value::Bulk).collect())
}

fn failed(failure: Failure) -> Value {
    Value::error(format_args!("ERR {failure}"))
}
