//! The text scenarios (`check::scenario`) do what they say.

#[cfg(feature = "mutants")]
mod bank;
mod suspect;

use std::path::PathBuf;

/// The topics; every file name begins with one of them.
const TOPICS: [&str; 12] = [
    "author",
    "rebuild",
    "replicate",
    "apply",
    "quorum",
    "read",
    "member",
    "elect",
    "purge",
    "fault",
    "doubt",
    "hear",
];

fn files(topic: &str) -> Vec<PathBuf> {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let entries = std::fs::read_dir(dir).expect("the directory of the scenarios");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let named = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(topic) && name.ends_with(".txt")
    };
    let mut paths: Vec<PathBuf> = paths.filter(named).collect();
    paths.sort();
    paths
}

#[cfg(not(feature = "mutants"))]
fn run_topic(topic: &str) {
    let files = files(topic);
    assert!(!files.is_empty(), "no scenario of {topic}");
    let mut failures = Vec::new();
    for path in files {
        let text = std::fs::read_to_string(&path).expect("a scenario");
        let outcome = traft::check::scenario::run(&text);
        if outcome.broken.is_empty() && std::env::var_os("BLESS").is_some() {
            std::fs::write(&path, &outcome.text).expect("a scenario can be written");
            continue;
        }
        if let Some(failure) = outcome.failure(&text) {
            failures.push(format!("{}\n{failure}", path.display()));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

#[test]
fn every_file_has_a_topic() {
    let known: usize = TOPICS.iter().map(|topic| files(topic).len()).sum();
    assert_eq!(files("").len(), known);
}

/// Not beside known bugs: which one is on is one number for the whole process.
#[cfg(not(feature = "mutants"))]
mod topics {
    use super::run_topic;

    #[test]
    fn author() {
        run_topic("author");
    }

    #[test]
    fn elect() {
        run_topic("elect");
    }

    #[test]
    fn doubt() {
        run_topic("doubt");
    }

    #[test]
    fn hear() {
        run_topic("hear");
    }

    #[test]
    fn purge() {
        run_topic("purge");
    }

    #[test]
    fn rebuild() {
        run_topic("rebuild");
    }

    #[test]
    fn replicate() {
        run_topic("replicate");
    }

    #[test]
    fn apply() {
        run_topic("apply");
    }

    #[test]
    fn quorum() {
        run_topic("quorum");
    }

    #[test]
    fn read() {
        run_topic("read");
    }

    #[test]
    fn member() {
        run_topic("member");
    }

    #[test]
    fn fault() {
        run_topic("fault");
    }
}
