//! What looking resources up costs an account's other tenants, and how soon it is done: the real
//! exporter against the simulator's meter.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::bail;

use crate::figure::Figure;
use crate::running::Running;
use crate::simulator::account::AccountFile;
use crate::simulator::clock::Clock;
use crate::simulator::{Options, Simulator};

/// Stacks, each with an exporter of its own.
const STACKS: usize = 50;
/// Functions of a stack.
const EACH: usize = 100;
/// Queues of a stack, each read by a function: what reads what is listed for a whole account only.
const QUEUES: usize = 40;
/// Simulated seconds in a real one, where hours are looked at.
const SPEED: f64 = 30.0;
/// Simulated minutes until everything was read once and was due again.
const WARM_UP_MINUTES: i64 = 80;
/// Simulated minutes that are measured.
const MEASURED_MINUTES: i64 = 60;

/// Requests to Lambda's control plane, and how many of them it refused.
fn control_plane(simulator: &Simulator) -> (u64, u64) {
    let meter = simulator.meter();
    let lambda = meter.iter().filter(|r| r.api.starts_with("lambda:"));
    lambda.fold((0, 0), |(requests, throttles), reading| {
        (requests + reading.requests, throttles + reading.throttles)
    })
}

/// The account of fifty stacks; one of them may have a new function.
fn account(new: bool) -> String {
    let (mut generated, mut functions, mut queues) = (Vec::new(), Vec::new(), Vec::new());
    for i in 0..STACKS {
        let others = EACH - QUEUES;
        generated.push(format!(
            "{{functions: {others}, prefix: s{i:02}-, tags: {{app: s{i:02}}}, idle_share: 0.9}}"
        ));
        for j in 0..QUEUES {
            functions.push(format!("{{name: s{i:02}-r{j:02}, tags: {{app: s{i:02}}}}}"));
            queues.push(format!(
                "{{name: s{i:02}-q{j:02}, consumers: [{{function: s{i:02}-r{j:02}}}]}}"
            ));
        }
    }
    if new {
        functions.push("{name: brand-new, tags: {app: s00}}".to_owned());
    }
    format!(
        "accounts: [{{id: '111122223333', regions: {{eu-west-1: {{generated: [{}], functions: [{}], queues: [{}]}}}}}}]",
        generated.join(", "),
        functions.join(", "),
        queues.join(", ")
    )
}

/// Fifty exporters in one account of 5,000 functions. `nightjar` is linked dynamically: its clock is
/// made to run faster.
#[expect(clippy::cast_precision_loss, reason = "counts are small")]
pub async fn shared(nightjar: &Path) -> anyhow::Result<Vec<Figure>> {
    let clock = Clock::new(Clock::real().now_ms(), SPEED);
    let options = Options {
        clock,
        ..Options::default()
    };
    let simulator = Simulator::from_text(&account(false), options).await?;
    let mut exporters = Vec::new();
    for i in 0..STACKS {
        let spec = format!(
            "{{regions: [eu-west-1], select: [{{tags: {{app: s{i:02}}}}}], services: {{lambda: {{}}}}, collection: {{interval: 20m}}}}"
        );
        let name = format!("s{i:02}");
        exporters.push(Running::start(nightjar, &simulator, &name, &spec)?);
    }
    let begun = simulator.now_ms();
    let wait = async |minutes: i64| {
        while simulator.now_ms() < begun + minutes * 60_000 {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    wait(WARM_UP_MINUTES).await;
    for (i, exporter) in exporters.iter().enumerate() {
        let functions = exporter.functions().await;
        if functions != EACH {
            bail!("exporter {i} publishes {functions} functions, not {EACH}");
        }
    }
    simulator.reset_meter();
    let from = simulator.now_ms();
    wait(WARM_UP_MINUTES + MEASURED_MINUTES).await;
    let (requests, throttles) = control_plane(&simulator);
    let seconds = (simulator.now_ms() - from) as f64 / 1000.0;
    let tags: u64 = simulator
        .meter()
        .iter()
        .filter(|reading| reading.api.starts_with("tag:"))
        .map(|reading| reading.requests)
        .sum();

    simulator.replace_account(&AccountFile::parse("later", &account(true))?)?;
    let deployed = simulator.now_ms();
    while exporters[0].functions().await != EACH + 1 {
        if simulator.now_ms() > deployed + 3_600_000 {
            bail!("a new function is not watched within an hour");
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let minutes = (simulator.now_ms() - deployed) as f64 / 60_000.0;
    Ok(vec![
        Figure::at_most(
            "50 exporters x 100 of 5,000 functions by tag: Lambda control plane, all together",
            requests as f64 / seconds,
            "req/s",
            3.0,
            format!(
                "{requests} requests in {:.0} min, {throttles} throttled; tagging API {:.2} req/s",
                seconds / 60.0,
                tags as f64 / seconds
            ),
        ),
        Figure::at_most(
            "50 exporters: a new function is watched within",
            minutes,
            "min",
            15.0,
            "selected by its tag; one sample".to_owned(),
        ),
    ])
}

/// From the start of one exporter to a complete first snapshot.
#[expect(clippy::cast_precision_loss, reason = "counts are small")]
pub async fn first_snapshot(nightjar: &Path) -> anyhow::Result<Vec<Figure>> {
    const FUNCTIONS: usize = 10_000;
    let account = format!(
        "accounts: [{{id: '111122223333', regions: {{eu-west-1: {{generated: [{{functions: {FUNCTIONS}, prefix: shop-}}]}}}}}}]"
    );
    let simulator = Simulator::from_text(&account, Options::default()).await?;
    let spec =
        "{regions: [eu-west-1], select: [{names: [\"shop-*\"]}], collection: {maxSeries: 1000000}}";
    let exporter = Running::start(nightjar, &simulator, "first", spec)?;
    let begun = Instant::now();
    let (mut before, mut busiest) = (0, 0);
    let mut second = begun;
    while exporter.last_poll().await.is_none() || exporter.functions().await != FUNCTIONS {
        if begun.elapsed() > Duration::from_mins(5) {
            bail!("no complete snapshot within five minutes");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        if second.elapsed() >= Duration::from_secs(1) {
            let (requests, _) = control_plane(&simulator);
            busiest = busiest.max(requests - before);
            (before, second) = (requests, Instant::now());
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    let (requests, throttles) = control_plane(&simulator);
    Ok(vec![
        Figure::at_most(
            "start to a complete first snapshot, 10,000 functions",
            seconds,
            "s",
            60.0,
            format!("{requests} control-plane requests, {throttles} throttled"),
        ),
        Figure::at_most(
            "its busiest second on Lambda's control plane",
            busiest as f64,
            "req/s",
            10.0,
            String::new(),
        ),
    ])
}
