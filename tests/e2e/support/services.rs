//! The images of addons: `PostgreSQL` and Redis of the distribution, which keep to what those of Docker Hub promise.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::{Value, json};

use super::archive::Source;
use super::client::Client;
use super::daemon::Daemon;
use super::docker::{base_image, docker, linked};
use super::wait_until;

/// `PostgreSQL`, which is what it runs, and Redis, servers and clients, beside the program of the dynos.
pub const POSTGRES: &str = "akkerisd-e2e-postgres:latest";
/// The same for Redis, which starts as root, as that of Docker Hub does.
pub const REDIS: &str = "akkerisd-e2e-redis:latest";

const LIMIT: Duration = Duration::from_secs(90);

/// What `postgres:16` does with its environment before it starts the server.
const POSTGRES_ENTRY: &str = r#"#!/bin/sh
set -e
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  printf %s "$POSTGRES_PASSWORD" > /tmp/password
  initdb -D "$PGDATA" -U postgres --pwfile=/tmp/password --auth=trust --locale=C --encoding=UTF8 --no-sync
  echo "host all all all scram-sha-256" >> "$PGDATA/pg_hba.conf"
fi
exec postgres -D "$PGDATA" -c "listen_addresses=*"
"#;

/// Asks a database; as a user that `psql` knows.
const QUERY: &str = "#!/bin/sh\nexec psql \"$DATABASE_URL\" -q -At -v ON_ERROR_STOP=1 -c \"$1\"\n";

/// Asks a Redis.
const ASK_REDIS: &str = "#!/bin/sh\nexec redis-cli --no-auth-warning -u \"$REDIS_URL\" $1\n";

const DOCKERFILE: &str = "FROM akkerisd-e2e-base:latest AS base
FROM scratch
COPY . /
COPY --from=base /dyno /dyno
COPY --chown=70:70 data /var/lib/postgresql/data
COPY --chown=70:70 data /var/run/postgresql
COPY --chown=70:70 data /data
COPY --chown=70:70 data /tmp
ENV PATH=/usr/lib/postgresql/bin:/bin
USER 70:70
CMD [\"postgres-entry\"]
";

/// Makes the images once a run; the engine keeps what did not change.
pub fn make_images() {
    static MADE: OnceLock<()> = OnceLock::new();
    MADE.get_or_init(|| {
        base_image();
        let root = tempfile::tempdir().unwrap();
        lay_out(root.path());
        docker(&["build", "-q", "-t", POSTGRES, root.path().to_str().unwrap()]);
        let redis = tempfile::tempdir().unwrap();
        std::fs::write(redis.path().join("Dockerfile"), format!("FROM {POSTGRES}\nUSER 0:0\n")).unwrap();
        docker(&["build", "-q", "-t", REDIS, redis.path().to_str().unwrap()]);
    });
}

/// The catalogue of the first start, with these images.
pub fn catalogue() -> String {
    make_images();
    let first = include_str!("../../../assets/catalogue.toml");
    let own = first.replace("postgres:16-alpine", POSTGRES).replace("redis:7-alpine", REDIS);
    assert!(own.contains(POSTGRES) && own.contains(REDIS), "the catalogue names other images");
    own
}

/// An app whose image has the clients of both services.
pub async fn deploy(client: &Client, name: &str, space: &str) -> String {
    let app = client.create_app(name, space).await;
    let dockerfile = format!("FROM {POSTGRES}\nCOPY behaviour /behaviour\nCMD [\"/dyno\"]\n");
    client.deploy(&app, &Source::version(name).file("Dockerfile", &dockerfile)).await;
    app
}

/// Asks for an addon and waits until it is made.
pub async fn add(client: &Client, app: &str, plan: &str) -> Value {
    let made = client.send("POST", &format!("/apps/{app}/addons"), Some(json!({"plan": plan})), 201).await;
    assert_eq!(made["state"], "provisioning");
    provisioned(client, app, made["name"].as_str().unwrap()).await
}

pub async fn provisioned(client: &Client, app: &str, addon: &str) -> Value {
    let path = format!("/apps/{app}/addons/{addon}");
    wait_until("the addon is provisioned", LIMIT, || async {
        let (_, addon) = client.try_send("GET", &path, None).await?;
        assert_ne!(addon["state"], "failed", "{addon}");
        if addon["state"] == "provisioned" { Ok(addon) } else { Err(addon.to_string()) }
    })
    .await
}

/// What an app is told by its database (`query`) or its store (`redis`), once it is that.
pub async fn hears(daemon: &Daemon, app: &str, question: &str, answer: &str) {
    wait_until(&format!("{app} hears {answer:?} to {question}"), LIMIT, || async {
        let (status, said) = daemon.fetch(app, &format!("/{question}")).await?;
        if status == 200 && said == answer { Ok(()) } else { Err(format!("{status} {said}")) }
    })
    .await;
}

fn lay_out(root: &Path) {
    let postgres = newest_postgres();
    let version = postgres.file_name().unwrap();
    let place = root.join("usr/lib/postgresql").join(version);
    for folder in ["bin", "lib"] {
        copy_folder(&postgres.join(folder), &place.join(folder));
    }
    // Only a compiler at run time would read it.
    let _none = std::fs::remove_dir_all(place.join("lib/bitcode"));
    // The programs find the rest beside themselves.
    let share = Path::new("usr/share/postgresql").join(version);
    copy_folder(&Path::new("/").join(&share), &root.join(&share));
    std::os::unix::fs::symlink(
        place.join("bin").strip_prefix(root).map(|bin| Path::new("/").join(bin)).unwrap(),
        root.join("usr/lib/postgresql/bin"),
    )
    .unwrap();
    std::fs::create_dir_all(root.join("bin")).unwrap();
    std::fs::copy("/bin/busybox", root.join("bin/busybox")).unwrap();
    for applet in ["sh", "cat", "sleep"] {
        std::os::unix::fs::symlink("/bin/busybox", root.join("bin").join(applet)).unwrap();
    }
    // One program, which looks at its own name.
    let redis = ["/usr/bin/redis-server", "/usr/bin/redis-check-rdb"];
    let redis = redis.iter().map(Path::new).find(|path| path.exists()).expect("the package redis-tools");
    std::fs::copy(redis, root.join("bin/redis-server")).unwrap();
    std::fs::copy("/usr/bin/redis-cli", root.join("bin/redis-cli")).unwrap();
    copy_libraries(root);
    for (path, content) in [("postgres-entry", POSTGRES_ENTRY), ("query", QUERY), ("redis", ASK_REDIS)] {
        write_program(&root.join("bin").join(path), content);
    }
    std::fs::create_dir_all(root.join("etc")).unwrap();
    std::fs::write(root.join("etc/passwd"), "root:x:0:0::/:/bin/sh\npostgres:x:70:70::/tmp:/bin/sh\n")
        .unwrap();
    std::fs::create_dir_all(root.join("data")).unwrap();
    std::fs::write(root.join("Dockerfile"), DOCKERFILE).unwrap();
}

/// The folder of the newest `PostgreSQL` that is installed.
fn newest_postgres() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").expect("the package postgresql");
    let mut versions: Vec<PathBuf> = versions.map(|entry| entry.unwrap().path()).collect();
    versions.retain(|path| path.join("bin/postgres").exists());
    versions.sort();
    versions.pop().expect("the package postgresql")
}

/// What the programs and their plug-ins link.
fn copy_libraries(root: &Path) {
    let mut libraries = BTreeSet::new();
    for folder in ["bin", "usr/lib/postgresql"] {
        for file in files(&root.join(folder)) {
            let name = file.file_name().unwrap().to_str().unwrap();
            let is_needed = file.components().any(|part| part.as_os_str() == "bin")
                || ["plpgsql.so", "dict_snowball.so"].contains(&name);
            if is_needed {
                libraries.extend(linked(&file));
            }
        }
    }
    for library in libraries {
        let place = root.join(library.trim_start_matches('/'));
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        std::fs::copy(&library, place).unwrap();
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_symlink() {
            continue;
        }
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

pub(super) fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    let copied = Command::new("cp").args(["-rL", "--"]).arg(from.join(".")).arg(to).status().unwrap();
    assert!(copied.success(), "{} cannot be copied", from.display());
}

pub(super) fn write_program(path: &Path, content: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, content).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}
