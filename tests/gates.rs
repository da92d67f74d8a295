//! What the fuzz targets of `tests/fuzz` do, without a fuzzer: every file of their corpus, and some
//! thousand mutations of each kind, the same ones at each run.

#[path = "fuzz/targets/gates.rs"]
mod gates;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

/// How many mutations of each kind.
const MUTATIONS: u64 = 4_000;

/// splitmix64
fn mix(random: &mut u64) -> u64 {
    *random = random.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let x = (*random ^ (*random >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

/// The files of a corpus, in order of their names.
fn corpus(kind: &str) -> Vec<Vec<u8>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(kind);
    let entries = std::fs::read_dir(folder).expect("a corpus");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).expect("a file")).collect()
}

/// A few changes: bytes altered, parts removed, doubled, taken from another file.
fn mutated(seeds: &[Vec<u8>], random: &mut u64) -> Vec<u8> {
    let mut bytes = seeds[mix(random) as usize % seeds.len()].clone();
    for _ in 0..=mix(random) % 4 {
        let at = mix(random) as usize % (bytes.len() + 1);
        let size = (mix(random) % 16) as usize;
        let end = (at + size).min(bytes.len());
        match mix(random) % 6 {
            0 if at < bytes.len() => bytes[at] ^= 1 << (mix(random) % 8),
            1 if at < bytes.len() => bytes[at] = mix(random) as u8,
            2 => drop(bytes.drain(at..end)),
            3 => {
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
            4 => bytes.truncate(at),
            _ => {
                let other = &seeds[mix(random) as usize % seeds.len()];
                let from = mix(random) as usize % (other.len() + 1);
                let part = other[from..(from + size).min(other.len())].to_vec();
                bytes.splice(at..at, part);
            }
        }
    }
    bytes
}

fn run(kind: &str, gate: fn(&[u8]), mutations: u64) {
    let seeds = corpus(kind);
    assert!(seeds.len() >= 2, "a corpus of {kind}");
    seeds.iter().for_each(|seed| gate(seed));
    let mut random = 1;
    for nth in 0..mutations {
        let bytes = mutated(&seeds, &mut random);
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| gate(&bytes))) {
            let text = String::from_utf8_lossy(&bytes);
            println!("mutation {nth} of {kind}: {bytes:?}\n{text}");
            std::panic::resume_unwind(panic);
        }
    }
}

#[test]
fn no_message_makes_it_panic() {
    run("wire", gates::wire, MUTATIONS);
}

#[test]
fn no_log_makes_it_panic() {
    run("wal", gates::wal, MUTATIONS / 4);
}

#[test]
fn no_snapshot_makes_it_panic() {
    run("snapshot", gates::snapshot, MUTATIONS);
}

#[test]
fn no_scenario_makes_it_panic() {
    run("scenario", gates::scenario, MUTATIONS / 4);
}
