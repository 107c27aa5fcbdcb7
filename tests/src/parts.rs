//! What `tests/parts/build` promises of a build that is interrupted, and of two at once.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// As much of Go as building the smallest part takes: a compiler that stays in the middle of its work until it may go on, or
/// the test is over.
const GO: &str = r#"#!/bin/sh
[ "$1" != env ] || { echo go1.26.0 && exit; }
until [ "$1" = -o ]; do shift; done
printf half >"$2"
echo "$2" >>"$PLACE/compiling"
until [ -e "$PLACE/may-go-on" ] || [ ! -d "$PLACE" ]; do sleep 0.05; done
printf whole >"$2"
"#;

/// A machine with that Go and a cache of its own.
struct Machine(tempfile::TempDir);

impl Machine {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let go = dir.path().join("go");
        std::fs::write(&go, GO).unwrap();
        std::fs::set_permissions(go, std::fs::Permissions::from_mode(0o755)).unwrap();
        Self(dir)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn build(&self, arguments: &[&str]) -> Command {
        let path = std::env::var("PATH").unwrap();
        let mut command = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/parts/build"));
        command
            .args(arguments)
            .arg("pause")
            .env("PATH", format!("{}:{path}", self.0.path().display()))
            .env("PLACE", self.0.path())
            .env("XDG_CACHE_HOME", self.0.path());
        command
    }

    /// What it prints of a part that is built.
    fn printed(&self, what: &str) -> String {
        let output = self.build(&[what]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// What is in the cache, sorted.
    fn parts(&self) -> Vec<String> {
        let folder = std::fs::read_dir(self.path("nightjar/parts")).unwrap();
        let names = folder.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }

    fn go_on(&self) {
        std::fs::write(self.path("may-go-on"), "").unwrap();
    }

    /// How often something was compiled.
    fn compiled(&self) -> usize {
        let begun = std::fs::read_to_string(self.path("compiling")).unwrap_or_default();
        begun.lines().count()
    }
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(Instant::now() < deadline, "not within 30 s: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn a_build_that_was_killed_in_the_middle_is_never_taken_for_a_finished_one() {
    let machine = Machine::new();
    let mut killed = machine.build(&[]).stderr(Stdio::null()).spawn().unwrap();
    until("the compiler works", || machine.compiled() == 1);
    killed.kill().unwrap();
    killed.wait().unwrap();
    let half = text(&machine.path("compiling"));
    assert_eq!(text(Path::new(half.trim())), "half");
    assert_eq!(
        machine.printed("--print-minutes"),
        "1",
        "all is to be built"
    );

    machine.go_on();
    let dir = PathBuf::from(machine.printed("--print-dir"));
    assert_eq!(machine.compiled(), 2);
    assert_eq!(text(&dir.join("bin/pause")), "whole");
    assert!(dir.join("images/pause.tar").exists());
    assert_eq!(machine.printed("--print-minutes"), "0");
    let name = dir.file_name().unwrap().to_str().unwrap();
    assert_eq!(machine.parts(), ["lock", name], "what was left is gone");
}

#[test]
fn of_two_builds_at_once_one_waits_and_takes_what_the_other_has_built() {
    let machine = Machine::new();
    let mut first = machine.build(&[]).stderr(Stdio::null()).spawn().unwrap();
    until("the compiler works", || machine.compiled() == 1);
    let log = std::fs::File::create(machine.path("log")).unwrap();
    let mut second = machine.build(&[]).stderr(log).spawn().unwrap();
    until("the second waits", || {
        text(&machine.path("log")).contains("waiting for another build to end")
    });
    machine.go_on();
    for build in [&mut first, &mut second] {
        assert!(build.wait().unwrap().success());
    }
    assert_eq!(machine.compiled(), 1);
}
