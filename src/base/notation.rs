//! Quorum systems and memberships as text: one short notation, printed and read.
//!
//! ```text
//! membership:  short [learners (n7 n8)]
//! short:       (n1 n2 n3)                           majorities
//!              (n1 n2 n3; read 2, write 2)          sizes
//!              (n1:2 n2 n3; read 2, write 3)        weights; 1 where none is given
//!              (read system, write system)
//!              grid (n1 n2|n3 n4)                   a full row elects, one of each row commits
//!              system                               the same for both
//! system:      2 of (n1 n2 n3)                      at least so many
//!              3 of (n1:2 n2 n3)                    at least so much weight
//!              2 of (system; system; system)        of so many groups
//!              any (n1 n2|n3)                       the listed sets and what contains them
//!              all (system; system)                 of each: a joint quorum
//!              majority (...)                       reads as `k of (...)` with k more than half
//! ```
//!
//! What is printed of a well-formed value reads as the same value.

use super::ReplicaId;
use super::membership::{Malformed, Membership, QuorumSystem, SYSTEM_DEPTH_MAX, sorted};
use std::fmt;
use std::str::FromStr;

/// Why a text is no quorum system or membership, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("character {}: {fault}", at + 1)]
pub struct NotationError {
    /// How many characters come before the place.
    pub at: usize,
    /// What is wrong there.
    pub fault: Fault,
}

/// What is wrong with a text at some place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Something else has to stand there.
    #[error("expected {0}")]
    Expected(&'static str),
    /// The number does not fit.
    #[error("the number is too large")]
    Number,
    /// The text says what it means, and that cannot be.
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

type Read<T> = Result<T, NotationError>;

fn names(voters: &[ReplicaId]) -> String {
    voters.iter().map(ReplicaId::to_string).collect::<Vec<_>>().join(" ")
}

fn rows(sets: &[Vec<ReplicaId>]) -> String {
    sets.iter().map(|set| names(set)).collect::<Vec<_>>().join("|")
}

fn systems(parts: &[QuorumSystem]) -> String {
    parts.iter().map(QuorumSystem::to_string).collect::<Vec<_>>().join("; ")
}

/// A weight of 1 is left out, unless all weigh that: then the list would be one without weights.
fn weights(voters: &[(ReplicaId, u64)]) -> String {
    let plain = voters.iter().all(|(_, weight)| *weight == 1);
    let one = |(id, weight): &(ReplicaId, u64)| {
        if *weight == 1 && !plain { id.to_string() } else { format!("{id}:{weight}") }
    };
    voters.iter().map(one).collect::<Vec<_>>().join(" ")
}

impl fmt::Display for QuorumSystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            QuorumSystem::Threshold { voters, need } => write!(f, "{need} of ({})", names(voters)),
            QuorumSystem::Weighted { voters, need } => write!(f, "{need} of ({})", weights(voters)),
            QuorumSystem::Explicit(sets) => write!(f, "any ({})", rows(sets)),
            QuorumSystem::All(parts) => write!(f, "all ({})", systems(parts)),
            QuorumSystem::Groups { parts, need } => write!(f, "{need} of ({})", systems(parts)),
        }
    }
}

impl fmt::Display for Membership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use QuorumSystem::{Explicit, Threshold, Weighted};
        match (&self.read, &self.write) {
            (Threshold { voters, need: read }, Threshold { voters: same, need: write })
                if voters == same =>
            {
                write!(f, "({}; read {read}, write {write})", names(voters))?;
            }
            (Weighted { voters, need: read }, Weighted { voters: same, need: write })
                if voters == same =>
            {
                write!(f, "({}; read {read}, write {write})", weights(voters))?;
            }
            (Explicit(sets), write) if *write == Membership::grid(sets.clone()).write => {
                write!(f, "grid ({})", rows(sets))?;
            }
            (read, write) if read == write => write!(f, "{read}")?,
            (read, write) => write!(f, "(read {read}, write {write})")?,
        }
        if self.learners.is_empty() {
            return Ok(());
        }
        write!(f, " learners ({})", names(&self.learners))
    }
}

impl FromStr for QuorumSystem {
    type Err = NotationError;

    fn from_str(text: &str) -> Read<QuorumSystem> {
        let mut reader = Reader::new(text);
        let system = reader.system(SYSTEM_DEPTH_MAX)?;
        reader.end("the end")?;
        Ok(system)
    }
}

impl FromStr for Membership {
    type Err = NotationError;

    fn from_str(text: &str) -> Read<Membership> {
        let mut reader = Reader::new(text);
        let mut membership = reader.short()?;
        let at = reader.at();
        if reader.takes("learners") {
            reader.expect("(")?;
            membership.learners = reader.list()?;
            reader.expect(")")?;
        }
        reader.end("`learners` or the end")?;
        membership.check().map_err(|wrong| NotationError { at, fault: wrong.into() })?;
        Ok(membership)
    }
}

/// What stands between parentheses after `k of`.
#[derive(Clone)]
enum Body {
    Names(Vec<ReplicaId>),
    Weights(Vec<(ReplicaId, u64)>),
    Parts(Vec<QuorumSystem>),
}

impl Body {
    /// More than half of it.
    fn majority(&self) -> u64 {
        let all = match self {
            Body::Names(voters) => voters.len() as u64,
            Body::Weights(voters) => voters.iter().fold(0, |sum, (_, w)| w.saturating_add(sum)),
            Body::Parts(parts) => parts.len() as u64,
        };
        all / 2 + 1
    }

    fn system(self, need: u64) -> QuorumSystem {
        let count = usize::try_from(need).unwrap_or(usize::MAX);
        match self {
            Body::Names(voters) => QuorumSystem::Threshold { voters, need: count },
            Body::Weights(voters) => QuorumSystem::Weighted { voters, need },
            Body::Parts(parts) => QuorumSystem::Groups { parts, need: count },
        }
    }
}

/// Words and signs, each with the number of characters before it; the last one is empty.
struct Reader<'a> {
    tokens: Vec<(usize, &'a str)>,
    next: usize,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str) -> Reader<'a> {
        let mut tokens: Vec<(usize, &str)> = Vec::new();
        let mut word = None;
        let mut count = 0;
        for (at, (byte, c)) in text.char_indices().enumerate() {
            count = at + 1;
            if c.is_ascii_alphanumeric() {
                let (at, start) = *word.get_or_insert((at, byte));
                if start < byte {
                    tokens.pop();
                }
                tokens.push((at, &text[start..=byte]));
                continue;
            }
            word = None;
            if !c.is_whitespace() {
                tokens.push((at, &text[byte..byte + c.len_utf8()]));
            }
        }
        tokens.push((count, ""));
        Reader { tokens, next: 0 }
    }

    fn peek(&self) -> &'a str {
        self.tokens.get(self.next).map_or("", |(_, token)| token)
    }

    fn at(&self) -> usize {
        self.tokens.get(self.next).or(self.tokens.last()).map_or(0, |(at, _)| *at)
    }

    fn takes(&mut self, token: &str) -> bool {
        let is = self.peek() == token;
        self.next += usize::from(is);
        is
    }

    fn wrong<T>(&self, expected: &'static str) -> Read<T> {
        Err(NotationError { at: self.at(), fault: Fault::Expected(expected) })
    }

    fn expect(&mut self, token: &'static str) -> Read<()> {
        if self.takes(token) { Ok(()) } else { self.wrong(token) }
    }

    fn end(&self, expected: &'static str) -> Read<()> {
        if self.peek().is_empty() { Ok(()) } else { self.wrong(expected) }
    }

    fn digits(&mut self, digits: &str, expected: &'static str) -> Read<u64> {
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return self.wrong(expected);
        }
        let number =
            digits.parse().map_err(|_| NotationError { at: self.at(), fault: Fault::Number });
        self.next += 1;
        number
    }

    fn number(&mut self, expected: &'static str) -> Read<u64> {
        self.digits(self.peek(), expected)
    }

    fn name(&mut self) -> Read<ReplicaId> {
        const NAME: &str = "a replica such as n1";
        let digits = self.peek().strip_prefix('n').unwrap_or("");
        self.digits(digits, NAME).map(ReplicaId)
    }

    fn is_name(&self) -> bool {
        let digits = self.peek().strip_prefix('n');
        digits.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    }

    /// Names with their weights, in order; whether any weight was given.
    fn voters(&mut self) -> Read<(Vec<(ReplicaId, u64)>, bool)> {
        let (mut voters, mut weighted) = (Vec::new(), false);
        loop {
            let at = self.at();
            let id = self.name()?;
            let mut weight = 1;
            if self.takes(":") {
                weight = self.number("a weight")?;
                weighted = true;
            }
            if let Err(place) = voters.binary_search_by_key(&id, |(id, _)| *id) {
                voters.insert(place, (id, weight));
            } else {
                return Err(NotationError { at, fault: Malformed::Twice(id).into() });
            }
            if !self.is_name() {
                return Ok((voters, weighted));
            }
        }
    }

    /// Names without weights, in order.
    fn list(&mut self) -> Read<Vec<ReplicaId>> {
        let at = self.at();
        let (voters, weighted) = self.voters()?;
        if weighted {
            let expected = Fault::Expected("names without weights");
            return Err(NotationError { at, fault: expected });
        }
        Ok(sorted(voters.into_iter().map(|(id, _)| id)))
    }

    fn lists(&mut self) -> Read<Vec<Vec<ReplicaId>>> {
        self.expect("(")?;
        let mut lists = vec![self.list()?];
        while self.takes("|") {
            lists.push(self.list()?);
        }
        if self.takes(")") { Ok(lists) } else { self.wrong("a replica, | or )") }
    }

    fn body_of_voters(&mut self) -> Read<Body> {
        let (voters, weighted) = self.voters()?;
        let plain = || voters.iter().map(|(id, _)| *id).collect();
        Ok(if weighted { Body::Weights(voters) } else { Body::Names(plain()) })
    }

    fn parts(&mut self, depth: usize) -> Read<Vec<QuorumSystem>> {
        let mut parts = vec![self.system(depth)?];
        while self.takes(";") {
            parts.push(self.system(depth)?);
        }
        if self.takes(")") { Ok(parts) } else { self.wrong("; or )") }
    }

    fn body(&mut self, depth: usize) -> Read<Body> {
        self.expect("(")?;
        if !self.is_name() {
            return self.parts(depth).map(Body::Parts);
        }
        let body = self.body_of_voters()?;
        if self.takes(")") { Ok(body) } else { self.wrong("a replica or )") }
    }

    fn system(&mut self, depth: usize) -> Read<QuorumSystem> {
        let at = self.at();
        let malformed = |wrong: Malformed| NotationError { at, fault: wrong.into() };
        let depth = depth.checked_sub(1).ok_or(malformed(Malformed::Deep))?;
        let system = match self.peek() {
            "any" => {
                self.next += 1;
                QuorumSystem::Explicit(self.lists()?)
            }
            "all" => {
                self.next += 1;
                self.expect("(")?;
                QuorumSystem::All(self.parts(depth)?)
            }
            "majority" => {
                self.next += 1;
                let body = self.body(depth)?;
                let need = body.majority();
                body.system(need)
            }
            _ => {
                let need = self.number("a quorum system: 2 of (..), majority, any or all")?;
                self.expect("of")?;
                self.body(depth)?.system(need)
            }
        };
        system.check().map_err(malformed)?;
        Ok(system)
    }

    /// A membership without its learners.
    fn short(&mut self) -> Read<Membership> {
        let at = self.at();
        if self.takes("grid") {
            return self.lists().map(Membership::grid);
        }
        if !self.takes("(") {
            let system = self.system(SYSTEM_DEPTH_MAX)?;
            return Ok(Membership::both(system));
        }
        if self.takes("read") {
            let read = self.system(SYSTEM_DEPTH_MAX)?;
            self.expect(",")?;
            self.expect("write")?;
            let write = self.system(SYSTEM_DEPTH_MAX)?;
            self.expect(")")?;
            return Ok(Membership::of(read, write));
        }
        if !self.is_name() {
            return self.wrong("a replica such as n1, or read");
        }
        let body = self.body_of_voters()?;
        let (mut read, mut write) = (body.majority(), body.majority());
        if self.takes(";") {
            self.expect("read")?;
            read = self.number("a size")?;
            self.expect(",")?;
            self.expect("write")?;
            write = self.number("a size")?;
            self.expect(")")?;
        } else if !self.takes(")") {
            return self.wrong("a replica, ; or )");
        }
        let membership = Membership::of(body.clone().system(read), body.system(write));
        membership.check().map_err(|wrong| NotationError { at, fault: wrong.into() })?;
        Ok(membership)
    }
}
