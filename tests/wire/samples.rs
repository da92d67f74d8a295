//! One of each message, with something in every field.

use bytes::Bytes;
use std::sync::Arc;
use traft::base::{
    Change, Command, Footprint, KeyRange, KeySet, LeaderId, Lineage, Lsn, Membership, Payload,
    QuorumSystem, Record, Records, ReplicaId, Tail, TailBitmap,
};
use traft::message::{
    Anew, Envelope, Fetch, FetchReply, Forward, ForwardOutcome, ForwardReply, Grant, Memberships,
    Message, PreVote, PreVoteReply, ReadPoint, ReadRequest, Refuse, Replicate, ReplicateReply,
    SnapshotRequest, TakeOver, Ticket, Vote, VoteReply,
};

/// The samples by name.
pub(crate) fn all() -> Vec<(&'static str, Envelope)> {
    let envelope = |(name, message)| (name, Envelope::new(ReplicaId(1), ReplicaId(300), message));
    votes()
        .into_iter()
        .chain(replication())
        .chain(forwards())
        .chain([("quorum-systems", quorum_systems())])
        .map(envelope)
        .chain([("of-a-cluster", of_a_cluster())])
        .collect()
}

/// One that says whose it is, and of a sender that has lost something.
fn of_a_cluster() -> Envelope {
    let leader = LeaderId::new(3, 2);
    let message = Message::Refuse(Refuse { leader, voted: LeaderId::new(3, 3) });
    let envelope = Envelope::new(ReplicaId(1), ReplicaId(300), message);
    Envelope { cluster: 1 << 40, incarnation: 9, ..envelope }
}

fn votes() -> Vec<(&'static str, Message)> {
    let candidate = LeaderId::new(4, 1);
    let voted = LeaderId::new(4, 2);
    let pre_vote =
        |committed_membership| Message::PreVote(PreVote { candidate, committed_membership });
    let pre_vote_reply = |committed_membership| {
        let granted = true;
        Message::PreVoteReply(PreVoteReply { candidate, granted, voted, committed_membership })
    };
    let vote = |hands_over| {
        let (lineage, accepted) = (lineage(), positions());
        Message::Vote(Vote { candidate, lineage, accepted, hands_over })
    };
    let grant = Grant {
        lineage: lineage(),
        accepted: positions(),
        purged: Lsn(5),
        memberships: Memberships {
            committed_at: Some(Lsn(0)),
            committed: Membership::majority([ReplicaId(1), ReplicaId(2), ReplicaId(3)]),
            pending: vec![(Lsn(70), LeaderId::new(2, 1), explicit())],
        },
        records: records().into(),
    };
    let grant = Some(Box::new(grant));
    vec![
        ("pre-vote", pre_vote(None)),
        ("pre-vote-of-a-member", pre_vote(Some(Lsn(0)))),
        ("pre-vote-reply", pre_vote_reply(None)),
        ("pre-vote-reply-with-news", pre_vote_reply(Some(Box::new((Lsn(9), explicit()))))),
        ("vote", vote(None)),
        ("vote-of-a-successor", vote(Some(LeaderId::new(3, 2)))),
        ("vote-reply", Message::VoteReply(VoteReply { candidate, voted, grant })),
        ("vote-refusal", Message::VoteReply(VoteReply { candidate, voted, grant: None })),
        (
            "fetch",
            Message::Fetch(Fetch { candidate, positions: set(&[3, 4, 5, 1_000_000, 1_000_001]) }),
        ),
        ("fetch-reply", Message::FetchReply(FetchReply { candidate, records: records().into() })),
    ]
}

fn replication() -> Vec<(&'static str, Message)> {
    let leader = LeaderId::new(3, 2);
    let replicate = Replicate {
        leader,
        lineage: Some(Box::new(lineage())),
        records: records().into(),
        settled: positions(),
        committed_membership: Some(Box::new((Lsn(9), explicit()))),
        round: 1 << 40,
        repaired: Some(0),
    };
    let heartbeat = Replicate {
        leader,
        lineage: None,
        records: Records::new(),
        settled: TailBitmap::below(Lsn(9)),
        committed_membership: None,
        round: 0,
        repaired: None,
    };
    let reply = ReplicateReply {
        leader,
        accepted: positions(),
        round: 7,
        window: 64 << 20,
        committed_membership: Some(Lsn(0)),
        incarnation: 300,
        doubtful: true,
    };
    vec![
        ("replicate", Message::Replicate(replicate)),
        ("heartbeat", Message::Replicate(heartbeat)),
        ("replicate-reply", Message::ReplicateReply(reply)),
        ("anew", Message::Anew(Anew { leader, incarnation: 9 })),
        ("refuse", Message::Refuse(Refuse { leader, voted: LeaderId::new(3, 3) })),
    ]
}

fn forwards() -> Vec<(&'static str, Message)> {
    let placed = ForwardOutcome::Placed(LeaderId::new(3, 2), Lsn(77));
    let leader = LeaderId::new(3, 2);
    let ticket = Ticket { life: 6, number: 17 };
    let told =
        |point, by_position| Message::ReadPoint(ReadPoint { ticket, leader, point, by_position });
    let read_point = |point| told(point, false);
    let reply = |outcome| Message::ForwardReply(ForwardReply { ticket, outcome });
    vec![
        ("forward", Message::Forward(Forward { leader, ticket, command: command(update()) })),
        ("forward-placed", reply(placed)),
        ("forward-rejected", reply(ForwardOutcome::Rejected)),
        ("read-request", Message::ReadRequest(ReadRequest { ticket, footprint: update() })),
        ("read-point", read_point(Some((Lsn(90), set(&[90, 91, 200]))))),
        ("read-point-by-position", told(Some((Lsn(90), set(&[91]))), true)),
        ("read-refused", read_point(None)),
        ("take-over", Message::TakeOver(TakeOver { leader: LeaderId::new(3, 2) })),
        (
            "snapshot-request",
            Message::SnapshotRequest(SnapshotRequest { below: Lsn(300), to: None }),
        ),
        (
            "snapshot-request-for",
            Message::SnapshotRequest(SnapshotRequest { below: Lsn(300), to: Some(ReplicaId(4)) }),
        ),
    ]
}

pub(crate) fn set(members: &[u64]) -> Tail {
    members.iter().map(|lsn| Lsn(*lsn)).collect()
}

/// A gap of a million positions, a run, and a stretch without long runs.
fn positions() -> TailBitmap {
    let mut tail = set(&[20]);
    tail.insert_range(Lsn(40), Lsn(170));
    (0..200).filter(|n| n % 3 != 0).for_each(|n| {
        tail.insert(Lsn(1_000_000 + n));
    });
    TailBitmap::from_parts(Lsn(7), tail)
}

fn lineage() -> Lineage {
    let mut lineage = Lineage::new(LeaderId::new(3, 2));
    lineage.push(LeaderId::new(1, 1), Lsn(40));
    lineage.push(LeaderId::new(1, 3), Lsn(41));
    lineage.push(LeaderId::new(3, 2), Lsn(90));
    lineage
}

/// Majorities of `1 2 3`, jointly with listed sets of `3 4 5`.
fn explicit() -> Membership {
    let ids = |ids: &[u64]| ids.iter().map(|id| ReplicaId(*id)).collect::<Vec<_>>();
    let old = QuorumSystem::Threshold { voters: ids(&[1, 2, 3]), need: 2 };
    let new = QuorumSystem::Explicit(vec![ids(&[3, 4]), ids(&[4, 5])]);
    Membership::of(QuorumSystem::All(vec![old.clone(), new.clone()]), old)
}

/// Memberships with every kind of quorum system, and with learners.
fn quorum_systems() -> Message {
    let texts = [
        "(n1 n2 n3 n4; read 3, write 2)",
        "(n1:3 n2 n300:1000; read 500, write 900) learners (n4 n5)",
        "2 of (2 of (n1 n2 n3); 1 of (n4:2 n5); all (1 of (n6); any (n7 n8|n9)))",
        "grid (n1 n2 n3|n4 n5 n6)",
    ];
    let goal = "(n1 n2 n4; read 2, write 2)".parse().expect("a sample of the notation");
    let change = Change { requests: vec![7, 1 << 40], goal: Some(goal) };
    let record = |(lsn, text): (u64, &str)| {
        let membership = text.parse().expect("a sample of the notation");
        Record::bare(Lsn(lsn), LeaderId::new(1, 1), Payload::Membership(membership)).into()
    };
    let candidate = LeaderId::new(4, 1);
    let mut records: Vec<Arc<Record>> = (0..).zip(texts).map(record).collect();
    let mut step: Membership = "(n1 n2) learners (n4)".parse().expect("a sample of the notation");
    step.change = Some(Box::new(change));
    let step = Record::bare(Lsn(4), LeaderId::new(1, 1), Payload::Membership(step));
    records.push(step.into());
    Message::FetchReply(FetchReply { candidate, records: records.into() })
}

fn update() -> Footprint {
    let ranges = [KeyRange::new("k10", "k20"), KeyRange { start: "z".into(), end: None }];
    Footprint::update(KeySet::from_parts(["a".into(), "b".into()], ranges))
}

fn command(footprint: Footprint) -> Command {
    Command { footprint, body: Bytes::from_static(b"what to do") }
}

/// Every kind of record.
pub(crate) fn records() -> Vec<Arc<Record>> {
    let author = LeaderId::new(3, 2);
    let with = |lsn, floor, depends: &[u64], overrides: &[u64], footprint| Record {
        floor: Lsn(floor),
        depends: set(depends),
        overrides: set(overrides),
        ..Record::bare(Lsn(lsn), author, Payload::Command(command(footprint)))
    };
    let reads_and_writes = Footprint { reads: KeySet::point("from"), writes: KeySet::point("to") };
    let records = [
        Record::void(Lsn(30), LeaderId::new(2, 1)),
        Record::bare(Lsn(31), author, Payload::Membership(explicit())),
        with(100, 90, &[], &[], Footprint::write(KeySet::point("hot"))),
        with(101, 90, &[93, 94], &[91, 100], Footprint::write(KeySet::point("hot"))),
        with(102, 90, &[101], &[], Footprint::everything()),
        with(103, 103, &[], &[], reads_and_writes),
        with(104, 0, &[0, 103], &[], update()),
    ];
    records.into_iter().map(Arc::new).collect()
}
