//! From the account file to the model: resolves names, turns calls into edges, and refuses what
//! cannot be played.

mod edges;
mod incidents;
mod nodes;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::super::account::{Account, LatenessByService, Name, Region};
use super::super::random;
use super::{AccountModel, NodeId, OPERATIONS, RegionModel};

type Refusal = (u64, String);

pub(super) fn line(name: &Name) -> u64 {
    name.referenced.line()
}

pub(super) fn compile_account(seed: u64, account: &Account) -> Result<AccountModel, Refusal> {
    let id = account.id.value.clone();
    let mut regions = BTreeMap::new();
    for (name, region) in &account.regions {
        let seed = random::mix(random::mix(seed, random::text(&id)), random::text(name));
        regions.insert(name.clone(), Builder::new(seed, &id, name).build(region)?);
    }
    let empty = Builder::new(0, &id, "").build(&Region::default())?;
    Ok(AccountModel {
        id,
        access_keys: account.access_keys.clone(),
        deny: account.deny.clone(),
        roles: account.roles.clone(),
        regions,
        empty,
    })
}

/// Names that calls refer to, while a region is compiled.
struct Builder {
    region: RegionModel,
    named: HashMap<(&'static str, String), NodeId>,
}

impl Builder {
    fn new(seed: u64, account: &str, name: &str) -> Self {
        Self {
            region: RegionModel {
                account: account.to_owned(),
                name: name.to_owned(),
                hours: Arc::default(),
                seed,
                lateness: LatenessByService::default(),
                concurrency_limit: 1000,
                nodes: Vec::new(),
                functions: Vec::new(),
                tables: Vec::new(),
                rest_apis: Vec::new(),
                http_apis: Vec::new(),
                mappings: Vec::new(),
                topics: Vec::new(),
                queues: Vec::new(),
                schedules: Vec::new(),
                state_machines: Vec::new(),
                stacks: Vec::new(),
                function_index: HashMap::new(),
                table_index: HashMap::new(),
            },
            named: HashMap::new(),
        }
    }

    fn build(mut self, region: &Region) -> Result<RegionModel, Refusal> {
        self.region.lateness = region.lateness.clone();
        if let Some(limit) = region.concurrency_limit {
            self.region.concurrency_limit = limit;
        }
        self.region.stacks.clone_from(&region.stacks);
        self.define(region)?;
        self.connect(region)?;
        self.apply_incidents(&region.incidents)?;
        self.refuse_circles()?;
        Ok(self.finish())
    }

    fn find(&self, kind: &'static str, name: &Name) -> Result<NodeId, Refusal> {
        self.named
            .get(&(kind, name.value.clone()))
            .copied()
            .ok_or_else(|| {
                (
                    line(name),
                    format!(
                        "there is no {kind} \"{}\" in region {}",
                        name.value, self.region.name
                    ),
                )
            })
    }

    fn finish(mut self) -> RegionModel {
        self.region.functions.sort_by(|a, b| a.name.cmp(&b.name));
        self.region.tables.sort_by(|a, b| a.name.cmp(&b.name));
        for (i, function) in self.region.functions.iter().enumerate() {
            self.region.function_index.insert(function.name.clone(), i);
        }
        for (i, table) in self.region.tables.iter().enumerate() {
            self.region.table_index.insert(table.name.clone(), i);
        }
        self.region
    }
}

fn unknown_operation(operation: &str) -> String {
    format!(
        "\"{operation}\" is not a table operation: use one of {}",
        OPERATIONS.join(", ")
    )
}

fn check_share(what: &str, share: f64, at: u64, name: &str) -> Result<(), Refusal> {
    if (0.0..=1.0).contains(&share) {
        Ok(())
    } else {
        Err((
            at,
            format!("{name}: `{what}` is {share}, but a share is between 0 and 1"),
        ))
    }
}
