//! How the bytes of an input spoil frames and files.

/// What is done to one frame.
#[derive(Debug)]
pub(super) struct Spoiled {
    /// Which frame.
    nth: usize,
    /// Where in the frame.
    at: usize,
    bytes: Vec<u8>,
    /// 0: overwrite; 1: cut there; 2: insert there; 3: the frame is these bytes; 4: send it twice.
    how: u8,
}

impl Spoiled {
    /// Splits an input: number of the frame, place, manner, length and bytes of each.
    pub(super) fn all(mut input: &[u8]) -> Vec<Self> {
        let mut all = Vec::new();
        while let [nth, high, low, how, length, rest @ ..] = input {
            let (bytes, rest) = rest.split_at(usize::from(*length).min(rest.len()));
            let (nth, at) = (usize::from(*nth), usize::from(u16::from_be_bytes([*high, *low])));
            all.push(Self { nth, at, bytes: bytes.to_vec(), how: how % 5 });
            input = rest;
        }
        all
    }

    /// Spoils a frame; how often it comes.
    pub(super) fn apply(all: &[Self], nth: usize, frame: &mut Vec<u8>) -> usize {
        let mut times = 1;
        for Self { at, bytes, how, .. } in all.iter().filter(|spoiled| spoiled.nth == nth) {
            let at = (*at).min(frame.len());
            match how {
                0 => frame[at..].iter_mut().zip(bytes).for_each(|(byte, new)| *byte = *new),
                1 => frame.truncate(at),
                2 => drop(frame.splice(at..at, bytes.iter().copied())),
                3 => *frame = bytes.clone(),
                _ => times += 1,
            }
        }
        times
    }
}

/// Overwrites places of a valid file: place, length and bytes of each patch; no bytes cut it there.
pub fn patched(valid: &[u8], mut input: &[u8]) -> Vec<u8> {
    let mut bytes = valid.to_vec();
    while let [high, low, length, rest @ ..] = input {
        let (patch, rest) = rest.split_at(usize::from(*length).min(rest.len()));
        let at = usize::from(u16::from_be_bytes([*high, *low])) % (bytes.len() + 1);
        if patch.is_empty() {
            bytes.truncate(at);
        }
        bytes[at..].iter_mut().zip(patch).for_each(|(byte, new)| *byte = *new);
        input = rest;
    }
    bytes
}
