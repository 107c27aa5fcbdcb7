//! What `tests/parts/preflight` says on machines that cannot do what is asked.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::Command;

const PREFLIGHT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/parts/preflight");

fn allow(path: &Path) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// A folder of commands that answer as they would elsewhere, and end with an exit code.
fn elsewhere(commands: &[(&str, &str, i32)]) -> tempfile::TempDir {
    let elsewhere = tempfile::tempdir().unwrap();
    for (name, answer, code) in commands {
        let path = elsewhere.path().join(name);
        let script = format!("#!/bin/sh\ncat <<'EOF'\n{answer}\nEOF\nexit {code}\n");
        std::fs::write(&path, script).unwrap();
        allow(&path);
    }
    elsewhere
}

/// What it says, and whether it lets the work begin.
fn judged(command: &mut Command) -> (String, bool) {
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    (said, output.status.success())
}

/// Runs it where some commands answer as they would elsewhere.
fn preflight(mut command: Command, commands: &[(&str, &str, i32)]) -> (String, bool) {
    let elsewhere = elsewhere(commands);
    let path = std::env::var("PATH").unwrap();
    judged(command.env("PATH", format!("{}:{path}", elsewhere.path().display())))
}

fn of(tier: &str) -> Command {
    let mut command = Command::new(PREFLIGHT);
    command.arg(tier);
    command
}

fn are_we_root() -> bool {
    std::fs::metadata("/proc/self").unwrap().uid() == 0
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
        let (said, passes) = preflight(of(tier), &[(command, answer, 0)]);
        assert!(!passes, "{tier} passes although {command} says: {answer}");
        for words in [problem, remedy] {
            assert!(said.contains(words), "{words} is not in: {said}");
        }
    }
}

#[test]
fn where_a_cluster_cannot_run_root_is_told_why() {
    for (command, answer, code, problem, remedy) in [
        (
            "unshare",
            "Operation not permitted",
            1,
            "namespaces are not allowed here: Operation not permitted",
            "--privileged",
        ),
        (
            "mkdir",
            "",
            1,
            "cgroups cannot be made in",
            "--cgroupns=host",
        ),
        (
            "ip",
            "Unknown device type",
            2,
            "no veth or bridge devices",
            "modprobe veth bridge",
        ),
        (
            "ip",
            "198.18.0.0/15 dev tun0",
            0,
            "all of 198.18.0.0/16, where clusters have their networks, is in use",
            "remove the route",
        ),
        // Whatever else is counted: there is enough of it.
        (
            "awk",
            "1000",
            0,
            "1000 MB of memory are free",
            "a larger machine",
        ),
    ] {
        // Who is not root is so in a namespace of users, where nothing more is allowed.
        let mut tier = Command::new("/usr/bin/env");
        if !are_we_root() {
            tier.args(["/usr/bin/unshare", "--map-root-user"]);
        }
        tier.args([PREFLIGHT, "test-cluster"]);
        let (said, passes) = preflight(tier, &[(command, answer, code)]);
        assert!(
            !passes,
            "a cluster may start although {command} says: {answer}"
        );
        for words in [problem, remedy] {
            assert!(said.contains(words), "{words} is not in: {said}");
        }
    }
}

#[test]
fn who_is_not_root_is_told_that_a_cluster_needs_it() {
    // A copy that others than root may read, too.
    let copy = tempfile::tempdir().unwrap();
    let parts = copy.path().join("tests/parts");
    std::fs::create_dir_all(&parts).unwrap();
    let copied = parts.join("preflight");
    std::fs::copy(PREFLIGHT, &copied).unwrap();
    for path in copied.ancestors().take(4) {
        allow(path);
    }
    for tier in ["demo", "test-cluster"] {
        let mut command = Command::new("/usr/bin/env");
        if are_we_root() {
            command.args(["setpriv", "--reuid=65534", "--clear-groups"]);
        }
        let (said, passes) = judged(command.arg(&copied).arg(tier));
        assert!(!passes, "{tier} passes: {said}");
        assert!(
            said.contains("not root: a cluster needs") && said.contains("sudo"),
            "{said}"
        );
    }
}

#[test]
fn a_bare_machine_that_is_not_debian_is_told_what_to_install() {
    let bare = tempfile::tempdir().unwrap();
    let path = std::env::var("PATH").unwrap();
    for name in ["bash", "dirname", "uname", "df", "awk"] {
        let found = path.split(':').map(|folder| Path::new(folder).join(name));
        let found = found.into_iter().find(|file| file.exists()).unwrap();
        std::os::unix::fs::symlink(found, bare.path().join(name)).unwrap();
    }
    let (said, passes) = judged(
        Command::new("/usr/bin/env")
            .args(["bash", PREFLIGHT, "test-operator"])
            .env("PATH", bare.path())
            .env("CARGO_HOME", bare.path()),
    );
    assert!(!passes, "{said}");
    for words in [
        "cargo, Rust's build tool, is not in PATH",
        "rustup",
        "etcd is missing",
        "etcd-server",
    ] {
        assert!(said.contains(words), "{words} is not in: {said}");
    }
}

#[test]
fn a_tier_that_does_not_exist_is_refused_with_those_that_do() {
    let help = Command::new(PREFLIGHT)
        .args(["test-unit", "test-untit"])
        .output()
        .unwrap();
    assert_eq!(help.status.code(), Some(2));
    let said = String::from_utf8(help.stdout).unwrap();
    assert!(said.contains("test-unit, test-exporter"), "{said}");
}
