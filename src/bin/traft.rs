//! The one binary: `traft compare`, `traft plan`, `traft check`, `traft inspect`, `traft cluster`,
//! `traft get`, `put` and `watch`.

use std::process::ExitCode;

fn main() -> ExitCode {
    traft::compare::main(std::env::args_os())
}
