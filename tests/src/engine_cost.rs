//! Whether the engine is exact, whatever happens; what it asks for, what that costs, how fresh it is, and how it
//! grows: the real exporter against the simulator's truth and its meter.

pub mod age;
pub mod bill;
pub mod exactness;
pub mod growth;

use std::time::Duration;

use crate::http;
use crate::simulator::clock::Clock;
use crate::simulator::{Options, Simulator};

/// Simulated seconds in a real one.
const SPEED: f64 = 60.0;

async fn simulator(
    account: &str,
    origin: &str,
    speed: f64,
    limits: bool,
) -> anyhow::Result<Simulator> {
    let origin: jiff::Timestamp = origin.parse()?;
    let options = Options {
        clock: Clock::new(origin.as_millisecond(), speed),
        limits,
        ..Options::default()
    };
    Ok(Simulator::from_text(account, options).await?)
}

async fn until(simulator: &Simulator, second: i64) {
    while simulator.now_ms() < second * 1000 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn hours(simulator: &Simulator, from: i64, until: i64) -> anyhow::Result<()> {
    let body = serde_json::json!({"from": from, "until": until}).to_string();
    http::request("PUT", &format!("{}/hours", simulator.url()), &[], body).await?;
    Ok(())
}

fn calls(simulator: &Simulator) -> u64 {
    let meter = simulator.meter();
    let data = meter.iter().filter(|r| r.api == "cloudwatch:GetMetricData");
    data.map(|reading| reading.requests).sum()
}
