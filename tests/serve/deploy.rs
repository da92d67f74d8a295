//! The files of docs/deploy: what they say is what `traft serve` takes.

use super::program::{empty_dir, traft};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn deploy(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/deploy").join(name)
}

fn read(name: &str) -> String {
    std::fs::read_to_string(deploy(name)).expect("a file of docs/deploy")
}

/// Certificates for four replicas; gives where those of one lie.
fn certs(dir: &Path, id: &str) -> String {
    let made = traft().args(["cert", "init", "-n", "4"]).arg(dir).status();
    assert!(made.expect("the program runs").success());
    dir.join(id).display().to_string()
}

type Env = BTreeMap<String, String>;

/// What it comes to, of a configuration that has to be right.
fn check(args: &[&str], env: &Env) -> String {
    let mut command = traft();
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TRAFT_")) {
        command.env_remove(name);
    }
    let output = command.args(args).arg("--check-config").envs(env).output();
    let output = output.expect("the program runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{args:?} {env:?}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn the_service_starts_what_its_configuration_says() {
    let dir = empty_dir("deploy-service");
    let certs = certs(&dir, "1");
    let unit = read("traft.service");
    let config = deploy("traft.toml").display().to_string();
    let mut commands = 0;
    for line in unit.lines().filter_map(|line| line.strip_prefix("ExecStart")) {
        let (_, command) = line.split_once('=').expect("a command");
        let words = command.replace("/etc/traft/traft.toml", &config);
        let mut words: Vec<&str> = words.split(' ').collect();
        assert_eq!(words.remove(0), "/usr/local/bin/traft");
        words.retain(|word| *word != "--check-config");
        words.extend(["--certs", &certs]);
        let told = check(&words, &Env::new());
        assert!(
            told.contains("n1 of \"orders\"") && told.contains("n4 at 10.0.0.4:7379"),
            "{told}"
        );
        assert!(told.contains("members           (n1 n2 n3; read 2, write 2)"), "{told}");
        commands += 1;
    }
    assert_eq!(commands, 2, "one that looks, and one that serves");
    std::fs::remove_dir_all(dir).expect("it made the directory");
}

/// Variables as `TRAFT_ID: 1` or `TRAFT_DIR=/x`, those of a shell with what stands for them.
fn variables<'a>(lines: impl Iterator<Item = &'a str>, between: char) -> Env {
    let one = |line: &str| {
        let (name, value) = line.trim().split_once(between)?;
        let value = value.trim();
        let unset = value.strip_prefix("${").and_then(|v| v.strip_suffix('}')?.split_once(":-"));
        let value = unset.map_or(value, |(_, default)| default);
        name.starts_with("TRAFT_").then(|| (name.to_string(), value.to_string()))
    };
    lines.filter_map(one).collect()
}

#[test]
fn containers_say_what_a_replica_takes() {
    let dir = empty_dir("deploy-containers");
    certs(&dir, "1");
    let (docker, compose) = (read("Dockerfile"), read("compose.yaml"));
    let env =
        docker.lines().filter_map(|line| line.strip_prefix("ENV ")).flat_map(|l| l.split(' '));
    let image = variables(env, '=');
    assert_eq!(image.len(), 3, "{image:?}");
    let (shared, services) = compose.split_once("\nservices:\n").expect("services");
    let shared = variables(shared.lines(), ':');
    let help = traft().args(["serve", "--help"]).output().expect("the program runs");
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    for id in 1..=3 {
        let start = services.find(&format!("  replica{id}:\n")).expect("a service") + 12;
        let rest = &services[start..];
        let end = rest.find("\n  replica").or(rest.find("\nvolumes:")).expect("an end");
        let own = variables(rest[..end].lines(), ':');
        let mut all: Env = image.clone().into_iter().chain(shared.clone()).chain(own).collect();
        for name in all.keys() {
            assert!(help.contains(&format!("[env: {name}=")), "traft serve takes no {name}");
        }
        let own = format!("/etc/traft/certs/{id}");
        assert_eq!(all.insert("TRAFT_CERTS".into(), certs(&dir, &id.to_string())), Some(own));
        let told = check(&["serve"], &all);
        assert!(told.contains(&format!("n{id} of \"orders\"")), "{told}");
        assert!(
            told.contains("clients           at 0.0.0.0:6379") && !told.contains("first start")
        );
    }
    std::fs::remove_dir_all(dir).expect("it made the directory");
}

/// Where namespaces may be made; elsewhere it says so.
#[test]
fn three_hosts_with_addresses_of_their_own() {
    let dir = empty_dir("three-hosts");
    let script = std::process::Command::new(deploy("three-hosts"))
        .arg(env!("CARGO_BIN_EXE_traft"))
        .arg(&dir)
        .output()
        .expect("a shell");
    let said = String::from_utf8_lossy(&script.stdout).into_owned();
    match script.status.code() {
        Some(77) => eprintln!("skipped: {said}"),
        Some(0) => assert!(said.contains("host 3 cut off: the others went on"), "{said}"),
        other => panic!("{other:?}: {said}{}", String::from_utf8_lossy(&script.stderr)),
    }
    std::fs::remove_dir_all(dir).expect("it made the directory");
}
