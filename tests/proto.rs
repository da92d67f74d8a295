//! The generated code belongs to the schema: made again from `proto/wire.proto`, without a build
//! script and without protoc, it is byte for byte what is committed. `BLESS=1` writes it.

use std::fs;
use std::path::Path;

const COMMITTED: &str = "src/wire/generated.rs";

fn generated() -> String {
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("proto");
    fs::create_dir_all(&out).unwrap();
    let schema = protox::compile(["wire.proto"], ["proto"]).unwrap();
    let mut config = prost_build::Config::new();
    // Keys and bodies stay where they arrived instead of being copied.
    config.bytes(["."]).out_dir(&out).compile_fds(schema).unwrap();
    let code = fs::read_to_string(out.join("traft.wire.v1.rs")).unwrap();
    format!("//! Generated from `proto/wire.proto` by `BLESS=1 cargo test --test proto`.\n\n{code}")
}

#[test]
fn the_generated_code_is_that_of_the_schema() {
    let generated = generated();
    if std::env::var_os("BLESS").is_some() {
        fs::write(COMMITTED, &generated).unwrap();
    }
    let committed = fs::read_to_string(COMMITTED).unwrap_or_default();
    assert!(committed == generated, "{COMMITTED} is not that of the schema; BLESS=1 rewrites it");
}
