//! Account files that cannot be played are refused with line and reason.

use nightjar_tests::simulator::account::{AccountError, AccountFile};
use nightjar_tests::simulator::model::World;

fn refusal(text: &str) -> (u64, String) {
    let result =
        AccountFile::parse("file.yaml", text).and_then(|file| World::compile("file.yaml", &file));
    match result.unwrap_err() {
        AccountError::Invalid {
            origin,
            line,
            reason,
        } => {
            assert_eq!(origin, "file.yaml");
            (line, reason)
        }
        AccountError::Read { .. } => panic!("nothing was read from a file"),
    }
}

/// A file whose region begins at line 5.
fn in_region(text: &str) -> String {
    let indented: Vec<String> = text.lines().map(|l| format!("        {l}")).collect();
    format!(
        "accounts:\n  - id: '111122223333'\n    regions:\n      eu-west-1:\n{}\n",
        indented.join("\n")
    )
}

#[test]
fn a_mistake_is_named_with_its_line_and_a_way_out() {
    let cases = [
        ("functions:\n  - name: f\n    colour: red", 7, "colour"),
        ("functions:\n  - name: f\n    timeout: soon", 7, "write 90s"),
        (
            "functions:\n  - {name: f}\n  - {name: f}",
            7,
            "described twice",
        ),
        (
            "functions:\n  - name: f\n    calls:\n      - function: g",
            8,
            "there is no function \"g\"",
        ),
        (
            "functions:\n  - name: f\n    errors: 1.5",
            6,
            "between 0 and 1",
        ),
        (
            "functions:\n  - name: f\n    calls: [{times: 2}]",
            6,
            "exactly one of",
        ),
        (
            "tables: [{name: t}]\nfunctions:\n  - name: f\n    calls: [{table: t, operation: Select}]",
            8,
            "not a table operation",
        ),
        (
            "functions: [{name: f}]\nincidents:\n  - {what: errors, on: [g], share: 1, every: 1h, lasts: 1m}",
            7,
            "is called \"g\"",
        ),
        (
            "functions: [{name: f}]\nincidents:\n  - {what: errors, on: [f], share: 1}",
            7,
            "either `start`",
        ),
        (
            "functions: [{name: f}]\nincidents:\n  - {what: fire, on: [f], every: 1h, lasts: 1m}",
            7,
            "fire",
        ),
        (
            "queues: [{name: q, consumers: [{function: f}]}]",
            5,
            "there is no function \"f\"",
        ),
        ("schedules: [{name: s, every: 90s}]", 5, "whole minutes"),
        (
            "functions:\n  - name: f\n    traffic: {steady: {per_hour: 2}}",
            7,
            "per_hour",
        ),
        (
            "functions:\n  - name: f\n    duration: {p50_ms: 9, p90_ms: 3}",
            6,
            "p50 <= p90",
        ),
    ];
    for (text, line, reason) in cases {
        let refused = refusal(&in_region(text));
        assert!(refused.1.contains(reason), "{text}\ngave {refused:?}");
        assert_eq!(refused.0, line, "{text}\ngave {refused:?}");
    }
    assert!(
        refusal("accounts: [{id: '12'}]")
            .1
            .contains("twelve digits")
    );
    assert!(refusal("accounts: []").1.contains("at least one"));
}

#[test]
fn calls_in_a_circle_are_refused() {
    let refused = refusal(&in_region(
        "functions:\n  - {name: ping, calls: [{function: pong}]}\n  - {name: pong, calls: [{function: ping}]}",
    ));
    assert!(
        refused.1.contains("circle") && refused.1.contains("ping") && refused.1.contains("pong")
    );
}

#[test]
fn every_account_file_that_is_shipped_can_be_played() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/accounts");
    let mut played = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let file = AccountFile::load(&path).unwrap();
        World::compile(&path.display().to_string(), &file).unwrap();
        played += 1;
    }
    assert!(played >= 2);
}
