"""Writes sealed.hex by independent implementations: Argon2id and ChaCha20-Poly1305 of OpenSSL, HChaCha20 as in
draft-irtf-cfrg-xchacha-03. Needs the package `cryptography`."""

import hashlib
import struct
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id


def hchacha20(key, nonce):
    state = list(struct.unpack("<16I", b"expand 32-byte k" + key + nonce))

    def quarter(a, b, c, d):
        for x, y, z, shift in [(a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)]:
            state[x] = (state[x] + state[y]) & 0xFFFFFFFF
            mixed = state[z] ^ state[x]
            state[z] = (mixed << shift | mixed >> (32 - shift)) & 0xFFFFFFFF

    for _ in range(10):
        for i in range(4):
            quarter(i, 4 + i, 8 + i, 12 + i)
        for i in range(4):
            quarter(i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4)
    return struct.pack("<8I", *state[:4], *state[12:])


# The example of the draft, section 2.2.1.
example = hchacha20(bytes(range(32)), bytes.fromhex("000000090000004a0000000031415927"))
assert example.hex() == "82413b4227b27bfed30e42508a877d73a0f9e4d58a74a853c12ec41326d3ecdc"

contents, passphrase = b"the contents of a file", b"correct horse battery staple"
salt, nonce = bytes(range(16)), bytes(range(100, 124))
key = Argon2id(salt=salt, length=32, iterations=1, lanes=2, memory_cost=32).derive(passphrase)
file = b"TESTFILE" + struct.pack("<HB", 5, 2) + bytes([1, 2, 3])
file += struct.pack("<I", 12 + 16 + 24 + len(contents) + 16)
file += struct.pack("<III", 32, 1, 2) + salt + nonce
file += ChaCha20Poly1305(hchacha20(key, nonce[:16])).encrypt(bytes(4) + nonce[16:], contents, file)
file += hashlib.sha256(file).digest()
Path(__file__).with_name("sealed.hex").write_text(file.hex() + "\n")
