#!/usr/bin/env bash
# Installs what the tests need and runs all of them, cheap ones first. Run it as root or with sudo.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=examples/machine.sh
. examples/machine.sh

# One set of features for all debug steps, so that dependencies are compiled once.
features=(--all-features --locked)

# What only helps whoever builds again takes gigabytes in a checkout that is built once.
[ -z "${CI:-}" ] || export CARGO_INCREMENTAL=0

# timed NAME COMMAND…: runs it and keeps how long it took.
timings=()
timed() {
  local name=$1 start=$SECONDS
  shift
  step "$name"
  "$@"
  timings+=("$(printf '%5d s  %s' $((SECONDS - start)) "$name")")
}

cargo() { as_builder cargo "$@"; }

# promtool comes with a server that would be started where there is an init system: only the program is taken.
need_promtool() {
  local tools=$PWD/target/tools folder
  export PATH=$PATH:$tools
  if command -v promtool >/dev/null; then return 0; fi
  say "fetching promtool"
  folder=$(mktemp -d)
  chmod 755 "$folder"
  apt-get update -q >/dev/null || true
  (cd "$folder" && apt-get download -q prometheus >/dev/null 2>&1 && dpkg-deb -x prometheus_*.deb .) ||
    fail "the package prometheus, which holds promtool, cannot be fetched"
  as_builder mkdir -p "$tools"
  install -m 755 "$folder/usr/bin/promtool" "$tools/promtool"
  rm -rf "$folder"
}

# As promtool: the package would start a server. The program takes no libraries but those of its own version.
need_named() {
  local tools=$PWD/target/tools folder
  if [ -x /usr/sbin/named ] || [ -x "$tools/named" ]; then return 0; fi
  say "fetching named"
  folder=$(mktemp -d)
  chmod 755 "$folder"
  apt-get update -q >/dev/null || true
  DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends bind9-libs </dev/null >/dev/null ||
    fail "the package bind9-libs, which named runs with, cannot be installed"
  (cd "$folder" && apt-get download -q bind9 >/dev/null 2>&1 && dpkg-deb -x bind9_*.deb .) ||
    fail "the package bind9, which holds named, cannot be fetched"
  as_builder mkdir -p "$tools"
  install -m 755 "$folder/usr/sbin/named" "$tools/named"
  rm -rf "$folder"
}

# Their programs become images of addons. A cluster that the package makes would be started, so it makes none.
need_databases() {
  if ! command -v pg_createcluster >/dev/null; then
    mkdir -p /etc/postgresql-common
    [ -e /etc/postgresql-common/createcluster.conf ] ||
      echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.conf
  fi
  # The server of Redis is in the package of its tools; these packages of MariaDB start none.
  need_packages postgresql redis-tools mariadb-server-core mariadb-client
  need_memcached
}

# As promtool: the package would start a server.
need_memcached() {
  local tools=$PWD/target/tools folder libraries
  if [ -x /usr/bin/memcached ] || [ -x "$tools/memcached" ]; then return 0; fi
  say "fetching memcached"
  folder=$(mktemp -d)
  chmod 755 "$folder"
  apt-get update -q >/dev/null || true
  mapfile -t libraries < <(apt-cache depends memcached | sed -n 's/^ *Depends: \(lib[^<]*\)$/\1/p')
  need_packages "${libraries[@]}"
  (cd "$folder" && apt-get download -q memcached >/dev/null 2>&1 && dpkg-deb -x memcached_*.deb .) ||
    fail "the package memcached cannot be fetched"
  as_builder mkdir -p "$tools"
  install -m 755 "$folder/usr/bin/memcached" "$tools/memcached"
  rm -rf "$folder"
}

# As promtool: the package would start a server. The libraries that it links are those of curl and the like.
need_nginx() {
  local tools=$PWD/target/tools folder package
  export AKKERISD_REQUIRE_NGINX=1
  if PATH=$PATH:/usr/sbin:$tools command -v nginx >/dev/null; then return 0; fi
  say "fetching nginx"
  folder=$(mktemp -d)
  chmod 755 "$folder"
  apt-get update -q >/dev/null || true
  # The program is in different packages in different releases.
  for package in nginx nginx-light nginx-core; do
    (cd "$folder" && rm -rf ./*.deb && apt-get download -q "$package" >/dev/null 2>&1 && dpkg-deb -x "$package"_*.deb .) || true
    if [ -x "$folder/usr/sbin/nginx" ]; then break; fi
  done
  [ -x "$folder/usr/sbin/nginx" ] || fail "the program nginx cannot be fetched from the packages of the distribution"
  as_builder mkdir -p "$tools"
  install -m 755 "$folder/usr/sbin/nginx" "$tools/nginx"
  rm -rf "$folder"
}

# What a run leaves in a new checkout and with the engine, with room to spare; one that was built has most of it.
space_gb=8
need_space() {
  local free
  free=$(($(df --output=avail -B 1M . | tail -n 1) / 1024))
  say "$free GB of disk are free"
  [ -d target/debug ] || [ "$free" -ge "$space_gb" ] ||
    fail "$free GB of disk are free at $PWD, and $space_gb GB are needed: make room, or put the checkout elsewhere"
}

install_everything() {
  need_space
  need_packages gcc libc6-dev curl ca-certificates jq tar busybox-static procps iproute2 python3-venv rsyslog rsyslog-gnutls pebble
  command -v git >/dev/null || need_packages git
  need_rust
  if ! cargo fmt --version >/dev/null 2>&1 || ! cargo clippy --version >/dev/null 2>&1; then
    as_builder rustup component add rustfmt clippy
  fi
  need_docker
  need_databases
  need_promtool
  need_nginx
  need_named
  say "Docker Engine $(docker version -f '{{.Server.Version}}'), $(as_builder rustc --version), $(nproc) cores"
}

# A newer compiler knows new lints, which must not break anybody's checkout.
lints() {
  local strict=()
  case "$(as_builder rustc --version)" in
    "rustc $rust_version."*) strict=(-D warnings) ;;
    *) say "warnings do not fail here: they count with Rust $rust_version only" ;;
  esac
  cargo clippy --all-targets "${features[@]}" -- "${strict[@]}"
}

documentation() {
  as_builder env RUSTDOCFLAGS='-D warnings' cargo doc --no-deps --document-private-items "${features[@]}"
}

without_docker() {
  cargo test "${features[@]}" --lib --test api </dev/null
}

# Built by the owner of the checkout, run as root: they start containers, and daemons that do. They also
# compile the program that runs in their dynos, with rustc.
with_docker() {
  cargo test "${features[@]}" --test e2e --no-run </dev/null
  export AKKERISD_REQUIRE_DOCKER=1 PATH="$builder_home/.cargo/bin:$PATH"
  export CARGO_HOME=${CARGO_HOME:-$builder_home/.cargo} RUSTUP_HOME=${RUSTUP_HOME:-$builder_home/.rustup}
  command -v rustc >/dev/null || fail "rustc is not on the PATH of root: $PATH"
  # Two at a time: they measure lost requests under load, and share the cores with the engine.
  command cargo test "${features[@]}" --test e2e -- --test-threads=2 </dev/null
}

# A bounded part of it: some 2,000 requests; without an argument there are more than 10,000.
generated_requests() {
  as_builder tests/schemathesis.sh 3
}

# The unit must stay hardened; the figure is systemd's own.
unit_exposure() {
  local figure
  command -v systemd-analyze >/dev/null || { say "systemd-analyze is not here: not checked"; return 0; }
  figure=$(systemd-analyze security --offline=true systemd/akkerisd.service | sed -n 's/.*exposure level for [^:]*: \([0-9.]*\).*/\1/p')
  say "exposure of systemd/akkerisd.service: $figure"
  awk -v figure="$figure" 'BEGIN { exit !(figure != "" && figure < 3.0) }' || fail "the exposure must be under 3.0"
}

release_build() {
  cargo build --release --locked --bin akkerisd
  say "target/release/akkerisd: $(stat -c %s target/release/akkerisd) bytes"
}

need_root
timed "what this machine needs" install_everything
timed "format" cargo fmt --check
timed "lints" lints
timed "documentation" documentation
timed "exposure of the systemd unit" unit_exposure
timed "suite 1: no Docker" without_docker
timed "suite 2: real Docker, real edge" with_docker
timed "generated requests against the OpenAPI document" generated_requests
timed "release build" release_build
step "All passed"
printf '%s\n' "${timings[@]}"
