//! What the engine carries: records of one shard for another, in one piece.

use std::collections::VecDeque;

use zeroize::Zeroize;

use subrosa_risk_propagation::shards::{Record, Shard, Shards, Step, Tally};

/// A parcel with this many bytes goes on its way.
const FULL: usize = 64 << 10;

/// With this many bytes in parcels that are not full, all go on their way.
const BUFFERED: usize = 4 << 20;

/// Sender, receiver, round, step.
const HEADER: usize = 9;

const RECORD: u8 = 0;
const END: u8 = 1;
const LEFT: u8 = 2;

/// Bytes from one shard to another: a header and frames. Wiped when dropped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parcel {
    bytes: Vec<u8>,
}

impl Drop for Parcel {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

/// The places of sender and receiver, which may be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) from: u16,
    pub(crate) to: u16,
    pub(crate) round: u32,
    pub(crate) step: Step,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    Record(Record),
    End(Tally),
    Left(Left),
}

/// How a shard left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    Ended,
    Failed,
}

impl Parcel {
    fn new(from: Shard, to: Shard, round: u32, step: Step) -> Self {
        let mut bytes = Vec::with_capacity(HEADER + 64);
        bytes.extend(from.to_u16().to_le_bytes());
        bytes.extend(to.to_u16().to_le_bytes());
        bytes.extend(round.to_le_bytes());
        bytes.push(u8::from(step == Step::Shuffle));
        Self { bytes }
    }

    /// Tells another shard that this one has left.
    pub(crate) fn left(from: Shard, to: Shard, round: u32, how: Left) -> Self {
        let mut parcel = Self::new(from, to, round, Step::Shuffle);
        parcel.bytes.extend([LEFT, u8::from(how == Left::Failed)]);
        parcel
    }

    pub(crate) fn from_bytes(bytes: Vec<u8>) -> Self {
        Self { bytes }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn header(&self) -> Result<Header, &'static str> {
        let header = self.bytes.first_chunk::<HEADER>().ok_or("a parcel without a header")?;
        let [f0, f1, t0, t1, r0, r1, r2, r3, step] = *header;
        let step = match step {
            0 => Step::Gather,
            1 => Step::Shuffle,
            _ => return Err("a parcel of an unknown step"),
        };
        Ok(Header {
            from: u16::from_le_bytes([f0, f1]),
            to: u16::from_le_bytes([t0, t1]),
            round: u32::from_le_bytes([r0, r1, r2, r3]),
            step,
        })
    }

    /// The frames in order, up to the first that does not decode.
    pub(crate) fn frames(&self) -> impl Iterator<Item = Result<Frame, &'static str>> {
        let mut rest = self.bytes.get(HEADER..).unwrap_or_default();
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let frame = take_frame(&mut rest);
            if frame.is_err() {
                rest = &[];
            }
            Some(frame)
        })
    }
}

fn take_frame(rest: &mut &[u8]) -> Result<Frame, &'static str> {
    const CUT: &str = "a frame that is cut off";
    match take::<1>(rest).ok_or(CUT)? {
        [RECORD] => {
            let [kind, length @ ..] = take::<5>(rest).ok_or(CUT)?;
            let length = usize::try_from(u32::from_le_bytes(length)).map_err(|_| CUT)?;
            let (bytes, after) = rest.split_at_checked(length).ok_or(CUT)?;
            *rest = after;
            Record::new(kind, bytes.to_vec()).map(Frame::Record).map_err(|_| "a record over the limit")
        }
        [END] => Ok(Frame::End(Tally::from_bytes(take(rest).ok_or(CUT)?))),
        [LEFT] => match take(rest).ok_or(CUT)? {
            [0] => Ok(Frame::Left(Left::Ended)),
            [1] => Ok(Frame::Left(Left::Failed)),
            _ => Err("a shard that left in an unknown way"),
        },
        _ => Err("a frame of an unknown kind"),
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (first, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(*first)
}

/// Puts the records of one shard in one round into parcels.
#[derive(Debug)]
pub(crate) struct Packing {
    me: Shard,
    round: u32,
    step: Step,
    /// By receiver: the parcel that is being filled.
    open: Vec<Option<Parcel>>,
    buffered: usize,
    tallies: Vec<Tally>,
    /// Parcels that may go, in order.
    pub(crate) ready: VecDeque<Parcel>,
}

impl Packing {
    pub(crate) fn new(me: Shard, shards: Shards, round: u32, step: Step) -> Self {
        let count = shards.count();
        Self {
            me,
            round,
            step,
            open: vec![None; count],
            buffered: 0,
            tallies: vec![Tally::default(); count],
            ready: VecDeque::new(),
        }
    }

    /// Adds a record for a shard; the shard must exist.
    pub(crate) fn record(&mut self, to: Shard, record: &Record) {
        let Some(tally) = self.tallies.get_mut(to.index()) else { return };
        tally.count(record);
        // A record's length fits by its limit.
        let length = u32::try_from(record.bytes().len()).unwrap_or(u32::MAX).to_le_bytes();
        self.append(to, &[&[RECORD, record.kind()], &length, record.bytes()]);
        if self.buffered >= BUFFERED {
            self.flush();
        }
    }

    /// Adds the end of the round for all shards, and lets everything go.
    pub(crate) fn end(&mut self, shards: Shards) {
        for (to, tally) in shards.iter().zip(self.tallies.clone()) {
            self.append(to, &[&[END], &tally.to_bytes()]);
        }
        self.flush();
    }

    fn append(&mut self, to: Shard, parts: &[&[u8]]) {
        let Some(open) = self.open.get_mut(to.index()) else { return };
        let parcel = open.get_or_insert_with(|| Parcel::new(self.me, to, self.round, self.step));
        let added: usize = parts.iter().map(|part| part.len()).sum();
        if parcel.bytes.capacity() < parcel.bytes.len() + added {
            // Growing in place would leave copies behind that are not wiped.
            let mut grown = Vec::with_capacity((parcel.bytes.len() + added).next_power_of_two());
            grown.extend_from_slice(&parcel.bytes);
            *parcel = Parcel { bytes: grown };
        }
        parts.iter().for_each(|part| parcel.bytes.extend_from_slice(part));
        self.buffered += added;
        if parcel.bytes.len() >= FULL
            && let Some(parcel) = open.take()
        {
            self.buffered = self.buffered.saturating_sub(parcel.bytes.len());
            self.ready.push_back(parcel);
        }
    }

    fn flush(&mut self) {
        self.ready.extend(self.open.iter_mut().filter_map(Option::take));
        self.buffered = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places() -> (Shards, Shard, Shard) {
        let shards = Shards::new(300).unwrap();
        (shards, shards.shard(1).unwrap(), shards.shard(258).unwrap())
    }

    #[test]
    fn bytes_are_pinned() {
        let (shards, from, to) = places();
        let mut packing = Packing::new(from, shards, 5, Step::Shuffle);
        packing.record(to, &Record::new(7, b"abc".to_vec()).unwrap());
        packing.end(shards);
        assert_eq!(packing.ready.len(), 300);
        let parcel = &packing.ready[258];
        let start =
            [b"\x01\0\x02\x01\x05\0\0\0\x01".as_slice(), b"\0\x07\x03\0\0\0abc", b"\x01\x01\0\0\0\0\0\0\0"];
        assert!(parcel.bytes().starts_with(&start.concat()));
        assert_eq!(parcel.bytes().len(), start.concat().len() + 8);
        let left = Parcel::left(from, to, 5, Left::Failed);
        assert_eq!(left.bytes(), b"\x01\0\x02\x01\x05\0\0\0\x01\x02\x01");
    }

    #[test]
    fn what_is_packed_is_unpacked() {
        let (shards, from, to) = places();
        let records: Vec<Record> =
            (0..500_usize).map(|n| Record::new(7, vec![n.to_le_bytes()[0]; n * 7]).unwrap()).collect();
        let mut packing = Packing::new(from, shards, 9, Step::Gather);
        records.iter().for_each(|record| packing.record(to, record));
        packing.end(shards);
        let mut found = Vec::new();
        for parcel in packing.ready.iter().filter(|parcel| parcel.header().unwrap().to == 258) {
            assert_eq!(parcel.header().unwrap(), Header { from: 1, to: 258, round: 9, step: Step::Gather });
            found.extend(parcel.frames().map(Result::unwrap));
        }
        let mut tally = Tally::default();
        records.iter().for_each(|record| tally.count(record));
        let expected: Vec<Frame> =
            records.into_iter().map(Frame::Record).chain([Frame::End(tally)]).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn other_bytes_are_refused() {
        let (_, from, to) = places();
        let whole = Parcel::left(from, to, 5, Left::Ended).bytes.clone();
        let outcome = |bytes: &[u8]| -> Result<usize, &'static str> {
            let parcel = Parcel::from_bytes(bytes.to_vec());
            parcel.header()?;
            parcel.frames().try_fold(0, |count, frame| frame.map(|_| count + 1))
        };
        assert_eq!(outcome(&whole), Ok(1));
        assert_eq!(outcome(&whole[..HEADER]), Ok(0));
        for (place, byte) in [(8, 2), (9, 3), (10, 2)] {
            let mut other = whole.clone();
            other[place] = byte;
            assert!(outcome(&other).is_err(), "{place}");
        }
        assert!((0..HEADER).all(|length| outcome(&whole[..length]).is_err()));
        assert!(outcome(&whole[..HEADER + 1]).is_err());
        for frame in [b"\0\x01\xff\xff\xff\xff".as_slice(), b"\0\x01\x02\0\0\0a", b"\x01\0\0"] {
            assert!(outcome(&[&whole[..HEADER], frame].concat()).is_err());
        }
    }
}
