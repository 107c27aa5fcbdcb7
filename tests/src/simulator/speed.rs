//! How fast the simulator answers and how much memory an account takes: two figures for `make bench`.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use minicbor::Encoder;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::account::AccountFile;
use super::{Options, Simulator};
use crate::figure::Figure;

const QUERIES: usize = 500;
const MINUTES: i64 = 5;

/// Measures both figures. Wants a process of its own that was built with optimisations: memory is
/// the whole process's.
pub async fn figures() -> Result<Vec<Figure>, String> {
    let text =
        "accounts: [{id: '111122223333', regions: {eu-west-1: {generated: [{functions: 10000}]}}}]";
    let account = AccountFile::parse("<speed>", text).map_err(|e| e.to_string())?;
    let options = Options {
        limits: false,
        ..Options::default()
    };
    let simulator = Simulator::start(&account, options)
        .await
        .map_err(|e| e.to_string())?;
    drop(account);
    let now = simulator.now_ms() / 60_000 * 60;
    let request = request(now - 60 * MINUTES, now);
    let mut times = Vec::new();
    let mut stream = TcpStream::connect(simulator.address())
        .await
        .map_err(|e| e.to_string())?;
    stream.set_nodelay(true).map_err(|e| e.to_string())?;
    for _ in 0..100 {
        let begun = Instant::now();
        let body = exchange(&mut stream, simulator.address(), &request).await?;
        times.push(begun.elapsed());
        // Each datapoint is a nine byte double and a six byte timestamp: fewer bytes mean that
        // something was not answered.
        if body < QUERIES * 5 * 15 {
            return Err(format!(
                "the answer is only {body} bytes: not all datapoints are in it"
            ));
        }
    }
    times.sort();
    let median = times[times.len() / 2].as_secs_f64() * 1000.0;
    let worst = times[times.len() - 1];
    let memory = resident_mb()?;
    let build = if cfg!(debug_assertions) {
        "debug build"
    } else {
        "release build"
    };
    Ok(vec![
        Figure::at_most(
            "simulator: GetMetricData, 500 queries x 5 datapoints",
            median,
            "ms",
            5.0,
            format!(
                "median of 100 calls over HTTP in CBOR, worst {}, {build}",
                shown(worst)
            ),
        ),
        Figure {
            name: "simulator: memory with 10,000 functions".to_owned(),
            value: memory,
            unit: "MB".to_owned(),
            goal: "< 50".to_owned(),
            ok: memory < 50.0,
            note: format!("resident set of the whole process after 100 calls, {build}"),
        },
    ])
}

fn shown(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}

/// Five metrics of a hundred functions, as an exporter asks for them.
fn request(start: i64, end: i64) -> Vec<u8> {
    let metrics = [
        ("Invocations", "Sum"),
        ("Errors", "Sum"),
        ("Throttles", "Sum"),
        ("Duration", "Sum"),
        ("Duration", "p99"),
    ];
    let mut encoder = Encoder::new(Vec::new());
    let written = (|| {
        let e = &mut encoder;
        e.map(3)?
            .str("StartTime")?
            .tag(minicbor::data::Tag::new(1))?
            .i64(start)?;
        e.str("EndTime")?
            .tag(minicbor::data::Tag::new(1))?
            .i64(end)?;
        e.str("MetricDataQueries")?.array(QUERIES as u64)?;
        for number in 0..QUERIES {
            let (metric, statistic) = metrics[number % metrics.len()];
            let function = format!("fn-{:05}", number / metrics.len());
            e.map(2)?.str("Id")?.str(&format!("q{number}"))?;
            e.str("MetricStat")?
                .map(3)?
                .str("Period")?
                .u32(60)?
                .str("Stat")?
                .str(statistic)?;
            e.str("Metric")?
                .map(3)?
                .str("Namespace")?
                .str("AWS/Lambda")?;
            e.str("MetricName")?
                .str(metric)?
                .str("Dimensions")?
                .array(1)?;
            e.map(2)?
                .str("Name")?
                .str("FunctionName")?
                .str("Value")?
                .str(&function)?;
        }
        Ok::<(), minicbor::encode::Error<std::convert::Infallible>>(())
    })();
    written.expect("writing to memory cannot fail");
    encoder.into_writer()
}

/// One call over a connection that is kept; returns the length of the answer's body.
async fn exchange(
    stream: &mut TcpStream,
    address: SocketAddr,
    body: &[u8],
) -> Result<usize, String> {
    let mut head = String::new();
    let _ = write!(
        head,
        "POST /service/GraniteServiceVersion20100801/operation/GetMetricData HTTP/1.1\r\nhost: {address}\r\n\
         content-type: application/cbor\r\nsmithy-protocol: rpc-v2-cbor\r\ncontent-length: {}\r\nauthorization: \
         AWS4-HMAC-SHA256 Credential=KEY/20260101/eu-west-1/monitoring/aws4_request, Signature=none\r\n\r\n",
        body.len()
    );
    let failed = |e: std::io::Error| format!("the simulator did not answer: {e}");
    let mut request = head.into_bytes();
    request.extend_from_slice(body);
    stream.write_all(&request).await.map_err(failed)?;
    let mut answer = Vec::with_capacity(128 * 1024);
    loop {
        if let Some(end) = answer.windows(4).position(|w| w == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
            if !head.starts_with("http/1.1 200") {
                return Err(format!("the simulator refused: {head}"));
            }
            let length: usize = head
                .lines()
                .find_map(|l| l.strip_prefix("content-length: "))
                .and_then(|l| l.trim().parse().ok())
                .ok_or("the answer has no length")?;
            while answer.len() < end + 4 + length {
                if stream.read_buf(&mut answer).await.map_err(failed)? == 0 {
                    return Err("the simulator hung up".to_owned());
                }
            }
            return Ok(length);
        }
        if stream.read_buf(&mut answer).await.map_err(failed)? == 0 {
            return Err("the simulator hung up".to_owned());
        }
    }
}

/// Resident memory of this process.
fn resident_mb() -> Result<f64, String> {
    let status = std::fs::read_to_string("/proc/self/status")
        .map_err(|e| format!("/proc/self/status: {e}"))?;
    let kib: f64 = status
        .lines()
        .find_map(|l| l.strip_prefix("VmRSS:"))
        .and_then(|l| l.trim().trim_end_matches(" kB").parse().ok())
        .ok_or("/proc/self/status has no VmRSS")?;
    Ok(kib * 1024.0 / 1_000_000.0)
}
