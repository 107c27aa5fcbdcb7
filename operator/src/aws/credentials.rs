//! The credentials of the process, read anew whenever they may have changed.
//!
//! The SDK reads files and environment once, so that keys that are rotated on disk would never be
//! seen. Here the whole chain (static keys, profile, web identity, container, instance) is asked
//! again when what it gave has expired; what does not say when it expires is read again every minute.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use aws_config::identity::IdentityCache;
use aws_config::{ConfigLoader, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};

/// How long credentials that do not say when they expire are used until they are read again.
const READ_AGAIN: Duration = Duration::from_mins(1);

/// The SDK's configuration of the process, with credentials that follow their source. `loader` makes
/// a configuration without them, `folder` holds the keys, if they are not the environment's.
pub async fn configuration(
    loader: impl Fn() -> ConfigLoader + Send + Sync + 'static,
    folder: Option<PathBuf>,
    timeout: Duration,
) -> SdkConfig {
    let cache = IdentityCache::lazy().load_timeout(timeout).build();
    loader()
        .credentials_provider(Following { loader, folder })
        .identity_cache(cache)
        .load()
        .await
}

/// Asks the source each time.
struct Following<L> {
    loader: L,
    folder: Option<PathBuf>,
}

impl<L> std::fmt::Debug for Following<L> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Following")
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

impl<L: Fn() -> ConfigLoader + Send + Sync> ProvideCredentials for Following<L> {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async move {
            let mut credentials = self.ask().await?;
            credentials
                .expiry_mut()
                .get_or_insert_with(|| SystemTime::now() + READ_AGAIN);
            Ok(credentials)
        })
    }
}

impl<L: Fn() -> ConfigLoader> Following<L> {
    async fn ask(&self) -> Result<Credentials, CredentialsError> {
        if let Some(folder) = &self.folder {
            return read(folder).await;
        }
        match (self.loader)().load().await.credentials_provider() {
            Some(chain) => chain.provide_credentials().await,
            None => Err(CredentialsError::not_loaded(
                "there is no source of credentials",
            )),
        }
    }
}

/// Reads the keys of a mounted Secret.
async fn read(folder: &Path) -> Result<Credentials, CredentialsError> {
    let file = async |name: &str| {
        let path = folder.join(name);
        match tokio::fs::read_to_string(&path).await {
            Ok(text) => Ok(text.trim().to_owned()),
            Err(error) => Err(CredentialsError::provider_error(format!(
                "cannot read {}: {error}",
                path.display()
            ))),
        }
    };
    Ok(Credentials::new(
        file("AWS_ACCESS_KEY_ID").await?,
        file("AWS_SECRET_ACCESS_KEY").await?,
        file("AWS_SESSION_TOKEN").await.ok(),
        None,
        "folder",
    ))
}
