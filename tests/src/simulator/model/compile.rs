//! From the account file to the model: resolves names, turns calls into edges, and refuses what
//! cannot be played.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::super::account::{
    Account, Api, Call, Consumer, Function, Generated, Incident, IncidentKind, Latency,
    LatenessByService, Life, Name, Region, SourceKind, Span, Table, Traffic,
};
use super::super::random;
use super::{
    AccountModel, ApiModel, Edge, FunctionModel, Mapping, Node, NodeId, OPERATIONS, Quantiles,
    READS, RegionModel, TableModel, matches,
};

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

    fn node(&mut self, kind: &'static str, name: &str) -> NodeId {
        let key = random::mix(
            random::mix(self.region.seed, random::text(kind)),
            random::text(name),
        );
        self.region.nodes.push(Node {
            key,
            traffic: Traffic::None,
            every_minutes: None,
            incoming: Vec::new(),
            life: Life::default(),
            errors: 0.0,
            client_errors: 0.0,
            throttles: 0.0,
            timeouts: 0.0,
            latency: Quantiles::new(&Latency::default()),
            cap_us: i64::MAX,
            incidents: Vec::new(),
        });
        self.region.nodes.len() - 1
    }

    fn named_node(&mut self, kind: &'static str, name: &Name) -> Result<NodeId, Refusal> {
        if name.value.is_empty() {
            return Err((line(name), format!("a {kind} has an empty name")));
        }
        let id = self.node(kind, &name.value);
        if self.named.insert((kind, name.value.clone()), id).is_some() {
            return Err((
                line(name),
                format!("{kind} \"{}\" is described twice", name.value),
            ));
        }
        Ok(id)
    }

    fn define(&mut self, region: &Region) -> Result<(), Refusal> {
        for function in &region.functions {
            self.function(function, None)?;
        }
        for generated in &region.generated {
            self.generated(generated)?;
        }
        for table in &region.tables {
            self.table(table)?;
        }
        for (apis, kind) in [
            (&region.rest_apis, "REST API"),
            (&region.http_apis, "HTTP API"),
        ] {
            for api in apis {
                self.api(api, kind)?;
            }
        }
        for topic in &region.topics {
            self.named_node("topic", &topic.name)?;
        }
        for queue in &region.queues {
            self.named_node("queue", &queue.name)?;
        }
        for source in &region.sources {
            let id = self.named_node("source", &source.name)?;
            self.region.nodes[id].traffic = source.traffic.clone();
        }
        for schedule in &region.schedules {
            let id = self.named_node("schedule", &schedule.name)?;
            let minutes = schedule.every.ms / 60_000;
            if minutes < 1 || schedule.every.ms % 60_000 != 0 {
                return Err((
                    line(&schedule.name),
                    format!(
                        "schedule \"{}\": `every` must be whole minutes",
                        schedule.name.value
                    ),
                ));
            }
            self.region.nodes[id].every_minutes = Some(minutes);
        }
        for machine in &region.state_machines {
            let id = self.named_node("state machine", &machine.name)?;
            self.region.nodes[id].traffic = machine.traffic.clone();
        }
        self.region.topics.clone_from(&region.topics);
        self.region.queues.clone_from(&region.queues);
        self.region.schedules.clone_from(&region.schedules);
        self.region
            .state_machines
            .clone_from(&region.state_machines);
        Ok(())
    }

    /// Adds a function; a generated one brings its own name and shares its settings.
    fn function(
        &mut self,
        function: &Function,
        shared: Option<(&str, &Arc<Function>)>,
    ) -> Result<(), Refusal> {
        let (id, name, settings) = match shared {
            Some((name, settings)) => (
                self.node("function", name),
                name.to_owned(),
                Arc::clone(settings),
            ),
            None => (
                self.named_node("function", &function.name)?,
                function.name.value.clone(),
                Arc::new(function.clone()),
            ),
        };
        let at = line(&function.name);
        let latency = quantiles(&function.duration, at, &name)?;
        for (what, share) in [
            ("errors", function.errors),
            ("throttles", function.throttles),
            ("timeouts", function.timeouts),
        ] {
            check_share(what, share, at, &name)?;
        }
        let node = &mut self.region.nodes[id];
        node.traffic = function.traffic.clone();
        node.life = function.life.clone();
        node.errors = function.errors;
        node.throttles = function.throttles;
        node.timeouts = function.timeouts;
        node.latency = latency;
        node.cap_us = function.timeout.ms * 1000;
        self.region.functions.push(FunctionModel {
            name,
            node: id,
            settings,
            asynchronous: false,
            streamed: None,
        });
        Ok(())
    }

    fn generated(&mut self, generated: &Generated) -> Result<(), Refusal> {
        check_share("idle_share", generated.idle_share, 0, &generated.prefix)?;
        let template = |traffic: Traffic| -> Arc<Function> {
            let text = "{name: generated}";
            let mut function: Function =
                serde_saphyr::from_str(text).expect("a name is all that a function needs");
            function.tags.clone_from(&generated.tags);
            function.stack.clone_from(&generated.stack);
            function.duration = generated.duration;
            function.errors = generated.errors;
            function.timeout = Span::seconds(30);
            function.traffic = traffic;
            Arc::new(function)
        };
        let busy = template(Traffic::Steady {
            per_minute: generated.per_minute,
            noise: 0.2,
        });
        let idle = template(Traffic::Idle { per_day: 3.0 });
        for number in 0..generated.functions {
            let name = format!("{}-{number:05}", generated.prefix);
            let settings = if random::unit(random::text(&name)) < generated.idle_share {
                &idle
            } else {
                &busy
            };
            self.function(settings, Some((&name, settings)))?;
        }
        Ok(())
    }

    fn table(&mut self, table: &Table) -> Result<(), Refusal> {
        let at = line(&table.name);
        let name = &table.name.value;
        let hub = self.named_node("table", &table.name)?;
        let latency = quantiles(&table.latency, at, name)?;
        check_share("errors", table.errors, at, name)?;
        check_share("throttles", table.throttles, at, name)?;
        check_share("user_errors", table.user_errors, at, name)?;
        for operation in table.traffic.keys() {
            if !OPERATIONS.contains(&operation.as_str()) {
                return Err((
                    at,
                    format!("table \"{name}\": {}", unknown_operation(operation)),
                ));
            }
        }
        let mut operations = [hub; OPERATIONS.len()];
        for (slot, operation) in operations.iter_mut().zip(OPERATIONS) {
            let id = self.node("table", &format!("{name}/{operation}"));
            let node = &mut self.region.nodes[id];
            node.life = table.life.clone();
            node.traffic = table.traffic.get(operation).cloned().unwrap_or_default();
            node.latency = latency;
            node.errors = table.errors;
            node.client_errors = table.user_errors;
            node.throttles = table.throttles;
            *slot = id;
        }
        // The hub counts writes: it is what the table's stream carries.
        for (slot, &from) in operations.iter().enumerate().skip(READS) {
            self.region.nodes[hub].incoming.push(Edge {
                from,
                times: 1.0,
                key: slot as u64,
                waits: false,
            });
        }
        self.region.tables.push(TableModel {
            name: name.clone(),
            operations,
            settings: table.clone(),
        });
        Ok(())
    }

    fn api(&mut self, api: &Api, kind: &'static str) -> Result<(), Refusal> {
        let at = line(&api.name);
        let name = &api.name.value;
        if api.stages.is_empty() {
            return Err((at, format!("{kind} \"{name}\" has no stages: give it one")));
        }
        let mut stages = Vec::new();
        for stage in &api.stages {
            let id = self.node(kind, &format!("{}/{}", api.id, stage.name));
            check_share("errors_4xx", stage.errors_4xx, at, name)?;
            check_share("errors_5xx", stage.errors_5xx, at, name)?;
            let latency = quantiles(&stage.latency, at, name)?;
            let node = &mut self.region.nodes[id];
            node.traffic = stage.traffic.clone();
            node.life = api.life.clone();
            node.errors = stage.errors_5xx;
            node.client_errors = stage.errors_4xx;
            node.latency = latency;
            stages.push(id);
        }
        let model = ApiModel {
            settings: api.clone(),
            stages,
        };
        let apis = if kind == "REST API" {
            &mut self.region.rest_apis
        } else {
            &mut self.region.http_apis
        };
        if apis.iter().any(|other| other.settings.id == api.id) {
            return Err((at, format!("{kind} id \"{}\" is used twice", api.id)));
        }
        apis.push(model);
        Ok(())
    }

    fn connect(&mut self, region: &Region) -> Result<(), Refusal> {
        for function in &region.functions {
            let from = self.find("function", &function.name)?;
            self.calls(&[from], &function.calls, line(&function.name), true)?;
            if let Some(queue) = &function.dead_letter {
                self.find("queue", queue)?;
            }
        }
        for (index, api) in region.rest_apis.iter().enumerate() {
            let stages = self.region.rest_apis[index].stages.clone();
            self.calls(&stages, &api.calls, line(&api.name), true)?;
        }
        for (index, api) in region.http_apis.iter().enumerate() {
            let stages = self.region.http_apis[index].stages.clone();
            self.calls(&stages, &api.calls, line(&api.name), true)?;
        }
        for topic in &region.topics {
            let from = self.find("topic", &topic.name)?;
            self.calls(&[from], &topic.subscribers, line(&topic.name), false)?;
        }
        for schedule in &region.schedules {
            let from = self.find("schedule", &schedule.name)?;
            self.calls(&[from], &schedule.calls, line(&schedule.name), false)?;
        }
        for machine in &region.state_machines {
            let from = self.find("state machine", &machine.name)?;
            self.calls(&[from], &machine.calls, line(&machine.name), true)?;
        }
        for queue in &region.queues {
            let from = self.find("queue", &queue.name)?;
            if let Some(dead_letter) = &queue.dead_letter {
                self.find("queue", dead_letter)?;
            }
            for consumer in &queue.consumers {
                let arn = format!(
                    "arn:aws:sqs:{}:{}:{}",
                    self.region.name, self.region.account, queue.name.value
                );
                self.consume(from, arn, consumer, None)?;
            }
        }
        for table in &region.tables {
            let from = self.find("table", &table.name)?;
            if let Some(consumer) = &table.stream {
                let arn = format!(
                    "arn:aws:dynamodb:{}:{}:table/{}/stream/2026-01-01T00:00:00.000",
                    self.region.name, self.region.account, table.name.value
                );
                self.consume(from, arn, consumer, Some(SourceKind::Kinesis))?;
            }
        }
        for source in &region.sources {
            let from = self.find("source", &source.name)?;
            let name = &source.name.value;
            let (service, resource) = match source.kind {
                SourceKind::Kinesis => ("kinesis", format!("stream/{name}")),
                SourceKind::Kafka => ("kafka", format!("cluster/{name}/0000-1")),
                SourceKind::DocumentDb => ("rds", format!("cluster:{name}")),
            };
            for consumer in &source.consumers {
                let (region, account) = (&self.region.name, &self.region.account);
                let arn = format!("arn:aws:{service}:{region}:{account}:{resource}");
                self.consume(from, arn, consumer, Some(source.kind))?;
            }
        }
        Ok(())
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

    fn function_model(&mut self, node: NodeId) -> Option<&mut FunctionModel> {
        self.region.functions.iter_mut().find(|f| f.node == node)
    }

    fn consume(
        &mut self,
        from: NodeId,
        source_arn: String,
        consumer: &Consumer,
        stream: Option<SourceKind>,
    ) -> Result<(), Refusal> {
        let to = self.find("function", &consumer.function)?;
        if consumer.batch.is_nan() || consumer.batch < 1.0 {
            return Err((
                line(&consumer.function),
                "`batch` must be at least 1".to_owned(),
            ));
        }
        let hash = random::mix(self.region.nodes[from].key, self.region.nodes[to].key);
        if consumer.enabled {
            self.region.nodes[to].incoming.push(Edge {
                from,
                times: 1.0 / consumer.batch,
                key: hash,
                waits: false,
            });
        }
        if stream.is_some()
            && let Some(function) = self.function_model(to)
        {
            function.streamed = stream;
        }
        let low = random::mix(hash, 1);
        self.region.mappings.push(Mapping {
            uuid: format!(
                "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
                hash >> 32,
                (hash >> 16) & 0xffff,
                hash & 0xfff,
                low >> 52,
                low & 0xffff_ffff_ffff
            ),
            source_arn,
            from,
            function: consumer.function.value.clone(),
            consumer: consumer.clone(),
            stream,
        });
        Ok(())
    }

    /// Adds an edge from each of `from` for each call.
    fn calls(
        &mut self,
        from: &[NodeId],
        calls: &[Call],
        at: u64,
        waits: bool,
    ) -> Result<(), Refusal> {
        for (position, call) in calls.iter().enumerate() {
            let mut targets = Vec::new();
            if let Some(name) = &call.function {
                targets.push((self.find("function", name)?, line(name)));
            }
            if let Some(name) = &call.topic {
                targets.push((self.find("topic", name)?, line(name)));
            }
            if let Some(name) = &call.queue {
                targets.push((self.find("queue", name)?, line(name)));
            }
            if let Some(name) = &call.state_machine {
                targets.push((self.find("state machine", name)?, line(name)));
            }
            if let Some(name) = &call.table {
                self.find("table", name)?;
                let operation = call
                    .operation
                    .as_ref()
                    .map_or("GetItem", |o| o.value.as_str());
                let slot = OPERATIONS
                    .iter()
                    .position(|o| *o == operation)
                    .ok_or_else(|| {
                        (
                            call.operation.as_ref().map_or(at, line),
                            unknown_operation(operation),
                        )
                    })?;
                let table = self
                    .region
                    .tables
                    .iter()
                    .find(|t| t.name == name.value)
                    .expect("found by name just above");
                targets.push((table.operations[slot], line(name)));
            }
            let [(to, target_line)] = targets[..] else {
                return Err((
                    targets.first().map_or(at, |t| t.1),
                    "a call names exactly one of function, table, topic, queue, state_machine"
                        .to_owned(),
                ));
            };
            let times = call.times.unwrap_or(1.0);
            if !times.is_finite() || times < 0.0 {
                return Err((target_line, "`times` must be a number from 0 up".to_owned()));
            }
            let waits = call.waits.unwrap_or(waits);
            if !waits && let Some(function) = self.function_model(to) {
                function.asynchronous = true;
            }
            for &from in from {
                let key = random::mix(self.region.nodes[from].key, position as u64);
                self.region.nodes[to].incoming.push(Edge {
                    from,
                    times,
                    key,
                    waits,
                });
            }
        }
        Ok(())
    }

    fn apply_incidents(&mut self, incidents: &[Incident]) -> Result<(), Refusal> {
        for incident in incidents {
            let at = incident.on.first().map_or(0, line);
            if incident.on.is_empty() {
                return Err((
                    0,
                    "an incident needs `on`, the names that it hits".to_owned(),
                ));
            }
            match incident.what {
                IncidentKind::Errors
                | IncidentKind::Throttles
                | IncidentKind::Timeouts
                | IncidentKind::ClientErrors
                | IncidentKind::Recursion => {
                    check_share("share", incident.share, at, "incident")?;
                    if incident.share == 0.0 {
                        return Err((at, "this incident needs a `share` above 0".to_owned()));
                    }
                }
                IncidentKind::Latency => {
                    if !incident.factor.is_finite() || incident.factor <= 0.0 {
                        return Err((at, "`factor` must be above 0".to_owned()));
                    }
                }
                IncidentKind::Traffic => {
                    if !incident.factor.is_finite() || incident.factor < 0.0 {
                        return Err((at, "`factor` must be 0 (no traffic) or more".to_owned()));
                    }
                }
                IncidentKind::Lag => {
                    if incident.age.ms <= 0 {
                        return Err((at, "this incident needs an `age`, like 10m".to_owned()));
                    }
                }
            }
            if incident.cause.is_some() && incident.what != IncidentKind::Throttles {
                return Err((at, "only throttles have a `cause`".to_owned()));
            }
            match (incident.start, incident.end, incident.every, incident.lasts) {
                (Some(start), Some(end), None, None) if start < end => {}
                (None, None, Some(every), Some(lasts)) if lasts.ms > 0 && lasts.ms < every.ms => {}
                _ => {
                    return Err((
                        at,
                        "an incident has either `start` and a later `end`, or `every` and a shorter `lasts`".to_owned(),
                    ));
                }
            }
            let shared = Arc::new(incident.clone());
            for pattern in &incident.on {
                let mut hit = Vec::new();
                for function in &self.region.functions {
                    if matches(&pattern.value, &function.name) {
                        hit.push(function.node);
                    }
                }
                for table in &self.region.tables {
                    if matches(&pattern.value, &table.name) {
                        hit.extend(table.operations);
                    }
                }
                for api in self.region.rest_apis.iter().chain(&self.region.http_apis) {
                    if matches(&pattern.value, &api.settings.name.value) {
                        hit.extend(&api.stages);
                    }
                }
                if hit.is_empty() {
                    return Err((
                        line(pattern),
                        format!("no function, table or API is called \"{}\"", pattern.value),
                    ));
                }
                for node in hit {
                    self.region.nodes[node].incidents.push(Arc::clone(&shared));
                }
            }
        }
        Ok(())
    }

    /// Requests are counted along incoming edges: a circle would never end.
    fn refuse_circles(&self) -> Result<(), Refusal> {
        let mut pending: Vec<usize> = self.region.nodes.iter().map(|n| n.incoming.len()).collect();
        let mut outgoing: Vec<Vec<NodeId>> = vec![Vec::new(); pending.len()];
        for (to, node) in self.region.nodes.iter().enumerate() {
            for edge in &node.incoming {
                outgoing[edge.from].push(to);
            }
        }
        let mut ready: Vec<NodeId> = (0..pending.len()).filter(|&n| pending[n] == 0).collect();
        let mut done = 0;
        while let Some(node) = ready.pop() {
            done += 1;
            for &to in &outgoing[node] {
                pending[to] -= 1;
                if pending[to] == 0 {
                    ready.push(to);
                }
            }
        }
        if done == pending.len() {
            return Ok(());
        }
        let names: Vec<&str> = self
            .named
            .iter()
            .filter(|(_, id)| pending[**id] > 0)
            .map(|((_, name), _)| name.as_str())
            .collect();
        Err((
            0,
            format!(
                "calls go in a circle in region {}, through: {}",
                self.region.name,
                names.join(", ")
            ),
        ))
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

fn quantiles(latency: &Latency, at: u64, name: &str) -> Result<Quantiles, Refusal> {
    let quantiles = Quantiles::new(latency);
    if quantiles
        .points
        .iter()
        .all(|p| p.1.is_finite() && p.1 > 0.0)
        && quantiles.points.is_sorted_by(|a, b| a.1 <= b.1)
    {
        Ok(quantiles)
    } else {
        Err((
            at,
            format!("{name}: latencies must be positive and p50 <= p90 <= p99 <= max"),
        ))
    }
}
