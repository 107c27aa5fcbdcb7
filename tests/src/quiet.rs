//! A quiet time of the demo account: the exporter at a multiple of the speed, its scrapes recorded, and the rules
//! evaluated over the record by promtool. Nothing may fire.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use nightjar::api::ServerlessStack;
use nightjar::rules::render::{Context, RuleFile, groups};
use serde_json::{Value, json};

use crate::http;
use crate::samples::{Series, parse};
use crate::simulator::account::{AccountFile, Incident};
use crate::simulator::clock::Clock;
use crate::simulator::{Options, Simulator};

/// What is played.
#[derive(Debug)]
pub struct Play {
    /// The simulated moment at which it begins, seconds since 1970.
    pub from: i64,
    /// Simulated minutes.
    pub minutes: usize,
    /// Simulated seconds in a real one.
    pub speed: f64,
    /// After how many minutes the exporter is killed and started again, each time: what happens to one on any day.
    pub restart_after: usize,
    /// What goes wrong in eu-west-1 after all, to see that the record would show it.
    pub incidents: Vec<Incident>,
    /// Whether the record stays when something fired: `promtool test rules` answers any other expression over it.
    pub keep: bool,
}

/// One value a minute; none where the series was not there.
type Record = BTreeMap<Series, Vec<Option<f64>>>;

struct Exporter {
    child: Child,
    dir: tempfile::TempDir,
    binary: PathBuf,
    library: PathBuf,
}

impl Drop for Exporter {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Plays, with restarts of the exporter, and answers what fired: an empty text when nothing did.
pub async fn alarms(nightjar: &Path, play: &Play) -> anyhow::Result<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut account = AccountFile::load(&root.join("accounts/shop.yaml"))?;
    for region in account.accounts[0].regions.values_mut() {
        region.incidents.clear();
    }
    account.accounts[0]
        .regions
        .get_mut("eu-west-1")
        .context("the demo account has eu-west-1")?
        .incidents
        .extend(play.incidents.iter().cloned());
    let text = std::fs::read_to_string(root.join("../examples/checkout.yaml"))?;
    let mut stack: ServerlessStack = serde_saphyr::from_str(&text)?;
    // As users have it; the example is for somebody who watches.
    stack.spec.collection.interval = None;

    let simulator = Simulator::start(
        &account,
        Options {
            clock: Clock::new(play.from * 1000, play.speed),
            ..Options::default()
        },
    )
    .await?;
    let record = record(nightjar, &simulator, &stack, play).await?;
    judge(&stack, play, &record)
}

async fn record(
    nightjar: &Path,
    simulator: &Simulator,
    stack: &ServerlessStack,
    play: &Play,
) -> anyhow::Result<Record> {
    let dir = tempfile::tempdir()?;
    std::fs::write(dir.path().join("stack.yaml"), serde_json::to_string(stack)?)?;
    let library = PathBuf::from(format!(
        "/usr/lib/{}-linux-gnu/faketime/libfaketimeMT.so.1",
        std::env::consts::ARCH
    ));
    if !library.exists() {
        bail!(
            "{} is not there: tests/parts/debian test-exporter installs it",
            library.display()
        );
    }
    let address = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let child = spawn(nightjar, &library, dir.path(), address, simulator)?;
    let mut exporter = Exporter {
        child,
        dir,
        binary: nightjar.to_owned(),
        library,
    };
    let mut record = Record::new();
    let mut restarts = 0;
    loop {
        let minute = usize::try_from((simulator.now_ms() / 1000 - play.from) / 60)?;
        if minute >= play.minutes {
            return Ok(record);
        }
        if minute / play.restart_after > restarts {
            restarts = minute / play.restart_after;
            exporter.child.kill()?;
            exporter.child.wait()?;
            exporter.child = spawn(
                &exporter.binary,
                &exporter.library,
                exporter.dir.path(),
                address,
                simulator,
            )?;
        }
        if let Ok(text) = http::text(&format!("http://{address}/metrics")).await {
            for (series, value) in parse(&text)? {
                let values = record
                    .entry(series)
                    .or_insert_with(|| vec![None; play.minutes]);
                values[minute] = Some(value);
            }
        }
        let next = play.from + 60 * (i64::try_from(minute)? + 1);
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of a minute")]
        let wait = (next * 1000 - simulator.now_ms()).max(0) as f64 / 1000.0 / play.speed;
        tokio::time::sleep(Duration::from_secs_f64(wait)).await;
    }
}

fn spawn(
    nightjar: &Path,
    library: &Path,
    dir: &Path,
    address: SocketAddr,
    simulator: &Simulator,
) -> anyhow::Result<Child> {
    let now = jiff::Timestamp::from_millisecond(simulator.now_ms())?;
    Command::new(nightjar)
        .args(["exporter", "--aws-timeout", "1h"])
        .args(["--listen", &address.to_string(), "--config"])
        .arg(dir.join("stack.yaml"))
        .arg("--state-dir")
        .arg(dir.join("state"))
        .env("LD_PRELOAD", library)
        .env(
            "FAKETIME",
            format!(
                "@{} x{}",
                now.strftime("%Y-%m-%d %H:%M:%S"),
                simulator.speed()
            ),
        )
        .env("TZ", "UTC")
        .env("AWS_ENDPOINT_URL", simulator.url())
        .env("AWS_ACCESS_KEY_ID", "AKIAQUIET")
        .env("AWS_SECRET_ACCESS_KEY", "quiet")
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("{} does not start", nightjar.display()))
}

/// Evaluates the stack's rules over the record.
fn judge(stack: &ServerlessStack, play: &Play, record: &Record) -> anyhow::Result<String> {
    let dir = tempfile::tempdir()?;
    let context = Context::new(stack, stack.spec.collection.interval(), "");
    let rules = RuleFile {
        groups: groups(&context),
    };
    // Promtool takes long over series that no rule looks at.
    let expressions: Vec<&str> = rules
        .groups
        .iter()
        .flat_map(|group| &group.rules)
        .map(|rule| rule.expr.as_str())
        .collect();
    let used = |name: &str| {
        expressions.iter().any(|expression| {
            expression
                .match_indices(name)
                .any(|(at, _)| expression[at + name.len()..].starts_with(['{', '[']))
        })
    };
    let series: Vec<Value> = record
        .iter()
        .filter(|(series, _)| used(&series.name))
        .map(|(series, values)| json!({"series": scraped(series), "values": notation(values)}))
        .collect();
    if series.is_empty() {
        bail!("the exporter published nothing that a rule looks at");
    }
    std::fs::write(
        dir.path().join("rules.json"),
        serde_json::to_string(&rules)?,
    )?;
    let end = play.minutes;
    // That a runtime is old is true of this account on every day: it has such functions on purpose.
    let fired = format!(
        "max by (alertname, region, function_name, table_name, api_name, objective, action, aws_service) (max_over_time(ALERTS{{alertstate=\"firing\",alertname!~\"LambdaRuntimeDeprecated.*\"}}[{end}m]))"
    );
    let test = json!({
        "rule_files": ["rules.json"],
        "evaluation_interval": "1m",
        "tests": [{
            "name": "quiet", "interval": "1m", "start_timestamp": jiff::Timestamp::from_second(play.from)?.to_string(),
            "input_series": series,
            "promql_expr_test": [{"expr": fired, "eval_time": format!("{end}m"), "exp_samples": []}],
        }],
    });
    std::fs::write(dir.path().join("test.json"), test.to_string())?;
    let output = Command::new("promtool")
        .args(["test", "rules", "test.json"])
        .current_dir(dir.path())
        .output()
        .context("promtool does not start: it must be in the path")?;
    if output.status.success() {
        return Ok(String::new());
    }
    let said = [output.stdout, output.stderr].concat();
    let mut said = String::from_utf8_lossy(&said).into_owned();
    if play.keep {
        let _ = write!(
            said,
            "\nrules.json and test.json are kept in {}",
            dir.keep().display()
        );
    }
    Ok(said)
}

/// The series with the labels that Prometheus and the `ServiceMonitor` give it.
fn scraped(series: &Series) -> String {
    let mut labels = series.labels.clone();
    let mut add = |name: &str, value: &str| labels.insert(name.to_owned(), value.to_owned());
    add("namespace", "shop");
    add("job", "checkout-exporter");
    add("service", "checkout-exporter");
    if !series.name.starts_with("aws_") {
        add("pod", "checkout-exporter-0");
        add("instance", "10.0.0.7:9988");
        add("container", "exporter");
        add("endpoint", "metrics");
    }
    let labels: Vec<String> = labels
        .iter()
        .map(|(name, value)| format!("{name}={value:?}"))
        .collect();
    format!("{}{{{}}}", series.name, labels.join(","))
}

/// Promtool's notation: a value that stands still is written once.
fn notation(values: &[Option<f64>]) -> String {
    let mut tokens: Vec<String> = Vec::new();
    let mut rest = values;
    while let Some(first) = rest.first() {
        let run = rest.iter().take_while(|value| *value == first).count();
        tokens.push(match first {
            None => format!("_x{run}"),
            // `5x3` is four of them.
            Some(value) if run > 1 => format!("{value}x{}", run - 1),
            Some(value) => value.to_string(),
        });
        rest = &rest[run..];
    }
    tokens.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_still_is_written_once() {
        let values = [None, None, Some(1.0), Some(1.0), Some(1.0), Some(2.5)];
        assert_eq!(notation(&values), "_x2 1x2 2.5");
    }
}
