//! The part of DER (X.690) that keys and certificates need: a JSON Web Key contains only the numbers of
//! an RSA key, an encrypted key says how to decrypt it, a certificate contains its public key.

pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BITS: u8 = 0x03;
pub(crate) const OCTETS: u8 = 0x04;
pub(crate) const OID: u8 = 0x06;
pub(crate) const SEQUENCE: u8 = 0x30;

/// Writes the numbers of a JSON Web Key as PKCS#1 (RFC 8017 appendix A.1.2).
pub(crate) fn rsa_private(member: impl Fn(&str) -> Option<Vec<u8>>) -> Option<Vec<u8>> {
    let mut numbers = write(INTEGER, &[0]);
    for name in ["n", "e", "d", "p", "q", "dp", "dq", "qi"] {
        numbers.extend(integer(&member(name)?));
    }
    Some(write(SEQUENCE, &numbers))
}

/// Writes an `RSAPublicKey` (RFC 8017 appendix A.1.1).
pub(crate) fn write_rsa_public(n: &[u8], e: &[u8]) -> Vec<u8> {
    write(SEQUENCE, &[integer(n), integer(e)].concat())
}

/// Writes an `ECDSA-Sig-Value` (RFC 3279 §2.2.3) as RFC 7518 §3.4 has it: both numbers as long as a
/// coordinate.
pub(crate) fn ecdsa_fixed(der: &[u8], length: usize) -> Option<Vec<u8>> {
    let (numbers, rest) = expect(SEQUENCE, der)?;
    let (r, s) = expect(INTEGER, numbers)?;
    let (s, end) = expect(INTEGER, s)?;
    if !rest.is_empty() || !end.is_empty() {
        return None;
    }
    let mut fixed = vec![0; 2 * length];
    for (number, place) in [r, s].into_iter().zip(fixed.chunks_exact_mut(length)) {
        let digits = unsigned(number);
        let start = length.checked_sub(digits.len())?;
        place[start..].copy_from_slice(digits);
    }
    Some(fixed)
}

fn integer(bytes: &[u8]) -> Vec<u8> {
    let start = bytes.iter().position(|byte| *byte != 0);
    let digits = start.map_or(&[][..], |start| &bytes[start..]);
    // A leading bit would be a sign.
    match digits.first() {
        Some(0..0x80) => write(INTEGER, digits),
        _ => write(INTEGER, &[&[0], digits].concat()),
    }
}

fn write(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let start = length
        .iter()
        .position(|byte| *byte != 0)
        .unwrap_or(length.len() - 1);
    let length = &length[start..];
    let mut out = vec![tag];
    if content.len() >= 0x80 {
        #[allow(clippy::cast_possible_truncation)] // eight at most
        out.push(0x80 | length.len() as u8);
    }
    out.extend_from_slice(length);
    out.extend_from_slice(content);
    out
}

/// Returns the modulus and exponent of an `RSAPublicKey` (RFC 8017 appendix A.1.1).
pub(crate) fn rsa_public(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (numbers, _) = expect(SEQUENCE, der)?;
    let (n, rest) = expect(INTEGER, numbers)?;
    let (e, _) = expect(INTEGER, rest)?;
    Some((unsigned(n), unsigned(e)))
}

/// Returns the PKCS#1 key within a PKCS#8 key that is for RSASSA-PSS only (RFC 8017 appendix A.2.3).
pub(crate) fn rsa_pss(der: &[u8]) -> Option<&[u8]> {
    const RSASSA_PSS: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a";
    let (key, _) = expect(SEQUENCE, der)?;
    let (_, rest) = expect(INTEGER, key)?;
    let (algorithm, rest) = expect(SEQUENCE, rest)?;
    let (RSASSA_PSS, _) = expect(OID, algorithm)? else {
        return None;
    };
    Some(expect(OCTETS, rest)?.0)
}

/// Returns the public key in a certificate (RFC 5280 §4.1), in the form of its algorithm.
#[must_use]
pub fn key_of_certificate(der: &[u8]) -> Option<&[u8]> {
    let (certificate, _) = expect(SEQUENCE, der)?;
    let (signed, _) = expect(SEQUENCE, certificate)?;
    // Version 1 has no version field.
    let signed = expect(0xa0, signed).map_or(signed, |(_, rest)| rest);
    let (_, rest) = expect(INTEGER, signed)?;
    // Signature algorithm, issuer, validity and subject.
    let rest = (0..4).try_fold(rest, |rest, _| Some(expect(SEQUENCE, rest)?.1))?;
    let (key, _) = expect(SEQUENCE, rest)?;
    let (_, rest) = expect(SEQUENCE, key)?;
    let (bits, _) = expect(BITS, rest)?;
    bits.strip_prefix(&[0])
}

/// Reads the content of an `INTEGER` that is not negative.
pub(crate) fn number(digits: &[u8]) -> Option<u32> {
    unsigned(digits).iter().try_fold(0_u32, |number, digit| {
        number.checked_mul(256)?.checked_add(u32::from(*digit))
    })
}

fn unsigned(digits: &[u8]) -> &[u8] {
    let zeros = digits.iter().take_while(|byte| **byte == 0).count();
    &digits[zeros..]
}

/// Returns the content of the first element if it has this tag, and what follows it.
pub(crate) fn expect(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (found, content, rest) = read(der)?;
    (found == tag).then_some((content, rest))
}

/// Returns the first element's tag and content, and what follows it.
fn read(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, first], rest) = der.split_first_chunk::<2>()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
        let length = digits.iter().try_fold(0_usize, |length, digit| {
            length.checked_mul(256)?.checked_add(usize::from(*digit))
        })?;
        (length, rest)
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}
