//! The operator's interface: subcommands, exit codes, and what goes to standard output.

use std::path::Path;

use akkerisd::clock::Clock;
use akkerisd::store::Store;

/// What a command answered.
#[derive(Debug)]
struct Answer {
    code: Option<i32>,
    output: String,
    errors: String,
}

#[expect(clippy::disallowed_types, reason = "the command is tested as an operator runs it")]
fn akkerisd(arguments: &[&str], variables: &[(&str, &str)]) -> Answer {
    let finished = std::process::Command::new(env!("CARGO_BIN_EXE_akkerisd"))
        .args(arguments)
        .env_clear()
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    Answer {
        code: finished.status.code(),
        output: String::from_utf8(finished.stdout).unwrap(),
        errors: String::from_utf8(finished.stderr).unwrap(),
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A data dir as the first start leaves it, with the store still open like in a running daemon.
fn data_dir_of_a_running_daemon() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("akkerisd.db"), Clock::system()).unwrap();
    (dir, store)
}

#[test]
fn help_and_version_are_answers() {
    assert_eq!(akkerisd(&["--help"], &[]).code, Some(0));
    let version = akkerisd(&["--version"], &[]);
    assert_eq!(version.output, format!("akkerisd {}\n", env!("CARGO_PKG_VERSION")));
    assert_eq!(version.code, Some(0));
}

#[test]
fn bad_usage_and_bad_configuration_exit_with_64() {
    assert_eq!(akkerisd(&[], &[]).code, Some(64));
    assert_eq!(akkerisd(&["dance"], &[]).code, Some(64));
    let wrong_flag = akkerisd(&["config", "check", "--http-addr", "here"], &[]);
    assert_eq!(wrong_flag.code, Some(64));
    assert_eq!(
        wrong_flag.errors,
        "akkerisd: the flag --http-addr is \"here\": expected an IP address and a port, like 0.0.0.0:80 or [::]:80\n"
    );
    let wrong_variable = akkerisd(&["config", "check"], &[("AKKERISD_BUILDS_TIMEOUT", "soon")]);
    assert_eq!(wrong_variable.code, Some(64));
    assert!(wrong_variable.errors.contains("AKKERISD_BUILDS_TIMEOUT is \"soon\""), "{wrong_variable:?}");
}

#[test]
fn a_file_with_an_unknown_key_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("akkerisd.toml");
    std::fs::write(&file, "[edge]\nhttp_adr = \"127.0.0.1:80\"\n").unwrap();
    let answer = akkerisd(&["config", "check", "--config", text(&file)], &[]);
    assert_eq!(answer.code, Some(64));
    assert!(answer.errors.contains("unknown key \"edge.http_adr\""), "{answer:?}");
}

#[test]
fn config_check_prints_a_file_that_means_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let variables = [("AKKERISD_APPS_DOMAIN", "apps.example.com"), ("DOCKER_HOST", "tcp://127.0.0.1:2375")];
    let first = akkerisd(&["config", "check", "--data-dir", "/srv/akkeris"], &variables);
    assert_eq!(first.code, Some(0), "{first:?}");
    assert!(first.output.contains("apps_domain = \"apps.example.com\"  # AKKERISD_APPS_DOMAIN"), "{first:?}");
    assert!(first.output.contains("host = \"tcp://127.0.0.1:2375\"  # DOCKER_HOST"), "{first:?}");
    assert!(first.output.contains("data_dir = \"/srv/akkeris\"  # --data-dir"), "{first:?}");

    let file = dir.path().join("printed.toml");
    std::fs::write(&file, &first.output).unwrap();
    let second = akkerisd(&["config", "check", "--config", text(&file)], &[]);
    let values = |output: &str| -> Vec<String> {
        output.lines().map(|line| line.split("  #").next().unwrap_or("").to_owned()).collect()
    };
    assert_eq!(values(&first.output), values(&second.output));
}

#[test]
fn config_check_does_not_print_the_admin_token() {
    let secret = "correct-horse-battery-staple";
    let answer = akkerisd(&["config", "check"], &[("AKKERISD_ADMIN_TOKEN", secret)]);
    assert_eq!(answer.code, Some(0));
    assert!(answer.output.contains("AKKERISD_ADMIN_TOKEN is set"));
    assert!(!answer.output.contains(secret));
}

#[test]
fn token_create_prints_the_secret_only_while_a_daemon_runs() {
    let (dir, store) = data_dir_of_a_running_daemon();
    let at = ["--data-dir", text(dir.path())];
    let create = |name: &str| {
        akkerisd(&[&["token", "create", "--kind", "admin", "--name", name], &at[..]].concat(), &[])
    };
    let created = create("deploys");
    assert_eq!(created.code, Some(0), "{created:?}");
    let secret = created.output.trim_end();
    assert_eq!((secret.len(), created.errors.as_str()), (64, ""));

    let list = akkerisd(&[&["token", "list"], &at[..]].concat(), &[]);
    assert!(list.output.contains("deploys") && list.output.contains("usable"), "{list:?}");
    assert!(!list.output.contains(secret));

    let again = create("deploys");
    assert_eq!(again.code, Some(64));
    assert_eq!(again.output, "");

    let revoke = || akkerisd(&[&["token", "revoke", "deploys"], &at[..]].concat(), &[]);
    assert_eq!(revoke().code, Some(0));
    assert_eq!(revoke().code, Some(64));
    drop(store);
}

#[test]
fn user_create_prints_a_password_once_and_lists_the_account() {
    let (dir, store) = data_dir_of_a_running_daemon();
    let user = |arguments: &[&str]| {
        akkerisd(&[&["user"], arguments, &["--data-dir", text(dir.path())]].concat(), &[])
    };
    let created = user(&["create", "--name", "alice", "--role", "owner", "--email", "a@b.example"]);
    assert_eq!(created.code, Some(0), "{created:?}");
    assert_eq!((created.output.trim_end().len(), created.errors.as_str()), (16, ""));
    assert_eq!(user(&["create", "--name", "alice"]).code, Some(64));
    assert_eq!(user(&["create", "--name", "bob", "--role", "king"]).code, Some(64));
    assert_eq!(user(&["create", "--name", "bob", "--organization", "nowhere"]).code, Some(64));

    let another = user(&["password", "alice"]);
    assert_eq!(another.output.trim_end().len(), 16);
    assert_ne!(another.output, created.output);
    assert_eq!(user(&["password", "nobody"]).code, Some(64));

    let list = || user(&["list"]).output;
    assert!(list().contains("a@b.example") && !list().contains("bob"), "{}", list());
    assert_eq!(user(&["suspend", "alice"]).code, Some(0));
    assert!(list().contains("suspended"), "{}", list());
    assert_eq!(user(&["resume", "alice"]).code, Some(0));
    assert_eq!(user(&["drop-two-factor", "alice"]).code, Some(0));
    assert!(!list().contains("suspended"), "{}", list());
    drop(store);
}

#[test]
fn tokens_need_a_database_and_say_so() {
    let dir = tempfile::tempdir().unwrap();
    let answer = akkerisd(&["token", "list", "--data-dir", text(dir.path())], &[]);
    assert_eq!(answer.code, Some(74));
    assert!(answer.errors.contains("start the daemon once"), "{answer:?}");
}

#[test]
fn ca_print_gives_the_certificate_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let at = ["ca", "print", "--data-dir", text(dir.path())];
    assert_eq!(akkerisd(&at, &[]).code, Some(74));
    std::fs::create_dir(dir.path().join("ca")).unwrap();
    std::fs::write(dir.path().join("ca/ca.crt"), "-----BEGIN CERTIFICATE-----\n").unwrap();
    assert_eq!(akkerisd(&at, &[]).output, "-----BEGIN CERTIFICATE-----\n");
}

#[test]
fn doctor_says_what_is_wrong_and_fails() {
    use std::os::unix::fs::PermissionsExt;

    let (dir, _store) = data_dir_of_a_running_daemon();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let answer = akkerisd(&["doctor", "--data-dir", text(dir.path())], &[]);
    assert_eq!(answer.code, Some(74));
    assert!(answer.output.contains(&format!("run chmod 700 {}", text(dir.path()))), "{answer:?}");
    assert!(answer.output.contains("ok    database               whole"), "{answer:?}");
    assert!(
        answer.output.lines().all(|line| ["ok", "warn", "fail"].iter().any(|mark| line.starts_with(mark)))
    );
}

#[test]
fn doctor_names_the_docker_engine_that_does_not_answer() {
    let dir = tempfile::tempdir().unwrap();
    let arguments =
        ["doctor", "--data-dir", text(dir.path()), "--docker-host", "unix:///nowhere/docker.sock"];
    let answer = akkerisd(&arguments, &[]);
    assert_eq!(answer.code, Some(74));
    assert!(answer.output.contains("fail  Docker Engine          unix:///nowhere/docker.sock"), "{answer:?}");
}

#[test]
fn openapi_prints_the_document_of_the_api() {
    let answer = akkerisd(&["openapi"], &[]);
    assert_eq!((answer.code, answer.errors.as_str()), (Some(0), ""));
    let document: serde_json::Value = serde_json::from_str(&answer.output).unwrap();
    assert!(document.pointer("/paths/~1apps/post").is_some(), "POST /apps is not in the document");
}
