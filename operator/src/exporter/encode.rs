//! Our own row encoder for AWS series, in both text formats that Prometheus reads.
//!
//! The rows of both formats are the same; only the headers differ. So the rows of each family are written and
//! compressed once, when they change, and a scrape costs a list of pointers to them. Most scrapers ask for gzip, and it is a
//! tenth of the size: it is what is kept. The text is made of it when somebody asks for that. Amounts are written
//! from integers, exactly.

mod stretch;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use flate2::Crc;
use hyper::body::Bytes;

use super::snapshot::{Row, RowValue, SubjectView};
use crate::services::table::{Family, FamilyKind};
pub use stretch::Stretch;
use stretch::Writer;

/// A text format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `text/plain; version=0.0.4`
    Prometheus,
    /// `application/openmetrics-text; version=1.0.0`
    OpenMetrics,
}

impl Format {
    /// What an `Accept` header asks for.
    pub fn negotiate(accept: &str) -> Self {
        if accept.contains("application/openmetrics-text") {
            Self::OpenMetrics
        } else {
            Self::Prometheus
        }
    }

    /// The `Content-Type` header.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Rows of several families, encoded.
pub type Rows = BTreeMap<&'static str, (&'static Family, Arc<Stretch>)>;

/// Encodes the rows of subjects; `keep_plain` if the text will be asked for.
pub fn encode<'a>(subjects: impl Iterator<Item = &'a SubjectView>, keep_plain: bool) -> Rows {
    let mut families: BTreeMap<&'static str, Vec<(&SubjectView, &Row)>> = BTreeMap::new();
    for subject in subjects {
        for row in &subject.rows {
            let rows = families.entry(row.family.name).or_default();
            rows.push((subject, row));
        }
    }
    let mut writer = Writer::new(keep_plain);
    families
        .into_iter()
        .filter_map(|(name, rows)| {
            let (_, first) = rows.first()?;
            let family = first.family;
            for (subject, row) in rows {
                push_row(writer.text(), &subject.labels, row);
            }
            Some((name, (family, Arc::new(writer.finish()))))
        })
        .collect()
}

fn push_row(text: &mut String, labels: &str, row: &Row) {
    debug_assert_eq!(
        matches!(row.value, RowValue::Counter(_)),
        row.family.kind == FamilyKind::Counter
    );
    let start = |text: &mut String, suffix: &str, more: Option<(&str, &str)>| {
        text.push_str(row.family.name);
        text.push_str(suffix);
        text.push('{');
        text.push_str(labels);
        for (name, value) in row.labels.iter().copied().chain(more) {
            push_label(text, name, value);
        }
        text.push_str("} ");
    };
    let amount = |text: &mut String, suffix: &str, more: Option<(&str, &str)>, micros: i128| {
        start(text, suffix, more);
        push_micros(text, micros);
        text.push('\n');
    };
    let exact = |text: &mut String, suffix: &str, micros: i128| amount(text, suffix, None, micros);
    match &row.value {
        RowValue::Counter(micros) => exact(text, "", *micros),
        RowValue::Gauge(value) => {
            start(text, "", None);
            push_float(text, *value);
        }
        RowValue::Summary {
            sum,
            count,
            quantiles,
        } => {
            for (quantile, value) in quantiles {
                start(text, "", Some(("quantile", quantile)));
                push_float(text, *value);
            }
            exact(text, "_sum", *sum);
            exact(text, "_count", *count);
        }
        RowValue::Histogram {
            sum,
            count,
            buckets,
        } => {
            for (bound, below) in buckets {
                amount(text, "_bucket", Some(("le", &bound.to_string())), *below);
            }
            amount(text, "_bucket", Some(("le", "+Inf")), *count);
            exact(text, "_sum", *sum);
            exact(text, "_count", *count);
        }
    }
}

/// Both formats write what is not finite in this way.
fn push_float(text: &mut String, value: f64) {
    let _ = if value.is_finite() {
        writeln!(text, "{value}")
    } else if value.is_nan() {
        writeln!(text, "NaN")
    } else {
        writeln!(text, "{}Inf", if value > 0.0 { '+' } else { '-' })
    };
}

/// What stands above the rows of a family.
fn header(family: &Family, format: Format) -> String {
    let name = match (format, family.kind) {
        // OpenMetrics names the family of a counter without the suffix of its samples.
        (Format::OpenMetrics, FamilyKind::Counter) => {
            family.name.strip_suffix("_total").unwrap_or(family.name)
        }
        _ => family.name,
    };
    let kind = match family.kind {
        FamilyKind::Counter => "counter",
        FamilyKind::Summary => "summary",
        FamilyKind::Histogram => "histogram",
        FamilyKind::Gauge => "gauge",
    };
    let help = family.help.replace('\\', "\\\\").replace('\n', "\\n");
    let help = match format {
        Format::OpenMetrics => help.replace('"', "\\\""),
        Format::Prometheus => help,
    };
    format!("# HELP {name} {help}\n# TYPE {name} {kind}\n")
}

/// An exposition without its end, in one of the formats.
#[derive(Debug, Default)]
pub struct Exposition(Vec<Arc<Stretch>>);

impl Exposition {
    /// The families of several parts, each family in one place.
    pub fn new<'a>(parts: impl IntoIterator<Item = &'a Rows>, format: Format) -> Self {
        let mut families: BTreeMap<&'static str, Vec<Arc<Stretch>>> = BTreeMap::new();
        for (name, (family, rows)) in parts.into_iter().flatten() {
            families
                .entry(name)
                .or_insert_with(|| {
                    let header = header(family, format);
                    vec![Arc::new(Stretch::stored(header.into()))]
                })
                .push(rows.clone());
        }
        Self(families.into_values().flatten().collect())
    }

    /// The text, and `end` after it.
    pub fn plain(&self, end: String) -> Vec<Bytes> {
        let texts = self.0.iter().map(|stretch| stretch.plain().clone());
        texts.chain([end.into()]).collect()
    }

    /// The same as one gzip stream.
    pub fn gzip(&self, end: &str) -> Vec<Bytes> {
        // Deflate, no name, no time, any system.
        const HEADER: &[u8] = &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
        // A last block with nothing in it.
        const LAST_BLOCK: [u8; 2] = [3, 0];
        let mut writer = Writer::new(false);
        writer.text().push_str(end);
        let end = Arc::new(writer.finish());
        let mut crc = Crc::new();
        let mut frames = vec![Bytes::from_static(HEADER)];
        for stretch in self.0.iter().chain([&end]) {
            frames.push(stretch.deflated.clone());
            crc.combine(&stretch.crc);
        }
        let mut trailer = LAST_BLOCK.to_vec();
        trailer.extend(crc.sum().to_le_bytes());
        trailer.extend(crc.amount().to_le_bytes());
        frames.push(trailer.into());
        frames
    }
}

/// Labels as they stand between the braces.
pub fn render_labels<'a>(labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    with_labels(String::new(), labels)
}

/// Labels, and more of them after those.
pub fn with_labels<'a>(
    mut text: String,
    labels: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> String {
    for (name, value) in labels {
        push_label(&mut text, name, value);
    }
    text
}

fn push_label(text: &mut String, name: &str, value: &str) {
    if !text.is_empty() && !text.ends_with('{') {
        text.push(',');
    }
    text.push_str(name);
    text.push_str("=\"");
    // Hardly any value has something to escape.
    let mut rest = value;
    while let Some(place) = rest.bytes().position(|b| matches!(b, b'\\' | b'"' | b'\n')) {
        let (plain, special) = rest.split_at(place);
        text.push_str(plain);
        text.push_str(match special.as_bytes()[0] {
            b'\\' => "\\\\",
            b'"' => "\\\"",
            _ => "\\n",
        });
        rest = &special[1..];
    }
    text.push_str(rest);
    text.push('"');
}

fn push_micros(text: &mut String, micros: i128) {
    let (whole, rest) = (micros / 1_000_000, (micros % 1_000_000).unsigned_abs());
    if micros < 0 && whole == 0 {
        text.push('-');
    }
    let _ = write!(text, "{whole}");
    if rest != 0 {
        let digits = format!("{rest:06}");
        text.push('.');
        text.push_str(digits.trim_end_matches('0'));
    }
}

/// The name of a label for an AWS tag: `tag_` and the key, with `_` for what Prometheus does
/// not allow.
pub fn tag_label(key: &str) -> String {
    let key = key
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' });
    "tag_".chars().chain(key).collect()
}

/// Turns the OpenMetrics text of the client library into the older format: families of
/// counters are named as their samples are, and there is neither a unit nor an end.
pub fn openmetrics_to_prometheus(text: &str) -> String {
    let counters: std::collections::HashSet<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter"))
        .collect();
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        if line == "# EOF" || line.starts_with("# UNIT ") {
            continue;
        }
        let header = ["# HELP ", "# TYPE "]
            .into_iter()
            .find_map(|word| Some((word, line.strip_prefix(word)?)));
        match header.and_then(|(word, rest)| Some((word, rest.split_once(' ')?))) {
            Some((word, (name, rest))) if counters.contains(name) => {
                let _ = writeln!(out, "{word}{name}_total {rest}");
            }
            _ => {
                let _ = writeln!(out, "{line}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests;
