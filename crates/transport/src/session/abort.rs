//! S8: a party gives up and tells the others why.

use serde::{Deserialize, Serialize};

use super::{ABORT_ROUND, Session};
use crate::{
    PartyId, Transport,
    error::{Cause, Violation},
    frame::Kind,
};

/// The longest reason, in bytes of UTF-8; a longer one is cut.
pub(crate) const MAX_REASON_BYTES: usize = 512;

/// The longest payload of an abort. A longer one counts as malformed.
const MAX_ABORT_BYTES: usize = 8 * 1024;

#[derive(Debug, Serialize, Deserialize)]
struct Abort {
    reason: String,
    culprits: Vec<PartyId>,
}

impl<T: Transport> Session<T> {
    /// Ends the session and tells every party that can be reached why. Does nothing if the session has ended already.
    ///
    /// The reason is cut at 512 bytes. `culprits` are the parties that this party blames; unknown ones are left out.
    ///
    /// # Security
    /// The reason goes to all parties. It must hold no secret.
    pub fn abort(&mut self, reason: &str, culprits: &[PartyId]) {
        if self.closed {
            return;
        }
        self.closed = true;
        let culprits = culprits.iter().copied().filter(|&party| self.roster.contains(party)).collect();
        let abort = Abort { reason: clean(reason), culprits };
        let mut frame = self.header(Kind::Abort, self.step, ABORT_ROUND).encode().to_vec();
        let Ok(payload) = postcard::to_stdvec(&abort) else { return };
        frame.extend_from_slice(&payload);
        for party in self.roster.others() {
            // Best effort: a party that cannot be reached notices by its own deadline.
            let _ = self.send_frame(party, ABORT_ROUND, &frame);
        }
    }

    /// Reads a peer's abort.
    pub(super) fn read_abort(&self, payload: &[u8]) -> Cause {
        if payload.len() > MAX_ABORT_BYTES {
            return Cause::Violation(Violation::Oversized { bytes: payload.len(), limit: MAX_ABORT_BYTES });
        }
        match postcard::take_from_bytes::<Abort>(payload) {
            Ok((Abort { reason, mut culprits }, [])) => {
                culprits.retain(|&party| self.roster.contains(party));
                culprits.sort_unstable();
                culprits.dedup();
                Cause::Aborted { reason: clean(&reason), culprits }
            }
            _ => Cause::Violation(Violation::Undecodable),
        }
    }
}

/// Makes a text from or for others fit for a log. It is cut, and characters that control or disguise the display are
/// replaced.
pub(crate) fn clean(text: &str) -> String {
    let mut end = text.len().min(MAX_REASON_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let disguises = |c: char| {
        matches!(
            c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
        )
    };
    // U+FFFD has three bytes and would make the text longer; '?' does not.
    text[..end].chars().map(|c| if c.is_control() || disguises(c) { '?' } else { c }).collect()
}
