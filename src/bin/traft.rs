//! The one binary: `traft compare`, `traft check`.

use std::process::ExitCode;

fn main() -> ExitCode {
    traft::compare::main(std::env::args_os())
}
