//! `nightjar plan`: what an exporter would watch, ask and cost, and what it lacks to do so.
//!
//! It finds resources with the exporter's own discovery, and counts questions with the exporter's
//! own planner: no number here is worked out in a second way. It polls no metrics; whether they may
//! be read is found out with one request, which CloudWatch bills at 0.00001 US dollars.

mod report;
mod text;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

use futures::StreamExt as _;

use super::book::Minute;
use super::config::{self, Config};
use super::discover::{self, Discovered};
use super::membership::Resolver;
use super::snapshot::TargetKey;
use super::telemetry::Telemetry;
use crate::api::{Duration, Reason};
use crate::aws::{AssumedRole, AwsError, Clients, Connector, Identity};
use crate::services::memory::Memory;
use crate::services::reference;
use report::{Permission, Report, Requests, TargetReport};

/// Accounts and regions that are looked at at once.
const CONCURRENT_TARGETS: usize = 16;

/// `nightjar plan`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The file with the ServerlessStack.
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,

    /// How the plan is printed.
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Format,

    /// A folder with the external ids of assumed roles: file `0` for the first of spec.accounts,
    /// `1` for the second ...
    #[arg(long, value_name = "DIR", default_value = "/etc/nightjar/external-ids")]
    external_ids: PathBuf,

    /// A folder with static keys: the files AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and perhaps
    /// AWS_SESSION_TOKEN, as a mounted Secret has them. They are read again every minute, so that
    /// they can be rotated. Without it credentials are looked for as every AWS program does.
    #[arg(long, env = "NIGHTJAR_CREDENTIALS", value_name = "DIR")]
    credentials: Option<PathBuf>,

    /// How long one attempt of a request to AWS may take; it is tried three times.
    #[arg(long, value_name = "DURATION", default_value = "20s")]
    aws_timeout: Duration,
}

/// How the plan is printed.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Format {
    /// Tables for people.
    Text,
    /// One JSON document.
    Json,
}

/// Loads the stack; an error is the user's to mend.
pub fn load(args: &Args) -> Result<Config, config::ConfigError> {
    config::load(&args.file, &args.external_ids)
}

/// Prints the plan. Answers 0, or 1 when something is missing.
pub async fn run(args: &Args, config: &Config) -> ExitCode {
    let report = preview(args, config).await;
    match args.output {
        Format::Text => print!("{}", text::render(&report)),
        Format::Json => println!("{:#}", serde_json::json!(report)),
    }
    ExitCode::from(u8::from(!report.complete()))
}

async fn preview(args: &Args, config: &Config) -> Report {
    let connector = Connector::new(
        args.aws_timeout.into(),
        args.credentials.clone(),
        Telemetry::new(&config.name),
    )
    .await;
    let looks = super::targets(config)
        .into_iter()
        .map(|(key, external_id)| look(&connector, config, key, external_id));
    let mut targets: Vec<TargetReport> = futures::stream::iter(looks)
        .buffered(CONCURRENT_TARGETS)
        .collect()
        .await;
    // As the exporter does it: one of two identities of the same account watches it.
    let mut seen = BTreeSet::new();
    for target in &mut targets {
        let Some(account) = target.account_id.clone() else {
            continue;
        };
        let pair = (account, target.region.clone());
        if !seen.insert(pair) {
            target.twice();
        }
    }
    Report::new(config, targets)
}

/// Looks at one account and region.
async fn look(
    connector: &Connector,
    config: &Config,
    key: TargetKey,
    external_id: Option<String>,
) -> TargetReport {
    let (role_arn, region) = key;
    let role = role_arn.as_deref().map(|arn| AssumedRole {
        arn,
        external_id: external_id.as_deref(),
    });
    let telemetry = Telemetry::new(&config.name);
    let aws = connector
        .metered_by(telemetry.clone())
        .connect(&region, role.as_ref())
        .await;
    let mut target = TargetReport {
        role_arn: role_arn.clone(),
        region: region.clone(),
        ..TargetReport::default()
    };
    let identity = match aws.identity().await {
        Ok(identity) => identity,
        Err(error) => {
            target.add_problem(error);
            return target;
        }
    };
    target.account_id = Some(identity.account_id.clone());
    let found = discover(&aws, &identity, config).await;
    let services = discover::services(&config.spec);
    let actions = reference::actions(&config.spec, &services);
    for (action, _) in &actions {
        let count = telemetry.aws_requests(action, &region);
        if count > 0 {
            target.requests.push(Requests::of_look_up(
                action,
                count,
                config.spec.collection.discovery_interval,
            ));
        }
    }
    let denied = denied(&found);
    for (action, purpose) in actions {
        let allowed = if denied.contains(&action) {
            Some(false)
        } else if telemetry.aws_requests(action, &region) > 0 {
            Some(true)
        } else {
            match aws.probe(action).await {
                None => None,
                Some(Ok(())) => Some(true),
                Some(Err(error)) => match error.reason {
                    Reason::AccessDenied => Some(false),
                    Reason::NotFound | Reason::InvalidRequest => Some(true),
                    _ => {
                        target.add_problem(error);
                        None
                    }
                },
            }
        };
        target.permissions.push(Permission {
            action,
            purpose,
            allowed,
        });
    }
    target.take(config, found, Minute::of(SystemTime::now()));
    target
}

async fn discover(aws: &Clients, identity: &Identity, config: &Config) -> Discovered {
    let (mut resolver, memory) = (Resolver::default(), Memory::default());
    discover::round(aws, identity, &mut resolver, &memory, &config.spec).await
}

/// The actions that a look was denied.
fn denied(found: &Discovered) -> Vec<&'static str> {
    let of_services = found.services.iter().flat_map(|(_, found)| match found {
        Ok(found) => found
            .problems
            .iter()
            .chain(&found.lesser)
            .collect::<Vec<_>>(),
        Err(error) => vec![error],
    });
    let is_denial = |error: &&AwsError| error.reason == Reason::AccessDenied;
    found
        .problems
        .iter()
        .chain(of_services)
        .filter(is_denial)
        .map(|error| error.action)
        .collect()
}
