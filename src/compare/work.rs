//! Runs every setting, several at a time, and turns outcomes into rows. Which thread runs what
//! does not show: each run depends on its spec alone, and the rows have a fixed order.

use super::cell::{Cell, ClosedSample, Sample, Variant, View};
use super::row::{Bound, Row, Summary};
use super::scenario::{Plan, Scenario};
use crate::sim::{self, LinkKind, Load, Side, Spec, SpecError, Time};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What came of a plan.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Report {
    pub(super) groups: Vec<Group>,
    /// What was violated, and the line that replays it.
    pub(super) violations: Vec<String>,
}

/// Rows that share a scenario and a network.
#[derive(Debug, PartialEq)]
pub(super) struct Group {
    pub(super) about: String,
    /// What makes them again.
    pub(super) command: String,
    pub(super) rows: Vec<Row>,
}

/// The part of a plan that one thread does at a time.
#[derive(Clone, Copy)]
enum Task {
    /// All runs of a variant of a cell.
    Run(usize, Variant),
    /// What no protocol can beat there.
    Bound(usize, LinkKind),
}

/// What a task gives: for each view of the cell, in order.
enum Done {
    Run(Vec<Sample>, Totals),
    Bound(Vec<Option<Bound>>),
}

/// Sums over the runs of a variant.
#[derive(Clone, Debug, Default)]
struct Totals {
    issued: u64,
    messages: u64,
    records_sent: u64,
    records_applied: u64,
    bytes: u64,
    violations: Vec<String>,
}

/// Runs the plan on `threads` threads. `progress` hears how many of how many parts are done.
///
/// # Errors
/// A setting that the world refuses.
pub(super) fn run(
    plan: &Plan,
    threads: usize,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<Report, SpecError> {
    let cells = plan.cells();
    let tasks: Vec<Task> = cells.iter().enumerate().flat_map(|(n, cell)| tasks(n, cell)).collect();
    let (next, finished) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let slots: Vec<Mutex<Option<Result<Done, SpecError>>>> =
        tasks.iter().map(|_| Mutex::new(None)).collect();
    std::thread::scope(|scope| {
        for _ in 0..threads.clamp(1, tasks.len().max(1)) {
            scope.spawn(|| {
                while let Some(at) = Some(next.fetch_add(1, Ordering::Relaxed))
                    && let Some(task) = tasks.get(at)
                {
                    let done = perform(*task, &cells, plan.seed);
                    *slots[at].lock().unwrap_or_else(|e| e.into_inner()) = Some(done);
                    progress(finished.fetch_add(1, Ordering::Relaxed) + 1, tasks.len());
                }
            });
        }
    });
    let mut results =
        slots.into_iter().filter_map(|slot| slot.into_inner().unwrap_or_else(|e| e.into_inner()));
    let mut report = Report::default();
    for cell in &cells {
        let mut of_cell = results.by_ref().take(task_count(cell)).collect::<Result<Vec<_>, _>>()?;
        add_rows(cell, plan, &mut of_cell, &mut report);
    }
    Ok(report)
}

fn tasks(n: usize, cell: &Cell) -> Vec<Task> {
    let bounds = [LinkKind::Unordered, LinkKind::Ordered].map(|link| Task::Bound(n, link));
    let runs = cell.variants.iter().map(|variant| Task::Run(n, *variant));
    bounds.into_iter().filter(|_| cell.bounded).chain(runs).collect()
}

fn task_count(cell: &Cell) -> usize {
    cell.variants.len() + if cell.bounded { 2 } else { 0 }
}

fn perform(task: Task, cells: &[Cell], seed: u64) -> Result<Done, SpecError> {
    match task {
        Task::Run(n, variant) => run_variant(&cells[n], variant, seed),
        Task::Bound(n, link) => bound(&cells[n], link, seed),
    }
}

fn run_variant(cell: &Cell, variant: Variant, seed: u64) -> Result<Done, SpecError> {
    let mut samples = vec![Sample::default(); cell.views.len()];
    let mut totals = Totals::default();
    for nth in 0..cell.repeats {
        let spec = cell.spec(variant, seed, nth);
        let outcome = sim::run(&spec)?;
        let is_closed = matches!(spec.load, Load::Closed { .. });
        for (view, sample) in cell.views.iter().zip(&mut samples) {
            view.measure.take(&outcome, sample);
            sample.closed = is_closed.then(|| ClosedSample::of(&outcome));
        }
        totals.issued += outcome.ops.len() as u64;
        totals.messages += outcome.messages;
        totals.records_sent += outcome.records_sent;
        totals.records_applied += outcome.records_applied;
        totals.bytes += outcome.bytes;
        totals.violations.extend(outcome.violations);
    }
    Ok(Done::Run(samples, totals))
}

fn bound(cell: &Cell, link: LinkKind, seed: u64) -> Result<Done, SpecError> {
    let spec = cell.spec(Variant { side: Side::Traft, link }, seed, 0);
    let times = sim::bound(&spec, link)?;
    let of_view = |class: u8| {
        let wanted = times.iter().zip(0..).filter(|(_, n)| spec.load.op(*n).class == class);
        let times = wanted.map(|(time, n)| time.unwrap_or(age(&spec, n))).collect();
        Bound::from(Summary::of(times))
    };
    Ok(Done::Bound(cell.views.iter().map(|view| view.measure.class().map(of_view)).collect()))
}

/// How old an operation is at the end, if nothing could have finished it.
fn age(spec: &Spec, n: usize) -> Time {
    match &spec.load {
        Load::Open { ops } => spec.until - ops[n].0,
        Load::Closed { .. } | Load::Sites { .. } => spec.until,
    }
}

fn add_rows(cell: &Cell, plan: &Plan, results: &mut Vec<Done>, report: &mut Report) {
    let runs = results.split_off(if cell.bounded { 2 } else { 0 });
    let bounds: Vec<&Vec<Option<Bound>>> = results.iter().filter_map(Done::bounds).collect();
    let heading = report.groups.last().and_then(|group| group.rows.last());
    if heading.is_none_or(|row| row.scenario != cell.scenario.name() || row.network != cell.network)
    {
        let (about, command) = (cell.about.clone(), group_command(cell, plan));
        report.groups.push(Group { about, command, rows: Vec::new() });
    }
    let Some(group) = report.groups.last_mut() else { return };
    for (n, view) in cell.views.iter().enumerate() {
        for (variant, done) in cell.variants.iter().zip(&runs) {
            let Done::Run(samples, totals) = done else { continue };
            let bound = |at: usize| bounds.get(at).and_then(|bounds| bounds[n]);
            let bounds = [bound(0), bound(1)];
            group.rows.push(row(cell, *variant, view, &samples[n], totals, bounds));
        }
    }
    for (variant, done) in cell.variants.iter().zip(&runs) {
        let Done::Run(_, totals) = done else { continue };
        let lines = totals.violations.iter();
        report.violations.extend(lines.map(|violation| {
            format!("violation: {violation}\nreplay: {}", replay(cell, plan, *variant))
        }));
    }
}

fn row(
    cell: &Cell,
    variant: Variant,
    view: &View,
    sample: &Sample,
    totals: &Totals,
    [bound, bound_ordered]: [Option<Bound>; 2],
) -> Row {
    let summary = Summary::of(sample.times.clone());
    let change = sample.change.as_ref();
    let reads = sample.closed.and_then(|closed| closed.reads);
    let writes = sample.closed.and_then(|closed| closed.writes);
    let decision = change.and_then(|c| Some((c.decided? - c.caught_up?).as_ms()));
    Row {
        scenario: cell.scenario.name(),
        network: cell.network.clone(),
        link: variant.link.name(),
        side: variant.side.name(),
        interference: cell.interference,
        param: view.param.clone(),
        mean_ms: summary.mean_ms,
        p50_ms: summary.p50_ms,
        p99_ms: summary.p99_ms,
        p999_ms: summary.p999_ms,
        max_ms: summary.max_ms,
        rtt_ms: cell.rtt.as_ms(),
        bound,
        bound_ordered,
        ops: sample.times.len() as u64,
        issued: totals.issued,
        unfinished: sample.unfinished,
        messages: totals.messages,
        records_sent: totals.records_sent,
        records_applied: totals.records_applied,
        bytes: totals.bytes,
        terms: sample.terms,
        detection_ms: sample.detection.map(Time::as_ms),
        after_detection_ms: sample.after_detection.map(Time::as_ms),
        windows: change.map(|c| c.windows.clone()),
        lowest_window: change.map(|c| c.lowest()),
        full_after_s: change.map(|c| c.full_after_s()),
        caught_up_ms: change.and_then(|c| c.caught_up).map(Time::as_ms),
        decision_ms: decision,
        complete_ms: change.and_then(|c| c.complete).map(Time::as_ms),
        everyone_ms: change.and_then(|c| c.everyone).map(Time::as_ms),
        site_mean_ms: sample.sites.as_ref().map(|sites| sites.means_ms.clone()),
        floor_ms: sample.sites.as_ref().map(|sites| sites.floor.as_ms()),
        per_second: sample.closed.map(|closed| closed.per_second),
        read_mean_ms: reads.map(|s| s.mean_ms),
        read_p99_ms: reads.map(|s| s.p99_ms),
        write_mean_ms: writes.map(|s| s.mean_ms),
        write_p99_ms: writes.map(|s| s.p99_ms),
        violations: totals.violations.len() as u64,
    }
}

impl Done {
    fn bounds(&self) -> Option<&Vec<Option<Bound>>> {
        match self {
            Done::Bound(bounds) => Some(bounds),
            Done::Run(..) => None,
        }
    }
}

/// The command that runs a variant of a cell again.
fn replay(cell: &Cell, plan: &Plan, variant: Variant) -> String {
    let mut line = command(cell, plan);
    line += &format!(" --side {} --link {}", variant.side.name(), variant.link.name());
    if let Some(percent) = cell.interference {
        line += &format!(" --interference {percent}");
    }
    line
}

/// The command that makes the rows of a cell's scenario and network again.
fn group_command(cell: &Cell, plan: &Plan) -> String {
    fn listed<T>(option: &str, items: &[T], name: impl Fn(&T) -> String) -> String {
        let names: Vec<String> = items.iter().map(name).collect();
        if names.is_empty() { String::new() } else { format!(" {option} {}", names.join(",")) }
    }
    command(cell, plan)
        + &listed("--side", &plan.sides, |side| side.name().into())
        + &listed("--link", &plan.links, |link| link.name().into())
        + &match cell.scenario.has_rates() || cell.scenario == Scenario::Trace {
            true => listed("--interference", &plan.interference, u32::to_string),
            false => String::new(),
        }
}

/// What both have in common.
fn command(cell: &Cell, plan: &Plan) -> String {
    let mut line = format!(
        "traft compare --seed {} --scenario {} {}",
        plan.seed,
        cell.scenario.name(),
        cell.place.option()
    );
    if let Some(replicas) = plan.replicas {
        line += &format!(" --replicas {replicas}");
    }
    if cell.scenario.has_depths() {
        let depths = plan.depths(cell.scenario);
        let depths: Vec<String> = depths.iter().map(usize::to_string).collect();
        line += &format!(" --depth {}", depths.join(","));
    }
    if let Some(path) = plan.trace_path.as_ref().filter(|_| cell.scenario.needs_trace()) {
        line += &format!(" --trace {}", path.display());
    }
    line + if plan.all { " --all" } else { "" }
}
