//! Which event source mappings there are: one list call for every 100 of the account, of whomever they are. All exporters
//! of an account do so, on Lambda's 15 requests a second: the more pages, the more seldom.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_lambda::types::{
    EventSourceMappingConfiguration, EventSourceMappingMetric, ScalingConfig,
};

use super::facts::{
    MAPPING_BATCH_SIZE, MAPPING_ENABLED, MAPPING_INFO, MAPPING_MAXIMUM_CONCURRENCY,
};
use super::mappings::{ERRORS, EVENTS, KAFKA, KAFKA_LAG, MAPPING, POLLERS, QUEUE, STREAM};
use super::metrics;
use crate::aws::{AwsError, Clients, Pages};
use crate::services::Wanted;
use crate::services::found::{Fact, Subject};
use crate::services::table::{Family, Features};

/// A page in so much time, so that fifty exporters send less than a request a second.
const FOR_A_PAGE: Duration = Duration::from_mins(1);
/// However many pages there are.
const MOST_SELDOM: Duration = Duration::from_hours(1);

/// Mappings by the name of their function.
pub type Mappings = HashMap<String, Vec<Mapping>>;

/// A mapping.
#[derive(Debug)]
pub struct Mapping {
    uuid: Arc<str>,
    features: Features,
    /// What the function has because of it.
    pub of_function: Features,
    source: Arc<str>,
    destination: Arc<str>,
    state: Arc<str>,
    batch_size: Option<i32>,
    maximum_concurrency: Option<i32>,
}

/// All mappings of the account, and how long that is good.
pub async fn mappings(aws: &Clients) -> Result<(Mappings, Duration), AwsError> {
    let mut found = Mappings::new();
    let mut listed = 0;
    let mut marker = None;
    let mut pages = Pages::of("lambda:ListEventSourceMappings");
    loop {
        let request = aws
            .lambda
            .list_event_source_mappings()
            .set_marker(marker)
            .send();
        let page = aws.call("lambda:ListEventSourceMappings", request).await?;
        listed += 1;
        for mapping in page.event_source_mappings() {
            if let Some((function, mapping)) = Mapping::new(mapping) {
                found.entry(function).or_default().push(mapping);
            }
        }
        marker = pages.after(page.next_marker())?;
        if marker.is_none() {
            return Ok((found, MOST_SELDOM.min(FOR_A_PAGE * listed)));
        }
    }
}

impl Mapping {
    fn new(mapping: &EventSourceMappingConfiguration) -> Option<(String, Self)> {
        // The function's ARN may end with a version or an alias.
        let (_, function) = mapping.function_arn()?.split_once(":function:")?;
        let function = function.split(':').next()?.to_owned();
        let source = mapping.event_source_arn().unwrap_or("");
        let service = source.split(':').nth(2).unwrap_or("");
        let kafka = service == "kafka" || mapping.self_managed_event_source().is_some();
        let document_db = mapping.document_db_event_source_config().is_some();
        let stream = document_db || matches!(service, "kinesis" | "dynamodb");
        let asked = |metric| {
            let config = mapping.metrics_config();
            config.is_some_and(|config| config.metrics().contains(&metric))
        };
        let destination = mapping
            .destination_config()
            .and_then(|config| config.on_failure())
            .and_then(|failure| failure.destination());
        let concurrency = mapping
            .scaling_config()
            .and_then(ScalingConfig::maximum_concurrency);
        let this = Self {
            uuid: mapping.uuid()?.into(),
            features: Features::NONE
                .with(EVENTS, asked(EventSourceMappingMetric::EventCount))
                .with(ERRORS, asked(EventSourceMappingMetric::ErrorCount))
                .with(KAFKA_LAG, asked(EventSourceMappingMetric::KafkaMetrics))
                .with(QUEUE, service == "sqs")
                .with(STREAM, stream || kafka)
                .with(KAFKA, kafka)
                .with(POLLERS, mapping.provisioned_poller_config().is_some()),
            of_function: metrics::DESTINATIONS
                .with(metrics::STREAM, stream)
                .with(metrics::DOCUMENT_DB, document_db)
                .with(metrics::KAFKA, kafka),
            source: source.into(),
            destination: destination.unwrap_or("").into(),
            state: mapping.state().unwrap_or("").into(),
            batch_size: mapping.batch_size(),
            maximum_concurrency: concurrency,
        };
        Some((function, this))
    }

    fn labels(&self, function: &Arc<str>) -> Vec<(&'static str, Arc<str>)> {
        vec![
            ("uuid", self.uuid.clone()),
            ("function_name", function.clone()),
        ]
    }

    /// Its metrics, if it has any.
    pub fn subject(&self, function: &Arc<str>, wanted: &Wanted) -> Option<Subject> {
        let labels = self.labels(function);
        let subject = Subject::new(
            &MAPPING,
            vec![self.uuid.clone()],
            labels,
            self.features,
            wanted,
        );
        subject.metrics().next().is_some().then_some(subject)
    }

    /// Its settings.
    pub fn facts(&self, function: &Arc<str>) -> Vec<Fact> {
        let labels = self.labels(function);
        let setting = |family: &'static Family, value: f64| Fact {
            family,
            labels: labels.clone(),
            info: false,
            value,
        };
        // While it is created or updated it will soon be either.
        let enabled = !matches!(&*self.state, "Disabled" | "Disabling" | "Deleting");
        let mut info = labels.clone();
        info.extend([
            ("event_source_arn", self.source.clone()),
            ("on_failure_destination", self.destination.clone()),
            ("state", self.state.clone()),
        ]);
        let info = Fact {
            family: &MAPPING_INFO,
            labels: info,
            info: true,
            value: 1.0,
        };
        let enabled = setting(&MAPPING_ENABLED, f64::from(u8::from(enabled)));
        let most = self.maximum_concurrency.map(f64::from);
        let batch = self.batch_size.map(f64::from);
        [info, enabled]
            .into_iter()
            .chain(batch.map(|size| setting(&MAPPING_BATCH_SIZE, size)))
            .chain(most.map(|most| setting(&MAPPING_MAXIMUM_CONCURRENCY, most)))
            .collect()
    }
}
