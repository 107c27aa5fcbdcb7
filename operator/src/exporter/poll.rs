//! Asks CloudWatch: sends calls, puts pages together, and says of each question whether its
//! answer is whole. Half an answer is no answer: a counter may only move on from a whole one.

use std::collections::HashMap;

use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{
    Dimension, Metric, MetricDataQuery, MetricDataResult, MetricStat, StatusCode,
};
use futures::StreamExt;

use super::book::Minute;
use super::plan::{Batch, Group, Of};
use super::watched::Watched;
use crate::api::Reason;
use crate::aws::{AwsError, Clients, weight};

/// The IAM action.
pub const ACTION: &str = "cloudwatch:GetMetricData";
/// More pages than any question of ours can have: a token that leads round in a circle.
const MOST_PAGES: usize = 200;

/// The datapoints of each statistic of a group, in the group's order.
pub type Points = Vec<Vec<(Minute, f64)>>;

/// What is known of the queries of a call, by their ids.
pub type Answers = HashMap<String, Answer>;

/// A question and its answer.
pub type Answered = (Group, Result<Points, AwsError>);

/// Sends calls, `at_once` of them at a time. The answers come in any order; `purpose` is what they are for.
pub async fn poll(
    aws: &Clients,
    watched: &[Watched],
    batches: Vec<Batch>,
    at_once: usize,
    purpose: &'static str,
) -> Vec<Answered> {
    let calls = batches.into_iter().map(|batch| async move {
        let answers = call(aws, watched, &batch, purpose).await;
        assign(batch.groups, answers)
    });
    futures::stream::iter(calls)
        .buffer_unordered(at_once)
        .concat()
        .await
}

fn id(group: usize, stat: usize) -> String {
    format!("g{group}s{stat}")
}

fn queries(batch: &Batch, watched: &[Watched]) -> Vec<MetricDataQuery> {
    let period = i32::try_from(batch.span.bin * 60).expect("bins are a day at most");
    let mut queries = Vec::new();
    for (place, group) in batch.groups.iter().enumerate() {
        let metric = match group.of {
            Of::Row { subject, row } => {
                let Watched {
                    subject, series, ..
                } = &watched[subject];
                let dimensions = subject
                    .shape
                    .dimensions
                    .iter()
                    .zip(&subject.values)
                    .map(|(name, value)| Dimension::builder().name(*name).value(&**value).build())
                    .collect();
                Metric::builder()
                    .namespace(subject.shape.namespace)
                    .metric_name(series[row].metric.cloudwatch)
                    .set_dimensions(Some(dimensions))
            }
            Of::Region((namespace, metric)) => {
                Metric::builder().namespace(namespace).metric_name(metric)
            }
        };
        let metric = metric.build();
        for (stat_place, stat) in group.stats.iter().enumerate() {
            let stat = MetricStat::builder()
                .metric(metric.clone())
                .period(period)
                .stat(stat.name().into_owned())
                .build();
            queries.push(
                MetricDataQuery::builder()
                    .id(id(place, stat_place))
                    .metric_stat(stat)
                    .build(),
            );
        }
    }
    queries
}

/// What is known of one query when all pages are there.
#[derive(Debug, Default)]
pub struct Answer {
    points: Vec<(Minute, f64)>,
    status: Option<StatusCode>,
    /// Something in it cannot be: it is not used.
    broken: bool,
}

async fn call(
    aws: &Clients,
    watched: &[Watched],
    batch: &Batch,
    purpose: &'static str,
) -> Result<Answers, AwsError> {
    let mut answers = Answers::new();
    let mut token: Option<String> = None;
    let weight = weight(batch.datapoints());
    for page in 0..MOST_PAGES {
        let request = aws
            .cloudwatch
            .get_metric_data()
            .set_metric_data_queries(Some(queries(batch, watched)))
            .start_time(DateTime::from_secs(batch.span.from.start()))
            .end_time(DateTime::from_secs(batch.span.to.start()))
            .set_next_token(token.clone())
            .send();
        let answer = aws.call_weighing(ACTION, weight, request).await?;
        if page == 0 {
            aws.billed(batch.billed_metrics(), purpose);
        }
        merge(&mut answers, answer.metric_data_results(), batch);
        let next = answer.next_token().filter(|token| !token.is_empty());
        match next {
            None => return Ok(answers),
            Some(next) if token.as_deref() == Some(next) => break,
            Some(next) => token = Some(next.to_owned()),
        }
    }
    Err(AwsError::new(
        Reason::InvalidAnswer,
        ACTION,
        format!("{ACTION}: the pages of an answer do not end"),
    ))
}

/// Takes over the results of a page, by the ids of the queries.
pub fn merge(answers: &mut Answers, results: &[MetricDataResult], batch: &Batch) {
    for result in results {
        if let Some(id) = result.id() {
            let answer = answers.entry(id.to_owned()).or_default();
            answer.take(result, batch);
        }
    }
}

impl Answer {
    fn take(&mut self, result: &MetricDataResult, batch: &Batch) {
        self.status = result.status_code().cloned();
        let (times, values) = (result.timestamps(), result.values());
        self.broken |= times.len() != values.len();
        for (time, value) in times.iter().zip(values) {
            match Minute::beginning_at(time.secs()) {
                // What is of the future is counted, and not used.
                Some(minute) if minute >= batch.span.from => {
                    self.points.push((minute, *value));
                }
                // AWS rounds windows as it likes; what was not asked for is not an error.
                Some(_) => {}
                None => self.broken = true,
            }
        }
    }

    fn finish(mut self) -> Result<Vec<(Minute, f64)>, AwsError> {
        let wrong =
            |reason, text: &str| Err(AwsError::new(reason, ACTION, format!("{ACTION}: {text}")));
        match self.status {
            Some(StatusCode::Complete) => {}
            Some(StatusCode::Forbidden) => {
                return wrong(
                    Reason::AccessDenied,
                    "CloudWatch does not let these credentials read a metric",
                );
            }
            Some(StatusCode::PartialData) => {
                return wrong(Reason::ServerError, "CloudWatch answered a part only");
            }
            Some(StatusCode::InternalError) => {
                return wrong(Reason::ServerError, "CloudWatch failed on a metric");
            }
            _ => return wrong(Reason::InvalidAnswer, "a result has no status"),
        }
        self.points.sort_by_key(|(minute, _)| *minute);
        if self.broken || self.points.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return wrong(Reason::InvalidAnswer, "a result contradicts itself");
        }
        Ok(self.points)
    }
}

/// What the queries' answers say of the questions.
pub fn assign(groups: Vec<Group>, answers: Result<Answers, AwsError>) -> Vec<Answered> {
    let mut answers = match answers {
        Ok(answers) => answers,
        Err(error) => {
            return groups
                .into_iter()
                .map(|group| (group, Err(error.clone())))
                .collect();
        }
    };
    groups
        .into_iter()
        .enumerate()
        .map(|(place, group)| {
            let points = (0..group.stats.len())
                .map(|stat| match answers.remove(&id(place, stat)) {
                    Some(answer) => answer.finish(),
                    None => Err(AwsError::new(
                        Reason::InvalidAnswer,
                        ACTION,
                        format!("{ACTION}: a metric that was asked for is missing in the answer"),
                    )),
                })
                .collect();
            (group, points)
        })
        .collect()
}

#[cfg(test)]
mod tests;
