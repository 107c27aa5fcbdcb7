//! Compares what an exporter says with what the simulator knows, scrape by scrape.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use nightjar_tests::http;
use nightjar_tests::samples::Series;
use nightjar_tests::simulator::Simulator;
use nightjar_tests::truth::{same, source};

use crate::harness::{DEADLINE, Exporter, KEYS, simulator, stack};

/// A small account without any lateness beyond the usual minutes.
pub const ACCOUNT: &str = r#"
seed: 7
accounts:
  - id: "111122223333"
    regions:
      eu-west-1:
        lateness:
          lambda: {settle: 3m, aggregate_lag: 30s}
          dynamodb: {settle: 3m}
          apigateway: {settle: 2m}
        functions:
          - {name: shop-busy, traffic: {steady: {per_minute: 400}}, timeout: 10s, errors: 0.05, throttles: 0.02, duration: {p50_ms: 33.3}, calls: [{table: shop-orders, operation: PutItem}, {function: shop-called, waits: true}]}
          - {name: shop-called, timeout: 1m, timeouts: 0.05, duration: {p50_ms: 250.7}}
          - {name: shop-idle, traffic: {idle: {per_day: 4}}, duration: {p50_ms: 12}}
          - {name: other, traffic: {steady: {per_minute: 50}}, duration: {p50_ms: 12}}
        tables:
          - {name: shop-orders, traffic: {GetItem: {steady: {per_minute: 100}}}, latency: {p50_ms: 3.1}, throttles: 0.02, errors: 0.01}
        rest_apis:
          - {name: shop-api, id: aaaaaaaaaa, stages: [{name: prod, traffic: {steady: {per_minute: 200}}, latency: {p50_ms: 40}, errors_4xx: 0.1, errors_5xx: 0.02}]}
        http_apis:
          - {name: shop-front, id: bbbbbbbbbb, stages: [{name: $default, traffic: {steady: {per_minute: 300}}, latency: {p50_ms: 20}, errors_4xx: 0.1, errors_5xx: 0.02}]}
"#;

/// All of the account but one function, with one poll a minute.
pub const STACK: &str = "regions: [eu-west-1]\nselect: [{names: [\"shop-*\"]}]\ncollection: {interval: 1m, discoveryInterval: 2m}";

/// The account has requests only within these minutes, in seconds since 1970.
pub async fn open(simulator: &Simulator, from: i64, until: i64) {
    let body = serde_json::json!({"from": from, "until": until}).to_string();
    http::request("PUT", &format!("{}/hours", simulator.url()), &[], body)
        .await
        .unwrap();
}

/// An exporter whose counters were all scraped before the account's first request.
pub async fn seen_while_closed() -> (Simulator, Exporter) {
    closed(simulator(ACCOUNT).await).await
}

/// The same with a simulator of one's own.
pub async fn closed(simulator: Simulator) -> (Simulator, Exporter) {
    let dir = tempfile::tempdir().unwrap();
    let exporter = closed_as(dir, &simulator, &stack(STACK), &KEYS).await;
    (simulator, exporter)
}

/// The same with a stack and an environment of one's own.
pub async fn closed_as(
    dir: tempfile::TempDir,
    simulator: &Simulator,
    stack: &str,
    environment: &[(&str, &str)],
) -> Exporter {
    open(simulator, 0, 0).await;
    let exporter = Exporter::start_as(dir, simulator, stack, environment).await;
    exporter.until_polled().await;
    exporter.scrape().await;
    exporter
}

/// The next whole minute, in seconds since 1970.
pub fn next_minute(simulator: &Simulator) -> i64 {
    (simulator.now_ms() / 60_000 + 1) * 60
}

/// Up to when counters are final, by service.
pub fn through(samples: &BTreeMap<Series, f64>) -> BTreeMap<String, i64> {
    samples
        .iter()
        .filter(|(series, _)| series.name == "nightjar_exporter_counted_through_timestamp_seconds")
        .map(|(series, at)| (series.label("aws_service").to_owned(), *at as i64))
        .collect()
}

/// What AWS finally counts of each counter in a window, in seconds since 1970.
pub async fn totals(
    simulator: &Simulator,
    samples: &BTreeMap<Series, f64>,
    from: i64,
    to: i64,
) -> BTreeMap<Series, f64> {
    let mut totals = BTreeMap::new();
    for series in samples.keys() {
        if let Some(source) = source(series) {
            let total = source.total(&simulator.url(), series, from, to).await;
            totals.insert(series.clone(), total.unwrap().value);
        }
    }
    totals
}

/// Watches the counters of a time in which an account is open.
pub struct Follower<'a> {
    simulator: &'a Simulator,
    opened: i64,
    end: i64,
    before: BTreeMap<Series, f64>,
    /// How often the exporter had been started when it was last scraped.
    starts: u32,
    /// Nothing comes later than the minutes that are waited for: what is called final is final.
    pub punctual: bool,
    /// AWS may show of a few minutes a twentieth too much, or one event, and take it back later.
    pub overstated: bool,
}

/// What a comparison came to.
pub struct Compared {
    /// Everything is final.
    pub finished: bool,
    /// Counters that were compared.
    pub counters: usize,
    /// Those among them that moved at all.
    pub moved: usize,
}

impl<'a> Follower<'a> {
    /// For an account that is open between two moments, in seconds since 1970.
    pub fn new(simulator: &'a Simulator, opened: i64, end: i64) -> Self {
        Self {
            simulator,
            opened,
            end,
            before: BTreeMap::new(),
            starts: 0,
            punctual: true,
            overstated: false,
        }
    }

    /// The newest sample of each series.
    pub const fn last(&self) -> &BTreeMap<Series, f64> {
        &self.before
    }

    /// Closes the account at another time than was said.
    pub async fn close(&mut self, end: i64) {
        self.end = end;
        open(self.simulator, self.opened, end).await;
    }

    /// Checks that no counter is gone. One that was just started has none before it read its books.
    fn check_presence(&mut self, exporter: &Exporter, samples: &BTreeMap<Series, f64>) {
        let counts = |series: &&Series| source(series).is_some();
        let none = !samples.keys().any(|series| counts(&series));
        if none && exporter.starts != self.starts {
            return;
        }
        self.starts = exporter.starts;
        let gone: Vec<_> = self
            .before
            .keys()
            .filter(|series| counts(series) && !samples.contains_key(series))
            .collect();
        assert!(gone.is_empty(), "gone: {gone:#?}\n{}", exporter.log());
    }

    /// Scrapes once, and checks that no counter is gone or decreased and that each holds no less than what
    /// is final and no more than what there is; when all is final, that each is equal.
    pub async fn compare(&mut self, exporter: &Exporter) -> Compared {
        let samples = exporter.scrape().await;
        self.check_presence(exporter, &samples);
        let url = self.simulator.url();
        let now = self.simulator.now_ms() / 60_000 * 60 + 60;
        let through = through(&samples);
        let finished = !through.is_empty() && through.values().all(|at| *at >= self.end);
        let minutes = (self.end - self.opened) / 60;
        let (mut counters, mut moved) = (0, 0);
        for (series, counted) in &samples {
            let Some(source) = source(series) else {
                continue;
            };
            if let Some(last) = self.before.get(series) {
                assert!(counted >= last, "{series:?} fell from {last} to {counted}");
            }
            let counted_through = through[source.service].min(self.end);
            let total = async |to: i64| source.total(&url, series, self.opened, to).await.unwrap();
            let (least, most) = (total(counted_through).await, total(now.min(self.end)).await);
            let bounds = format!(
                "{series:?}: {} <= {counted} <= {} through {counted_through}",
                least.value, most.value
            );
            if self.punctual {
                assert!(
                    least.settled,
                    "AWS still changes what is called final: {bounds}"
                );
                assert!(
                    *counted >= least.value || same(series, *counted, least.value, minutes),
                    "{bounds}\n{}",
                    exporter.log()
                );
            }
            // By a twentieth, and at least by one, in a fifth of the minutes.
            let allowed = if self.overstated {
                most.value * 1.05 + 15.0
            } else {
                most.value
            };
            assert!(
                *counted <= allowed || same(series, *counted, allowed, minutes),
                "{bounds}\n{}",
                exporter.log()
            );
            if finished && self.punctual {
                assert!(
                    same(series, *counted, most.value, minutes),
                    "in the end, {bounds}\n{}",
                    exporter.log()
                );
            }
            counters += 1;
            moved += usize::from(most.value > 0.0);
        }
        self.before.extend(samples);
        Compared {
            finished,
            counters,
            moved,
        }
    }

    /// Compares until everything up to the end is final. Answers how many counters there are, and
    /// how many of them moved.
    pub async fn until_final(&mut self, exporter: &Exporter) -> (usize, usize) {
        let begun = Instant::now();
        loop {
            assert!(
                begun.elapsed() < DEADLINE,
                "nothing is final through {}\n{}",
                self.end,
                exporter.log()
            );
            let compared = self.compare(exporter).await;
            if compared.finished {
                return (compared.counters, compared.moved);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Compares until every counter is what the simulator finally counted.
    pub async fn until_equal(&mut self, exporter: &Exporter) -> usize {
        let begun = Instant::now();
        let minutes = (self.end - self.opened) / 60;
        loop {
            let compared = self.compare(exporter).await;
            let truth = totals(self.simulator, &self.before, self.opened, self.end).await;
            let differing: Vec<_> = truth
                .iter()
                .map(|(series, total)| (series, self.before[series], *total))
                .filter(|(series, counted, total)| !same(series, *counted, *total, minutes))
                .map(|(series, counted, total)| format!("{series:?}: {counted} is not {total}"))
                .collect();
            if differing.is_empty() && compared.finished {
                return compared.moved;
            }
            assert!(
                begun.elapsed() < DEADLINE,
                "these stay different: {differing:#?}\n{}",
                exporter.log()
            );
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}
