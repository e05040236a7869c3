//! Decompresses a request's body. It stops at the limit, so that a bomb costs no more than any other body.

use std::io::{self, Read};

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use flate2::{Decompress, FlushDecompress, Status};

use super::body::BodyError;
use super::budget::Account;

/// The largest window of zstd, 8 MiB: no encoder for the web goes beyond it (RFC 9659).
const ZSTD_WINDOW_LOG: u32 = 23;

const CHUNK: usize = 16 << 10;

/// How a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    Gzip,
    Zstd,
    Brotli,
    Deflate,
}

impl Compression {
    pub(super) const NAMES: &str = "gzip, zstd, br or deflate";

    /// By its name in `Content-Encoding`, in lower case.
    pub(super) fn of(name: &str) -> Option<Self> {
        Some(match name {
            "gzip" | "x-gzip" => Self::Gzip,
            "zstd" => Self::Zstd,
            "br" => Self::Brotli,
            "deflate" => Self::Deflate,
            _ => return None,
        })
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Brotli => "brotli",
            Self::Deflate => "deflate",
        }
    }

    /// The `code` of the reply to a body that can't be decompressed.
    pub(super) fn error_code(self) -> &'static str {
        match self {
            Self::Gzip => "bad_gzip",
            Self::Zstd => "bad_zstd",
            Self::Brotli => "bad_brotli",
            Self::Deflate => "bad_deflate",
        }
    }

    /// The plain body, of at most `limit` bytes. Its memory is charged to `account`.
    pub(super) fn decode(self, compressed: &[u8], limit: usize, account: &mut Account) -> Result<Bytes, BodyError> {
        let undecodable = |error: io::Error| BodyError::Undecodable(self, error.to_string());
        let capacity = limit.min(4 * compressed.len());
        match self {
            Self::Gzip => self.read(MultiGzDecoder::new(compressed), capacity, limit, account),
            Self::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(compressed).map_err(undecodable)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG).map_err(undecodable)?;
                self.read(decoder, capacity, limit, account)
            }
            Self::Brotli => self.read(brotli::Decompressor::new(compressed, CHUNK), capacity, limit, account),
            Self::Deflate => self.read(Deflate::new(compressed), capacity, limit, account),
        }
    }

    fn read(
        self,
        mut decoder: impl Read,
        capacity: usize,
        limit: usize,
        account: &mut Account,
    ) -> Result<Bytes, BodyError> {
        let mut plain = Vec::with_capacity(capacity);
        let mut chunk = [0; CHUNK];
        loop {
            let length = decoder
                .read(&mut chunk)
                .map_err(|error| BodyError::Undecodable(self, error.to_string()))?;
            if length == 0 {
                return Ok(plain.into());
            }
            if plain.len() + length > limit {
                return Err(BodyError::InflatesTooBig { limit });
            }
            account.take(length)?;
            plain.extend_from_slice(chunk.get(..length).unwrap_or_default());
        }
    }
}

/// `deflate` is the zlib format (RFC 9110), but some clients send the bare one, as some browsers did. flate2's own
/// readers take a body that breaks off for complete.
struct Deflate<'a> {
    rest: &'a [u8],
    state: Decompress,
    ended: bool,
}

impl<'a> Deflate<'a> {
    fn new(compressed: &'a [u8]) -> Self {
        let zlib = match compressed {
            [method, flags, ..] => method & 0x0f == 8 && u16::from_be_bytes([*method, *flags]) % 31 == 0,
            _ => false,
        };
        Self {
            rest: compressed,
            state: Decompress::new(zlib),
            ended: false,
        }
    }
}

impl Read for Deflate<'_> {
    fn read(&mut self, chunk: &mut [u8]) -> io::Result<usize> {
        while !self.ended {
            let (taken, given) = (self.state.total_in(), self.state.total_out());
            let status = self.state.decompress(self.rest, chunk, FlushDecompress::None)?;
            let taken = usize::try_from(self.state.total_in() - taken).unwrap_or(usize::MAX);
            let given = usize::try_from(self.state.total_out() - given).unwrap_or(usize::MAX);
            self.rest = self.rest.get(taken..).unwrap_or_default();
            self.ended = status == Status::StreamEnd;
            if self.ended && !self.rest.is_empty() {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "more bytes follow its end"));
            }
            match (given, taken) {
                (0, 0) if !self.ended => return Err(io::ErrorKind::UnexpectedEof.into()),
                (0, _) => {}
                _ => return Ok(given),
            }
        }
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression as Level;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    use super::Compression::{Brotli, Deflate, Gzip, Zstd};
    use super::*;
    use crate::collect::budget::Budget;

    fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Level::fast());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    fn zlib(plain: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Level::fast());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    fn bare(plain: &[u8]) -> Vec<u8> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Level::fast());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    fn br(plain: &[u8]) -> Vec<u8> {
        let mut compressed = Vec::new();
        let mut encoder = brotli::CompressorWriter::new(&mut compressed, CHUNK, 5, 22);
        encoder.write_all(plain).unwrap();
        drop(encoder);
        compressed
    }

    fn zst(plain: &[u8]) -> Vec<u8> {
        zstd::encode_all(plain, 3).unwrap()
    }

    type Encode = fn(&[u8]) -> Vec<u8>;

    const ALL: [(Compression, Encode); 5] = [
        (Gzip, gzip),
        (Zstd, zst),
        (Brotli, br),
        (Deflate, zlib),
        (Deflate, bare),
    ];

    fn decoded(compression: Compression, compressed: &[u8], limit: usize) -> Result<Bytes, BodyError> {
        compression.decode(compressed, limit, &mut Budget::new(1 << 30).account())
    }

    #[test]
    fn every_compression_is_read_up_to_the_limit() {
        let plain: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
        for (compression, encode) in ALL {
            let compressed = encode(&plain);
            assert_eq!(
                decoded(compression, &compressed, plain.len()).unwrap(),
                plain,
                "{compression:?}"
            );
            let limit = plain.len() - 1;
            let too_big = Err(BodyError::InflatesTooBig { limit });
            assert_eq!(decoded(compression, &compressed, limit), too_big, "{compression:?}");
            assert_eq!(decoded(compression, &encode(b""), 1).unwrap(), "", "{compression:?}");
        }
    }

    #[test]
    fn bomb_stays_within_limit() {
        for (compression, encode) in ALL {
            let bomb = encode(&vec![0; 16 << 20]);
            let mut account = Budget::new(1 << 20).account();
            assert_eq!(
                compression.decode(&bomb, 1 << 20, &mut account),
                Err(BodyError::InflatesTooBig { limit: 1 << 20 }),
                "{compression:?}"
            );
        }
    }

    #[test]
    fn damaged_body_is_rejected() {
        let plain = b"some text that is long enough, and some more of it";
        for (compression, encode) in ALL {
            let whole = encode(plain);
            let cut_short = &whole[..whole.len() - 3];
            let with_tail = [whole.as_slice(), b"tail"].concat();
            for damaged in [&b""[..], b"\xff\xfe\xfd nothing", cut_short, &with_tail] {
                let result = decoded(compression, damaged, 1_000);
                if compression == Brotli && damaged == with_tail {
                    assert_eq!(result.unwrap(), plain.as_slice(), "its reader stops at the end");
                    continue;
                }
                assert!(
                    matches!(result, Err(BodyError::Undecodable(..))),
                    "{compression:?}: {result:?}"
                );
            }
        }
        let mut wrong_sum = gzip(plain);
        let last = wrong_sum.len() - 5;
        wrong_sum[last] ^= 0xff;
        assert!(matches!(
            decoded(Gzip, &wrong_sum, 100),
            Err(BodyError::Undecodable(..))
        ));
    }

    #[test]
    fn several_members_are_one_body() {
        for (compression, encode) in [ALL[0], ALL[1]] {
            let two = [encode(b"abc"), encode(b"d")].concat();
            assert_eq!(decoded(compression, &two, 4).unwrap(), "abcd");
            assert_eq!(
                decoded(compression, &two, 3),
                Err(BodyError::InflatesTooBig { limit: 3 })
            );
        }
    }

    #[test]
    fn window_beyond_the_webs_is_rejected() {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
        encoder.window_log(ZSTD_WINDOW_LOG + 1).unwrap();
        encoder.write_all(&vec![7; 1_000]).unwrap();
        let compressed = encoder.finish().unwrap();
        assert!(matches!(
            decoded(Zstd, &compressed, 1_000),
            Err(BodyError::Undecodable(..))
        ));
    }
}
