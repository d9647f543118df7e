#!/usr/bin/env python3
"""Makes wire.hex: the frames of tests/suite/wire.rs, computed independently of the library.

Written from docs/protocols/session.md; needs Python 3 only. Run: python3 wire.py > wire.hex
"""
from hashlib import sha256


def varint(number):
    out = b""
    while number >= 0x80:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def text(string):
    return varint(len(string.encode())) + string.encode()


def fields(label, *parts):
    """SHA-256 over the label and the parts, each with its length in 8 bytes, little-endian."""
    data = b""
    for part in (label.encode(),) + parts:
        if isinstance(part, str):
            part = part.encode()
        if isinstance(part, int):
            part = part.to_bytes(8, "little")
        data += len(part).to_bytes(8, "little") + part
    return sha256(data).digest()


def frame(kind, sender, step, session, transcript, round_name, payload=b""):
    tag = sha256(b"subrosa round v1" + round_name.encode()).digest()[:8]
    return (b"SUBR" + bytes([1, kind]) + sender.to_bytes(2, "little") + step.to_bytes(4, "little")
            + session + transcript + tag + payload)


NAMES = ["anna", "bert"]
NONCES = [bytes([1] * 32), bytes([2] * 32)]
PROTOCOL, VERSION = "test", 7
PARAMETERS = [("key_bits", "2048")]
ME = 1
ZERO = bytes(32)

names = fields("subrosa roster names v1", 2, *NAMES)
identities = fields("subrosa roster identities v1", 2, *NAMES)  # identities are the names here
hello = text(PROTOCOL) + varint(VERSION) + names + identities + varint(len(PARAMETERS))
for name, value in PARAMETERS:
    hello += text(name) + text(value)
hello += NONCES[ME]
print(frame(0, ME, 0, ZERO, ZERO, "session/open", hello).hex())

parts = [PROTOCOL, VERSION, len(PARAMETERS)]
for name, value in PARAMETERS:
    parts += [name, value]
parts.append(len(NAMES))
for name in NAMES:
    parts += [name, name]
session = fields("subrosa session v1", *parts, *NONCES)
transcript = fields("subrosa transcript v1", session)
print(frame(2, ME, 1, session, transcript, "session/open").hex())

messages = [varint(2) + varint(300) + varint(party) for party in range(2)]
print(frame(1, ME, 2, session, transcript, "test/numbers", messages[ME]).hex())
digests = [sha256(message).digest() for message in messages]
transcript = fields("subrosa broadcast v1", transcript, 2, "test/numbers", 2, *digests)

print(frame(1, ME, 3, session, transcript, "test/note", varint(ME) + varint(0)).hex())
print(frame(2, ME, 4, session, transcript, "session/confirm").hex())
abort = text("that's all") + varint(1) + varint(0)
print(frame(3, ME, 5, session, transcript, "session/abort", abort).hex())
