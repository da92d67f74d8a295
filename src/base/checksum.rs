//! The checksum of what is kept on a disk or moved in parts.

/// CRC-32C (Castagnoli) of `bytes`: what docs/format-wal.md and docs/format-snapshot.md call a
/// checksum. Four thousand million values, no defence against malice.
pub fn crc32c(bytes: &[u8]) -> u32 {
    crc_fast::crc32_iscsi(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One bit after the other.
    fn twin(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(u32::MAX, |sum, byte| {
            (0..8).fold(sum ^ u32::from(*byte), |sum, _| (sum >> 1) ^ ((sum & 1) * 0x82f6_3b78))
        })
    }

    #[test]
    fn it_is_what_dividing_bit_by_bit_gives() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        let bytes: Vec<u8> = (0..5_000_u32).map(|n| ((n * n) >> 3) as u8).collect();
        // Each length has a way of its own through the processor, and so has each place.
        for len in (0..1_200).chain([4_096, 4_990]) {
            for start in [0, 1, 4, 7] {
                let part = &bytes[start..start + len];
                assert_eq!(crc32c(part), twin(part), "{len} bytes from {start} on");
            }
        }
    }
}
