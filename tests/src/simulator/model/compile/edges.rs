//! Who sends requests to whom.

use super::super::{Edge, FunctionModel, Mapping, NodeId, OPERATIONS};
use super::{Builder, Refusal, line, unknown_operation};
use crate::simulator::account::{Call, Consumer, Region, SourceKind};
use crate::simulator::random;

impl Builder {
    pub(super) fn connect(&mut self, region: &Region) -> Result<(), Refusal> {
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

    /// Requests are counted along incoming edges: a circle would never end.
    pub(super) fn refuse_circles(&self) -> Result<(), Refusal> {
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
}
