//! Which access keys signed requests, and whose they are.
//!
//! An access key is of one account for as long as it exists, so AWS is asked once for each; it need not be asked again while
//! none has come. Keys are changed under a process that runs: what was read with one of which nobody knows whose it is
//! is not used.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Identity;

/// Keys of which it is remembered whose they are; assumed roles get new ones each hour.
const REMEMBERED: usize = 16;

/// The keys that signed some requests, the latest at the end; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Signers(Arc<Mutex<Vec<String>>>);

impl Signers {
    /// Notes the key in the signature of a request.
    pub fn note(&self, authorization: Option<&str>) {
        if let Some(key) = authorization.and_then(key_of) {
            let mut keys = lock(&self.0);
            keys.retain(|known| known != key);
            keys.push(key.to_owned());
        }
    }

    /// All of them.
    pub fn all(&self) -> Vec<String> {
        lock(&self.0).clone()
    }
}

/// Whose keys are; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Owners(Arc<Mutex<Vec<(String, Identity)>>>);

impl Owners {
    /// Remembers whose a key is.
    pub fn note(&self, key: String, owner: Identity) {
        let mut owners = lock(&self.0);
        owners.retain(|(known, _)| *known != key);
        owners.insert(0, (key, owner));
        owners.truncate(REMEMBERED);
    }

    /// Whose a key is, if that is known.
    pub fn of(&self, key: &str) -> Option<Identity> {
        let owners = lock(&self.0);
        let known = owners.iter().find(|(known, _)| known == key);
        known.map(|(_, owner)| owner.clone())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The key in `AWS4-HMAC-SHA256 Credential=KEY/20260101/eu-west-1/sts/aws4_request, SignedHeaders=...`.
fn key_of(authorization: &str) -> Option<&str> {
    let (_, scope) = authorization.split_once("Credential=")?;
    scope.split_once('/').map(|(key, _)| key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_a_signature_is_noted_and_the_latest_is_the_last() {
        let signers = Signers::default();
        for key in ["AKIAONE", "AKIATWO", "AKIAONE"] {
            let signature = format!(
                "AWS4-HMAC-SHA256 Credential={key}/20260101/eu-west-1/sts/aws4_request, SignedHeaders=host, Signature=0"
            );
            signers.note(Some(&signature));
        }
        signers.note(None);
        signers.note(Some("Basic YTpi"));
        assert_eq!(signers.all(), ["AKIATWO", "AKIAONE"]);
    }

    #[test]
    fn whose_a_key_is_is_remembered_for_the_newest() {
        let owners = Owners::default();
        let identity = |account: usize| Identity {
            account_id: account.to_string(),
            partition: "aws".to_owned(),
        };
        for key in 0..=REMEMBERED {
            owners.note(key.to_string(), identity(key));
        }
        assert_eq!(owners.of("0"), None);
        assert_eq!(owners.of("1"), Some(identity(1)));
    }
}
