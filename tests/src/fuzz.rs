//! What the fuzz targets in `operator/fuzz` do with bytes. The seeds of each target are replayed here as tests; the
//! targets themselves are run by hand, with `cargo fuzz`.

use std::path::Path;
use std::sync::Arc;

use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{MetricDataResult, StatusCode};
use nightjar::exporter::book::{Minute, Span};
use nightjar::exporter::checkpoint::{self, Books, Header};
use nightjar::exporter::encode::{Exposition, Format, encode, render_labels, tag_label};
use nightjar::exporter::plan::{self, Batch, Group, Of};
use nightjar::exporter::series::{Series, Stat};
use nightjar::exporter::snapshot::{Row, RowValue, SubjectView};
use nightjar::exporter::watched::Watched;
use nightjar::exporter::{config, poll};
use nightjar::services::found::Subject;
use nightjar::services::table::{Family, FamilyKind, Features, Metric};
use nightjar::services::{ServiceId, Wanted};

use crate::samples;

/// Takes values out of bytes; zeros when they are used up.
struct Source<'a>(&'a [u8]);

impl Source<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }

    fn eight(&mut self) -> [u8; 8] {
        std::array::from_fn(|_| self.byte())
    }

    fn text(&mut self) -> String {
        let length = usize::from(self.byte()).min(self.0.len());
        let (text, rest) = self.0.split_at(length);
        self.0 = rest;
        String::from_utf8_lossy(text).into_owned()
    }
}

fn function() -> Subject {
    let service = ServiceId::Lambda.service();
    let mut shapes = service.shapes.iter();
    let shape = shapes.find(|shape| shape.dimensions == ["FunctionName"]);
    let labels = vec![("function_name", "f".into())];
    Subject::new(
        shape.expect("the table has functions"),
        vec!["f".into()],
        labels,
        Features::NONE,
        &Wanted::new(service, None),
    )
}

fn metric(name: &str) -> &'static Metric {
    let subject = function();
    let mut metrics = subject.metrics();
    metrics
        .find(|metric| metric.cloudwatch == name)
        .expect("the table has it")
}

fn result(source: &mut Source<'_>, now: i64) -> MetricDataResult {
    const IDS: [&str; 8] = ["g0s0", "g1s0", "g1s1", "g0s0", "g1s0", "g1s1", "g9s9", ""];
    const STATUS: [&str; 8] = [
        "Complete",
        "Complete",
        "Complete",
        "Complete",
        "PartialData",
        "Forbidden",
        "InternalError",
        "?",
    ];
    let kind = source.byte();
    let points = source.byte() % 16;
    let (mut times, mut values) = (Vec::new(), Vec::new());
    for _ in 0..points {
        let minute = now + i64::from(source.byte().cast_signed());
        times.push(DateTime::from_secs(
            minute * 60 + i64::from(source.byte() == 255),
        ));
        values.push(f64::from_le_bytes(source.eight()));
    }
    if kind > 250 {
        values.pop();
    }
    MetricDataResult::builder()
        .id(IDS[usize::from(kind % 8)])
        .status_code(StatusCode::from(STATUS[usize::from(kind / 8 % 8)]))
        .set_timestamps(Some(times))
        .set_values(Some(values))
        .build()
}

/// Answers of `GetMetricData` into the books: nothing panics, no counter decreases, no window goes back.
pub fn answer(bytes: &[u8]) {
    let mut source = Source(bytes);
    let mut series =
        ["Invocations", "Duration"].map(|name| Series::new(metric(name), Minute(1000)));
    let stats = [vec![Stat::Sum], vec![Stat::Sum, Stat::SampleCount]];
    let mut now = 1000;
    while !source.0.is_empty() {
        now += 1 + i64::from(source.byte() % 16);
        let settle = Minute(now - 3);
        let groups = series.iter().zip(&stats).enumerate();
        let groups: Vec<Group> = groups
            .filter_map(|(row, (series, stats))| {
                let of = Of::Row { subject: 0, row };
                let span = series.question(settle, Minute(now))?;
                let stats = stats.clone();
                Some(Group { of, stats, span })
            })
            .collect();
        let Some(from) = groups.iter().map(|group| group.span.from).min() else {
            continue;
        };
        let span = Span {
            from,
            to: Minute(now),
            bin: 1,
        };
        let batch = Batch { span, groups };
        let mut answers = std::collections::HashMap::new();
        for _ in 0..=source.byte() % 3 {
            let results: Vec<_> = (0..source.byte() % 8)
                .map(|_| result(&mut source, now))
                .collect();
            poll::merge(&mut answers, &results, &batch);
        }
        for (group, points) in poll::assign(batch.groups, Ok(answers)) {
            let (Of::Row { row, .. }, Ok(points)) = (group.of, points) else {
                continue;
            };
            let series = &mut series[row];
            let before = (series.sum.shown(), series.count.shown(), series.through);
            series.fold(&group.stats, &points, group.span, settle, Minute(now));
            series.sum.show();
            series.count.show();
            let after = (series.sum.shown(), series.count.shown(), series.through);
            assert!(after.0 >= before.0 && after.1 >= before.1 && after.2 >= before.2);
            assert!(after.2 <= Minute(now));
        }
    }
}

static COUNTER: Family = Family {
    name: "aws_fuzz_total",
    kind: FamilyKind::Counter,
    help: "A \"counter\"\nof \\ nothing",
};
static GAUGE: Family = Family {
    name: "aws_fuzz",
    kind: FamilyKind::Gauge,
    help: "",
};

/// Names and tags into an exposition, and out of it again with a parser that knows nothing of the encoder.
pub fn exposition(bytes: &[u8]) {
    let mut source = Source(bytes);
    let (function, tag_key, tag) = (source.text(), source.text(), source.text());
    let tag_name = tag_label(&tag_key);
    let (count, value) = (
        i128::from(u64::from_le_bytes(source.eight())),
        f64::from_le_bytes(source.eight()),
    );
    let labels = [
        ("function_name", function.as_str()),
        (tag_name.as_str(), tag.as_str()),
    ];
    let row = |family, value| Row {
        family,
        labels: &[("reason", "5xx")],
        value,
    };
    let view = SubjectView {
        labels: Arc::from(render_labels(labels)),
        rows: vec![
            row(&COUNTER, RowValue::Counter(count)),
            row(&GAUGE, RowValue::Gauge(value)),
        ],
    };
    for format in [Format::Prometheus, Format::OpenMetrics] {
        let rows = encode(std::iter::once(&view), true);
        let text = Exposition::new([&rows], format).plain(String::new());
        let text = String::from_utf8(text.concat()).expect("an exposition is UTF-8");
        let samples = samples::parse(&text).expect("what is served can be read");
        assert_eq!(samples.len(), 2, "{text}");
        for (series, read) in samples {
            assert_eq!(series.labels.len(), 3, "{text}");
            for (name, value) in labels.into_iter().chain([("reason", "5xx")]) {
                assert_eq!(series.label(name), value, "{text}");
            }
            #[expect(clippy::cast_precision_loss, reason = "so does a scraper")]
            let wrote = if series.name == GAUGE.name {
                value
            } else {
                count as f64 / 1e6
            };
            let same = (wrote.is_nan() && read.is_nan())
                || (read - wrote).abs() <= wrote.abs() * 1e-12
                || read.to_bits() == wrote.to_bits();
            assert!(same, "{read} is not {wrote}: {text}");
        }
    }
}

/// A configuration file into what is asked of CloudWatch: whatever is in it, it is used or refused, and no call is greater
/// than CloudWatch takes.
pub fn stack(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let Ok(stack) = config::parse_stack(Path::new("stack.yaml"), &text) else {
        return;
    };
    let (from, now) = (Minute(29_000_000), Minute(29_000_030));
    let mut watched = Vec::new();
    for id in ServiceId::ALL {
        let settings = stack.spec.services.get(id.name());
        let wanted = Wanted::new(id.service(), settings);
        for shape in id.service().shapes {
            let values = shape.dimensions.iter().map(|_| Arc::from("x")).collect();
            let subject = Subject::new(shape, values, Vec::new(), Features::NONE, &wanted);
            assert!(subject.metrics().count() <= shape.metrics.len());
            watched.push(Watched::new(subject, from));
        }
    }
    let interval = i64::from(stack.spec.collection.interval().as_secs() / 60);
    let groups = plan::groups(&watched, &stack.spec.latency, interval, now);
    let queries = |groups: &[Group]| groups.iter().map(|group| group.stats.len()).sum::<usize>();
    let asked = queries(&groups);
    let batches = plan::batches(groups);
    let sizes = batches.iter().map(|batch| queries(&batch.groups));
    assert_eq!(sizes.clone().sum::<usize>(), asked);
    assert!(sizes.max().unwrap_or(0) <= 500);
}

/// What comes before the bytes in a file of books of this version: length and checksum are right, so that what
/// is in it is looked at.
fn file_of_books(bytes: &[u8]) -> Vec<u8> {
    let header = Header {
        stack: String::new(),
        key: (None, String::new()),
        account_id: String::new(),
        partition: String::new(),
    };
    let mut file = checkpoint::encode(&header, &Books::default());
    file.truncate(20);
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    file.extend((bytes.len() as u64).to_le_bytes());
    file.extend(crc.sum().to_le_bytes());
    file.extend(bytes);
    file
}

/// A file of books: used whole or refused.
pub fn books(bytes: &[u8]) {
    assert!(checkpoint::decode(bytes).is_err(), "it has no checksum");
    let Ok((_, books)) = checkpoint::decode(&file_of_books(bytes)) else {
        return;
    };
    for subject in books.subjects {
        let (shape, values) = (subject.shape.clone(), subject.values.clone());
        if let Some(watched) = Watched::restore(subject) {
            let saved = watched.saved();
            assert_eq!((saved.shape, saved.values), (shape, values));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::random::mix;

    fn replay(target: &str, run: fn(&[u8])) {
        let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../operator/fuzz/seeds");
        let mut replayed = 0;
        for seed in std::fs::read_dir(seeds.join(target)).unwrap() {
            let seed = std::fs::read(seed.unwrap().path()).unwrap();
            run(&seed);
            // And what differs from it in a byte, or ends earlier.
            for place in 0..seed.len().min(200) {
                let mut other = seed.clone();
                other[place] ^= 0x55;
                run(&other);
                run(&seed[..place]);
            }
            replayed += 1;
        }
        assert!(replayed > 0, "{target} has no seeds");
    }

    fn at_random(run: fn(&[u8])) {
        for case in 0..500_u64 {
            let words = (0..mix(case, 1) % 60).map(|word| mix(case, word + 2).to_le_bytes());
            run(&words.flatten().collect::<Vec<u8>>());
        }
    }

    #[test]
    fn answers_that_were_found_by_fuzzing_are_taken_over_without_a_panic() {
        replay("answer", answer);
        at_random(answer);
    }

    #[test]
    fn names_and_tags_that_were_found_by_fuzzing_are_read_as_they_were_written() {
        replay("exposition", exposition);
        at_random(exposition);
    }

    #[test]
    fn files_that_were_found_by_fuzzing_are_used_or_refused() {
        replay("stack", stack);
        replay("books", books);
        at_random(books);
    }
}
