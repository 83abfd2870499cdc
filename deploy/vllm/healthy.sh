#!/bin/sh
# Tells whether vLLM answers; with a number of seconds, waits for it so long.
set -eu
python=${SERVE_PYTHON:-python3}
url="http://${SERVE_HOST:-127.0.0.1}:${SERVE_PORT:-8000}/health"
left=${1:-0}
until "$python" -c 'import sys, urllib.request as r; r.urlopen(sys.argv[1], timeout=5)' "$url" 2>/dev/null; do
  [ "$left" -gt 0 ] || { echo "vLLM does not answer $url" >&2; exit 1; }
  left=$((left - 2))
  sleep 2
done
