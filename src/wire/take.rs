//! Bytes to messages, and all checks on the way.

use super::generated as proto;
use super::generated::envelope::Message as Kind;
use super::generated::record::Payload as Content;
use super::membership::take as membership;
use super::replicate::lean;
use super::{FRAME_BYTES_MAX, SET_WORDS_MAX, Version, Versions, WireError, runs};
use crate::base::{
    BATCH_MAX, Command, Footprint, KeyRange, KeySet, LeaderId, Lineage, Lsn, Membership, Payload,
    Record, Records, ReplicaId, Run, Tail, TailBitmap,
};
use crate::message::{
    Anew, Envelope, Fetch, FetchReply, Forward, ForwardOutcome, ForwardReply, Grant, Memberships,
    Message, PreVote, PreVoteReply, ReadPoint, ReadRequest, Refuse, Replicate, ReplicateReply,
    SnapshotRequest, TakeOver, Ticket, Vote, VoteReply,
};
use bytes::Bytes;
use prost::Message as _;
use prost::encoding::decode_varint;

pub(super) type Taken<T> = Result<T, WireError>;

/// The longest varint.
const VARINT_BYTES_MAX: usize = 10;

/// How many words the sets of positions that are still to come may take.
pub(super) struct Budget(pub(super) usize);

pub(super) fn envelope(frame: Bytes, max: Version) -> Taken<Envelope> {
    if frame.len() > FRAME_BYTES_MAX {
        return Err(WireError::TooLarge { size: frame.len() });
    }
    whole(&frame)?;
    let envelope = proto::Envelope::decode(frame)?;
    let found = envelope.version;
    let version = Version::numbered(found).filter(|version| *version <= max);
    let version = version.ok_or(WireError::Version { found, here: Versions::up_to(max) })?;
    let kind = envelope.message.ok_or(WireError::Missing("message"))?;
    Ok(Envelope {
        cluster: envelope.cluster,
        incarnation: envelope.incarnation,
        from: ReplicaId(envelope.from),
        to: ReplicaId(envelope.to),
        message: message(kind, version, &mut Budget(SET_WORDS_MAX))?,
    })
}

/// Tells a frame whose end is lost from one that is wrong, which is found out in decoding it.
fn whole(frame: &[u8]) -> Taken<()> {
    let cut = WireError::Truncated { size: frame.len() };
    let mut rest = frame;
    while !rest.is_empty() {
        let Ok(key) = decode_varint(&mut rest) else {
            return if rest.len() < VARINT_BYTES_MAX { Err(cut) } else { Ok(()) };
        };
        let skip = match key & 7 {
            0 | 2 => match decode_varint(&mut rest) {
                Ok(size) => {
                    if key & 7 == 2 {
                        size
                    } else {
                        0
                    }
                }
                Err(_) if rest.len() < VARINT_BYTES_MAX => return Err(cut),
                Err(_) => return Ok(()),
            },
            1 => 8,
            5 => 4,
            _ => return Ok(()),
        };
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        rest = rest.get(skip..).ok_or(cut.clone())?;
    }
    Ok(())
}

fn message(kind: Kind, version: Version, budget: &mut Budget) -> Taken<Message> {
    Ok(match kind {
        Kind::Replicate(m) => Message::Replicate(replicate(m, version, budget)?),
        Kind::ReplicateReply(m) => Message::ReplicateReply(ReplicateReply {
            leader: leader(m.leader)?,
            accepted: positions(m.accepted, budget)?,
            round: m.round,
            window: m.window,
            committed_membership: m.committed_membership.map(lsn).transpose()?,
            incarnation: m.incarnation,
            doubtful: m.doubtful,
        }),
        Kind::Forward(m) => Message::Forward(Forward {
            leader: leader(m.leader)?,
            ticket: Ticket { life: m.life, number: m.proposal },
            command: command(m.command.ok_or(WireError::Missing("command"))?),
        }),
        Kind::ForwardReply(m) => Message::ForwardReply(ForwardReply {
            ticket: Ticket { life: m.life, number: m.proposal },
            outcome: match m.placed {
                Some(placed) => ForwardOutcome::Placed(leader(placed.author)?, lsn(placed.lsn)?),
                None => ForwardOutcome::Rejected,
            },
        }),
        Kind::SnapshotRequest(m) => Message::SnapshotRequest(SnapshotRequest {
            below: lsn(m.below)?,
            to: m.to.map(ReplicaId),
        }),
        Kind::TakeOver(m) => Message::TakeOver(TakeOver { leader: leader(m.leader)? }),
        Kind::Anew(m) => {
            Message::Anew(Anew { leader: leader(m.leader)?, incarnation: m.incarnation })
        }
        Kind::ReadRequest(m) => Message::ReadRequest(ReadRequest {
            ticket: Ticket { life: m.life, number: m.read },
            footprint: footprint(m.footprint.unwrap_or_default()),
        }),
        Kind::ReadPoint(m) => Message::ReadPoint(ReadPoint {
            ticket: Ticket { life: m.life, number: m.read },
            leader: leader(m.leader)?,
            point: m.point.map(|m| point(m, budget)).transpose()?,
            by_position: m.by_position,
        }),
        Kind::Refuse(m) => {
            Message::Refuse(Refuse { leader: leader(m.leader)?, voted: leader(m.voted)? })
        }
        Kind::PreVote(m) => Message::PreVote(PreVote {
            candidate: leader(m.candidate)?,
            committed_membership: m.committed_membership.map(lsn).transpose()?,
        }),
        Kind::PreVoteReply(m) => Message::PreVoteReply(PreVoteReply {
            candidate: leader(m.candidate)?,
            granted: m.granted,
            voted: leader(m.voted)?,
            committed_membership: m.committed_membership.map(committed).transpose()?.map(Box::new),
        }),
        Kind::Vote(m) => Message::Vote(Vote {
            candidate: leader(m.candidate)?,
            lineage: lineage(m.lineage)?,
            accepted: positions(m.accepted, budget)?,
            hands_over: m.hands_over.map(|m| leader(Some(m))).transpose()?,
        }),
        Kind::VoteReply(m) => Message::VoteReply(VoteReply {
            candidate: leader(m.candidate)?,
            voted: leader(m.voted)?,
            grant: m.grant.map(|m| grant(m, budget)).transpose()?.map(Box::new),
        }),
        Kind::Fetch(m) => Message::Fetch(Fetch {
            candidate: leader(m.candidate)?,
            positions: runs::take(&m.positions, Lsn::ZERO, &mut budget.0)?,
        }),
        Kind::FetchReply(m) => Message::FetchReply(FetchReply {
            candidate: leader(m.candidate)?,
            records: records(m.records, budget)?,
        }),
    })
}

/// The records of the other version are a field that this one does not know, so they are skipped.
fn replicate(m: proto::Replicate, version: Version, budget: &mut Budget) -> Taken<Replicate> {
    let (leader, settled) = (leader(m.leader)?, positions(m.settled, budget)?);
    Ok(Replicate {
        leader,
        lineage: m.lineage.map(|m| lineage(Some(m))).transpose()?.map(Box::new),
        records: match version {
            Version::One => records(m.records, budget)?,
            Version::Two => lean(m.lean, leader, settled.offset(), budget)?,
        },
        settled,
        committed_membership: m.committed_membership.map(committed).transpose()?.map(Box::new),
        round: m.round,
        repaired: m.repaired,
    })
}

/// The set is kept apart from what lies below: it may begin right there.
fn point(m: proto::PositionSet, budget: &mut Budget) -> Taken<(Lsn, Tail)> {
    let below = lsn(m.offset)?;
    Ok((below, runs::take(&m.runs, below, &mut budget.0)?))
}

fn committed(m: proto::CommittedMembership) -> Taken<(Lsn, Membership)> {
    Ok((lsn(m.lsn)?, membership(m.membership)?))
}

fn grant(m: proto::Grant, budget: &mut Budget) -> Taken<Grant> {
    Ok(Grant {
        lineage: lineage(m.lineage)?,
        accepted: positions(m.accepted, budget)?,
        purged: lsn(m.purged)?,
        memberships: memberships(m.memberships)?,
        records: records(m.records, budget)?,
    })
}

fn memberships(m: Option<proto::Memberships>) -> Taken<Memberships> {
    let m = m.ok_or(WireError::Missing("memberships"))?;
    let pending = |m: proto::PendingMembership| {
        Ok((lsn(m.lsn)?, leader(m.author)?, membership(m.membership)?))
    };
    let pending = m.pending.into_iter().map(pending).collect::<Taken<Vec<_>>>()?;
    if !pending.is_sorted_by(|a, b| a.0 < b.0) {
        return Err(WireError::Memberships);
    }
    Ok(Memberships {
        committed_at: m.committed_at.map(lsn).transpose()?,
        committed: membership(m.committed)?,
        pending,
    })
}

fn leader(m: Option<proto::LeaderId>) -> Taken<LeaderId> {
    let m = m.ok_or(WireError::Missing("leader id"))?;
    Ok(LeaderId { term: m.term, node: ReplicaId(m.node) })
}

fn lsn(position: u64) -> Taken<Lsn> {
    if position > Lsn::MAX.0 { Err(WireError::Position) } else { Ok(Lsn(position)) }
}

pub(super) fn lineage(m: Option<proto::Lineage>) -> Taken<Lineage> {
    let m = m.ok_or(WireError::Missing("lineage"))?;
    let run = |run: proto::Run| Ok(Run { start: lsn(run.start)?, author: leader(run.author)? });
    let runs = m.runs.into_iter().map(run).collect::<Taken<Vec<_>>>()?;
    Lineage::from_parts(leader(m.leader)?, runs, lsn(m.end)?).ok_or(WireError::Lineage)
}

pub(super) fn positions(m: Option<proto::PositionSet>, budget: &mut Budget) -> Taken<TailBitmap> {
    let m = m.ok_or(WireError::Missing("position set"))?;
    let offset = lsn(m.offset)?;
    Ok(TailBitmap::from_parts(offset, runs::take(&m.runs, offset, &mut budget.0)?))
}

fn records(coded: Vec<Bytes>, budget: &mut Budget) -> Taken<Records> {
    gather(coded, budget, record)
}

/// Each taken by `one`, without another list of them in between.
pub(super) fn gather(
    coded: Vec<Bytes>,
    budget: &mut Budget,
    mut one: impl FnMut(Bytes, &mut Budget) -> Taken<Record>,
) -> Taken<Records> {
    let (mut extent, mut why) = (Extent::default(), None);
    let records = coded.into_iter().enumerate().map_while(|(at, coded)| {
        if at % BATCH_MAX == 0 {
            extent = Extent::default();
        }
        let record = one(coded, budget).and_then(|record| extent.cover(record, budget));
        record.map_err(|error| why = Some(error)).ok()
    });
    let records: Records = records.collect();
    why.map_or(Ok(records), Err)
}

/// Of the positions in a batch of which it keeps sets: those of records that are not plain. Far
/// apart, two of them would make such a set as wide as any that is written as one.
#[derive(Default)]
struct Extent(Option<(u64, u64)>);

impl Extent {
    fn cover(&mut self, record: Record, budget: &mut Budget) -> Taken<Record> {
        let is_linked = !record.depends.is_empty() || !record.overrides.is_empty();
        if is_linked || record.command().is_none() {
            let word = record.lsn.0 / u64::from(u64::BITS);
            let (first, end) = self.0.unwrap_or((word, word));
            let (wider, later) = (first.min(word), end.max(word + 1));
            // There are two sets.
            let more = usize::try_from(2 * (later - wider - (end - first)));
            let left = more.ok().and_then(|more| budget.0.checked_sub(more));
            budget.0 = left.ok_or(WireError::SetsTooWide)?;
            self.0 = Some((wider, later));
        }
        Ok(record)
    }
}

pub(super) fn record(coded: Bytes, budget: &mut Budget) -> Taken<Record> {
    well_formed(proto::Record::decode(coded)?, budget)
}

pub(super) fn well_formed(m: proto::Record, budget: &mut Budget) -> Taken<Record> {
    let ill_formed = WireError::IllFormed { lsn: m.lsn };
    let at = lsn(m.lsn)?;
    let floor = Lsn(m.lsn.checked_sub(m.above_floor).ok_or(ill_formed.clone())?);
    let mut set = |coded: &Bytes| -> Taken<Tail> { runs::take(coded, floor, &mut budget.0) };
    let record = Record {
        lsn: at,
        author: leader(m.author)?,
        floor,
        depends: set(&m.depends)?,
        overrides: set(&m.overrides)?,
        payload: match m.payload {
            None => Payload::Void,
            Some(Content::Command(m)) => Payload::Command(command(m)),
            Some(Content::Membership(m)) => Payload::Membership(membership(Some(m))?),
        },
    };
    let authored = record.author > LeaderId::NOBODY;
    if authored && record.is_well_formed() { Ok(record) } else { Err(ill_formed) }
}

fn command(m: proto::Command) -> Command {
    Command { footprint: footprint(m.footprint.unwrap_or_default()), body: m.body }
}

fn footprint(m: proto::Footprint) -> Footprint {
    if let Some(both) = m.both {
        return Footprint::update(keys(both));
    }
    let set = |m: Option<proto::KeySet>| m.map_or_else(KeySet::new, keys);
    Footprint { reads: set(m.reads), writes: set(m.writes) }
}

fn keys(mut m: proto::KeySet) -> KeySet {
    if m.points.len() == 1 && m.ranges.is_empty() {
        return KeySet::point(m.points.swap_remove(0));
    }
    let ranges = m.ranges.into_iter().map(|m| KeyRange { start: m.start, end: m.end });
    KeySet::from_parts(m.points, ranges)
}
