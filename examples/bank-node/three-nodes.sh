#!/bin/sh
# Runs three banks on this machine, each in a process of its own, over TLS on the loopback interface; then runs the example
# three-banks, all in one process, on the same data with the same settings, and compares every score.
#
#   ./three-nodes.sh [FOLDER] [DATA]
#
# FOLDER takes certificates, keys, configurations, logs and scores (default: a fresh temporary folder); DATA holds one
# folder per bank (default: the data packaged with three-banks). Settings come from the environment:
#   KEY_BITS=2048  ITERATIONS=3  ACCURACY=1e-6  FIRST_PORT=7101
# and so do programs that are built already: BANK_NODE, and THREE_BANKS if it does not lie beside it.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
folder=${1:-$(mktemp -d)}
data=${2:-$here/../three-banks/data}
mkdir -p "$folder/scores"
folder=$(cd "$folder" && pwd)
data=$(cd "$data" && pwd)
banks=$(cd "$data" && ls -d */ | tr -d /)
bits=${KEY_BITS:-2048}
iterations=${ITERATIONS:-3}
accuracy=${ACCURACY:-1e-6}
first_port=${FIRST_PORT:-7101}

if [ -z "${BANK_NODE:-}" ]; then
    cargo build --release --manifest-path "$here/../../Cargo.toml" --package bank-node --package three-banks
    BANK_NODE=${CARGO_TARGET_DIR:-$here/../../target}/release/bank-node
fi
THREE_BANKS=${THREE_BANKS:-$(dirname "$BANK_NODE")/three-banks}
for program in "$BANK_NODE" "$THREE_BANKS"; do
    command -v "$program" > /dev/null || { echo "there is no program $program"; exit 1; }
done

[ -e "$folder/certs/ca.pem" ] || "$BANK_NODE" certs make --out "$folder/certs" $banks

# The port of a bank, by its place in the list.
port_of() {
    port=$first_port
    for other in $banks; do
        [ "$other" = "$1" ] && break
        port=$((port + 1))
    done
    echo "$port"
}

for bank in $banks; do
    [ -e "$folder/$bank.passphrase" ] || (umask 077; od -An -N 16 -tx1 /dev/urandom | tr -d ' ' > "$folder/$bank.passphrase")
    {
        echo "name = \"$bank\""
        echo "listen = \"127.0.0.1:$(port_of "$bank")\""
        echo "data = \"$data\""
        echo "key_file = \"$bank.key\""
        echo "passphrase_file = \"$bank.passphrase\""
        echo "output = \"scores/$bank.csv\""
        echo "checkpoints = \"checkpoints/$bank\""
        echo "audit = \"$bank.audit.jsonl\""
        echo "tls = { certificate = \"certs/$bank.pem\", key = \"certs/$bank-key.pem\", authority = \"certs/ca.pem\" }"
        echo "key = { bits = $bits, insecure = $([ "$bits" -lt 2048 ] && echo true || echo false) }"
        echo "settings = { iterations = $iterations, accuracy = $accuracy }"
        for peer in $banks; do
            [ "$peer" = "$bank" ] && continue
            echo "[[peers]]"
            echo "name = \"$peer\""
            echo "address = \"127.0.0.1:$(port_of "$peer")\""
        done
    } > "$folder/$bank.toml"
done

pids=
trap '[ -z "$pids" ] || kill $pids 2> /dev/null || true' EXIT
trap 'exit 130' INT TERM
for bank in $banks; do
    "$BANK_NODE" --config "$folder/$bank.toml" 2> "$folder/$bank.log" &
    pids="$pids $!"
done
failed=0
for pid in $pids; do
    wait "$pid" || failed=1
done
pids=
if [ "$failed" -ne 0 ]; then
    for bank in $banks; do
        echo "--- $bank"
        tail -n 5 "$folder/$bank.log"
    done
    exit 1
fi
echo "scores: $folder/scores"

# The other way to the same scores. Each run has a key and noise of its own: see the command `compare`.
if ! "$THREE_BANKS" --data "$data" --key-bits "$bits" --iterations "$iterations" --accuracy "$accuracy" \
    --output "$folder/three-banks" > "$folder/three-banks.log" 2>&1; then
    echo "--- three-banks"
    tail -n 5 "$folder/three-banks.log"
    exit 1
fi
"$BANK_NODE" compare --accuracy "$accuracy" "$folder/scores" "$folder/three-banks"
