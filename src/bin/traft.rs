//! The one binary: `traft compare`, `traft plan`, `traft check`, `traft inspect`, `traft cluster`,
//! `traft get`, `put`, `watch`, `load`, `nemesis`.

use std::process::ExitCode;

fn main() -> ExitCode {
    traft::compare::main(std::env::args_os())
}
