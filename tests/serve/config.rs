//! What `traft serve` is told by flags, the environment and a file, and what it says is wrong.

use super::program::{empty_dir, traft};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const FILE: &str = r#"
id = 1
cluster = "orders"
dir = "store"
listen = "127.0.0.1:6381"
peer-listen = "127.0.0.1:7381"
members = "(n1)"
snapshot-records = 5

[peers]
1 = "127.0.0.1:7381"
2 = "127.0.0.1:7382"

[clients]
2 = "127.0.0.1:6382"
"#;

/// `traft serve --check-config`, in an environment that says nothing else.
fn check(args: &[&str], env: &[(&str, &str)]) -> Output {
    let mut command: Command = traft();
    command.args(["serve", "--check-config"]).args(args);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TRAFT_")) {
        command.env_remove(name);
    }
    command.envs(env.iter().copied()).output().expect("the program runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn file(dir: &Path, name: &str, text: &str) -> String {
    std::fs::create_dir_all(dir).expect("a directory");
    let path: PathBuf = dir.join(name);
    std::fs::write(&path, text).expect("a file");
    path.display().to_string()
}

#[test]
fn flags_go_before_the_environment_and_that_before_the_file() {
    let dir = empty_dir("config-order");
    let config = file(&dir, "traft.toml", FILE);
    let told = |args: &[&str], env: &[(&str, &str)]| {
        let all: Vec<&str> = ["--config", &config].iter().chain(args).copied().collect();
        let output = check(&all, env);
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    let plain = told(&[], &[]);
    for line in [
        "replica           n1 of \"orders\"",
        "members           (n1; read 1, write 1) at first",
        "clients           at 127.0.0.1:6381",
        "                  n2 at 127.0.0.1:7382",
        "transport         Grpc",
        "wire-max          2",
        "TLS               no",
        "password          no",
        "snapshot-records  5",
        "log               off",
    ] {
        assert!(plain.lines().any(|l| l == line), "{plain}\nsays nothing of {line:?}");
    }
    let env = [("TRAFT_CLUSTER", "stock"), ("TRAFT_PASSWORD", "secret"), ("TRAFT_NEW", "yes")];
    let by_env = told(&[], &env);
    assert!(by_env.contains("n1 of \"stock\"") && by_env.contains("password          yes"));
    assert!(by_env.contains("first start") && !by_env.contains("secret"), "{by_env}");
    let by_flag = told(&["--cluster", "shop", "--id", "2"], &env);
    assert!(by_flag.contains("n2 of \"shop\""), "{by_flag}");
    let peers = told(&["--peers", "1=127.0.0.1:1,3=127.0.0.1:3"], &[]);
    assert!(peers.contains("n3 at 127.0.0.1:3") && !peers.contains("n2 at"), "{peers}");
    std::fs::remove_dir_all(dir).expect("it made the directory");
}

#[test]
fn what_is_wrong_is_said_in_one_sentence() {
    let dir = empty_dir("config-wrong");
    let config = file(&dir, "traft.toml", FILE);
    let unknown = file(&dir, "unknown.toml", &FILE.replace("snapshot-records", "snapshots"));
    let broken = file(&dir, "broken.toml", "id = 1\ncluster = \n");
    let outside = FILE.replace("2 = \"127.0.0.1:7382\"", "2 = \"10.0.0.2:7382\"");
    let outside = file(&dir, "outside.toml", &outside);
    let cases: &[(&[&str], &str)] = &[
        (&[], "id is missing: say --id 1, TRAFT_ID, or id in the file"),
        (&["--id", "1"], "cluster is missing"),
        (&["--config", &config, "--id", "3"], "peers has no address for n3, which is this replica"),
        (&["--config", &config, "--members", "(n1 n7)"], "members names n7, and peers has no"),
        (&["--config", &config, "--members", "(n1 n1)"], "members: "),
        (&["--config", &config, "--members", "(n1 n2; read 1, write 1)"], "members: not sound: "),
        (&["--config", &config, "--listen", "nowhere"], "listen: \"nowhere\": "),
        (&["--config", &config, "--snapshot-records", "0"], "snapshot-records must be at least 1"),
        (&["--config", &config, "--peers", "1:2"], "expected N=HOST:PORT"),
        (&["--config", &config, "--peers", "0=h:1"], "needs the number of a replica, from 1"),
        (&["--config", &config, "--peers", "1=h:1,1=h:2"], "peers has two addresses for n1"),
        (&["--config", &config, "--peers", "1=h:1,2=h:1"], "peers has h:1 twice"),
        (&["--config", &config, "--new", "--wiped"], "cannot be used with"),
        (
            &["--config", &config, "--transport", "udp"],
            "transport must be grpc or quic, not \"udp\"",
        ),
        (&["--config", &config, "--wire-max", "3"], "wire-max must be 1 to 2"),
        (&["--config", &config, "--log", "loud"], "log must be off or debug, not \"loud\""),
        (&["--config", &unknown], "line 8: unknown field `snapshots`"),
        (&["--config", &broken], "broken.toml, line 2: "),
        (&["--config", "nowhere.toml"], "nowhere.toml: "),
        (&["--config", &outside], "10.0.0.2:7382 is not an address of this machine"),
        (&["--config", &config, "--peer-listen", "0.0.0.0:1"], "`traft cert init`"),
        (&["--config", &outside, "--certs", "nowhere"], "certs: nowhere/authority.pem: "),
    ];
    for (args, why) in cases {
        let output = check(args, &[]);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {said}{}", text(&output.stdout));
        assert!(said.starts_with("traft: ") && said.lines().count() == 1, "{args:?}: {said}");
        assert!(said.contains(why), "{args:?}: {said:?} says nothing of {why:?}");
    }
    std::fs::remove_dir_all(dir).expect("it made the directory");
}

#[test]
fn certificates_are_made_once_and_more_are_added_later() {
    let dir = empty_dir("certs");
    let init = |n: &str| {
        let output = traft().args(["cert", "init", "-n", n]).arg(&dir).output().expect("it runs");
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    assert_eq!(init("2").lines().count(), 2);
    let read = |name: &str| std::fs::read_to_string(dir.join(name)).expect("a file");
    let (authority, first) = (read("authority.pem"), read("1/certificate.pem"));
    assert_eq!(init("3"), format!("{}\n", dir.join("3").display()));
    assert_eq!((read("authority.pem"), read("1/certificate.pem")), (authority.clone(), first));
    assert_eq!(read("3/authority.pem"), authority);
    let mode = std::fs::metadata(dir.join("3/key.pem")).expect("a key").permissions();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode) & 0o777, 0o600);
    std::fs::remove_file(dir.join("authority.key")).expect("it is there");
    let half = traft().args(["cert", "init", "-n", "4"]).arg(&dir).output().expect("it runs");
    let said = text(&half.stderr);
    assert!(half.status.code() == Some(2) && said.contains("one of authority.pem and"), "{said}");
    std::fs::remove_dir_all(dir).expect("it made the directory");
}
