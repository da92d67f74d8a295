//! The short printed form of each noun (seed-T25): logs, traces and scenarios compare these.

use super::lsns;
use traft::base::{
    Command, Footprint, Key, KeyRange, KeySet, LeaderId, Lineage, Lsn, Membership, Payload,
    QuorumSystem, Record, ReplicaId, Tail, TailBitmap,
};

#[test]
fn identities_and_sets() {
    assert_eq!(ReplicaId(2).to_string(), "n2");
    assert_eq!(LeaderId::new(3, 2).to_string(), "3#2");
    assert_eq!(LeaderId::NOBODY.to_string(), "0#0");
    assert_eq!(Lsn(17).to_string(), "17");
    let tail = || lsns([7, 9, 64]).collect::<Tail>();
    assert_eq!(tail().to_string(), "{7 9 64}");
    assert_eq!(Tail::new().to_string(), "{}");
    assert_eq!(TailBitmap::from_parts(Lsn(5), tail()).to_string(), "{..5 7 9 64}");
    assert_eq!(TailBitmap::from_parts(Lsn(0), tail()).to_string(), "{7 9 64}");
    assert_eq!(TailBitmap::below(Lsn(5)).to_string(), "{..5}");
    assert_eq!(format!("{:?} {:?}", tail(), TailBitmap::new()), "{7 9 64} {}");
}

#[test]
fn lineages() {
    let mut lineage = Lineage::new(LeaderId::new(2, 1));
    assert_eq!(lineage.to_string(), "2#1[]0");
    lineage.push(LeaderId::new(1, 0), Lsn(4));
    lineage.push(LeaderId::new(1, 2), Lsn(9));
    assert_eq!(lineage.to_string(), "2#1[1#0@0 1#2@4]9");
}

#[test]
fn footprints() {
    let point = |key: &'static [u8]| KeySet::point(Key::from_static(key));
    let ranges = KeySet::from_parts(
        [Key::from_static(b"y")],
        [
            KeyRange::new(&b"a"[..], &b"b"[..]),
            KeyRange { start: Key::from_static(b"z\xff"), end: None },
        ],
    );
    assert_eq!(Footprint::default().to_string(), "-");
    assert_eq!(Footprint::everything().to_string(), "*");
    assert_eq!(Footprint::read(point(b"x")).to_string(), "r:x");
    assert_eq!(Footprint::write(ranges.clone()).to_string(), "w:y,[a b),[z\\xff ..)");
    assert_eq!(Footprint::update(point(b"x")).to_string(), "rw:x");
    let both = Footprint { reads: point(b"x"), writes: ranges };
    assert_eq!(both.to_string(), "r:x w:y,[a b),[z\\xff ..)");
}

#[test]
fn records() {
    let footprint = Footprint::write(KeySet::point(Key::from_static(b"x")));
    let payload = Payload::Command(Command { footprint, body: Key::new() });
    let mut record = Record::bare(Lsn(17), LeaderId::new(3, 2), payload);
    assert_eq!(record.to_string(), "<3#2 @17 w:x>");
    record.floor = Lsn(3);
    record.depends = lsns([4, 9]).collect();
    record.overrides = lsns([12]).collect();
    assert_eq!(record.to_string(), "<3#2 @17 w:x dep{4 9} over{12} floor 3>");
    assert_eq!(Record::void(Lsn(1), LeaderId::new(1, 1)).to_string(), "<1#1 @1 void>");
    let membership = Payload::Membership(Membership::majority([1, 2, 3].map(ReplicaId)));
    let record = Record::bare(Lsn(1), LeaderId::new(1, 1), membership);
    assert_eq!(record.to_string(), "<1#1 @1 (n1 n2 n3; read 2, write 2)>");
}

#[test]
fn memberships() {
    let one = |sets: &[&[u64]]| {
        QuorumSystem::Explicit(
            sets.iter().map(|set| set.iter().copied().map(ReplicaId).collect()).collect(),
        )
    };
    let flexible = Membership::flexible([3, 1, 2, 4].map(ReplicaId), 3, 2);
    assert_eq!(flexible.to_string(), "(n1 n2 n3 n4; read 3, write 2)");
    let joint = QuorumSystem::All(vec![flexible.write.clone(), one(&[&[1, 2], &[3]])]);
    assert_eq!(joint.to_string(), "all (2 of (n1 n2 n3 n4); any (n1 n2|n3))");
    let mixed = Membership::of(one(&[&[1]]), joint);
    assert_eq!(
        mixed.to_string(),
        "(read any (n1), write all (2 of (n1 n2 n3 n4); any (n1 n2|n3)))"
    );
}
