//! Arguments to role: the one binary is an operator or an exporter, never both.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use nightjar::{api, controller, exporter, rules, services};

/// Kubernetes operator and Prometheus exporter for AWS serverless stacks.
///
/// A ServerlessStack names Lambda functions, DynamoDB tables and API Gateways. The operator turns
/// it into exporters and monitoring objects; an exporter reads AWS and serves metrics whose
/// counters are exact.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Turn ServerlessStacks into exporters and monitoring objects (talks to Kubernetes, never to AWS)
    Operator(controller::Args),
    /// Read AWS for one ServerlessStack and serve its metrics (never talks to Kubernetes)
    ///
    /// Credentials, proxy and endpoint are taken from the environment as every AWS program does
    /// (`AWS_PROFILE`, `AWS_ROLE_ARN`, `AWS_ENDPOINT_URL`, `HTTPS_PROXY` ...).
    Exporter(exporter::Args),
    /// Print what the operator would apply for a ServerlessStack
    Render(controller::render::Args),
    /// Print what an exporter would watch, what CloudWatch would charge, and which IAM actions are missing
    ///
    /// Looks at AWS with the caller's credentials, as the exporter does, and polls no metrics.
    /// Exit code: 0 when all is well, 1 when something is missing, 2 when the file cannot be used.
    Plan(exporter::preview::Args),
    /// Print the CustomResourceDefinition
    Crd,
    /// Write the Grafana dashboards
    Dashboards(rules::dashboards::Args),
    /// Write a runbook for each alert
    Runbooks(rules::pages::Args),
    /// Print a page of the reference
    Reference {
        /// Which one
        page: services::reference::Page,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Operator(args) => controller::run(args).await,
        Command::Exporter(args) => match exporter::load(&args) {
            Ok((config, protection)) => exporter::run(args, config, protection).await,
            Err(error) => {
                eprintln!("error: {error}");
                return ExitCode::from(2);
            }
        },
        Command::Render(args) => controller::render::run(&args),
        Command::Plan(args) => match exporter::preview::load(&args) {
            Ok(config) => return exporter::preview::run(&args, &config).await,
            Err(error) => {
                eprintln!("error: {error}");
                return ExitCode::from(2);
            }
        },
        Command::Crd => {
            print!("{}", api::crd::yaml());
            Ok(())
        }
        Command::Dashboards(args) => rules::dashboards::run(&args),
        Command::Runbooks(args) => rules::pages::run(&args),
        Command::Reference { page } => {
            print!("{}", services::reference::page(page));
            Ok(())
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
