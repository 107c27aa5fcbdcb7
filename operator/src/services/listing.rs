//! Which metrics CloudWatch lists. Some exist only because a resource is used in some way that no
//! configuration tells: these are looked up here, and only those that exist are asked for.
//!
//! `ListMetrics` costs $0.01 for a thousand pages of 500 metrics, after a million free ones a month.

use aws_sdk_cloudwatch::types::RecentlyActive;

use crate::aws::{AwsError, Clients, Pages};

/// So many minutes may pass before a metric that has datapoints is listed. One that was not listed
/// at a time had none before that time less these minutes.
pub const LISTING_DELAY_MINUTES: i64 = 15;

/// The dimensions' values, in their order, of all metrics of a name that have these dimensions and
/// no others.
pub async fn listed(
    aws: &Clients,
    namespace: &str,
    metric: &str,
    dimensions: &[&str],
) -> Result<Vec<Vec<String>>, AwsError> {
    list(aws, namespace, metric, dimensions, None).await
}

/// The same of those that had a datapoint in the last three hours, or up to fifty minutes before.
pub async fn recently_active(
    aws: &Clients,
    namespace: &str,
    metric: &str,
    dimensions: &[&str],
) -> Result<Vec<Vec<String>>, AwsError> {
    let active = RecentlyActive::Pt3H;
    list(aws, namespace, metric, dimensions, Some(active)).await
}

async fn list(
    aws: &Clients,
    namespace: &str,
    metric: &str,
    dimensions: &[&str],
    active: Option<RecentlyActive>,
) -> Result<Vec<Vec<String>>, AwsError> {
    let filters: Vec<_> = dimensions
        .iter()
        .map(|name| {
            aws_sdk_cloudwatch::types::DimensionFilter::builder()
                .name(*name)
                .build()
        })
        .collect();
    let mut found = Vec::new();
    let mut token = None;
    let mut pages = Pages::of("cloudwatch:ListMetrics");
    loop {
        let request = aws
            .cloudwatch
            .list_metrics()
            .namespace(namespace)
            .metric_name(metric)
            .set_dimensions(Some(filters.clone()))
            .set_recently_active(active.clone())
            .set_next_token(token)
            .send();
        let page = aws.call("cloudwatch:ListMetrics", request).await?;
        for metric in page.metrics() {
            let all = metric.dimensions();
            if all.len() != dimensions.len() {
                continue;
            }
            let value = |name: &&str| {
                let dimension = all.iter().find(|d| d.name() == Some(*name))?;
                dimension.value().map(str::to_owned)
            };
            found.extend(dimensions.iter().map(value).collect::<Option<Vec<_>>>());
        }
        token = pages.after(page.next_token())?;
        if token.is_none() {
            return Ok(found);
        }
    }
}
