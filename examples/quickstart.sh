#!/usr/bin/env bash
# From a bare Debian or Ubuntu machine to an app on HTTPS: installs what is missing, builds akkerisd,
# starts it on loopback, deploys examples/hello from source and fetches it through the edge.
# Run it as root or with sudo; run it again to deploy again. `quickstart.sh stop` stops the daemon.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=examples/machine.sh
. examples/machine.sh

api_port=${QUICKSTART_API_PORT:-5000}
http_port=${QUICKSTART_HTTP_PORT:-8080}
https_port=${QUICKSTART_HTTPS_PORT:-8443}
state=${XDG_STATE_HOME:-$HOME/.local/state}/akkerisd-quickstart
data=$state/data
daemon=$state/akkerisd
api=http://127.0.0.1:$api_port
arguments=(serve --data-dir "$data" --api-addr "127.0.0.1:$api_port"
  --http-addr "127.0.0.1:$http_port" --https-addr "127.0.0.1:$https_port")

daemon_pid() {
  local pid
  pid=$(cat "$state/pid" 2>/dev/null) || return 1
  # The number may belong to another process by now.
  case "$(readlink "/proc/$pid/exe" 2>/dev/null)" in "$daemon"*) echo "$pid" ;; *) return 1 ;; esac
}

stop_daemon() {
  local pid tries
  pid=$(daemon_pid) || return 0
  say "stopping the daemon (pid $pid); its apps go on running"
  kill -TERM "$pid"
  for tries in $(seq 1 200); do
    kill -0 "$pid" 2>/dev/null || return 0
    sleep 0.5
  done
  fail "the daemon (pid $pid) did not stop after $((tries / 2)) s; its log is $state/log"
}

build_daemon() {
  as_builder cargo build --release --locked --bin akkerisd
}

start_daemon() {
  mkdir -p "$state"
  chmod 700 "$state"
  local built=target/release/akkerisd
  if daemon_pid >/dev/null && cmp -s "$built" "$daemon" && [ "${arguments[*]}" = "$(cat "$state/arguments")" ]; then
    say "the daemon runs already (pid $(daemon_pid)) and is the one just built"
    return
  fi
  stop_daemon
  install -m 755 "$built" "$daemon.new"
  mv "$daemon.new" "$daemon"
  echo "${arguments[*]}" >"$state/arguments"
  setsid "$daemon" "${arguments[@]}" >>"$state/log" 2>&1 </dev/null &
  echo $! >"$state/pid"
  local tries
  for tries in $(seq 1 300); do
    curl -s -o "$state/answer" --max-time 2 "$api/apps" && [ -s "$data/admin-token" ] && break
    kill -0 "$(cat "$state/pid")" 2>/dev/null ||
      { tail -n 20 "$state/log" >&2; fail "the daemon ended; the lines above are the end of its log, $state/log"; }
    [ "$tries" != 300 ] || fail "the daemon does not answer on $api; its log is $state/log"
    sleep 0.1
  done
  say "the daemon answers (pid $(daemon_pid))"
}

# call METHOD PATH [BODY FILE]: prints the answer; 4xx and 5xx end the script with the answer's message.
call() {
  local method=$1 path=$2 body=${3:-} status
  status=$(curl -sS -o "$state/answer" -w '%{http_code}' -X "$method" ${body:+--data-binary "@$body"} \
    -H "Authorization: Bearer $(cat "$data/admin-token")" "$api$path")
  case "$status" in
    2*) cat "$state/answer" ;;
    *) fail "$method $path answered $status: $(head -c 1000 "$state/answer")" ;;
  esac
}

exists() {
  [ "$(curl -sS -o "$state/answer" -w '%{http_code}' -H "Authorization: Bearer $(cat "$data/admin-token")" "$api$1")" = 200 ]
}

# create PATH-OF-THE-THING PATH-OF-THE-LIST JSON
create() {
  exists "$1" && return 0
  printf '%s' "$3" >"$state/body"
  call POST "$2" "$state/body" >/dev/null
  say "created $1"
}

create_app() {
  create /organizations/akkeris /organizations '{"name":"akkeris","description":"Made by quickstart.sh"}'
  create /spaces/default /spaces '{"name":"default","description":"Made by quickstart.sh"}'
  create /apps/hello-default /apps '{"org":"akkeris","name":"hello","space":"default"}'
  exists /apps/hello-default/formation/web && [ "$(jq -r .healthcheck "$state/answer")" = /health ] && return 0
  printf '{"type":"web","size":"gp1","quantity":1,"healthcheck":"/health"}' >"$state/body"
  call PATCH /apps/hello-default/formation/web "$state/body" >/dev/null
  say "web dynos are asked for /health before they get requests"
}

# The sample starts from busybox: pulled, or made from the Debian package where no registry answers.
need_base_image() {
  docker image inspect busybox:stable >/dev/null 2>&1 && return 0
  say "pulling busybox:stable"
  timeout 20 docker pull -q busybox:stable >/dev/null 2>&1 && return 0
  say "no registry answers: making busybox:stable from the Debian package busybox-static"
  local context
  context=$(mktemp -d)
  cp /bin/busybox "$context/busybox"
  printf '%s\n' 'FROM scratch' 'COPY busybox /bin/busybox' \
    'RUN ["/bin/busybox", "--install", "-s", "/bin"]' >"$context/Dockerfile"
  # No network: busybox installs itself from its own file.
  DOCKER_BUILDKIT=0 docker build -q --network none -t busybox:stable "$context" >"$state/base-image.log" 2>&1 ||
    { cat "$state/base-image.log" >&2; fail "busybox:stable cannot be made"; }
  rm -r "$context"
}

# Prints the lines of a build's log as they come, until it has ended.
follow_build() {
  local build=$1 seen=0 status lines
  while :; do
    call GET "/apps/hello-default/builds/$build/result" >"$state/result"
    lines=$(jq '.lines | length' "$state/result")
    jq -r --argjson seen "$seen" '.lines[$seen:][] | "    | " + .' "$state/result"
    seen=$lines
    status=$(jq -r .build.status "$state/result")
    case "$status" in
      queued | pending) sleep 0.2 ;;
      succeeded) return 0 ;;
      *) fail "the build is $status; the lines above say why" ;;
    esac
  done
}

# Shows each state of the release that a build led to, until it is in service.
follow_release() {
  local build=$1 before='' status tries
  for tries in $(seq 1 900); do
    call GET /apps/hello-default/releases |
      jq --arg build "$build" '[.[] | select(.slug.id == $build)] | last' >"$state/release"
    status=$(jq -r '.status // "not there yet"' "$state/release")
    [ "$status" = "$before" ] || say "release v$(jq -r '.version // "?"' "$state/release") is $status"
    before=$status
    case "$status" in
      succeeded) return 0 ;;
      failed) fail "the release failed: $(jq -c . "$state/release"); the daemon's log is $state/log" ;;
    esac
    sleep 0.1
  done
  fail "the release is still $before after $((tries / 10)) s"
}

deploy() {
  local build
  tar -czf "$state/source.tar.gz" -C examples/hello .
  {
    printf '{"org":"akkeris","version":"quickstart","checksum":"sha256:%s","url":"data:application/gzip;base64,' \
      "$(sha256sum "$state/source.tar.gz" | cut -d' ' -f1)"
    base64 -w 0 "$state/source.tar.gz"
    printf '"}'
  } >"$state/body"
  build=$(call POST /apps/hello-default/builds "$state/body" | jq -r .id)
  say "build $build"
  follow_build "$build"
  follow_release "$build"
}

fetch() {
  local version page
  version=v$(jq -r .version "$state/release")
  page=$(curl -sS --fail --max-time 10 --cacert "$data/ca/ca.crt" \
    --resolve "hello.localhost:$https_port:127.0.0.1" "https://hello.localhost:$https_port/")
  printf '%s\n' "$page" | sed 's/^/    | /'
  case "$page" in
    *"release $version"*) say "the page is that of release $version" ;;
    *) fail "the page is not that of release $version" ;;
  esac
}

summary() {
  cat <<END

Your app is on   https://hello.localhost:$https_port/
                 curl --cacert $data/ca/ca.crt --resolve hello.localhost:$https_port:127.0.0.1 https://hello.localhost:$https_port/
                 (a browser trusts it after importing $data/ca/ca.crt)
The API is on    $api
                 curl -H "Authorization: Bearer \$(cat $data/admin-token)" $api/apps
The token is in  $data/admin-token
The daemon       pid $(daemon_pid), log $state/log
Deploy again     $0
                 or push any repository with a Dockerfile; a token is the password:
                 git push http://x@127.0.0.1:$api_port/git/hello-default.git main
Look around      $daemon doctor --data-dir $data --api-addr 127.0.0.1:$api_port --http-addr 127.0.0.1:$http_port --https-addr 127.0.0.1:$https_port
Stop             $0 stop
END
}

need_root
if [ "${1:-}" = stop ]; then
  stop_daemon
  exit
fi
step "What this machine needs"
need_packages gcc libc6-dev curl ca-certificates jq tar busybox-static procps
# Recommended: with it, apps take git push.
command -v git >/dev/null || need_packages git
need_rust
need_docker
say "Docker Engine $(docker version -f '{{.Server.Version}}'), $(as_builder rustc --version)"
step "Building akkerisd (some minutes the first time)"
build_daemon
step "Starting akkerisd on loopback"
start_daemon
step "Deploying examples/hello from source"
need_base_image
create_app
deploy
step "Fetching it through the edge, over HTTPS"
fetch
summary
