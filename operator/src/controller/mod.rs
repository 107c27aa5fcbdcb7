//! The Kubernetes side: it turns each `ServerlessStack` into its exporters and tells how they are.
//!
//! ```text
//! ServerlessStack ─┐
//!                  ├─ resolve ─ desired ─ apply ─┐
//! what the cluster ┘    (pure)                   ├─ judge ─ status, Events
//! offers                     exporters' /status ─┘  (pure)
//! ```
//!
//! - [`resolve`]: what the objects depend on besides the stack.
//! - [`desired`]: all objects of the stack, computed from plain data.
//! - [`apply`]: the cluster is made to hold them, and written to only where it does not.
//! - [`look`]: the pods and the exporters are asked how they are.
//! - [`status`]: conditions and numbers, judged from plain facts.
//!
//! A reconciliation derives everything anew and trusts nothing that an earlier one left behind;
//! what is remembered between two only saves requests. Nothing here ever talks to AWS.
//!
//! Several replicas may run: all watch, the one that holds the Lease writes ([`leader`]).

pub mod apply;
mod client;
mod contest;
mod dashboards;
pub mod desired;
pub mod error;
pub mod exporters;
mod http;
pub mod kind;
pub mod leader;
pub mod look;
pub mod metrics;
mod optional;
mod readings;
pub mod reconcile;
pub mod render;
mod report;
pub mod resolve;
pub mod scope;
pub mod status;
mod trouble;
mod watches;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use futures::StreamExt;
use futures::future::join_all;
use kube::core::DeserializeGuard;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::api::ServerlessStack;
use crate::logging;
use dashboards::DashboardArgs;
use kind::Kind;
use leader::{Election, Leadership};
use metrics::Metrics;
use resolve::ExporterArgs;
use scope::Scope;

/// A stack, or why it is none: one that this version cannot read must not stop the others.
pub type Guarded = DeserializeGuard<ServerlessStack>;

/// `nightjar operator`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    exporter: ExporterArgs,

    #[command(flatten)]
    dashboards: DashboardArgs,

    /// Watch only this namespace; needs a Role there instead of a ClusterRole. Repeatable.
    /// Default: all namespaces.
    #[arg(long = "namespace", value_name = "NAMESPACE")]
    namespaces: Vec<String>,

    /// The Lease by whose holder all replicas of one operator know the one that writes.
    #[arg(
        long,
        env = "NIGHTJAR_LEASE_NAME",
        value_name = "NAME",
        default_value = "nightjar-operator"
    )]
    lease_name: String,

    /// The namespace of that Lease. Default: the operator's own.
    #[arg(long, env = "NIGHTJAR_LEASE_NAMESPACE", value_name = "NAMESPACE")]
    lease_namespace: Option<String>,

    /// Where the operator's own /metrics, /healthz and /readyz are served.
    #[arg(
        long,
        env = "NIGHTJAR_LISTEN",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:9989"
    )]
    listen: SocketAddr,

    /// How the log is written.
    #[arg(
        long,
        env = "NIGHTJAR_LOG_FORMAT",
        value_name = "FORMAT",
        default_value = "text"
    )]
    log_format: logging::Format,
}

/// The whole operator: one scope for each namespace, or one for all.
pub(crate) struct Operator {
    metrics: Arc<Metrics>,
    leadership: Leadership,
    scopes: Vec<Arc<Scope>>,
}

impl Operator {
    /// What keeps this replica from taking over at once; it need not lead.
    fn why_not_ready(&self) -> Option<&'static str> {
        if !self.scopes.iter().all(|scope| scope.is_ready()) {
            return Some("the first list of stacks is not here yet");
        }
        if !self.scopes.iter().all(|scope| scope.is_warm()) {
            return Some("the first lists of what stacks own are not here yet");
        }
        if !self.leadership.is_possible() {
            return Some("the Kubernetes API does not tell about the Lease: see the log");
        }
        None
    }

    fn metrics_text(&self) -> String {
        let mut now = metrics::Now {
            leads: self.leadership.is_leading(),
            ..metrics::Now::default()
        };
        for scope in &self.scopes {
            now.waiting += i64::try_from(scope.waiting.len()).unwrap_or(i64::MAX);
            for stack in scope.stacks() {
                match &stack.0 {
                    Err(_) => now.undecodable += 1,
                    Ok(stack) if stack.status.as_ref().is_some_and(status::says_ready) => {
                        now.ready += 1;
                    }
                    Ok(_) => now.not_ready += 1,
                }
            }
        }
        self.metrics.encode(&now)
    }
}

/// How long running reconciliations may take to end after SIGTERM. What is cut off is done again by
/// the next leader, who shall not wait for it.
const GRACE: Duration = Duration::from_millis(1500);

/// Runs until it is told to stop by SIGTERM or SIGINT; running reconciliations end first. An error
/// if it lost the leadership: whoever started it shall start it again.
pub async fn run(args: Args) -> anyhow::Result<()> {
    logging::init(args.log_format);
    // Explicitly, so that it does not depend on which TLS library another crate brings along.
    // An error means that somebody else was first, with the only one that we build.
    let _ = rustls::crypto::ring::default_provider().install_default();

    let listener = http::bind(args.listen).await?;
    let config = kube::Config::infer()
        .await
        .context("cannot find the Kubernetes API: neither a pod's service account nor a kubeconfig can be used")?;
    let stop = stop_signal()?;
    let metrics = Arc::new(Metrics::new());
    let cannot = "cannot use the configuration for the Kubernetes API";
    let home = args.lease_namespace.as_ref();
    let home = home.unwrap_or(&config.default_namespace).clone();
    let (election, leadership) = Election::new(
        client::client(&config, &metrics, None).context(cannot)?,
        &home,
        &args.lease_name,
        identity(),
    );
    let client = client::client(&config, &metrics, Some(leadership.clone())).context(cannot)?;

    let namespaces: Vec<Option<String>> = match &args.namespaces[..] {
        [] => vec![None],
        some => some.iter().cloned().map(Some).collect(),
    };
    // From here on nothing waits for the API server: it may be away, and the kubelet shall find a
    // process that lives and hears that it is to stop.
    let mut tasks = JoinSet::new();
    let (presence, served) = watch::channel(None);
    let mut kinds = Kind::OPTIONAL.to_vec();
    if args.dashboards.want_the_kind() {
        kinds.push(Kind::GrafanaDashboard);
        tasks.spawn(dashboards::run(
            args.dashboards.clone(),
            client.clone(),
            home,
            served.clone(),
            leadership.clone(),
        ));
    }
    tasks.spawn(optional::presence(kinds, client.clone(), presence));
    let around = watches::Around {
        client,
        exporter: args.exporter.clone(),
        wants_grafana: args.dashboards.want_the_kind(),
        served,
        leadership: leadership.clone(),
        metrics: Arc::clone(&metrics),
    };
    let mut scopes = Vec::new();
    let mut controllers = Vec::new();
    for namespace in namespaces {
        let (scope, controller) = watches::scope(&around, namespace.as_deref(), &mut tasks);
        let mut stop = stop.clone();
        let controller = controller.graceful_shutdown_on(async move {
            // An error means that the sender is gone, and with it the process.
            let _ = stop.wait_for(|stop| *stop).await;
        });
        let context = Arc::clone(&scope);
        controllers.push(async move {
            controller
                .run(reconcile::reconcile, reconcile::on_error, context)
                .for_each(|result| {
                    watches::log(result);
                    std::future::ready(())
                })
                .await;
        });
        scopes.push(scope);
    }
    tracing::info!(listen = %args.listen, namespaces = ?args.namespaces, exporter_image = args.exporter.image, "the operator runs");
    let operator = Arc::new(Operator {
        metrics,
        leadership,
        scopes,
    });
    let http = tokio::spawn(http::serve(listener, operator));
    let (done, may_release) = watch::channel(false);
    let mut election = std::pin::pin!(election.run(may_release));
    let mut cut_off = stop.clone();
    let stopped = async move {
        if cut_off.wait_for(|stop| *stop).await.is_err() {
            return;
        }
        tokio::time::sleep(GRACE).await;
        tracing::warn!("a reconciliation did not end in time: the next leader does it again");
    };
    tokio::select! {
        lost = &mut election => {
            lost.context("this replica does not lead any more and ends, so that nothing is written twice")?;
            anyhow::bail!("the election ended without being told to");
        }
        _ = join_all(controllers) => {}
        () = stopped => {}
        // A panic, most likely: what it watched would never be seen again.
        ended = tasks.join_next() => anyhow::bail!("a watch ended without being told to: {ended:?}"),
    }
    tasks.abort_all();
    anyhow::ensure!(*stop.borrow(), "a controller ended without being told to");
    done.send_replace(true);
    // It loses what it is giving back: then somebody else has it already.
    if let Err(error) = election.await {
        tracing::warn!(%error, "the Lease is somebody else's already");
    }
    http.abort();
    tracing::info!("stopped");
    Ok(())
}

/// The name under which this replica holds the Lease. A pod's name is nobody else's, and stays
/// when its container starts again, so that it need not wait for its own Lease.
fn identity() -> String {
    std::env::var("POD_NAME")
        .unwrap_or_else(|_| format!("operator-{}-{:08x}", std::process::id(), fastrand::u32(..)))
}

/// Becomes true at SIGTERM or SIGINT.
fn stop_signal() -> anyhow::Result<watch::Receiver<bool>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let (sender, receiver) = watch::channel(false);
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping: running reconciliations end first");
        sender.send_replace(true);
        // The channel stays open for whoever asks later.
        sender.closed().await;
    });
    Ok(receiver)
}
