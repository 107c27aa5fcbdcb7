//! Both formats as their readers take them: amounts, escapes, histograms, one gzip member.

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
