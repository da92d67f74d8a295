//! `--trace FILE`: what clients asked of a real machine.
//!
//! One request a line, with four columns for the requests of a [block device](block) and seven for
//! those of a [cache](cache); the first request tells which. Lines that start with `#` and empty
//! lines are skipped, and so is one line with the names of the columns. The clock of such a trace
//! is too coarse to be replayed, so the requests run in order in a closed loop: at most `--depth`
//! of them at a time.

mod block;
mod cache;

pub(super) use block::Request;
pub(super) use cache::{Access, What};
use std::path::Path;

/// What all values of a trace may take: they are made before the first request.
const VALUES_BYTES_MAX: u64 = 1 << 30;

/// The requests of a trace, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trace {
    /// Of a block device.
    Block(Vec<Request>),
    /// Of a cache.
    Cache(Vec<Access>),
}

impl Default for Trace {
    fn default() -> Trace {
        Trace::Block(Vec::new())
    }
}

impl Trace {
    /// How many there are, and of what.
    pub(super) fn about(&self) -> String {
        match self {
            Trace::Block(requests) => format!("{} block requests", requests.len()),
            Trace::Cache(accesses) => format!("{} requests of a cache", accesses.len()),
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Trace::Block(requests) => requests.is_empty(),
            Trace::Cache(accesses) => accesses.is_empty(),
        }
    }

    /// One request more. How many bytes its value takes.
    fn push(&mut self, line: &str) -> Result<u32, String> {
        if self.is_empty() && line.split(',').count() == cache::COLUMNS.split(',').count() {
            *self = Trace::Cache(Vec::new());
        }
        match self {
            Trace::Block(requests) => {
                requests.push(block::parse_request(line)?);
                Ok(0)
            }
            Trace::Cache(accesses) => {
                let access = cache::parse_access(line)?;
                let bytes = if access.writes_value() { access.bytes } else { 0 };
                accesses.push(access);
                Ok(bytes)
            }
        }
    }
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
    #[error(
        "{path}: no request in the trace (expected lines of {}, or of {})",
        block::COLUMNS,
        cache::COLUMNS
    )]
    Empty {
        /// Its path.
        path: String,
    },
}

/// Reads the trace in the file at `path`.
pub(super) fn load(path: &Path) -> Result<Trace, TraceError> {
    let name = path.display().to_string();
    match std::fs::read_to_string(path) {
        Ok(text) => parse(&name, &text),
        Err(error) => Err(TraceError::Unreadable { path: name, why: error.to_string() }),
    }
}

/// The requests of `text`; `path` is its name in errors.
pub(super) fn parse(path: &str, text: &str) -> Result<Trace, TraceError> {
    let mut trace = Trace::default();
    let (mut header_allowed, mut values) = (true, 0);
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let is_header = [block::COLUMNS, cache::COLUMNS].contains(&line);
        if !(std::mem::take(&mut header_allowed) && is_header) {
            let wrong = |why| TraceError::Line { path: path.to_string(), line: at + 1, why };
            values += u64::from(trace.push(line).map_err(wrong)?);
            if values > VALUES_BYTES_MAX {
                let most = VALUES_BYTES_MAX >> 20;
                return Err(wrong(format!(
                    "the values up to here take more than {most} MiB: cut it"
                )));
            }
        }
    }
    if trace.is_empty() {
        return Err(TraceError::Empty { path: path.to_string() });
    }
    Ok(trace)
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
        assert_eq!(parse("t.csv", text).expect("a good trace"), Trace::Block(expected.to_vec()));
    }

    #[test]
    fn the_header_may_be_missing() {
        let trace = parse("t.csv", "1,R,5,2\n").expect("a good trace");
        assert_eq!(trace.about(), "1 block requests");
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
        let expected = "t.csv: no request in the trace (expected lines of \
                        seconds,op,lbn,sectors, or of \
                        timestamp,key,key_size,value_size,client,operation,ttl)";
        assert_eq!(why("# nothing\n\n"), expected);
        assert_eq!(why(""), expected);
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = load(Path::new("no/such.csv")).expect_err("no such file").to_string();
        assert!(error.starts_with("cannot read the trace no/such.csv: "), "{error}");
    }

    #[test]
    fn seven_columns_are_those_of_a_cache() {
        let text =
            "0,a,1,256,7,get,0\n0,a,1,10,7,set,86400\n1,b,1,0,9,incr,0\n2,a,1,0,9,delete,0\n";
        let Trace::Cache(accesses) = parse("t.csv", text).expect("a good trace") else {
            panic!("it is of a cache")
        };
        let whats: Vec<What> = accesses.iter().map(|access| access.what).collect();
        assert_eq!(whats, [What::Get, What::Set, What::Modify, What::Delete]);
        assert_eq!((&accesses[1].key[..], accesses[1].bytes), (&b"a"[..], 10));
        let named = format!("{}\n{text}", cache::COLUMNS);
        assert_eq!(parse("t.csv", &named).expect("a good trace"), Trace::Cache(accesses));
        let long = |operation| format!("0,a,1,1048576,1,{operation},0\n");
        let most = "t.csv, line 1025: the values up to here take more than 1024 MiB: cut it";
        assert_eq!(why(&long("set").repeat(1025)), most);
        assert!(parse("t.csv", &long("get").repeat(1025)).is_ok(), "they are not made");
        let cases = [
            ("0,a,1,1,1,fly,0\n", "t.csv, line 1: operation must be one of get, gets, set, add, "),
            ("0,a,1,x,1,set,0\n", "t.csv, line 1: value_size must be a whole number, found \"x\""),
            ("0,,0,1,1,set,0\n", "t.csv, line 1: the key is empty"),
            (
                "0,a,1,9999999,1,set,0\n",
                "t.csv, line 1: value_size must be at most 1048576, found ",
            ),
            ("0,a,1,1,1,set,0\n0,W,1,1\n", "t.csv, line 2: expected the 7 columns timestamp,key,"),
        ];
        for (text, expected) in cases {
            assert!(why(text).starts_with(expected), "{}", why(text));
        }
    }
}
