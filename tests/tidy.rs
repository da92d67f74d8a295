//! The rules of the house as tests: who may import whom, what pure parts may not use, how long
//! lines, files and functions get. Each first finds a bad sample. Generated code is exempt.

#[path = "tidy/layers.rs"]
mod layers;

use layers::LAYERS;
use std::fs;
use std::path::{Path, PathBuf};

const COLUMNS_MAX: usize = 100;
const FILE_LINES_MAX: usize = 450;
const FUNCTION_LINES_MAX: usize = 80;
const GENERATED: &[&str] = &[
    "src/net/clients/generated.rs",
    "src/net/clients/health.rs",
    "src/net/generated.rs",
    "src/snapshot/generated.rs",
    "src/wire/generated.rs",
];

/// Inputs and outputs are all that a pure part knows.
const PURE: &[&str] = &["base", "quorum", "message", "replica"];
const IMPURE_WORDS: &[&str] = &[
    "std::time",
    "std::thread",
    "std::net",
    "std::fs",
    "std::io",
    "std::env",
    "std::process",
    "Instant",
    "SystemTime",
    "Mutex",
    "RwLock",
    "Condvar",
    "mpsc",
    "Atomic",
    "RefCell",
    "thread_local",
    "parking_lot",
    "crossbeam",
    "println",
    "eprintln",
];

/// Which known bug is on, in builds with the feature `mutants`: a number, and no lock.
const SWITCH: &str = "src/base/mutants/bank.rs";

/// Walks a hash map where no order can show: into an ordered set, and into a sum.
const ORDER_FREE: &[&str] = &["src/apply/kv/entries.rs"];

/// Parts whose outcome depends on nothing but their arguments.
const DETERMINISTIC: &[&str] =
    &["base", "quorum", "message", "replica", "apply", "wire", "snapshot", "store", "check", "sim"];
const CHANCE_WORDS: &[&str] = &[
    "std::time",
    "Instant",
    "SystemTime",
    "std::thread",
    "rand::",
    "thread_rng",
    "getrandom",
    "RandomState",
    "DefaultHasher",
];

/// What goes through a collection in its own order.
const WALKS: &[&str] = &["iter", "iter_mut", "keys", "values", "values_mut", "drain", "retain"];

/// Only the gates speak protobuf: to other replicas, and to the file that they send each other; and
/// `net`, around their frames.
const PROTOBUF_USERS: &[&str] = &["net", "snapshot", "wire"];

/// A Rust file: its path from the root of the repository, and its text.
struct Source {
    path: String,
    text: String,
}

impl Source {
    /// The module of the crate that a file of `src` belongs to.
    fn module(&self) -> Option<&str> {
        let inside = self.path.strip_prefix("src/")?;
        Some(inside.split_once('/').map_or(inside.trim_end_matches(".rs"), |(module, _)| module))
    }

    fn is_in(&self, modules: &[&str]) -> bool {
        self.module().is_some_and(|module| modules.contains(&module))
    }

    /// Its lines with their numbers, without comments.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().zip(1..).filter(|(line, _)| !line.trim().starts_with("//"));
        lines.map(|(line, at)| (at, line.split(" // ").next().unwrap_or(line)))
    }

    fn complain(&self, line: usize, complaint: &str) -> String {
        format!("{}:{line}: {complaint}", self.path)
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.map(|entry| entry.unwrap().path()) {
        // tests/fuzz is built by itself, and what that leaves nobody wrote.
        if path.is_dir() && !path.ends_with("target") {
            walk(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Every Rust file of the repository that a person wrote, in order of path.
fn sources() -> Vec<Source> {
    let mut paths = Vec::new();
    for folder in ["src", "tests", "benches", "examples"] {
        walk(&root().join(folder), &mut paths);
    }
    paths.sort();
    let source = |path: &PathBuf| {
        let name = path.strip_prefix(root()).unwrap().to_str().unwrap().replace('\\', "/");
        Source { path: name, text: fs::read_to_string(path).unwrap() }
    };
    paths.iter().map(source).filter(|source| !GENERATED.contains(&source.path.as_str())).collect()
}

fn sample(path: &str, text: &str) -> Source {
    Source { path: path.into(), text: text.into() }
}

/// Shows that the rule finds something in each bad sample and nothing in the good one, then keeps
/// the repository to it.
fn keep(rule: impl Fn(&Source) -> Vec<String>, good: (&str, &str), bad: &[(&str, &str)]) {
    assert_eq!(rule(&sample(good.0, good.1)), [""; 0], "the rule is too strict");
    for (path, text) in bad {
        assert_ne!(rule(&sample(path, text)), [""; 0], "the rule overlooks {text:?} in {path}");
    }
    let complaints: Vec<String> = sources().iter().flat_map(rule).collect();
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

/// Whether `word` stands in `line`, not as a part of a longer word on its left.
fn has_word(line: &str, word: &str) -> bool {
    let longer = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| !line[..at].ends_with(longer))
}

fn words(source: &Source, banned: &[&str], why: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, line) in source.code() {
        for word in banned.iter().filter(|word| has_word(line, word)) {
            found.push(source.complain(at, &format!("`{word}`: {why}")));
        }
    }
    found
}

/// The modules of the crate that a line names.
fn named(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices("crate::").filter(|(at, _)| !line[..*at].ends_with('$')).map(|(at, word)| {
        let rest = &line[at + word.len()..];
        rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or("")
    })
}

fn layers(source: &Source) -> Vec<String> {
    let Some(module) = source.module() else { return Vec::new() };
    let Some((_, below)) = LAYERS.iter().find(|(name, _)| *name == module) else {
        let known = module == "lib" || module == "bin";
        return if known { Vec::new() } else { vec![source.complain(1, "is in no layer")] };
    };
    let mut found = Vec::new();
    for (at, line) in source.code() {
        for name in named(line).filter(|name| *name != module && !below.contains(name)) {
            found.push(source.complain(at, &format!("`{module}` may not import `{name}`")));
        }
    }
    found
}

#[test]
fn imports_go_one_way() {
    let bad = [
        ("src/base/x.rs", "use crate::message::Vote;"),
        ("src/replica/x.rs", "    let x = crate::sim::run();"),
        ("src/wire/mod.rs", "use crate::replica::Replica;"),
        ("src/message.rs", "use crate::quorum::Tally;"),
        ("src/novel/mod.rs", ""),
    ];
    let good = "//! [`crate::sim`]\nuse crate::base::Lsn;\nuse crate::replica::Index;";
    keep(layers, ("src/replica/x.rs", good), &bad);
}

#[test]
fn pure_parts_are_pure() {
    let rule = |source: &Source| {
        let pure = source.is_in(PURE) && source.path != SWITCH;
        if pure { words(source, IMPURE_WORDS, "not in a pure part") } else { vec![] }
    };
    let bad = [
        ("src/replica/x.rs", "use std::time::Duration;"),
        ("src/base/x.rs", "    println!(\"x\");"),
        ("src/quorum/x.rs", "use std::sync::Mutex;"),
        ("src/message.rs", "use std::sync::atomic::AtomicU64;"),
    ];
    keep(rule, ("src/replica/x.rs", "use std::sync::Arc; // std::time\nfn instants() {}"), &bad);
}

#[test]
fn outcomes_do_not_depend_on_chance() {
    let rule = |source: &Source| {
        let deterministic = source.is_in(DETERMINISTIC);
        if deterministic { words(source, CHANCE_WORDS, "not the same twice") } else { vec![] }
    };
    let bad = [
        ("src/sim/x.rs", "use std::time::Instant;"),
        ("src/check/x.rs", "let x = rand::random();"),
        ("src/apply/x.rs", "use std::hash::RandomState;"),
    ];
    keep(rule, ("src/sim/x.rs", "let operand::X = brand::new();"), &bad);
}

/// A hash map has an order that nobody states: it may be looked into, never walked.
fn hash_maps(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    // Names of fields and of locals: the latter go without a dot before them.
    let mut names: Vec<(&str, bool)> = Vec::new();
    for (at, line) in source.code() {
        for kind in ["HashMap", "HashSet"] {
            if has_word(line, kind) {
                found.push(source.complain(at, &format!("`{kind}`: take `Fx{kind}`")));
            }
            let declared = line.split_once(&format!(": Fx{kind}")).map(|(left, _)| left);
            let name = declared.and_then(|left| left.rsplit([' ', '(']).next());
            let local = ["let ", "fn ", "|"].iter().any(|word| line.contains(word));
            names.extend(name.filter(|name| !name.is_empty()).map(|name| (name, local)));
        }
    }
    for (at, line) in source.code() {
        for (name, local) in &names {
            let walked = WALKS.iter().any(|walk| line.contains(&format!("{name}.{walk}(")));
            let looped = [".", " ", "&"][..if *local { 3 } else { 1 }].iter().any(|before| {
                line.contains("for ") && line.contains(&format!("{before}{name} {{"))
            });
            if walked || looped {
                found.push(source.complain(at, &format!("walks the hash map `{name}`")));
            }
        }
    }
    found
}

#[test]
fn nobody_walks_a_hash_map() {
    let rule = |source: &Source| {
        let order_free = ORDER_FREE.contains(&source.path.as_str());
        if source.is_in(DETERMINISTIC) && !order_free { hash_maps(source) } else { vec![] }
    };
    let bad = [
        ("src/sim/x.rs", "use std::collections::HashMap;"),
        ("src/base/x.rs", "    held: FxHashSet<Lsn>,\n    self.held.iter().count();"),
        ("src/base/x.rs", "    held: FxHashSet<Lsn>,\n    for lsn in &self.held {"),
        ("src/apply/x.rs", "let x: FxHashMap<u8, u8> = f();\nfor (k, v) in &x {\n}"),
        ("src/apply/x.rs", "fn f(costs: FxHashMap<u8, u8>) {\n    costs.retain(|_, _| true);"),
    ];
    keep(
        rule,
        (
            "src/sim/x.rs",
            "    held: FxHashMap<Lsn, u8>,\n    self.held.get(&x);\n    for x in held {",
        ),
        &bad,
    );
}

#[test]
fn only_the_gate_speaks_protobuf() {
    let rule = |source: &Source| {
        let user = source.module().is_none() || source.is_in(PROTOBUF_USERS);
        if user { vec![] } else { words(source, &["prost"], "only the gates know it") }
    };
    let good = ("src/wire/x.rs", "use prost::Message;");
    keep(rule, good, &[("src/message.rs", "#[derive(prost::Message)]")]);
}

#[test]
fn nothing_is_left_for_later() {
    // Taken apart, so that this file keeps its own rule.
    let left: &[&str] = &[
        concat!("FIX", "ME"),
        concat!("TO", "DO"),
        concat!("XX", "X"),
        concat!("to", "do!"),
        concat!("unimple", "mented!"),
        concat!("#[ig", "nore"),
        concat!("db", "g!"),
    ];
    let rule = |source: &Source| {
        let lines = source.text.lines().zip(1..);
        let found = lines.filter(|(line, _)| left.iter().any(|word| line.contains(word)));
        found.map(|(line, at)| source.complain(at, line.trim())).collect()
    };
    let bad: Vec<(&str, &str)> = left.iter().map(|word| ("src/x.rs", *word)).collect();
    keep(rule, ("src/x.rs", "unreachable!()"), &bad);
}

#[test]
fn lines_and_files_fit() {
    let rule = |source: &Source| {
        // The rows of a table in a comment cannot be broken.
        let row = |line: &str| line.trim_start().trim_start_matches(['/', '!']).starts_with(" |");
        let long = |line: &str| line.chars().count() > COLUMNS_MAX && !row(line);
        let lines = source.text.lines().zip(1..).filter(|(line, _)| long(line));
        let mut found: Vec<String> =
            lines.map(|(_, at)| source.complain(at, "more than 100 columns")).collect();
        let count = source.text.lines().count();
        if count > FILE_LINES_MAX {
            found.push(source.complain(count, "more than 450 lines: split it"));
        }
        found
    };
    let wide = "x".repeat(COLUMNS_MAX + 1);
    let tall = "x\n".repeat(FILE_LINES_MAX + 1);
    let good = format!("{}\n", "×".repeat(COLUMNS_MAX)).repeat(FILE_LINES_MAX);
    keep(rule, ("src/x.rs", &good), &[("src/x.rs", &wide), ("tests/x.rs", &tall)]);
}

/// Functions with their first lines and how many lines they have. Rests on the formatter: a body
/// ends with a brace under the first letter of its function.
fn functions(text: &str) -> Vec<(usize, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        let words = code.split("fn ").next().unwrap_or("").split_whitespace();
        let qualifier = |word: &str| {
            word.starts_with("pub")
                || "const async in".contains(word)
                || word.starts_with("super")
                || word.starts_with("crate")
        };
        if !code.contains("fn ") || !words.clone().all(qualifier) {
            continue;
        }
        let head = lines[start..].iter().position(|l| l.ends_with(['{', ';', '}']));
        let Some(head) = head.filter(|head| lines[start + head].ends_with('{')) else { continue };
        let end = format!("{}}}", &line[..line.len() - code.len()]);
        let body = lines[start + head..].iter().position(|l| *l == end);
        found.push((start + 1, head + body.unwrap_or(lines.len()) + 1));
    }
    found
}

#[test]
fn functions_fit_on_a_screen() {
    let rule = |source: &Source| {
        let long = functions(&source.text).into_iter().filter(|(_, n)| *n > FUNCTION_LINES_MAX);
        long.map(|(at, n)| source.complain(at, &format!("a function of {n} lines"))).collect()
    };
    let body = |lines| {
        format!("    pub(super) fn f(\n    ) {{\n{}    }}\n", "        x();\n".repeat(lines))
    };
    let (good, bad) = (body(FUNCTION_LINES_MAX - 3).repeat(3), body(FUNCTION_LINES_MAX - 2));
    assert_eq!(functions(&good).len(), 3);
    assert_eq!(functions("fn f() {}\ntrait T {\n    fn g();\n}\nfn h() {\n}\n"), [(5, 2)]);
    keep(rule, ("src/x.rs", &good), &[("src/x.rs", &bad)]);
}

/// The files that `mod` declarations in `source` bring in, as a set of candidates each.
fn declared(source: &Source) -> Vec<String> {
    let path = Path::new(&source.path);
    let name = path.file_stem().unwrap().to_str().unwrap();
    let folder = path.parent().unwrap();
    let crate_root = ["src/lib.rs", "src/main.rs"].contains(&source.path.as_str())
        || ["tests", "benches", "examples", "src/bin"].iter().any(|f| folder == Path::new(f));
    let own = if name == "mod" || name == "main" || crate_root {
        folder.into()
    } else {
        folder.join(name)
    };
    let mut found = Vec::new();
    let mut placed: Option<&str> = None;
    for (_, line) in source.code() {
        let line = line.trim();
        if let Some(at) = line.strip_prefix("#[path = \"").and_then(|l| l.strip_suffix("\"]")) {
            placed = Some(at);
        } else if let Some(module) = line.strip_suffix(';').and_then(|l| l.split("mod ").nth(1)) {
            let files = match placed.take() {
                Some(at) => vec![folder.join(at)],
                None => vec![own.join(format!("{module}.rs")), own.join(module).join("mod.rs")],
            };
            found.extend(files.iter().map(|file| plain(file)));
        }
    }
    found
}

/// A path without `..`.
fn plain(path: &Path) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.to_str().unwrap().split(['/', '\\']) {
        if part == ".." {
            parts.pop();
        } else {
            parts.push(part);
        }
    }
    parts.join("/")
}

/// Files that no `mod` brings in and that are no target of their own.
fn orphans(sources: &[Source]) -> Vec<String> {
    let declared: Vec<String> = sources.iter().flat_map(declared).collect();
    let target = |path: &str| {
        let parts: Vec<&str> = path.split('/').collect();
        matches!(
            parts[..],
            ["src", "lib.rs"]
                | ["src", "bin", _]
                | ["tests" | "benches" | "examples", _]
                | [_, _, "main.rs"]
                | ["tests", "fuzz", "targets", _]
        )
    };
    let paths = sources.iter().map(|source| source.path.clone());
    paths.filter(|path| !target(path) && !declared.contains(path)).collect()
}

#[test]
fn every_file_is_part_of_something() {
    let tree = [
        sample("src/lib.rs", "pub mod a;\nmod d;"),
        sample("src/a.rs", "mod b;"),
        sample("src/a/b.rs", ""),
        sample("src/a/c.rs", ""),
        sample("src/d/mod.rs", ""),
        sample("tests/t.rs", "#[path = \"t/e.rs\"]\nmod e;\n// mod f;"),
        sample("tests/t/e.rs", "#[path = \"../u/g.rs\"]\nmod g;"),
        sample("tests/u/g.rs", ""),
        sample("tests/t/f.rs", ""),
    ];
    assert_eq!(orphans(&tree), ["src/a/c.rs", "tests/t/f.rs"]);
    assert_eq!(orphans(&sources()), [""; 0], "no `mod` brings these in");
}
