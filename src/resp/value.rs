//! What is answered.

use bytes::Bytes;

/// Which version a connection speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// The usual one; every connection begins with it.
    #[default]
    Resp2,
    /// With maps, sets and more; after `HELLO 3`.
    Resp3,
}

/// A reply.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A word without line ends: `OK`.
    Simple(Bytes),
    /// An error: a word in capitals, a blank, a sentence. Without line ends.
    Error(Bytes),
    /// A number.
    Number(i64),
    /// Any bytes.
    Bulk(Bytes),
    /// There is nothing.
    Null,
    /// Values in order.
    Array(Vec<Value>),
    /// Keys and values. In version 2 an array of both in turns.
    Map(Vec<(Value, Value)>),
    /// Values without an order. In version 2 an array.
    Set(Vec<Value>),
    /// What was not asked for. In version 2 an array.
    Push(Vec<Value>),
    /// Yes or no. In version 2 the number 1 or 0.
    Bool(bool),
    /// A number with a point. In version 2 its text.
    Double(f64),
}

impl Value {
    /// `OK`.
    pub const OK: Value = Value::Simple(Bytes::from_static(b"OK"));

    /// An error with this text; whatever would end the line is a blank.
    pub fn error(text: impl std::fmt::Display) -> Value {
        Value::Error(text.to_string().replace(['\r', '\n'], " ").into())
    }

    /// Text as bytes.
    pub fn text(text: impl Into<String>) -> Value {
        Value::Bulk(Bytes::from(text.into()))
    }

    /// Appends it as the protocol has it.
    pub fn encode(&self, protocol: Protocol, out: &mut Vec<u8>) {
        let three = protocol == Protocol::Resp3;
        match self {
            Value::Simple(text) => line(out, b'+', text),
            Value::Error(text) => line(out, b'-', text),
            Value::Number(number) => head(out, b':', *number),
            Value::Bulk(bytes) => bulk(out, bytes),
            Value::Null if three => out.extend_from_slice(b"_\r\n"),
            Value::Null => out.extend_from_slice(b"$-1\r\n"),
            Value::Array(values) => list(out, b'*', values, protocol),
            Value::Set(values) => list(out, if three { b'~' } else { b'*' }, values, protocol),
            Value::Push(values) => list(out, if three { b'>' } else { b'*' }, values, protocol),
            Value::Map(pairs) => {
                let (kind, count) =
                    if three { (b'%', pairs.len()) } else { (b'*', 2 * pairs.len()) };
                head(out, kind, count as i64);
                for (key, value) in pairs {
                    key.encode(protocol, out);
                    value.encode(protocol, out);
                }
            }
            Value::Bool(yes) if three => line(out, b'#', if *yes { b"t" } else { b"f" }),
            Value::Bool(yes) => head(out, b':', i64::from(*yes)),
            Value::Double(number) if three => line(out, b',', number.to_string().as_bytes()),
            Value::Double(number) => bulk(out, number.to_string().as_bytes()),
        }
    }
}

fn line(out: &mut Vec<u8>, kind: u8, text: &[u8]) {
    out.push(kind);
    out.extend_from_slice(text);
    out.extend_from_slice(b"\r\n");
}

fn head(out: &mut Vec<u8>, kind: u8, number: i64) {
    // Longer than any number of 64 bits.
    let mut digits = [0; 20];
    let (mut at, mut left) = (digits.len(), number.unsigned_abs());
    loop {
        at -= 1;
        digits[at] = b'0' + (left % 10) as u8;
        left /= 10;
        if left == 0 {
            break;
        }
    }
    out.push(kind);
    if number < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(&digits[at..]);
    out.extend_from_slice(b"\r\n");
}

fn bulk(out: &mut Vec<u8>, bytes: &[u8]) {
    head(out, b'$', bytes.len() as i64);
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

fn list(out: &mut Vec<u8>, kind: u8, values: &[Value], protocol: Protocol) {
    head(out, kind, values.len() as i64);
    values.iter().for_each(|value| value.encode(protocol, out));
}
