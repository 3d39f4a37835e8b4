#!/usr/bin/env bash
# Sends generated requests to a real daemon, as its OpenAPI document allows and forbids them: no answer may be a
# fault of the server, or one that the document does not describe.
#   tests/schemathesis.sh [EXAMPLES]    130 examples an operation are more than 10,000 requests
set -euo pipefail
cd "$(dirname "$0")/.."

examples=${1:-130}
binary=$PWD/target/debug/akkerisd
tools=$PWD/target/schemathesis
folder=$(mktemp -d)
token=$(head -c 24 /dev/urandom | base64 | tr -d '+/=')
daemon=

finish() {
  if [ -n "$daemon" ]; then
    kill "$daemon" 2>/dev/null || true
    wait "$daemon" 2>/dev/null || true
  fi
  rm -rf "$folder"
}
trap finish EXIT

[ -x "$binary" ] || cargo build --locked
if [ ! -x "$tools/bin/schemathesis" ]; then
  python3 -m venv "$tools"
  "$tools/bin/pip" install --quiet schemathesis==4.32.5
fi

ports=$(python3 -c '
import socket
held = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
print(*(server.getsockname()[1] for server in held))')
read -r api http https <<<"$ports"
AKKERISD_ADMIN_TOKEN=$token "$binary" serve --data-dir "$folder/data" --api-addr "127.0.0.1:$api" \
  --http-addr "127.0.0.1:$http" --https-addr "127.0.0.1:$https" >"$folder/log" 2>&1 &
daemon=$!
if ! curl --silent --fail --retry 50 --retry-delay 1 --retry-connrefused --max-time 60 \
  "http://127.0.0.1:$api/octhc" >/dev/null; then
  cat "$folder/log" >&2
  exit 1
fi
# An app whose name is the example of the document, so that requests find something.
curl --silent --fail --output /dev/null -H "Authorization: Bearer $token" "http://127.0.0.1:$api/apps" \
  -d '{"org":"akkeris","name":"events","space":"default"}'

# It leaves its notes in the present folder.
cd "$folder"
checks=not_a_server_error,response_schema_conformance,status_code_conformance,content_type_conformance
# generate OPTION…: the same for a part of the operations.
generate() {
  "$tools/bin/schemathesis" run "http://127.0.0.1:$api/openapi.json" -H "Authorization: Bearer $token" \
    --checks "$checks" --phases examples,coverage,fuzzing --max-examples "$examples" --request-timeout 10 \
    --suppress-health-check all --no-color "$@"
}
# What ends tokens comes last: it finds the one that it is asked with.
generate --exclude-operation-id delete_authorization
generate --include-operation-id delete_authorization
if grep -E '"?(ERROR|panicked)' "$folder/log"; then
  echo "the daemon logged a fault, see above" >&2
  exit 1
fi
