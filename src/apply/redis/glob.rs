//! Patterns of keys, as `KEYS` and `SCAN` take them.

/// Whether `text` matches `pattern`: `*` is any bytes, `?` any one, `[a-z]` one of these, `[^a]`
/// none of these, and a backslash takes what follows as it is.
///
/// Takes at most the product of both lengths: only the last star is ever tried again, since what
/// an earlier one could take instead the last one can take as well.
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    // Behind the last star, and how far it has eaten.
    let mut star: Option<(usize, usize)> = None;
    loop {
        if pattern.get(p) == Some(&b'*') {
            p += 1;
            star = Some((p, t));
            continue;
        }
        let step = match (pattern.get(p), text.get(t)) {
            (None, None) => return true,
            (Some(_), Some(byte)) => one(&pattern[p..], *byte),
            _ => None,
        };
        match (step, &mut star) {
            (Some(length), _) => (p, t) = (p + length, t + 1),
            (None, Some((behind, eaten))) if *eaten < text.len() => {
                *eaten += 1;
                (p, t) = (*behind, *eaten);
            }
            (None, _) => return false,
        }
    }
}

/// How long the front of a pattern is that matches this byte, if it does. The front is no star.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match pattern {
        [b'?', ..] => Some(1),
        [b'[', rest @ ..] => class(rest, byte).map(|length| length + 1),
        [b'\\', escaped, ..] => (*escaped == byte).then_some(2),
        [literal, ..] => (*literal == byte).then_some(1),
        [] => None,
    }
}

/// As [`one`], behind the bracket. A class that is never closed ends with the pattern.
fn class(pattern: &[u8], byte: u8) -> Option<usize> {
    let negated = pattern.first() == Some(&b'^');
    let (mut at, mut found) = (usize::from(negated), false);
    loop {
        match pattern[at.min(pattern.len())..] {
            [] => break,
            [b']', ..] => {
                at += 1;
                break;
            }
            [b'\\', escaped, ..] => {
                found |= escaped == byte;
                at += 2;
            }
            [from, b'-', to, ..] => {
                found |= (from.min(to)..=from.max(to)).contains(&byte);
                at += 3;
            }
            [literal, ..] => {
                found |= literal == byte;
                at += 1;
            }
        }
    }
    (found != negated).then_some(at)
}
