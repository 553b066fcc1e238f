#!/bin/sh
# Founds the gateway of compose.yaml, step by step; each step is skipped where it was done before, so a second run, and a run after
# one that was cut off, end the same way.
set -eu
home=${SINERGI_HOME:-/var/lib/sinergi}
agencies=${AGENCIES_HOME:-/var/lib/agency}
secrets=${SINERGI_SECRETS_DIR:-/run/secrets}
agreement=${AGREEMENT_FILE:-/opt/agreements/pks-banten-2025.yaml}
host=${DATABASE_HOST:-database}
export SINERGI_CONFIG="$home/sinergi.toml"
umask 077

if [ -f "$SINERGI_CONFIG" ]; then
    sinergi migrate
    admitted=$(sinergi agencies list) keys=$(sinergi keys list) active=$(sinergi agreement list)
else
    sinergi init "$home" --public-url http://gateway:8080 --passphrase-file "$secrets/keys" \
        --database-url "postgresql://sinergi@/sinergi?host=$host" --database-password-file "$secrets/database" \
        --database-owner-url "postgresql://sinergi_owner@/sinergi?host=$host" \
        --database-owner-password-file "$secrets/database-owner"
    admitted='' keys='' active=''
fi

# Whether a line of the table $1 begins with $2.
has() { printf '%s\n' "$1" | grep -q "^$2 "; }

admit() {
    agency=$1 name=$2 own=$agencies/$1
    has "$admitted" "$agency" || sinergi agencies add "$agency" --name "$name" --why trial
    [ -s "$own/pass" ] || head -c 24 /dev/urandom | base64 > "$own/pass"
    # The public half is written last: without it the pair is made again.
    if [ ! -s "$own/key.jwk" ]; then
        rm -f "$own/key.pem"
        sinergi keys generate "$own/key.pem" --passphrase-file "$own/pass" --out "$own/key.jwk"
    fi
    has "$keys" "$agency" || sinergi keys import "$agency" "$own/key.jwk" --why trial
    [ -s "$own/agreement.jws" ] || sinergi agreement sign "$agreement" --as "$agency" --key "file:$own/key.pem" \
        --passphrase-file "$own/pass" --out "$own/agreement.jws"
}
admit imigrasi-banten 'Kanwil Ditjen Imigrasi Banten'
admit polda-banten 'Polda Banten'

has "$active" pks-banten-2025 || sinergi agreement activate "$agreement" --why trial \
    --signature "$agencies/imigrasi-banten/agreement.jws" --signature "$agencies/polda-banten/agreement.jws"
