//! What a region has, each with a node of its own: functions, the operations of tables, stages, and what lies between.

use std::sync::Arc;

use super::super::{
    ApiModel, Edge, FunctionModel, Node, NodeId, OPERATIONS, Quantiles, READS, TableModel,
};
use super::{Builder, Refusal, check_share, line, unknown_operation};
use crate::simulator::account::{
    Api, Function, Generated, Latency, Life, Name, Region, Span, Table, Traffic,
};
use crate::simulator::random;

impl Builder {
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

    pub(super) fn define(&mut self, region: &Region) -> Result<(), Refusal> {
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
