//! How a target takes over what discovery found: what is watched from now on, and since when.

use std::collections::HashMap;

use super::{Target, now_seconds};
use crate::exporter::book::Minute;
use crate::exporter::discover::Discovered;
use crate::exporter::watched::Watched;
use crate::services::ServiceId;
use crate::services::found::{Found, SubjectKey};
use crate::services::listing::LISTING_DELAY_MINUTES;

/// How long the books of a resource that is gone are kept, in minutes.
const KEEP_BOOKS_MINUTES: i64 = 24 * 60;

impl Target {
    /// Takes over what discovery found. What it could not find out stays as it was. Answers whether there is anything
    /// to publish of it.
    pub(super) fn take(&mut self, round: Discovered) -> bool {
        let now = now_seconds();
        let mut news = false;
        let mut all_found = round.problems.is_empty();
        let members_known = round.problems.is_empty();
        self.problems.replace("membership", round.problems, now);
        let wanted = round.wanted;
        self.inventory.keep(&wanted);
        for id in self
            .services
            .keys()
            .copied()
            .filter(|id| !wanted.contains(id))
            .collect::<Vec<_>>()
        {
            self.parts.telemetry.forget(&self.scope(id));
            self.services.remove(&id);
            // Should it come back, it is counted from then on: what was shown of it before is not counted again.
            self.last_found.remove(&id);
            self.problems.replace(id.name(), Vec::new(), now);
            news = true;
        }
        for (id, found) in round.services {
            let found = match found {
                Ok(found) => found,
                Err(error) => {
                    all_found = false;
                    self.problems.replace(id.name(), vec![error], now);
                    continue;
                }
            };
            let complete = members_known && found.complete();
            all_found &= complete;
            news |= self.merge(id, &found, round.began, complete);
            news |= self
                .inventory
                .take(id, found.resources, complete, &round.membership);
            let problems = found.problems.into_iter().chain(found.lesser).collect();
            self.problems.replace(id.name(), problems, now);
            // What an incomplete round missed will be counted from the last complete one on.
            let since = self.last_found.entry(id).or_insert(round.began);
            if complete {
                *since = round.began;
            }
            let count = self.inventory.count(id);
            news |= !self.services.contains_key(&id);
            self.services.entry(id).or_default().resources = count;
            let scope = self.scope(id);
            self.parts.telemetry.found(&scope, count);
            if complete {
                self.parts.telemetry.discovered(&scope, now);
            }
        }
        if all_found {
            self.last_discovery = Some(now);
        }
        // A service that the stack does not watch any more is gone at once.
        let now = self.minute();
        self.watched.retain(|watched| {
            let of_wanted = wanted.iter().any(|id| {
                id.service()
                    .shapes
                    .iter()
                    .any(|s| s.name == watched.subject.shape.name)
            });
            of_wanted
                && watched
                    .missing
                    .is_none_or(|(_, since)| now.0 - since.0 < KEEP_BOOKS_MINUTES)
        });
        self.watched.sort_by_cached_key(Watched::key);
        news
    }

    fn merge(&mut self, id: ServiceId, found: &Found, began: Minute, complete: bool) -> bool {
        let mut news = false;
        let mut places: HashMap<SubjectKey, usize> = self
            .watched
            .iter()
            .enumerate()
            .map(|(place, watched)| (watched.key(), place))
            .collect();
        // What was not there when it was last looked for is counted from then on.
        let last = self.last_found.get(&id).copied();
        let listed = last.map_or(began, |last| last.back(LISTING_DELAY_MINUTES));
        let known = complete && found.lesser.is_empty();
        for subject in found
            .resources
            .iter()
            .flat_map(|resource| &resource.subjects)
        {
            if let Some(place) = places.remove(&subject.key()) {
                news |= self.watched[place].update(subject.clone(), listed, began, known);
            } else {
                news = true;
                let from = if subject.shape.listed {
                    listed
                } else {
                    last.unwrap_or(began)
                };
                self.watched.push(Watched::new(subject.clone(), from));
            }
        }
        if complete {
            for (key, place) in places {
                let of_service = id.service().shapes.iter().any(|shape| shape.name == key.0);
                if of_service && !found.unknown.contains(&key.0) {
                    let missing = &mut self.watched[place].missing;
                    *missing =
                        Some(missing.map_or((1, began), |(rounds, since)| (rounds + 1, since)));
                    news = true;
                }
            }
        }
        news
    }
}
