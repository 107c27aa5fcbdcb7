//! Exporters as an operator sees them: an address of each in an EndpointSlice, and a `/status` that tells something new
//! whenever an exporter has polled.
#![allow(clippy::unwrap_used, reason = "a measurement ends there")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use nightjar::api::exporter_status::{ExporterStatus, ServiceStatus, Spend, TargetStatus, VERSION};
use nightjar::api::hash::sha256_hex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::kube_api::{Namespace, address};

/// How often CloudWatch is asked by default.
const INTERVAL: i64 = 300;
/// Resources of a stack, by service.
const RESOURCES: [(&str, u64); 3] = [("lambda", 70), ("dynamodb", 20), ("apigateway", 10)];

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_secs()).unwrap()
}

/// One exporter with a hundred resources.
struct Exporter {
    stack: String,
    config_hash: String,
    generation: i64,
    /// When it polled first; then once in each interval.
    first_poll: i64,
}

impl Exporter {
    fn status(&self) -> ExporterStatus {
        let polls = (now() - self.first_poll) / INTERVAL;
        let last_poll = self.first_poll + polls * INTERVAL;
        let service = |resources| ServiceStatus {
            resources,
            last_poll: Some(last_poll),
            counted_through: Some((last_poll - 180) / 60 * 60),
        };
        let services: BTreeMap<String, ServiceStatus> = RESOURCES
            .map(|(name, resources)| (name.to_owned(), service(resources)))
            .into();
        ExporterStatus {
            version: VERSION,
            build: env!("CARGO_PKG_VERSION").to_owned(),
            stack: self.stack.clone(),
            config_hash: self.config_hash.clone(),
            generation: Some(self.generation),
            started: self.first_poll - 30,
            series: 1500,
            spend: Spend {
                metrics_requested: 900 * u64::try_from(polls + 1).unwrap(),
                forecast_usd_per_month: 77.76,
                interval_seconds: 300,
                ..Spend::default()
            },
            targets: vec![TargetStatus {
                account_id: Some("111122223333".to_owned()),
                region: "eu-west-1".to_owned(),
                last_discovery: Some(last_poll - 20),
                services,
                ..TargetStatus::default()
            }],
            ..ExporterStatus::default()
        }
    }
}

/// Starts the exporter of a stack whose objects are there, and says so as the StatefulSet's controller would. `asked` counts
/// how often it is read. It polls at a moment of its own within the interval.
pub async fn start(namespace: &Namespace, name: &str, moment: i64, asked: Arc<AtomicU64>) {
    let object = format!("{name}-exporter");
    let map = namespace.of("ConfigMap").get(&object).await.unwrap();
    let stack = namespace.of("ServerlessStack").get(name).await.unwrap();
    let file = map.data["data"]["stack.yaml"].as_str().unwrap();
    let exporter = Exporter {
        stack: format!("{}/{name}", namespace.name),
        config_hash: sha256_hex(file.as_bytes()),
        generation: stack.metadata.generation.unwrap(),
        first_poll: now() - moment.rem_euclid(INTERVAL),
    };
    let listener = TcpListener::bind((address(), 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await;
            asked.fetch_add(1, Ordering::Relaxed);
            let status = serde_json::to_string(&exporter.status()).unwrap();
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{status}",
                status.len()
            );
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    namespace.pod_serves(name, 0, port).await;
    namespace.pods_are_ready(name, 1).await;
}
