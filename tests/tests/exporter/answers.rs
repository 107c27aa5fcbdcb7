//! Every way in which an answer of CloudWatch can be wrong: it is told, it costs no flood of requests, and when it is
//! over no minute was lost or counted twice.

use std::time::Duration;

use nightjar_tests::samples::Series;
use nightjar_tests::simulator::Simulator;
use nightjar_tests::simulator::faults::{Effect, Fault};

use crate::follow::{Follower, next_minute, open, seen_while_closed};
use crate::harness::Exporter;

/// What goes wrong with all answers of `GetMetricData`, and the reason that is told; none where the answer can be used.
fn transport() -> Vec<(Effect, Option<&'static str>)> {
    let refuse = |status, code: &str| Effect::Refuse {
        status,
        code: code.to_owned(),
    };
    vec![
        (refuse(503, "RequestLimitExceeded"), Some("Throttled")),
        (refuse(429, "TooManyRequestsException"), Some("Throttled")),
        (Effect::Error { status: 500 }, Some("ServerError")),
        (Effect::Html { status: 502 }, Some("InvalidAnswer")),
        (Effect::Html { status: 200 }, Some("InvalidAnswer")),
        (Effect::ErrorIn200, Some("InvalidAnswer")),
        (Effect::Huge { megabytes: 100 }, Some("InvalidAnswer")),
        (
            refuse(403, "RequestTimeTooSkewed"),
            Some("CredentialsInvalid"),
        ),
        (
            refuse(403, "SignatureDoesNotMatch"),
            Some("CredentialsInvalid"),
        ),
        (Effect::ExpiredToken, Some("CredentialsInvalid")),
        (Effect::GzipLie, None),
        (Effect::Drip { seconds: 0.5 }, None),
        // A poll takes longer than the interval.
        (Effect::Stall { seconds: 1.5 }, None),
    ]
}

fn contents() -> Vec<(Effect, Option<&'static str>)> {
    vec![
        (Effect::Forbidden { every: 3 }, Some("AccessDenied")),
        (Effect::TokenLoop, Some("InvalidAnswer")),
        (Effect::DropResults { every: 3 }, Some("InvalidAnswer")),
        (Effect::DoubleResults, Some("InvalidAnswer")),
        (Effect::Ragged, Some("InvalidAnswer")),
        (Effect::InternalError, Some("ServerError")),
        (Effect::Messages, None),
        (Effect::EmptyPage, None),
        (Effect::Shuffle, None),
        (Effect::UnknownResults, None),
        (Effect::Absurd, None),
    ]
}

/// Requests of the polls, and the simulated minutes in which they were sent.
struct Work<'a> {
    simulator: &'a Simulator,
    since: i64,
}

impl<'a> Work<'a> {
    fn begin(simulator: &'a Simulator) -> Self {
        simulator.reset_meter();
        let since = simulator.now_ms();
        Self { simulator, since }
    }

    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    fn done(&self) -> (f64, f64) {
        let meter = self.simulator.meter();
        let polls = meter.iter().filter(|r| r.api == "cloudwatch:GetMetricData");
        let requests: u64 = polls.map(|reading| reading.requests).sum();
        let minutes = (self.simulator.now_ms() - self.since) as f64 / 60_000.0;
        (requests as f64, minutes)
    }
}

fn open_files(exporter: &Exporter) -> usize {
    let files = format!("/proc/{}/fd", exporter.pid());
    std::fs::read_dir(files).unwrap().count()
}

/// Three minutes of the simulated time have passed, and everything was polled since.
async fn until_three_minutes_on(simulator: &Simulator, exporter: &Exporter) {
    let since = simulator.now_ms() / 1000;
    exporter
        .until("it polls", async |e| {
            let status = e.status().await;
            let services = status["targets"][0]["services"].as_object().unwrap();
            services
                .values()
                .all(|service| service["lastPoll"].as_i64().unwrap() > since + 180)
        })
        .await;
}

async fn suffer(effects: Vec<(Effect, Option<&'static str>)>) {
    let absurd = effects.iter().any(|(effect, _)| *effect == Effect::Absurd);
    let (simulator, exporter) = seen_while_closed().await;
    let work = Work::begin(&simulator);
    until_three_minutes_on(&simulator, &exporter).await;
    let (requests, minutes) = work.done();
    let usual = requests / minutes;
    let files = open_files(&exporter);
    let opened = next_minute(&simulator);
    open(&simulator, opened, i64::MAX / 60 * 60).await;
    let mut follower = Follower::new(&simulator, opened, i64::MAX / 60 * 60);
    for (effect, reason) in effects {
        let work = Work::begin(&simulator);
        simulator.set_faults(vec![Fault::always(
            "cloudwatch:GetMetricData",
            effect.clone(),
        )]);
        if let Some(reason) = reason {
            let told = format!("{reason} cloudwatch:GetMetricData");
            let what = format!("{effect:?}: it tells {told}");
            let tells = async |e: &Exporter| e.problems().await.contains(&told);
            exporter.until(&what, tells).await;
        } else {
            until_three_minutes_on(&simulator, &exporter).await;
            let problems = exporter.problems().await;
            assert!(problems.is_empty(), "{effect:?}: {problems:?}");
        }
        let (requests, minutes) = work.done();
        simulator.set_faults(Vec::new());
        // Three attempts for one, and a failed poll is tried again after half of the interval here.
        let most = usual * 6.0 * (minutes + 2.0);
        assert!(
            requests <= most,
            "{effect:?}: {requests} requests in {minutes} minutes, usually {usual} in one"
        );
        exporter.until_well().await;
        follower.compare(&exporter).await;
    }
    let now_open = open_files(&exporter);
    assert!(
        now_open < files + 10,
        "{now_open} files are open, not {files}"
    );
    follower.close(next_minute(&simulator)).await;
    let (_, moved) = follower.until_final(&exporter).await;
    assert!(moved >= 25, "only {moved} counters moved");
    let counts = |series: &Series| series.name == "nightjar_exporter_absurd_datapoints_total";
    let counted: f64 = follower
        .last()
        .iter()
        .filter_map(|(series, value)| counts(series).then_some(value))
        .sum();
    let log = std::fs::read_to_string(exporter.dir.path().join("log")).unwrap();
    let said = log
        .lines()
        .filter(|line| line.contains("what cannot be") && line.contains("\"Invocations\""))
        .count();
    assert_eq!((counted > 0.0, said), (absurd, usize::from(absurd)));
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_wrong_with_an_answer_is_told_and_loses_nothing() {
    // Side by side: most of the time is waiting.
    tokio::join!(suffer(transport()), suffer(contents()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_comes_in_drops_is_given_up_and_asked_for_again() {
    let simulator = crate::harness::simulator(crate::follow::ACCOUNT).await;
    let stack = crate::harness::stack(crate::follow::STACK);
    let dir = tempfile::tempdir().unwrap();
    // Three seconds, at this speed: a loaded machine may need one of them.
    let hasty = [("NIGHTJAR_AWS_TIMEOUT", "3m")];
    let exporter = Exporter::start_with(dir, &simulator, &stack, &hasty).await;
    exporter.until_polled().await;
    simulator.set_faults(vec![Fault::always(
        "cloudwatch:GetMetricData",
        Effect::Drip { seconds: 30.0 },
    )]);
    exporter
        .until_told("Timeout cloudwatch:GetMetricData")
        .await;
    // What is there is served meanwhile.
    let scrape = tokio::time::timeout(Duration::from_secs(5), exporter.scrape());
    assert!(scrape.await.is_ok(), "a scrape waits for CloudWatch");
    simulator.set_faults(Vec::new());
    exporter.until_well().await;
}
