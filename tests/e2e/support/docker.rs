//! The engine as a person uses it: through the `docker` program. Also makes the base image of the dynos.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

/// The image that every test app builds upon.
pub const BASE: &str = "akkerisd-e2e-base:latest";

/// Runs `docker` with these arguments; the test ends when it fails.
pub fn docker(args: &[&str]) -> String {
    docker_on(None, args)
}

/// Runs `docker` against an engine of its own, such as `unix:///…`.
pub fn docker_on(host: Option<&str>, args: &[&str]) -> String {
    let mut command = Command::new("docker");
    if let Some(host) = host {
        command.env("DOCKER_HOST", host);
    }
    let output = command.env("DOCKER_BUILDKIT", "0").args(args).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "docker {args:?}: {stderr}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Runs `docker` with these arguments where a failure does not matter, as when clearing up.
pub fn docker_quietly(args: &[&str]) {
    let ended = Command::new("docker").args(args).output();
    if let Ok(output) = ended
        && !output.status.success()
    {
        eprintln!("docker {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Makes the base image once a run: the dyno program, what it links, and busybox.
pub fn base_image() -> &'static str {
    static MADE: OnceLock<()> = OnceLock::new();
    MADE.get_or_init(|| {
        let root = tempfile::tempdir().unwrap();
        let dyno = root.path().join("dyno");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/dyno.rs");
        let compiled = Command::new("rustc")
            .args(["-O", "--edition=2024", "-o"])
            .arg(&dyno)
            .arg(&source)
            .status()
            .unwrap();
        assert!(compiled.success(), "{} does not compile", source.display());
        for library in linked(&dyno) {
            let place = root.path().join(library.trim_start_matches('/'));
            std::fs::create_dir_all(place.parent().unwrap()).unwrap();
            std::fs::copy(&library, place).unwrap();
        }
        std::fs::create_dir_all(root.path().join("bin")).unwrap();
        std::fs::copy("/bin/busybox", root.path().join("bin/sh")).unwrap();
        std::fs::write(root.path().join("Dockerfile"), "FROM scratch\nCOPY . /\nCMD [\"/dyno\"]\n").unwrap();
        docker(&["build", "-q", "-t", BASE, root.path().to_str().unwrap()]);
    });
    BASE
}

/// The files that `ldd` names.
pub fn linked(program: &Path) -> Vec<String> {
    let output = Command::new("ldd").arg(program).output().unwrap();
    String::from_utf8_lossy(&output.stdout)
        .split_whitespace()
        .filter(|word| word.starts_with('/'))
        .map(str::to_owned)
        .collect()
}
