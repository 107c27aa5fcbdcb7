//! What is in the image: read from the archive that the cluster has loaded.

use std::process::Command;

use serde_json::Value;

use crate::environment;

/// Runs tar and answers what it writes.
fn tar(arguments: &[&str]) -> Vec<u8> {
    let output = Command::new("tar").args(arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    output.stdout
}

fn member(archive: &str, name: &str) -> Vec<u8> {
    tar(&["-xOf", archive, name])
}

/// Whether an ELF file asks for a dynamic loader: a program header of type `PT_INTERP`.
fn wants_a_loader(elf: &[u8]) -> bool {
    assert!(elf.starts_with(b"\x7fELF\x02\x01"), "not a 64-bit program");
    let number = |at: usize, length: usize| {
        (0..length).fold(0, |n, i| n | usize::from(elf[at + i]) << (8 * i))
    };
    let (first, size, count) = (number(0x20, 8), number(0x36, 2), number(0x38, 2));
    assert!(count > 0, "no program headers");
    (0..count).any(|header| number(first + header * size, 4) == 3)
}

#[test]
fn the_image_holds_a_static_binary_and_certificates_and_runs_as_nobody() {
    let archive = environment("IMAGE");
    let manifest: Value = serde_json::from_slice(&member(&archive, "manifest.json")).unwrap();
    let config = manifest[0]["Config"].as_str().unwrap();
    let config: Value = serde_json::from_slice(&member(&archive, config)).unwrap();
    // By number, so that a kubelet can tell that it is not root.
    assert_eq!(config["config"]["User"], "65532:65532");
    assert_eq!(config["config"]["Entrypoint"][0], "/bin/nightjar");
    let environment = config["config"]["Env"].to_string();
    assert!(environment.contains("MALLOC_ARENA_MAX=1"), "{environment}");

    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().to_str().unwrap();
    for layer in manifest[0]["Layers"].as_array().unwrap() {
        let path = dir.path().join("layer.tar");
        std::fs::write(&path, member(&archive, layer.as_str().unwrap())).unwrap();
        tar(&["-xf", path.to_str().unwrap(), "-C", root]);
        std::fs::remove_file(path).unwrap();
    }
    let found = Command::new("find")
        .args([root, "-not", "-type", "d", "-printf", "%P\n"])
        .output()
        .unwrap();
    let found = String::from_utf8(found.stdout).unwrap();
    let mut files: Vec<_> = found.lines().collect();
    files.sort_unstable();
    // So there is no shell, nor anything else that could be run.
    assert_eq!(files, ["bin/nightjar", "etc/ssl/certs/ca-certificates.crt"]);
    let binary = std::fs::read(dir.path().join("bin/nightjar")).unwrap();
    assert!(!wants_a_loader(&binary), "the binary is not static");
    let bundle = std::fs::read_to_string(dir.path().join(files[1])).unwrap();
    let certificates = bundle.matches("-----BEGIN CERTIFICATE-----").count();
    assert!(certificates > 50, "only {certificates} authorities");
}
