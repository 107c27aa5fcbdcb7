//! `CloudWatch` statistics of weighted values.
//!
//! Values are whole numbers of `1 / scale` of the published unit, sums are exact. A percentile is
//! the smallest value that the given share of the samples does not exceed; absolute bounds exclude
//! the lower and include the upper end, as `CloudWatch`'s do.

use super::traffic::Points;

/// A statistic that a query can ask for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Stat {
    /// Number of samples.
    SampleCount,
    /// Their sum.
    Sum,
    /// Their mean.
    Average,
    /// The smallest.
    Minimum,
    /// The largest.
    Maximum,
    /// A percentile, 0 to 1.
    Percentile(f64),
    /// A statistic of the values between two bounds.
    Trimmed(Trim, Bound, Bound),
}

/// Statistics that take bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trim {
    /// Mean of the values between the bounds.
    Mean,
    /// How many they are.
    Count,
    /// Their sum.
    Sum,
    /// Mean with what lies outside moved to the bounds.
    Winsorized,
    /// Percentage of all values that lies between.
    Rank,
}

/// A bound of a trimmed statistic.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bound {
    /// Not bounded.
    Open,
    /// A share of the samples, 0 to 1.
    Share(f64),
    /// A value in the published unit.
    Value(f64),
}

impl Stat {
    /// Reads a statistic as `CloudWatch` spells it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "SampleCount" => return Some(Self::SampleCount),
            "Sum" => return Some(Self::Sum),
            "Average" => return Some(Self::Average),
            "Minimum" => return Some(Self::Minimum),
            "Maximum" => return Some(Self::Maximum),
            "IQM" => {
                return Some(Self::Trimmed(
                    Trim::Mean,
                    Bound::Share(0.25),
                    Bound::Share(0.75),
                ));
            }
            _ => {}
        }
        let kinds = [
            ("tm", Trim::Mean),
            ("tc", Trim::Count),
            ("ts", Trim::Sum),
            ("wm", Trim::Winsorized),
        ];
        if let Some(number) = text.strip_prefix('p') {
            return percent(number).map(Self::Percentile);
        }
        for (prefix, trim) in kinds {
            if let Some(number) = text.strip_prefix(prefix) {
                return percent(number)
                    .map(|upper| Self::Trimmed(trim, Bound::Open, Bound::Share(upper)));
            }
        }
        let (name, bounds) = text.strip_suffix(')')?.split_once('(')?;
        let (lower, upper) = bounds.split_once(':')?;
        let (lower, upper) = (bound(lower)?, bound(upper)?);
        match (lower, upper) {
            (Bound::Open, Bound::Open)
            | (Bound::Share(_), Bound::Value(_))
            | (Bound::Value(_), Bound::Share(_)) => {
                return None;
            }
            (Bound::Share(a), Bound::Share(b)) | (Bound::Value(a), Bound::Value(b)) if a >= b => {
                return None;
            }
            _ => {}
        }
        let shares = matches!(lower, Bound::Share(_)) || matches!(upper, Bound::Share(_));
        let trim = match name {
            "TM" => Trim::Mean,
            "TC" => Trim::Count,
            "TS" => Trim::Sum,
            "WM" => Trim::Winsorized,
            "PR" if !shares => Trim::Rank,
            _ => return None,
        };
        Some(Self::Trimmed(trim, lower, upper))
    }

    /// Whether the statistic needs the values themselves.
    #[must_use]
    pub fn needs_values(self) -> bool {
        matches!(self, Self::Percentile(_) | Self::Trimmed(..))
    }
}

fn percent(text: &str) -> Option<f64> {
    let digits =
        |part: &str, most: usize| part.len() <= most && part.bytes().all(|b| b.is_ascii_digit());
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if whole.is_empty() || fraction.is_empty() || !digits(whole, 3) || !digits(fraction, 10) {
        return None;
    }
    let number: f64 = text.parse().ok()?;
    (number <= 100.0).then_some(number / 100.0)
}

fn bound(text: &str) -> Option<Bound> {
    let text = text.trim();
    if text.is_empty() {
        return Some(Bound::Open);
    }
    if let Some(number) = text.strip_suffix('%') {
        return percent(number).map(Bound::Share);
    }
    let number: f64 = text.parse().ok()?;
    number.is_finite().then_some(Bound::Value(number))
}

/// Collects the values of a period.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    scale: i64,
    count: u64,
    sum: i128,
    min: i64,
    max: i64,
    values: Option<Points>,
}

impl Summary {
    /// An empty summary of values in units of `1 / scale`; `keep` keeps the values for percentiles.
    #[must_use]
    pub fn new(scale: i64, keep: bool) -> Self {
        Self {
            scale,
            count: 0,
            sum: 0,
            min: i64::MAX,
            max: i64::MIN,
            values: keep.then(Points::new),
        }
    }

    /// Adds a minute.
    pub fn add(&mut self, points: &Points) {
        for &(value, weight) in points {
            if weight == 0 {
                continue;
            }
            self.count += weight;
            self.sum += i128::from(value) * i128::from(weight);
            self.min = self.min.min(value);
            self.max = self.max.max(value);
        }
        if let Some(values) = &mut self.values {
            values.extend(points.iter().filter(|p| p.1 > 0));
        }
    }

    /// Adds another summary of the same series.
    pub fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.sum += other.sum;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        if let Some(values) = &mut self.values {
            values.extend(other.values());
        }
    }

    /// Puts the values in order; before statistics that need them.
    pub fn seal(&mut self) {
        if let Some(values) = &mut self.values {
            values.sort_unstable();
        }
    }

    /// Number of samples; a period without any has no datapoint.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The exact sum, in units of `1 / scale`.
    #[must_use]
    pub fn exact_sum(&self) -> i128 {
        self.sum
    }

    /// A statistic, in the published unit.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "published numbers are doubles")]
    pub fn stat(&self, stat: Stat) -> f64 {
        let scale = self.scale as f64;
        match stat {
            Stat::SampleCount => self.count as f64,
            Stat::Sum => self.sum as f64 / scale,
            Stat::Average => self.sum as f64 / scale / self.count as f64,
            Stat::Minimum => self.min as f64 / scale,
            Stat::Maximum => self.max as f64 / scale,
            Stat::Percentile(share) => self.percentile(share) as f64 / scale,
            Stat::Trimmed(trim, lower, upper) => self.trimmed(trim, lower, upper),
        }
    }

    fn values(&self) -> &[(i64, u64)] {
        self.values.as_deref().unwrap_or_default()
    }

    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
    fn percentile(&self, share: f64) -> i64 {
        let wanted = share * self.count as f64;
        let mut seen = 0;
        for &(value, weight) in self.values() {
            seen += weight;
            // A share such as 0.99 is not exact in binary: a hair below a whole count is that count.
            if seen as f64 >= wanted - 1e-9 {
                return value;
            }
        }
        self.max
    }

    #[expect(clippy::cast_precision_loss, reason = "published numbers are doubles")]
    fn trimmed(&self, trim: Trim, lower: Bound, upper: Bound) -> f64 {
        let (scale, total) = (self.scale as f64, self.count as f64);
        let from = if let Bound::Share(share) = lower {
            share * total
        } else {
            0.0
        };
        let to = if let Bound::Share(share) = upper {
            share * total
        } else {
            total
        };
        let above = if let Bound::Value(value) = lower {
            value
        } else {
            f64::NEG_INFINITY
        };
        let at_most = if let Bound::Value(value) = upper {
            value
        } else {
            f64::INFINITY
        };
        let (mut count, mut sum, mut seen) = (0.0, 0.0, 0.0);
        let (mut lowest, mut highest) = (f64::INFINITY, f64::NEG_INFINITY);
        for &(value, weight) in self.values() {
            let value = value as f64 / scale;
            let weight = weight as f64;
            let inside = if value > above && value <= at_most {
                ((seen + weight).min(to) - seen.max(from)).max(0.0)
            } else {
                0.0
            };
            seen += weight;
            if inside > 0.0 {
                count += inside;
                sum += inside * value;
                lowest = lowest.min(value);
                highest = highest.max(value);
            }
        }
        match trim {
            Trim::Count => count,
            Trim::Sum => sum,
            Trim::Rank => 100.0 * count / total,
            Trim::Mean => {
                if count > 0.0 {
                    sum / count
                } else {
                    0.0
                }
            }
            Trim::Winsorized => {
                if count == 0.0 {
                    return 0.0;
                }
                self.values()
                    .iter()
                    .map(|&(value, weight)| {
                        (value as f64 / scale).clamp(lowest, highest) * weight as f64
                    })
                    .sum::<f64>()
                    / total
            }
        }
    }
}
