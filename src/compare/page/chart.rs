//! Curves of what a group varies: the percentage that interferes, a number in `param`, or time.

use super::super::report::figure;
use super::super::row::Row;
use super::super::work::Group;
use super::escaped;
use std::collections::BTreeSet;
use std::fmt::Write;

/// In pixels: the picture, and the room for names on each side of it.
const SIZE: (f64, f64) = (720.0, 260.0);
const LEFT: f64 = 56.0;
const RIGHT: f64 = 150.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 34.0;

/// Beyond this ratio of its ends an axis is logarithmic.
const LOG_FROM: f64 = 30.0;

/// So many values have room for a tick each.
const VALUES_MAX: usize = 10;

/// Fewer points than this are no curve.
const POINTS_MIN: usize = 3;

/// The points of one side on one link.
struct Curve {
    side: &'static str,
    link: &'static str,
    points: Vec<(f64, f64)>,
}

/// An axis from 0, or logarithmic.
struct Axis {
    low: f64,
    high: f64,
    log: bool,
}

impl Axis {
    fn of(values: impl Iterator<Item = f64> + Clone) -> Axis {
        let high = values.clone().fold(0.0, f64::max);
        let least = values.filter(|v| *v > 0.0).fold(f64::MAX, f64::min);
        let log = high / least > LOG_FROM;
        let high = if high > 0.0 { high } else { 1.0 };
        Axis { low: if log { least } else { 0.0 }, high, log }
    }

    /// From 0 to 1.
    fn share(&self, value: f64) -> f64 {
        let share = if self.log {
            (value.max(self.low) / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        share.clamp(0.0, 1.0)
    }

    fn ticks(&self) -> Vec<f64> {
        if self.log {
            let from = self.low.log10().ceil() as i32;
            let to = self.high.log10().floor() as i32;
            let ticks: Vec<f64> = (from..=to).map(|power| 10_f64.powi(power)).collect();
            if ticks.len() > 1 { ticks } else { vec![self.low, self.high] }
        } else {
            (0..=4).map(|n| self.low + (self.high - self.low) * f64::from(n) / 4.0).collect()
        }
    }
}

/// Where an axis has ticks: a logarithmic one of few values at those, else as [`Axis::ticks`].
fn ticks(axis: &Axis, mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values.dedup();
    if axis.log && values.len() <= VALUES_MAX { values } else { axis.ticks() }
}

/// The curves of a group, if it varies something often enough.
pub(super) fn of(text: &mut String, group: &Group) {
    let seconds = |row: &Row| {
        let windows = row.windows.iter().flatten();
        windows.enumerate().map(|(second, percent)| (second as f64, *percent)).collect()
    };
    draw(text, &curves(&group.rows, seconds), "second", "answered, % of what was asked for");
    let rate = |row: &Row| {
        let alone = row.interference.filter(|_| row.param.is_none());
        alone.map(|percent| (f64::from(percent), row.p99_ms)).into_iter().collect()
    };
    draw(text, &curves(&group.rows, rate), "% of the commands interfere", "p99, ms");
    for name in group.rows.iter().filter_map(|row| Some(number(row)?.0)).collect::<BTreeSet<_>>() {
        let mut plot = |up: &str, of: fn(&Row) -> Option<f64>| {
            let point = |row: &Row| {
                let of_name = number(row).filter(|(n, _)| *n == name);
                of_name.and_then(|(_, value)| Some((value, of(row)?))).into_iter().collect()
            };
            draw(text, &curves(&group.rows, point), name, up);
        };
        plot("answered a second", |row| row.per_second);
        plot("mean, ms", |row| Some(row.mean_ms));
        plot("p99, ms", |row| row.per_second.map(|_| row.p99_ms));
    }
}

/// What `param` says if that is one name and a number.
fn number(row: &Row) -> Option<(&str, f64)> {
    let (name, value) = row.param.as_deref()?.split_once('=')?;
    Some((name, value.parse().ok()?))
}

fn curves(rows: &[Row], points: impl Fn(&Row) -> Vec<(f64, f64)>) -> Vec<Curve> {
    let mut curves: Vec<Curve> = Vec::new();
    for row in rows {
        let new = points(row);
        let at = curves.iter().position(|c| (c.side, c.link) == (row.side, row.link));
        let at = at.unwrap_or_else(|| {
            curves.push(Curve { side: row.side, link: row.link, points: Vec::new() });
            curves.len() - 1
        });
        curves[at].points.extend(new);
    }
    curves.retain(|curve| curve.points.len() >= POINTS_MIN);
    curves
}

fn draw(text: &mut String, curves: &[Curve], across: &str, up: &str) {
    if curves.is_empty() {
        return;
    }
    let points = || curves.iter().flat_map(|curve| curve.points.iter().copied());
    let (x_axis, y_axis) = (Axis::of(points().map(|p| p.0)), Axis::of(points().map(|p| p.1)));
    let x = |value: f64| LEFT + x_axis.share(value) * (SIZE.0 - LEFT - RIGHT);
    let y = |value: f64| SIZE.1 - BOTTOM - y_axis.share(value) * (SIZE.1 - TOP - BOTTOM);
    let (across, up) = (escaped(across), escaped(up));
    let _ = writeln!(
        text,
        "<figure><svg width=\"{}\" height=\"{}\" role=\"img\" aria-label=\"{up} by {across}\">",
        SIZE.0, SIZE.1
    );
    for tick in y_axis.ticks() {
        let (at, end) = (y(tick), SIZE.0 - RIGHT);
        let _ = writeln!(
            text,
            "<line class=\"grid\" x1=\"{LEFT}\" y1=\"{at:.1}\" x2=\"{end}\" y2=\"{at:.1}\"/>\
             <text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 6.0,
            at + 4.0,
            figure(tick)
        );
    }
    for tick in ticks(&x_axis, points().map(|p| p.0).filter(|value| *value > 0.0).collect()) {
        let label = if tick.fract() == 0.0 { tick.to_string() } else { figure(tick) };
        let _ = writeln!(
            text,
            "<text x=\"{:.1}\" y=\"{:.0}\" text-anchor=\"middle\">{label}</text>",
            x(tick),
            SIZE.1 - BOTTOM + 16.0
        );
    }
    let mut taken: Vec<f64> = Vec::new();
    for Curve { side, link, points } in curves {
        let line: Vec<String> =
            points.iter().map(|(a, b)| format!("{:.1},{:.1}", x(*a), y(*b))).collect();
        let _ = writeln!(text, "<polyline class=\"{side} {link}\" points=\"{}\"/>", line.join(" "));
        // A name beside the end of its curve, below those that are there already.
        let mut at = points.last().map_or(TOP, |(_, value)| y(*value)) + 4.0;
        while taken.iter().any(|other| (other - at).abs() < 13.0) {
            at += 13.0;
        }
        taken.push(at);
        let end = SIZE.0 - RIGHT + 6.0;
        let _ =
            writeln!(text, "<text class=\"{side}\" x=\"{end}\" y=\"{at:.1}\">{side} {link}</text>");
    }
    let _ = writeln!(text, "</svg><figcaption>{up}, by {across}</figcaption></figure>");
}

#[cfg(test)]
mod tests {
    use super::super::super::report::tests::{report, row};
    use super::*;

    #[test]
    fn an_axis_is_logarithmic_when_its_ends_are_far_apart() {
        let axis = Axis::of([10.0, 1_000.0].into_iter());
        assert_eq!((axis.share(10.0), axis.share(100.0), axis.share(1_000.0)), (0.0, 0.5, 1.0));
        assert_eq!(axis.ticks(), [10.0, 100.0, 1_000.0]);
        let axis = Axis::of([0.0, 20.0].into_iter());
        assert_eq!((axis.share(0.0), axis.share(5.0), axis.ticks()[1]), (0.0, 0.25, 5.0));
        assert_eq!(Axis::of([0.0].into_iter()).share(0.0), 0.0);
    }

    #[test]
    fn three_rates_are_a_curve_and_two_are_not() {
        let rows = |percents: &[u32]| {
            let mut rows = Vec::new();
            for percent in percents {
                let mut one = row("traft", "unordered", 0.5, f64::from(percent + 1));
                one.interference = Some(*percent);
                rows.push(one);
            }
            report(rows)
        };
        let mut text = String::new();
        of(&mut text, &rows(&[0, 2]).groups[0]);
        assert_eq!(text, "");
        of(&mut text, &rows(&[0, 2, 10]).groups[0]);
        assert_eq!(text.matches("<polyline").count(), 1, "{text}");
        assert!(text.contains("p99, ms, by % of the commands interfere"), "{text}");
    }

    #[test]
    fn what_param_varies_is_a_curve_by_its_name() {
        let mut rows = Vec::new();
        for gap in [1_000, 10_000, 100_000] {
            let mut one = row("raft", "ordered", 0.5, 1.0);
            one.param = Some(format!("gap={gap}"));
            rows.push(one);
        }
        let mut text = String::new();
        of(&mut text, &report(rows).groups[0]);
        assert!(text.contains("mean, ms, by gap"), "{text}");
        assert_eq!(text.matches("<figure>").count(), 1, "nothing was answered in a loop");
    }

    #[test]
    fn a_closed_loop_has_its_rate_its_mean_and_its_p99_by_depth() {
        let rows = |side| {
            [1_u32, 2, 4, 128].map(|depth| {
                let mut one = row(side, "unordered", 0.5, 2.0);
                one.param = Some(format!("depth={depth}"));
                one.per_second = Some(f64::from(depth) * 1_500.0);
                one
            })
        };
        let mut text = String::new();
        of(&mut text, &report([rows("traft"), rows("raft")].concat()).groups[0]);
        for up in ["answered a second", "mean, ms", "p99, ms"] {
            assert!(text.contains(&format!("{up}, by depth")), "{text}");
        }
        assert_eq!(text.matches("<polyline").count(), 3 * 2, "{text}");
        for tick in [1, 2, 4, 128] {
            assert!(text.contains(&format!("text-anchor=\"middle\">{tick}</text>")), "{tick}");
        }
    }
}
