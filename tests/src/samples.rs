//! Samples as Prometheus has them, read from an exposition or from Prometheus itself.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use serde::Deserialize;

use crate::http;

/// A series: its name and labels.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub struct Series {
    /// `__name__`
    #[serde(rename = "__name__")]
    pub name: String,
    /// All others.
    #[serde(flatten)]
    pub labels: BTreeMap<String, String>,
}

impl Series {
    /// A label's value; empty when there is none.
    pub fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }
}

/// Reads the text that an exporter serves. Only what exporters write is understood: no timestamps.
pub fn parse(text: &str) -> anyhow::Result<BTreeMap<Series, f64>> {
    let mut samples = BTreeMap::new();
    for line in text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let (series, value) = parse_line(line).with_context(|| format!("not a sample: {line}"))?;
        if samples.insert(series, value).is_some() {
            bail!("a series appears twice: {line}");
        }
    }
    Ok(samples)
}

fn parse_line(line: &str) -> Option<(Series, f64)> {
    let end = line.find(['{', ' '])?;
    let (name, mut rest) = line.split_at(end);
    let mut labels = BTreeMap::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        while !rest.starts_with('}') {
            let (label, after) = rest.split_once("=\"")?;
            let mut value = String::new();
            let mut chars = after.char_indices();
            let close = loop {
                match chars.next()? {
                    (at, '"') => break at,
                    (_, '\\') => match chars.next()?.1 {
                        'n' => value.push('\n'),
                        other => value.push(other),
                    },
                    (_, other) => value.push(other),
                }
            };
            labels.insert(label.to_owned(), value);
            rest = after[close + 1..].trim_start_matches(',');
        }
        rest = &rest[1..];
    }
    Some((
        Series {
            name: name.to_owned(),
            labels,
        },
        rest.trim().parse().ok()?,
    ))
}

/// The raw samples of one series in Prometheus, oldest first.
#[derive(Clone, Debug, Deserialize)]
pub struct Range {
    /// Which.
    pub metric: Series,
    /// `(seconds, value)`
    #[serde(deserialize_with = "values")]
    pub values: Vec<(f64, f64)>,
}

fn values<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<(f64, f64)>, D::Error> {
    let raw: Vec<(f64, String)> = Vec::deserialize(deserializer)?;
    raw.into_iter()
        .map(|(at, value)| Ok((at, value.parse().map_err(serde::de::Error::custom)?)))
        .collect()
}

#[derive(Deserialize)]
struct Answer {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    result: Vec<Range>,
}

/// All raw samples that a range selector, for example `up[30m]`, finds in Prometheus.
pub async fn ranges(prometheus: &str, selector: &str) -> anyhow::Result<Vec<Range>> {
    let url = format!(
        "{prometheus}/api/v1/query?{}",
        http::query([("query", selector)])
    );
    Ok(http::json::<Answer>(&url).await?.data.result)
}

/// The labels of an answer, and its value.
pub type Sample = (BTreeMap<String, String>, f64);

#[derive(Deserialize)]
struct Vector {
    data: VectorData,
}

#[derive(Deserialize)]
struct VectorData {
    result: Vec<VectorSample>,
}

#[derive(Deserialize)]
struct VectorSample {
    metric: BTreeMap<String, String>,
    value: (f64, String),
}

/// What an expression is now, in Prometheus.
pub async fn instant(prometheus: &str, expression: &str) -> anyhow::Result<Vec<Sample>> {
    let url = format!(
        "{prometheus}/api/v1/query?{}",
        http::query([("query", expression)])
    );
    let answer = http::json::<Vector>(&url).await?;
    let samples = answer.data.result.into_iter().map(|sample| {
        let value = sample.value.1.parse().context("not a number")?;
        Ok((sample.metric, value))
    });
    samples.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_undone() {
        let samples = parse("# HELP x y\nx{a=\"b\\\"}\\\\ \\n,c\",d=\"\"} 0.5\ny 3\n").unwrap();
        let (series, value) = samples.iter().next().unwrap();
        assert_eq!(
            (series.label("a"), series.label("d"), *value),
            ("b\"}\\ \n,c", "", 0.5)
        );
        assert_eq!(samples.len(), 2);
    }

    #[test]
    fn a_series_that_appears_twice_is_an_error() {
        let error = parse("x{a=\"1\"} 1\nx{a=\"1\"} 2\n").unwrap_err();
        assert!(error.to_string().contains("twice"), "{error}");
    }
}
