//! Which resources belong to the stack: `spec.select` without `spec.exclude`.
//!
//! A selector becomes a set. Names are patterns and need no request; tags and CloudFormation
//! stacks are looked up with filters that AWS applies itself. A selector whose look-up fails keeps
//! the set that it had, so that a throttled request never makes resources disappear. An exclusion that was
//! never looked up could let in what it excludes: until it is known, nothing new belongs to the stack.

use std::collections::{BTreeMap, HashMap, HashSet};

use aws_sdk_cloudformation::types::ResourceStatus;
use wildmatch::WildMatch;

use crate::api::stack::Selector;
use crate::api::{Reason, ServerlessStackSpec};
use crate::aws::{AwsError, Clients, Pages};
use crate::services::ServiceId;

/// The tags of one resource.
pub type Tags = BTreeMap<String, String>;

/// The resolved membership of one account and region.
#[derive(Clone, Debug, Default)]
pub struct Membership {
    select: Vec<Set>,
    exclude: Vec<Set>,
    /// Tags by ARN, as far as the tagging API was asked.
    tags: HashMap<String, Tags>,
}

/// What one selector stands for.
#[derive(Clone, Debug)]
enum Set {
    Names(Vec<WildMatch>),
    Arns(HashSet<String>),
    /// CloudFormation's type and physical id.
    Physical(HashSet<(String, String)>),
}

impl Set {
    fn contains(&self, kind: &str, physical_id: &str, name: &str, arn: &str) -> bool {
        match self {
            Self::Names(patterns) => patterns.iter().any(|pattern| pattern.matches(name)),
            Self::Arns(arns) => arns.contains(arn),
            Self::Physical(ids) => ids.contains(&(kind.to_owned(), physical_id.to_owned())),
        }
    }

    fn contains_arn(&self, arn: &str) -> bool {
        matches!(self, Self::Arns(arns) if arns.contains(arn))
    }
}

impl Membership {
    /// Whether a resource belongs to the stack. `kind` is CloudFormation's name of its type and
    /// `physical_id` CloudFormation's name of the resource.
    pub fn contains(&self, kind: &str, physical_id: &str, name: &str, arn: &str) -> bool {
        let within = |sets: &[Set]| {
            sets.iter()
                .any(|set| set.contains(kind, physical_id, name, arn))
        };
        within(&self.select) && !within(&self.exclude)
    }

    /// Whether the ARN itself is selected: a part of a resource, such as a stage of an API.
    pub fn contains_arn(&self, arn: &str) -> bool {
        let within = |sets: &[Set]| sets.iter().any(|set| set.contains_arn(arn));
        within(&self.select) && !within(&self.exclude)
    }

    /// Whether a part of the resource is selected by its own ARN.
    pub fn names_part_of(&self, arn: &str) -> bool {
        let part = |selected: &String| {
            selected
                .strip_prefix(arn)
                .is_some_and(|rest| rest.starts_with('/'))
        };
        self.select
            .iter()
            .any(|set| matches!(set, Set::Arns(arns) if arns.iter().any(part)))
    }

    /// The names of all that can belong to the stack, when no selector is a pattern: each with
    /// whether AWS says now that it exists. `None` when all resources must be looked through.
    /// `name_of` reads a name out of an ARN, where it is one of the kind.
    pub fn candidates<'a>(
        &'a self,
        kind: &str,
        name_of: impl Fn(&'a str) -> Option<&'a str>,
    ) -> Option<BTreeMap<String, bool>> {
        let mut names = BTreeMap::new();
        let mut add = |name: &str, exists: bool| {
            *names.entry(name.to_owned()).or_default() |= exists;
        };
        for set in &self.select {
            match set {
                Set::Names(patterns) => {
                    for pattern in patterns {
                        let pattern = pattern.pattern();
                        if pattern.contains(['*', '?']) {
                            return None;
                        }
                        add(&pattern, false);
                    }
                }
                Set::Arns(arns) => {
                    for arn in arns {
                        if let Some(name) = name_of(arn)
                            && self.contains(kind, name, name, arn)
                        {
                            add(name, self.tags.contains_key(arn));
                        }
                    }
                }
                Set::Physical(ids) => ids
                    .iter()
                    .filter(|(of_kind, _)| of_kind == kind)
                    .for_each(|(_, id)| add(id, true)),
            }
        }
        Some(names)
    }

    /// The tags of a resource, as far as they were asked for.
    pub fn tags(&self, arn: &str) -> Option<&Tags> {
        self.tags.get(arn)
    }
}

/// What a selector was found to stand for, and the tags that were read with it.
type Found = (Set, HashMap<String, Tags>);

/// A selector by its text, whether it excludes, and what was found.
type LookedUp = (String, bool, Result<Found, AwsError>);

/// Looks selectors up at AWS, and remembers what they stood for.
#[derive(Debug, Default)]
pub struct Resolver {
    known: HashMap<String, Found>,
    all_tags: HashMap<String, Tags>,
}

impl Resolver {
    /// The membership now, and what could not be looked up. None while it is not known what is excluded.
    pub async fn resolve(
        &mut self,
        aws: &Clients,
        spec: &ServerlessStackSpec,
        services: &[ServiceId],
    ) -> (Option<Membership>, Vec<AwsError>) {
        let mut looked_up = Vec::new();
        for (selectors, excluding) in [(&spec.select, false), (&spec.exclude, true)] {
            for selector in selectors {
                let key = format!("{selector:?}");
                looked_up.push((key, excluding, look_up(aws, selector, services).await));
            }
        }
        let (membership, mut problems) = self.combine(looked_up);
        let Some(mut membership) = membership else {
            return (None, problems);
        };
        // Resources that were selected by other means than tags have tags too.
        let by_tags_alone = spec.select.iter().all(|selector| selector.tags.is_some());
        if !spec.tags.is_empty() && !by_tags_alone {
            match tagged(aws, None, services).await {
                Ok(tags) => self.all_tags = tags,
                Err(error) => problems.push(error),
            }
            membership.tags.extend(
                self.all_tags
                    .iter()
                    .map(|(arn, tags)| (arn.clone(), tags.clone())),
            );
        }
        (Some(membership), problems)
    }

    /// What selectors come to, each with whether it excludes and what was looked up.
    fn combine(&mut self, looked_up: Vec<LookedUp>) -> (Option<Membership>, Vec<AwsError>) {
        let mut problems = Vec::new();
        let mut membership = Membership::default();
        let mut known = HashMap::new();
        let mut lets_in_too_much = false;
        for (key, excluding, resolved) in looked_up {
            let resolved = match resolved {
                Ok(resolved) => resolved,
                Err(error) => {
                    problems.push(error);
                    let Some(last) = self.known.remove(&key) else {
                        lets_in_too_much |= excluding;
                        continue;
                    };
                    last
                }
            };
            let tags = resolved.1.iter();
            membership
                .tags
                .extend(tags.map(|(arn, tags)| (arn.clone(), tags.clone())));
            let sets = if excluding {
                &mut membership.exclude
            } else {
                &mut membership.select
            };
            sets.push(resolved.0.clone());
            known.insert(key, resolved);
        }
        self.known = known;
        ((!lets_in_too_much).then_some(membership), problems)
    }
}

async fn look_up(
    aws: &Clients,
    selector: &Selector,
    services: &[ServiceId],
) -> Result<Found, AwsError> {
    if let Some(tags) = &selector.tags {
        let found = tagged(aws, Some(tags), services).await?;
        return Ok((Set::Arns(found.keys().cloned().collect()), found));
    }
    let set = if let Some(stack) = &selector.cloud_formation {
        Set::Physical(stack_resources(aws, &stack.stack_name).await?)
    } else if let Some(names) = &selector.names {
        Set::Names(
            names
                .iter()
                .map(|pattern| WildMatch::new(pattern))
                .collect(),
        )
    } else {
        Set::Arns(selector.arns.iter().flatten().cloned().collect())
    };
    Ok((set, HashMap::new()))
}

async fn tagged(
    aws: &Clients,
    filters: Option<&Tags>,
    services: &[ServiceId],
) -> Result<HashMap<String, Tags>, AwsError> {
    let mut found = HashMap::new();
    let mut token = None;
    let filters: Vec<_> = filters
        .into_iter()
        .flatten()
        .map(|(key, value)| {
            let values = (!value.is_empty()).then(|| vec![value.clone()]);
            aws_sdk_resourcegroupstagging::types::TagFilter::builder()
                .key(key)
                .set_values(values)
                .build()
        })
        .collect();
    let types: Vec<String> = services
        .iter()
        .flat_map(|id| id.service().tagging_types)
        .map(|kind| (*kind).to_owned())
        .collect();
    let mut pages = Pages::of("tag:GetResources");
    loop {
        let request = aws
            .tagging
            .get_resources()
            .resources_per_page(100)
            .set_tag_filters((!filters.is_empty()).then(|| filters.clone()))
            .set_resource_type_filters(Some(types.clone()))
            .set_pagination_token(token)
            .send();
        let page = aws.call("tag:GetResources", request).await?;
        for mapping in page.resource_tag_mapping_list() {
            // A resource that has no tags left is listed for a while.
            if let Some(arn) = mapping.resource_arn()
                && !mapping.tags().is_empty()
            {
                let tags = mapping
                    .tags()
                    .iter()
                    .map(|tag| (tag.key().to_owned(), tag.value().to_owned()));
                found.insert(arn.to_owned(), tags.collect());
            }
        }
        token = pages.after(page.pagination_token())?;
        if token.is_none() {
            return Ok(found);
        }
    }
}

/// All resources of a CloudFormation stack and of the stacks nested in it. A stack that does
/// not exist in this region has none: the same selector serves all regions.
async fn stack_resources(aws: &Clients, name: &str) -> Result<HashSet<(String, String)>, AwsError> {
    let mut found = HashSet::new();
    let mut stacks = vec![name.to_owned()];
    let mut seen: HashSet<String> = stacks.iter().cloned().collect();
    while let Some(stack) = stacks.pop() {
        let mut token = None;
        let mut pages = Pages::of("cloudformation:ListStackResources");
        loop {
            let request = aws
                .cloudformation
                .list_stack_resources()
                .stack_name(&stack)
                .set_next_token(token)
                .send();
            let page = match aws.call("cloudformation:ListStackResources", request).await {
                Ok(page) => page,
                Err(error) if error.reason == Reason::NotFound => break,
                Err(error) => return Err(error),
            };
            for resource in page.stack_resource_summaries() {
                let (Some(kind), Some(id)) =
                    (resource.resource_type(), resource.physical_resource_id())
                else {
                    continue;
                };
                // What the stack once had is listed for a while.
                if resource.resource_status() == Some(&ResourceStatus::DeleteComplete) {
                    continue;
                }
                if kind == "AWS::CloudFormation::Stack" && seen.insert(id.to_owned()) {
                    stacks.push(id.to_owned());
                }
                found.insert((kind.to_owned(), id.to_owned()));
            }
            token = pages.after(page.next_token())?;
            if token.is_none() {
                break;
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(patterns: &[&str]) -> Set {
        Set::Names(
            patterns
                .iter()
                .map(|pattern| WildMatch::new(pattern))
                .collect(),
        )
    }

    #[test]
    fn what_is_excluded_does_not_belong_however_it_was_selected() {
        let membership = Membership {
            select: vec![
                names(&["shop-*"]),
                Set::Arns(HashSet::from(["arn:pay-canary".to_owned()])),
            ],
            exclude: vec![names(&["*-canary"])],
            tags: HashMap::new(),
        };
        let contains = |name: &str| {
            membership.contains("AWS::Lambda::Function", name, name, &format!("arn:{name}"))
        };
        assert!(contains("shop-cart"));
        assert!(!contains("shop-cart-canary"));
        assert!(!contains("pay-canary"));
        assert!(!contains("billing"));
    }

    #[test]
    fn while_an_exclusion_was_never_looked_up_nothing_belongs_and_later_what_it_was_last() {
        let failed = || {
            Err(AwsError::new(
                Reason::Throttled,
                "tag:GetResources",
                "slow down",
            ))
        };
        let found = |set| Ok((set, HashMap::new()));
        let all = || ("all".to_owned(), false, found(names(&["*"])));
        let mut resolver = Resolver::default();
        let mut combine = |canaries| {
            let canaries = ("canaries".to_owned(), true, canaries);
            let (membership, problems) = resolver.combine(vec![all(), canaries]);
            let contains = |arn: &str| {
                let membership = membership.as_ref()?;
                Some(membership.contains("AWS::Lambda::Function", "f", "f", arn))
            };
            (
                contains("arn:plain"),
                contains("arn:canary"),
                problems.len(),
            )
        };
        let canary = || Set::Arns(HashSet::from(["arn:canary".to_owned()]));
        assert_eq!(combine(failed()), (None, None, 1));
        assert_eq!(combine(found(canary())), (Some(true), Some(false), 0));
        assert_eq!(combine(failed()), (Some(true), Some(false), 1));
        assert_eq!(combine(failed()), (Some(true), Some(false), 1));
        // A selection that was never looked up selects nothing, and keeps nobody else from it.
        let other = ("other".to_owned(), false, failed());
        let (membership, problems) = resolver.combine(vec![all(), other]);
        assert!(membership.is_some() && problems.len() == 1);
    }

    #[test]
    fn members_are_known_by_name_unless_a_selector_is_a_pattern() {
        let arns = HashSet::from(["arn:f:tagged".to_owned(), "arn:f:named-canary".to_owned()]);
        let ids = HashSet::from([
            ("AWS::DynamoDB::Table".to_owned(), "orders".to_owned()),
            ("AWS::Lambda::Function".to_owned(), "stacked".to_owned()),
        ]);
        let mut membership = Membership {
            select: vec![names(&["plain"]), Set::Arns(arns), Set::Physical(ids)],
            exclude: vec![names(&["*-canary"])],
            tags: HashMap::from([("arn:f:tagged".to_owned(), Tags::new())]),
        };
        let candidates = |membership: &Membership| {
            membership.candidates("AWS::Lambda::Function", |arn| arn.strip_prefix("arn:f:"))
        };
        let known = [("plain", false), ("stacked", true), ("tagged", true)];
        let known = known.map(|(name, exists)| (name.to_owned(), exists));
        assert_eq!(candidates(&membership), Some(known.into()));
        membership.select.push(names(&["shop-*"]));
        assert_eq!(candidates(&membership), None);
    }

    #[test]
    fn a_physical_id_counts_only_for_its_own_type() {
        let ids = HashSet::from([("AWS::DynamoDB::Table".to_owned(), "orders".to_owned())]);
        let membership = Membership {
            select: vec![Set::Physical(ids)],
            ..Membership::default()
        };
        assert!(membership.contains("AWS::DynamoDB::Table", "orders", "orders", "arn:t"));
        assert!(!membership.contains("AWS::Lambda::Function", "orders", "orders", "arn:f"));
    }

    #[test]
    fn a_tagged_stage_does_not_select_an_api_whose_id_merely_begins_like_it() {
        let arns = HashSet::from(["arn:aws:apigateway:r::/apis/abc1/stages/prod".to_owned()]);
        let membership = Membership {
            select: vec![Set::Arns(arns)],
            ..Membership::default()
        };
        assert!(membership.names_part_of("arn:aws:apigateway:r::/apis/abc1"));
        assert!(!membership.names_part_of("arn:aws:apigateway:r::/apis/abc"));
    }
}
