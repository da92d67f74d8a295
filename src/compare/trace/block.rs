//! The block requests of a real machine, one a line: `seconds,op,lbn,sectors`: when it was sent
//! (whole seconds since the first one), `R` or `W`, the first 512-byte sector, and how many.

use crate::apply::block::SECTORS_MAX;

/// The names of the columns, in order.
pub(in super::super) const COLUMNS: &str = "seconds,op,lbn,sectors";

/// One request of the trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Request {
    /// Seconds since the first request.
    pub(in super::super) seconds: u64,
    /// Whether it writes; else it reads.
    pub(in super::super) write: bool,
    /// The first sector.
    pub(in super::super) first: u64,
    /// How many sectors, at least 1.
    pub(in super::super) sectors: u64,
}

/// A line.
pub(super) fn parse_request(line: &str) -> Result<Request, String> {
    let fields: Vec<&str> = line.split(',').map(str::trim).collect();
    let [seconds, op, first, sectors] = fields[..] else {
        return Err(format!("expected the 4 columns {COLUMNS}, found {}", fields.len()));
    };
    let number = |name: &str, text: &str| {
        text.parse::<u64>().map_err(|_| format!("{name} must be a whole number, found {text:?}"))
    };
    let write = match op {
        "W" | "w" => true,
        "R" | "r" => false,
        other => return Err(format!("op must be R or W, found {other:?}")),
    };
    let request = Request {
        seconds: number("seconds", seconds)?,
        write,
        first: number("lbn", first)?,
        sectors: number("sectors", sectors)?,
    };
    if !(1..=SECTORS_MAX).contains(&request.sectors) {
        return Err(format!("sectors must be 1 to {SECTORS_MAX}, found {sectors}"));
    }
    if request.first.checked_add(request.sectors).is_none() {
        return Err(format!("lbn {first} and {sectors} sectors leave the 64-bit range"));
    }
    Ok(request)
}
