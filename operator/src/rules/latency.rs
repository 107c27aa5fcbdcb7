//! How objectives of latency are judged.
//!
//! Where the stack has histograms each request counts by itself: good are those up to a bound. That is the greatest bound
//! which is not above the objective's, so that no request which is too slow counts as good; where it is lower, the
//! alert's text says so. Without histograms, and where CloudWatch has no counts, all requests of a poll are as good as a
//! quantile of theirs.

use super::objectives::{Expressions, seconds};
use crate::api::objective::Objective;
use crate::api::stack::Latency;
use crate::api::{Bound, Duration, ServerlessStack};
use crate::services::ServiceId;

/// What an objective of latency is judged by.
#[derive(Clone, Debug, PartialEq)]
pub struct Judges {
    below: f64,
    bound: Option<Bound>,
    /// Where there is no histogram.
    quantile: Option<String>,
}

/// None of an objective that is not about latency, or that nothing published can judge.
pub fn judges(objective: &Objective, latency: &Latency) -> Option<Judges> {
    let below = seconds(objective.latency_below.as_ref()?)?;
    let bounds = latency.bounds();
    let bound = bounds
        .into_iter()
        .rfind(|bound| f64::from(bound.micros()) <= (below * 1e6).round());
    let quantile = quantile(objective, latency);
    (bound.is_some() || quantile.is_some()).then_some(Judges {
        below,
        bound,
        quantile,
    })
}

impl Judges {
    /// The requests of the series that `selector`, without its braces, takes of a distribution.
    pub fn expressions(
        &self,
        family: &str,
        selector: &str,
        window: Duration,
        service: Option<&'static str>,
    ) -> Expressions {
        let sum =
            |name: &str, more: &str| format!("sum(rate({name}{{{selector}{more}}}[{window}]))");
        let by_quantile = self.quantile.as_ref().map(|quantile| {
            let slowest = format!("max({family}{{{selector},quantile=\"{quantile}\"}})");
            // Weighed by the requests: one slow request in an idle hour is one bad request.
            let requests = sum(&format!("{family}_count"), "");
            (
                format!("({slowest} > bool {}) * {requests}", self.below),
                format!("({slowest} >= bool 0) * {requests}"),
            )
        });
        let by_histogram = self.bound.zip(histogram(family)).map(|(bound, histogram)| {
            let le = format!(",le=\"{bound}\"");
            let bucket = format!("{histogram}_bucket{{{selector}{le}}}");
            // A histogram's count begins with its buckets, and holds what they hold.
            let all = sum(&format!("{histogram}_count"), "");
            let good = sum(&format!("{histogram}_bucket"), &le);
            (bucket, format!("clamp_min({all} - {good}, 0)"), all)
        });
        let (bad, all) = match (by_histogram, by_quantile) {
            (Some((bucket, bad, all)), Some((roughly_bad, roughly_all))) => (
                format!("{bad} or {roughly_bad} unless sum({bucket})"),
                format!("{all} or {roughly_all} unless sum({bucket})"),
            ),
            (Some((_, bad, all)), None) | (None, Some((bad, all))) => (bad, all),
            (None, None) => (String::new(), String::new()),
        };
        Expressions {
            bad: format!("({bad})"),
            all: format!("({all})"),
            service,
        }
    }

    /// For people: what is counted as bad.
    pub fn text(&self, objective: &Objective) -> String {
        let below = objective.latency_below.as_deref().unwrap_or_default();
        let by_quantile = self.quantile.as_ref().map(|quantile| {
            let share = percent(quantile).unwrap_or_default();
            format!(
                "quantile {quantile}: bad are the requests of a poll in which {share} % of them were not within {below}."
            )
        });
        let by_histogram = self.bound.map(|bound| {
            let why = if self.is_exact() {
                String::new()
            } else {
                format!(", the greatest bound of the histogram that is not above {below}")
            };
            format!("the histogram: bad are requests that took longer than {bound} s{why}.")
        });
        match (by_histogram, by_quantile) {
            (Some(histogram), Some(quantile)) => {
                format!("Judged by {histogram} Where there is none, by {quantile}")
            }
            (Some(one), None) | (None, Some(one)) => format!("Judged by {one}"),
            (None, None) => String::new(),
        }
    }

    fn is_exact(&self) -> bool {
        let micros = (self.below * 1e6).round();
        self.bound
            .is_some_and(|bound| (f64::from(bound.micros()) - micros).abs() < 0.5)
    }

    /// What could be published to judge it by each request, and just as it says. None where that is done.
    fn note(&self, objective: &Objective, latency: &Latency) -> Option<String> {
        if self.is_exact() {
            return None;
        }
        let name = &objective.name;
        let below = self.below;
        if let Some(bound) = self.bound {
            return Some(format!(
                "the objective {name} is judged by the bound {bound} of the histograms: add \"{below}\" to spec.latency.histograms.bounds"
            ));
        }
        let quantile = self.quantile.as_ref()?;
        let instead = if latency.histograms.is_some() {
            format!(
                "add \"{below}\" to spec.latency.histograms.bounds, which has none that is as low"
            )
        } else {
            let target: f64 = objective.target.parse().ok()?;
            let wanted = ((target * 1e6).round() / 1e8).to_string();
            let reaches = percent(quantile)? >= target;
            let or = if reaches {
                String::new()
            } else {
                format!(
                    ", or add \"{wanted}\" to spec.latency.quantiles, which has none that reaches its target"
                )
            };
            format!("set spec.latency.histograms to have each request counted{or}")
        };
        Some(format!(
            "the objective {name} is judged by quantile {quantile} of each poll: {instead}"
        ))
    }
}

/// What people are told of objectives that are judged only roughly.
pub fn notes(stack: &ServerlessStack) -> Vec<String> {
    let latency = &stack.spec.latency;
    let objectives = stack.spec.objectives.iter();
    objectives
        .filter_map(|objective| judges(objective, latency)?.note(objective, latency))
        .collect()
}

/// The histogram of a distribution.
fn histogram(family: &str) -> Option<&'static str> {
    let shapes = ServiceId::ALL
        .into_iter()
        .flat_map(|id| id.service().shapes);
    let mut rows = shapes.flat_map(|shape| shape.metrics);
    let row = rows.find(|row| row.family.name == family)?;
    Some(row.histogram?.name)
}

fn percent(quantile: &str) -> Option<f64> {
    let share: f64 = quantile.parse().ok()?;
    Some((share * 1e10).round() / 1e8)
}

/// The published quantile that is nearest above the target, or else the greatest: that share of the
/// requests is quicker.
fn quantile(objective: &Objective, latency: &Latency) -> Option<String> {
    let target: f64 = objective.target.parse::<f64>().ok()? / 100.0;
    let mut published: Vec<(f64, &String)> = latency
        .quantiles
        .iter()
        .filter_map(|quantile| Some((quantile.parse().ok()?, quantile)))
        .collect();
    published.sort_by(|a, b| a.0.total_cmp(&b.0));
    let first = published.iter().find(|(value, _)| *value >= target);
    first.or(published.last()).map(|(_, text)| (*text).clone())
}
