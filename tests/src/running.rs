//! Exporters as processes, for figures: under the real clock, or under one that runs as fast as the simulator's.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, bail};

use crate::http;
use crate::samples::{Series, parse};
use crate::simulator::Simulator;

/// A process that is killed when dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    nightjar: PathBuf,
    environment: Vec<(String, String)>,
    name: String,
    /// Its configuration, and its books.
    pub dir: tempfile::TempDir,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Running {
    /// Starts one for a stack with a specification. Where the simulator's clock runs faster, `nightjar` has to be
    /// linked dynamically.
    pub fn start(
        nightjar: &Path,
        simulator: &Simulator,
        name: &str,
        spec: &str,
    ) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        write_stack(dir.path(), name, spec)?;
        let address = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let environment = vec![
            ("AWS_ENDPOINT_URL".to_owned(), simulator.url()),
            ("AWS_ACCESS_KEY_ID".to_owned(), "AKIABENCH".to_owned()),
            ("AWS_SECRET_ACCESS_KEY".to_owned(), "bench".to_owned()),
        ];
        let nightjar = nightjar.to_owned();
        let child = spawn(&nightjar, simulator, dir.path(), address, &environment)?;
        Ok(Self {
            child,
            nightjar,
            environment,
            name: name.to_owned(),
            dir,
            address,
        })
    }

    /// Gives its stack another specification, which it takes over while it runs.
    pub fn configure(&self, spec: &str) -> anyhow::Result<()> {
        write_stack(self.dir.path(), &self.name, spec)
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kills it as the kernel does.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Kills it, and starts it again in its folder, at the time that it is now in the simulator.
    pub fn start_again(&mut self, simulator: &Simulator) -> anyhow::Result<()> {
        self.kill();
        self.child = spawn(
            &self.nightjar,
            simulator,
            self.dir.path(),
            self.address,
            &self.environment,
        )?;
        Ok(())
    }

    /// Its samples; none while it does not answer.
    pub async fn scrape(&self) -> Option<BTreeMap<Series, f64>> {
        let accept = [("accept", "application/openmetrics-text")];
        let url = format!("http://{}/metrics", self.address);
        let body = http::request("GET", &url, &accept, "").await.ok()?;
        parse(std::str::from_utf8(&body).ok()?).ok()
    }

    /// Scrapes it as Prometheus does: compressed.
    pub async fn scrape_as_prometheus(&self) -> anyhow::Result<()> {
        let url = format!("http://{}/metrics", self.address);
        let headers = [
            ("accept", "application/openmetrics-text;version=1.0.0"),
            ("accept-encoding", "gzip"),
        ];
        http::request("GET", &url, &headers, "").await.map(drop)
    }

    /// Functions that are published.
    pub async fn functions(&self) -> usize {
        let url = format!("http://{}/metrics", self.address);
        let text = http::text(&url).await.unwrap_or_default();
        text.lines()
            .filter(|line| line.starts_with("aws_lambda_invocations_total{"))
            .count()
    }

    /// When Lambda was last polled as a whole.
    pub async fn last_poll(&self) -> Option<i64> {
        let url = format!("http://{}/status", self.address);
        let status: serde_json::Value = http::json(&url).await.ok()?;
        status["targets"][0]["services"]["lambda"]["lastPoll"].as_i64()
    }

    /// Seconds of CPU time that it has used.
    pub fn cpu_seconds(&self) -> anyhow::Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid()))?;
        let fields: Vec<&str> = stat
            .rsplit_once(')')
            .map(|(_, rest)| rest.split_whitespace().collect())
            .unwrap_or_default();
        let ticks = |place: usize| fields.get(place).and_then(|text| text.parse::<f64>().ok());
        let (user, system) = ticks(11)
            .zip(ticks(12))
            .context("the kernel does not tell the CPU time")?;
        Ok((user + system) / 100.0)
    }

    /// The most memory that it ever had, in MiB.
    pub fn peak(&self) -> anyhow::Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let kilobytes = status.lines().find_map(|line| {
            let value = line.strip_prefix("VmHWM:")?.trim();
            value.strip_suffix(" kB")?.trim().parse::<f64>().ok()
        });
        Ok(kilobytes.context("the kernel does not tell the peak memory")? / 1024.0)
    }
}

fn write_stack(dir: &Path, name: &str, spec: &str) -> anyhow::Result<()> {
    let stack = format!(
        "apiVersion: nightjar.dev/v1alpha1\nkind: ServerlessStack\nmetadata: {{name: {name}}}\nspec: {spec}\n"
    );
    // At once, as the kubelet does it: half a file is not to be read.
    std::fs::write(dir.join("stack.new"), stack)?;
    Ok(std::fs::rename(
        dir.join("stack.new"),
        dir.join("stack.yaml"),
    )?)
}

fn spawn(
    nightjar: &Path,
    simulator: &Simulator,
    dir: &Path,
    address: SocketAddr,
    environment: &[(String, String)],
) -> anyhow::Result<Child> {
    let mut command = Command::new(nightjar);
    if simulator.speed() > 1.0 {
        let library = PathBuf::from(format!(
            "/usr/lib/{}-linux-gnu/faketime/libfaketimeMT.so.1",
            std::env::consts::ARCH
        ));
        if !library.exists() {
            bail!(
                "{} is not there: run tests/parts/debian test-exporter",
                library.display()
            );
        }
        let now = jiff::Timestamp::from_millisecond(simulator.now_ms())?;
        let now = now.strftime("%Y-%m-%d %H:%M:%S");
        command
            .env("LD_PRELOAD", library)
            .env("FAKETIME", format!("@{now} x{}", simulator.speed()))
            .env("TZ", "UTC");
    }
    let log = std::fs::File::options()
        .create(true)
        .append(true)
        .open(dir.join("log"))?;
    command
        .env("MALLOC_ARENA_MAX", "1") // as in the image
        .args(["exporter", "--aws-timeout", "10m"])
        .args(["--listen", &address.to_string(), "--config"])
        .arg(dir.join("stack.yaml"))
        .arg("--state-dir")
        .arg(dir.join("state"))
        .envs(environment.iter().cloned())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .with_context(|| format!("{} does not start", nightjar.display()))
}
