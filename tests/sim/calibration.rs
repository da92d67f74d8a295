//! The calibration network for a few seconds: traft shows the figures that are asked of it, and
//! the classic side those that an independent harness measured of the same crate. A weaker
//! yardstick would be a bug. `traft compare --network calibration` does the full minute.

use traft::base::{Command, Footprint, KeySet};
use traft::sim::{Kind, LinkKind, Load, Network, Op, Outcome, Side, Spec, Time, run};

/// Three replicas, 10 ms one way, 1 % loss, 1,000 commands a second on distinct keys, resend after
/// 30 ms.
fn calibration(side: Side, jitter: Time) -> Outcome {
    let network = Network::uniform("calibration", 3, Time::ms(10));
    let network = network.with_jitter(jitter).with_loss(0.01);
    let ops = (0..12_000).map(|i| {
        let footprint = Footprint::write(KeySet::point(bytes::Bytes::from(format!("k{i}"))));
        let command = Command { footprint, body: bytes::Bytes::from(vec![7; 16]) };
        (Time::ms(i), Op { command, kind: Kind::Write, cost: Time::ZERO, class: 0, site: 0 })
    });
    let load = Load::Open { ops: ops.collect() };
    let mut spec = Spec::new(side, LinkKind::Unordered, 3, network, load);
    spec.resend = Time::ms(30);
    run(&spec).expect("the spec can be run")
}

/// Latencies at p50, p99 and p99.9, in tenths of a millisecond, as they were measured.
fn percentiles(outcome: &Outcome) -> [f64; 3] {
    assert_eq!(outcome.violations, Vec::<String>::new());
    let mut ms: Vec<f64> = outcome.ops.iter().map(|op| op.latency(outcome.ended).as_ms()).collect();
    ms.sort_by(f64::total_cmp);
    let at = |p: f64| ms[(ms.len() as f64 * p).ceil() as usize - 1];
    [0.5, 0.99, 0.999].map(|p| (at(p) * 10.0).round() / 10.0)
}

#[test]
fn traft_loses_nothing_to_loss_and_reordering() {
    for (jitter, most) in [(Time::ZERO, [20.0, 21.0, 21.0]), (Time::ms(5), [25.0, 29.4, 30.7])] {
        let shown = percentiles(&calibration(Side::Traft, jitter));
        assert!((0..3).all(|p| shown[p] <= most[p]), "{shown:?} with jitter {jitter:?}");
        assert!(shown[0] >= 20.0, "{shown:?} is below one round trip");
    }
}

#[cfg(feature = "compare")]
#[test]
fn the_classic_side_is_what_was_measured() {
    for (jitter, measured) in [(Time::ZERO, [20.0, 33.0, 39.0]), (Time::ms(5), [27.4, 43.4, 47.0])]
    {
        let shown = percentiles(&calibration(Side::Raft, jitter));
        for (shown, measured) in shown.iter().zip(measured) {
            let off = (shown / measured - 1.0).abs();
            assert!(off <= 0.05, "{shown} ms for {measured}, jitter {jitter:?}");
        }
    }
}
