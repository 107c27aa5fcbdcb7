//! AWS by HTTPS, as it is in production: the certificate is checked, directly and through a proxy.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use nightjar_tests::simulator::Simulator;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::harness::{Exporter, ITS_STACK, ONE_FUNCTION, simulator, stack};
use crate::protection::authority;

/// Puts TLS before the simulator, with the certificate `aws` for localhost; answers the port.
async fn with_tls(simulator: &Simulator, dir: &Path) -> u16 {
    let chain = CertificateDer::from_pem_file(dir.join("aws.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(dir.join("aws.key")).unwrap();
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(ring)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![chain], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let behind = simulator.address();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // A client that does not like the certificate hangs up.
                if let Ok(mut client) = acceptor.accept(client).await
                    && let Ok(mut server) = TcpStream::connect(behind).await
                {
                    let _ = copy_bidirectional(&mut client, &mut server).await;
                }
            });
        }
    });
    port
}

/// A proxy that knows one host, `localhost:1`, which is at that port; answers its own port, and
/// counts the tunnels that it made.
async fn proxy(port: u16) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let own = listener.local_addr().unwrap().port();
    let tunnels = Arc::new(AtomicUsize::new(0));
    let count = tunnels.clone();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let count = count.clone();
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(client.read_u8().await?);
                }
                if !head.starts_with(b"CONNECT localhost:1 HTTP/1.1\r\n") {
                    return client.write_all(b"HTTP/1.1 403 Forbidden\r\n\r\n").await;
                }
                let mut server = TcpStream::connect(("127.0.0.1", port)).await?;
                client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
                count.fetch_add(1, Ordering::SeqCst);
                copy_bidirectional(&mut client, &mut server).await.map(drop)
            });
        }
    });
    (own, tunnels)
}

/// An exporter that finds AWS there, and trusts the authority whose certificate has that name.
async fn exporter(
    simulator: &Simulator,
    dir: tempfile::TempDir,
    endpoint: &str,
    trusted: &str,
    more: &[(&str, &str)],
) -> Exporter {
    let bundle = dir.path().join(trusted);
    let environment = [
        ("AWS_ENDPOINT_URL", endpoint),
        ("SSL_CERT_FILE", bundle.to_str().unwrap()),
    ];
    let environment = [&environment, more].concat();
    Exporter::start_with(dir, simulator, &stack(ITS_STACK), &environment).await
}

fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    authority(dir.path(), "trusted", "aws");
    authority(dir.path(), "other", "unused");
    dir
}

#[tokio::test(flavor = "multi_thread")]
async fn aws_is_polled_by_https_with_an_authority_of_ones_own() {
    let simulator = simulator(ONE_FUNCTION).await;
    let dir = folder();
    let port = with_tls(&simulator, dir.path()).await;
    let endpoint = format!("https://localhost:{port}");
    let exporter = exporter(&simulator, dir, &endpoint, "trusted.pem", &[]).await;
    exporter.until_polled().await;
    assert_eq!(exporter.problems().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_nobody_vouches_for_is_told_and_nothing_is_sent() {
    let simulator = simulator(ONE_FUNCTION).await;
    let dir = folder();
    let port = with_tls(&simulator, dir.path()).await;
    let endpoint = format!("https://localhost:{port}");
    let exporter = exporter(&simulator, dir, &endpoint, "other.pem", &[]).await;
    exporter
        .until("it is told", async |e| {
            e.problems()
                .await
                .contains(&"Unreachable sts:GetCallerIdentity".to_owned())
        })
        .await;
    let message = exporter.status().await["targets"][0]["problems"][0]["message"].to_string();
    assert!(message.contains("certificate"), "{message}");
    assert!(simulator.meter().is_empty(), "a request was sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn aws_is_polled_by_https_through_a_proxy_that_sees_nothing_of_it() {
    let simulator = simulator(ONE_FUNCTION).await;
    let dir = folder();
    let (proxy, tunnels) = proxy(with_tls(&simulator, dir.path()).await).await;
    let proxy = format!("http://127.0.0.1:{proxy}");
    // Nothing listens there but behind the proxy.
    let more = [("HTTPS_PROXY", proxy.as_str())];
    let exporter = exporter(&simulator, dir, "https://localhost:1", "trusted.pem", &more).await;
    exporter.until_polled().await;
    assert!(tunnels.load(Ordering::SeqCst) > 0);
}
