//! Identities, lineages and records against brute force.

use super::lsns;
use proptest::prelude::*;
use traft::base::{
    Command, Footprint, Key, KeySet, LeaderId, Lineage, Lsn, Membership, Payload, Record,
    ReplicaId, Run, Tail,
};

fn leader() -> impl Strategy<Value = LeaderId> {
    (1_u64..5, 0_u64..5).prop_map(|(term, node)| LeaderId::new(term, node))
}

/// What fills a lineage: authors and how many positions each gets, zero included.
fn authors() -> impl Strategy<Value = Vec<(LeaderId, u64)>> {
    prop::collection::vec((leader(), 0_u64..4), 0..8)
}

fn payload(kind: u8) -> Payload {
    let key = KeySet::point(Key::from_static(b"x"));
    let command = |footprint| Payload::Command(Command { footprint, body: Key::new() });
    match kind {
        0 => Payload::Void,
        1 => Payload::Membership(Membership::majority([ReplicaId(1)])),
        2 => command(Footprint::write(key)),
        3 => command(Footprint::read(key)),
        _ => command(Footprint::update(key)),
    }
}

proptest! {
    #[test]
    fn leader_ids_are_ordered_term_first(a in leader(), b in leader(), c in leader()) {
        let dumb = |x: LeaderId, y: LeaderId| {
            x.term < y.term || (x.term == y.term && x.node.0 < y.node.0)
        };
        prop_assert_eq!(a < b, dumb(a, b));
        prop_assert_eq!([a < b, a == b, a > b].iter().filter(|holds| **holds).count(), 1);
        prop_assert!(!(a < b && b < c) || a < c);
        prop_assert!(LeaderId::NOBODY < a);
        prop_assert_eq!(LeaderId::NOBODY, LeaderId::default());
    }

    #[test]
    fn the_next_leader_id_is_the_smallest_own_one_above(
        promise in prop_oneof![Just(LeaderId::NOBODY), leader()],
        node in 0_u64..6,
    ) {
        let dumb = (1..10).map(|term| LeaderId::new(term, node)).find(|own| *own > promise);
        prop_assert_eq!(Some(LeaderId::next_above(promise, ReplicaId(node))), dumb);
    }

    #[test]
    fn a_lineage_is_a_list_of_authors(own in leader(), authors in authors()) {
        let (mut lineage, mut twin) = (Lineage::new(own), Vec::new());
        for (author, count) in authors {
            twin.extend((0..count).map(|_| author));
            lineage.push(author, Lsn(twin.len() as u64));
            lineage.push(own, Lsn(twin.len() as u64 / 2));
        }
        prop_assert_eq!(lineage.leader(), own);
        prop_assert_eq!(lineage.end(), Lsn(twin.len() as u64));
        for at in 0..twin.len() + 3 {
            let author = twin.get(at).copied().unwrap_or(own);
            prop_assert_eq!(lineage.author(Lsn(at as u64)), author);
        }
        let changes = (0..twin.len()).filter(|at| *at == 0 || twin[*at] != twin[at - 1]).count();
        prop_assert_eq!(lineage.runs().len(), changes);
        let again = Lineage::from_parts(own, lineage.runs().to_vec(), lineage.end());
        prop_assert_eq!(again, Some(lineage));
    }

    #[test]
    fn only_canonical_parts_make_a_lineage(
        runs in prop::collection::vec((0_u64..4, 1_u64..3), 0..4), end in 0_u64..5,
    ) {
        let own = LeaderId::new(9, 9);
        let runs: Vec<Run> = runs
            .into_iter()
            .map(|(start, term)| Run { start: Lsn(start), author: LeaderId::new(term, 1) })
            .collect();
        // The twin: fill in the authors that the runs claim; canonical is what pushing them yields.
        let mut pushed = Lineage::new(own);
        for (i, run) in runs.iter().enumerate() {
            pushed.push(run.author, runs.get(i + 1).map_or(Lsn(end), |next| next.start));
        }
        let canonical = pushed.runs() == runs && pushed.end() == Lsn(end);
        let made = Lineage::from_parts(own, runs, Lsn(end));
        prop_assert_eq!(made.is_some(), canonical);
        prop_assert!(made.is_none_or(|made| made == pushed));
    }

    #[test]
    fn a_record_is_well_formed_as_numbered(
        lsn in 0_u64..80, floor in prop_oneof![Just(0), 0_u64..90],
        depends in prop::collection::btree_set(0_u64..90, 0..3),
        overrides in prop::collection::btree_set(0_u64..90, 0..3), kind in 0_u8..5,
    ) {
        let within = |at: &u64| floor <= *at && *at < lsn;
        let blind_command = kind == 2;
        let bare = kind < 2;
        let dumb = floor <= lsn
            && depends.iter().all(within)
            && overrides.iter().all(within)
            && depends.is_disjoint(&overrides)
            && (overrides.is_empty() || blind_command)
            && (!bare || (depends.is_empty() && overrides.is_empty()));
        let record = Record {
            lsn: Lsn(lsn),
            author: LeaderId::new(1, 1),
            floor: Lsn(floor),
            depends: lsns(depends).collect(),
            overrides: lsns(overrides).collect(),
            payload: payload(kind),
        };
        prop_assert_eq!(record.is_well_formed(), dumb);
        prop_assert_eq!(record.is_blind(), blind_command);
        prop_assert_eq!(record.command().is_none(), bare);
    }

    #[test]
    fn records_interfere_as_their_commands_do(a in 0_u8..5, b in 0_u8..5) {
        let record = |kind| Record::bare(Lsn(4), LeaderId::new(1, 1), payload(kind));
        let writes = |kind| kind == 2 || kind == 4;
        let dumb = a > 1 && b > 1 && (writes(a) || writes(b));
        prop_assert_eq!(record(a).interferes(&record(b)), dumb);
    }
}

#[test]
fn size_grows_with_what_is_kept() {
    let void = Record::void(Lsn(7), LeaderId::new(1, 1));
    let mut record = Record::bare(Lsn(7), LeaderId::new(1, 1), payload(4));
    assert_eq!(record.size(), void.size() + 2, "the key, read and written");
    record.depends = [Lsn(1), Lsn(2)].into_iter().collect();
    record.overrides = Tail::from_words(0, vec![1 << 3, 1]);
    assert_eq!(record.size(), void.size() + 2 + 8 + 16);
}
