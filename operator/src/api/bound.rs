//! The bounds of a histogram's buckets.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The upper bound of a bucket, in millionths of a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Bound(u32);

impl Bound {
    /// No function and no request takes longer.
    pub const GREATEST: Self = Self(900_000_000);

    /// Reads seconds, for example `0.25` or `30`: more than 0 and 900 at most.
    pub fn parse(text: &str) -> Option<Self> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |part: &str, most: usize| {
            (1..=most).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit())
        };
        if !digits(whole, 3) || !digits(fraction, 6) {
            return None;
        }
        let (whole, fraction): (u32, u32) =
            (whole.parse().ok()?, format!("{fraction:0<6}").parse().ok()?);
        let micros = whole * 1_000_000 + fraction;
        (1..=Self::GREATEST.0)
            .contains(&micros)
            .then_some(Self(micros))
    }

    /// In millionths of a second.
    pub const fn micros(self) -> u32 {
        self.0
    }
}

/// Seconds, as `le` is written: both text formats want the shortest number that has a decimal point.
impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fraction = format!("{:06}", self.0 % 1_000_000);
        let fraction = fraction.trim_end_matches('0');
        let fraction = if fraction.is_empty() { "0" } else { fraction };
        write!(f, "{}.{fraction}", self.0 / 1_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_decimal_seconds_up_to_the_longest_run_of_a_function() {
        let bounds = ["0.0005", "0.025", "1", "2.50", "900"].map(|b| Bound::parse(b).unwrap());
        assert_eq!(
            bounds.map(|bound| bound.to_string()),
            ["0.0005", "0.025", "1.0", "2.5", "900.0"]
        );
        let wrong = [
            "0",
            "0.0",
            "901",
            "900.000001",
            "-1",
            "1e3",
            "",
            ".5",
            "5.",
            "1.0000001",
        ];
        assert!(wrong.iter().all(|text| Bound::parse(text).is_none()));
    }
}
