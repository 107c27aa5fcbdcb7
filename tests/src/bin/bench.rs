//! The figures that are promised, measured and printed beside their limits.
//!
//! Absolute times are of this machine on this day. Nothing fails because of them: `ok` in the rows
//! says whether a goal was reached.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::{Parser, ValueEnum};
use nightjar::api::exporter_status::ExporterStatus;
use nightjar_tests::figure::Figure;
use nightjar_tests::quiet::{Play, alarms};
use nightjar_tests::samples::ranges;
use nightjar_tests::simulator::{Options, Simulator, account, speed};
use nightjar_tests::{discovery_cost, engine_cost, http, operator_cost, panels, rule_cost};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

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
        table.add(exporter(nightjar).await);
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
        table.add(scrapes(nightjar).await);
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
        table.add(cluster().await);
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
            "{:name$}  {:>10}  {:6}  {:>10}  {:>6}",
            "figure", "value", "unit", "goal", "ratio"
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
                "{:name$}  {:>10.2}  {:6}  {:>10}  {ratio:>6}  {reached}  {}",
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

/// A process that is killed when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An exporter that watches generated functions.
struct Exporter {
    running: Running,
    address: std::net::SocketAddr,
    _simulator: Simulator,
    _dir: tempfile::TempDir,
}

impl Exporter {
    async fn start(nightjar: &Path, functions: u32, collection: &str) -> anyhow::Result<Self> {
        let account = format!(
            "accounts: [{{id: '111122223333', regions: {{eu-west-1: {{generated: [{{functions: {functions}, prefix: shop-}}]}}}}}}]"
        );
        let simulator = Simulator::from_text(&account, Options::default()).await?;
        let dir = tempfile::tempdir()?;
        let config = dir.path().join("stack.yaml");
        std::fs::write(
            &config,
            format!(
                "apiVersion: nightjar.dev/v1alpha1\nkind: ServerlessStack\nmetadata: {{name: bench}}\nspec:\n  \
                 regions: [eu-west-1]\n  select: [{{names: [\"shop-*\"]}}]\n  collection: {{{collection}}}\n"
            ),
        )?;
        let address = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let child = Command::new(nightjar)
            .args(["exporter", "--listen", &address.to_string(), "--config"])
            .arg(&config)
            .arg("--state-dir")
            .arg(dir.path().join("state"))
            .env("MALLOC_ARENA_MAX", "1") // as in the image
            .env("AWS_ENDPOINT_URL", simulator.url())
            .env("AWS_ACCESS_KEY_ID", "AKIABENCH")
            .env("AWS_SECRET_ACCESS_KEY", "bench")
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self {
            running: Running(child),
            address,
            _simulator: simulator,
            _dir: dir,
        })
    }

    /// Takes `/metrics` as a scraper does, and answers how long it took and the bytes of it.
    async fn scrape(&self, encoding: &str) -> anyhow::Result<(Duration, usize)> {
        let begun = Instant::now();
        let mut stream = TcpStream::connect(self.address).await?;
        let request = format!(
            "GET /metrics HTTP/1.1\r\nHost: bench\r\nAccept: application/openmetrics-text\r\nAccept-Encoding: \
             {encoding}\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut buffer = vec![0; 256 * 1024];
        let mut length = 0;
        loop {
            match stream.read(&mut buffer).await? {
                0 => return Ok((begun.elapsed(), length)),
                read => length += read,
            }
        }
    }

    /// The most memory that it ever had, in MiB.
    fn peak(&self) -> anyhow::Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.running.0.id()))?;
        let kilobytes = status.lines().find_map(|line| {
            let value = line.strip_prefix("VmHWM:")?.trim();
            value.strip_suffix(" kB")?.trim().parse::<f64>().ok()
        });
        Ok(kilobytes.context("the kernel does not tell the peak memory")? / 1024.0)
    }
}

#[expect(clippy::cast_precision_loss, reason = "bytes in megabytes")]
async fn exporter(nightjar: &Path) -> anyhow::Result<Vec<Figure>> {
    let size = std::fs::metadata(nightjar)
        .with_context(|| format!("{} is not built", nightjar.display()))?
        .len();
    let mut figures = vec![Figure::at_most(
        "size of the binary",
        size as f64 / 1e6,
        "MB",
        40.0,
        "static, as it is shipped",
    )];
    for (functions, limit) in [(100, 20.0), (1000, 30.0), (10_000, 120.0)] {
        let exporter =
            Exporter::start(nightjar, functions, "interval: 1m, maxSeries: 1000000").await?;
        // Three polls, scraped as Prometheus does: the peak comes with the first full answers.
        let end = Instant::now() + Duration::from_secs(if functions > 1000 { 240 } else { 150 });
        while Instant::now() < end {
            let _ = exporter.scrape("gzip").await;
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
        let peak = exporter.peak()?;
        let text = http::text(&format!("http://{}/metrics", exporter.address)).await?;
        let found = text
            .lines()
            .filter(|line| line.starts_with("aws_lambda_invocations_total{"))
            .count();
        if found != functions as usize {
            bail!("the exporter publishes {found} functions, not {functions}");
        }
        figures.push(Figure::at_most(
            &format!("exporter, {functions} functions: peak RSS"),
            peak,
            "MiB",
            limit,
            "all default metrics, three polls, a compressed scrape every 5 s",
        ));
    }
    Ok(figures)
}

/// Ten scrapes a second of 100,000 series, while polling goes on.
#[expect(clippy::cast_precision_loss, reason = "bytes in megabytes")]
async fn scrapes(nightjar: &Path) -> anyhow::Result<Vec<Figure>> {
    // More functions than that many series need; the cap makes the number exact, but for one function.
    let exporter = Exporter::start(nightjar, 20_000, "interval: 1m, maxSeries: 100000").await?;
    let status = format!("http://{}/status", exporter.address);
    let begun = Instant::now();
    loop {
        if let Ok(status) = http::json::<ExporterStatus>(&status).await
            && status.series > 99_900
        {
            break;
        }
        if begun.elapsed() > Duration::from_mins(10) {
            bail!("the exporter does not publish 100,000 series within ten minutes");
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let mut figures = Vec::new();
    for (encoding, limit) in [("identity", 20.0), ("gzip", 10.0)] {
        let mut times = Vec::new();
        let mut length = 0;
        let mut ticks = tokio::time::interval(Duration::from_millis(100));
        for _ in 0..900 {
            ticks.tick().await;
            let (took, taken) = exporter.scrape(encoding).await?;
            times.push(took);
            length = taken;
        }
        times.sort_unstable();
        let millis = |place: usize| times[place].as_secs_f64() * 1e3;
        let note = format!(
            "{:.1} MB; median {:.1} ms, longest {:.1} ms; 900 scrapes, ten a second, polling once a minute",
            length as f64 / 1e6,
            millis(times.len() / 2),
            millis(times.len() - 1),
        );
        figures.push(Figure::at_most(
            &format!("/metrics with 100,000 series, {encoding}: p99"),
            millis(times.len() * 99 / 100),
            "ms",
            limit,
            note,
        ));
    }
    Ok(figures)
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

fn kubectl(args: &[&str], input: &str) -> anyhow::Result<String> {
    use std::io::Write as _;
    let mut child = Command::new("kubectl")
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    child
        .stdin
        .take()
        .context("stdin is piped")?
        .write_all(input.as_bytes())?;
    Ok(String::from_utf8(child.wait_with_output()?.stdout)?)
}

async fn cluster() -> anyhow::Result<Vec<Figure>> {
    let prometheus =
        std::env::var("PROMETHEUS_URL").context("there is no cluster: run make bench")?;
    kubectl(&["create", "namespace", "bench"], "")?;
    let stack = serde_json::json!({
        "apiVersion": "nightjar.dev/v1alpha1",
        "kind": "ServerlessStack",
        "metadata": {"namespace": "bench", "name": "bench"},
        "spec": {
            "regions": ["us-east-1"],
            "select": [{"names": ["us-tax"]}],
            "monitoring": {"labels": {"release": "kube-prometheus-stack"}},
        },
    });
    let begun = Instant::now();
    kubectl(&["apply", "-f", "-"], &stack.to_string())?;
    let until =
        async |what: &str, args: &[&str], is_so: &dyn Fn(&str) -> bool| -> anyhow::Result<f64> {
            loop {
                if is_so(&kubectl(args, "")?) {
                    return Ok(begun.elapsed().as_secs_f64());
                }
                if begun.elapsed() > Duration::from_mins(5) {
                    bail!("not within five minutes: {what}");
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
    let names = "statefulset/bench-exporter,service/bench-exporter,configmap/bench-exporter,serviceaccount/bench-exporter,servicemonitor/bench-exporter";
    let names: Vec<&str> = names.split(',').collect();
    let all = [
        &["-n", "bench", "get", "--ignore-not-found", "-o", "name"],
        &names[..],
    ]
    .concat();
    let objects = until("all objects", &all, &|out| {
        out.lines().count() == names.len()
    })
    .await?;
    let pod = [
        "-n",
        "bench",
        "get",
        "statefulset",
        "bench-exporter",
        "-o",
        "jsonpath={.status.readyReplicas}",
    ];
    let pod_ready = until("the pod is Ready", &pod, &|out| out == "1").await?;
    let ready = [
        "-n",
        "bench",
        "get",
        "serverlessstack",
        "bench",
        "-o",
        "jsonpath={.status.conditions[?(@.type==\"Ready\")].status}",
    ];
    let stack_ready = until("the stack is Ready", &ready, &|out| out == "True").await?;
    while ranges(
        &prometheus,
        "aws_lambda_invocations_total{stack=\"bench\"}[5m]",
    )
    .await?
    .is_empty()
    {
        if begun.elapsed() > Duration::from_mins(5) {
            bail!("no series in Prometheus within five minutes");
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let series = begun.elapsed().as_secs_f64();
    let asked = panels::ask(&prometheus, ".*").await?;
    let slowest = asked
        .iter()
        .max_by_key(|asked| asked.took)
        .context("the dashboards have queries")?;
    Ok(vec![
        Figure::at_most(
            "the slowest of all panels' queries",
            slowest.took.as_secs_f64() * 1e3,
            "ms",
            200.0,
            format!(
                "{}: {}, of {} queries; best of three, in a Prometheus that is minutes old",
                slowest.dashboard,
                slowest.panel,
                asked.len()
            ),
        ),
        Figure::at_most(
            "apply to all objects created",
            objects,
            "s",
            1.0,
            "as kubectl sees it, its own time included",
        ),
        Figure::at_most("apply to the exporter pod Ready", pod_ready, "s", 5.0, ""),
        Figure::at_most(
            "apply to the stack Ready",
            stack_ready,
            "s",
            90.0,
            "first discovery and poll included",
        ),
        Figure::at_most(
            "apply to the first series in Prometheus",
            series,
            "s",
            120.0,
            "after Ready it waits for the config reloader and a scrape interval",
        ),
    ])
}
