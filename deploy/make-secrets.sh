#!/bin/sh
# Makes the random passwords that compose.yaml names, for their owner alone. Keeps those that are there.
set -eu
umask 077
directory=${1:-$(dirname "$0")/secrets}
mkdir -p "$directory"
for name in keys database database-owner database-superuser; do
    # Hexadecimal: no character that a shell, a URL or SQL would take for its own.
    test -s "$directory/$name" || head -c 24 /dev/urandom | od -An -v -tx1 | tr -d ' \n' > "$directory/$name"
done
if [ "$(id -u)" = 0 ]; then
    # Nothing runs as root, PostgreSQL least of all.
    chown -R "${SINERGI_UID:-1000}:${SINERGI_GID:-1000}" "$directory"
elif [ "$(id -u):$(id -g)" != 1000:1000 ]; then
    echo "The containers must run as the owner of the secrets:" >&2
    echo "  export SINERGI_UID=$(id -u) SINERGI_GID=$(id -g)" >&2
fi
