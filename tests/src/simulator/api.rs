//! What every played operation has in common: who asks, for which region, and how it can fail.

use std::fmt::Write as _;

use serde_json::Value;

use super::model::{AccountModel, RegionModel, World};

/// An error as AWS would answer it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct ApiError {
    /// AWS's error code.
    pub code: String,
    /// The message for people.
    pub message: String,
    /// HTTP status.
    pub status: u16,
}

impl ApiError {
    /// A fault of the caller, status 400.
    pub fn caller(code: &str, message: impl Into<String>) -> Self {
        Self::with_status(400, code, message)
    }

    /// Any error.
    pub fn with_status(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self {
            code: code.to_owned(),
            message: message.into(),
            status,
        }
    }
}

/// Who asks what, at which moment of the simulated time.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// Everything.
    pub world: &'a World,
    /// The account that the credentials act in.
    pub account: &'a AccountModel,
    /// The region that the signature names.
    pub region: &'a RegionModel,
    /// Its name, which `region` lacks when the file does not mention it.
    pub region_name: &'a str,
    /// The caller's ARN.
    pub caller: &'a str,
    /// Milliseconds since 1970.
    pub now_ms: i64,
}

impl Context<'_> {
    /// An ARN in this region and account.
    pub fn arn(&self, service: &str, resource: &str) -> String {
        format!(
            "arn:aws:{service}:{}:{}:{resource}",
            self.region_name, self.account.id
        )
    }
}

/// One page of a list: the items from `start` and where the next page starts, if there is one.
pub fn page<T>(items: &[T], start: usize, size: usize) -> (&[T], Option<usize>) {
    let start = start.min(items.len());
    let end = (start + size).min(items.len());
    (&items[start..end], (end < items.len()).then_some(end))
}

/// An opaque token for the position in a list.
pub fn token(kind: &str, position: usize) -> String {
    seal(&format!("{kind}:{position}"))
}

/// Reads a token of `token`; `None` when it is not one.
pub fn read_token(kind: &str, token: &str) -> Option<usize> {
    open(token)?
        .strip_prefix(kind)?
        .strip_prefix(':')?
        .parse()
        .ok()
}

/// Makes text opaque, with a checksum: clients must not build tokens themselves.
pub fn seal(text: &str) -> String {
    let sum = super::random::text(text) & 0xffff_ffff;
    let mut out = format!("{sum:08x}");
    for byte in text.bytes() {
        let _ = write!(out, "{:02x}", byte ^ 0x5a);
    }
    out
}

/// Reads what `seal` made.
pub fn open(token: &str) -> Option<String> {
    if !token.is_ascii() || token.len() < 8 || !token.len().is_multiple_of(2) {
        return None;
    }
    let (sum, rest) = token.split_at(8);
    let bytes: Option<Vec<u8>> = (0..rest.len() / 2)
        .map(|i| {
            u8::from_str_radix(&rest[2 * i..2 * i + 2], 16)
                .ok()
                .map(|b| b ^ 0x5a)
        })
        .collect();
    let text = String::from_utf8(bytes?).ok()?;
    let expected = u64::from_str_radix(sum, 16).ok()?;
    (super::random::text(&text) & 0xffff_ffff == expected).then_some(text)
}

/// A field as text.
pub fn text<'v>(input: &'v Value, field: &str) -> Option<&'v str> {
    input.get(field)?.as_str()
}

/// A field as a whole number.
pub fn integer(input: &Value, field: &str) -> Option<i64> {
    let value = input.get(field)?;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a fraction of a second does not matter to any caller"
    )]
    value.as_i64().or_else(|| value.as_f64().map(|f| f as i64))
}

/// A field as a list.
pub fn list<'v>(input: &'v Value, field: &str) -> &'v [Value] {
    input
        .get(field)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}
