//! Moments and lengths of time, as people write them in an account file.

use std::fmt;

use serde::{Deserialize, Deserializer};

/// A length of time, written `90s`, `3m`, `1h`, `2d` or `1m30s`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// Its length.
    pub ms: i64,
}

impl Span {
    /// A span of whole seconds.
    pub const fn seconds(seconds: i64) -> Self {
        Self { ms: seconds * 1000 }
    }

    fn parse(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("\"{text}\" is not a length of time: write 90s, 3m, 1h, 2d or 1m30s");
        let mut total = 0i64;
        let mut rest = text;
        if rest.is_empty() {
            return Err(wrong());
        }
        while !rest.is_empty() {
            let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let number: i64 = rest[..digits].parse().map_err(|_| wrong())?;
            rest = &rest[digits..];
            let letters = rest.len()
                - rest
                    .trim_start_matches(|c: char| c.is_ascii_lowercase())
                    .len();
            let unit = match &rest[..letters] {
                "ms" => 1,
                "s" => 1000,
                "m" => 60_000,
                "h" => 3_600_000,
                "d" => 86_400_000,
                _ => return Err(wrong()),
            };
            total = number
                .checked_mul(unit)
                .and_then(|v| total.checked_add(v))
                .ok_or_else(wrong)?;
            rest = &rest[letters..];
        }
        Ok(Self { ms: total })
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(d)?).map_err(serde::de::Error::custom)
    }
}

/// A length of time that may be negative: `-30s`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SignedSpan {
    /// Its length.
    pub ms: i64,
}

impl<'de> Deserialize<'de> for SignedSpan {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        let (sign, rest) = text
            .strip_prefix('-')
            .map_or((1, text.as_str()), |rest| (-1, rest));
        let span = Span::parse(rest).map_err(serde::de::Error::custom)?;
        Ok(Self { ms: sign * span.ms })
    }
}

/// A moment, written as RFC 3339.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant {
    /// Milliseconds since 1970.
    pub ms: i64,
}

impl Instant {
    /// Reads RFC 3339.
    pub fn parse(text: &str) -> Result<Self, String> {
        text.parse::<jiff::Timestamp>()
            .map(|t| Self {
                ms: t.as_millisecond(),
            })
            .map_err(|_| format!("\"{text}\" is not a moment: write it like 2026-11-23T09:00:00Z"))
    }
}

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.ms) {
            Ok(t) => t.fmt(f),
            Err(_) => write!(f, "{} ms", self.ms),
        }
    }
}

impl<'de> Deserialize<'de> for Instant {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(d)?).map_err(serde::de::Error::custom)
    }
}
