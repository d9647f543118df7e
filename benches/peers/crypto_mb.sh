#!/usr/bin/env bash
# Builds the powers of Intel's crypto_mb from a source folder, times them in turns with ours, and prints the ratios. Needs a
# C compiler that knows AVX-512 IFMA, and a processor that has it. Nothing else needs this.
#
#   benches/peers/crypto_mb.sh FOLDER
#
# FOLDER is `sources/ippcp/crypto_mb` of the repository intel/cryptography-primitives (measured with 2024's sources).
set -euo pipefail
source=$(cd "${1:?the folder sources/ippcp/crypto_mb}" && pwd)
cd "$(dirname "$0")/../.."
build=$(mktemp -d)
trap 'rm -r "$build"' EXIT

# The flags of its own build for this instruction set; without the dispatcher, functions keep their names.
flags=(-O3 -std=gnu99 -DNDEBUG -D_MBX=2 -DBN_OPENSSL_DISABLE '-DOWNAPI(name)=name' -march=icelake-server -fno-strict-aliasing
  -falign-functions=32 -falign-loops=32 -w -I"$source/include" -I"$source/include/internal" -I"$source/src")
for file in "$source"/src/common/ifma_cvt52.c "$source"/src/exp/*.c "$source"/src/rsa/ifma_exp52x??_mb8.c \
  "$source"/src/rsa/ifma_other52x_mb8.c "$source"/src/rsa/ifma_div_104_by_52.c "$source"/src/rsa/internal_avx512/*.c \
  benches/peers/crypto_mb.c; do
  ${CC:-cc} "${flags[@]}" -c -o "$build/$(basename "$file").o" "$file"
done
${CC:-cc} -o "$build/powers" "$build"/*.o

cargo bench -q -p subrosa-benches --bench arith --no-run
ours() { cargo bench -q -p subrosa-benches --bench arith -- batches 2>/dev/null; }
for round in 1 2 3; do
  "$build/powers" | sed 's/^/crypto_mb /'
  ours | sed -n 's/^| 8 powers, one secret exponent, \([0-9]*\) bits | \([0-9.]*\) ms .*/ours \1 \2/p'
done | awk '
  # The least of the rounds.
  { place = $1 " " $2; if (!(place in least) || $3 < least[place]) least[place] = $3 }
  END {
    for (bits = 2048; bits <= 4096; bits += 2048) {
      ours = least["ours " bits]; theirs = least["crypto_mb " bits]
      printf "%d bits, a batch of eight: ours %.2f ms, crypto_mb %.2f ms, ratio %.2f\n", bits, ours, theirs, ours / theirs
    }
  }'
