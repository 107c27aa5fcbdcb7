//! Prints the chart's README: its template with a table of all values, made from `values.yaml`.
//!
//! The comment above a value is its documentation. A value without one, or one that the schema
//! does not know, is an error: what people may set is what they can read about.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use clap::Parser;
use serde_json::Value;

/// Prints the README of a Helm chart.
#[derive(Debug, Parser)]
struct Args {
    /// The chart's folder, with values.yaml, values.schema.json and README.template.md.
    chart: PathBuf,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(readme) => {
            print!("{readme}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> anyhow::Result<String> {
    let read = |name: &str| {
        let path = args.chart.join(name);
        std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    };
    readme(
        &read("README.template.md")?,
        &read("values.yaml")?,
        &read("values.schema.json")?,
    )
}

fn readme(template: &str, values: &str, schema: &str) -> anyhow::Result<String> {
    const MARK: &str = "<!-- values -->";
    let schema: Value = serde_json::from_str(schema).context("values.schema.json is not JSON")?;
    let entries = entries(values)?;
    agree(&entries, &schema)?;
    ensure!(
        template.contains(MARK),
        "README.template.md has no line {MARK}"
    );
    let readme = template.replace(MARK, table(&entries).trim_end());
    Ok(format!(
        "<!-- Made by `make generate` from values.yaml and README.template.md. -->\n\n{readme}"
    ))
}

/// A value, or a group of them.
#[derive(Debug, PartialEq)]
struct Entry {
    /// Dotted.
    path: Vec<String>,
    comment: String,
    /// None for a group.
    default: Option<Value>,
}

/// All values in the order of the file. A map whose keys have no comments is one value.
fn entries(text: &str) -> anyhow::Result<Vec<Entry>> {
    let values: Value = serde_saphyr::from_str(text).context("values.yaml is not YAML")?;
    let mut found: Vec<Entry> = Vec::new();
    let mut above: Vec<(usize, String)> = Vec::new();
    let mut comment: Vec<&str> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let trimmed = line.trim_start();
        let indent = line.len() - trimmed.len();
        if let Some(words) = trimmed.strip_prefix('#') {
            comment.push(words.trim());
            continue;
        }
        let Some((key, _)) = trimmed
            .split_once(':')
            .filter(|_| !trimmed.starts_with('-'))
        else {
            // A comment that an empty line follows is about the file.
            comment.clear();
            continue;
        };
        above.retain(|(level, _)| *level < indent);
        above.push((indent, key.to_owned()));
        let path: Vec<String> = above.iter().map(|(_, key)| key.clone()).collect();
        let at = format!("values.yaml, line {}: {}", number + 1, path.join("."));
        let value = path
            .iter()
            .try_fold(&values, |value, key| value.get(key))
            .with_context(|| {
                format!("{at} is not where its indentation says: indent by two spaces")
            })?;
        if comment.is_empty() {
            // Part of the value above, if that is not a group of documented ones already.
            let parent = found.last().filter(|last| path.starts_with(&last.path));
            ensure!(
                parent.is_some_and(|parent| parent.path.len() < path.len()),
                "{at} has no comment above it"
            );
            continue;
        }
        if let Some(parent) = found.last_mut()
            && path.starts_with(&parent.path)
        {
            parent.default = None;
        }
        found.push(Entry {
            path,
            comment: std::mem::take(&mut comment).join(" "),
            default: Some(value.clone()),
        });
    }
    ensure!(!found.is_empty(), "values.yaml has no value");
    Ok(found)
}

/// Each value is in the schema, each of the schema's in the file, and each object is closed.
fn agree(entries: &[Entry], schema: &Value) -> anyhow::Result<()> {
    let resolve = |node: &Value| -> Value {
        let name = node["$ref"]
            .as_str()
            .and_then(|name| name.strip_prefix("#/definitions/"));
        name.map_or_else(|| node.clone(), |name| schema["definitions"][name].clone())
    };
    let properties = |node: &Value| node["properties"].as_object().cloned().unwrap_or_default();
    for entry in entries {
        let path = entry.path.join(".");
        let mut node = schema.clone();
        for key in &entry.path {
            node = match properties(&node).get(key) {
                Some(below) => resolve(below),
                None => bail!("{path} is in values.yaml and not in values.schema.json"),
            };
        }
        if entry.default.is_some() {
            continue;
        }
        ensure!(
            node["additionalProperties"] == Value::Bool(false),
            "{path} takes any key: close it with additionalProperties: false"
        );
        for key in properties(&node).keys() {
            ensure!(
                entries
                    .iter()
                    .any(|other| other.path.len() == entry.path.len() + 1
                        && other.path.starts_with(&entry.path)
                        && other.path.last() == Some(key)),
                "{path}.{key} is in values.schema.json and not in values.yaml"
            );
        }
    }
    ensure!(
        schema["additionalProperties"] == Value::Bool(false),
        "the schema takes any key"
    );
    // Helm's own: a chart that holds this one shares its values there.
    for key in properties(schema).keys().filter(|key| *key != "global") {
        ensure!(
            entries.iter().any(|entry| entry.path == [key.clone()]),
            "{key} is in values.schema.json and not in values.yaml"
        );
    }
    Ok(())
}

fn table(entries: &[Entry]) -> String {
    let mut table = "| value | default | meaning |\n|---|---|---|\n".to_owned();
    for entry in entries {
        let default = match &entry.default {
            None => String::new(),
            Some(value) => format!("`{}`", value.to_string().replace('|', "\\|")),
        };
        let comment = entry.comment.replace('|', "\\|");
        let path = entry.path.join(".");
        // Writing into a String cannot fail.
        let _ = writeln!(table, "| `{path}` | {default} | {comment} |");
    }
    table
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test ends there")]
mod tests {
    use super::*;

    const SCHEMA: &str = r#"{"additionalProperties": false, "properties": {
        "a": {"type": "string"},
        "b": {"additionalProperties": false, "properties": {"c": {"type": "object"}, "d": {"type": "integer"}}}}}"#;
    const VALUES: &str = "# The file.\n\n# First,\n# in two lines.\na: x\n# A group.\nb:\n  # A map.\n  c:\n    deep: [1]\n  # A | number.\n  d: 1\n";

    #[test]
    fn each_value_has_a_row_with_its_default_and_its_comment() {
        let readme = readme("before\n<!-- values -->\nafter\n", VALUES, SCHEMA).unwrap();
        let rows: Vec<_> = readme
            .lines()
            .filter(|line| line.starts_with("| `"))
            .collect();
        assert_eq!(
            rows,
            [
                "| `a` | `\"x\"` | First, in two lines. |",
                "| `b` |  | A group. |",
                "| `b.c` | `{\"deep\":[1]}` | A map. |",
                "| `b.d` | `1` | A \\| number. |",
            ]
        );
    }

    #[test]
    fn what_is_not_documented_or_not_in_both_files_is_refused_by_its_name() {
        for (values, schema, named) in [
            (
                VALUES.replace("  # A | number.\n", ""),
                SCHEMA.to_owned(),
                "b.d has no comment",
            ),
            (
                VALUES.replace("# First,\n# in two lines.\n", ""),
                SCHEMA.to_owned(),
                "a has no comment",
            ),
            (
                format!("{VALUES}# More.\ne: 1\n"),
                SCHEMA.to_owned(),
                "e is in values.yaml and not",
            ),
            (
                VALUES.replace("  # A map.\n  c:\n    deep: [1]\n", ""),
                SCHEMA.to_owned(),
                "b.c is in values.schema.json",
            ),
            (
                VALUES.to_owned(),
                SCHEMA.replace(r#""b": {"additionalProperties": false, "#, r#""b": {"#),
                "b takes any key",
            ),
        ] {
            let refusal = readme("<!-- values -->", &values, &schema)
                .unwrap_err()
                .to_string();
            assert!(
                refusal.contains(named),
                "{refusal:?} does not say {named:?}"
            );
        }
    }
}
