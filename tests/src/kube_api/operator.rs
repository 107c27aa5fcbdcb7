//! Operators that run against the API server, each as a user of its own.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::process::Launch;
use super::{KubeApi, PATIENCE, fault_proxy, free_ports, kubeconfig_text};
use crate::http;

/// The user as whom the first operator of an API server runs, with no right but the chart's. Each
/// operator is a user of its own, so that the audit log tells them apart.
pub const OPERATOR_USER: &str = "operator-0";
/// How many operators one API server may see.
pub(super) const MOST_OPERATORS: usize = 96;

/// A running operator.
pub struct Operator {
    /// Its name in the audit log, and as the holder of the Lease.
    pub name: String,
    listen: u16,
    launch: Arc<Launch>,
}

pub(super) fn operator_user(number: usize) -> String {
    format!("operator-{number}")
}

impl KubeApi {
    /// Starts an operator and does not wait for it.
    pub fn operator(&self, arguments: &[&str]) -> Operator {
        self.operator_by(None, arguments)
    }

    /// The same, with another way to the API server: the address of a proxy.
    pub fn operator_by(&self, address: Option<&str>, arguments: &[&str]) -> Operator {
        let number = self.operators.fetch_add(1, Ordering::Relaxed);
        assert!(
            number < MOST_OPERATORS,
            "there is no user for one more operator"
        );
        let name = operator_user(number);
        let kubeconfig = match address {
            None => self.kubeconfig(&name),
            Some(address) => {
                let path = self.folder.join(format!("kubeconfig-{name}-by-proxy"));
                let cluster = self.cluster(address);
                fs::write(&path, kubeconfig_text(&cluster, &name)).unwrap();
                path
            }
        };
        let [listen] = free_ports();
        let mut all = vec![
            "operator".to_owned(),
            format!("--listen=127.0.0.1:{listen}"),
        ];
        if !arguments
            .iter()
            .any(|argument| argument.starts_with("--lease-name="))
        {
            all.push("--lease-name=nightjar".to_owned());
        }
        all.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        let environment = vec![
            ("KUBECONFIG", kubeconfig.display().to_string()),
            ("POD_NAME", name.clone()),
            ("MALLOC_ARENA_MAX", "1".to_owned()), // as in the image
            ("RUST_LOG", "info,nightjar=debug".to_owned()),
            ("NO_COLOR", "1".to_owned()),
        ];
        let log = self.folder.join(format!("{name}.log"));
        let launch = Launch::new(self.binary.clone(), all, environment, log);
        Operator {
            launch: Arc::new(launch),
            listen,
            name,
        }
    }
}

impl Operator {
    /// The value of one of its own metrics, by its name and labels as they are written; empty if
    /// there is none.
    pub async fn metric(&self, series: &str) -> String {
        let url = format!("http://127.0.0.1:{}/metrics", self.listen);
        let text = http::text(&url).await.unwrap_or_default();
        let mut values = text.lines().filter_map(|line| line.strip_prefix(series));
        values.next().unwrap_or_default().trim().to_owned()
    }

    /// All its own metrics.
    pub async fn metrics(&self) -> String {
        let url = format!("http://127.0.0.1:{}/metrics", self.listen);
        http::text(&url).await.unwrap()
    }

    /// Whether it says that it could take over.
    pub async fn is_ready(&self) -> bool {
        let url = format!("http://127.0.0.1:{}/readyz", self.listen);
        http::text(&url).await.is_ok()
    }

    /// Sends it a signal, for example `TERM`.
    pub fn signal(&self, signal: &str) {
        self.launch.signal(signal);
    }

    /// Kills it, if it still runs, as the loss of its machine would.
    pub fn dies(&self) {
        self.launch.stop();
    }

    /// Starts it again as who it was. If it still runs, it is killed first.
    pub fn restart(&self) {
        self.launch.start();
    }

    /// From now on it is started again whenever it ends by itself, as a kubelet would.
    pub fn supervise(&self) {
        let launch = Arc::downgrade(&self.launch);
        fault_proxy::background().spawn(async move {
            while let Some(launch) = launch.upgrade() {
                if launch.ended().is_some() {
                    launch.start();
                }
                drop(launch);
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        });
    }

    /// Its process, which is another one after a restart.
    pub fn pid(&self) -> u32 {
        self.launch.process().as_ref().unwrap().0.id()
    }

    /// Waits until it has ended, and answers its exit code; none if a signal ended it.
    pub async fn ended(&mut self) -> Option<i32> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.launch.ended() {
                return status.code();
            }
            assert!(
                Instant::now() < deadline,
                "it does not end, see {}",
                self.launch.log.display()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// How many lines of the log hold all of these.
    pub fn lines_with(&self, parts: &[&str]) -> usize {
        let text = fs::read_to_string(&self.launch.log).unwrap_or_default();
        text.lines()
            .filter(|line| parts.iter().all(|part| line.contains(part)))
            .count()
    }
}
