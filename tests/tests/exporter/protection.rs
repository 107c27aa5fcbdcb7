//! TLS, client certificates and passwords, as curl meets them.

use std::path::Path;
use std::process::Command;

use nightjar_tests::simulator::Simulator;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
};

use crate::harness::{Exporter, ITS_STACK, ONE_FUNCTION, ended, nightjar, simulator, stack};

/// Of the password "correct horse"; cost 4, the least there is.
const HASH: &str = "$2y$04$TnjywYklQbbZjdjBgBoA4e3dlqA2YbOr6x861qAd/9cZL8yXELApe";

/// Writes a CA, and a certificate with its key that it signed, as `name.pem` and `name.key`.
pub fn authority(dir: &Path, name: &str, leaf: &str) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new([]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = params.self_signed(&key).unwrap();
    std::fs::write(dir.join(format!("{name}.pem")), ca.pem()).unwrap();
    sign(dir, &Issuer::new(params, key), leaf);
}

fn sign(dir: &Path, issuer: &Issuer<'_, KeyPair>, leaf: &str) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, leaf);
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    let cert = params.signed_by(&key, issuer).unwrap();
    std::fs::write(dir.join(format!("{leaf}.pem")), cert.pem()).unwrap();
    std::fs::write(dir.join(format!("{leaf}.key")), key.serialize_pem()).unwrap();
}

/// An exporter with that web configuration file, and the certificates `ca`, `server`, `clients`, `client`,
/// `strangers` and `stranger` beside it.
async fn protected(simulator: &Simulator, web: &str) -> Exporter {
    let dir = tempfile::tempdir().unwrap();
    for (ca, leaf) in [
        ("ca", "server"),
        ("clients", "client"),
        ("strangers", "stranger"),
    ] {
        authority(dir.path(), ca, leaf);
    }
    std::fs::write(dir.path().join("web.yaml"), web).unwrap();
    Exporter::start_in(dir, simulator, &stack(ITS_STACK)).await
}

/// The status that curl gets, or why it gets none.
fn curl(exporter: &Exporter, url: &str, options: &str) -> Result<u16, String> {
    let port = exporter.address.port();
    let (scheme, path) = url.split_once(':').unwrap();
    let output = Command::new("curl")
        .current_dir(exporter.dir.path())
        .args(["--silent", "--show-error", "--output", "body"])
        .args(["--write-out", "%{http_code}", "--max-time", "60"])
        .args(["--resolve", &format!("localhost:{port}:127.0.0.1")])
        .args(options.split_whitespace())
        .arg(format!("{scheme}://localhost:{port}{path}"))
        .output()
        .expect("curl is there: run these tests with `make test-exporter`");
    if output.status.success() {
        Ok(String::from_utf8(output.stdout).unwrap().parse().unwrap())
    } else {
        Err(String::from_utf8(output.stderr).unwrap())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn https_is_served_to_those_whose_certificate_is_trusted() {
    let simulator = simulator(ONE_FUNCTION).await;
    let web = "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n  min_version: TLS13\n  \
               client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: clients.pem\n";
    let exporter = protected(&simulator, web).await;
    let client = "--cacert ca.pem --cert client.pem --key client.key";
    assert_eq!(curl(&exporter, "https:/metrics", client), Ok(200));
    let compressed = format!("{client} --compressed");
    assert_eq!(curl(&exporter, "https:/metrics", &compressed), Ok(200));
    let body = std::fs::read_to_string(exporter.dir.path().join("body")).unwrap();
    assert!(body.contains("nightjar_exporter_build_info"), "{body}");
    assert!(curl(&exporter, "https:/metrics", "--cacert ca.pem").is_err());
    let stranger = "--cacert ca.pem --cert stranger.pem --key stranger.key";
    assert!(curl(&exporter, "https:/metrics", stranger).is_err());
    // It is our certificate that it shows, and no older version is spoken.
    assert!(
        curl(
            &exporter,
            "https:/",
            &client.replace("ca.pem", "strangers.pem")
        )
        .is_err()
    );
    let older = format!("{client} --tls-max 1.2");
    assert!(curl(&exporter, "https:/metrics", &older).is_err());
    assert_eq!(curl(&exporter, "http:/metrics", ""), Ok(400));
    let body = std::fs::read_to_string(exporter.dir.path().join("body")).unwrap();
    assert!(body.contains("https"), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_right_password_lets_in_and_probes_need_none() {
    let simulator = simulator(ONE_FUNCTION).await;
    let web = format!(
        "basic_auth_users: {{anna: {HASH}}}\nhttp_server_config: {{headers: {{X-Frame-Options: deny}}}}\n"
    );
    let exporter = protected(&simulator, &web).await;
    for (url, options, status) in [
        ("http:/metrics", "", 401),
        ("http:/status", "", 401),
        ("http:/", "--user anna:wrong", 401),
        ("http:/metrics", "--user otto:correct", 401),
        ("http:/metrics", "--header authorization:Basic", 401),
        ("http:/healthz", "", 200),
        ("http:/readyz", "", 200),
    ] {
        assert_eq!(curl(&exporter, url, options), Ok(status), "{url} {options}");
    }
    std::fs::write(
        exporter.dir.path().join("curlrc"),
        "user = \"anna:correct horse\"\ndump-header = \"headers\"\n",
    )
    .unwrap();
    for _ in 0..2 {
        let right = curl(&exporter, "http:/metrics", "--config curlrc");
        assert_eq!(right, Ok(200), "{}", exporter.log());
    }
    let headers = std::fs::read_to_string(exporter.dir.path().join("headers")).unwrap();
    assert!(headers.contains("x-frame-options: deny"), "{headers}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_is_shown_at_once_and_a_broken_file_changes_nothing() {
    let simulator = simulator(ONE_FUNCTION).await;
    let web = "tls_server_config: {cert_file: server.pem, key_file: server.key}\n";
    let exporter = protected(&simulator, web).await;
    let dir = exporter.dir.path();
    assert_eq!(curl(&exporter, "https:/", "--cacert ca.pem"), Ok(200));
    authority(dir, "ca", "new");
    std::fs::rename(dir.join("new.pem"), dir.join("server.pem")).unwrap();
    // Certificate and key do not belong together for a moment: the ones before stay.
    assert!(curl(&exporter, "https:/", "--cacert ca.pem").is_err());
    std::fs::rename(dir.join("new.key"), dir.join("server.key")).unwrap();
    assert_eq!(curl(&exporter, "https:/", "--cacert ca.pem"), Ok(200));
    for broken in [
        "",
        "tls_server_config: {cert_file: gone.pem, key_file: server.key}\n",
        "basic_auth_users: {a: b}\n",
    ] {
        std::fs::write(dir.join("web.yaml"), broken).unwrap();
        assert_eq!(
            curl(&exporter, "https:/metrics", "--cacert ca.pem"),
            Ok(200)
        );
        let body = std::fs::read_to_string(dir.join("body")).unwrap();
        assert!(
            body.contains("web_config_reload_failed{stack=\"shop\"} 1"),
            "{broken}: {body}"
        );
        assert_eq!(curl(&exporter, "http:/", ""), Ok(400), "{broken}");
    }
    std::fs::write(
        dir.join("web.yaml"),
        format!("{web}basic_auth_users: {{anna: {HASH}}}\n"),
    )
    .unwrap();
    assert_eq!(
        curl(&exporter, "https:/metrics", "--cacert ca.pem"),
        Ok(401)
    );
    assert!(exporter.log().contains("gone.pem"), "{}", exporter.log());
}

#[test]
fn a_web_configuration_that_cannot_be_used_ends_the_start_with_status_2() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("stack.yaml"), stack(ITS_STACK)).unwrap();
    std::fs::write(
        dir.path().join("web.yaml"),
        "tls_server_config: {cert_file: c.pem, key_file: k.pem}\n",
    )
    .unwrap();
    let output = ended(Command::new(nightjar()).current_dir(dir.path()).args([
        "exporter",
        "--listen",
        "127.0.0.1:0",
        "--config",
        "stack.yaml",
        "--web.config.file",
        "web.yaml",
    ]));
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(
        error.contains("c.pem") && error.contains("cert_file"),
        "{error}"
    );
}
