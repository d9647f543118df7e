#!/usr/bin/env python3
"""Test vectors from python-paillier (`pip install phe==1.5.0`).

    python3 make_phe.py make  > phe.json           vectors that phe makes
    python3 make_phe.py check ours.json > out.json  adds what phe decrypts from our ciphertexts

`ours.json` comes from `cargo run -p subrosa-paillier --example vectors`, which encrypts under the keys in `phe.json`.
Numbers are decimal strings. Keys come from a seeded generator, so that the file can be made again.
"""
import json
import random
import sys

import phe
from phe import paillier


def prime(rng, bits):
    """A prime that is 3 modulo 4 with its upper two bits set."""
    while True:
        candidate = rng.getrandbits(bits) | 3 | 3 << (bits - 2)
        if paillier.is_prime(candidate) if hasattr(paillier, "is_prime") else phe.util.is_prime(candidate):
            return candidate


def make():
    rng = random.Random("subrosa paillier vectors")
    keys = []
    for bits in (512, 2048, 3072):
        p, q = prime(rng, bits // 2), prime(rng, bits // 2)
        public = paillier.PaillierPublicKey(p * q)
        n, top = public.n, (public.n - 1) // 2
        raw = []
        for m in (0, 1, -1, 2, top, -top, rng.randrange(n) - top, rng.getrandbits(64)):
            r = rng.randrange(1, n)
            raw.append({"m": str(m), "r": str(r), "c": str(public.raw_encrypt(m % n, r_value=r))})
        floats = []
        for value in (0.5, -0.125, 3.141592653589793, -1e-9, 123456.789, 1e20):
            number = public.encrypt(value)
            floats.append({"value": value.hex(), "exponent": number.exponent, "c": str(number.ciphertext())})
        a, b = public.encrypt(12345), public.encrypt(-678)
        operations = {
            "a": str(a.ciphertext()),
            "b": str(b.ciphertext()),
            "a_plus_b": str((a + b).ciphertext(be_secure=False)),
            "a_times_minus_7": str((a * -7).ciphertext(be_secure=False)),
        }
        keys.append({"p": str(p), "q": str(q), "n": str(n), "raw": raw, "floats": floats, "operations": operations})
    return {"phe": phe.__version__, "keys": keys}


def check(path):
    ours = json.load(open(path))
    for entry in ours["ciphertexts"]:
        p, q = int(entry["p"]), int(entry["q"])
        public = paillier.PaillierPublicKey(p * q)
        private = paillier.PaillierPrivateKey(public, p, q)
        m = private.raw_decrypt(int(entry["c"]))
        entry["phe_decrypts_to"] = str(m if m <= public.n // 2 else m - public.n)
    ours["phe"] = phe.__version__
    return ours


if __name__ == "__main__":
    result = check(sys.argv[2]) if sys.argv[1] == "check" else make()
    json.dump(result, sys.stdout, indent=1)
    print()
