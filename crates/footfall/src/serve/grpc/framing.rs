//! gRPC's framing: a message is a flag, its length in four bytes, and that many bytes. Pure.

const PREFIX_BYTES: usize = 5;

/// The position within a request's messages at which the received bytes end.
#[derive(Debug, Default)]
pub(super) struct Framing {
    prefix: [u8; PREFIX_BYTES],
    prefix_read: usize,
    /// Bytes received of the incomplete message.
    missing: usize,
}

/// What a chunk of bytes contained.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct ChunkContent {
    /// Any message ended in it.
    pub(super) any_ended: bool,
    /// The message that had begun before it ended in it.
    pub(super) earlier_ended: bool,
    /// Bytes of messages that began and ended in it.
    pub(super) whole: usize,
    /// The whole length of the message that began in it and continues after it.
    pub(super) begun: usize,
}

/// A message that announces more bytes than its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooLarge {
    pub(super) length: usize,
}

impl Framing {
    /// A message, or its prefix, has begun and not ended.
    pub(super) fn is_partial(&self) -> bool {
        self.prefix_read > 0 || self.missing > 0
    }

    /// Advances over the next bytes. `limit`: of one message.
    pub(super) fn advance(&mut self, mut bytes: &[u8], limit: usize) -> Result<ChunkContent, TooLarge> {
        let mut progress = ChunkContent::default();
        // Of the incomplete message, if it began in these bytes.
        let mut length = None;
        while !bytes.is_empty() {
            if self.missing == 0 {
                let (prefix, rest) = bytes.split_at(bytes.len().min(PREFIX_BYTES - self.prefix_read));
                bytes = rest;
                if !self.read_prefix(prefix) {
                    break;
                }
                let announced = self.announced();
                if announced > limit {
                    return Err(TooLarge { length: announced });
                }
                (self.prefix_read, self.missing, length) = (0, announced, Some(announced));
            }
            let read = bytes.len().min(self.missing);
            bytes = bytes.split_at(read).1;
            self.missing -= read;
            if self.missing == 0 {
                progress.any_ended = true;
                match length.take() {
                    Some(length) => progress.whole += length,
                    None => progress.earlier_ended = true,
                }
            }
        }
        progress.begun = length.unwrap_or_default();
        Ok(progress)
    }

    /// Whether the prefix is complete.
    fn read_prefix(&mut self, bytes: &[u8]) -> bool {
        for (byte, into) in bytes.iter().zip(self.prefix.iter_mut().skip(self.prefix_read)) {
            *into = *byte;
        }
        self.prefix_read += bytes.len();
        self.prefix_read == PREFIX_BYTES
    }

    fn announced(&self) -> usize {
        let [_, a, b, c, d] = self.prefix;
        usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(length: usize) -> Vec<u8> {
        let mut bytes = vec![0];
        bytes.extend(u32::try_from(length).unwrap().to_be_bytes());
        bytes.extend(vec![7; length]);
        bytes
    }

    const LIMIT: usize = 1_000;

    #[test]
    fn ended_and_incomplete_messages_are_distinguished() {
        let mut framing = Framing::default();
        let bytes = [message(10), message(0), message(20), message(300)].concat();
        let (first, second) = bytes.split_at(60);
        let progress = framing.advance(first, LIMIT).unwrap();
        let expected = ChunkContent {
            any_ended: true,
            earlier_ended: false,
            whole: 30,
            begun: 300,
        };
        assert_eq!(progress, expected);
        assert!(framing.is_partial());
        let progress = framing.advance(second, LIMIT).unwrap();
        let expected = ChunkContent {
            any_ended: true,
            earlier_ended: true,
            ..ChunkContent::default()
        };
        assert_eq!(progress, expected);
        assert!(!framing.is_partial());
    }

    #[test]
    fn chunk_boundaries_do_not_change_sums() {
        let lengths = [3, 0, 1, 250, 0, 40];
        let bytes: Vec<u8> = lengths.into_iter().flat_map(message).collect();
        for size in 1..bytes.len() {
            let mut framing = Framing::default();
            let mut reserved = 0;
            for chunk in bytes.chunks(size) {
                let progress = framing.advance(chunk, LIMIT).unwrap();
                reserved += progress.whole + progress.begun;
            }
            assert_eq!(reserved, lengths.iter().sum::<usize>(), "cut every {size} bytes");
            assert!(!framing.is_partial());
        }
    }

    #[test]
    fn announced_length_over_limit_is_refused() {
        let mut framing = Framing::default();
        let refused = framing.advance(&message(LIMIT + 1)[..5], LIMIT);
        assert_eq!(refused, Err(TooLarge { length: LIMIT + 1 }));
    }
}
