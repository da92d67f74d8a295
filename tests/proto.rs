//! The generated code and the descriptors belong to the schemas: made again from `proto`, without a
//! build script and without protoc, they are byte for byte what is committed. `BLESS=1` writes
//! them.

use std::fs;
use std::path::Path;

/// Each schema with its package, and the code that comes of it.
const SCHEMAS: [[&str; 3]; 5] = [
    ["client.proto", "traft.client.v1", "src/net/clients/generated.rs"],
    ["health.proto", "grpc.health.v1", "src/net/clients/health.rs"],
    ["peer.proto", "traft.peer.v1", "src/net/generated.rs"],
    ["wire.proto", "traft.wire.v1", "src/wire/generated.rs"],
    ["transfer.proto", "traft.transfer.v1", "src/snapshot/generated.rs"],
];

fn generated(schema: &str, package: &str) -> String {
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("proto");
    fs::create_dir_all(&out).unwrap();
    let compiled = protox::compile([schema], ["proto"]).unwrap();
    let mut config = prost_build::Config::new();
    // Keys and bodies stay where they arrived instead of being copied.
    config.bytes(["."]).out_dir(&out);
    let builder = tonic_prost_build::configure().build_transport(false).out_dir(&out);
    builder.compile_fds_with_config(compiled, config).unwrap();
    let code = fs::read_to_string(out.join(format!("{package}.rs"))).unwrap();
    format!("//! Generated from `proto/{schema}` by `BLESS=1 cargo test --test proto`.\n\n{code}")
}

/// Of the services that are spoken on the port of replicas, for those who ask what there is.
const DESCRIBED: [&str; 3] = ["client.proto", "health.proto", "peer.proto"];

const DESCRIPTORS: &str = "src/net/clients/descriptors.bin";

#[test]
fn the_descriptors_are_those_of_the_schemas() {
    let mut compiler = protox::Compiler::new(["proto"]).unwrap();
    compiler.include_source_info(false).include_imports(true).open_files(DESCRIBED).unwrap();
    let described = compiler.encode_file_descriptor_set();
    if std::env::var_os("BLESS").is_some() {
        fs::write(DESCRIPTORS, &described).unwrap();
    }
    let found = fs::read(DESCRIPTORS).unwrap_or_default();
    assert!(found == described, "{DESCRIPTORS} is not that of {DESCRIBED:?}; BLESS=1 rewrites it");
}

#[test]
fn the_generated_code_is_that_of_the_schemas() {
    for [schema, package, committed] in SCHEMAS {
        let generated = generated(schema, package);
        if std::env::var_os("BLESS").is_some() {
            fs::write(committed, &generated).unwrap();
        }
        let found = fs::read_to_string(committed).unwrap_or_default();
        assert!(found == generated, "{committed} is not that of {schema}; BLESS=1 rewrites it");
    }
}
