//! One line of a script.

use super::stage::{Setup, Stage, set};
use crate::base::*;
use crate::message::{Envelope, Message};
use crate::replica::{Input, ReadLevel};
use bytes::Bytes;

/// Runs one command. An error is a command that makes no sense here.
pub(super) fn run(stage: &mut Stage, line: &str) -> Result<(), String> {
    let words: Vec<&str> = line.split([' ', ',', ':']).filter(|word| !word.is_empty()).collect();
    let first = *words.first().ok_or("an empty command")?;
    if first == "start" {
        return start(stage, line);
    }
    if let Ok(id) = leader(first) {
        return of_leader(stage, id, &words[1..], line);
    }
    match words[..] {
        ["read", ..] => return reads_at(stage, &words),
        ["snapshot", number, "taken", "from", id] => {
            let snapshot = stage.snapshot(replica(id)?);
            stage.snapshots.insert(self::number(number)?, snapshot);
        }
        ["crash", id] => {
            let node = stage.node(replica(id)?);
            node.up = false;
            node.leads = None;
        }
        ["restart", id] => stage.restart(replica(id)?),
        ["campaign", id] => stage.input(replica(id)?, Input::Campaign),
        ["transfer", "from", id] => stage.input(replica(id)?, Input::Transfer { to: None }),
        ["transfer", "from", id, "to", to] => {
            let to = Some(replica(to)?);
            stage.input(replica(id)?, Input::Transfer { to });
        }
        ["tick", count, ref ids @ ..] => {
            for _ in 0..number(count)? {
                for id in replicas(ids)? {
                    stage.input(id, Input::Tick);
                }
            }
        }
        ["pass", count, "ticks", ref cut @ ..] => {
            let cut = replicas(cut.get(1..).unwrap_or_default())?;
            for _ in 0..number(count)? {
                for id in stage.nodes.keys().copied().collect::<Vec<_>>() {
                    stage.input(id, Input::Tick);
                }
                stage.deliver_all(&cut);
            }
        }
        ["deliver", "everything", ref cut @ ..] => {
            stage.deliver_all(&replicas(cut.get(1..).unwrap_or_default())?);
        }
        ["double", kind, "from", from, "to", to] => {
            let (from, to) = (replica(from)?, replica(to)?);
            let chosen = |e: &&Envelope| (e.from, e.to) == (from, to) && is(kind, &e.message);
            let copies: Vec<Envelope> = stage.mail.iter().filter(chosen).cloned().collect();
            stage.mail.extend(copies);
        }
        ["deliver", kind, "from", from, "to", to] => {
            let (from, to) = (replica(from)?, replica(to)?);
            let chosen = stage.deliver(|e| (e.from, e.to) == (from, to) && is(kind, &e.message));
            if chosen == 0 {
                stage.say(format!("there is no {kind} from {from} to {to}"));
            }
        }
        ["lose", "everything"] => stage.mail.clear(),
        ["cut", from, "to", to] => {
            stage.cut.insert((replica(from)?, replica(to)?));
        }
        ["cut", a, "and", b] => {
            let (a, b) = (replica(a)?, replica(b)?);
            stage.cut.extend([(a, b), (b, a)]);
        }
        ["mend", "everything"] => stage.cut.clear(),
        ["heal", "by", id] => stage.heal(replica(id)?),
        _ => return of_replicas(stage, &words, line),
    }
    Ok(())
}

/// `read 0 of a b arrives at 1#0`, `read 0 of a b here at n1`, `.. leased at n1`.
fn reads_at(stage: &mut Stage, words: &[&str]) -> Result<(), String> {
    match words {
        ["read", read, "of", keys @ .., "arrives", "at", id] => {
            let id = leader(id)?;
            leads(stage, id)?;
            let keys: Vec<Key> = keys.iter().map(|key| self::key(key)).collect();
            let read = number(read)?;
            stage.checks.asked(read, &keys);
            stage.reads.insert(read, (keys.clone(), 0));
            let footprint = Footprint::read(KeySet::from_parts(keys, []));
            let level = ReadLevel::Confirmed;
            stage.input(id.node, Input::Read { read, footprint, level });
        }
        ["read", read, "of", keys @ .., kind @ ("here" | "leased"), "at", id] => {
            let keys: Vec<Key> = keys.iter().map(|key| self::key(key)).collect();
            let (read, id) = (number(read)?, replica(id)?);
            stage.checks.asked(read, &keys);
            stage.reads.insert(read, (keys.clone(), u64::MAX));
            let footprint = Footprint::read(KeySet::from_parts(keys, []));
            let level = if *kind == "here" { ReadLevel::Here } else { ReadLevel::Lease };
            stage.input(id, Input::Read { read, footprint, level });
        }
        _ => return Err("unknown".to_string()),
    }
    Ok(())
}

fn start(stage: &mut Stage, line: &str) -> Result<(), String> {
    let (membership, rest) = membership(line)?;
    stage.setup = Setup {
        initial: Some(membership.clone()),
        quick: rest.contains("quick"),
        no_overriding: rest.contains("without overriding"),
        no_forwarding: rest.contains("without forwarding"),
        leases: rest.contains("with leases"),
        everybody_hears: rest.contains("everybody hears"),
        bare_votes: rest.contains("votes without records"),
    };
    for id in membership.members() {
        stage.node(id);
    }
    Ok(())
}

/// `1#1 elected by n0 n1`, `1#1 proposes ...`.
fn of_leader(stage: &mut Stage, id: LeaderId, words: &[&str], line: &str) -> Result<(), String> {
    match words {
        ["elected", "by", voters @ ..] => stage.elect(id, &replicas(voters)?),
        ["proposes", ..] => {
            leads(stage, id)?;
            propose(stage, id.node, &words[1..], line)
        }
        _ => Err("unknown".to_string()),
    }
}

/// Commands that begin with one or more replicas.
fn of_replicas(stage: &mut Stage, words: &[&str], line: &str) -> Result<(), String> {
    let count = words.iter().take_while(|word| replica(word).is_ok()).count();
    let ids = replicas(&words[..count])?;
    let id = *ids.first().ok_or("unknown")?;
    match words[count..] {
        ["promise", leader] => {
            let leader = self::leader(leader)?;
            ids.into_iter().for_each(|id| stage.promise(id, leader));
        }
        ["takes" | "take", "the", "lineage", "of", leader] => {
            for id in ids {
                stage.take_lineage(id, self::leader(leader)?)?;
            }
        }
        ["accepts" | "accept", ref lsns @ .., "from", leader] => {
            for id in ids {
                for lsn in lsns {
                    stage.accept(id, Lsn(number(lsn)?), self::leader(leader)?)?;
                }
            }
        }
        ["reports" | "report", "to", to] => match replica(to) {
            Ok(to) => ids.into_iter().for_each(|id| stage.report_beside(id, to)),
            Err(_) => {
                let leader = self::leader(to)?;
                ids.into_iter().for_each(|id| stage.report(id, leader));
            }
        },
        ["learns" | "learn", "from", leader, "that", .., "is", "settled"] => {
            let (leader, settled) = (self::leader(leader)?, positions(line)?);
            let known = &stage.said.get(&leader).ok_or("this leader has said nothing")?.settled;
            if !known.contains_all(settled.tail()) || settled.offset() > known.offset() {
                return Err(format!("{leader} knows only {known}"));
            }
            ids.into_iter().for_each(|id| stage.tell(leader, id, |m| m.settled = settled.clone()));
        }
        ["applies", ref lsns @ ..] => {
            for lsn in lsns {
                stage.apply(id, Lsn(number(lsn)?));
            }
        }
        ["confirms", "read", read, "at", leader] => {
            stage.confirm(id, self::leader(leader)?, number(read)?);
        }
        ["purges", .., "into", "a", "snapshot"] => {
            let last = positions(line)?.end();
            stage.purge(id, last);
        }
        ["installs", "snapshot", number] => {
            let snapshot = stage.snapshots.get(&self::number(number)?).cloned();
            stage.install(id, snapshot.ok_or("there is no such snapshot")?);
        }
        ["restarts", ..] => return super::doubt::run(stage, id, &words[count..], line),
        ["holds", "its", "writes"] => stage.node(id).holds = true,
        ["persists"] => {
            while !stage.node(id).writes.is_empty() {
                stage.persist(id);
            }
        }
        ["proposes", ref what @ ..] => return propose(stage, id, what, line),
        ["goes" | "go", "by"] => {
            for id in ids {
                let memberships = stage.node(id).replica.memberships();
                let shown: Vec<String> = memberships.iter().map(name).collect();
                stage.say(format!("{id} goes by {}", shown.join(" and ")));
            }
        }
        ["shows" | "show"] => ids.into_iter().for_each(|id| show(stage, id)),
        _ => return super::suspect::run(stage, id, &words[count..], line),
    }
    Ok(())
}

/// A membership, and what is to follow.
fn name(membership: &Membership) -> String {
    match membership.goal() {
        Some(goal) => format!("{membership} on the way to {goal}"),
        None => membership.to_string(),
    }
}

fn show(stage: &mut Stage, id: ReplicaId) {
    let replica = &stage.node(id).replica;
    let (promise, committer) = (replica.voted(), replica.lineage().leader());
    let accepted = set(replica.accepted().difference_iter(&TailBitmap::new()));
    let role = format!("{:?}", replica.role().0).to_lowercase();
    stage.say(format!("{id} {role}, promise {promise}, committer {committer}, holds {accepted}"));
}

/// `write a b`, `read a write b`, `membership (n1 n2; read 2, write 1)`.
fn propose(stage: &mut Stage, id: ReplicaId, words: &[&str], line: &str) -> Result<(), String> {
    stage.proposed += 1;
    let proposal = stage.proposed;
    let next = stage.node(id).replica.leading().map(|(next, ..)| next);
    if words.first() == Some(&"membership") {
        let (membership, rest) = membership(line)?;
        let force = !rest.contains("gently");
        let request = rest.split_once(" as ").map_or(Ok(proposal), |(_, n)| number(n.trim()))?;
        stage.input(id, Input::Change { proposal, request, membership, force });
    } else if let ["to", "cancel", request] = words {
        let request = number(request)?;
        stage.input(id, Input::CancelChange { proposal, request });
    } else {
        let (mut reads, mut writes, mut into) = (Vec::new(), Vec::new(), 0);
        for word in words {
            match *word {
                "read" => into = 1,
                "write" => into = 2,
                word if into == 1 => reads.push(key(word)),
                word if into == 2 => writes.push(key(word)),
                _ => return Err("neither read nor write".to_string()),
            }
        }
        let footprint = Footprint {
            reads: KeySet::from_parts(reads, []),
            writes: KeySet::from_parts(writes, []),
        };
        let command = Command { footprint, body: Bytes::new() };
        stage.input(id, Input::Propose { proposal, command });
    }
    let Some(record) = next.and_then(|lsn| stage.node(id).replica.shared_record(lsn)) else {
        return Ok(());
    };
    let mut said = format!("at {}", record.lsn);
    for (name, positions) in [("depends", &record.depends), ("overrides", &record.overrides)] {
        if !positions.is_empty() {
            said += &format!(", {name} {}", set(positions.iter()));
        }
    }
    if record.floor > Lsn::ZERO {
        said += &format!(", floor {}", record.floor);
    }
    stage.proposals.insert(proposal, record);
    stage.say(said);
    Ok(())
}

fn leads(stage: &mut Stage, id: LeaderId) -> Result<(), String> {
    let replica = &stage.node(id.node).replica;
    let leads = replica.leading().is_some() && replica.role().1 == id;
    if leads { Ok(()) } else { Err(format!("{id} does not lead")) }
}

fn is(kind: &str, message: &Message) -> bool {
    let name = format!("{message:?}");
    name.split('(').next() == Some(kind)
}

fn number(word: &str) -> Result<u64, String> {
    word.parse().map_err(|_| format!("{word} is not a number"))
}

fn replica(word: &str) -> Result<ReplicaId, String> {
    let id = word.strip_prefix('n').ok_or(format!("{word} is not a replica"))?;
    number(id).map(ReplicaId)
}

fn replicas(words: &[&str]) -> Result<Vec<ReplicaId>, String> {
    words.iter().map(|word| replica(word)).collect()
}

pub(super) fn leader(word: &str) -> Result<LeaderId, String> {
    let (term, node) = word.split_once('#').ok_or(format!("{word} is not a leader"))?;
    Ok(LeaderId::new(number(term)?, number(node)?))
}

fn key(word: &str) -> Key {
    Key::copy_from_slice(word.as_bytes())
}

/// The positions between braces.
pub(super) fn positions(line: &str) -> Result<TailBitmap, String> {
    let inside = line.split_once('{').and_then(|(_, rest)| rest.split_once('}'));
    let (inside, _) = inside.ok_or("no positions")?;
    inside.split_whitespace().map(|word| number(word).map(Lsn)).collect()
}

/// `(n1 n2; read 2, write 1)`, perhaps with ` learners (n3)`, and what follows it.
fn membership(line: &str) -> Result<(Membership, &str), String> {
    let inside = line.split_once('(').and_then(|(_, rest)| rest.split_once(')'));
    let (inside, rest) = inside.ok_or("no membership")?;
    let (voters, sizes) = inside.split_once(';').ok_or("no sizes")?;
    let voters = replicas(&voters.split_whitespace().collect::<Vec<_>>())?;
    let sizes: Vec<&str> = sizes.split([' ', ',']).filter(|word| !word.is_empty()).collect();
    match sizes[..] {
        ["read", read, "write", write] => {
            let (read, write) = (number(read)? as usize, number(write)? as usize);
            let mut membership = Membership::flexible(voters, read, write);
            let Some((learners, after)) =
                rest.strip_prefix(" learners (").and_then(|rest| rest.split_once(')'))
            else {
                return Ok((membership, rest));
            };
            membership.learners = replicas(&learners.split_whitespace().collect::<Vec<_>>())?;
            Ok((membership, after))
        }
        _ => Err("sizes are read and write".to_string()),
    }
}
