#!/bin/sh
# Writes a page that names its release, and serves it on the port that the platform asks for.
set -eu

release=${AKKERIS_RELEASE:-unknown}
cat > www/index.html <<PAGE
<!doctype html>
<title>hello</title>
<h1>Hello from release $release</h1>
<p>App ${AKKERIS_APPLICATION:-unknown}, dyno $(hostname).</p>
PAGE

echo "hello: release $release listens on port ${PORT:=9000}"
busybox httpd -f -p "$PORT" -h www &
server=$!
# A shell that is the first process of its container hears of SIGTERM only through a trap.
trap 'kill "$server"' TERM INT
wait "$server" || true
