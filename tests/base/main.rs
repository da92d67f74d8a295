//! Every clever operation of `base` against its dumb twin.

mod bitmap;
mod keys;
mod print;
mod record;
mod tail;

use proptest::prelude::*;
use traft::base::Lsn;

/// Positions around word borders, near the start and far away.
fn position() -> impl Strategy<Value = u64> {
    prop_oneof![
        6 => 0_u64..200,
        3 => (prop::sample::select(vec![0_u64, 64, 128, 192, 256, 640, 1024]), 0_u64..4)
            .prop_map(|(border, at)| (border + at).saturating_sub(2)),
        1 => 3_990_u64..4_100,
    ]
}

fn positions() -> impl Strategy<Value = Vec<u64>> {
    prop::collection::vec(position(), 0..60)
}

fn lsns(positions: impl IntoIterator<Item = u64>) -> impl Iterator<Item = Lsn> {
    positions.into_iter().map(Lsn)
}

fn hash_of(value: &impl std::hash::Hash) -> u64 {
    use std::hash::{DefaultHasher, Hasher};
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
