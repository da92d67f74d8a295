//! The one binary: `traft compare`.

use std::process::ExitCode;

fn main() -> ExitCode {
    traft::compare::main(std::env::args_os())
}
