//! `nightjar render`: prints what the operator would apply, for review and GitOps.
//!
//! Of a stack as a cluster has it, this is what the operator applies, byte for byte, unless its number of shards is
//! changing at the moment. A file from
//! elsewhere has no UID and no generation: owner references, and the generation in the exporters'
//! configuration, are left out.

use std::io::Read;
use std::path::PathBuf;

use anyhow::Context;

use super::apply::documents;
use super::desired::{desired, prometheus_rule};
use super::resolve::{ExporterArgs, Resolved, Shards};
use crate::exporter::config::parse_stack;
use crate::rules::route;

/// `nightjar render`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The file with the ServerlessStack; - stands for the standard input.
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,

    /// Render for a cluster without the Prometheus operator: annotations instead of a
    /// ServiceMonitor, a ConfigMap instead of a PrometheusRule.
    #[arg(long)]
    no_service_monitor: bool,

    /// Print only the stack's rules, as a file for the `rule_files` of a Prometheus. Without
    /// `metadata.namespace` in the stack they select by its name alone, for an exporter outside Kubernetes.
    #[arg(long)]
    rules: bool,

    /// Print only the stack's route, as a configuration file of a plain Alertmanager. Its secrets
    /// are files below /etc/alertmanager/secrets/.
    #[arg(long, conflicts_with = "rules")]
    route: bool,

    #[command(flatten)]
    exporter: ExporterArgs,
}

/// Prints the objects as YAML documents.
pub fn run(args: &Args) -> anyhow::Result<()> {
    print!("{}", render(args)?);
    Ok(())
}

fn render(args: &Args) -> anyhow::Result<String> {
    let name = args.file.display();
    let text = if args.file.as_os_str() == "-" {
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .context("cannot read the standard input")?;
        text
    } else {
        std::fs::read_to_string(&args.file).with_context(|| format!("cannot read {name}"))?
    };
    let mut stack = args.exporter.complete(&parse_stack(&args.file, &text)?);
    let resolved = Resolved {
        shards: Shards::as_written(&stack),
        exporter: args.exporter.clone(),
        service_monitors: !args.no_service_monitor,
        prometheus_rules: !args.no_service_monitor,
        alertmanager_configs: !args.no_service_monitor,
        // Of a stack as a cluster has it, rules are made for the interval that its budget allows.
        interval: stack
            .status
            .as_ref()
            .and_then(|status| status.spend.interval.parse().ok()),
        made_storage: None,
    };
    if args.rules {
        return Ok(prometheus_rule::text(&stack, &resolved));
    }
    if args.route {
        let route = stack
            .spec
            .alerts
            .route
            .as_ref()
            .with_context(|| format!("{name} has no spec.alerts.route"))?;
        let file = route::alertmanager_file(&stack, route);
        return serde_saphyr::to_string(&file).context("cannot write YAML");
    }
    stack
        .metadata
        .namespace
        .get_or_insert_with(|| "default".to_owned());
    let mut out = String::new();
    for document in documents(&desired(&stack, &resolved)) {
        out.push_str("---\n");
        out.push_str(&serde_saphyr::to_string(&document).context("cannot write YAML")?);
    }
    Ok(out)
}
