# shellcheck shell=bash
# What quickstart.sh and tests/run.sh need of a Debian or Ubuntu machine. Sourced at the top of the
# checkout, not run.

# Time since the script began, for people who watch.
began=${EPOCHREALTIME/[.,]/}
elapsed() {
  local tenths=$(((${EPOCHREALTIME/[.,]/} - began) / 100000))
  printf '%4d.%d s' $((tenths / 10)) $((tenths % 10))
}
step() { printf '\n\033[1m[%s] %s\033[0m\n' "$(elapsed)" "$*"; }
say() { printf '[%s] %s\n' "$(elapsed)" "$*"; }
fail() {
  printf '\n%s: %s\n' "$(basename "$0")" "$*" >&2
  exit 1
}

need_root() {
  [ "$(id -u)" = 0 ] || fail "run it as root, or with sudo: it installs packages and talks to Docker"
  command -v apt-get >/dev/null || fail "it needs Debian or Ubuntu (apt-get is not there)"
}

# need_packages NAME…: installs the Debian packages that are missing.
need_packages() {
  local missing=() name
  for name in "$@"; do
    dpkg-query -W -f '${Status}' "$name" 2>/dev/null | grep -q 'ok installed' || missing+=("$name")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  say "installing ${missing[*]}"
  apt-get update -q >"${TMPDIR:-/tmp}/apt-update.log" 2>&1 || cat "${TMPDIR:-/tmp}/apt-update.log" >&2
  DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}" </dev/null >"${TMPDIR:-/tmp}/apt-install.log" 2>&1 ||
    { tail -n 20 "${TMPDIR:-/tmp}/apt-install.log" >&2; fail "these packages cannot be installed: ${missing[*]}"; }
}

# Docker's own packages are as good as the distribution's; Debian 13 has the client in one of its own.
need_docker_packages() {
  command -v dockerd >/dev/null || need_packages docker.io
  command -v docker >/dev/null || need_packages docker-cli
}

# The one who owns the checkout builds it: with sudo that is the user who called it.
builder=${SUDO_USER:-root}
builder_home=$(getent passwd "$builder" | cut -d: -f6)
as_builder() {
  local path="$builder_home/.cargo/bin:$PATH"
  if [ "$builder" = root ]; then
    # "command" passes over functions of the same name, such as the cargo of tests/run.sh.
    PATH=$path command "$@"
  else
    runuser -u "$builder" -- env HOME="$builder_home" PATH="$path" "$@"
  fi
}

# The oldest Rust that works, and the one whose lints count.
rust_version=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)

# Finds cargo, or installs it through the distribution's rustup.
need_rust() {
  local found
  if ! as_builder cargo --version >/dev/null 2>&1; then
    apt-cache show rustup >/dev/null 2>&1 || { apt-get update -q >/dev/null && apt-cache show rustup >/dev/null 2>&1; } ||
      fail "there is no Rust here; get it with: curl --proto '=https' -sSf https://sh.rustup.rs | sh -s -- -y --profile default"
    need_packages rustup
    say "installing the Rust toolchain $rust_version"
    as_builder rustup default "$rust_version"
  fi
  found=$(as_builder rustc --version | cut -d' ' -f2)
  [ "$(printf '%s\n%s\n' "$rust_version" "$found" | sort -V | head -n 1)" = "$rust_version" ] ||
    fail "Rust $found is too old, $rust_version or newer is needed: run rustup update stable (or install rustup: https://rustup.rs)"
}

# Starts the Docker Engine: through the init system, or by itself where there is none.
need_docker() {
  need_docker_packages
  docker version >/dev/null 2>&1 && return 0
  if [ -d /run/systemd/system ]; then
    systemctl enable --now docker
  else
    say "no init system runs here: starting dockerd, its log is /var/log/dockerd.log"
  fi
  local tries
  for tries in $(seq 1 240); do
    docker version >/dev/null 2>&1 && return 0
    [ -d /run/systemd/system ] || keep_dockerd
    sleep 0.5
  done
  [ ! -f /var/log/dockerd.log ] || tail -n 20 /var/log/dockerd.log >&2
  fail "the Docker Engine did not start after $((tries / 2)) s"
}

# What an init system does: a dockerd that gave up, because one that was killed left something, is started again.
keep_dockerd() {
  ! pgrep -x dockerd >/dev/null || return 0
  rm -f /var/run/docker.pid
  setsid dockerd >>/var/log/dockerd.log 2>&1 </dev/null &
}
