//! `webhook --listen ADDRESS`: a receiver of Alertmanager's notifications, for the demo. GET / lists what came.

use std::net::SocketAddr;

use anyhow::Context as _;
use clap::Parser;
use nightjar_tests::webhook::Webhook;

#[derive(Parser)]
struct Arguments {
    /// Where to listen.
    #[arg(long)]
    listen: SocketAddr,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let Arguments { listen } = Arguments::parse();
    let webhook = Webhook::start(listen)
        .await
        .with_context(|| format!("cannot listen on {listen}"))?;
    println!("listening on {}", webhook.url(""));
    std::future::pending().await
}
