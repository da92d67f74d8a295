//! `--trace FILE`: the block requests of a real machine.
//!
//! One request a line, `seconds,op,lbn,sectors`: when it was sent (whole seconds since the first
//! one), `R` or `W`, the first 512-byte sector, and how many. Lines that start with `#` and empty
//! lines are skipped, and so is one line with the names of the columns. The clock of such a trace
//! is too coarse to be replayed, so the requests run in order in a closed loop: at most `--depth`
//! of them at a time.

use crate::apply::block::SECTORS_MAX;
use std::path::Path;

/// The names of the columns, in order.
pub(super) const COLUMNS: &str = "seconds,op,lbn,sectors";

/// One request of the trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Request {
    /// Seconds since the first request.
    pub(super) seconds: u64,
    /// Whether it writes; else it reads.
    pub(super) write: bool,
    /// The first sector.
    pub(super) first: u64,
    /// How many sectors, at least 1.
    pub(super) sectors: u64,
}

/// What is wrong with a trace. The caller mends the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum TraceError {
    /// It could not be read.
    #[error("cannot read the trace {path}: {why}")]
    Unreadable {
        /// Its path.
        path: String,
        /// What the system says.
        why: String,
    },
    /// A line is not a request.
    #[error("{path}, line {line}: {why}")]
    Line {
        /// Its path.
        path: String,
        /// The line, the first being 1.
        line: usize,
        /// What was expected and what is there.
        why: String,
    },
    /// It holds no request.
    #[error("{path}: no request in the trace (expected lines of {COLUMNS})")]
    Empty {
        /// Its path.
        path: String,
    },
}

/// Reads the trace in the file at `path`.
pub(super) fn load(path: &Path) -> Result<Vec<Request>, TraceError> {
    let name = path.display().to_string();
    match std::fs::read_to_string(path) {
        Ok(text) => parse(&name, &text),
        Err(error) => Err(TraceError::Unreadable { path: name, why: error.to_string() }),
    }
}

/// The requests of `text`; `path` is its name in errors.
pub(super) fn parse(path: &str, text: &str) -> Result<Vec<Request>, TraceError> {
    let mut requests = Vec::new();
    let mut header_allowed = true;
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if !(std::mem::take(&mut header_allowed) && line == COLUMNS) {
            let request = parse_request(line).map_err(|why| TraceError::Line {
                path: path.to_string(),
                line: at + 1,
                why,
            })?;
            requests.push(request);
        }
    }
    if requests.is_empty() {
        return Err(TraceError::Empty { path: path.to_string() });
    }
    Ok(requests)
}

fn parse_request(line: &str) -> Result<Request, String> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn why(text: &str) -> String {
        parse("t.csv", text).expect_err("a bad trace").to_string()
    }

    #[test]
    fn comments_empty_lines_and_the_header_are_skipped() {
        let text = "# a comment\n\nseconds,op,lbn,sectors\n0,W,42,8\n# more\n 3, R ,7,1 \r\n";
        let expected = [
            Request { seconds: 0, write: true, first: 42, sectors: 8 },
            Request { seconds: 3, write: false, first: 7, sectors: 1 },
        ];
        assert_eq!(parse("t.csv", text).expect("a good trace"), expected);
    }

    #[test]
    fn the_header_may_be_missing() {
        assert_eq!(parse("t.csv", "1,R,5,2\n").expect("a good trace").len(), 1);
    }

    #[test]
    fn a_bad_line_is_named_by_its_number() {
        let cases = [
            ("# c\n0,W,1,1\n0,X,1,1\n", "t.csv, line 3: op must be R or W, found \"X\""),
            ("0,W,1\n", "t.csv, line 1: expected the 4 columns seconds,op,lbn,sectors, found 3"),
            (
                "0,W,1,1,1\n",
                "t.csv, line 1: expected the 4 columns seconds,op,lbn,sectors, found 5",
            ),
            ("0,W,-1,1\n", "t.csv, line 1: lbn must be a whole number, found \"-1\""),
            ("0.5,W,1,1\n", "t.csv, line 1: seconds must be a whole number, found \"0.5\""),
            ("0,W,1,0\n", "t.csv, line 1: sectors must be 1 to 131072, found 0"),
            ("0,W,1,9999999\n", "t.csv, line 1: sectors must be 1 to 131072, found 9999999"),
            (
                "0,W,18446744073709551615,1\n",
                "t.csv, line 1: lbn 18446744073709551615 and 1 sectors leave the 64-bit range",
            ),
            ("0,W,1,1\nseconds,op,lbn,sectors\n", "t.csv, line 2: op must be R or W, found \"op\""),
        ];
        for (text, expected) in cases {
            assert_eq!(why(text), expected);
        }
    }

    #[test]
    fn a_trace_without_requests_is_refused() {
        let expected = "t.csv: no request in the trace (expected lines of seconds,op,lbn,sectors)";
        assert_eq!(why("# nothing\n\n"), expected);
        assert_eq!(why(""), expected);
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = load(Path::new("no/such.csv")).expect_err("no such file").to_string();
        assert!(error.starts_with("cannot read the trace no/such.csv: "), "{error}");
    }
}
