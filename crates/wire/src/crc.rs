//! CRC-32C, and how it changes with a few bits of what it covers.
//!
//! The CRC is affine: `crc(m ⊕ d) = crc(m) ⊕ raw(d)`, where `raw` starts and ends with zero. A change of a few bytes is a short
//! `d` with zeros before and after it. Zeros before it do nothing; each byte after it multiplies by x⁸ modulo the polynomial. So
//! the new CRC follows from the old one, the change, and the number of bytes after it, of which none is read.

/// The polynomial of Castagnoli, with the bit of x⁰ at the top, as CRC-32C numbers its bits.
const POLYNOMIAL: u32 = 0x82f6_3b78;
/// x⁰.
const ONE: u32 = 1 << 31;

/// What a byte that leaves the register adds to it.
static BYTES: [u32; 256] = bytes();
/// x^(8·2ᵏ): what 2ᵏ zero bytes multiply by. 32 of them reach over 4 GiB.
static ZEROS: [u32; 32] = zeros();

/// The CRC-32C of `bytes`. One byte at a time: for headers and tests, not for the bytes of traffic.
#[must_use]
pub fn crc32c(bytes: &[u8]) -> u32 {
    !raw(!0, bytes)
}

/// What a CRC-32C changes by (to be combined by exclusive or) when the bytes that it covers are changed by `change`
/// (likewise), `after` bytes before their end.
#[must_use]
pub fn change_of_crc(change: &[u8], after: u32) -> u32 {
    let mut register = raw(0, change);
    for (power, factor) in ZEROS.iter().enumerate() {
        if after >> power & 1 == 1 {
            register = multiply(register, *factor);
        }
    }
    register
}

fn raw(register: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(register, |register, byte| {
        let [low, ..] = register.to_le_bytes();
        register >> 8 ^ BYTES[usize::from(low ^ byte)]
    })
}

/// The product of two polynomials modulo [`POLYNOMIAL`].
const fn multiply(a: u32, b: u32) -> u32 {
    let (mut product, mut factor, mut bit) = (0, b, ONE);
    while bit != 0 {
        // Without a branch: the bits of a checksum cannot be guessed.
        product ^= factor & 0u32.wrapping_sub((a & bit != 0) as u32);
        factor = times_x(factor);
        bit >>= 1;
    }
    product
}

const fn times_x(a: u32) -> u32 {
    a >> 1 ^ POLYNOMIAL & 0u32.wrapping_sub(a & 1)
}

const fn bytes() -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte: u32 = 0;
    while byte < 256 {
        let (mut register, mut bit) = (byte, 0);
        while bit < 8 {
            register = times_x(register);
            bit += 1;
        }
        table[byte as usize] = register;
        byte += 1;
    }
    table
}

const fn zeros() -> [u32; 32] {
    // x⁸: x⁰ is the highest bit, and each bit below it one power more.
    let mut table = [ONE >> 8; 32];
    let mut at = 1;
    while at < 32 {
        table[at] = multiply(table[at - 1], table[at - 1]);
        at += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_values_of_rfc_3720_come_out() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
    }

    #[test]
    fn a_change_anywhere_changes_the_crc_by_what_is_said() {
        let whole: Vec<u8> = (0..300u32).map(|n| (n * 7 + n / 3).to_le_bytes()[0]).collect();
        for at in 0..whole.len() - 8 {
            let change = [1, 0x80, 0, 0xff, 3, 0, 0x55, at.to_le_bytes()[0]];
            let mut changed = whole.clone();
            changed[at..at + 8].iter_mut().zip(change).for_each(|(byte, change)| *byte ^= change);
            let after = u32::try_from(whole.len() - at - 8).unwrap();
            assert_eq!(crc32c(&changed), crc32c(&whole) ^ change_of_crc(&change, after), "at {at}");
        }
    }

    #[test]
    fn megabytes_after_the_change_are_gone_over_in_steps() {
        for after in [1 << 20, (3 << 20) - 1, 0x12_3457] {
            let walked = raw(raw(0, b"producer"), &vec![0; after]);
            assert_eq!(change_of_crc(b"producer", u32::try_from(after).unwrap()), walked, "{after} bytes");
        }
    }
}
