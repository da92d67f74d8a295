//! `traft cert init` on the command line.

use crate::base::ReplicaId;
use crate::serve::certs;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// What follows the options of `traft cert init --help`.
pub(super) const GUIDE: &str = "\
Makes DIR/authority.pem and authority.key, which sign for this cluster and nobody else, and for each
replica a directory with what it needs: DIR/1, DIR/2 and so on. Copy each to its machine and say it
to `traft serve --certs`. What is there is left alone: say a greater -n to add replicas.

Keep authority.key away from the replicas: whoever has it can speak as any of them.

Examples:
  traft cert init certs -n 3
      for three replicas
  traft cert init certs -n 5
      two more

Exit codes:
  0  done
  2  a file cannot be read or written";

/// Certificates, by which replicas know each other.
#[derive(Subcommand, Debug)]
pub enum CertTask {
    /// Make an authority for a cluster, and a certificate for each replica
    #[command(after_help = GUIDE)]
    Init(InitArgs),
}

/// Of `traft cert init`.
#[derive(Args, Debug)]
pub struct InitArgs {
    /// Where they are kept
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// For the replicas from 1 to this one
    #[arg(short = 'n', long, value_name = "N", default_value_t = 3,
          value_parser = clap::value_parser!(u64).range(1..=64))]
    replicas: u64,
}

/// `traft cert init`.
///
/// # Errors
///
/// One sentence.
pub(super) fn run(CertTask::Init(args): &CertTask) -> Result<(), String> {
    let made = certs::make(&args.dir, (1..=args.replicas).map(ReplicaId));
    for id in made.map_err(|error| error.to_string())? {
        println!("{}", args.dir.join(id.0.to_string()).display());
    }
    Ok(())
}
