//! A target's books on the disk: taken over at the start, saved before anything of them is shown.

use super::{Target, now_seconds};
use crate::api::Reason;
use crate::api::exporter_status::ServiceStatus;
use crate::aws::{AwsError, Identity};
use crate::exporter::checkpoint::{self, Books, Header};
use crate::exporter::gates::Gates;
use crate::exporter::histograms::Histograms;
use crate::exporter::watched::Watched;
use crate::services::ServiceId;

impl Target {
    /// Takes over the books of the process before this one. Fails while they cannot be read.
    pub(super) fn restore(&mut self) -> std::io::Result<()> {
        let Some(store) = &self.parts.store else {
            return Ok(());
        };
        let Some((header, books)) = store.load(&self.parts.key)? else {
            return Ok(());
        };
        tracing::info!(
            account_id = header.account_id,
            region = self.parts.key.1,
            subjects = books.subjects.len(),
            "going on with the books that were kept"
        );
        self.identity = Some(Identity {
            account_id: header.account_id,
            partition: header.partition,
        });
        self.catching_up_until = books.catching_up_until;
        self.gates = Gates::restored(books.gates);
        self.histograms = Histograms::working(&books.histograms);
        if let Some(bucket) = books.bucket {
            self.parts.economy.restore(bucket);
        }
        for (name, at) in books.last_found {
            if let Some(id) = ServiceId::from_name(&name) {
                self.last_found.insert(id, at);
            }
        }
        for (name, at) in books.last_poll {
            if let Some(id) = ServiceId::from_name(&name) {
                self.services.entry(id).or_default().last_poll = Some(at);
            }
        }
        // Else nobody could tell how long CloudWatch has not answered if it does not now.
        for id in ServiceId::ALL {
            let polled = self.services.get(&id).and_then(|service| service.last_poll);
            let found = self.last_found.get(&id).map(|at| at.start());
            self.parts
                .telemetry
                .remembered(&self.scope(id), polled, found);
        }
        let restored = books.subjects.into_iter().filter_map(Watched::restore);
        self.watched = restored.collect();
        self.watched.sort_by_cached_key(Watched::key);
        Ok(())
    }

    /// Says that the books cannot be read. Without them nothing is published, so that no counter begins anew.
    pub(super) fn note_unread(&mut self, error: &std::io::Error) {
        tracing::error!(region = self.parts.key.1, %error, "the books cannot be read");
        let problem = AwsError::new(
            Reason::StateNotSaved,
            "checkpoint",
            format!(
                "the books cannot be read ({error}), so nothing is published until they can be. Mend the disk of \
                 --state-dir (spec.exporter.storage), or remove the file: its counters then begin at 0."
            ),
        );
        self.problems.replace("books", vec![problem], now_seconds());
        self.tell();
    }

    /// Takes over whose credentials these are. Books of another account are of no use.
    pub(super) fn settle_identity(&mut self, identity: &Identity) {
        let kept = self.identity.replace(identity.clone());
        if kept.is_none_or(|kept| kept == *identity) {
            return;
        }
        tracing::warn!(
            account_id = identity.account_id,
            region = self.parts.key.1,
            "the credentials are another account's now: its counters begin at 0"
        );
        self.watched.clear();
        self.services.clear();
        self.last_found.clear();
        self.gates = Gates::default();
        self.histograms = Histograms::default();
        if let Some(store) = &self.parts.store {
            store.forget(&self.parts.key);
            // There is nothing left to be loaded: what comes now may be saved.
            let _ = store.load(&self.parts.key);
        }
    }

    /// Writes the books to the disk. False if that failed.
    pub(super) async fn save(&mut self) -> bool {
        let (Some(store), Some(identity)) = (&self.parts.store, &self.identity) else {
            return true;
        };
        let header = Header {
            stack: store.stack().to_owned(),
            key: self.parts.key.clone(),
            account_id: identity.account_id.clone(),
            partition: identity.partition.clone(),
        };
        let last_poll = |(id, status): (&ServiceId, &ServiceStatus)| {
            Some((id.name().to_owned(), status.last_poll?))
        };
        let books = Books {
            last_found: self
                .last_found
                .iter()
                .map(|(id, at)| (id.name().to_owned(), *at))
                .collect(),
            last_poll: self.services.iter().filter_map(last_poll).collect(),
            catching_up_until: self.catching_up_until,
            histograms: self.histograms.works(),
            gates: self.gates.saved().clone(),
            bucket: self.parts.economy.saved(),
            subjects: self.watched.iter().map(Watched::saved).collect(),
        };
        let bytes = self.heavy(|| checkpoint::encode(&header, &books));
        let store = store.clone();
        let saved = tokio::task::spawn_blocking(move || store.save(&header, &bytes)).await;
        let error = match saved {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(error) => Some(error.to_string()),
        };
        self.parts.telemetry.saved(now_seconds(), error.is_some());
        let problem = |error: String| {
            tracing::error!(
                region = self.parts.key.1,
                error,
                "the books cannot be written"
            );
            AwsError::new(
                Reason::StateNotSaved,
                "checkpoint",
                format!(
                    "the books cannot be written ({error}), so the last data that could be are served. \
                     Make room in the folder of --state-dir (spec.exporter.storage)."
                ),
            )
        };
        let problems: Vec<_> = error.map(problem).into_iter().collect();
        let failed = !problems.is_empty();
        self.problems.replace("books", problems, now_seconds());
        !failed
    }
}
