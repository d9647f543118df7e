//! The frame on the wire: a fixed header, then the payload.
//!
//! | bytes | field |
//! | --- | --- |
//! | 0–3 | magic `SUBR` |
//! | 4 | version of this format, 1 |
//! | 5 | kind |
//! | 6–7 | sender's place in the roster, little-endian |
//! | 8–11 | step, little-endian |
//! | 12–43 | session id |
//! | 44–75 | sender's transcript |
//! | 76–83 | tag of the round's name |
//! | 84– | payload |

use sha2::{Digest, Sha256};

use crate::{PartyId, error::Violation};

/// The length of a frame's header, in bytes.
pub const HEADER_BYTES: usize = 84;

/// The version of the frame format.
pub const FRAME_VERSION: u8 = 1;

const MAGIC: [u8; 4] = *b"SUBR";

/// Id in frames of round 0 and outside a session.
pub(crate) const NO_SESSION: [u8; 32] = [0; 32];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Round 0 of a session.
    Hello = 0,
    /// The message of a typed round.
    Message = 1,
    /// An explicit confirmation of the transcript; no payload.
    Echo = 2,
    /// The sender gives up.
    Abort = 3,
}

impl Kind {
    fn from_byte(byte: u8) -> Result<Self, Violation> {
        match byte {
            0 => Ok(Self::Hello),
            1 => Ok(Self::Message),
            2 => Ok(Self::Echo),
            3 => Ok(Self::Abort),
            kind => Err(Violation::UnknownKind { kind }),
        }
    }
}

/// Tag of a round's name, 8 bytes. Names are constants of the program, so a short hash is enough.
pub(crate) type RoundTag = [u8; 8];

/// Computes the tag that names a round in every frame, at bytes 76 to 83 of the header.
#[must_use]
pub fn round_tag(name: &str) -> [u8; 8] {
    let mut hash = Sha256::new();
    hash.update(b"subrosa round v1");
    hash.update(name.as_bytes());
    let digest: [u8; 32] = hash.finalize().into();
    let mut tag = [0; 8];
    tag.copy_from_slice(&digest[..8]);
    tag
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    pub(crate) sender: PartyId,
    pub(crate) step: u32,
    pub(crate) session: [u8; 32],
    pub(crate) transcript: [u8; 32],
    pub(crate) tag: RoundTag,
}

impl Header {
    pub(crate) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4] = FRAME_VERSION;
        bytes[5] = self.kind as u8;
        bytes[6..8].copy_from_slice(&self.sender.wire().to_le_bytes());
        bytes[8..12].copy_from_slice(&self.step.to_le_bytes());
        bytes[12..44].copy_from_slice(&self.session);
        bytes[44..76].copy_from_slice(&self.transcript);
        bytes[76..84].copy_from_slice(&self.tag);
        bytes
    }

    /// Splits a frame into its header and payload.
    pub(crate) fn parse(frame: &[u8]) -> Result<(Self, &[u8]), Violation> {
        let Some((header, payload)) = frame.split_first_chunk::<HEADER_BYTES>() else {
            return Err(Violation::TooShort { bytes: frame.len() });
        };
        if header[..4] != MAGIC {
            return Err(Violation::BadMagic);
        }
        if header[4] != FRAME_VERSION {
            return Err(Violation::UnknownVersion { version: header[4] });
        }
        let parsed = Self {
            kind: Kind::from_byte(header[5])?,
            sender: PartyId::new(u16::from_le_bytes(take(header, 6))),
            step: u32::from_le_bytes(take(header, 8)),
            session: take(header, 12),
            transcript: take(header, 44),
            tag: take(header, 76),
        };
        Ok((parsed, payload))
    }
}

/// Reads `N` bytes at a constant offset within the header.
fn take<const N: usize>(header: &[u8; HEADER_BYTES], at: usize) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&header[at..at + N]);
    bytes
}
