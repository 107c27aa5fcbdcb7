//! `tls_server_config` of the web configuration file, as rustls wants it.

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ServerConfig, WebPkiClientVerifier};
use serde::Deserialize;

use super::{Reader, WebError};

/// `tls_server_config`, field by field as the format names them.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tls {
    cert: String,
    key: String,
    client_ca: String,
    cert_file: String,
    key_file: String,
    client_ca_file: String,
    client_auth_type: String,
    client_allowed_sans: Vec<String>,
    min_version: String,
    max_version: String,
    cipher_suites: Vec<String>,
    prefer_server_cipher_suites: Option<bool>,
    curve_preferences: Vec<String>,
}

/// How TLS is spoken according to the file.
pub fn server_config(tls: &Tls, reader: &mut Reader<'_>) -> Result<ServerConfig, WebError> {
    let provider = Arc::new(provider(tls, reader)?);
    let versions = versions(tls, reader)?;
    let cert = reader
        .pem(&tls.cert, &tls.cert_file, "tls_server_config.cert_file")?
        .ok_or_else(|| reader.invalid("tls_server_config.cert_file", "is missing"))?;
    let key = reader
        .pem(&tls.key, &tls.key_file, "tls_server_config.key_file")?
        .ok_or_else(|| reader.invalid("tls_server_config.key_file", "is missing"))?;
    let chain = certificates(&cert)
        .map_err(|error| reader.invalid("tls_server_config.cert_file", error))?;
    let key = PrivateKeyDer::from_pem_slice(&key).map_err(|error| {
        reader.invalid(
            "tls_server_config.key_file",
            format!("is not a PEM private key: {error}"),
        )
    })?;
    let verifier = client_verifier(tls, &provider, reader)?;
    let ignore_client_order = tls.prefer_server_cipher_suites.unwrap_or(true);
    let builder = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions)
        .map_err(|error| reader.invalid("tls_server_config", error.to_string()))?;
    let mut config = builder
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .map_err(|error| {
            reader.invalid(
                "tls_server_config",
                format!("certificate and key cannot be used: {error}"),
            )
        })?;
    config.ignore_client_order = ignore_client_order;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| format!("is not PEM: {error}"))?;
    if chain.is_empty() {
        return Err("holds no certificate".to_owned());
    }
    Ok(chain)
}

fn client_verifier(
    tls: &Tls,
    provider: &Arc<CryptoProvider>,
    reader: &mut Reader<'_>,
) -> Result<Arc<dyn rustls::server::danger::ClientCertVerifier>, WebError> {
    const FIELD: &str = "tls_server_config.client_auth_type";
    const CA: &str = "tls_server_config.client_ca_file";
    if !tls.client_allowed_sans.is_empty() {
        let message = "is not supported: use a CA of its own for the clients, by tls_server_config.client_ca_file";
        return Err(reader.invalid("tls_server_config.client_allowed_sans", message));
    }
    let ca = reader.pem(&tls.client_ca, &tls.client_ca_file, CA)?;
    let required = match &*tls.client_auth_type {
        "" | "NoClientCert" => {
            return if ca.is_some() {
                Err(reader.invalid(
                    FIELD,
                    "is missing, and client_ca_file is there: write RequireAndVerifyClientCert",
                ))
            } else {
                Ok(WebPkiClientVerifier::no_client_auth())
            };
        }
        "RequireAndVerifyClientCert" => true,
        "VerifyClientCertIfGiven" => false,
        "RequestClientCert" | "RequireAnyClientCert" | "RequireClientCert" => {
            let message =
                "lets in whoever makes a certificate for himself: write RequireAndVerifyClientCert";
            return Err(reader.invalid(FIELD, message));
        }
        other => {
            let message = format!(
                "{other:?} is none of NoClientCert, VerifyClientCertIfGiven and RequireAndVerifyClientCert"
            );
            return Err(reader.invalid(FIELD, message));
        }
    };
    let Some(ca) = ca else {
        return Err(reader.invalid(CA, "is missing: whose certificates are to be trusted?"));
    };
    let mut roots = RootCertStore::empty();
    for root in certificates(&ca).map_err(|error| reader.invalid(CA, error))? {
        roots
            .add(root)
            .map_err(|error| reader.invalid(CA, format!("cannot be used: {error}")))?;
    }
    let mut builder =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    if !required {
        builder = builder.allow_unauthenticated();
    }
    builder
        .build()
        .map_err(|error| reader.invalid(CA, error.to_string()))
}

fn versions(
    tls: &Tls,
    reader: &Reader<'_>,
) -> Result<Vec<&'static rustls::SupportedProtocolVersion>, WebError> {
    let number = |name: &str, field, default: u8| match name {
        "" => Ok(default),
        "TLS12" => Ok(2),
        "TLS13" => Ok(3),
        other => Err(reader.invalid(field, format!("{other:?} is neither TLS12 nor TLS13"))),
    };
    let least = number(&tls.min_version, "tls_server_config.min_version", 2)?;
    let most = number(&tls.max_version, "tls_server_config.max_version", 3)?;
    if least > most {
        let message = "is less than min_version: no version is left";
        return Err(reader.invalid("tls_server_config.max_version", message));
    }
    Ok([(2, &rustls::version::TLS12), (3, &rustls::version::TLS13)]
        .into_iter()
        .filter(|(version, _)| (least..=most).contains(version))
        .map(|(_, version)| version)
        .collect())
}

/// The cryptography, with the suites and curves that the file chooses.
fn provider(tls: &Tls, reader: &Reader<'_>) -> Result<CryptoProvider, WebError> {
    let mut provider = ring::default_provider();
    if !tls.cipher_suites.is_empty() {
        let of_tls12 = |suite: &rustls::SupportedCipherSuite| suite.tls13().is_none();
        let (older, mut chosen): (Vec<_>, Vec<_>) =
            provider.cipher_suites.iter().copied().partition(of_tls12);
        let name = |suite: &rustls::SupportedCipherSuite| format!("{:?}", suite.suite());
        for wanted in &tls.cipher_suites {
            let Some(suite) = older.iter().find(|suite| name(suite) == *wanted) else {
                let known: Vec<_> = older.iter().map(name).collect();
                let message = format!("{wanted:?} is none of {}", known.join(", "));
                return Err(reader.invalid("tls_server_config.cipher_suites", message));
            };
            chosen.push(*suite);
        }
        provider.cipher_suites = chosen;
    }
    if !tls.curve_preferences.is_empty() {
        provider.kx_groups = tls
            .curve_preferences
            .iter()
            .map(|wanted| match &**wanted {
                "CurveP256" => Ok(ring::kx_group::SECP256R1),
                "CurveP384" => Ok(ring::kx_group::SECP384R1),
                "X25519" => Ok(ring::kx_group::X25519),
                other => Err(reader.invalid(
                    "tls_server_config.curve_preferences",
                    format!("{other:?} is none of CurveP256, CurveP384 and X25519"),
                )),
            })
            .collect::<Result<_, _>>()?;
    }
    Ok(provider)
}
