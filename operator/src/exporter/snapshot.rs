//! The snapshot: everything that is published of AWS, immutable, swapped in as a whole.
//!
//! Each account and region hands in its view when it changes; the snapshot is made of all views.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use hyper::body::Bytes;

use super::encode::{Exposition, Format, Rows, encode};
use super::telemetry::Telemetry;
use crate::api::Bound;
use crate::api::exporter_status::{ExporterStatus, TargetStatus};
use crate::services::table::Family;

/// Which account (by its place in the stack's list) and region.
pub type TargetKey = (Option<String>, String);

/// What one account and region has to show.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// For `/status`.
    pub status: TargetStatus,
    /// Each subject with its rows; a subject is published whole or not at all.
    pub subjects: Vec<SubjectView>,
    /// Series of subjects for which there was no room.
    pub left_out: u64,
    /// What the exporter says of the counters above. It stands in the snapshot with them, so that no
    /// scrape sees the one without the other.
    pub freshness: Vec<SubjectView>,
}

/// The rows of one subject or resource.
#[derive(Clone, Debug, Default)]
pub struct SubjectView {
    /// The labels that all its rows have, as they stand between the braces.
    pub labels: Arc<str>,
    /// The rows.
    pub rows: Vec<Row>,
}

/// One row.
#[derive(Clone, Debug)]
pub struct Row {
    /// The family.
    pub family: &'static Family,
    /// Labels that tell it from others of the family.
    pub labels: &'static [(&'static str, &'static str)],
    /// What is said.
    pub value: RowValue,
}

/// What a row says.
#[derive(Clone, Debug)]
pub enum RowValue {
    /// A counter, in millionths.
    Counter(i128),
    /// A distribution: sum and count in millionths, and the quantiles that are fresh.
    Summary {
        /// In millionths of the base unit.
        sum: i128,
        /// In millionths.
        count: i128,
        /// `(quantile, value)`.
        quantiles: Vec<(Arc<str>, f64)>,
    },
    /// A distribution by its buckets: sum and counts in millionths.
    Histogram {
        /// In millionths of the base unit.
        sum: i128,
        /// Of all values, in millionths.
        count: i128,
        /// Of those up to each bound, in millionths.
        buckets: Vec<(Bound, i128)>,
    },
    /// A gauge.
    Gauge(f64),
}

impl View {
    /// Leaves out all subjects but so many, the first ones.
    pub fn truncate(&mut self, subjects: usize) {
        let rest = self.subjects.split_off(subjects);
        self.left_out += rest.iter().map(SubjectView::series).sum::<u64>();
    }
}

impl SubjectView {
    fn series(&self) -> u64 {
        self.rows.iter().map(|row| row.value.series()).sum()
    }
}

impl RowValue {
    /// How many series it is.
    pub fn series(&self) -> u64 {
        match self {
            Self::Counter(_) | Self::Gauge(_) => 1,
            Self::Summary { quantiles, .. } => 2 + quantiles.len() as u64,
            Self::Histogram { buckets, .. } => 3 + buckets.len() as u64,
        }
    }
}

/// Everything that is published of AWS.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// Counts up with each snapshot that is published.
    pub number: u64,
    prometheus: Exposition,
    openmetrics: Exposition,
    /// AWS series in it.
    pub series: u64,
    /// AWS series left out.
    pub dropped: u64,
}

impl Snapshot {
    const fn exposition(&self, format: Format) -> &Exposition {
        match format {
            Format::Prometheus => &self.prometheus,
            Format::OpenMetrics => &self.openmetrics,
        }
    }

    /// The text in a format, with an end.
    pub fn plain(&self, format: Format, end: String) -> Vec<Bytes> {
        self.exposition(format).plain(end)
    }

    /// The same, as one gzip stream.
    pub fn gzip(&self, format: Format, end: &str) -> Vec<Bytes> {
        self.exposition(format).gzip(end)
    }
}

/// What is kept of a view: its rows as text only, which is a tenth of the memory.
#[derive(Debug)]
struct Part {
    rows: Rows,
    series: u64,
    dropped: u64,
    /// How many subjects of the view are in it.
    subjects: usize,
}

impl Part {
    /// Encodes a view, as far as it has no more series than `most`. Its order decides what is left out.
    fn new(view: &View, most: u64, keep_plain: bool) -> Self {
        let (whole, series) = fitting(&view.subjects, most);
        let (subjects, rest) = view.subjects.split_at(whole);
        Self {
            rows: encode(subjects.iter().chain(&view.freshness), keep_plain),
            series,
            dropped: view.left_out + rest.iter().map(SubjectView::series).sum::<u64>(),
            subjects: whole,
        }
    }

    /// Leaves out all of its series until its next view comes, which will find less room.
    fn drop_series(&mut self) {
        // What is said of the counters is no AWS series.
        self.rows.retain(|name, _| !name.starts_with("aws_"));
        self.dropped += std::mem::take(&mut self.series);
        self.subjects = 0;
    }
}

/// Where views come together and scrapes are answered from.
#[derive(Debug)]
pub struct Publisher {
    telemetry: Telemetry,
    parts: Mutex<BTreeMap<TargetKey, Part>>,
    /// What each account and region reports of itself; apart from the series, so that nobody
    /// who asks waits while they are encoded.
    reports: Mutex<BTreeMap<TargetKey, TargetStatus>>,
    snapshot: RwLock<Arc<Snapshot>>,
    /// The newest snapshot that was scraped.
    scraped: AtomicU64,
    /// Whether somebody has asked for the text as it is since the last snapshot.
    plain: AtomicBool,
}

impl Publisher {
    /// Nothing is published yet.
    pub fn new(telemetry: Telemetry) -> Self {
        Self {
            telemetry,
            parts: Mutex::default(),
            reports: Mutex::default(),
            snapshot: RwLock::default(),
            scraped: AtomicU64::new(0),
            plain: AtomicBool::new(false),
        }
    }

    /// How many of an account and region's subjects, the first ones, there is room for now among at most `most` series.
    pub fn fits(&self, key: &TargetKey, subjects: &[SubjectView], most: u64) -> usize {
        let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        fitting(
            subjects,
            room(parts.range(..key).map(|(_, part)| part), most),
        )
        .0
    }

    /// Takes over the view of an account and region, or its end, and publishes the whole. Answers the number of
    /// the snapshot, and how many of the view's subjects, the first ones, are in it.
    ///
    /// When there are more than `most` series, the order of accounts and regions, and that inside their views, decides which are
    /// left out: always the same ones, whatever came first. Of an account and region that came to have less room than it
    /// fills nothing is published until its next view.
    pub fn publish(&self, key: &TargetKey, view: Option<View>, most: u64) -> (u64, usize) {
        let keep_plain = self.plain.swap(false, Ordering::AcqRel);
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        parts.remove(key);
        if let Some(view) = view {
            let left = room(parts.range(..key).map(|(_, part)| part), most);
            parts.insert(key.clone(), Part::new(&view, left, keep_plain));
            self.reports().insert(key.clone(), view.status);
        } else {
            self.reports().remove(key);
        }
        let mut left = most;
        for part in parts.values_mut() {
            // What fits is what its view would be encoded to now, or less if there is more room by now: that is right until
            // its next view comes.
            if part.series > left {
                part.drop_series();
            }
            left = room([&*part], left);
        }
        let mut snapshot = Snapshot {
            number: 0,
            prometheus: Exposition::new(parts.values().map(|p| &p.rows), Format::Prometheus),
            openmetrics: Exposition::new(parts.values().map(|p| &p.rows), Format::OpenMetrics),
            series: parts.values().map(|part| part.series).sum(),
            dropped: parts.values().map(|part| part.dropped).sum(),
        };
        let subjects = parts.get(key).map_or(0, |part| part.subjects);
        self.telemetry.published(snapshot.series, snapshot.dropped);
        let mut published = self
            .snapshot
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        snapshot.number = published.number + 1;
        *published = Arc::new(snapshot);
        (published.number, subjects)
    }

    /// Takes over what an account and region reports of itself, and leaves its series as they are.
    pub fn note_status(&self, key: &TargetKey, status: TargetStatus) {
        self.reports().insert(key.clone(), status);
    }

    fn reports(&self) -> MutexGuard<'_, BTreeMap<TargetKey, TargetStatus>> {
        self.reports.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is published now.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The newest snapshot that a scrape has taken in full.
    pub fn scraped(&self) -> u64 {
        self.scraped.load(Ordering::Acquire)
    }

    /// A scrape has taken a snapshot in full.
    pub fn note_scrape(&self, number: u64) {
        self.scraped.fetch_max(number, Ordering::AcqRel);
    }

    /// Somebody wants the text as it is, and probably will again.
    pub fn note_plain(&self) {
        self.plain.store(true, Ordering::Release);
    }

    /// What was watched when the views were handed in; the rest of the document is the caller's.
    pub fn status(&self) -> ExporterStatus {
        let (snapshot, reports) = (self.snapshot(), self.reports());
        ExporterStatus {
            series: snapshot.series,
            series_dropped: snapshot.dropped,
            targets: reports.values().cloned().collect(),
            ..ExporterStatus::default()
        }
    }
}

/// How many of the subjects, the first ones, have no more series than `most`, and how many series these are.
fn fitting(subjects: &[SubjectView], most: u64) -> (usize, u64) {
    let (mut whole, mut series) = (0, 0);
    for subject in subjects {
        if series + subject.series() > most {
            break;
        }
        series += subject.series();
        whole += 1;
    }
    (whole, series)
}

/// The room that parts leave: none after one that is not whole.
fn room<'a>(parts: impl IntoIterator<Item = &'a Part>, most: u64) -> u64 {
    parts.into_iter().fold(most, |left, part| {
        if part.dropped > 0 {
            0
        } else {
            left.saturating_sub(part.series)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::table::FamilyKind;

    static FAMILY: Family = Family {
        name: "aws_x_total",
        kind: FamilyKind::Counter,
        help: "X.",
    };

    static FRESHNESS: Family = Family {
        name: "nightjar_fresh",
        kind: FamilyKind::Gauge,
        help: "F.",
    };

    fn view(names: &[&str]) -> View {
        let subject = |name: &&str| SubjectView {
            labels: format!("n=\"{name}\"").into(),
            rows: vec![Row {
                family: &FAMILY,
                labels: &[],
                value: RowValue::Counter(1_000_000),
            }],
        };
        View {
            subjects: names.iter().map(subject).collect(),
            ..View::default()
        }
    }

    fn text(publisher: &Publisher) -> String {
        let plain = publisher
            .snapshot()
            .plain(Format::Prometheus, String::new());
        String::from_utf8(plain.concat()).unwrap()
    }

    fn key(region: &str) -> TargetKey {
        (None, region.to_owned())
    }

    #[test]
    fn too_many_series_are_left_out_in_order_and_counted() {
        let (first, second) = (view(&["a", "b", "c"]), view(&["d"]));
        // Whatever comes first, and however often: the same is published.
        for order in ["12", "21", "1212", "2121"] {
            let publisher = Publisher::new(Telemetry::new("s"));
            for which in order.chars() {
                let (key, view) = match which {
                    '1' => (key("r1"), first.clone()),
                    _ => (key("r2"), second.clone()),
                };
                publisher.publish(&key, Some(view), 2);
                assert!(publisher.snapshot().series <= 2, "{order}");
            }
            let snapshot = publisher.snapshot();
            assert_eq!((snapshot.series, snapshot.dropped), (2, 2), "{order}");
            let text = text(&publisher);
            assert!(
                text.contains("n=\"b\"") && !text.contains("n=\"c\"") && !text.contains("n=\"d\""),
                "{order}: {text}"
            );
        }
    }

    #[test]
    fn room_that_becomes_free_is_used_by_the_next_view() {
        let publisher = Publisher::new(Telemetry::new("s"));
        publisher.publish(&key("r1"), Some(view(&["a", "b"])), 3);
        publisher.publish(&key("r2"), Some(view(&["c", "d"])), 3);
        assert_eq!(publisher.snapshot().series, 3);
        publisher.publish(&key("r1"), Some(view(&["a"])), 3);
        publisher.publish(&key("r2"), Some(view(&["c", "d"])), 3);
        let snapshot = publisher.snapshot();
        assert_eq!((snapshot.series, snapshot.dropped), (3, 0));
        publisher.publish(&key("r1"), None, 3);
        assert_eq!(publisher.snapshot().series, 2);
    }

    #[test]
    fn what_still_fits_into_less_room_stays() {
        let publisher = Publisher::new(Telemetry::new("s"));
        let mut second = view(&["c", "d"]);
        for subject in &mut second.subjects {
            let row = subject.rows[0].clone();
            subject.rows.push(row);
        }
        publisher.publish(&key("r1"), Some(view(&["a"])), 4);
        publisher.publish(&key("r2"), Some(second), 4);
        assert_eq!(publisher.snapshot().series, 3);
        publisher.publish(&key("r1"), Some(view(&["a", "b"])), 4);
        let snapshot = publisher.snapshot();
        assert_eq!((snapshot.series, snapshot.dropped), (4, 2));
    }

    #[test]
    fn freshness_is_said_whatever_is_left_out() {
        let publisher = Publisher::new(Telemetry::new("s"));
        let fresh = SubjectView {
            labels: "aws_service=\"lambda\"".into(),
            rows: vec![Row {
                family: &FRESHNESS,
                labels: &[],
                value: RowValue::Gauge(1.0),
            }],
        };
        let view = View {
            freshness: vec![fresh],
            ..view(&["a"])
        };
        publisher.publish(&key("r1"), Some(view.clone()), 0);
        let snapshot = publisher.snapshot();
        assert_eq!((snapshot.series, snapshot.dropped), (0, 1));
        let now = text(&publisher);
        assert!(
            now.contains("nightjar_fresh{") && !now.contains("n=\"a\""),
            "{now}"
        );
        // Also when the room goes to another one later.
        publisher.publish(&key("r1"), Some(view), 1);
        publisher.publish(&key("r0"), Some(self::view(&["z"])), 1);
        let now = text(&publisher);
        assert!(
            now.contains("nightjar_fresh{") && !now.contains("n=\"a\""),
            "{now}"
        );
    }

    #[test]
    fn a_target_that_ends_takes_its_series_along() {
        let publisher = Publisher::new(Telemetry::new("s"));
        publisher.publish(&key("r1"), Some(view(&["a"])), 10);
        publisher.publish(&key("r2"), Some(view(&["b"])), 10);
        assert_eq!(publisher.snapshot().series, 2);
        publisher.publish(&key("r1"), None, 10);
        assert_eq!(publisher.snapshot().series, 1);
    }
}
