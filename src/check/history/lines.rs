//! Histories as JSON lines, one event each, for checkers and clients of others.
//!
//! ```text
//! {"client":1,"op":"put","key":"x","value":"41","ok":true,"call":10,"return":25}
//! {"client":2,"op":"incr","key":"x","value":1,"out":42,"ok":true,"call":30,"return":44}
//! {"client":3,"op":"get","key":["x","y"],"out":["42",null],"ok":true,"call":50,"return":61}
//! {"client":1,"op":"cas","key":"x","expect":"42","value":"7","ok":false,"call":70,"return":80}
//! {"client":1,"op":"del","key":"y","call":90,"return":null}
//! {"client":2,"op":"cas","key":"x","expect":null,"value":"8","ok":false,"out":"refused", ...}
//! ```
//!
//! A `cas` that was refused had no effect for another reason than what it met, which `ok` alone
//! does not tell.

use super::{Action, Answer, Event};
use bytes::Bytes;
use serde_json::{Map, Value, json};

/// What a `cas` gave that was not even tried.
const REFUSED: &str = "refused";

/// A line that is no event. The user mends the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct BadLine {
    /// Counted from one.
    pub line: usize,
    /// What is wrong with it.
    pub why: String,
}

/// The events of a text, one a line; empty lines are skipped, fields that are not known, too.
///
/// # Errors
/// The first line that is no event.
pub fn parse(text: &str) -> Result<Vec<Event>, BadLine> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines.map(|(at, line)| event(line).map_err(|why| BadLine { line: at + 1, why })).collect()
}

/// The event as a line, without the end of the line. Bytes that are no text are escaped.
pub fn print(event: &Event) -> String {
    let mut line = Map::new();
    line.insert("client".into(), event.client.into());
    let (op, value, expect) = match &event.action {
        Action::Get(_) => ("get", None, None),
        Action::Put(pairs) => {
            let values: Vec<Value> = pairs.iter().map(|(_, value)| text(value)).collect();
            ("put", Some(one_or_all(values)), None)
        }
        Action::Delete(_) => ("del", None, None),
        Action::Cas { expect, value, .. } => ("cas", Some(optional(value)), Some(optional(expect))),
        Action::Append { suffix, .. } => ("append", Some(text(suffix)), None),
        Action::Increment { by, .. } => ("incr", Some((*by).into()), None),
    };
    line.insert("op".into(), op.into());
    let keys = event.action.keys().into_iter().map(text).collect();
    line.insert("key".into(), one_or_all(keys));
    line.extend(value.map(|value| ("value".into(), value)));
    line.extend(expect.map(|expect| ("expect".into(), expect)));
    let answer = event.end.as_ref().map(|(_, answer)| answer);
    let out = match answer {
        Some(Answer::Values(values)) => Some(one_or_all(values.iter().map(optional).collect())),
        Some(Answer::Number(number)) => Some((*number).into()),
        Some(Answer::Length(length)) => Some((*length).into()),
        Some(Answer::Refused) if matches!(event.action, Action::Cas { .. }) => Some(REFUSED.into()),
        _ => None,
    };
    line.extend(out.map(|out| ("out".into(), out)));
    let fine = answer.map(|answer| !matches!(answer, Answer::Swapped(false) | Answer::Refused));
    line.extend(fine.map(|fine| ("ok".into(), fine.into())));
    line.insert("call".into(), event.call.into());
    line.insert("return".into(), json!(event.end.as_ref().map(|(end, _)| *end)));
    Value::Object(line).to_string()
}

fn text(bytes: &Bytes) -> Value {
    match str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => bytes.escape_ascii().to_string().into(),
    }
}

fn optional(bytes: &Option<Bytes>) -> Value {
    bytes.as_ref().map_or(Value::Null, text)
}

/// One thing is itself, several are a list.
fn one_or_all(mut all: Vec<Value>) -> Value {
    if all.len() == 1 { all.swap_remove(0) } else { Value::Array(all) }
}

/// A field that is not there is null.
fn field<'a>(line: &'a Map<String, Value>, name: &str) -> &'a Value {
    line.get(name).unwrap_or(&Value::Null)
}

/// A key or a value: a string; a number stands for its decimal text.
fn bytes(value: &Value, name: &str) -> Result<Bytes, String> {
    match value {
        Value::String(text) => Ok(text.clone().into()),
        Value::Number(number) => Ok(number.to_string().into()),
        other => Err(format!("\"{name}\" must be a string or a number, not {other}")),
    }
}

fn maybe(value: &Value, name: &str) -> Result<Option<Bytes>, String> {
    if value.is_null() { Ok(None) } else { bytes(value, name).map(Some) }
}

/// A list, or one that stands for a list of itself.
fn all(value: &Value) -> &[Value] {
    value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice)
}

fn number(value: &Value, name: &str) -> Result<i64, String> {
    let number = value.as_i64().or_else(|| value.as_str()?.parse().ok());
    number.ok_or_else(|| format!("\"{name}\" must be a whole number, not {value}"))
}

fn time(value: &Value, name: &str) -> Result<u64, String> {
    let time = value.as_u64();
    time.ok_or_else(|| format!("\"{name}\" must be nanoseconds from zero up, not {value}"))
}

fn event(line: &str) -> Result<Event, String> {
    let line: Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
    let line = line.as_object().ok_or("an event is an object in braces")?;
    let client = time(field(line, "client"), "client")?;
    let call = time(field(line, "call"), "call")?;
    let action = action(line)?;
    let end = match field(line, "return") {
        Value::Null => None,
        end => Some(time(end, "return")?),
    };
    if end.is_some_and(|end| end < call) {
        return Err("\"return\" lies before \"call\"".into());
    }
    let end = end.map(|end| Ok::<_, String>((end, answer(line, &action)?))).transpose()?;
    if let Some((_, answer)) = &end
        && !action.may_answer(answer)
    {
        return Err("\"out\" must have one value for each key".into());
    }
    Ok(Event { client, action, call, end })
}

/// A key that a list says twice would leave open which value it has.
fn action(line: &Map<String, Value>) -> Result<Action, String> {
    let (key, value) = (field(line, "key"), field(line, "value"));
    let keys: Vec<Bytes> =
        all(key).iter().map(|key| bytes(key, "key")).collect::<Result<_, _>>()?;
    let one = || match &keys[..] {
        [key] => Ok(key.clone()),
        _ => Err("this operation has one \"key\"".to_string()),
    };
    let Some(op) = field(line, "op").as_str() else {
        return Err("\"op\" must be one of get, put, del, cas, append, incr".into());
    };
    Ok(match op {
        _ if keys.is_empty() => return Err("\"key\" is empty".into()),
        _ if (1..keys.len()).any(|at| keys[..at].contains(&keys[at])) => {
            return Err("\"key\" says a key twice".into());
        }
        "get" => Action::Get(keys),
        "del" => Action::Delete(keys),
        "put" => {
            let values: Vec<Bytes> =
                all(value).iter().map(|value| bytes(value, "value")).collect::<Result<_, _>>()?;
            if values.len() != keys.len() {
                return Err("put needs one \"value\" for each \"key\"".into());
            }
            Action::Put(keys.into_iter().zip(values).collect())
        }
        "cas" => {
            let expect = maybe(field(line, "expect"), "expect")?;
            Action::Cas { key: one()?, expect, value: maybe(value, "value")? }
        }
        "append" => Action::Append { key: one()?, suffix: bytes(value, "value")? },
        "incr" => Action::Increment { key: one()?, by: number(value, "value")? },
        other => {
            return Err(format!("no op {other:?}; there are get, put, del, cas, append, incr"));
        }
    })
}

fn answer(line: &Map<String, Value>, action: &Action) -> Result<Answer, String> {
    let (ok, out) = (field(line, "ok"), field(line, "out"));
    let fine = match (ok, action) {
        (Value::Bool(fine), _) => *fine,
        (Value::Null, Action::Cas { .. }) => {
            return Err("\"ok\" must say whether the cas wrote".into());
        }
        (Value::Null, _) => true,
        (other, _) => return Err(format!("\"ok\" must be true or false, not {other}")),
    };
    Ok(match action {
        Action::Cas { .. } if !fine && *out == REFUSED => Answer::Refused,
        Action::Cas { .. } => Answer::Swapped(fine),
        _ if !fine => Answer::Refused,
        Action::Get(_) => {
            let values = all(out).iter().map(|value| maybe(value, "out"));
            Answer::Values(values.collect::<Result<_, _>>()?)
        }
        Action::Append { .. } if !out.is_null() => Answer::Length(time(out, "out")?),
        Action::Increment { .. } if !out.is_null() => Answer::Number(number(out, "out")?),
        _ => Answer::Nothing,
    })
}
