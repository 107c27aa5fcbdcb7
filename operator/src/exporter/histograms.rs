//! Which rows CloudWatch has trimmed counts of, so that histograms can be made of them.
//!
//! Nobody promises that it has them of every metric, and a statistic that it does not know would spoil the answers to
//! all questions in the same call. So before the first regular question a row is tried, in a call of its own, on a subject
//! that just did something: how many values there were, and how many up to a bound that all of them keep. If that is
//! refused, or answered with nothing, the row has no histogram and the stack is told why; its quantiles go on. After a day
//! it is tried again.

use std::collections::BTreeMap;

use super::book::{DAY, Minute, Span};
use super::plan::{Group, Of};
use super::series::{Series, Stat};
use super::watched::Watched;
use crate::api::{Bound, Reason};
use crate::aws::AwsError;
use crate::services::ServiceId;

const ACTION: &str = "cloudwatch:GetMetricData";
/// How far back is looked for values.
const TRIED_MINUTES: i64 = 60;

/// A row: the name of its shape, and CloudWatch's of its metric.
type Row = (&'static str, &'static str);

/// What is known of the rows that were tried.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histograms(BTreeMap<Row, State>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Works,
    Refused {
        until: Minute,
        namespace: &'static str,
        why: String,
    },
}

impl Histograms {
    /// With the rows that were found to work before, by shape and metric.
    pub fn working(rows: &[(String, String)]) -> Self {
        let all = ServiceId::ALL.iter().flat_map(|id| id.service().shapes);
        let all =
            all.flat_map(|shape| shape.metrics.iter().map(|row| (shape.name, row.cloudwatch)));
        let known = all.filter(|(shape, metric)| {
            let mut rows = rows.iter();
            rows.any(|(s, m)| s == shape && m == metric)
        });
        Self(known.map(|row| (row, State::Works)).collect())
    }

    /// The rows that are known to work, to be saved.
    pub fn works(&self) -> Vec<(String, String)> {
        let works = self.0.iter().filter(|(_, state)| **state == State::Works);
        let names = works.map(|((shape, metric), _)| ((*shape).to_owned(), (*metric).to_owned()));
        names.collect()
    }

    /// Whether a row of a shape has trimmed counts.
    pub fn has(&self, shape: &'static str, metric: &'static str) -> bool {
        self.0.get(&(shape, metric)) == Some(&State::Works)
    }

    /// What is to be tried now, each in a call of its own.
    pub fn questions(&self, watched: &[Watched], now: Minute) -> Vec<Group> {
        let mut tried: BTreeMap<Row, Group> = BTreeMap::new();
        for (subject, one) in watched.iter().enumerate() {
            for (place, series) in one.series.iter().enumerate() {
                let row = row(one, series);
                // A row without any value tells nothing.
                let tells = series.metric.histogram.is_some() && series.count.is_unsettled();
                if tells && self.is_unknown(row, now) && !one.retired(now) {
                    tried.entry(row).or_insert_with(|| Group {
                        of: Of::Row {
                            subject,
                            row: place,
                        },
                        stats: vec![Stat::SampleCount, Stat::Below(Bound::GREATEST)],
                        span: Span {
                            from: series.through.max(now.back(TRIED_MINUTES)),
                            to: now,
                            bin: 1,
                        },
                    });
                }
            }
        }
        tried.into_values().collect()
    }

    fn is_unknown(&self, row: Row, now: Minute) -> bool {
        match self.0.get(&row) {
            None => true,
            Some(State::Works) => false,
            Some(State::Refused { until, .. }) => *until <= now,
        }
    }

    /// Takes over the answer to a trial.
    pub fn learn(
        &mut self,
        watched: &Watched,
        series: &Series,
        answer: Result<&[Vec<(Minute, f64)>], &AwsError>,
        now: Minute,
    ) {
        let state = match verdict(answer) {
            Verdict::Works => State::Works,
            Verdict::Unknown => return,
            Verdict::Refused(why) => State::Refused {
                until: Minute(now.0 + DAY),
                namespace: watched.subject.shape.namespace,
                why,
            },
        };
        self.0.insert(row(watched, series), state);
    }

    /// CloudWatch refused a question to a row: it is tried again before the next one.
    pub fn doubt(&mut self, watched: &Watched, series: &Series) {
        self.0.remove(&row(watched, series));
    }

    /// What the stack is told. `wanted` is whether it wants histograms.
    pub fn problems(&self, wanted: bool) -> Vec<AwsError> {
        let refused: Vec<_> = self
            .0
            .iter()
            .filter_map(|((_, metric), state)| match state {
                State::Refused { namespace, why, .. } => {
                    Some(format!("{namespace} {metric} ({why})"))
                }
                State::Works => None,
            })
            .collect();
        if refused.is_empty() || !wanted {
            return Vec::new();
        }
        vec![AwsError::new(
            Reason::HistogramsUnavailable,
            ACTION,
            format!(
                "spec.latency.histograms has no effect on {}: CloudWatch has no trimmed counts (TC) of it here. Sums, counts and \
                 quantiles go on; it is tried again after a day.",
                refused.join(", ")
            ),
        )]
    }
}

fn row(watched: &Watched, series: &Series) -> Row {
    (watched.subject.shape.name, series.metric.cloudwatch)
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Works,
    Refused(String),
    /// The trial says nothing.
    Unknown,
}

fn verdict(answer: Result<&[Vec<(Minute, f64)>], &AwsError>) -> Verdict {
    let points = match answer {
        Ok(points) => points,
        Err(error) if error.reason == Reason::InvalidRequest => {
            return Verdict::Refused(error.message.clone());
        }
        Err(_) => return Verdict::Unknown,
    };
    let [counts, below] = points else {
        return Verdict::Unknown;
    };
    let sum = |points: &[(Minute, f64)]| points.iter().map(|(_, value)| value).sum::<f64>();
    let (count, below_all) = (sum(counts), sum(below));
    if count.is_nan() || count <= 0.0 {
        Verdict::Unknown
    } else if below.is_empty() {
        Verdict::Refused(format!(
            "{count} values, but no answer to how many are small"
        ))
    } else if (0.0..=count * 1.01).contains(&below_all) {
        Verdict::Works
    } else {
        Verdict::Refused(format!("{count} values, and {below_all} of them small"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(value: Option<f64>) -> Vec<(Minute, f64)> {
        value
            .map(|value| (Minute(100), value))
            .into_iter()
            .collect()
    }

    #[test]
    fn a_row_without_trimmed_counts_is_told_apart_from_one_without_values() {
        let judge =
            |count: Option<f64>, below: Option<f64>| verdict(Ok(&[points(count), points(below)]));
        assert_eq!(judge(Some(7.0), Some(6.99)), Verdict::Works);
        assert_eq!(judge(Some(7.0), Some(0.0)), Verdict::Works);
        assert_eq!(judge(None, None), Verdict::Unknown);
        assert_eq!(judge(Some(0.0), None), Verdict::Unknown);
        for below in [None, Some(8.0), Some(-1.0), Some(f64::NAN)] {
            let verdict = judge(Some(7.0), below);
            assert!(
                matches!(verdict, Verdict::Refused(_)),
                "{below:?}: {verdict:?}"
            );
        }
    }

    #[test]
    fn only_a_refusal_of_the_statistic_counts_as_one() {
        let error = |reason| AwsError::new(reason, ACTION, "no");
        for reason in [Reason::Throttled, Reason::Timeout, Reason::AccessDenied] {
            assert_eq!(verdict(Err(&error(reason))), Verdict::Unknown);
        }
        let refused = verdict(Err(&error(Reason::InvalidRequest)));
        assert_eq!(refused, Verdict::Refused("no".to_owned()));
    }

    #[test]
    fn what_works_is_known_after_a_restart() {
        let row = ("lambda_function", "Duration");
        let found = Histograms([(row, State::Works)].into());
        let restored = Histograms::working(&found.works());
        assert_eq!(restored, found);
        assert!(restored.has(row.0, row.1) && !restored.has(row.0, "Errors"));
        assert_eq!(restored.problems(true), []);
    }
}
