#!/bin/sh
# Runs three banks on this machine, each in a process of its own, over TLS on the loopback interface.
#
#   ./three-nodes.sh [FOLDER] [DATA]
#
# FOLDER takes certificates, keys, configurations, logs and scores (default: a fresh temporary folder); DATA holds one
# folder per bank (default: the data packaged with three-banks). Settings come from the environment:
#   KEY_BITS=2048  ITERATIONS=3  FIRST_PORT=7101
set -eu

here=$(cd "$(dirname "$0")" && pwd)
folder=${1:-$(mktemp -d)}
data=${2:-$here/../three-banks/data}
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
data=$(cd "$data" && pwd)
banks=$(cd "$data" && ls -d */ | tr -d /)
bits=${KEY_BITS:-2048}

if [ -z "${BANK_NODE:-}" ]; then
    (cd "$here" && cargo build --release --package bank-node)
    target=${CARGO_TARGET_DIR:-$here/../../target}
    BANK_NODE=$target/release/bank-node
fi

[ -e "$folder/certs/ca.pem" ] || "$BANK_NODE" certs make --out "$folder/certs" $banks

port=${FIRST_PORT:-7101}
for bank in $banks; do
    eval "port_$bank=$port"
    port=$((port + 1))
done
for bank in $banks; do
    eval "own=\$port_$bank"
    [ -e "$folder/$bank.passphrase" ] || (umask 077; od -An -N 16 -tx1 /dev/urandom | tr -d ' ' > "$folder/$bank.passphrase")
    {
        echo "name = \"$bank\""
        echo "listen = \"127.0.0.1:$own\""
        echo "data = \"$data\""
        echo "key_file = \"$bank.key\""
        echo "passphrase_file = \"$bank.passphrase\""
        echo "output = \"scores/$bank.csv\""
        echo "checkpoints = \"checkpoints/$bank\""
        echo "audit = \"$bank.audit.jsonl\""
        echo "tls = { certificate = \"certs/$bank.pem\", key = \"certs/$bank-key.pem\", authority = \"certs/ca.pem\" }"
        echo "key = { bits = $bits, insecure = $([ "$bits" -lt 2048 ] && echo true || echo false) }"
        echo "settings = { iterations = ${ITERATIONS:-3} }"
        for peer in $banks; do
            [ "$peer" = "$bank" ] && continue
            eval "theirs=\$port_$peer"
            echo "[[peers]]"
            echo "name = \"$peer\""
            echo "address = \"127.0.0.1:$theirs\""
        done
    } > "$folder/$bank.toml"
done
mkdir -p "$folder/scores"

pids=
for bank in $banks; do
    "$BANK_NODE" --config "$folder/$bank.toml" 2> "$folder/$bank.log" &
    pids="$pids $!"
done
trap 'kill $pids 2> /dev/null || true' INT TERM
failed=0
for pid in $pids; do
    wait "$pid" || failed=1
done
if [ "$failed" -ne 0 ]; then
    for bank in $banks; do
        echo "--- $bank"
        tail -n 5 "$folder/$bank.log"
    done
    exit 1
fi
echo "scores: $folder/scores"
