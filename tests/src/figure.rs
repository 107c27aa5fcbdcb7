//! What a measurement comes to, beside what was aimed for.

use serde::Serialize;

/// One measured figure, as a row of the bench table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figure {
    /// What was measured.
    pub name: String,
    /// How much.
    pub value: f64,
    /// Of what.
    pub unit: String,
    /// What was aimed for.
    pub goal: String,
    /// Whether it was reached.
    pub ok: bool,
    /// What a reader should know of it.
    pub note: String,
}

impl Figure {
    /// A figure that shall be no greater than a limit.
    pub fn at_most(
        name: &str,
        value: f64,
        unit: &str,
        limit: f64,
        note: impl Into<String>,
    ) -> Self {
        Self {
            name: name.to_owned(),
            value,
            unit: unit.to_owned(),
            goal: format!("<= {limit}"),
            ok: value <= limit,
            note: note.into(),
        }
    }
}
