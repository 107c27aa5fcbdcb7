//! The table of truth: what Prometheus holds beside what AWS finally counted.
//!
//! It opens the simulated shop for a while and closes it again, so that there is an end after
//! which nothing can change any more, and waits until the exporter says that it counted past it.
//! Which resources the stack has it asks the account itself, so that one that is missing shows.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail, ensure};
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use aws_sdk_resourcegroupstagging::types::TagFilter;
use clap::Parser;
use nightjar_tests::http;
use nightjar_tests::samples::{Range, Series, ranges};
use nightjar_tests::truth::{same, source};
use nightjar_tests::webhook::Seen;

/// Compares the counters in Prometheus with the simulator's truth.
#[derive(Debug, Parser)]
struct Args {
    /// Prometheus, for example <http://198.18.1.7:9090>
    #[arg(long)]
    prometheus: String,
    /// The simulator, for example <http://198.18.0.1:4566>
    #[arg(long)]
    simulator: String,
    /// The stack's namespace
    #[arg(long)]
    namespace: String,
    /// The stack's name
    #[arg(long)]
    stack: String,
    /// The stack's regions
    #[arg(long = "region", default_values = ["eu-west-1", "us-east-1"])]
    regions: Vec<String>,
    /// What has one of these tags is a part of the stack
    #[arg(long = "tag", value_name = "KEY=VALUE", default_values = ["app=checkout", "aws:cloudformation:stack-name=checkout-prod"])]
    tags: Vec<String>,
    /// For how many minutes the shop is open
    #[arg(long, default_value_t = 2)]
    open_minutes: i64,
    /// Give up after so many seconds
    #[arg(long, default_value_t = 1200)]
    patience: u64,
    /// How many rows of the table are printed; all are compared
    #[arg(long, default_value_t = 16)]
    rows: usize,
    /// A webhook (tests/src/bin/webhook.rs) to which the stack's route leads: an incident happens while the shop is open, and its alert must
    /// reach it
    #[arg(long)]
    webhook: Option<String>,
}

/// Whose runs fail while the shop is open, if there is a webhook to tell.
const BROKEN: &str = "checkout-pay";
/// The alert that must come of it.
const ALERT: &str = "LambdaErrorRateCritical";

/// One compared counter.
struct Row {
    series: Series,
    prometheus: f64,
    aws: f64,
    equal: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::process::ExitCode {
    match run(&Args::parse()).await {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            // Without a trace of the stack: it is the message that helps.
            eprintln!(
                "truth: {}",
                error
                    .chain()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join(": ")
            );
            std::process::ExitCode::FAILURE
        }
    }
}

async fn run(args: &Args) -> anyhow::Result<()> {
    let limit = Duration::from_secs(args.patience);
    let (rows, opens) = tokio::time::timeout(limit, compare(args))
        .await
        .with_context(|| format!("the counters did not settle within {} s", args.patience))??;
    print(args, &rows);
    if let Some(webhook) = &args.webhook {
        told(webhook, opens).await?;
    }
    let wrong = rows.iter().filter(|row| !row.equal).count();
    if wrong > 0 {
        bail!(
            "{wrong} of {} counters differ from what AWS counted",
            rows.len()
        );
    }
    Ok(())
}

fn now() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

fn say(text: &str) {
    eprintln!("truth: {text}");
}

fn clock(seconds: i64) -> String {
    format!(
        "{:02}:{:02}:{:02}",
        seconds / 3600 % 24,
        seconds / 60 % 60,
        seconds % 60
    )
}

async fn compare(args: &Args) -> anyhow::Result<(Vec<Row>, i64)> {
    let selector = format!("namespace=\"{}\",stack=\"{}\"", args.namespace, args.stack);
    let counted = format!("nightjar_exporter_counted_through_timestamp_seconds{{{selector}}}[2h]");
    say("waiting for Prometheus' first scrape");
    while ranges(&args.prometheus, &counted).await?.is_empty() {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let opens = (now() / 60 + 1) * 60;
    let closes = opens + 60 * args.open_minutes;
    if args.webhook.is_some() {
        break_a_function(&args.simulator).await?;
    }
    open_hours(&args.simulator, Some((opens, closes))).await?;
    say(&format!(
        "the shop is open from {} to {} (UTC)",
        clock(opens),
        clock(closes)
    ));
    let mut reported = 0;
    loop {
        let through = ranges(&args.prometheus, &counted).await?;
        let last = through
            .iter()
            .filter_map(|range| range.values.last())
            .map(|(_, v)| *v)
            .fold(f64::MAX, f64::min);
        #[expect(clippy::cast_possible_truncation, reason = "a time in seconds")]
        let last = last as i64;
        if last >= closes {
            return Ok((rows(args, &selector, opens, &through).await?, opens));
        }
        if now() - reported >= 30 {
            reported = now();
            say(&format!(
                "all minutes up to {} are final; waiting for {}",
                clock(last),
                clock(closes)
            ));
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}

/// Lets nearly every run of a function fail, from now on.
async fn break_a_function(simulator: &str) -> anyhow::Result<()> {
    let incident = serde_json::json!({
        "what": "errors", "on": [BROKEN], "share": 0.9, "start": "2000-01-01T00:00:00Z", "end": "2100-01-01T00:00:00Z",
    });
    let body = serde_json::json!({"region": "eu-west-1", "incidents": [incident]});
    say(&format!(
        "an incident begins: nine of ten runs of {BROKEN} fail"
    ));
    http::request(
        "PUT",
        &format!("{simulator}/incidents"),
        &[],
        body.to_string(),
    )
    .await?;
    Ok(())
}

/// Waits until the alert of the incident is at the webhook, and says when it came.
async fn told(webhook: &str, opens: i64) -> anyhow::Result<()> {
    const PATIENCE: i64 = 180;
    let begun = now();
    loop {
        let seen: Vec<Seen> = http::json(webhook).await?;
        let alert = seen.iter().find(|seen| {
            let alert = &seen.alert;
            alert.status == "firing"
                && (alert.label("alertname"), alert.label("function_name")) == (ALERT, BROKEN)
        });
        if let Some(seen) = alert {
            #[expect(clippy::cast_possible_truncation, reason = "a time in seconds")]
            let at = seen.at as i64;
            println!(
                "\nincident: nine of ten runs of {BROKEN} fail from {} on\n{ALERT} at the webhook at {}, {} s after: \"{}\"  reached",
                clock(opens),
                clock(at),
                at - opens,
                seen.alert.summary()
            );
            return Ok(());
        }
        if now() - begun > PATIENCE {
            println!(
                "\nincident: nine of ten runs of {BROKEN} fail from {} on\n{ALERT}  NOT REACHED",
                clock(opens)
            );
            bail!(
                "no {ALERT} about {BROKEN} has come to {webhook}; it got {} other notifications",
                seen.len()
            );
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Nothing happens in the simulated account outside these hours.
async fn open_hours(simulator: &str, hours: Option<(i64, i64)>) -> anyhow::Result<()> {
    let body = match hours {
        Some((from, until)) => serde_json::json!({ "from": from, "until": until }),
        None => serde_json::json!({}),
    };
    http::request("PUT", &format!("{simulator}/hours"), &[], body.to_string()).await?;
    Ok(())
}

/// Before the shop opened there was nothing to count, so every first sample is of that time, or is
/// the 0 with which a counter that was found later begins.
async fn rows(
    args: &Args,
    selector: &str,
    from: i64,
    through: &[Range],
) -> anyhow::Result<Vec<Row>> {
    // By service, account and region, at the time of each scrape.
    let through: BTreeMap<_, _> = through
        .iter()
        .map(|range| {
            let of = |name| range.metric.label(name).to_owned();
            (
                (of("aws_service"), of("account_id"), of("region")),
                &range.values,
            )
        })
        .collect();
    let all = ranges(
        &args.prometheus,
        &format!("{{__name__=~\"aws_.+\",{selector}}}[2h]"),
    )
    .await?;
    let mut rows = Vec::new();
    for range in all {
        let series = range.metric;
        let Some(source) = source(&series) else {
            continue;
        };
        let key = (
            source.service.to_owned(),
            series.label("account_id").to_owned(),
            series.label("region").to_owned(),
        );
        let counted = through
            .get(&key)
            .with_context(|| format!("nothing says how far {} is counted", series.name))?;
        let at = |time: f64| {
            counted
                .iter()
                .rev()
                .find(|(t, _)| *t <= time)
                .map(|(_, value)| *value)
        };
        let (Some(first), Some(last)) = (range.values.first(), range.values.last()) else {
            continue;
        };
        let Some(to) = at(last.0) else { continue };
        #[expect(clippy::cast_possible_truncation, reason = "a time in seconds")]
        let to = to as i64;
        let truth = source.total(&args.simulator, &series, from, to).await?;
        if !truth.settled {
            bail!(
                "the exporter says that {} is final through {}, and AWS still revises it",
                series.name,
                clock(to)
            );
        }
        let prometheus = last.1 - first.1;
        let equal = same(&series, prometheus, truth.value, (to - from) / 60);
        rows.push(Row {
            series,
            prometheus,
            aws: truth.value,
            equal,
        });
    }
    for arn in members(args).await? {
        if let Some((name, label, value)) = counter_of(&arn) {
            ensure!(
                rows.iter().any(|row| {
                    let series = &row.series;
                    series.name == name
                        && series.label(label) == value
                        && arn.contains(series.label("region"))
                }),
                "Prometheus holds no {name} of {arn}, which is a part of the stack"
            );
        }
    }
    ensure!(
        rows.iter().any(|row| row.aws > 0.0),
        "nothing happened in the shop, so that zero is equal to zero: were its hours set?"
    );
    Ok(rows)
}

/// The ARNs of what belongs to the stack.
async fn members(args: &Args) -> anyhow::Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for region in &args.regions {
        let config = aws_config::defaults(BehaviorVersion::latest())
            .endpoint_url(&args.simulator)
            .region(Region::new(region.clone()))
            .credentials_provider(Credentials::new("AKIADEMO", "demo", None, None, "demo"))
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .load()
            .await;
        let client = aws_sdk_resourcegroupstagging::Client::new(&config);
        for tag in &args.tags {
            let (key, value) = tag
                .split_once('=')
                .with_context(|| format!("\"{tag}\" is not KEY=VALUE"))?;
            let mut pages = client
                .get_resources()
                .tag_filters(TagFilter::builder().key(key).values(value).build())
                .into_paginator()
                .send();
            while let Some(page) = pages.next().await {
                let page = page.with_context(|| format!("the resources tagged {tag}"))?;
                let members = page.resource_tag_mapping_list().iter();
                found.extend(members.filter_map(|r| r.resource_arn().map(str::to_owned)));
            }
        }
    }
    ensure!(
        !found.is_empty(),
        "the account has no resource of the stack"
    );
    Ok(found)
}

/// The counter that each resource of a watched kind has from its discovery on: its name, and the
/// label that says whose it is.
fn counter_of(arn: &str) -> Option<(&'static str, &'static str, &str)> {
    let mut parts = arn.splitn(6, ':').skip(2);
    let (service, resource) = (parts.next()?, parts.nth(2)?);
    match service {
        "lambda" => resource
            .strip_prefix("function:")
            .map(|name| ("aws_lambda_invocations_total", "function_name", name)),
        "dynamodb" => resource.strip_prefix("table/").map(|name| {
            (
                "aws_dynamodb_consumed_read_capacity_units_total",
                "table_name",
                name,
            )
        }),
        "apigateway" => {
            // /restapis/ID, /apis/ID, and the same with /stages/NAME
            let id = resource.split('/').nth(2)?;
            Some(("aws_apigateway_requests_total", "api_id", id))
        }
        _ => None,
    }
}

fn print(args: &Args, rows: &[Row]) {
    let name = |row: &Row| {
        let skip = [
            "stack",
            "namespace",
            "account_id",
            "region",
            "job",
            "service",
            "api_type",
            "api_id",
        ];
        let labels = row
            .series
            .labels
            .iter()
            .filter(|(name, value)| !skip.contains(&name.as_str()) && !value.is_empty());
        let labels: Vec<_> = labels.map(|(_, value)| value.as_str()).collect();
        format!(
            "{} {} ({})",
            row.series.name,
            labels.join(" "),
            row.series.label("region")
        )
    };
    // One counter of each kind that moved, and all that differ.
    let mut seen = BTreeSet::new();
    let mut shown: Vec<&Row> = rows.iter().filter(|row| !row.equal).collect();
    shown.extend(
        rows.iter()
            .filter(|row| row.equal && row.aws > 0.0 && seen.insert(row.series.name.clone())),
    );
    shown.truncate(args.rows);
    let width = shown.iter().map(|row| name(row).len()).max().unwrap_or(0);
    println!(
        "\n{:width$}  {:>16}  {:>16}",
        "counter: last minus first sample", "Prometheus", "AWS, finally"
    );
    for row in &shown {
        let mark = if row.equal { "equal" } else { "DIFFERENT" };
        println!(
            "{:width$}  {:>16}  {:>16}  {mark}",
            name(row),
            number(row.prometheus),
            number(row.aws)
        );
    }
    let moved = rows.iter().filter(|row| row.aws > 0.0).count();
    let equal = rows.iter().filter(|row| row.equal).count();
    println!(
        "\n{equal} of {} counters are equal to what AWS finally counted; {moved} of them moved.",
        rows.len()
    );
}

fn number(value: f64) -> String {
    let text = format!("{value:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
