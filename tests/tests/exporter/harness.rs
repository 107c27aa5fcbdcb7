//! Starts the exporter as a process, under a clock that runs as fast as the simulator's.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nightjar_tests::http;
use nightjar_tests::samples::{Series, parse};
use nightjar_tests::simulator::clock::Clock;
use nightjar_tests::simulator::{Options, Simulator};
use serde_json::Value;

/// Simulated seconds in a real one.
pub const SPEED: f64 = 60.0;
/// How long anything may take before a test gives up.
pub const DEADLINE: Duration = Duration::from_secs(90);

/// An account for tests that are about something else.
pub const ONE_FUNCTION: &str = r#"
seed: 7
accounts:
  - id: "111122223333"
    regions:
      eu-west-1:
        functions:
          - {name: shop-a, traffic: {steady: {per_minute: 60}}, duration: {p50_ms: 33}}
"#;

/// The stack that watches it.
pub const ITS_STACK: &str =
    "regions: [eu-west-1]\nselect: [{names: [\"shop-*\"]}]\ncollection: {interval: 1m}";

/// A simulator of that account, in a morning of simulated time.
pub async fn simulator(account: &str) -> Simulator {
    simulator_at(account, "2026-10-01T10:00:00Z").await
}

/// A simulator of that account, whose time begins then.
pub async fn simulator_at(account: &str, origin: &str) -> Simulator {
    let origin: jiff::Timestamp = origin.parse().unwrap();
    let clock = Clock::new(origin.as_millisecond(), SPEED);
    Simulator::from_text(
        account,
        Options {
            clock,
            ..Options::default()
        },
    )
    .await
    .unwrap()
}

/// A stack of that specification, with one poll a minute.
pub fn stack(spec: &str) -> String {
    let spec = spec
        .lines()
        .map(str::trim_end)
        .collect::<Vec<_>>()
        .join("\n  ");
    format!(
        "apiVersion: nightjar.dev/v1alpha1\nkind: ServerlessStack\nmetadata: {{name: shop, namespace: web}}\nspec:\n  {spec}\n"
    )
}

/// The binary, built by `cargo build -p nightjar`.
pub fn nightjar() -> PathBuf {
    let exe = std::env::current_exe().unwrap();
    let binary = exe
        .parent()
        .and_then(Path::parent)
        .unwrap()
        .join("nightjar");
    assert!(
        binary.exists(),
        "{} is not there: run these tests with `make test-exporter`",
        binary.display()
    );
    binary
}

/// The library that tells a process another time.
pub fn faketime() -> PathBuf {
    let arch = std::env::consts::ARCH;
    let library = PathBuf::from(format!(
        "/usr/lib/{arch}-linux-gnu/faketime/libfaketimeMT.so.1"
    ));
    assert!(
        library.exists(),
        "{} is not there: run these tests with `make test-exporter`",
        library.display()
    );
    library
}

/// What a command came to that ends by itself.
pub fn ended(command: &mut Command) -> Output {
    let piped = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begun.elapsed() > DEADLINE {
            child.kill().unwrap();
            let said = child.wait_with_output().unwrap().stderr;
            let said = String::from_utf8_lossy(&said);
            panic!("it goes on after {DEADLINE:?}\n{said}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.wait_with_output().unwrap()
}

/// A running exporter; killed when dropped.
pub struct Exporter {
    child: Child,
    /// Its configuration (and `web.yaml`, the web configuration, where there is one), log and external ids.
    pub dir: tempfile::TempDir,
    /// Where it listens.
    pub address: SocketAddr,
    /// How often it was started.
    pub starts: u32,
    /// By how many seconds the clock of its node is ahead when it is started the next time.
    pub skew_seconds: i64,
    identity: Vec<(String, String)>,
}

/// The environment of static keys.
pub const KEYS: [(&str, &str); 2] = [
    ("AWS_ACCESS_KEY_ID", "AKIATEST"),
    ("AWS_SECRET_ACCESS_KEY", "test"),
];

fn spawn(
    simulator: &Simulator,
    dir: &Path,
    address: SocketAddr,
    identity: &[(String, String)],
    skew_seconds: i64,
) -> Child {
    let log = std::fs::File::options()
        .create(true)
        .append(true)
        .open(dir.join("log"))
        .unwrap();
    let mut command = Command::new(nightjar());
    let web = dir.join("web.yaml");
    command.arg("exporter");
    if web.exists() {
        command.arg("--web-config-file").arg(web);
    }
    if simulator.speed() > 1.0 {
        let now = simulator.now_ms() + skew_seconds * 1000;
        let now = jiff::Timestamp::from_millisecond(now).unwrap();
        let now = now.strftime("%Y-%m-%d %H:%M:%S");
        command
            .env("LD_PRELOAD", faketime())
            .env("FAKETIME", format!("@{now} x{SPEED}"));
    }
    command
        .args(["--listen", &address.to_string()])
        .arg("--config")
        .arg(dir.join("stack.yaml"))
        .arg("--external-ids")
        .arg(dir)
        .arg("--state-dir")
        .arg(dir.join("state"))
        .env("TZ", "UTC")
        // A third of a minute, at this speed.
        .env("NIGHTJAR_AWS_TIMEOUT", "20m")
        .env("AWS_ENDPOINT_URL", simulator.url())
        .env("RUST_LOG", "info")
        .envs(identity.iter().cloned())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap()
}

impl Exporter {
    /// Starts one for a stack.
    pub async fn start(simulator: &Simulator, stack: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self::start_in(dir, simulator, stack).await
    }

    /// Starts one with a folder that is already prepared.
    pub async fn start_in(dir: tempfile::TempDir, simulator: &Simulator, stack: &str) -> Self {
        Self::start_as(dir, simulator, stack, &KEYS).await
    }

    /// The same with more environment variables.
    pub async fn start_with(
        dir: tempfile::TempDir,
        simulator: &Simulator,
        stack: &str,
        more: &[(&str, &str)],
    ) -> Self {
        Self::start_as(dir, simulator, stack, &[&KEYS, more].concat()).await
    }

    /// Starts one whose credentials come from this environment.
    pub async fn start_as(
        dir: tempfile::TempDir,
        simulator: &Simulator,
        stack: &str,
        identity: &[(&str, &str)],
    ) -> Self {
        let identity: Vec<_> = identity
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let config = dir.path().join("stack.yaml");
        std::fs::write(&config, stack).unwrap();
        let address = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let exporter = Self {
            child: spawn(simulator, dir.path(), address, &identity, 0),
            dir,
            address,
            starts: 1,
            skew_seconds: 0,
            identity,
        };
        exporter.until_serving().await;
        exporter
    }

    async fn until_serving(&self) {
        self.until("it serves", async |exporter| {
            tokio::net::TcpStream::connect(exporter.address)
                .await
                .is_ok()
        })
        .await;
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kills it as the kernel does, at whatever it is just doing.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again in its folder, at the time that it is now in the simulator.
    pub async fn start_again(&mut self, simulator: &Simulator) {
        self.kill();
        let (dir, skew) = (self.dir.path(), self.skew_seconds);
        self.child = spawn(simulator, dir, self.address, &self.identity, skew);
        self.starts += 1;
        self.until_serving().await;
    }

    /// Where its books are.
    pub fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    /// An address on it.
    pub fn at(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Replaces its configuration file.
    pub fn configure(&self, stack: &str) {
        let new = self.dir.path().join("new.yaml");
        std::fs::write(&new, stack).unwrap();
        std::fs::rename(new, self.dir.path().join("stack.yaml")).unwrap();
    }

    /// Its samples now, as a scrape gets them.
    pub async fn scrape(&self) -> BTreeMap<Series, f64> {
        let accept = [("accept", "application/openmetrics-text")];
        let url = self.at("/metrics");
        let body = answered(async || http::request("GET", &url, &accept, "").await).await;
        parse(std::str::from_utf8(&body).unwrap()).unwrap()
    }

    /// Its `/status` now.
    pub async fn status(&self) -> Value {
        let url = self.at("/status");
        answered(async || http::json(&url).await).await
    }

    /// Waits until something is so.
    pub async fn until(&self, what: &str, is_so: impl AsyncFnMut(&Self) -> bool) {
        self.until_within(DEADLINE, what, is_so).await;
    }

    /// The same for what takes longer.
    pub async fn until_within(
        &self,
        deadline: Duration,
        what: &str,
        mut is_so: impl AsyncFnMut(&Self) -> bool,
    ) {
        let begun = Instant::now();
        while !is_so(self).await {
            assert!(
                begun.elapsed() < deadline,
                "not within {deadline:?}: {what}\n{}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until the first poll of all services that are watched has succeeded.
    pub async fn until_polled(&self) {
        self.until("everything is polled", async |exporter| {
            let status = exporter.status().await;
            let services: Vec<_> = status["targets"]
                .as_array()
                .unwrap()
                .iter()
                .flat_map(|target| {
                    target["services"]
                        .as_object()
                        .unwrap()
                        .values()
                        .cloned()
                        .collect::<Vec<_>>()
                })
                .collect();
            !services.is_empty() && services.iter().all(|service| service["lastPoll"].is_i64())
        })
        .await;
    }

    /// All problems that `/status` has, as `reason action`, but for a wrong clock: at this speed one that began a second
    /// late is wrong by a minute.
    pub async fn problems(&self) -> Vec<String> {
        let status = self.status().await;
        let targets = status["targets"].as_array().unwrap();
        let problems = targets
            .iter()
            .flat_map(|target| target["problems"].as_array().unwrap().clone())
            .filter(|problem| problem["reason"] != "ClockSkewed");
        problems
            .map(|p| {
                format!(
                    "{} {}",
                    p["reason"].as_str().unwrap(),
                    p["action"].as_str().unwrap()
                )
            })
            .collect()
    }

    /// Sends its process a signal.
    pub fn signal(&self, signal: &str) {
        let pid = self.pid().to_string();
        let status = Command::new("kill").args([signal, &pid]).status().unwrap();
        assert!(status.success());
    }

    /// Waits until it has a problem that begins like this.
    pub async fn until_told(&self, problem: &str) {
        let what = format!("it tells {problem}");
        let told = async |e: &Self| e.problems().await.iter().any(|p| p.starts_with(problem));
        self.until(&what, told).await;
    }

    /// Waits until no problem is left.
    pub async fn until_well(&self) {
        let what = "no problem is left";
        self.until(what, async |e| e.problems().await.is_empty())
            .await;
    }

    /// What it logged.
    pub fn log(&self) -> String {
        let log = std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }

    /// Tells it to stop and answers its exit code.
    pub async fn stop(&mut self) -> Option<i32> {
        self.signal("-TERM");
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(
                begun.elapsed() < DEADLINE,
                "it does not stop\n{}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The value of the one series of that name whose label has that value.
pub fn value(samples: &BTreeMap<Series, f64>, name: &str, label: &str, is: &str) -> Option<f64> {
    let mut found = samples
        .iter()
        .filter(|(series, _)| series.name == name && series.label(label) == is);
    let value = found.next().map(|(_, value)| *value);
    assert!(
        found.next().is_none(),
        "{name} has several series with {label}={is}"
    );
    value
}

/// The values of a label over all series of a name.
pub fn label_values(samples: &BTreeMap<Series, f64>, name: &str, label: &str) -> Vec<String> {
    samples
        .keys()
        .filter(|series| series.name == name)
        .map(|series| series.label(label).to_owned())
        .collect()
}

/// What was answered, at the third time at the latest: an exporter gives a client 25 seconds, which at this speed are less
/// than half a real one, and a busy machine may be slower. One that takes a client and never answers him is not waited for.
async fn answered<T>(ask: impl AsyncFn() -> anyhow::Result<T>) -> T {
    let ask = async || tokio::time::timeout(DEADLINE / 3, ask()).await?;
    for _ in 0..2 {
        if let Ok(answer) = ask().await {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    ask().await.unwrap()
}
