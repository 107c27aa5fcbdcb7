//! The AWS side: configuration -> discover -> plan -> poll -> fold -> snapshot -> encode.
//!
//! ```text
//! config --+--> target (one for each account and region)             serve
//!          |      discover: slow loop, what belongs to the stack       ^
//!          |      plan (pure) -> poll -> fold (pure): fast loop        | a copy for each scrape
//!          |      view: its rows ----------------------------> snapshot (immutable, swapped whole)
//!          +--> the next target ...                              ^
//! ```
//!
//! An exporter talks to AWS and never to Kubernetes. Each target fails alone and keeps what it
//! last knew. The tables of what is asked for are in [`crate::services`].
#![doc = include_str!("exactness.md")]

pub mod book;
pub mod buckets;
pub mod budget;
pub mod checkpoint;
pub mod collect;
pub mod config;
pub mod connections;
pub mod discover;
pub mod encode;
pub mod gates;
pub mod histograms;
pub mod inventory;
pub mod landing;
pub mod membership;
pub mod plan;
pub mod poll;
pub mod preview;
pub mod problems;
#[cfg(test)]
mod proofs;
pub mod series;
pub mod serve;
pub mod snapshot;
pub mod stats;
pub mod target;
pub mod telemetry;
pub mod view;
pub mod watched;
pub mod web;

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::api::Duration;
use crate::aws::Connector;
use crate::logging;
use budget::Economy;
use checkpoint::Store;
use config::{Config, Current};
use serve::Pages;
use snapshot::{Publisher, TargetKey};
use telemetry::Telemetry;
use web::{Protection, Web};

/// `nightjar exporter`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The stack to watch: a file with a ServerlessStack. A change of the file is taken over
    /// while running.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,

    /// Where to serve /metrics, /status, /healthz, /readyz and the landing page.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9988")]
    listen: SocketAddr,

    /// TLS, client certificates and passwords for what is served: a file in the web configuration format of
    /// Prometheus's exporter-toolkit. A change of it, or of a file that it names, is taken over while running.
    /// /healthz and /readyz, which say nothing but "ok", ask for no password.
    #[arg(long, alias = "web.config.file", value_name = "FILE")]
    web_config_file: Option<PathBuf>,

    /// A folder with the external ids of assumed roles: file `0` for the first of spec.accounts,
    /// `1` for the second ...
    #[arg(long, value_name = "DIR", default_value = "/etc/nightjar/external-ids")]
    external_ids: PathBuf,

    /// Where counters are kept, so that they go on after a restart and make up for what they missed.
    /// Without it they begin at 0 with each start. Two exporters must not share it.
    #[arg(long, env = "NIGHTJAR_STATE_DIR", value_name = "DIR")]
    state_dir: Option<PathBuf>,

    /// A folder with static keys: the files AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and perhaps
    /// AWS_SESSION_TOKEN, as a mounted Secret has them. They are read again every minute, so that
    /// they can be rotated. Without it credentials are looked for as every AWS program does.
    #[arg(long, env = "NIGHTJAR_CREDENTIALS", value_name = "DIR")]
    credentials: Option<PathBuf>,

    /// Which of the stack's `spec.exporter.shards` this is, counted from 0. Each watches its own
    /// accounts and regions.
    #[arg(
        long,
        env = "NIGHTJAR_SHARD",
        value_name = "NUMBER",
        default_value = "0"
    )]
    shard: u32,

    /// How long one attempt of a request to AWS may take; it is tried three times.
    #[arg(
        long,
        env = "NIGHTJAR_AWS_TIMEOUT",
        value_name = "DURATION",
        default_value = "20s"
    )]
    aws_timeout: Duration,

    /// How the log is written.
    #[arg(
        long,
        env = "NIGHTJAR_LOG_FORMAT",
        value_name = "FORMAT",
        default_value = "text"
    )]
    log_format: logging::Format,
}

/// Loads the configuration, and what protects the pages; an error is the user's to mend.
pub fn load(args: &Args) -> Result<(Config, Option<Protection>), config::ConfigError> {
    let config = config::load(&args.config, &args.external_ids)?;
    let protection = args.web_config_file.as_deref().map(web::load).transpose()?;
    Ok((config, protection))
}

/// Runs until SIGTERM or SIGINT, then finishes the requests that are under way.
pub async fn run(args: Args, config: Config, protection: Option<Protection>) -> anyhow::Result<()> {
    logging::init(args.log_format);
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    let shutdown = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping: finishing what is under way");
    };
    let stack = format!("{}/{}", config.namespace, config.name);
    let store = args.state_dir.map(|dir| Store::open(&dir, stack.clone()));
    let store = store.transpose()?.map(Arc::new);
    let listener = connections::listen(args.listen).with_context(|| {
        format!(
            "cannot listen on {}: choose another address with --listen",
            args.listen
        )
    })?;
    tracing::info!(
        address = %listener.local_addr()?,
        stack,
        "serving"
    );
    let telemetry = Telemetry::new(&config.name);
    if let Some(store) = &store {
        let wanted: Vec<_> = granted(&config, args.shard).into_keys().collect();
        let unusable = store.sort(&wanted).with_context(|| {
            format!(
                "cannot look into the folder of --state-dir: {}",
                store.dir().display()
            )
        })?;
        for (path, why) in unusable {
            let cause = why.as_str();
            tracing::error!(path = %path.display(), cause, "books cannot be used and are set aside: their counters begin at 0");
            telemetry.set_aside(cause);
        }
    }
    let web = args
        .web_config_file
        .zip(protection)
        .map(|(path, protection)| Arc::new(Web::new(path, protection, telemetry.clone())));
    let publisher = Arc::new(Publisher::new(telemetry.clone()));
    let (sender, current) = watch::channel(Current {
        config: Arc::new(config),
        error: None,
    });
    let mut loops = JoinSet::new();
    loops.spawn(config::follow(
        args.config,
        args.external_ids,
        telemetry.clone(),
        sender,
    ));
    let (carried_out, done) = watch::channel(None);
    let economy = Arc::new(Economy::default());
    let pages = Pages {
        economy: economy.clone(),
        shard: args.shard,
        carried_out: done,
        publisher: publisher.clone(),
        telemetry: telemetry.clone(),
        config: current.clone(),
        started: target::now_seconds(),
    };
    loops.spawn(supervise(
        Connector::new(args.aws_timeout.into(), args.credentials, telemetry.clone()).await,
        publisher,
        telemetry,
        current,
        store,
        args.shard,
        carried_out,
        economy,
    ));
    connections::serve(listener, pages, web, shutdown).await;
    Ok(())
}

/// Keeps one target running for each account and region that the configuration names and grants to
/// this shard. `carried_out` is the configuration that everything that runs is by: what it does not
/// grant has ended and is not published any more.
#[expect(
    clippy::too_many_arguments,
    reason = "most of them go on into the targets"
)]
async fn supervise(
    connector: Connector,
    publisher: Arc<Publisher>,
    telemetry: Telemetry,
    mut current: watch::Receiver<Current>,
    store: Option<Arc<Store>>,
    shard: u32,
    carried_out: watch::Sender<Option<Arc<Config>>>,
    economy: Arc<Economy>,
) {
    let mut running: BTreeMap<TargetKey, (Option<String>, JoinSet<()>)> = BTreeMap::new();
    let claims = Arc::new(Mutex::new(HashMap::new()));
    loop {
        let config = current.borrow_and_update().config.clone();
        let wanted = granted(&config, shard);
        economy.configure(
            config.spec.collection.interval().as_secs(),
            budget(&config, wanted.len()),
        );
        // A target whose external id changed begins anew. It has to be gone before that, or its end
        // would take the new one's view away.
        let ended = running.extract_if(.., |key, (external_id, _)| {
            wanted.get(key) != Some(external_id)
        });
        for (key, (_, mut set)) in ended.collect::<Vec<_>>() {
            set.shutdown().await;
            if let Some(store) = store.as_ref().filter(|_| !wanted.contains_key(&key)) {
                store.forget(&key);
            }
        }
        for (key, external_id) in wanted {
            let (connector, publisher, telemetry) =
                (connector.clone(), publisher.clone(), telemetry.clone());
            running.entry(key.clone()).or_insert_with(|| {
                let parts = target::Parts {
                    key,
                    external_id: external_id.clone(),
                    connector,
                    publisher,
                    telemetry,
                    config: current.clone(),
                    claims: claims.clone(),
                    store: store.clone(),
                    economy: economy.clone(),
                };
                let mut set = JoinSet::new();
                set.spawn(target::run(parts));
                (external_id, set)
            });
        }
        carried_out.send_replace(Some(config.clone()));
        telemetry.planned(&economy.terms());
        tokio::select! {
            changed = current.changed() => if changed.is_err() { return },
            // The forecast follows what discovery finds.
            () = tokio::time::sleep(std::time::Duration::from_secs(10)) => {}
        }
    }
}

/// The accounts and regions that a configuration grants to a shard, with their external ids.
fn granted(config: &Config, shard: u32) -> BTreeMap<TargetKey, Option<String>> {
    let mut granted = targets(config);
    granted.retain(|(role, region), _| config.assignment.grants(shard, role.as_deref(), region));
    granted
}

/// This exporter's part of the stack's budget, in dollars for 30 days: as its part of the accounts and regions.
#[expect(clippy::cast_precision_loss, reason = "small numbers")]
fn budget(config: &Config, granted: usize) -> Option<f64> {
    let all = targets(config).len().max(1);
    let whole = config.spec.collection.budget()?;
    Some(whole * granted as f64 / all as f64)
}

/// The accounts and regions of a configuration, with their external ids.
fn targets(config: &Config) -> BTreeMap<TargetKey, Option<String>> {
    let own = [(None, None)];
    let accounts: Vec<(Option<String>, Option<String>)> = if config.spec.accounts.is_empty() {
        own.into()
    } else {
        config
            .spec
            .accounts
            .iter()
            .map(|account| account.role_arn.clone())
            .zip(config.external_ids.clone())
            .collect()
    };
    let mut targets = BTreeMap::new();
    for region in &config.spec.regions {
        for (role, external_id) in &accounts {
            targets.insert((role.clone(), region.clone()), external_id.clone());
        }
    }
    targets
}
