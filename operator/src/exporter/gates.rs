//! Which questions need not be put, because another series has the answer.
//!
//! Nearly all rows of errors and throttles are zero nearly always. CloudWatch has the same metrics of a whole region
//! in one series: where that has nothing since the first unsettled minute of a row, the row has nothing either. In the
//! same way a function that was not invoked ran for no time: the rows [`within`](crate::services::table::Metric::within) a
//! subject's pulse have nothing where the pulse has nothing.
//!
//! What another series rules out is as exact as what was asked, for these reasons:
//!
//! - The other series is read in the same poll, before, and from the row's first unsettled minute on. If it could not
//!   be read, or begins later, the row is asked. It is read by the minute, and of a time of which CloudWatch has minutes:
//!   a row that lags behind is asked in any case, and does not draw the others' question into the past.
//! - A minute is taken for zero only when it is settled, and after the other series had nothing in it each time that it
//!   was read since the minute ended. A region's series may lag behind its parts, so [`REGION_LAG_MINUTES`] more pass.
//! - A row that had anything in an unsettled minute is asked, whatever the other series says.
//! - A region's series that is not there says nothing. One that is [dense](Gate::Dense) must have had datapoints while
//!   anything ran; a [sparse](Gate::Sparse) one is believed only after it has had some.
//! - The daily comparison asks AWS for every row, ruled out or not. A minute that was wrongly taken for zero is added
//!   then, and the row is not ruled out again for [`DISTRUST_MINUTES`] in this account and region.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::book::{DAY, Minute, Span};
use super::plan::{Group, Of, Region};
use super::series::{Series, Stat};
use super::watched::Watched;
use crate::services::table::{Gate, Shape};

/// So many minutes more than a row's own a region's series has to say what happened.
const REGION_LAG_MINUTES: i64 = 2;
/// The region's series costs as much as one row: it has to be of use to more.
pub const LEAST_ROWS: usize = 2;
/// So long a row that was wrongly ruled out is asked for in any case.
const DISTRUST_MINUTES: i64 = 7 * DAY;

/// What is known of the series that rule rows out.
#[derive(Clone, Debug, Default)]
pub struct Gates {
    /// Of each region's series that was read: the newest minute in which it had something; [`NOTHING`] if it had nothing.
    newest: BTreeMap<Region, Minute>,
    saved: Saved,
}

/// No minute in which anything happened.
const NOTHING: Minute = Minute(i64::MIN);

/// What has to be known after a restart too.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    /// Rows that were wrongly ruled out once, by shape and metric, and until when that counts.
    distrusted: BTreeMap<(String, String), Minute>,
    /// Regions' series that are known to be there, because they had datapoints: namespace and metric.
    proven: BTreeSet<(String, String)>,
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
    regions: BTreeMap<Region, Told>,
    /// Since when the subject's pulse is known.
    pulses: BTreeMap<usize, Minute>,
    /// Namespaces in which something had a pulse.
    alive: BTreeSet<&'static str>,
}

/// What a region's series had.
#[derive(Clone, Copy, Debug)]
struct Told {
    /// Since when it is known.
    from: Minute,
    /// The newest minute with more than zero.
    newest: Minute,
    /// Whether it had any datapoints, be they zero.
    speaks: bool,
}

impl Look {
    /// Takes over a good answer.
    pub fn take(&mut self, watched: &[Watched], group: &Group, points: &[Vec<(Minute, f64)>]) {
        let points = points.iter().flatten();
        let points = points.filter(|(minute, _)| *minute < group.span.to);
        let busy = points.clone().filter(|(_, value)| *value != 0.0);
        let newest = busy.map(|(minute, _)| *minute).max();
        match group.of {
            Of::Region(region) => {
                let told = Told {
                    from: group.span.from,
                    newest: newest.unwrap_or(NOTHING),
                    speaks: points.count() > 0,
                };
                self.regions.insert(region, told);
            }
            Of::Row { subject, row } => {
                let watched = &watched[subject];
                let shape = watched.subject.shape;
                if shape.pulse() == Some(watched.series[row].metric.cloudwatch) {
                    self.pulses.insert(subject, group.span.from);
                    if newest.is_some() {
                        self.alive.insert(shape.namespace);
                    }
                }
            }
        }
    }
}

impl Gates {
    /// With what was known before.
    pub fn restored(saved: Saved) -> Self {
        Self {
            saved,
            ..Self::default()
        }
    }

    /// What has to be known after a restart too.
    pub const fn saved(&self) -> &Saved {
        &self.saved
    }

    /// A row was wrongly ruled out. True if that is news.
    pub fn distrust(&mut self, shape: &Shape, metric: &str, now: Minute) -> bool {
        let row = (shape.name.to_owned(), metric.to_owned());
        let until = Minute(now.0 + DISTRUST_MINUTES);
        self.saved.distrusted.insert(row, until).is_none()
    }

    /// As if everything that is watched went well: no region has anything that rules rows out.
    pub fn closed(watched: &[Watched]) -> Self {
        let mut gates = Self::default();
        for watched in watched {
            for region in watched
                .series
                .iter()
                .filter_map(|series| region_of(watched, series))
            {
                gates.newest.insert(region, NOTHING);
                gates.prove(region);
            }
        }
        gates
    }

    fn prove(&mut self, (namespace, metric): Region) {
        let region = (namespace.to_owned(), metric.to_owned());
        self.saved.proven.insert(region);
    }

    fn is_proven(&self, (namespace, metric): Region) -> bool {
        let mut proven = self.saved.proven.iter();
        proven.any(|(n, m)| n == namespace && m == metric)
    }

    fn trusts(&self, watched: &Watched, series: &Series) -> bool {
        let shape = watched.subject.shape.name;
        let mut distrusted = self.saved.distrusted.keys();
        !distrusted.any(|(s, m)| s == shape && m == series.metric.cloudwatch)
    }

    /// The region whose series may rule a row out.
    pub fn region(&self, watched: &Watched, series: &Series) -> Option<Region> {
        region_of(watched, series).filter(|_| self.trusts(watched, series))
    }

    /// Whether a row need not be asked for, as long as nothing changes.
    pub fn rules_out(&self, watched: &Watched, series: &Series) -> bool {
        let closed = |region| {
            let newest = self.newest.get(&region);
            let believed = series.metric.gate == Gate::Dense || self.is_proven(region);
            believed && newest.is_some_and(|newest| *newest < series.through)
        };
        !series.is_unsettled()
            && self.trusts(watched, series)
            && (region_of(watched, series).is_some_and(closed) || is_without_pulse(watched, series))
    }

    /// Sets apart what may be ruled out, and adds the questions that tell.
    pub fn sort(&self, watched: &[Watched], groups: Vec<Group>, now: Minute) -> Sorted {
        let up_to_date = |group: &Group| group.span.bin == 1 && group.span.to >= now;
        let mut regions: BTreeMap<Region, (usize, Minute)> = BTreeMap::new();
        for (watched, series) in groups
            .iter()
            .filter(|group| up_to_date(group))
            .filter_map(|group| group.row(watched))
        {
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
            up_to_date(group) && told && self.rules_out(watched, series)
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
    pub fn learn(&mut self, look: &Look, now: Minute) {
        self.saved.distrusted.retain(|_, until| *until > now);
        for (region, told) in &look.regions {
            let before = self.newest.get(region).copied().unwrap_or(NOTHING);
            self.newest.insert(*region, told.newest.max(before));
            if told.speaks {
                self.prove(*region);
            }
        }
    }

    /// How many minutes more have to pass until the minutes of a row are settled to be zero; none if it has to be asked.
    pub fn ruled_out_after(&self, look: &Look, watched: &[Watched], group: &Group) -> Option<i64> {
        let Of::Row { subject, .. } = group.of else {
            return None;
        };
        let (watched, series) = group.row(watched)?;
        let pulse_since = look.pulses.get(&subject);
        if pulse_since.is_some_and(|from| *from <= series.through)
            && is_without_pulse(watched, series)
        {
            return Some(0);
        }
        let region = region_of(watched, series)?;
        let told = look.regions.get(&region)?;
        let believed = match series.metric.gate {
            Gate::None => false,
            Gate::Dense => told.speaks || !look.alive.contains(region.0),
            Gate::Sparse => self.is_proven(region),
        };
        let nothing = told.newest < series.through && told.from <= series.through;
        (believed && nothing).then_some(REGION_LAG_MINUTES)
    }
}

fn region_of(watched: &Watched, series: &Series) -> Option<Region> {
    let metric = series.metric;
    match metric.gate {
        Gate::None => None,
        Gate::Dense | Gate::Sparse => Some((watched.subject.shape.namespace, metric.cloudwatch)),
    }
}

fn is_without_pulse(watched: &Watched, series: &Series) -> bool {
    series.metric.within.is_some() && watched.has_no_pulse(series)
}

#[cfg(test)]
mod tests;
