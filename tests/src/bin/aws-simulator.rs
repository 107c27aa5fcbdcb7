//! `aws-simulator`: plays the AWS accounts of a file on one port.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use nightjar_tests::simulator::account::{AccountFile, Instant};
use nightjar_tests::simulator::clock::Clock;
use nightjar_tests::simulator::{Options, Simulator};

/// Plays the AWS accounts that a file describes: `CloudWatch` metrics with real lateness, and the
/// control planes that discovery reads. Point any AWS client at it with `AWS_ENDPOINT_URL`.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The account file (YAML); tests/accounts/shop.yaml is a commented example.
    #[arg(long, value_name = "FILE", required_unless_present = "measure")]
    account: Option<PathBuf>,
    /// Where to listen; port 0 takes a free port and prints it.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4566")]
    listen: SocketAddr,
    /// What the simulated clock shows at the start, RFC 3339; default: the real time.
    #[arg(long, value_name = "RFC3339", value_parser = Instant::parse)]
    clock_origin: Option<Instant>,
    /// How many times faster than real time the simulated clock runs.
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0)]
    clock_speed: f64,
    /// Overrides the account file's seed: the same seed gives the same values.
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// Do not enforce AWS's rate limits.
    #[arg(long)]
    no_limits: bool,
    /// Add this many generated Lambda functions to the first account's first region.
    #[arg(long, value_name = "NUMBER")]
    functions: Option<u32>,
    /// Measure the simulator itself instead: print two figures as JSON and exit.
    #[arg(long)]
    measure: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("cannot start threads: {error}"), 1),
    };
    runtime.block_on(run(arguments))
}

fn fail(reason: &str, code: u8) -> ExitCode {
    eprintln!("aws-simulator: {reason}");
    ExitCode::from(code)
}

async fn run(arguments: Arguments) -> ExitCode {
    let Some(path) = arguments.account.filter(|_| !arguments.measure) else {
        return measure().await;
    };
    let mut account = match AccountFile::load(&path) {
        Ok(account) => account,
        Err(error) => return fail(&error.to_string(), 2),
    };
    if !arguments.clock_speed.is_finite() || arguments.clock_speed < 0.0 {
        return fail("--clock-speed must be a number from 0 up", 2);
    }
    if let Some(seed) = arguments.seed {
        account.seed = seed;
    }
    if let Some(functions) = arguments.functions
        && let Err(reason) = account.generate(functions)
    {
        return fail(&reason, 2);
    }
    let clock = match arguments.clock_origin {
        Some(origin) => Clock::new(origin.ms, arguments.clock_speed),
        None => Clock::new(Clock::real().now_ms(), arguments.clock_speed),
    };
    let options = Options {
        listen: arguments.listen,
        clock,
        limits: !arguments.no_limits,
    };
    let origin = path.display().to_string();
    let simulator = match Simulator::start_named(&origin, &account, options).await {
        Ok(simulator) => simulator,
        Err(error @ nightjar_tests::simulator::StartError::Account(_)) => {
            return fail(&error.to_string(), 2);
        }
        Err(error) => return fail(&error.to_string(), 1),
    };
    println!("aws-simulator listening on {}", simulator.url());
    stopped().await;
    ExitCode::SUCCESS
}

async fn measure() -> ExitCode {
    match nightjar_tests::simulator::speed::figures().await {
        Ok(figures) => match serde_json::to_string_pretty(&figures) {
            Ok(text) => {
                println!("{text}");
                ExitCode::SUCCESS
            }
            Err(error) => fail(&error.to_string(), 1),
        },
        Err(reason) => fail(&reason, 1),
    }
}

/// Waits for Ctrl-C or SIGTERM.
async fn stopped() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        },
        Err(_) => {
            let _ = tokio::signal::ctrl_c().await;
        }
    }
}
