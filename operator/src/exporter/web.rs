//! The web configuration file: TLS, client certificates and passwords for what the exporter serves,
//! in the format that Prometheus's exporter-toolkit gave to all exporters.
//!
//! The file and those it names are compared at each connection and request, so a renewed certificate or a
//! new password is in effect at once. A file that cannot be used leaves what was in effect before, is logged once and shown
//! in `nightjar_exporter_web_config_reload_failed`. What would weaken the protection is never guessed: a setting that
//! we do not have is an error, and neither TLS nor passwords can be switched off without a restart, because a file
//! that is just being written looks like one without them.
//!
//! <https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md>

mod tls;

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use base64::Engine as _;
use hyper::header::{HeaderName, HeaderValue};
use rustls::server::ServerConfig;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;

use self::tls::Tls;
use super::telemetry::Telemetry;

/// Why a web configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    /// It, or a file that it names, cannot be read.
    #[error("cannot read {path} ({what}): {source}")]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What it is for.
        what: &'static str,
        /// Why not.
        source: std::io::Error,
    },
    /// It is not YAML, or has a field that there is not.
    #[error("{0} is not a web configuration file: {1}")]
    Malformed(PathBuf, String),
    /// A field cannot be used.
    #[error("{path}: {field}: {message}")]
    Invalid {
        /// The configuration file.
        path: PathBuf,
        /// The field.
        field: &'static str,
        /// What is wrong, and what to write instead.
        message: String,
    },
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    tls_server_config: Option<Tls>,
    http_server_config: Option<HttpServer>,
    basic_auth_users: Option<BTreeMap<String, String>>,
    rate_limit: Option<serde::de::IgnoredAny>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct HttpServer {
    /// Read and not used: only HTTP/1.1 is served, which every client speaks.
    #[serde(rename = "http2")]
    _http2: Option<bool>,
    headers: BTreeMap<String, String>,
}

/// The headers that the format allows to set.
const HEADERS: [&str; 5] = [
    "Content-Security-Policy",
    "X-Frame-Options",
    "X-Content-Type-Options",
    "X-XSS-Protection",
    "Strict-Transport-Security",
];

/// What protects the pages, as the file says now.
#[derive(Debug)]
pub struct Protection {
    /// How TLS is spoken; plain HTTP without it.
    pub tls: Option<Arc<ServerConfig>>,
    /// Headers for every answer.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Users with the bcrypt hash of their passwords; anybody is let in when there are none.
    users: BTreeMap<String, String>,
    /// Digests of the credentials that were found to be right: bcrypt is slow on purpose.
    right: Mutex<HashSet<[u8; 32]>>,
    /// The files that this was made of, with their digests.
    sources: Vec<(PathBuf, [u8; 32])>,
}

/// A web configuration file that is followed.
#[derive(Debug)]
pub struct Web {
    path: PathBuf,
    telemetry: Telemetry,
    state: Mutex<State>,
    /// One password is hashed at a time: guessing takes one core at most.
    hashing: Semaphore,
}

#[derive(Debug)]
struct State {
    protection: Arc<Protection>,
    error: Option<String>,
}

impl Web {
    /// Follows a file that was loaded.
    pub fn new(path: PathBuf, protection: Protection, telemetry: Telemetry) -> Self {
        Self {
            path,
            telemetry,
            state: Mutex::new(State {
                protection: Arc::new(protection),
                error: None,
            }),
            hashing: Semaphore::new(1),
        }
    }

    /// What protects the pages now; looks at the files.
    pub fn current(&self) -> Arc<Protection> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.error.is_none() && state.protection.is_current() {
            return state.protection.clone();
        }
        match load(&self.path).and_then(|new| state.protection.replaced_by(new, &self.path)) {
            Ok(new) => {
                tracing::info!(file = %self.path.display(), "the web configuration was read anew");
                state.protection = Arc::new(new);
                state.error = None;
            }
            Err(error) => {
                let error = Some(error.to_string());
                if state.error != error {
                    tracing::error!(
                        error,
                        "the web configuration cannot be used; what was in effect stays"
                    );
                }
                state.error = error;
            }
        }
        self.telemetry
            .web_config_reload_failed(state.error.is_some());
        state.protection.clone()
    }

    /// Whether an `Authorization` header lets in.
    pub async fn admits(&self, protection: &Arc<Protection>, header: Option<&str>) -> bool {
        // A user who does not exist takes as long as one who does.
        static NOBODY: LazyLock<String> =
            LazyLock::new(|| bcrypt::hash("nobody", 10).unwrap_or_default());
        if protection.users.is_empty() {
            return true;
        }
        let Some((user, password)) = header.and_then(credentials) else {
            return false;
        };
        let known = protection.users.get(&user).cloned();
        let exists = known.is_some();
        let hash = known.unwrap_or_else(|| NOBODY.clone());
        let digest = digest(&[user.as_bytes(), hash.as_bytes(), password.as_bytes()]);
        let remembered = || {
            let right = protection
                .right
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            right.contains(&digest)
        };
        if remembered() {
            return true;
        }
        let Ok(_one) = self.hashing.acquire().await else {
            return false;
        };
        if remembered() {
            return true;
        }
        let verified = tokio::task::spawn_blocking(move || bcrypt::verify(password, &hash)).await;
        let right = exists && matches!(verified, Ok(Ok(true)));
        if right {
            protection
                .right
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(digest);
        }
        right
    }
}

/// User and password of a `Basic` authorization.
fn credentials(header: &str) -> Option<(String, String)> {
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = base64::engine::general_purpose::STANDARD
        .decode(encoded.trim())
        .ok()?;
    let (user, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.finalize().into()
}

impl Protection {
    fn is_current(&self) -> bool {
        self.sources
            .iter()
            .all(|(path, known)| std::fs::read(path).is_ok_and(|now| digest(&[&now]) == *known))
    }

    fn replaced_by(&self, new: Self, path: &Path) -> Result<Self, WebError> {
        let gone = |field| WebError::Invalid {
            path: path.to_owned(),
            field,
            message: "was switched off; restart the exporter to serve without it".to_owned(),
        };
        if self.tls.is_some() && new.tls.is_none() {
            return Err(gone("tls_server_config"));
        }
        if !self.users.is_empty() && new.users.is_empty() {
            return Err(gone("basic_auth_users"));
        }
        Ok(new)
    }
}

/// Files as they are read, each with its digest.
struct Reader<'a> {
    path: &'a Path,
    sources: Vec<(PathBuf, [u8; 32])>,
}

impl Reader<'_> {
    fn read(&mut self, path: PathBuf, what: &'static str) -> Result<Vec<u8>, WebError> {
        let content = std::fs::read(&path).map_err(|source| WebError::Unreadable {
            path: path.clone(),
            what,
            source,
        })?;
        self.sources.push((path, digest(&[&content])));
        Ok(content)
    }

    fn invalid(&self, field: &'static str, message: impl Into<String>) -> WebError {
        WebError::Invalid {
            path: self.path.to_owned(),
            field,
            message: message.into(),
        }
    }

    /// PEM that stands in the file itself, or in one that it names (relative to its own folder).
    fn pem(
        &mut self,
        inline: &str,
        file: &str,
        field: &'static str,
    ) -> Result<Option<Vec<u8>>, WebError> {
        match (inline.is_empty(), file.is_empty()) {
            (true, true) => Ok(None),
            (false, true) => Ok(Some(inline.as_bytes().to_vec())),
            (true, false) => {
                let folder = self.path.parent().unwrap_or(Path::new("."));
                self.read(folder.join(file), field).map(Some)
            }
            (false, false) => Err(self.invalid(
                field,
                "stands in the file and in another one; leave one out",
            )),
        }
    }
}

/// Reads a file and those that it names.
pub fn load(path: &Path) -> Result<Protection, WebError> {
    let mut reader = Reader {
        path,
        sources: Vec::new(),
    };
    let text = reader.read(path.to_owned(), "the web configuration")?;
    let text = String::from_utf8(text)
        .map_err(|error| WebError::Malformed(path.to_owned(), error.to_string()))?;
    parse(&text, reader)
}

fn parse(text: &str, mut reader: Reader<'_>) -> Result<Protection, WebError> {
    let malformed = |error: String| WebError::Malformed(reader.path.to_owned(), error);
    // An error that showed the lines around it would show passwords and keys.
    let options = serde_saphyr::options! { with_snippet: false };
    let file: Option<File> = serde_saphyr::from_str_with_options(text, options)
        .map_err(|error| malformed(error.to_string()))?;
    let file = file.unwrap_or_default();
    if file.rate_limit.is_some() {
        let message = "is not supported: scrapes are answered from memory, and the number of connections is limited";
        return Err(reader.invalid("rate_limit", message));
    }
    let tls = file.tls_server_config.unwrap_or_default();
    let tls = if tls == Tls::default() {
        None
    } else {
        Some(Arc::new(tls::server_config(&tls, &mut reader)?))
    };
    let users = file.basic_auth_users.unwrap_or_default();
    for (user, hash) in &users {
        if bcrypt::HashParts::from_str(hash).is_err() {
            let message = format!(
                "the password of {user:?} is not a bcrypt hash: make one with htpasswd -nBC 10 {user:?}"
            );
            return Err(reader.invalid("basic_auth_users", message));
        }
    }
    let mut headers = Vec::new();
    for (name, value) in file.http_server_config.unwrap_or_default().headers {
        let field = "http_server_config.headers";
        let Some(name) = HEADERS.iter().find(|known| **known == name) else {
            let message = format!("{name:?} cannot be set; these can: {}", HEADERS.join(", "));
            return Err(reader.invalid(field, message));
        };
        if value.is_empty() {
            continue;
        }
        let value = HeaderValue::from_str(&value)
            .map_err(|_| reader.invalid(field, format!("{name} cannot be {value:?}")))?;
        let name = HeaderName::from_bytes(name.as_bytes()).expect("it is one of the five");
        headers.push((name, value));
    }
    Ok(Protection {
        tls,
        headers,
        users,
        right: Mutex::default(),
        sources: reader.sources,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Protection, WebError> {
        let reader = Reader {
            path: Path::new("/nowhere/web.yaml"),
            sources: Vec::new(),
        };
        parse(text, reader)
    }

    #[test]
    fn what_cannot_be_used_is_refused_with_its_field_and_a_remedy() {
        for (text, field, remedy) in [
            ("tls_server: {}", "line 1", "tls_server_config"),
            ("tls_server_config: {cert: x}", "key_file", "missing"),
            (
                "tls_server_config: {min_version: TLS10}",
                "min_version",
                "TLS12",
            ),
            (
                "tls_server_config: {cipher_suites: [TLS_RSA_WITH_RC4_128_SHA]}",
                "cipher_suites",
                "TLS_ECDHE_RSA",
            ),
            (
                "tls_server_config: {curve_preferences: [CurveP521]}",
                "curve_preferences",
                "X25519",
            ),
            (
                "basic_auth_users: {anna: secret}",
                "basic_auth_users",
                "htpasswd",
            ),
            (
                "http_server_config: {headers: {Server: x}}",
                "headers",
                "X-Frame-Options",
            ),
            (
                "rate_limit: {interval: 1s, burst: 2}",
                "rate_limit",
                "limited",
            ),
        ] {
            let error = parsed(text).unwrap_err().to_string();
            assert!(
                error.contains(field) && error.contains(remedy) && error.contains("web.yaml"),
                "{text}: {error}"
            );
        }
    }

    #[test]
    fn an_error_does_not_show_what_is_secret() {
        let error = parsed("basic_auth_users:\n  anna: $2y$10$planted\nrate: 3\n").unwrap_err();
        let error = error.to_string();
        assert!(
            error.contains("rate") && !error.contains("planted"),
            "{error}"
        );
        let error = parsed("basic_auth_users: {anna: planted}").unwrap_err();
        assert!(!error.to_string().contains("planted"), "{error}");
    }

    #[test]
    fn an_empty_file_protects_nothing_and_is_none_the_less_one() {
        let protection = parsed("").unwrap();
        assert!(protection.tls.is_none() && protection.users.is_empty());
    }

    #[test]
    fn credentials_are_read_as_http_writes_them() {
        let read = credentials("basic YW5uYTpzZWM6cmV0");
        assert_eq!(read, Some(("anna".to_owned(), "sec:ret".to_owned())));
        for other in [
            "Bearer YW5uYTpz",
            "Basic ???",
            "Basic YW5uYQ==",
            "Basic",
            "",
        ] {
            assert_eq!(credentials(other), None, "{other}");
        }
    }
}
