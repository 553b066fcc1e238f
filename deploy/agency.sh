#!/bin/sh
# A demo agency: takes what is waiting, keeps it in inbox/, signs for it, again and again. An agency's own program does this
# with gateway.client, in one process; see docs/howto/send-and-receive.md.
set -u
home=${AGENCY_HOME:-/var/lib/agency}
trap 'exit 0' TERM INT
while :; do
    sinergi receive --wait 20 --out "$home/inbox" --acknowledge delivered --as "$AGENCY" --key "file:$home/key.pem" \
        --passphrase-file "$home/pass" --gateway "$GATEWAY" &
    if wait $!; then touch "$home/alive"; else sleep 2; fi
done
