//! The figures that are promised, measured and printed beside their limits.
//!
//! Absolute times are of this machine on this day. Nothing fails because of them: `ok` in the rows
//! says whether a goal was reached. Every goal is a limit: no other program is measured beside it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::bail;
use clap::{Parser, ValueEnum};
use nightjar_tests::figure::Figure;
use nightjar_tests::quiet::{Play, alarms};
use nightjar_tests::simulator::{account, speed};
use nightjar_tests::{
    cluster_cost, discovery_cost, engine_cost, exporter_cost, operator_cost, rule_cost,
};

/// Measures the promised figures.
#[derive(Debug, Parser)]
struct Args {
    /// Which parts; all when none is named
    parts: Vec<Part>,
    /// The optimised, static binary of the product
    #[arg(long)]
    nightjar: PathBuf,
    /// A dynamically linked binary of it, whose clock can be made to run faster
    #[arg(long, default_value = "target/debug/nightjar")]
    nightjar_dynamic: PathBuf,
    /// Where the rows are written
    #[arg(long, default_value = "target/bench.json")]
    out: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// The simulator's speed and memory
    Simulator,
    /// The size of the binary; the memory of an exporter with 100, 1,000 and 10,000 functions
    Exporter,
    /// Requests of discovery: fifty exporters in one account; the first snapshot of 10,000 functions
    Discovery,
    /// Whether the engine is exact, whatever happens: five minutes
    Exactness,
    /// What it asks for and costs: half an hour
    Bill,
    /// How fresh counters are
    Age,
    /// CPU time and memory with 1,000, 10,000 and 100,000 functions
    Growth,
    /// How fast 100,000 series are served
    Scrapes,
    /// What the rules of a thousand functions cost a Prometheus, which must be in the path
    Rules,
    /// False alarms in a quiet week of the demo account, at 480 times the speed: half an hour; `promtool` must be in the path
    Quiet,
    /// The loop of editing and testing
    Loop,
    /// The operator with one and with 1,000 stacks, outages and failovers; needs `tests/bench`
    Operator,
    /// From kubectl apply to the first series in Prometheus; needs `tests/bench`
    Cluster,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let wanted = |part| args.parts.is_empty() || args.parts.contains(&part);
    let (nightjar, dynamic) = (&args.nightjar, &args.nightjar_dynamic);
    let mut table = Table::default();
    if wanted(Part::Simulator) {
        table.add(speed::figures().await.map_err(anyhow::Error::msg));
    }
    if wanted(Part::Exporter) {
        table.add(exporter_cost::size_and_memory(nightjar).await);
    }
    if wanted(Part::Discovery) {
        table.add(discovery_cost::first_snapshot(nightjar).await);
        table.add(discovery_cost::shared(dynamic).await);
    }
    if wanted(Part::Exactness) {
        table.add(engine_cost::exactness::figures(dynamic).await);
        table.add(engine_cost::exactness::lost_books(dynamic).await);
    }
    if wanted(Part::Bill) {
        table.add(engine_cost::bill::figures(dynamic).await);
    }
    if wanted(Part::Age) {
        table.add(engine_cost::age::figures(dynamic).await);
    }
    if wanted(Part::Growth) {
        table.add(engine_cost::growth::figures(nightjar).await);
    }
    if wanted(Part::Scrapes) {
        table.add(exporter_cost::scrapes(nightjar).await);
    }
    if wanted(Part::Rules) {
        table.add(rule_cost::figures(nightjar).await);
    }
    if wanted(Part::Quiet) {
        table.add(quiet_week(dynamic).await.map(|row| vec![row]));
    }
    if wanted(Part::Loop) {
        table.add(edit_loop().map(|row| vec![row]));
    }
    if wanted(Part::Operator) {
        table.add(operator_cost::figures(nightjar).await);
    }
    if wanted(Part::Cluster) {
        table.add(cluster_cost::figures().await);
    }
    table.end(&args.out)
}

/// The rows so far, and what could not be measured.
#[derive(Default)]
struct Table {
    rows: Vec<Figure>,
    failed: Vec<String>,
}

impl Table {
    /// Takes over what a part measured, and shows it at once: the others take a while.
    fn add(&mut self, figures: anyhow::Result<Vec<Figure>>) {
        match figures {
            Ok(figures) => {
                for row in &figures {
                    eprintln!(
                        "bench: {}: {:.2} {} ({}) {}",
                        row.name, row.value, row.unit, row.goal, row.note
                    );
                }
                self.rows.extend(figures);
            }
            Err(error) => {
                eprintln!("bench: could not be measured: {error:#}");
                self.failed.push(format!("{error:#}"));
            }
        }
    }

    fn end(&self, out: &Path) -> anyhow::Result<()> {
        let name = self.rows.iter().map(|row| row.name.chars().count()).max();
        let name = name.unwrap_or(0);
        println!(
            "{:name$}  {:>10}  {:6}  {:>10}  {:>6}  {:11}  note",
            "figure", "value", "unit", "limit", "ratio", "reached"
        );
        for row in &self.rows {
            let reached = if row.ok { "reached" } else { "NOT REACHED" };
            let limit = row
                .goal
                .strip_prefix("<= ")
                .and_then(|limit| limit.parse::<f64>().ok());
            let ratio = limit.filter(|limit| limit.is_finite() && *limit > 0.0);
            let ratio = ratio.map_or_else(String::new, |limit| format!("{:.2}", row.value / limit));
            println!(
                "{:name$}  {:>10.2}  {:6}  {:>10}  {ratio:>6}  {reached:11}  {}",
                row.name, row.value, row.unit, row.goal, row.note
            );
        }
        if let Some(folder) = out.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(out, serde_json::to_string_pretty(&self.rows)?)?;
        println!("\nwritten to {}", out.display());
        if self.failed.is_empty() {
            return Ok(());
        }
        bail!("could not be measured: {}", self.failed.join("; "))
    }
}

/// A week in which nothing happens.
#[expect(clippy::cast_precision_loss, reason = "alarms are few")]
async fn quiet_week(nightjar: &Path) -> anyhow::Result<Figure> {
    let play = Play {
        // A Monday, from midnight to midnight.
        from: account::Instant::parse("2026-11-16T00:00:00Z")
            .map_err(anyhow::Error::msg)?
            .ms
            / 1000,
        // All of the week but an hour and a half: promtool loads at most 10,000 samples of a series for a query.
        minutes: 7 * 24 * 60 - 90,
        speed: 480.0,
        restart_after: 1000,
        incidents: Vec::new(),
        keep: true,
    };
    let fired = alarms(nightjar, &play).await?;
    let alarms = fired.matches("alertname=").count();
    if !fired.is_empty() {
        println!("{fired}");
        if alarms == 0 {
            bail!("the rules of a quiet week could not be judged: promtool's words are above");
        }
    }
    Ok(Figure::at_most(
        "false alarms in a quiet week",
        alarms as f64,
        "alerts",
        0.0,
        "the demo account without its incidents, an exporter that polls every five minutes and is killed every thousand",
    ))
}

/// What somebody waits for who edits the product and runs the unit tests again.
fn edit_loop() -> anyhow::Result<Figure> {
    let test = || -> anyhow::Result<Duration> {
        let begun = Instant::now();
        let output = Command::new("cargo")
            .args([
                "test",
                "--quiet",
                "--locked",
                "--workspace",
                "--lib",
                "--bins",
            ])
            .output()?;
        if !output.status.success() {
            bail!(
                "the unit tests fail:\n{}",
                String::from_utf8_lossy(&output.stdout)
            );
        }
        Ok(begun.elapsed())
    };
    test()?;
    let file = std::fs::File::options()
        .append(true)
        .open("operator/src/exporter/book.rs")?;
    file.set_modified(std::time::SystemTime::now())?;
    let took = test()?.as_secs_f64();
    Ok(Figure::at_most(
        "edit, build, test (unit tier, warm)",
        took,
        "s",
        30.0,
        "after a change in operator/src/exporter/book.rs",
    ))
}
