//! Metrics as they are shown: percentiles for machines, a few lines for readers.
//!
//! What they are is in [`sim::metric`]. Of operations and faults the percentiles are over all of them in all runs, of
//! balances over the runs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sim::Metrics;
use sim::metric::{Histogram, Recovery, SCALE};

use crate::text::{count, short};

/// Percentiles of many values, within one percent; the greatest one exactly. All of none are zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Percentiles<T> {
    /// How many values there are.
    pub count: u64,
    /// Half are no greater.
    pub p50: T,
    /// Nine in ten are no greater.
    pub p90: T,
    /// All but one in a hundred are no greater.
    pub p99: T,
    /// The greatest.
    pub max: T,
}

impl<T> Percentiles<T> {
    fn of(histogram: &Histogram, value: impl Fn(u64) -> T) -> Percentiles<T> {
        let at = |percent| value(histogram.percentile(percent).unwrap_or(0));
        let max = value(histogram.max().unwrap_or(0));
        Percentiles { count: histogram.count(), p50: at(50), p90: at(90), p99: at(99), max }
    }

    /// As text, in columns; `-` where there is nothing to measure.
    fn cells(&self, text: impl Fn(&T) -> String) -> [String; 4] {
        if self.count == 0 {
            return std::array::from_fn(|_| "-".to_owned());
        }
        [&self.p50, &self.p90, &self.p99, &self.max].map(text)
    }
}

/// The metrics of one run, or of several. The machine contract: fields are added, never renamed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Consistency latency; none if the system declares nothing.
    pub consistency: Option<Consistency>,
    /// Fault recovery time, by kind of fault.
    pub recovery: BTreeMap<String, Recovered>,
    /// The same over all kinds.
    pub recovery_of_all: Recovered,
    /// Load balance; none if there was no work.
    pub balance: Option<Balance>,
}

/// Consistency latency.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Consistency {
    /// In virtual nanoseconds, of operations that became visible everywhere.
    pub latency_ns: Percentiles<u64>,
    /// Operations that did not until the end of their run.
    pub never_visible: u64,
}

/// Fault recovery time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Recovered {
    /// In virtual nanoseconds, of faults after which operations completed again.
    pub time_ns: Percentiles<u64>,
    /// Faults after which none did until the end of their run.
    pub unrecovered: u64,
}

/// Load balance.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Balance {
    /// What work is: `messages`, or the names of events.
    pub work: String,
    /// Work of the busiest node by the mean.
    pub max_over_mean: Percentiles<f64>,
    /// Coefficient of variation.
    pub variation: Percentiles<f64>,
}

impl From<&Recovery> for Recovered {
    fn from(recovery: &Recovery) -> Recovered {
        Recovered { time_ns: Percentiles::of(&recovery.time_ns, |ns| ns), unrecovered: recovery.unrecovered }
    }
}

impl From<&Metrics> for Figures {
    fn from(metrics: &Metrics) -> Figures {
        let ns = |histogram: &Histogram| Percentiles::of(histogram, |ns| ns);
        let ratio = |histogram: &Histogram| Percentiles::of(histogram, |value| value as f64 / SCALE);
        let mut all = Recovery::default();
        metrics.recovery.values().for_each(|recovery| all.add(recovery));
        Figures {
            consistency: metrics
                .consistency
                .as_ref()
                .map(|seen| Consistency { latency_ns: ns(&seen.latency_ns), never_visible: seen.never }),
            recovery: metrics.recovery.iter().map(|(kind, recovery)| (kind.clone(), recovery.into())).collect(),
            recovery_of_all: (&all).into(),
            balance: metrics.balance.as_ref().map(|balance| Balance {
                work: balance.work.clone(),
                max_over_mean: ratio(&balance.max_over_mean),
                variation: ratio(&balance.variation),
            }),
        }
    }
}

/// The heads of the columns of a [`Line`]'s percentiles.
pub const COLUMNS: [&str; 4] = ["p50", "p90", "p99", "max"];

/// One metric as text.
pub struct Line {
    /// The name of the metric.
    pub name: String,
    /// The percentiles.
    pub cells: [String; 4],
    /// The number of samples, and remarks.
    pub of: String,
}

/// The number of fault kinds shown: the kinds with the longest recovery.
const SLOWEST: usize = 3;

impl Figures {
    /// A line for each metric, and none for what was not measured.
    pub fn lines(&self) -> Vec<Line> {
        let mut lines: Vec<Line> = self.consistency_line().into_iter().collect();
        if !self.recovery.is_empty() {
            let mut line = recovered("recovery", &self.recovery_of_all);
            let measured = self.recovery.iter().filter(|(_, recovered)| recovered.time_ns.count > 0);
            let mut kinds: Vec<(&String, u64)> =
                measured.map(|(kind, recovered)| (kind, recovered.time_ns.p99)).collect();
            kinds.sort_by_key(|(_, p99)| std::cmp::Reverse(*p99));
            if kinds.len() > 1 {
                let slowest = kinds.iter().take(SLOWEST).map(|(kind, p99)| format!("{kind} {}", short(*p99)));
                line.of += &format!("; p99 of {}", slowest.collect::<Vec<_>>().join(", "));
            }
            lines.push(line);
        }
        lines.extend(self.balance_lines().map(|[mut spread, variation]| {
            let [_, _, p99, _] = variation.cells;
            spread.of += &format!("; variation p99 {p99}");
            spread
        }));
        lines
    }

    /// As [`Figures::lines`], with a line for each kind of fault.
    pub fn all_lines(&self) -> Vec<Line> {
        let mut lines: Vec<Line> = self.consistency_line().into_iter().collect();
        if !self.recovery.is_empty() {
            lines.push(recovered("recovery", &self.recovery_of_all));
        }
        lines.extend(self.recovery.iter().map(|(kind, of)| recovered(&format!("recovery from {kind}"), of)));
        lines.extend(self.balance_lines().into_iter().flatten());
        lines
    }

    fn consistency_line(&self) -> Option<Line> {
        let Consistency { latency_ns, never_visible } = self.consistency.as_ref()?;
        let mut of = count(latency_ns.count, "operation");
        if *never_visible > 0 {
            of += &format!(", {never_visible} more never visible");
        }
        Some(line("consistency", latency_ns.cells(|ns| short(*ns)), of))
    }

    fn balance_lines(&self) -> Option<[Line; 2]> {
        let Balance { work, max_over_mean, variation } = self.balance.as_ref()?;
        let cells = |ratio: &Percentiles<f64>| ratio.cells(|value| format!("{value:.2}"));
        let of = format!("{}; work is {work}", count(max_over_mean.count, "run"));
        Some([line("max/mean", cells(max_over_mean), of), line("variation", cells(variation), String::new())])
    }
}

fn recovered(name: &str, Recovered { time_ns, unrecovered }: &Recovered) -> Line {
    let mut of = count(time_ns.count, "fault");
    if *unrecovered > 0 {
        of += &format!(", {unrecovered} more unrecovered");
    }
    line(name, time_ns.cells(|ns| short(*ns)), of)
}

fn line(name: &str, cells: [String; 4], of: String) -> Line {
    Line { name: name.to_owned(), cells, of }
}

/// Lines in columns, each group under its title, if it has one.
pub fn table<'a>(groups: impl IntoIterator<Item = (&'a str, Vec<Line>)>) -> String {
    let mut text = String::new();
    for (title, lines) in groups {
        if !title.is_empty() && !lines.is_empty() {
            text += &format!("  {title}\n");
        }
        let indent = if title.is_empty() { 2 } else { 4 };
        for Line { name, cells: [p50, p90, p99, max], of } in lines {
            let name = format!("{:indent$}{name}", "");
            let row = format!("{name:<16}{p50:>8}{p90:>9}{p99:>9}{max:>9}  {of}");
            text += &format!("{}\n", row.trim_end());
        }
    }
    text
}

/// The heads of the columns of a [`table`], after its title.
pub fn head(title: &str) -> String {
    let [p50, p90, p99, max] = COLUMNS;
    format!("{title:<16}{p50:>8}{p90:>9}{p99:>9}{max:>9}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(values: impl IntoIterator<Item = u64>) -> Histogram {
        let mut histogram = Histogram::default();
        values.into_iter().for_each(|value| histogram.record(value));
        histogram
    }

    fn metrics() -> Metrics {
        let recovery = |ns, unrecovered| Recovery { time_ns: histogram([ns]), unrecovered };
        Metrics {
            consistency: Some(sim::metric::Visibility {
                latency_ns: histogram((1..=100).map(|ms| ms * 1_000_000)),
                never: 2,
            }),
            recovery: BTreeMap::from([
                ("crash".to_owned(), recovery(70_000_000, 1)),
                ("pause".to_owned(), recovery(2_500, 0)),
            ]),
            balance: Some(sim::metric::Balance {
                work: "messages".to_owned(),
                max_over_mean: histogram([1_500_000]),
                variation: histogram([0]),
            }),
        }
    }

    #[test]
    fn a_reader_gets_a_few_lines() {
        let figures = Figures::from(&metrics());
        insta::assert_snapshot!(format!("{}\n{}", head("metrics"), table([("kv", figures.lines())])));
        let names: Vec<String> = figures.all_lines().into_iter().map(|line| line.name).collect();
        let expected =
            ["consistency", "recovery", "recovery from crash", "recovery from pause", "max/mean", "variation"];
        assert_eq!(names, expected);
    }

    #[test]
    fn where_nothing_recovered_there_is_no_time() {
        let never = Recovery { time_ns: Histogram::default(), unrecovered: 3 };
        let mut metrics = metrics();
        metrics.recovery.insert("wipe".to_owned(), never.clone());
        let lines = Figures::from(&metrics).all_lines();
        let of_wipe = lines.iter().find(|line| line.name == "recovery from wipe").unwrap();
        assert_eq!(of_wipe.cells, ["-"; 4]);
        assert_eq!(of_wipe.of, "0 faults, 3 more unrecovered");
        assert!(!Figures::from(&metrics).lines()[1].of.contains("wipe"), "it has no p99");
        let only = Metrics { recovery: BTreeMap::from([("wipe".to_owned(), never)]), ..Metrics::default() };
        assert_eq!(Figures::from(&only).lines()[0].cells, ["-"; 4]);
    }

    #[test]
    fn what_was_not_measured_has_no_line() {
        let figures = Figures::from(&Metrics::default());
        assert!(figures.lines().is_empty() && figures.all_lines().is_empty());
        assert_eq!(table([("kv", figures.lines())]), "");
    }

    #[test]
    fn a_machine_gets_numbers() {
        let json = serde_json::to_value(Figures::from(&metrics())).unwrap();
        assert_eq!(json["consistency"]["latency_ns"]["count"], 100);
        assert_eq!(json["consistency"]["never_visible"], 2);
        assert_eq!(json["recovery"]["crash"]["time_ns"]["max"], 70_000_000);
        assert_eq!(json["recovery"]["crash"]["unrecovered"], 1);
        assert_eq!(json["recovery_of_all"]["time_ns"]["count"], 2);
        assert_eq!(json["balance"]["max_over_mean"]["p50"], 1.5);
    }
}
