//! Our own row encoder for AWS series, in both text formats that Prometheus reads.
//!
//! The rows of both formats are the same; only the headers differ. So the rows of each family are written and
//! compressed once, when they change, and a scrape costs a list of pointers to them. Most scrapers ask for gzip, and it is a
//! tenth of the size: it is what is kept. The text is made of it when somebody asks for that. Amounts are written
//! from integers, exactly.
//!
//! RFC 1951 (deflate), RFC 1952 (gzip); one gzip member, because some clients read no further than the first.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, OnceLock};

use flate2::{Compress, Compression, Crc, Decompress, FlushCompress, FlushDecompress};
use hyper::body::Bytes;

use super::snapshot::{Row, RowValue, SubjectView};
use crate::services::table::{Family, FamilyKind};

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

/// A stretch of text, compressed such that stretches can be put one after another in one gzip stream: raw
/// deflate blocks that end at a whole byte and refer to nothing before them.
#[derive(Debug)]
pub struct Stretch {
    deflated: Bytes,
    crc: Crc,
    /// How long the text is.
    length: usize,
    /// The text, once somebody asked for it.
    plain: OnceLock<Bytes>,
}

impl Stretch {
    /// A text that is not worth compressing: it stands in stored blocks.
    fn stored(text: Bytes) -> Self {
        let mut deflated = Vec::with_capacity(text.len() + 5);
        for block in text.chunks(usize::from(u16::MAX)) {
            let length = u16::try_from(block.len()).expect("a chunk is no longer than that");
            deflated.push(0);
            deflated.extend(length.to_le_bytes());
            deflated.extend((!length).to_le_bytes());
            deflated.extend(block);
        }
        let mut crc = Crc::new();
        crc.update(&text);
        Self {
            deflated: deflated.into(),
            crc,
            length: text.len(),
            plain: text.into(),
        }
    }

    /// The text.
    fn plain(&self) -> &Bytes {
        self.plain.get_or_init(|| {
            let mut plain = Vec::with_capacity(self.length);
            Decompress::new(false)
                .decompress_vec(&self.deflated, &mut plain, FlushDecompress::Sync)
                .expect("we compressed it ourselves");
            plain.into()
        })
    }
}

/// Writes stretches one after another.
#[derive(Debug)]
struct Writer {
    compress: Compress,
    text: String,
    deflated: Vec<u8>,
    crc: Crc,
    length: usize,
    plain: Option<Vec<u8>>,
}

impl Writer {
    /// `keep_plain`: somebody is likely to ask for the text.
    fn new(keep_plain: bool) -> Self {
        Self {
            compress: Compress::new(Compression::fast(), false),
            text: String::new(),
            deflated: Vec::new(),
            crc: Crc::new(),
            length: 0,
            plain: keep_plain.then(Vec::new),
        }
    }

    /// Where to write; the whole text is never held when nobody asks for it.
    fn text(&mut self) -> &mut String {
        if self.text.len() >= 64 * 1024 {
            self.flush(FlushCompress::None);
        }
        &mut self.text
    }

    fn flush(&mut self, how: FlushCompress) {
        let text = self.text.as_bytes();
        self.crc.update(text);
        self.length += text.len();
        if let Some(plain) = &mut self.plain {
            plain.extend(text);
        }
        let begun = self.compress.total_in();
        loop {
            self.deflated.reserve(16 * 1024);
            let done = usize::try_from(self.compress.total_in() - begun).unwrap_or(usize::MAX);
            self.compress
                .compress_vec(&text[done..], &mut self.deflated, how)
                .expect("a compressor takes any bytes");
            let done = self.compress.total_in() - begun;
            // Room that is left over says that nothing is held back.
            if done == text.len() as u64 && self.deflated.len() < self.deflated.capacity() {
                break;
            }
        }
        self.text.clear();
    }

    fn finish(&mut self) -> Stretch {
        self.flush(FlushCompress::Full);
        self.compress.reset();
        let plain = OnceLock::new();
        if let Some(text) = &mut self.plain {
            let text: Bytes = std::mem::take(text).into_boxed_slice().into();
            plain.set(text).expect("it is new");
        }
        Stretch {
            // A box is as long as what is in it.
            deflated: std::mem::take(&mut self.deflated).into_boxed_slice().into(),
            crc: std::mem::take(&mut self.crc),
            length: std::mem::take(&mut self.length),
            plain,
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
mod tests {
    use std::io::Read as _;

    use super::*;

    static COUNTER: Family = Family {
        name: "aws_x_total",
        kind: FamilyKind::Counter,
        help: "X \"quoted\".",
    };
    static GAUGE: Family = Family {
        name: "aws_y",
        kind: FamilyKind::Gauge,
        help: "Y.",
    };

    #[test]
    fn amounts_are_written_exactly() {
        let written = |micros| {
            let mut text = String::new();
            push_micros(&mut text, micros);
            text
        };
        assert_eq!(written(0), "0");
        assert_eq!(written(7_000_000), "7");
        assert_eq!(written(1_500), "0.0015");
        assert_eq!(written(123_456_789_012_345_678), "123456789012.345678");
        assert_eq!(written(-250_000), "-0.25");
    }

    #[test]
    fn a_hostile_name_stays_inside_its_quotes() {
        let labels = render_labels([("a", "x\"} 1\nup 0"), ("b", "back\\slash")]);
        assert_eq!(labels, r#"a="x\"} 1\nup 0",b="back\\slash""#);
    }

    fn subject(labels: &str, rows: Vec<Row>) -> SubjectView {
        let labels = labels.into();
        SubjectView { labels, rows }
    }

    fn row(family: &'static Family, value: RowValue) -> Row {
        let labels = &[("c", "2")];
        Row {
            family,
            labels,
            value,
        }
    }

    fn gunzip(frames: &[Bytes]) -> String {
        let mut text = String::new();
        // The decoder of one member: whatever a client does with a second one.
        flate2::read::GzDecoder::new(&*frames.concat())
            .read_to_string(&mut text)
            .unwrap();
        text
    }

    #[test]
    fn both_formats_differ_in_their_headers_only() {
        let value = row(&COUNTER, RowValue::Counter(3_000_000));
        let rows = encode(
            [
                subject(r#"s="1""#, vec![value, row(&GAUGE, RowValue::Gauge(0.25))]),
                subject("", vec![row(&GAUGE, RowValue::Gauge(f64::INFINITY))]),
            ]
            .iter(),
            false,
        );
        let text = |format| {
            let exposition = Exposition::new([&rows], format);
            let plain = String::from_utf8(exposition.plain("end".to_owned()).concat()).unwrap();
            assert_eq!(gunzip(&exposition.gzip("end")), plain);
            plain
        };
        assert_eq!(
            text(Format::Prometheus),
            "# HELP aws_x_total X \"quoted\".\n# TYPE aws_x_total counter\naws_x_total{s=\"1\",c=\"2\"} 3\n\
             # HELP aws_y Y.\n# TYPE aws_y gauge\naws_y{s=\"1\",c=\"2\"} 0.25\naws_y{c=\"2\"} +Inf\nend"
        );
        let open = text(Format::OpenMetrics);
        assert!(
            open.starts_with("# HELP aws_x X \\\"quoted\\\".\n# TYPE aws_x counter\naws_x_total{"),
            "{open}"
        );
    }

    #[test]
    fn a_histogram_ends_with_the_bucket_of_all_and_writes_bounds_as_floats() {
        static HISTOGRAM: Family = Family {
            name: "aws_h_seconds",
            kind: FamilyKind::Histogram,
            help: "H.",
        };
        let bound = |text| crate::api::Bound::parse(text).unwrap();
        let value = RowValue::Histogram {
            sum: 2_500_000,
            count: 4_000_000,
            buckets: vec![(bound("0.25"), 1_500_000), (bound("1"), 3_000_000)],
        };
        assert_eq!(value.series(), 5);
        let rows = encode([subject("", vec![row(&HISTOGRAM, value)])].iter(), false);
        for format in [Format::Prometheus, Format::OpenMetrics] {
            let exposition = Exposition::new([&rows], format);
            let plain = String::from_utf8(exposition.plain(String::new()).concat()).unwrap();
            assert_eq!(
                plain,
                "# HELP aws_h_seconds H.\n# TYPE aws_h_seconds histogram\n\
                 aws_h_seconds_bucket{c=\"2\",le=\"0.25\"} 1.5\n\
                 aws_h_seconds_bucket{c=\"2\",le=\"1.0\"} 3\n\
                 aws_h_seconds_bucket{c=\"2\",le=\"+Inf\"} 4\n\
                 aws_h_seconds_sum{c=\"2\"} 2.5\naws_h_seconds_count{c=\"2\"} 4\n"
            );
        }
    }

    #[test]
    fn long_texts_of_several_parts_are_one_gzip_member_and_one_family_each() {
        let part = |region: u64| {
            let subjects: Vec<_> = (0..20_000_u64)
                .map(|n| {
                    // Hard to compress, so that blocks end in the middle of rows.
                    let noise = n.wrapping_mul(0x9E37_79B9_7F4A_7C15);
                    let labels = format!("r=\"{region}\",n=\"{noise:x}\"");
                    subject(&labels, vec![row(&COUNTER, RowValue::Counter(0))])
                })
                .collect();
            subjects
        };
        let parts = [
            encode(part(1).iter(), true),
            encode(part(2).iter(), false),
            encode([].iter(), false),
        ];
        let exposition = Exposition::new(&parts, Format::OpenMetrics);
        let plain = String::from_utf8(exposition.plain("# EOF\n".to_owned()).concat()).unwrap();
        assert_eq!(plain.matches("# TYPE").count(), 1);
        assert_eq!(plain.lines().count(), 40_000 + 3);
        assert_eq!(gunzip(&exposition.gzip("# EOF\n")), plain);
    }

    #[test]
    fn the_librarys_text_is_turned_into_the_older_format() {
        let text = "# HELP n_req Requests.\n# TYPE n_req counter\nn_req_total 3\n# HELP g G.\n# TYPE g gauge\ng 1\n# EOF\n";
        let expected = "# HELP n_req_total Requests.\n# TYPE n_req_total counter\nn_req_total 3\n# HELP g G.\n# TYPE g gauge\ng 1\n";
        assert_eq!(openmetrics_to_prometheus(text), expected);
    }

    #[test]
    fn tag_keys_become_allowed_label_names() {
        assert_eq!(tag_label("cost-center:eu"), "tag_cost_center_eu");
    }
}
