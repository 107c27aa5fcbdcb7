//! The settings and tags of the resources that belong to the stack, as they were last read.
//!
//! What a round of discovery could not find out stays as it was: a resource that a round did not find although it was
//! complete leaves with the second such round, as its counters do; settings that could not be read keep what they were.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::membership::{Membership, Tags};
use crate::services::ServiceId;
use crate::services::found::{Fact, Resource};

/// What is known of an account and region.
#[derive(Debug, Default)]
pub struct Inventory {
    of_service: BTreeMap<ServiceId, Vec<Known>>,
    /// By ARN.
    tags: HashMap<String, Tags>,
}

/// A resource without its counters.
#[derive(Debug)]
struct Known {
    /// None for what is the account's.
    arn: Option<String>,
    facts: Vec<Fact>,
    /// The last complete round did not find it.
    missing: bool,
}

impl Inventory {
    /// Forgets the other services.
    pub fn keep(&mut self, wanted: &[ServiceId]) {
        self.of_service.retain(|id, _| wanted.contains(id));
    }

    /// Takes over the resources that were found of a service, and whether those are all that there are. Answers
    /// whether that is news.
    pub fn take(
        &mut self,
        id: ServiceId,
        found: Vec<Resource>,
        complete: bool,
        members: &Membership,
    ) -> bool {
        let mut news = false;
        let mut before: HashMap<Option<String>, Known> = self
            .of_service
            .remove(&id)
            .into_iter()
            .flatten()
            .map(|known| (known.arn.clone(), known))
            .collect();
        let mut now = Vec::new();
        for resource in found {
            let Resource {
                arn,
                mut facts,
                unread,
                ..
            } = resource;
            if let Some(arn) = &arn
                && let Some(tags) = members.tags(arn)
                && self.tags.get(arn) != Some(tags)
            {
                self.tags.insert(arn.clone(), tags.clone());
                news = true;
            }
            let last = before.remove(&arn);
            news |= last
                .as_ref()
                .is_none_or(|last| last.missing || last.facts != facts);
            if let Some(last) = last.filter(|_| unread) {
                let read: HashSet<&str> = facts.iter().map(|fact| fact.family.name).collect();
                let kept = last.facts.into_iter();
                facts.extend(kept.filter(|fact| !read.contains(fact.family.name)));
            }
            now.push(Known {
                arn,
                facts,
                missing: false,
            });
        }
        news |= !before.is_empty();
        now.extend(before.into_values().filter_map(|known| {
            let missing = known.missing || complete;
            (!(known.missing && complete)).then_some(Known { missing, ..known })
        }));
        now.sort_by(|a, b| a.arn.cmp(&b.arn));
        self.of_service.insert(id, now);
        let alive: HashSet<&String> = self
            .of_service
            .values()
            .flatten()
            .filter_map(|known| known.arn.as_ref())
            .collect();
        self.tags.retain(|arn, _| alive.contains(arn));
        news
    }

    /// How many resources of a service there are.
    pub fn count(&self, id: ServiceId) -> u64 {
        let known = self.of_service.get(&id).into_iter().flatten();
        known.filter(|known| known.arn.is_some()).count() as u64
    }

    /// All settings, each with the tags of its resource.
    pub fn facts(&self) -> impl Iterator<Item = (&Fact, Option<&Tags>)> {
        self.of_service.values().flatten().flat_map(|known| {
            let tags = known.arn.as_ref().and_then(|arn| self.tags.get(arn));
            known.facts.iter().map(move |fact| (fact, tags))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::table::{Family, FamilyKind};

    static CAPACITY: Family = Family {
        name: "aws_test_capacity",
        kind: FamilyKind::Gauge,
        help: "",
    };
    static TTL: Family = Family {
        name: "aws_test_ttl",
        kind: FamilyKind::Gauge,
        help: "",
    };

    fn resource(arn: &str, facts: &[(&'static Family, f64)]) -> Resource {
        let fact = |(family, value): &(&'static Family, f64)| Fact {
            family,
            labels: Vec::new(),
            info: false,
            value: *value,
        };
        Resource {
            arn: Some(arn.to_owned()),
            subjects: Vec::new(),
            facts: facts.iter().map(fact).collect(),
            unread: false,
        }
    }

    fn take(inventory: &mut Inventory, resources: Vec<Resource>, complete: bool) {
        let members = Membership::default();
        inventory.take(ServiceId::DynamoDb, resources, complete, &members);
    }

    fn values(inventory: &Inventory) -> Vec<(&'static str, f64)> {
        let facts = inventory.facts();
        let mut values: Vec<_> = facts
            .map(|(fact, _)| (fact.family.name, fact.value))
            .collect();
        values.sort_by_key(|(name, _)| *name);
        values
    }

    #[test]
    fn what_an_incomplete_round_misses_stays_and_what_two_complete_ones_miss_leaves() {
        let mut inventory = Inventory::default();
        let (a, b) = (
            || resource("a", &[(&TTL, 1.0)]),
            || resource("b", &[(&TTL, 2.0)]),
        );
        let count = |inventory: &Inventory| inventory.count(ServiceId::DynamoDb);
        take(&mut inventory, vec![a(), b()], true);
        for _ in 0..3 {
            take(&mut inventory, vec![b()], false);
            assert_eq!(count(&inventory), 2);
        }
        take(&mut inventory, vec![b()], true);
        take(&mut inventory, vec![a(), b()], true);
        take(&mut inventory, vec![b()], true);
        assert_eq!(count(&inventory), 2, "it was there in between");
        take(&mut inventory, vec![b()], true);
        assert_eq!(values(&inventory), [("aws_test_ttl", 2.0)]);
        inventory.keep(&[ServiceId::Lambda]);
        assert_eq!(count(&inventory), 0);
    }

    #[test]
    fn settings_that_could_not_be_read_stay_and_those_that_ended_leave() {
        let mut inventory = Inventory::default();
        let whole = resource("a", &[(&CAPACITY, 5.0), (&TTL, 0.0)]);
        take(&mut inventory, vec![whole], true);
        let part = Resource {
            unread: true,
            ..resource("a", &[(&TTL, 1.0)])
        };
        take(&mut inventory, vec![part], true);
        let kept = [("aws_test_capacity", 5.0), ("aws_test_ttl", 1.0)];
        assert_eq!(values(&inventory), kept);
        take(&mut inventory, vec![resource("a", &[(&TTL, 1.0)])], true);
        assert_eq!(values(&inventory), [("aws_test_ttl", 1.0)]);
    }
}
