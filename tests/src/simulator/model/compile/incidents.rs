//! Which nodes an incident hits.

use std::sync::Arc;

use super::super::matches;
use super::{Builder, Refusal, check_share, line};
use crate::simulator::account::{Incident, IncidentKind};

impl Builder {
    pub(super) fn apply_incidents(&mut self, incidents: &[Incident]) -> Result<(), Refusal> {
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
}
