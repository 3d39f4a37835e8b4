//! The image of `MariaDB` and of Memcached of the distribution, which keeps to what that of `MySQL` on Docker Hub promises.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::archive::Source;
use super::client::Client;
use super::docker::{base_image, docker, linked};
use super::services::{copy_folder, write_program};

/// Servers and clients, beside the program of the dynos.
const IMAGE: &str = "akkerisd-e2e-mariadb:latest";

/// What `mysql:8.4` does with its environment before it starts the server.
const ENTRY: &str = r#"#!/bin/sh
set -e
at="--no-defaults --datadir=/var/lib/mysql"
if [ ! -d /var/lib/mysql/mysql ]; then
  mariadb-install-db $at --basedir=/usr --auth-root-authentication-method=normal --skip-test-db >/dev/null
  mariadbd $at --skip-networking --socket=/tmp/first.sock &
  until mysql --no-defaults --socket=/tmp/first.sock -u root -e "select 1" >/dev/null 2>&1; do sleep 1; done
  mysql --no-defaults --socket=/tmp/first.sock -u root <<SQL
CREATE DATABASE \`$MYSQL_DATABASE\`;
CREATE USER '$MYSQL_USER'@'%' IDENTIFIED BY '$MYSQL_PASSWORD';
GRANT ALL ON \`$MYSQL_DATABASE\`.* TO '$MYSQL_USER'@'%';
ALTER USER 'root'@'localhost' IDENTIFIED BY '$MYSQL_ROOT_PASSWORD';
SQL
  kill $!
  wait $! || true
fi
exec mariadbd $at --socket=/run/mysqld/mysqld.sock --bind-address=0.0.0.0
"#;

/// Asks a database.
const QUERY: &str = r#"#!/bin/sh
url=${DATABASE_URL#mysql://}
rest=${url#*:}
export MYSQL_PWD=${rest%%@*}
rest=${rest#*@}
place=${rest%%/*}
exec mysql --no-defaults -h "${place%:*}" -P "${place#*:}" -u "${url%%:*}" -N -B -e "$1" "${rest#*/}"
"#;

/// Asks a Memcached.
const ASK_MEMCACHED: &str = r#"#!/bin/sh
printf '%s\r\nquit\r\n' "$1" | nc "${MEMCACHED_URL%:*}" "${MEMCACHED_URL#*:}"
"#;

const DOCKERFILE: &str = "FROM akkerisd-e2e-base:latest AS base
FROM scratch
COPY . /
COPY --from=base /dyno /dyno
COPY --chown=70:70 empty /var/lib/mysql
COPY --chown=70:70 empty /run/mysqld
COPY --chown=70:70 empty /tmp
ENV PATH=/usr/bin:/usr/sbin:/bin
USER 70:70
CMD [\"mysql-entry\"]
";

/// What the scripts call.
const APPLETS: &[&str] = &[
    "sh", "cat", "sleep", "sed", "hostname", "dirname", "basename", "mkdir", "rm", "id", "nc", "printf", "ls",
];

/// The catalogue of the first start, with this image.
pub fn catalogue() -> String {
    make_image();
    let first = include_str!("../../../assets/catalogue.toml");
    let own = first.replace("mysql:8.4", IMAGE).replace("memcached:1.6-alpine", IMAGE);
    assert_eq!(own.matches(IMAGE).count(), 2, "the catalogue names other images");
    own
}

/// An app whose image has the clients.
pub async fn deploy(client: &Client, name: &str) -> String {
    let app = client.create_app(name, "default").await;
    let dockerfile = format!("FROM {IMAGE}\nCOPY behaviour /behaviour\nCMD [\"/dyno\"]\n");
    client.deploy(&app, &Source::version(name).file("Dockerfile", &dockerfile)).await;
    app
}

fn make_image() {
    static MADE: OnceLock<()> = OnceLock::new();
    MADE.get_or_init(|| {
        base_image();
        let root = tempfile::tempdir().unwrap();
        lay_out(root.path());
        docker(&["build", "-q", "-t", IMAGE, root.path().to_str().unwrap()]);
    });
}

fn lay_out(root: &Path) {
    for folder in ["bin", "usr/bin", "usr/sbin", "etc", "empty"] {
        std::fs::create_dir_all(root.join(folder)).unwrap();
    }
    copy_folder(Path::new("/usr/share/mysql"), &root.join("usr/share/mysql"));
    let memcached = memcached();
    let programs = [
        ("/usr/sbin/mariadbd", "usr/sbin/mariadbd"),
        ("/usr/bin/mariadb-install-db", "usr/bin/mariadb-install-db"),
        ("/usr/bin/my_print_defaults", "usr/bin/my_print_defaults"),
        ("/usr/bin/resolveip", "usr/bin/resolveip"),
        ("/usr/bin/mariadb", "usr/bin/mysql"),
        ("/usr/bin/mariadb-dump", "usr/bin/mysqldump"),
        ("/usr/bin/mariadb-admin", "usr/bin/mysqladmin"),
        (memcached.to_str().unwrap(), "usr/bin/memcached"),
    ];
    for (from, to) in programs {
        std::fs::copy(from, root.join(to)).unwrap_or_else(|error| panic!("{from}: {error}"));
        for library in linked(Path::new(from)) {
            let place = root.join(library.trim_start_matches('/'));
            std::fs::create_dir_all(place.parent().unwrap()).unwrap();
            std::fs::copy(&library, place).unwrap();
        }
    }
    std::fs::copy("/bin/busybox", root.join("bin/busybox")).unwrap();
    for applet in APPLETS {
        std::os::unix::fs::symlink("/bin/busybox", root.join("bin").join(applet)).unwrap();
    }
    for (name, content) in [("mysql-entry", ENTRY), ("query", QUERY), ("ask-memcached", ASK_MEMCACHED)] {
        write_program(&root.join("bin").join(name), content);
    }
    std::fs::write(root.join("etc/passwd"), "root:x:0:0::/:/bin/sh\nmysql:x:70:70::/tmp:/bin/sh\n").unwrap();
    std::fs::write(root.join("Dockerfile"), DOCKERFILE).unwrap();
}

/// Installed, or fetched by `tests/run.sh`.
fn memcached() -> PathBuf {
    let fetched = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/memcached");
    let mut places = [PathBuf::from("/usr/bin/memcached"), fetched].into_iter();
    places.find(|path| path.exists()).expect("the program of the package memcached")
}
