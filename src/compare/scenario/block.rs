//! A block store under a real trace, by queue depth: what PolarFS measured of ParallelRaft, on
//! devices, links and a leader that are not at their best.

use super::super::cell::{Cell, Variant};
use super::super::place::Place;
use super::super::trace::Trace;
use super::super::workload::{self, Device};
use super::{LINKS, Plan, Scenario, steady};
use crate::sim::{Load, Network, Side, Slow, Spec, Time};

/// How many requests are outstanding, unless `--depth` says otherwise.
pub(super) const DEPTHS: [usize; 8] = [1, 2, 4, 8, 16, 32, 64, 128];

/// The requests of a trace that are used: the first ones.
const REQUESTS_MAX: usize = 20_000;

/// What a device takes for a request.
const DEVICE: Device = Device { least: Time::us(80), tail: Time::us(20), rare_percent: 0.5 };

/// How many requests a device works on at once.
const QUEUE: usize = 32;

/// What a sync of the log takes: at least, and the mean of what is added.
const SYNC: (Time, Time) = (Time::us(20), Time::us(10));

/// What a replica takes for a message.
const MESSAGE: Time = Time::us(2);

/// What was not answered after so long is sent again: longer than a message waits for a slow leader
/// that 128 requests keep busy, and as long as ordered links wait for what they lost.
const RESEND: Time = Network::RTO_MIN;

/// In each weather, for each depth.
pub(super) fn cells(plan: &Plan) -> Vec<Cell> {
    let weathers = [Place::Lan, Place::Loss, Place::Jitter, Place::SlowLeader, Place::AllAtOnce];
    let (places, depths) = (plan.places(&weathers), plan.depths(Scenario::Block));
    places.iter().flat_map(|place| depths.iter().map(|depth| on(place, *depth, plan))).collect()
}

fn on(place: &Place, depth: usize, plan: &Plan) -> Cell {
    let setting = plan.setting(place);
    let (leader, trace) = (setting.leader, plan.trace.clone());
    let slow = place.slow().map(|factor| Slow { replica: leader, factor });
    let about = about(&setting.about(), slow, requests(&trace).len());
    let load = move |seed| Load::Closed {
        depth,
        ops: workload::on_device(requests(&trace), DEVICE, seed, leader),
    };
    let mut cell = steady::cell(Scenario::Block, setting, about, plan, load, Time::s(3_600));
    cell.variants.extend(parallel(plan));
    cell.views[0].param = Some(format!("depth={depth}"));
    // The bound knows neither tails nor slow machines, and takes messages to cost nothing.
    cell.bounded = false;
    let plain = cell.make;
    cell.make = Box::new(move |seed| Spec {
        sync_delay: SYNC.0,
        sync_tail: SYNC.1,
        cpu: MESSAGE,
        workers: QUEUE,
        slow,
        resend: RESEND,
        ..plain(seed)
    });
    cell
}

/// Classic Raft with an executor that knows footprints, unless other sides are asked for.
fn parallel(plan: &Plan) -> impl Iterator<Item = Variant> {
    let side = Side::RaftParallel;
    let is_asked = plan.sides.is_empty() || plan.sides.contains(&side);
    let links = LINKS.into_iter().filter(|link| plan.links.is_empty() || plan.links.contains(link));
    links.filter(move |_| is_asked).map(move |link| Variant { side, link })
}

/// Those that are used. None of a cache: the command line refuses it.
fn requests(trace: &Trace) -> &[super::super::trace::Request] {
    match trace {
        Trace::Block(requests) => &requests[..requests.len().min(REQUESTS_MAX)],
        Trace::Cache(_) => &[],
    }
}

fn about(setting: &str, slow: Option<Slow>, requests: usize) -> String {
    let slow =
        slow.map_or(String::new(), |slow| format!(", the leader {} times slower", slow.factor));
    let us = |time: Time| time.as_ms() * 1e3;
    format!(
        "{setting}{slow}, the first {requests} requests of a block trace, closed loop; a request \
         takes the device {} us and an exponential tail of {}, {} % of them {} times as long, {} \
         at a time; a sync {} us and a tail of {}; a message {} us; a request is answered when \
         executed",
        us(DEVICE.least),
        us(DEVICE.tail),
        DEVICE.rare_percent,
        Device::RARE,
        QUEUE,
        us(SYNC.0),
        us(SYNC.1),
        us(MESSAGE)
    )
}
