//! Lets a fuzzer spell words that it would hardly guess.

/// Replaces the bytes from 0x80 on by `pieces`, the first by the first and so on. All others stand for themselves.
pub fn spell(data: &[u8], pieces: &[&str]) -> Vec<u8> {
    let spelled = data.iter().map(|byte| {
        let piece = byte.checked_sub(0x80).and_then(|index| pieces.get(usize::from(index)));
        piece.map_or(std::slice::from_ref(byte), |piece| piece.as_bytes())
    });
    spelled.collect::<Vec<_>>().concat()
}
