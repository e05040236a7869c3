//! Bytes of a JSON string that stand for themselves, eight at a time.

/// How many bytes from the first on stand for themselves in a JSON string: none of them is a quote, a backslash or a
/// control character.
pub fn plain_bytes(text: &[u8]) -> usize {
    let (words, _) = text.as_chunks::<8>();
    for (nth, word) in words.iter().enumerate() {
        let special = special_bytes(u64::from_le_bytes(*word));
        if special != 0 {
            return 8 * nth + (special.trailing_zeros() / 8) as usize;
        }
    }
    let rest = 8 * words.len();
    let plain = |byte: &u8| *byte >= b' ' && *byte != b'"' && *byte != b'\\';
    let special = text
        .get(rest..)
        .and_then(|rest| rest.iter().position(|byte| !plain(byte)));
    special.map_or(text.len(), |special| rest + special)
}

/// The highest bit of the lowest byte that is special in a string, if there is one; the bytes above it may be wrong.
const fn special_bytes(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    const HIGHS: u64 = ONES << 7;
    // A byte below `n`, which is 128 at most, borrows from its highest bit.
    const fn below(word: u64, n: u64) -> u64 {
        word.wrapping_sub(ONES * n) & !word
    }
    let quote = below(word ^ (ONES * b'"' as u64), 1);
    let backslash = below(word ^ (ONES * b'\\' as u64), 1);
    (quote | backslash | below(word, b' ' as u64)) & HIGHS
}
