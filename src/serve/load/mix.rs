//! Which requests, of which keys.

use crate::resp::{Protocol, Value};
use bytes::Bytes;

/// What a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `GET`.
    Read,
    /// `SET` of a key that is there.
    Update,
    /// `SET` of a new key.
    Insert,
    /// `GET`, then `SET` of the same key.
    ReadModifyWrite,
}

/// How many of a hundred requests are what; the rest are reads. `a` to `f` are the mixes of the
/// Yahoo! Cloud Serving Benchmark; `e` is missing, since it scans in the order of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mix {
    /// Its name.
    pub name: &'static str,
    /// Updates.
    pub updates: u64,
    /// Inserts.
    pub inserts: u64,
    /// Reads followed by an update.
    pub modifies: u64,
    /// Whether the newest keys are the hot ones.
    pub latest: bool,
}

impl Mix {
    /// All that there are.
    pub const ALL: [Mix; 7] = [
        Mix { name: "a", updates: 50, inserts: 0, modifies: 0, latest: false },
        Mix { name: "b", updates: 5, inserts: 0, modifies: 0, latest: false },
        Mix { name: "c", updates: 0, inserts: 0, modifies: 0, latest: false },
        Mix { name: "d", updates: 0, inserts: 5, modifies: 0, latest: true },
        Mix { name: "f", updates: 0, inserts: 0, modifies: 50, latest: false },
        Mix { name: "read", updates: 0, inserts: 0, modifies: 0, latest: false },
        Mix { name: "write", updates: 100, inserts: 0, modifies: 0, latest: false },
    ];

    /// The one of this name.
    pub fn named(name: &str) -> Option<Mix> {
        Mix::ALL.into_iter().find(|mix| mix.name == name)
    }
}

/// The exponent of a skewed choice, as in the benchmark: the hottest of 10,000 keys gets a tenth of
/// the requests.
const SKEW: f64 = 0.99;

/// Draws requests. The same seed draws the same ones.
#[derive(Clone, Debug)]
pub struct Requests {
    mix: Mix,
    keys: u64,
    inserted: u64,
    zipf: Option<Zipf>,
    value: Bytes,
    state: u64,
}

/// Ranks with falling chances, drawn without a table (Gray and others, "Quickly generating
/// billion-record synthetic databases", 1994).
#[derive(Clone, Copy, Debug)]
struct Zipf {
    items: f64,
    zeta: f64,
    alpha: f64,
    eta: f64,
}

impl Zipf {
    fn new(items: u64) -> Zipf {
        let zeta = |n: u64| (1..=n).map(|rank| 1.0 / (rank as f64).powf(SKEW)).sum::<f64>();
        let (sum, items) = (zeta(items), items as f64);
        let eta = (1.0 - (2.0 / items).powf(1.0 - SKEW)) / (1.0 - zeta(2) / sum);
        Zipf { items, zeta: sum, alpha: 1.0 / (1.0 - SKEW), eta }
    }

    fn rank(&self, chance: f64) -> u64 {
        let scaled = chance * self.zeta;
        if scaled < 1.0 {
            return 0;
        }
        if scaled < 1.0 + 0.5_f64.powf(SKEW) {
            return 1;
        }
        let rank = self.items * (self.eta * chance - self.eta + 1.0).powf(self.alpha);
        (rank as u64).min(self.items as u64 - 1)
    }
}

impl Requests {
    /// Requests of this mix over so many keys (at least 2), uniformly chosen or skewed.
    pub fn new(mix: Mix, keys: u64, skewed: bool, value_bytes: usize, seed: u64) -> Requests {
        let keys = keys.max(2);
        let zipf = skewed.then(|| Zipf::new(keys));
        let value = Bytes::from(vec![b'x'; value_bytes]);
        Requests { mix, keys, inserted: 0, zipf, value, state: seed }
    }

    /// splitmix64
    fn draw(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A request and the number of its key.
    pub fn another(&mut self) -> (Kind, u64) {
        let Mix { updates, inserts, modifies, latest, .. } = self.mix;
        let kind = match self.draw() % 100 {
            n if n < updates => Kind::Update,
            n if n < updates + inserts => Kind::Insert,
            n if n < updates + inserts + modifies => Kind::ReadModifyWrite,
            _ => Kind::Read,
        };
        if kind == Kind::Insert {
            self.inserted += 1;
            return (kind, self.keys + self.inserted - 1);
        }
        let draw = self.draw();
        let there = self.keys + self.inserted;
        let rank = match &self.zipf {
            Some(zipf) => zipf.rank((draw >> 11) as f64 / (1_u64 << 53) as f64),
            None => draw % there,
        };
        (kind, if latest { there - 1 - rank } else { rank })
    }

    /// How many keys are there before it begins.
    pub fn keys(&self) -> u64 {
        self.keys
    }

    /// Appends the request that reads a key.
    pub fn get(&self, key: u64, out: &mut Vec<u8>) {
        request(&[Bytes::from_static(b"GET"), name(key)], out);
    }

    /// Appends the request that writes a key.
    pub fn set(&self, key: u64, out: &mut Vec<u8>) {
        request(&[Bytes::from_static(b"SET"), name(key), self.value.clone()], out);
    }
}

/// The hot keys lie anywhere among the others.
fn name(key: u64) -> Bytes {
    let scattered = key.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    Bytes::from(format!("user{scattered:020}"))
}

fn request(words: &[Bytes], out: &mut Vec<u8>) {
    let words = words.iter().cloned().map(Value::Bulk).collect();
    Value::Array(words).encode(Protocol::Resp2, out);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(mix: &str, skewed: bool) -> (Vec<usize>, Vec<u64>) {
        let mix = Mix::named(mix).expect("known");
        let mut requests = Requests::new(mix, 1_000, skewed, 8, 7);
        let drawn: Vec<(Kind, u64)> = (0..20_000).map(|_| requests.another()).collect();
        let kinds = [Kind::Read, Kind::Update, Kind::Insert, Kind::ReadModifyWrite];
        let count = |kind: &Kind| drawn.iter().filter(|(drawn, _)| drawn == kind).count();
        (kinds.iter().map(count).collect(), drawn.into_iter().map(|(_, key)| key).collect())
    }

    #[test]
    fn mixes_are_what_they_say() {
        let near = |count: usize, percent: usize| count.abs_diff(percent * 200) < 400;
        for (mix, percents) in [
            ("a", [50, 50, 0, 0]),
            ("b", [95, 5, 0, 0]),
            ("d", [95, 0, 5, 0]),
            ("f", [50, 0, 0, 50]),
        ] {
            let (counts, _) = counts(mix, true);
            assert!(counts.iter().zip(percents).all(|(c, p)| near(*c, p)), "{mix}: {counts:?}");
        }
    }

    #[test]
    fn the_hot_key_is_hot_and_all_keys_are_drawn() {
        let (_, keys) = counts("c", true);
        let first = keys.iter().filter(|key| **key == 0).count();
        // One in the sum of 1/rank^0.99 over 1,000 ranks, which is 7.73.
        assert!(first.abs_diff(20_000 * 100 / 773) < 300, "{first}");
        assert!(keys.iter().all(|key| *key < 1_000));
        let (_, keys) = counts("c", false);
        let first = keys.iter().filter(|key| **key == 0).count();
        assert!(first < 60, "{first}");
    }

    #[test]
    fn the_newest_keys_are_hot_in_d() {
        let (_, keys) = counts("d", true);
        let new = keys.iter().filter(|key| **key >= 900).count();
        assert!(new > 10_000, "{new}");
    }
}
