//! A request in the form of a line, for people at a terminal.

use super::ProtocolError;

/// Puts the words of a line behind each other into `words`, and gives where each one lies.
///
/// Words are parted by blanks. Between double quotes a backslash takes `n r t b a`, `xHH` or a byte
/// as it is; between single quotes it takes the single quote.
pub(super) fn split(
    line: &[u8],
    words: &mut Vec<u8>,
) -> Result<Vec<(usize, usize)>, ProtocolError> {
    words.clear();
    let mut found = Vec::new();
    let mut left = line;
    loop {
        left = left.trim_ascii_start();
        if left.is_empty() {
            return Ok(found);
        }
        let start = words.len();
        left = word(left, words)?;
        found.push((start, words.len()));
    }
}

/// Takes one word off the front.
fn word<'a>(mut left: &'a [u8], words: &mut Vec<u8>) -> Result<&'a [u8], ProtocolError> {
    loop {
        left = match left {
            [] => return Ok(left),
            [blank, ..] if blank.is_ascii_whitespace() => return Ok(left),
            [quote @ (b'"' | b'\''), rest @ ..] => {
                let rest = quoted(*quote, rest, words)?;
                // Nothing may follow a closing quote but a blank.
                return match rest.first() {
                    Some(byte) if !byte.is_ascii_whitespace() => {
                        Err(ProtocolError::UnbalancedQuotes)
                    }
                    _ => Ok(rest),
                };
            }
            [byte, rest @ ..] => {
                words.push(*byte);
                rest
            }
        };
    }
}

fn quoted<'a>(
    quote: u8,
    mut left: &'a [u8],
    words: &mut Vec<u8>,
) -> Result<&'a [u8], ProtocolError> {
    loop {
        let (byte, rest) = match left {
            [] => return Err(ProtocolError::UnbalancedQuotes),
            [end, rest @ ..] if *end == quote => return Ok(rest),
            [b'\\', b'\'', rest @ ..] if quote == b'\'' => (b'\'', rest),
            [b'\\', b'x', high, low, rest @ ..]
                if quote == b'"' && high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                (16 * digit(*high) + digit(*low), rest)
            }
            [b'\\', escaped, rest @ ..] if quote == b'"' => (unescaped(*escaped), rest),
            [byte, rest @ ..] => (*byte, rest),
        };
        words.push(byte);
        left = rest;
    }
}

fn digit(hex: u8) -> u8 {
    (hex as char).to_digit(16).unwrap_or(0) as u8
}

fn unescaped(byte: u8) -> u8 {
    match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 8,
        b'a' => 7,
        other => other,
    }
}
