//! The operator's interface: subcommands, exit codes, and what goes to standard output.

use std::path::Path;

use akkerisd::clock::Clock;
use akkerisd::ids::Ids;
use akkerisd::model::build::{Build, BuildSource, BuildState, BuildStep, Checksum, Commit};
use akkerisd::model::catalogue::Catalogue;
use akkerisd::model::config_var::ConfigValue;
use akkerisd::model::drain_url::DrainUrl;
use akkerisd::model::dyno::{Dyno, DynoState};
use akkerisd::model::formation::{Formation, FormationCommand, Origin, Port, Quantity, Runs};
use akkerisd::model::ids::{AppId, BuildId, FormationId, LogDrainId, ReleaseId, deterministic};
use akkerisd::model::log_drain::{DrainProgress, DrainState, DrainToken, LogDrain};
use akkerisd::model::names::{ConfigVarName, DynoName, ProcessType, SizeName};
use akkerisd::model::principal::Principal;
use akkerisd::model::release::{Release, ReleaseKind, ReleaseState};
use akkerisd::model::time::Timestamp;
use akkerisd::seal::Sealer;
use akkerisd::service;
use akkerisd::service::apps::NewApp;
use akkerisd::store::{self, Store, StoreError, Tx};

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
    let variables = [
        ("AKKERISD_APPS_DOMAIN", "apps.example.com"),
        ("DOCKER_HOST", "tcp://127.0.0.1:2375"),
        ("AKKERISD_ACME_DNS_HOOK", "/usr/local/bin/hook,--now"),
    ];
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

/// The line of a check.
fn line_of<'a>(answer: &'a Answer, check: &str) -> &'a str {
    let found = answer.output.lines().find(|line| line.get(6..).is_some_and(|text| text.starts_with(check)));
    found.unwrap_or("no such check")
}

#[tokio::test]
async fn doctor_names_what_does_not_get_on() {
    let (dir, store) = data_dir_of_a_running_daemon();
    let sealer = Sealer::open(&dir.path().join("seal.key")).unwrap();
    let catalogue = include_str!("../assets/catalogue.toml");
    std::fs::write(dir.path().join("catalogue.toml"), catalogue).unwrap();
    let ids = Ids::random();
    let catalogue = Catalogue::parse(catalogue).unwrap();
    service::bootstrap::run(&store, &ids, &catalogue, Some("secret-of-the-test")).await.unwrap();
    let new = NewApp {
        name: "ailing".to_owned(),
        space: "default".to_owned(),
        organization: "akkeris".to_owned(),
        description: String::new(),
        labels: String::new(),
    };
    let author = Principal::daemon();
    let app = service::apps::create(&store, &ids, &author, new).await.unwrap().id;
    let at = ["doctor", "--data-dir", text(dir.path()), "--docker-host", "unix:///nowhere/docker.sock"];
    let before = akkerisd(&at, &[]);
    for check in ["sizes", "releases", "builds", "dynos", "log drains", "clock", "secret key"] {
        assert!(line_of(&before, check).starts_with("ok"), "{check}: {before:?}");
    }

    store.write(&author, move |tx| make_ail(tx, &sealer, app)).await.unwrap();
    let after = akkerisd(&at, &[]);
    for (check, what) in [
        ("sizes", "warn  sizes                  lost used by formations"),
        ("releases", "warn  releases               v1 of ailing-default neither succeeded nor failed"),
        ("builds", "warn  builds                 1 of ailing-default ran for more than"),
        (
            "dynos",
            "warn  dynos                  web.0123456789-abcde of ailing-default (app-crashed, 7 restarts)",
        ),
        (
            "log drains",
            "warn  log drains             one of ailing-default (the server closed the connection) does not get",
        ),
        ("clock", "fail  clock                  shows"),
        ("secret key", "ok    secret key             opens the 1 config vars"),
    ] {
        assert!(line_of(&after, check).starts_with(what), "{check}: {after:?}");
    }
    std::fs::write(dir.path().join("seal.key"), "ab".repeat(32)).unwrap();
    let other_key = akkerisd(&at, &[]);
    assert!(line_of(&other_key, "secret key").contains("does not open the config vars"), "{other_key:?}");
    std::fs::remove_file(dir.path().join("seal.key")).unwrap();
    let no_key = akkerisd(&at, &[]);
    assert!(line_of(&no_key, "secret key").contains("seal.key is missing"), "{no_key:?}");
    assert!(!dir.path().join("seal.key").exists(), "the doctor made a key");
}

/// An app whose build, release and dyno are stuck, with a size that nobody offers, and an event of tomorrow.
fn make_ail(tx: &mut Tx<'_>, sealer: &Sealer, app: AppId) -> Result<(), StoreError> {
    let long_ago = Timestamp::from_millis(1_000);
    let (build, release) = (BuildId::new(deterministic("build")), ReleaseId::new(deterministic("release")));
    let name = ConfigVarName::from_stored("TOKEN".to_owned());
    store::config_vars::set(tx, sealer, app, &name, &ConfigValue::from_stored("value".to_owned()))?;
    let running = BuildState::Running { step: BuildStep::Building, since: long_ago, attempt: 1 };
    let build_row = Build {
        id: build,
        app_id: app,
        number: 1,
        state: running,
        source: BuildSource::Upload,
        checksum: Checksum::default(),
        commit: Commit::default(),
        created_by: tx.author().clone(),
        created_at: long_ago,
        updated_at: long_ago,
    };
    store::builds::insert(tx, sealer, &build_row)?;
    let release_row = Release {
        id: release,
        app_id: app,
        slug: build,
        version: 1,
        description: String::new(),
        kind: ReleaseKind::Slug,
        state: ReleaseState::Pending { since: long_ago },
        created_by: tx.author().clone(),
        created_at: long_ago,
        updated_at: long_ago,
    };
    store::releases::insert(tx, &release_row)?;
    crashing_dyno(tx, app, release, long_ago)?;
    failing_drain(tx, sealer, app)?;
    tx.execute("UPDATE events SET created_at = created_at + 86400000", [])?;
    Ok(())
}

fn failing_drain(tx: &Tx<'_>, sealer: &Sealer, app: AppId) -> Result<(), StoreError> {
    let (state, description) = (DrainState::Failing, "the server closed the connection".to_owned());
    let drain = LogDrain {
        id: LogDrainId::new(deterministic("drain")),
        owner: app.into(),
        url: DrainUrl::parse("syslog://logs.example.com").unwrap(),
        token: DrainToken::from_stored("d.token".to_owned()),
        progress: DrainProgress { state, description, ..DrainProgress::default() },
        created_at: tx.now(),
        updated_at: tx.now(),
    };
    store::log_drains::insert(tx, sealer, &drain)?;
    store::log_drains::set_progress(tx, drain.id, &drain.progress)
}

fn crashing_dyno(
    tx: &mut Tx<'_>,
    app: AppId,
    release: ReleaseId,
    long_ago: Timestamp,
) -> Result<(), StoreError> {
    let formation = Formation {
        id: FormationId::new(deterministic("formation")),
        app_id: app,
        process_type: ProcessType::web(),
        size: SizeName::from_stored("lost".to_owned()),
        quantity: Quantity::ONE,
        command: FormationCommand::Image,
        port: Some(Port::DEFAULT),
        healthcheck: None,
        origin: Origin::User,
        runs: Runs::Always,
        restarts: 0,
        created_at: long_ago,
        updated_at: long_ago,
    };
    store::formations::insert(tx, &formation)?;
    let dyno = Dyno {
        name: DynoName::new("0123456789", "abcde"),
        app_id: app,
        process_type: ProcessType::web(),
        release_id: release,
        size: formation.size,
        command: String::new(),
        state: DynoState::AppCrashed,
        ready: false,
        restarts: 7,
        info: String::new(),
        created_at: long_ago,
        updated_at: long_ago,
    };
    store::dynos::replace(tx, app, &[dyno])
}

#[test]
fn doctor_finds_secrets_that_others_may_read() {
    use std::os::unix::fs::PermissionsExt;

    let dir = tempfile::tempdir().unwrap();
    let at = ["doctor", "--data-dir", text(dir.path()), "--docker-host", "unix:///nowhere/docker.sock"];
    let token = dir.path().join("admin-token");
    assert!(line_of(&akkerisd(&at, &[]), "admin token").starts_with("ok"));
    std::fs::write(&token, "secret\n").unwrap();
    std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o644)).unwrap();
    let open = akkerisd(&at, &[]);
    assert_eq!(open.code, Some(74));
    assert!(line_of(&open, "admin token").contains(&format!("run chmod 600 {}", text(&token))), "{open:?}");
    assert!(!open.output.contains("secret\n"));
    std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert!(line_of(&akkerisd(&at, &[]), "admin token").starts_with("ok"));
}

#[test]
fn doctor_names_the_package_without_which_nobody_can_push() {
    let (dir, _store) = data_dir_of_a_running_daemon();
    let arguments = ["doctor", "--data-dir", text(dir.path())];
    let answer = akkerisd(&arguments, &[("AKKERISD_GIT_PROGRAM", "/nowhere/git")]);
    let line = line_of(&answer, "git ");
    assert!(line.starts_with("warn") && line.contains("install the package git"), "{line}");
    assert!(line_of(&akkerisd(&arguments, &[]), "git ").starts_with("ok"));
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

#[test]
fn an_upgrade_without_a_running_daemon_names_the_socket_and_fails() {
    let dir = tempfile::tempdir().unwrap();
    let answer = akkerisd(&["upgrade", "--data-dir", text(dir.path())], &[]);
    assert_eq!(answer.code, Some(74), "{answer:?}");
    assert!(answer.errors.contains("control.sock; is it running"), "{answer:?}");
    let answer = akkerisd(&["upgrade", "--timeout", "soon", "--data-dir", text(dir.path())], &[]);
    assert_eq!(answer.code, Some(64), "{answer:?}");
}

#[test]
fn a_successor_without_a_predecessor_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let answer = akkerisd(&["serve", "--data-dir", text(dir.path())], &[("AKKERISD_SUCCESSOR", "1")]);
    assert_eq!(answer.code, Some(64), "{answer:?}");
    assert!(answer.errors.contains("does not lead to a predecessor"), "{answer:?}");
}
