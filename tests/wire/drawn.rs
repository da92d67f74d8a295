//! Messages as they are drawn.

use bytes::Bytes;
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use std::sync::Arc;
use traft::base::{
    Change, Command, Footprint, KeyRange, KeySet, LeaderId, Lineage, Lsn, Membership, Payload,
    QuorumSystem, Record, ReplicaId, Tail, TailBitmap,
};
use traft::message::{Envelope, Fetch, FetchReply, Message, Replicate, ReplicateReply};

fn leader() -> impl Strategy<Value = LeaderId> {
    (1..9_u64, 0..300_u64).prop_map(|(term, node)| LeaderId::new(term, node))
}

/// Runs and gaps of all sizes, and dense stretches.
fn tail(from: u64) -> impl Strategy<Value = Tail> {
    let stretch = prop_oneof![
        (1..4_u64, 1..3_u64, Just(1_u64)),
        (1..500_u64, 1..500_u64, Just(1_u64)),
        (1..70_u64, 1..200_u64, 2..4_u64),
    ];
    vec(stretch, 0..6).prop_map(move |stretches| {
        let (mut tail, mut at) = (Tail::new(), from);
        for (gap, members, step) in stretches {
            at += gap - 1;
            for _ in 0..members {
                tail.insert(Lsn(at));
                at += step;
            }
        }
        tail
    })
}

fn positions() -> impl Strategy<Value = TailBitmap> {
    (0..2_000_u64).prop_flat_map(|offset| {
        tail(offset).prop_map(move |tail| TailBitmap::from_parts(Lsn(offset), tail))
    })
}

fn keys() -> impl Strategy<Value = KeySet> {
    let key = vec(any::<u8>(), 0..5).prop_map(Bytes::from);
    let end = prop::option::of(key.clone());
    let range = (key.clone(), end).prop_map(|(start, end)| KeyRange { start, end });
    (vec(key, 0..3), vec(range, 0..3))
        .prop_map(|(points, ranges)| KeySet::from_parts(points, ranges))
}

fn command() -> impl Strategy<Value = Command> {
    let footprint = (keys(), keys(), any::<bool>()).prop_map(|(reads, writes, same)| {
        if same { Footprint::update(writes) } else { Footprint { reads, writes } }
    });
    let body = vec(any::<u8>(), 0..40).prop_map(Bytes::from);
    (footprint, body).prop_map(|(footprint, body)| Command { footprint, body })
}

/// Every kind of quorum system, in each other, well-formed.
fn system() -> impl Strategy<Value = QuorumSystem> {
    let ids =
        || btree_set(0..400_u64, 1..6).prop_map(|ids| ids.into_iter().map(ReplicaId).collect());
    let need = any::<prop::sample::Index>;
    let threshold = (ids(), need()).prop_map(|(voters, need): (Vec<ReplicaId>, _)| {
        let need = need.index(voters.len()) + 1;
        QuorumSystem::Threshold { voters, need }
    });
    let weighted = (ids(), vec(1..1_000_u64, 6), need()).prop_map(
        |(voters, weights, need): (Vec<ReplicaId>, _, _)| {
            let voters: Vec<_> = voters.into_iter().zip(weights).collect();
            let sum = voters.iter().map(|(_, weight)| *weight as usize).sum();
            QuorumSystem::Weighted { voters, need: need.index(sum) as u64 + 1 }
        },
    );
    let explicit = vec(ids(), 1..4).prop_map(QuorumSystem::Explicit);
    prop_oneof![threshold, weighted, explicit].prop_recursive(3, 20, 3, move |inner| {
        let all = vec(inner.clone(), 1..4).prop_map(QuorumSystem::All);
        let groups = (vec(inner, 1..4), need()).prop_map(|(parts, need)| {
            let need = need.index(parts.len()) + 1;
            QuorumSystem::Groups { parts, need }
        });
        prop_oneof![all, groups]
    })
}

fn membership() -> impl Strategy<Value = Membership> {
    let requests = vec(any::<u64>(), 0..4);
    let change = proptest::option::of((requests, proptest::option::of(plain_membership())));
    (plain_membership(), change).prop_map(|(membership, change)| {
        let change = change.map(|(requests, goal)| Box::new(Change { requests, goal }));
        Membership { change, ..membership }
    })
}

fn plain_membership() -> impl Strategy<Value = Membership> {
    let learners = btree_set(400..500_u64, 0..3);
    (system(), system(), learners).prop_map(|(read, write, learners)| Membership {
        read,
        write,
        learners: learners.into_iter().map(ReplicaId).collect(),
        change: None,
    })
}

fn record() -> impl Strategy<Value = Arc<Record>> {
    let payload = prop_oneof![
        1 => Just(Payload::Void),
        1 => membership().prop_map(Payload::Membership),
        8 => command().prop_map(Payload::Command),
    ];
    (leader(), 0..3_000_u64, tail(0), tail(0), payload).prop_map(
        |(author, floor, d, o, payload)| {
            let mut record = Record::bare(Lsn(0), author, payload);
            let shifted = |tail: Tail| tail.iter().map(|lsn| Lsn(lsn.0 + floor)).collect::<Tail>();
            record.floor = Lsn(floor);
            if record.command().is_some() {
                record.depends = shifted(d);
            }
            if record.is_blind() {
                record.overrides = shifted(o);
                record.overrides.difference_with(&record.depends);
            }
            let top = record.depends.last().max(record.overrides.last());
            record.lsn = top.map_or(Lsn(floor), Lsn::next);
            Arc::new(record)
        },
    )
}

fn lineage() -> impl Strategy<Value = Lineage> {
    (leader(), vec((leader(), 1..90_u64), 0..5)).prop_map(|(leader, runs)| {
        let mut lineage = Lineage::new(leader);
        let mut end = 0;
        for (author, len) in runs {
            end += len;
            lineage.push(author, Lsn(end));
        }
        lineage
    })
}

/// The messages with parts that vary; the others are all in the samples.
pub(crate) fn envelope() -> impl Strategy<Value = Envelope> {
    let known = prop::option::of((0..900_u64, membership()));
    let replicate =
        (leader(), prop::option::of(lineage()), vec(record(), 0..5), positions(), known).prop_map(
            |(leader, lineage, records, settled, known)| {
                let known = known.map(|(lsn, membership)| Box::new((Lsn(lsn), membership)));
                let round = settled.offset().0;
                Message::Replicate(Replicate {
                    leader,
                    lineage: lineage.map(Box::new),
                    records: records.into(),
                    settled,
                    committed_membership: known,
                    round,
                    repaired: round.checked_sub(9),
                })
            },
        );
    let reply = (leader(), positions(), any::<u64>(), prop::option::of(0..9_u64)).prop_map(
        |(leader, accepted, window, known)| {
            let committed_membership = known.map(Lsn);
            Message::ReplicateReply(ReplicateReply {
                leader,
                accepted,
                round: 0,
                window,
                committed_membership,
                incarnation: window >> 7,
                doubtful: window & 1 == 1,
            })
        },
    );
    let fetched = (leader(), vec(record(), 0..5)).prop_map(|(candidate, records)| {
        Message::FetchReply(FetchReply { candidate, records: records.into() })
    });
    let fetch = (leader(), tail(0))
        .prop_map(|(candidate, positions)| Message::Fetch(Fetch { candidate, positions }));
    let message = prop_oneof![replicate, reply, fetched, fetch];
    (any::<u64>(), any::<u64>(), message).prop_map(|(from, cluster, message)| Envelope {
        cluster,
        incarnation: cluster >> 9,
        ..Envelope::new(ReplicaId(from), ReplicaId(3), message)
    })
}
