//! The configuration file: a `ServerlessStack`, as a person wrote it or as the operator mounts it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_saphyr::Spanned;
use tokio::sync::watch;

use super::telemetry::Telemetry;
use crate::api::hash::sha256_hex;
use crate::api::shards::Assignment;
use crate::api::validate::validate;
use crate::api::{ServerlessStack, ServerlessStackSpec};

/// How often the file is looked at. The kubelet replaces it within a minute or so anyway.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// A configuration that can be run.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The stack's name.
    pub name: String,
    /// Its namespace; `default` in a file that names none.
    pub namespace: String,
    /// Its generation, if an API server gave it one.
    pub generation: Option<i64>,
    /// What it asks for.
    pub spec: ServerlessStackSpec,
    /// Which shard watches what. A file that no operator wrote has revision 0.
    pub assignment: Assignment,
    /// SHA-256 of the file.
    pub hash: String,
    /// The external id of each account that has one, by its place in `spec.accounts`.
    pub external_ids: Vec<Option<String>>,
}

/// Why a file cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("cannot read {0}: {1}")]
    Unreadable(PathBuf, std::io::Error),
    /// It is not YAML, or a field has the wrong type or is missing.
    #[error("{0} is not a ServerlessStack: {1}")]
    Malformed(PathBuf, String),
    /// It is something else.
    #[error("{path}, line {line}: {field} is {found:?}, but a ServerlessStack has {expected:?}")]
    OtherKind {
        /// The file.
        path: PathBuf,
        /// Where.
        line: u64,
        /// `apiVersion` or `kind`.
        field: &'static str,
        /// What stands there.
        found: String,
        /// What should.
        expected: &'static str,
    },
    /// Fields contradict the rules.
    #[error("{0} cannot be used:\n{1}")]
    Invalid(PathBuf, String),
    /// It is older than what runs.
    #[error(
        "{0} holds revision {1} of the assignment of shards, but revision {2} runs already: it is left alone until a \
         newer one comes"
    )]
    Older(PathBuf, i64, i64),
    /// An account's external id is not there.
    #[error(
        "cannot read the external id of spec.accounts[{0}] from {1}: {2}. The operator mounts it there; elsewhere \
         write it into that file (see --external-ids)."
    )]
    ExternalId(usize, PathBuf, std::io::Error),
    /// What protects the pages cannot be used.
    #[error(transparent)]
    Web(#[from] super::web::WebError),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kind {
    api_version: Spanned<String>,
    kind: Spanned<String>,
}

/// What the operator adds to the stack.
#[derive(Deserialize)]
struct Operated {
    assignment: Option<Assignment>,
}

/// Reads a file. `external_ids` is the folder that holds, for the account at place `i` of
/// `spec.accounts`, a file `i` with its external id.
pub fn load(path: &Path, external_ids: &Path) -> Result<Config, ConfigError> {
    parse(path, &read(path)?, external_ids)
}

fn read(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|error| ConfigError::Unreadable(path.to_owned(), error))
}

/// The stack in a file, if it is one and can be used.
pub fn parse_stack(path: &Path, text: &str) -> Result<ServerlessStack, ConfigError> {
    let malformed =
        |error: serde_saphyr::Error| ConfigError::Malformed(path.to_owned(), error.to_string());
    let kind: Kind = serde_saphyr::from_str(text).map_err(malformed)?;
    for (field, found, expected) in [
        ("apiVersion", kind.api_version, "nightjar.dev/v1alpha1"),
        ("kind", kind.kind, "ServerlessStack"),
    ] {
        if found.value != expected {
            return Err(ConfigError::OtherKind {
                path: path.to_owned(),
                line: found.defined.line(),
                field,
                found: found.value,
                expected,
            });
        }
    }
    let stack: ServerlessStack = serde_saphyr::from_str(text).map_err(malformed)?;
    let invalid = validate(&stack);
    if !invalid.is_empty() {
        let lines: Vec<_> = invalid
            .iter()
            .map(|one| format!("  {}: {}", one.field, one.message))
            .collect();
        return Err(ConfigError::Invalid(path.to_owned(), lines.join("\n")));
    }
    if stack.metadata.name.is_none() {
        return Err(ConfigError::Invalid(
            path.to_owned(),
            "  metadata.name: a stack has a name".to_owned(),
        ));
    }
    Ok(stack)
}

fn parse(path: &Path, text: &str, external_ids: &Path) -> Result<Config, ConfigError> {
    let ServerlessStack { metadata, spec, .. } = parse_stack(path, text)?;
    let operated: Operated = serde_saphyr::from_str(text)
        .map_err(|error| ConfigError::Malformed(path.to_owned(), error.to_string()))?;
    let external_ids = spec
        .accounts
        .iter()
        .enumerate()
        .map(|(place, account)| {
            account.external_id_secret_ref.as_ref()?;
            let path = external_ids.join(place.to_string());
            let id = std::fs::read_to_string(&path)
                .map_err(|error| ConfigError::ExternalId(place, path, error));
            Some(id.map(|id| id.trim().to_owned()))
        })
        .map(Option::transpose)
        .collect::<Result<_, _>>()?;
    Ok(Config {
        name: metadata.name.unwrap_or_default(),
        namespace: metadata.namespace.unwrap_or_else(|| "default".to_owned()),
        generation: metadata.generation,
        assignment: operated.assignment.unwrap_or_else(|| Assignment {
            revision: 0,
            ..Assignment::first(spec.exporter.shards.unsigned_abs())
        }),
        spec,
        hash: sha256_hex(text.as_bytes()),
        external_ids,
    })
}

impl Config {
    /// Whether it is all that a file's text says, without a look into other files: it need not be parsed again.
    fn is_in(&self, text: &str) -> bool {
        self.external_ids.iter().all(Option::is_none) && self.hash == sha256_hex(text.as_bytes())
    }
}

/// The configuration that runs, and why a newer one does not.
#[derive(Clone, Debug)]
pub struct Current {
    /// What runs.
    pub config: Arc<Config>,
    /// Why the file's present content does not.
    pub error: Option<String>,
}

/// Looks at the file for ever, and hands on what changed.
pub async fn follow(
    path: PathBuf,
    external_ids: PathBuf,
    telemetry: Telemetry,
    current: watch::Sender<Current>,
) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        // Cheap while nothing changes: to parse the text each time was a seventh of the CPU time with 1,000 functions.
        let running = current.borrow().config.clone();
        let loaded = read(&path).and_then(|text| {
            if running.is_in(&text) {
                return Ok(running);
            }
            let config = parse(&path, &text, &external_ids)?;
            let (found, runs) = (config.assignment.revision, running.assignment.revision);
            // What this one has given up by the newer one is another's by now.
            if found < runs {
                return Err(ConfigError::Older(path.clone(), found, runs));
            }
            Ok(Arc::new(config))
        });
        current.send_if_modified(|current| match loaded {
            Ok(config) if Arc::ptr_eq(&config, &current.config) || config == current.config => {
                current.error.take().is_some()
            }
            Ok(config) => {
                tracing::info!(hash = config.hash, "a new configuration runs");
                *current = Current {
                    config,
                    error: None,
                };
                true
            }
            Err(error) => {
                let error = Some(error.to_string());
                let changed = current.error != error;
                if changed {
                    tracing::error!(
                        error,
                        "the new configuration cannot be used; the one before it runs on"
                    );
                }
                current.error = error;
                changed
            }
        });
        telemetry.config_reload_failed(current.borrow().error.is_some());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Config, ConfigError> {
        parse(Path::new("stack.yaml"), text, Path::new("/nonexistent"))
    }

    #[test]
    fn five_lines_are_a_complete_stack() {
        let config = parsed(
            "apiVersion: nightjar.dev/v1alpha1\nkind: ServerlessStack\nmetadata: {name: shop}\nspec:\n  regions: \
             [eu-west-1]\n  select: [{tags: {app: shop}}]\n",
        )
        .unwrap();
        assert_eq!(
            (config.name.as_str(), config.namespace.as_str()),
            ("shop", "default")
        );
        assert_eq!(config.spec.collection.interval().as_secs(), 300);
        assert_eq!(config.hash.len(), 64);
    }

    #[test]
    fn a_text_that_runs_is_not_parsed_again_unless_there_is_more_to_it_than_the_text() {
        let text = "apiVersion: nightjar.dev/v1alpha1\nkind: ServerlessStack\nmetadata: {name: shop}\nspec: {regions: \
                    [eu-west-1], select: [{names: [a]}]}\n";
        let mut config = parsed(text).unwrap();
        assert!(config.is_in(text));
        assert!(!config.is_in(&text.replace("[a]", "[b]")));
        // An external id is rotated in a file of its own.
        config.external_ids = vec![None, Some("secret".to_owned())];
        assert!(!config.is_in(text));
    }

    #[test]
    fn what_is_not_a_stack_is_refused_with_line_and_reason() {
        let error = parsed("# a comment\napiVersion: v1\nkind: Pod\nmetadata: {name: x}\n")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("line 2") && error.contains("nightjar.dev/v1alpha1"),
            "{error}"
        );
        let error = parsed("apiVersion: [").unwrap_err().to_string();
        assert!(error.contains("line 1"), "{error}");
        let error = parsed(
            "apiVersion: nightjar.dev/v1alpha1\nkind: ServerlessStack\nmetadata: {name: x}\nspec:\n  regions: \
             [eu-west-1]\n  select: [{names: [a]}]\n  collection: {interval: soon}\n",
        );
        let error = error.unwrap_err().to_string();
        assert!(error.contains("line 7") && error.contains("5m"), "{error}");
    }
}
