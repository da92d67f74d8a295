//! The requests of a cache, one a line, in the form of the traces that Twitter has published:
//! `timestamp,key,key_size,value_size,client,operation,ttl`.
//!
//! The key stands for itself, however long it was; of a value its size is known. `client`,
//! `key_size` and `ttl` are read and not used: who asks is one client beside the leader, and
//! nothing expires.

/// The names of the columns, in order.
pub(in super::super) const COLUMNS: &str = "timestamp,key,key_size,value_size,client,operation,ttl";

/// Bytes of a value: what memcached takes unless told otherwise.
const VALUE_BYTES_MAX: u32 = 1 << 20;

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Access {
    /// Of which key.
    pub(in super::super) key: Box<[u8]>,
    /// The bytes of the value.
    pub(in super::super) bytes: u32,
    /// What is done.
    pub(in super::super) what: What,
}

impl Access {
    /// Whether it brings a value along.
    pub(super) fn writes_value(&self) -> bool {
        matches!(self.what, What::Set | What::Modify)
    }
}

/// What is done with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum What {
    /// `get`, `gets`.
    Get,
    /// `set`: without looking at what was there.
    Set,
    /// `delete`.
    Delete,
    /// What depends on what was there: `add`, `replace`, `cas`, `append`, `prepend`, `incr` and
    /// `decr`.
    Modify,
}

/// The operations by name.
const OPERATIONS: [(&str, What); 11] = [
    ("get", What::Get),
    ("gets", What::Get),
    ("set", What::Set),
    ("add", What::Modify),
    ("replace", What::Modify),
    ("cas", What::Modify),
    ("append", What::Modify),
    ("prepend", What::Modify),
    ("delete", What::Delete),
    ("incr", What::Modify),
    ("decr", What::Modify),
];

/// A line.
pub(super) fn parse_access(line: &str) -> Result<Access, String> {
    let fields: Vec<&str> = line.split(',').map(str::trim).collect();
    let [timestamp, key, key_size, value_size, _, operation, ttl] = fields[..] else {
        return Err(format!("expected the 7 columns {COLUMNS}, found {}", fields.len()));
    };
    let number = |name: &str, text: &str| {
        text.parse::<u64>().map_err(|_| format!("{name} must be a whole number, found {text:?}"))
    };
    for (name, text) in [("timestamp", timestamp), ("key_size", key_size), ("ttl", ttl)] {
        number(name, text)?;
    }
    let found = OPERATIONS.iter().find(|(name, _)| *name == operation);
    let Some((_, what)) = found else {
        let names: Vec<&str> = OPERATIONS.iter().map(|(name, _)| *name).collect();
        return Err(format!("operation must be one of {}, found {operation:?}", names.join(", ")));
    };
    if key.is_empty() {
        return Err("the key is empty".into());
    }
    let bytes = number("value_size", value_size)?;
    let bytes = u32::try_from(bytes).ok().filter(|bytes| *bytes <= VALUE_BYTES_MAX);
    let bytes = bytes.ok_or_else(|| {
        format!("value_size must be at most {VALUE_BYTES_MAX}, found {value_size}")
    })?;
    Ok(Access { key: key.as_bytes().into(), bytes, what: *what })
}
