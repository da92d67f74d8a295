//! What `traft compare --help` says after the options.

use super::scenario::Scenario;

/// Scenarios, networks, examples and exit codes.
pub(super) fn text() -> String {
    let scenarios: String =
        Scenario::ALL.iter().map(|s| format!("  {:<20} {}\n", s.name(), s.about())).collect();
    format!(
        "Scenarios:
{scenarios}
Networks:
  lan           0.25 ms one way
  jitter        lan with up to 0.125 ms of jitter
  loss          lan with 1 % loss
  slow-leader   lan, the leader's machine takes ten times as long (block only)
  all-at-once   loss, jitter and the slow leader (block only)
  calibration   10 ms one way, 1 % loss; jitter adds 0-5 ms: its figures are known
  aws5          five AWS regions, measured in 2021

Examples:
  traft compare
      most of it, at most 120 rows, within a minute
  traft compare --scenario loss --network calibration
      what a lost message costs, on the network whose figures are known
  traft compare --scenario loss --interference 0,2,10,30,100 --link unordered
      how the gain shrinks as commands interfere
  traft compare --scenario reconfigure-majority
      three of five replicas are replaced under load: what is answered in each second
  traft compare --trace requests.csv --depth 64
      block requests of a real machine, 64 at a time
  traft compare --scenario block --trace requests.csv --report block.html
      the same on devices that take time: curves by queue depth, in five weathers
  traft compare --matrix regions.toml --scenario quiet,jitter
      your own places
  traft compare --json --seed 7 > seven.json
      every figure of one seed, for other programs
  traft compare --all --report report.html
      every row there is, with plots, on one page
  traft compare --durable .
      real time: commits per second on the disk of this directory, beside what the disk can do

Exit codes:
  0  done
  1  an invariant was violated; the line that replays it is on standard error
  2  the command line or a file is wrong

What the columns and fields mean: docs/compare.md"
    )
}

#[cfg(test)]
mod tests {
    use super::super::place::Place;
    use super::*;

    #[test]
    fn help_names_every_scenario_and_network() {
        let guide = text();
        assert!(Scenario::ALL.iter().all(|s| guide.contains(&format!("\n  {} ", s.name()))));
        assert!(Place::BUILT_IN.iter().all(|p| guide.contains(&format!("\n  {} ", p.name()))));
    }
}
