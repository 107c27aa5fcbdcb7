//! Which questions need not be put, because another series has the answer.
//!
//! Nearly all rows of errors and throttles are zero nearly always. CloudWatch has the same metrics of a whole region
//! in one series: where that has nothing since the first unsettled minute of a row, the row has nothing either. In the
//! same way a function that was not invoked ran for no time: the rows [`within`](crate::services::Metric::within) a
//! subject's pulse have nothing where the pulse has nothing.
//!
//! What another series rules out is as exact as what was asked, for these reasons:
//!
//! - The other series is read in the same poll, before, and from the row's first unsettled minute on. If it could not
//!   be read, or begins later, the row is asked.
//! - A minute is taken for zero only when it is settled, and after the other series had nothing in it each time that it
//!   was read since the minute ended. A region's series may lag behind its parts, so [`REGION_LAG_MINUTES`] more pass.
//! - A row that had anything in an unsettled minute is asked, whatever the other series says.
//! - The daily comparison asks AWS for every row, ruled out or not. One minute that was wrongly taken for zero is added
//!   then, and the row is never ruled out again in this account and region.

use std::collections::{BTreeMap, BTreeSet};

use super::book::{Minute, Span};
use super::plan::{Group, Of, Region};
use super::series::{Series, Stat};
use super::watched::Watched;

/// So many minutes more than a row's own a region's series has to say what happened.
const REGION_LAG_MINUTES: i64 = 2;
/// The region's series costs as much as one row: it has to be of use to more.
pub const LEAST_ROWS: usize = 2;

/// What is known of the series that rule rows out.
#[derive(Clone, Debug, Default)]
pub struct Gates {
    /// The regions' series that had something when they were last read. Only those that were read.
    open: BTreeMap<Region, bool>,
    /// Rows that were wrongly ruled out once, by shape and metric.
    distrusted: BTreeSet<(String, String)>,
}

/// The questions of a poll.
#[derive(Debug, Default)]
pub struct Sorted {
    /// To be put at once, those to the regions among them.
    pub first: Vec<Group>,
    /// To be put only if what rules them out has changed.
    pub waiting: Vec<Group>,
}

/// What the first answers say of the others.
#[derive(Debug, Default)]
pub struct Look {
    /// The minutes in which a region had something, since the first one that was asked for.
    regions: BTreeMap<Region, (Minute, Vec<Minute>)>,
    /// Since when the subject's pulse is known.
    pulses: BTreeMap<usize, Minute>,
}

impl Look {
    /// Takes over a good answer.
    pub fn take(&mut self, watched: &[Watched], group: &Group, points: &[Vec<(Minute, f64)>]) {
        match group.of {
            Of::Region(region) => {
                let busy = points.iter().flatten().filter(|(_, value)| *value != 0.0);
                let busy = busy.map(|(minute, _)| *minute).collect();
                self.regions.insert(region, (group.span.from, busy));
            }
            Of::Row { subject, row } => {
                let watched = &watched[subject];
                let metric = watched.series[row].metric.cloudwatch;
                if watched.subject.shape.pulse() == Some(metric) {
                    self.pulses.insert(subject, group.span.from);
                }
            }
        }
    }
}

impl Gates {
    /// With what was known before.
    pub fn distrusting(rows: Vec<(String, String)>) -> Self {
        Self {
            distrusted: rows.into_iter().collect(),
            ..Self::default()
        }
    }

    /// The rows that must not be ruled out, by shape and metric.
    pub fn distrusted(&self) -> impl Iterator<Item = &(String, String)> {
        self.distrusted.iter()
    }

    /// A row was wrongly ruled out. True if that is news.
    pub fn distrust(&mut self, watched: &Watched, row: usize) -> bool {
        let metric = watched.series[row].metric.cloudwatch;
        let row = (watched.subject.shape.name.to_owned(), metric.to_owned());
        self.distrusted.insert(row)
    }

    fn trusts(&self, watched: &Watched, series: &Series) -> bool {
        let shape = watched.subject.shape.name;
        let mut distrusted = self.distrusted.iter();
        !distrusted.any(|(s, m)| s == shape && m == series.metric.cloudwatch)
    }

    /// As if everything that is watched went well: no region has anything that rules rows out.
    pub fn closed(watched: &[Watched]) -> Self {
        let mut gates = Self::default();
        for watched in watched {
            let rows = watched.series.iter();
            gates
                .open
                .extend(rows.filter_map(|series| Some((region_of(watched, series)?, false))));
        }
        gates
    }

    /// The region whose series may rule a row out.
    pub fn region(&self, watched: &Watched, series: &Series) -> Option<Region> {
        region_of(watched, series).filter(|_| self.trusts(watched, series))
    }

    /// Whether a region's series lets nothing through, as far as is known.
    fn is_closed(&self, region: Region) -> bool {
        self.open.get(&region) == Some(&false)
    }

    /// Whether a row is not asked for, as long as nothing changes.
    pub fn rule_out(&self, watched: &Watched, series: &Series) -> bool {
        !series.is_unsettled()
            && self.trusts(watched, series)
            && (self
                .region(watched, series)
                .is_some_and(|region| self.is_closed(region))
                || is_without_pulse(watched, series))
    }

    /// Sets apart what may be ruled out, and adds the questions that tell.
    pub fn sort(&self, watched: &[Watched], groups: Vec<Group>, now: Minute) -> Sorted {
        let mut regions: BTreeMap<Region, (usize, Minute)> = BTreeMap::new();
        for (watched, series) in groups.iter().filter_map(|group| group.row(watched)) {
            if let Some(region) = self.region(watched, series) {
                let (rows, from) = regions.entry(region).or_insert((0, series.through));
                *rows += 1;
                *from = series.through.min(*from);
            }
        }
        regions.retain(|_, (rows, _)| *rows >= LEAST_ROWS);
        let waits = |group: &Group| {
            let Some((watched, series)) = group.row(watched) else {
                return false;
            };
            let told = region_of(watched, series).is_some_and(|r| regions.contains_key(&r))
                || is_without_pulse(watched, series);
            group.span.bin == 1 && group.span.to >= now && told && self.rule_out(watched, series)
        };
        let (waiting, mut first): (Vec<_>, Vec<_>) = groups.into_iter().partition(waits);
        first.extend(regions.into_iter().map(|(region, (_, from))| Group {
            of: Of::Region(region),
            stats: vec![Stat::Sum],
            span: Span {
                from,
                to: now,
                bin: 1,
            },
        }));
        Sorted { first, waiting }
    }

    /// Learns from the first answers.
    pub fn learn(&mut self, look: &Look) {
        let open =
            |(region, (_, busy)): (&Region, &(Minute, Vec<Minute>))| (*region, !busy.is_empty());
        self.open.extend(look.regions.iter().map(open));
    }
}

/// How many minutes more have to pass until the minutes of a row are settled to be zero; none if it has to be asked.
pub fn ruled_out_after(look: &Look, watched: &[Watched], group: &Group) -> Option<i64> {
    let Of::Row { subject, .. } = group.of else {
        return None;
    };
    let (watched, series) = group.row(watched)?;
    let pulse_is_known = look
        .pulses
        .get(&subject)
        .is_some_and(|from| *from <= series.through);
    if pulse_is_known && is_without_pulse(watched, series) {
        return Some(0);
    }
    let (from, busy) = look.regions.get(&region_of(watched, series)?)?;
    let nothing = busy.iter().all(|minute| *minute < series.through);
    (*from <= series.through && nothing).then_some(REGION_LAG_MINUTES)
}

fn region_of(watched: &Watched, series: &Series) -> Option<Region> {
    let metric = series.metric;
    metric
        .gated
        .then_some((watched.subject.shape.namespace, metric.cloudwatch))
}

fn is_without_pulse(watched: &Watched, series: &Series) -> bool {
    series.metric.within.is_some() && watched.has_no_pulse(series)
}
