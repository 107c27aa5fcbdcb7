//! What `tests/parts/preflight` says on machines that cannot do what is asked.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

/// Runs it where some commands answer as they would elsewhere; what it says, and whether it lets
/// the work begin.
fn preflight(tier: &str, commands: &[(&str, &str)]) -> (String, bool) {
    let elsewhere = tempfile::tempdir().unwrap();
    for (name, answer) in commands {
        let path = elsewhere.path().join(name);
        let script = format!("#!/bin/sh\ncat <<'EOF'\n{answer}\nEOF\n");
        std::fs::write(&path, script).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let path = std::env::var("PATH").unwrap();
    let output = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/parts/preflight"))
        .arg(tier)
        .env("PATH", format!("{}:{path}", elsewhere.path().display()))
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    (said, output.status.success())
}

#[test]
fn what_is_in_the_way_is_told_with_a_remedy_before_anything_is_built() {
    let full = "Filesystem 1024-blocks Used Available Capacity Mounted\n/dev/full 9 8 1 99% /";
    for (tier, command, answer, problem, remedy) in [
        (
            "test-unit",
            "uname",
            "riscv64",
            "architecture riscv64 is not supported",
            "x86_64",
        ),
        ("demo", "uname", "Darwin", "this is Darwin", "Linux machine"),
        (
            "check",
            "df",
            full,
            "0 GB are free on /dev/full",
            "CARGO_TARGET_DIR",
        ),
        ("test-exporter", "df", full, "nightjar", "XDG_CACHE_HOME"),
        ("test-operator", "go", "go1.20.3", "go1.20.3", "Go 1.26"),
    ] {
        let (said, passes) = preflight(tier, &[(command, answer)]);
        assert!(!passes, "{tier} passes although {command} says: {answer}");
        for words in [problem, remedy] {
            assert!(said.contains(words), "{words} is not in: {said}");
        }
    }
}

#[test]
fn a_tier_that_does_not_exist_is_refused_with_those_that_do() {
    let help = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/parts/preflight"))
        .args(["test-unit", "test-untit"])
        .output()
        .unwrap();
    assert_eq!(help.status.code(), Some(2));
    let said = String::from_utf8(help.stdout).unwrap();
    assert!(said.contains("test-unit, test-exporter"), "{said}");
}
