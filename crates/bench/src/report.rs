//! Measuring in turns, medians, and how a figure is printed.

use std::time::Instant;

/// One measured figure.
pub(crate) struct Figure {
    bench: &'static str,
    what: &'static str,
    unit: &'static str,
    value: f64,
    limit: Option<f64>,
    ratio: Option<f64>,
    min: f64,
    max: f64,
    runs: usize,
    goal: Goal,
}

/// What a figure should be.
#[derive(Clone, Copy)]
pub(crate) enum Goal {
    /// At most so many times its limit.
    Ratio(f64),
    /// At most this.
    Most(f64),
    /// Exactly this, in each run.
    Exactly(f64),
    /// Anything: it is there for the figures beside it.
    None,
}

impl Figure {
    /// A figure measured in turns with its limit.
    pub(crate) fn beside(
        bench: &'static str,
        what: &'static str,
        unit: &'static str,
        goal: Goal,
        pairs: &[(f64, f64)],
    ) -> Self {
        let values: Vec<f64> = pairs.iter().map(|(value, _)| *value).collect();
        let limits: Vec<f64> = pairs.iter().map(|(_, limit)| *limit).collect();
        let ratios: Vec<f64> = pairs.iter().map(|(value, limit)| value / limit).collect();
        Self {
            limit: Some(median(&limits)),
            ratio: Some(median(&ratios)),
            ..Self::alone(bench, what, unit, goal, &values)
        }
    }

    /// A figure without a limit beside it.
    pub(crate) fn alone(
        bench: &'static str,
        what: &'static str,
        unit: &'static str,
        goal: Goal,
        values: &[f64],
    ) -> Self {
        Self {
            bench,
            what,
            unit,
            value: median(values),
            limit: None,
            ratio: None,
            min: values.iter().copied().fold(f64::INFINITY, f64::min),
            max: values.iter().copied().fold(0.0, f64::max),
            runs: values.len(),
            goal,
        }
    }

    fn verdict(&self) -> (&'static str, String) {
        let (holds, goal) = match self.goal {
            Goal::Ratio(most) => (
                self.ratio.is_some_and(|ratio| ratio <= most),
                format!("≤ {most} × limit"),
            ),
            Goal::Most(most) => (self.value <= most, format!("≤ {most}")),
            Goal::None => (true, "–".into()),
            Goal::Exactly(wanted) => (
                [self.min, self.max]
                    .iter()
                    .all(|it| (it - wanted).abs() < 1e-9),
                format!("= {wanted}"),
            ),
        };
        (if holds { "yes" } else { "no" }, goal)
    }

    pub(crate) fn print_row(&self) {
        let number = |value: Option<f64>| value.map_or("–".into(), |value| format!("{value:.2}"));
        let (verdict, goal) = self.verdict();
        println!(
            "{:<4} {:<52} {:>10.2} {:>10} {:>6} {:<9} {:>14} {:<4} {:>10.2} {:>10.2} {:>5}",
            self.bench,
            self.what,
            self.value,
            number(self.limit),
            number(self.ratio),
            self.unit,
            goal,
            verdict,
            self.min,
            self.max,
            self.runs,
        );
    }

    pub(crate) fn print_json(&self) {
        let (verdict, goal) = self.verdict();
        println!(
            "{}",
            serde_json::json!({
                "bench": self.bench, "what": self.what, "value": self.value, "limit": self.limit,
                "ratio": self.ratio, "unit": self.unit, "min": self.min, "max": self.max,
                "runs": self.runs, "goal": goal, "reached": verdict == "yes",
            })
        );
    }
}

pub(crate) fn print_head() {
    println!(
        "{:<4} {:<52} {:>10} {:>10} {:>6} {:<9} {:>14} {:<4} {:>10} {:>10} {:>5}",
        "", "what", "value", "limit", "ratio", "unit", "goal", "met", "min", "max", "runs"
    );
}

/// Rounds of every micro-benchmark.
pub(crate) const ROUNDS: usize = 21;

/// Measures two things in turns, in nanoseconds an operation. The first round warms up and does not
/// count.
pub(crate) fn in_turns(
    operations: u64,
    mut value: impl FnMut(u64),
    mut limit: impl FnMut(u64),
) -> Vec<(f64, f64)> {
    let timed = |act: &mut dyn FnMut(u64)| {
        let start = Instant::now();
        act(operations);
        nanos_each(start, operations)
    };
    let mut pairs: Vec<_> = (0..=ROUNDS)
        .map(|_| (timed(&mut value), timed(&mut limit)))
        .collect();
    pairs.remove(0);
    pairs
}

#[allow(clippy::cast_precision_loss)]
pub(crate) fn nanos_each(start: Instant, operations: u64) -> f64 {
    start.elapsed().as_nanos() as f64 / operations as f64
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => sorted[count / 2],
        count => f64::midpoint(sorted[count / 2 - 1], sorted[count / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exact_goal_is_met_only_if_each_run_met_it() {
        let verdict = |values: &[f64]| {
            let goal = Goal::Exactly(1.0);
            Figure::alone("S", "requests", "requests", goal, values)
                .verdict()
                .0
        };
        assert_eq!(verdict(&[1.0, 1.0, 1.0]), "yes");
        assert_eq!(verdict(&[1.0, 1.0, 2.0]), "no");
        assert_eq!(verdict(&[0.0, 1.0, 1.0]), "no");
    }
}
