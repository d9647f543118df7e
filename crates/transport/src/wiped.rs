//! Buffers that leave no copy of a frame behind, because frames carry shares.

use zeroize::Zeroizing;

/// Bytes that are wiped when they are dropped.
pub(crate) type Wiped = Zeroizing<Vec<u8>>;

/// Least memory of a frame beside its bytes. With it, a flood of empty frames fills a queue as well.
pub(crate) const FRAME_COST: usize = 64;

/// The memory that a waiting frame counts for, in bytes.
pub(crate) fn cost(length: usize) -> usize {
    length.saturating_add(FRAME_COST)
}

/// Makes room for `more` bytes, and at least for `capacity` in all. A buffer that grows is moved, and its old place is
/// wiped.
pub(crate) fn reserve(bytes: &mut Wiped, more: usize, capacity: usize) {
    if bytes.capacity() - bytes.len() < more {
        let mut larger = Zeroizing::new(Vec::with_capacity(capacity.max(bytes.len() + more)));
        larger.extend_from_slice(bytes);
        *bytes = larger;
    }
}

/// A frame that is being written.
pub(crate) struct Writer(pub(crate) Wiped);

impl Extend<u8> for Writer {
    fn extend<I: IntoIterator<Item = u8>>(&mut self, bytes: I) {
        let bytes = bytes.into_iter();
        let doubled = 2 * self.0.capacity();
        match bytes.size_hint() {
            (least, Some(most)) if least == most => {
                reserve(&mut self.0, least, doubled);
                self.0.extend(bytes);
            }
            _ => bytes.for_each(|byte| {
                let doubled = 2 * self.0.capacity();
                reserve(&mut self.0, 1, doubled);
                self.0.push(byte);
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writing_keeps_every_byte_and_moves_seldom() {
        let mut writer = Writer(Zeroizing::new(vec![9; 84]));
        let (mut expected, mut moves) = (vec![9; 84], 0);
        for number in 0..2000_u16 {
            let bytes = vec![number.to_le_bytes()[0]; usize::from(number % 7)];
            let before = writer.0.as_ptr();
            writer.extend(bytes.iter().copied());
            // Of unknown length.
            writer.extend(bytes.iter().copied().filter(|byte| byte % 2 == 0));
            moves += usize::from(writer.0.as_ptr() != before);
            expected.extend(&bytes);
            expected.extend(bytes.iter().filter(|&byte| byte % 2 == 0));
        }
        assert_eq!(*writer.0, expected);
        assert!(moves <= 16, "{moves}");
    }
}
