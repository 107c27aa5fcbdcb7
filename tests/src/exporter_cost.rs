//! What an exporter costs with many functions: the size of its binary, its memory, and how fast it is scraped.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use nightjar::api::exporter_status::ExporterStatus;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::figure::Figure;
use crate::http;
use crate::running::Running;
use crate::simulator::{Options, Simulator};

/// An exporter that watches generated functions.
struct Exporter {
    running: Running,
    _simulator: Simulator,
}

impl Exporter {
    async fn start(nightjar: &Path, functions: u32, collection: &str) -> anyhow::Result<Self> {
        let account = format!(
            "accounts: [{{id: '111122223333', regions: {{eu-west-1: {{generated: [{{functions: {functions}, prefix: shop-}}]}}}}}}]"
        );
        let simulator = Simulator::from_text(&account, Options::default()).await?;
        let spec = format!(
            "{{regions: [eu-west-1], select: [{{names: [\"shop-*\"]}}], collection: {{{collection}}}}}"
        );
        Ok(Self {
            running: Running::start(nightjar, &simulator, "bench", &spec)?,
            _simulator: simulator,
        })
    }

    /// Takes `/metrics` as a scraper does, and answers how long it took and the bytes of it.
    async fn scrape(&self, encoding: &str) -> anyhow::Result<(Duration, usize)> {
        let begun = Instant::now();
        let mut stream = TcpStream::connect(self.running.address).await?;
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
}

/// The size of the binary, and the memory of an exporter with 100, 1,000 and 10,000 functions.
#[expect(clippy::cast_precision_loss, reason = "bytes in megabytes")]
pub async fn size_and_memory(nightjar: &Path) -> anyhow::Result<Vec<Figure>> {
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
        let peak = exporter.running.peak()?;
        let found = exporter.running.functions().await;
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
pub async fn scrapes(nightjar: &Path) -> anyhow::Result<Vec<Figure>> {
    // More functions than that many series need; the cap makes the number exact, but for one function.
    let exporter = Exporter::start(nightjar, 20_000, "interval: 1m, maxSeries: 100000").await?;
    let status = format!("http://{}/status", exporter.running.address);
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
