//! The protocol: any split of the input gives the same, whatever is written is read back, and
//! whatever comes is a request, a wait, or an error.

use bytes::Bytes;
use proptest::prelude::*;
use traft::resp::{Limits, Protocol, ProtocolError, Replies, Requests, Value};

const SMALL: Limits = Limits { bytes_max: 120, parts_max: 6, inline_bytes_max: 40 };

/// All that comes of these bytes, fed in pieces of these lengths.
fn requests(input: &[u8], cuts: &[usize]) -> (Vec<Vec<Vec<u8>>>, Option<ProtocolError>) {
    let (mut requests, mut found) = (Requests::new(SMALL), Vec::new());
    for piece in pieces(input, cuts) {
        requests.feed(piece);
        loop {
            match requests.next() {
                Ok(Some(words)) => found.push(words.iter().map(|word| word.to_vec()).collect()),
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(requests.next(), Err(error), "for ever");
                    return (found, Some(error));
                }
            }
        }
        // The request that is not whole, and the piece that made another one whole.
        assert!(requests.pending_bytes() <= SMALL.bytes_max);
    }
    (found, None)
}

fn replies(input: &[u8], cuts: &[usize]) -> (Vec<Value>, Option<ProtocolError>) {
    let (mut replies, mut found) = (Replies::new(SMALL), Vec::new());
    for piece in pieces(input, cuts) {
        replies.feed(piece);
        loop {
            match replies.next() {
                Ok(Some(value)) => found.push(value),
                Ok(None) => break,
                Err(error) => return (found, Some(error)),
            }
        }
    }
    (found, None)
}

fn pieces<'a>(mut input: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    for cut in cuts {
        let (piece, rest) = input.split_at((*cut).min(input.len()));
        pieces.push(piece);
        input = rest;
    }
    pieces.push(input);
    pieces
}

fn array(words: &[Vec<u8>]) -> Vec<u8> {
    let words: Vec<Value> = words.iter().map(|word| Value::Bulk(word.clone().into())).collect();
    let mut out = Vec::new();
    Value::Array(words).encode(Protocol::Resp2, &mut out);
    out
}

fn word() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..8)
}

fn request() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop::collection::vec(word(), 1..5)
}

/// Requests, nearly requests, and anything.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let parts = prop_oneof![
        6 => prop::collection::vec(word(), 1..5).prop_map(|words| array(&words)),
        2 => "[a-z\"' ]{0,12}\r?\n".prop_map(String::into_bytes),
        1 => "\\*[0-9-]{1,3}\r?\n".prop_map(String::into_bytes),
        1 => "\\$[0-9-]{1,4}\r\n".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..60),
    ];
    prop::collection::vec(parts, 0..6).prop_map(|parts| parts.concat())
}

fn value() -> impl Strategy<Value = Value> {
    let text = || "[a-zA-Z ]{0,9}".prop_map(Bytes::from);
    let leaf = prop_oneof![
        text().prop_map(Value::Simple),
        text().prop_map(Value::Error),
        any::<i64>().prop_map(Value::Number),
        word().prop_map(|word| Value::Bulk(word.into())),
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        (-1e9..1e9_f64).prop_map(Value::Double),
    ];
    leaf.prop_recursive(3, 8, 3, |inner| {
        let list = prop::collection::vec(inner.clone(), 0..3);
        prop_oneof![
            list.clone().prop_map(Value::Array),
            list.clone().prop_map(Value::Set),
            list.prop_map(Value::Push),
            prop::collection::vec((inner.clone(), inner), 0..2).prop_map(Value::Map),
        ]
    })
}

/// What version 2 makes of a value.
fn flat(value: &Value) -> Value {
    let all = |values: &[Value]| Value::Array(values.iter().map(flat).collect());
    match value {
        Value::Array(values) | Value::Set(values) | Value::Push(values) => all(values),
        Value::Map(pairs) => {
            Value::Array(pairs.iter().flat_map(|(k, v)| [flat(k), flat(v)]).collect())
        }
        Value::Bool(yes) => Value::Number(i64::from(*yes)),
        Value::Double(number) => Value::text(number.to_string()),
        other => other.clone(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_split_gives_the_same_requests(input in stream(), cuts: Vec<u8>) {
        let whole = requests(&input, &[]);
        let cuts: Vec<usize> = cuts.iter().map(|cut| usize::from(cut % 16)).collect();
        prop_assert_eq!(&requests(&input, &cuts), &whole);
        prop_assert_eq!(&requests(&input, &vec![1; input.len()]), &whole);
    }

    #[test]
    fn requests_come_back(sent in prop::collection::vec(request(), 0..5)) {
        let input: Vec<u8> = sent.iter().flat_map(|words| array(words)).collect();
        prop_assert_eq!(requests(&input, &[]), (sent, None));
    }

    #[test]
    fn quoted_words_come_back(words in request()) {
        let quote = |word: &Vec<u8>| {
            let bytes: String = word.iter().map(|byte| format!("\\x{byte:02x}")).collect();
            format!("\"{bytes}\"")
        };
        let line = words.iter().map(quote).collect::<Vec<_>>().join("  ") + "\r\n";
        let mut requests = Requests::new(Limits::default());
        requests.feed(line.as_bytes());
        let found = requests.next().expect("a good line").expect("a whole one");
        prop_assert_eq!(found, words);
    }

    #[test]
    fn any_split_gives_the_same_replies(
        values in prop::collection::vec(value(), 0..4),
        garbage in prop::collection::vec(any::<u8>(), 0..20),
        cuts: Vec<u8>,
    ) {
        let mut input = Vec::new();
        values.iter().for_each(|value| value.encode(Protocol::Resp3, &mut input));
        input.extend(garbage);
        let cuts: Vec<usize> = cuts.iter().map(|cut| usize::from(cut % 16)).collect();
        // Compared as text, since a number with a point need not equal itself.
        let whole = format!("{:?}", replies(&input, &[]));
        prop_assert_eq!(format!("{:?}", replies(&input, &cuts)), whole.clone());
        prop_assert_eq!(format!("{:?}", replies(&input, &vec![1; input.len()])), whole);
    }

    #[test]
    fn values_come_back(value in value()) {
        let mut three = Replies::new(Limits::default());
        let mut out = Vec::new();
        value.encode(Protocol::Resp3, &mut out);
        three.feed(&out);
        prop_assert_eq!(three.next(), Ok(Some(value.clone())));
        let mut two = Replies::new(Limits::default());
        out.clear();
        value.encode(Protocol::Resp2, &mut out);
        two.feed(&out);
        prop_assert_eq!(two.next(), Ok(Some(flat(&value))));
    }

    #[test]
    fn anything_is_a_request_a_wait_or_an_error(input: Vec<u8>) {
        let (found, _) = requests(&input, &[]);
        prop_assert!(found.iter().all(|words| !words.is_empty()));
        replies(&input, &[]);
    }
}

#[test]
fn hostile_input_is_a_typed_error() {
    let long_line = [b'x'; 80];
    let cases: [(&[u8], ProtocolError); 16] = [
        (b"*7\r\n", ProtocolError::InvalidCount),
        (b"*99999999999999999999\r\n", ProtocolError::InvalidCount),
        (b"*1x\r\n", ProtocolError::InvalidCount),
        (b"*1\n", ProtocolError::InvalidCount),
        (b"*00000000000000000000000000000000000001", ProtocolError::InvalidCount),
        (b"*1\r\n$-1\r\n", ProtocolError::InvalidLength),
        (b"*1\r\n$121\r\n", ProtocolError::InvalidLength),
        (b"*1\r\n$9223372036854775807\r\n", ProtocolError::InvalidLength),
        (b"*1\r\n$\r\n", ProtocolError::InvalidLength),
        (b"*1\r\n$119\r\n", ProtocolError::TooBig { max: 120 }),
        (b"*2\r\n$100\r\n", ProtocolError::TooBig { max: 0 }),
        (b"*1\r\n:1\r\n", ProtocolError::ExpectedDollar { got: b':' }),
        (b"*1\r\n$1\r\nabc", ProtocolError::ExpectedEnd),
        (b"SET \"a\r\n", ProtocolError::UnbalancedQuotes),
        (b"SET \"a\"b\r\n", ProtocolError::UnbalancedQuotes),
        (&long_line, ProtocolError::TooBigInline),
    ];
    for (input, expected) in cases {
        let found = requests(input, &[]).1;
        if expected == (ProtocolError::TooBig { max: 0 }) {
            assert_eq!(found, None, "it fits: {}", input.escape_ascii());
        } else {
            assert_eq!(found, Some(expected), "{}", input.escape_ascii());
        }
    }
    let deep = b"*1\r\n".repeat(20);
    assert_eq!(replies(&deep, &[]).1, Some(ProtocolError::UnknownReply));
    assert_eq!(replies(b"$200\r\n", &[]).1, Some(ProtocolError::InvalidLength));
}

/// What is announced is not believed: memory comes with bytes.
#[test]
fn an_announcement_takes_no_memory() {
    let limits = Limits { bytes_max: 1 << 30, parts_max: 1 << 30, inline_bytes_max: 1 << 30 };
    let mut requests = Requests::new(limits);
    requests.feed(b"*1000000000\r\n$900000000\r\nabc");
    assert_eq!(requests.next(), Ok(None));
    assert_eq!(requests.pending_bytes(), 28);
    let mut replies = Replies::new(limits);
    replies.feed(b"*1000000000\r\n$900000000\r\nabc");
    assert_eq!(replies.next(), Ok(None));
}

#[test]
fn lines_for_people() {
    let lines: [(&[u8], &[&[u8]]); 7] = [
        (b"PING\r\n", &[b"PING"]),
        (b"  set  a\tb \n", &[b"set", b"a", b"b"]),
        (b"\r\n\r\nPING\r\n", &[b"PING"]),
        (b"set a \"b c\\n\\x41\\\"\"\r\n", &[b"set", b"a", b"b c\nA\""]),
        (b"set a 'b \\' \\n'\r\n", &[b"set", b"a", b"b ' \\n"]),
        (b"set a \"\"\r\n", &[b"set", b"a", b""]),
        (b"set a x\"y z\"\r\n", &[b"set", b"a", b"xy z"]),
    ];
    for (line, words) in lines {
        let words: Vec<Vec<u8>> = words.iter().map(|word| word.to_vec()).collect();
        assert_eq!(requests(line, &[]), (vec![words], None), "{}", line.escape_ascii());
    }
}

/// The bytes that other programs expect.
#[test]
fn replies_have_the_bytes_of_the_protocol() {
    let pair = vec![(Value::text("a"), Value::Number(1))];
    let golden: [(Value, &[u8], &[u8]); 12] = [
        (Value::OK, b"+OK\r\n", b"+OK\r\n"),
        (Value::error("ERR a\r\nb"), b"-ERR a  b\r\n", b"-ERR a  b\r\n"),
        (Value::Number(0), b":0\r\n", b":0\r\n"),
        (Value::Number(i64::MIN), b":-9223372036854775808\r\n", b":-9223372036854775808\r\n"),
        (Value::text("a\r\n"), b"$3\r\na\r\n\r\n", b"$3\r\na\r\n\r\n"),
        (Value::Null, b"$-1\r\n", b"_\r\n"),
        (Value::Array(vec![]), b"*0\r\n", b"*0\r\n"),
        (Value::Array(vec![Value::Null]), b"*1\r\n$-1\r\n", b"*1\r\n_\r\n"),
        (Value::Map(pair), b"*2\r\n$1\r\na\r\n:1\r\n", b"%1\r\n$1\r\na\r\n:1\r\n"),
        (Value::Set(vec![Value::Number(7)]), b"*1\r\n:7\r\n", b"~1\r\n:7\r\n"),
        (Value::Bool(true), b":1\r\n", b"#t\r\n"),
        (Value::Double(1.5), b"$3\r\n1.5\r\n", b",1.5\r\n"),
    ];
    for (value, two, three) in golden {
        for (protocol, expected) in [(Protocol::Resp2, two), (Protocol::Resp3, three)] {
            let mut out = Vec::new();
            value.encode(protocol, &mut out);
            assert_eq!(out, expected, "{value:?}");
        }
    }
}
