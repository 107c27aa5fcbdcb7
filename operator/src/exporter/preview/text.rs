//! The plan for people: aligned tables, and nothing that needs no attention.

use std::fmt::Write as _;

use super::report::{Report, Requests, TargetReport, Trouble};
use crate::api::Reason;

/// Writes the plan.
pub fn render(report: &Report) -> String {
    let mut out = String::new();
    let _ = writeln!(
        out,
        "Stack {}, polled every {}, looked up every {}",
        report.stack, report.interval, report.discovery_interval
    );
    if report.suspended {
        out.push_str(
            "spec.suspend is true: nothing is polled or charged until it is false again.\n",
        );
    }
    out.push('\n');
    inventory(&mut out, report);
    prices(&mut out, report);
    requests(&mut out, report);
    findings(&mut out, report);
    out
}

fn inventory(out: &mut String, report: &Report) {
    let mut table = Table::new(
        &[
            "ACCOUNT",
            "REGION",
            "SERVICE",
            "FOUND",
            "SERIES",
            "USD/MONTH",
        ],
        4,
    );
    for target in &report.targets {
        for (name, service) in &target.services {
            let kinds: Vec<_> = service
                .kinds
                .iter()
                .map(|(kind, count)| counted(*count, kind))
                .collect();
            let kinds = if kinds.is_empty() {
                "nothing".to_owned()
            } else {
                kinds.join(", ")
            };
            table.row([
                account(target).to_owned(),
                target.region.clone(),
                (*name).to_owned(),
                kinds,
                number(service.series),
                dollars(service.usd_per_month),
            ]);
        }
        if target.services.is_empty() {
            let failed = "could not be looked at, see below".to_owned();
            table.row([
                account(target).to_owned(),
                target.region.clone(),
                "-".to_owned(),
                failed,
                "-".to_owned(),
                "-".to_owned(),
            ]);
        }
    }
    let usd = report.intervals.iter().find(|rate| rate.current);
    table.row([
        "all".to_owned(),
        String::new(),
        String::new(),
        counted(report.resources, "resource"),
        number(report.series),
        dollars(usd.map_or(0.0, |rate| rate.usd_per_month)),
    ]);
    table.write(out);
    out.push('\n');
}

fn prices(out: &mut String, report: &Report) {
    out.push_str(
        "What CloudWatch charges for 30 days, at this interval and at others, when everything is in use and nothing\n\
         fails, and at most, when everything fails all the time. Idle resources cost less:\n\n",
    );
    let head = [
        "INTERVAL",
        "CALLS/POLL",
        "METRICS/POLL",
        "CALLS/MONTH",
        "METRICS/MONTH",
        "USD/MONTH",
        "AT MOST",
    ];
    let mut table = Table::new(&head, 1);
    for rate in &report.intervals {
        let now = if rate.current { " (now)" } else { "" };
        table.row([
            format!("{}{now}", rate.interval),
            number(rate.calls_per_poll),
            number(rate.metrics_per_poll),
            number(rate.calls_per_month),
            number(rate.metrics_per_month),
            dollars(rate.usd_per_month),
            dollars(rate.most_usd_per_month),
        ]);
    }
    table.write(out);
    out.push('\n');
}

fn requests(out: &mut String, report: &Report) {
    out.push_str("Requests to AWS, beside the quota that everybody in the account shares:\n\n");
    let head = [
        "ACCOUNT",
        "REGION",
        "API",
        "AT ONCE",
        "AVERAGE/S",
        "AT MOST/S",
        "QUOTA/S",
    ];
    let mut table = Table::new(&head, 3);
    for target in &report.targets {
        for Requests {
            action,
            per_round,
            per_second,
            most_per_second,
            quota_per_second,
        } in &target.requests
        {
            table.row([
                account(target).to_owned(),
                target.region.clone(),
                (*action).to_owned(),
                number(*per_round),
                format!("{per_second:.3}"),
                most_per_second.to_string(),
                quota_per_second.map_or_else(|| "-".to_owned(), |quota| quota.to_string()),
            ]);
        }
    }
    table.write(out);
    out.push('\n');
}

fn findings(out: &mut String, report: &Report) {
    for target in &report.targets {
        let told = |action| report.missing.iter().any(|m| m.actions.contains(&action));
        let is_news = |t: &&Trouble| t.reason != Reason::AccessDenied || !told(t.action);
        for trouble in target.problems.iter().filter(is_news) {
            let _ = writeln!(
                out,
                "{}: account {}, {}: {}",
                trouble.reason,
                account(target),
                target.region,
                trouble.message
            );
        }
        for permission in target.permissions.iter().filter(|p| p.allowed.is_none()) {
            let _ = writeln!(
                out,
                "not checked: account {}, {}: whether {} is allowed ({})",
                account(target),
                target.region,
                permission.action,
                permission.purpose
            );
        }
    }
    if report.series > report.max_series {
        let _ = writeln!(
            out,
            "SeriesCapped: {} of these series are left out: spec.collection.maxSeries is {}",
            number(report.series - report.max_series),
            number(report.max_series)
        );
    }
    for missing in &report.missing {
        let _ = writeln!(
            out,
            "\nMissing: {}\nAllow it to {}:\n\n{:#}",
            missing.actions.join(", "),
            missing.identity,
            missing.policy
        );
    }
    if report.complete() {
        out.push_str("Nothing is missing: every action that this stack needs is allowed.\n");
    } else if report.resources == 0 {
        out.push_str("\nNothingSelected: no resource was found that spec.select names.\n");
    }
}

fn account(target: &TargetReport) -> &str {
    target
        .account_id
        .as_deref()
        .or_else(|| target.role_arn.as_deref()?.split(':').nth(4))
        .unwrap_or("?")
}

fn counted(count: u64, what: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{} {what}{s}", number(count))
}

/// Digits in groups of three.
fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn dollars(dollars: f64) -> String {
    if dollars > 0.0 && dollars < 0.01 {
        return "< 0.01".to_owned();
    }
    format!("{dollars:.2}")
}

/// Rows under a head; numbers, from a column on, to the right.
struct Table {
    rows: Vec<Vec<String>>,
    numbers_from: usize,
}

impl Table {
    fn new(head: &[&str], numbers_from: usize) -> Self {
        Self {
            rows: vec![head.iter().map(|cell| (*cell).to_owned()).collect()],
            numbers_from,
        }
    }

    fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.into());
    }

    fn write(&self, out: &mut String) {
        let columns = self.rows.first().map_or(0, Vec::len);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<_> = (0..columns).map(width).collect();
        for row in &self.rows {
            let mut line = String::new();
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                let _ = if column >= self.numbers_from {
                    write!(line, "{cell:>width$}  ")
                } else {
                    write!(line, "{cell:<width$}  ")
                };
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_in_groups_and_stand_under_each_other() {
        let mut table = Table::new(&["WHAT", "NUMBER"], 1);
        table.row(["one".to_owned(), number(1)]);
        table.row(["a million".to_owned(), number(1_000_000)]);
        let mut out = String::new();
        table.write(&mut out);
        assert_eq!(
            out,
            "WHAT          NUMBER\none                1\na million  1,000,000\n"
        );
    }

    #[test]
    fn what_costs_less_than_a_cent_does_not_cost_nothing() {
        assert_eq!(
            [0.0, 0.004, 12.345].map(dollars),
            ["0.00", "< 0.01", "12.35"]
        );
    }
}
