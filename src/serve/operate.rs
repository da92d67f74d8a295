//! `TRAFT`: what operators ask, as commands of the Redis protocol; and how a replica tells what it
//! is.

use super::parse::{is, number};
use crate::base::{Lsn, Membership, ReplicaId, TailBitmap};
use crate::replica::RoleName;
use crate::runtime::{Order, Other, Survey};
use std::fmt::Write as _;

/// What a word of `TRAFT` asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    /// What the replica knows of itself and of others.
    Survey,
    /// Something to be done.
    Order(Order),
    /// The list of all this.
    Help,
}

/// All of them, for `TRAFT HELP`. docs/redis.md has the same list.
pub(super) const HELP: [&str; 9] = [
    "TRAFT STATUS",
    "TRAFT MEMBER ADD <id> [REQUEST <number>]",
    "TRAFT MEMBER REMOVE <id> [REQUEST <number>]",
    "TRAFT MEMBER SET <membership> [REQUEST <number>] [FORCE]",
    "TRAFT MEMBER CANCEL <number>",
    "TRAFT TRANSFER [<id>]",
    "TRAFT SNAPSHOT",
    "TRAFT SNAPSHOT SEND <id>",
    "TRAFT HELP",
];

/// Reads what comes after `TRAFT`. A change without a number of its own gets `now`.
pub(super) fn parse(words: &[&[u8]], now: u64) -> Result<Operation, String> {
    let order = match words {
        [what] if is(what, "status") => return Ok(Operation::Survey),
        [what] if is(what, "help") => return Ok(Operation::Help),
        [what, rest @ ..] if is(what, "member") => member(rest, now)?,
        [what] if is(what, "transfer") => Order::Transfer { to: None },
        [what, to] if is(what, "transfer") => Order::Transfer { to: Some(id(to)?) },
        [what] if is(what, "snapshot") => Order::Snapshot,
        [what, send, to] if is(what, "snapshot") && is(send, "send") => Order::Send { to: id(to)? },
        _ => return Err("ERR unknown subcommand or wrong number of words; try TRAFT HELP".into()),
    };
    Ok(Operation::Order(order))
}

fn member(words: &[&[u8]], now: u64) -> Result<Order, String> {
    let unknown = || "ERR MEMBER is followed by ADD, REMOVE, SET or CANCEL".to_string();
    let [what, about, more @ ..] = words else { return Err(unknown()) };
    if is(what, "cancel") && more.is_empty() {
        return Ok(Order::Cancel { request: natural(about)? });
    }
    let (request, force) = how(more, now)?;
    match () {
        () if force && !is(what, "set") => Err("ERR FORCE goes with SET alone".into()),
        () if is(what, "add") => Ok(Order::Add { request, id: id(about)? }),
        () if is(what, "remove") => Ok(Order::Remove { request, id: id(about)? }),
        () if is(what, "set") => {
            let text = String::from_utf8_lossy(about);
            let membership: Membership = text.parse().map_err(|error| format!("ERR {error}"))?;
            Ok(Order::Change { request, membership, force })
        }
        () => Err(unknown()),
    }
}

/// The number of a change, and whether it is forced.
fn how(mut words: &[&[u8]], now: u64) -> Result<(u64, bool), String> {
    let (mut request, mut force) = (now, false);
    loop {
        words = match words {
            [] => return Ok((request, force)),
            [word, value, rest @ ..] if is(word, "request") => {
                request = natural(value)?;
                rest
            }
            [word, rest @ ..] if is(word, "force") => {
                force = true;
                rest
            }
            _ => return Err("ERR expected REQUEST <number> or FORCE".into()),
        };
    }
}

fn natural(word: &[u8]) -> Result<u64, String> {
    let found = number(word).ok().and_then(|found| u64::try_from(found).ok());
    found.ok_or_else(|| "ERR expected a number".to_string())
}

/// A replica, with or without the letter that it is printed with.
fn id(word: &[u8]) -> Result<ReplicaId, String> {
    let digits = word.strip_prefix(b"n").unwrap_or(word);
    let found = natural(digits).ok().filter(|id| *id > 0);
    found.map(ReplicaId).ok_or_else(|| "ERR expected the number of a replica, from 1".to_string())
}

/// How many positions of a set are listed one by one.
const LISTED_MAX: usize = 16;

/// A set of positions, as it is printed everywhere, and cut short if it is long.
fn set(set: &TailBitmap) -> String {
    let listed: Vec<String> = set.tail().iter().take(LISTED_MAX).map(|l| l.to_string()).collect();
    let more = if set.tail().len() > listed.len() { " ..." } else { "" };
    let all = [format!("..{}", set.offset().0)].into_iter().chain(listed);
    format!("{{{}{more}}}", all.collect::<Vec<_>>().join(" "))
}

/// Positions below the last one that are missing.
pub(super) fn holes(set: &TailBitmap) -> u64 {
    set.end().0.saturating_sub(set.len())
}

/// Lines of `name:value`, for people and programs.
pub(super) fn text(survey: &Survey) -> String {
    let Survey { id, accepted, settled, done, .. } = survey;
    let role = match survey.role {
        RoleName::Leader => "leader",
        RoleName::Follower => "follower",
        RoleName::PreCandidate => "pre-candidate",
        RoleName::Candidate => "candidate",
    };
    let mut text = String::new();
    let mut line = |name: &str, value: &dyn std::fmt::Display| {
        // Writing to a string does not fail.
        let _ = write!(text, "{name}:{value}\r\n");
    };
    line("id", &id.0);
    line("role", &role);
    line("leader", &survey.leader);
    line("voted", &survey.voted);
    line("committer", &survey.committer);
    for membership in &survey.memberships {
        line("membership", membership);
    }
    let newest = survey.memberships.last();
    if let Some(request) = newest.and_then(Membership::request) {
        line("request", &request);
    }
    if let Some(goal) = newest.and_then(Membership::goal) {
        line("goal", goal);
    }
    line("accepted", &set(accepted));
    line("settled", &set(settled));
    line("done", &set(done));
    line("holes", &holes(accepted));
    line("purged", &survey.purged);
    line("snapshots_taken", &survey.snapshots.0);
    line("snapshots_installed", &survey.snapshots.1);
    line("full", &u8::from(survey.full));
    line("doubtful", &u8::from(survey.doubtful));
    if let Some(next) = survey.next {
        line("next", &next);
        for other in &survey.followers {
            line(&format!("follower_{}", other.id.0), &follower(other, next));
        }
    }
    text
}

/// How many of the positions placed it lacks, as far as the leader knows.
pub(super) fn lag(other: &Other, next: Lsn) -> u64 {
    next.0.saturating_sub(other.accepted.as_ref().map_or(0, TailBitmap::len))
}

fn follower(other: &Other, next: Lsn) -> String {
    let nothing = TailBitmap::new();
    let accepted = other.accepted.as_ref().unwrap_or(&nothing);
    format!(
        "votes={},known={},lag={},holes={},silent_ms={},accepted={}",
        u8::from(other.votes),
        u8::from(other.accepted.is_some()),
        lag(other, next),
        holes(accepted),
        other.silent_ticks,
        set(accepted)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Result<Operation, String> {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        parse(&words, 77)
    }

    #[test]
    fn what_operators_say_is_read() {
        let order = |order| Ok(Operation::Order(order));
        let membership = "(n1)".parse::<Membership>().expect("a membership");
        let four = ReplicaId(4);
        let cases = [
            ("status", Ok(Operation::Survey)),
            ("HELP", Ok(Operation::Help)),
            ("snapshot", order(Order::Snapshot)),
            ("snapshot SEND n4", order(Order::Send { to: four })),
            ("transfer", order(Order::Transfer { to: None })),
            ("transfer n4", order(Order::Transfer { to: Some(four) })),
            ("member add 4", order(Order::Add { request: 77, id: four })),
            ("MEMBER remove n4 request 9", order(Order::Remove { request: 9, id: four })),
            ("member cancel 9", order(Order::Cancel { request: 9 })),
            (
                "member set (n1) force request 3",
                order(Order::Change { request: 3, membership, force: true }),
            ),
        ];
        for (line, expected) in cases {
            assert_eq!(of(line), expected, "{line}");
        }
        for wrong in [
            "",
            "status now",
            "member",
            "member add",
            "member add x",
            "member add 0",
            "member add 4 force",
            "member add 4 request",
            "member set (n1",
            "member sing (n1)",
            "transfer -1",
            "snapshot send",
            "snapshot take 4",
        ] {
            let why = of(wrong).expect_err(wrong);
            assert!(why.starts_with("ERR ") && why.lines().count() == 1, "{wrong}: {why}");
        }
    }

    #[test]
    fn a_set_is_cut_short() {
        let sparse: TailBitmap = (0..3).chain((5..200).step_by(2)).map(Lsn).collect();
        let printed = set(&sparse);
        assert!(printed.starts_with("{..3 5 7 ") && printed.ends_with(" ...}"), "{printed}");
        assert_eq!(printed.split(' ').count(), LISTED_MAX + 2);
        assert_eq!(holes(&sparse), 99);
        assert_eq!(
            (set(&TailBitmap::below(Lsn(7))), holes(&TailBitmap::new())),
            ("{..7}".into(), 0)
        );
    }
}
