//! The little of DER (X.690) that RSA keys need: JSON Web Keys have their numbers only.

/// A JSON Web Key's numbers as PKCS#1 (RFC 8017 appendix A.1.2).
pub(crate) fn rsa_private(member: impl Fn(&str) -> Option<Vec<u8>>) -> Option<Vec<u8>> {
    let mut numbers = write(0x02, &[0]);
    for name in ["n", "e", "d", "p", "q", "dp", "dq", "qi"] {
        numbers.extend(integer(&member(name)?));
    }
    Some(write(0x30, &numbers))
}

fn integer(bytes: &[u8]) -> Vec<u8> {
    let start = bytes.iter().position(|byte| *byte != 0);
    let digits = start.map_or(&[][..], |start| &bytes[start..]);
    // A leading bit would be a sign.
    match digits.first() {
        Some(0..0x80) => write(0x02, digits),
        _ => write(0x02, &[&[0], digits].concat()),
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

/// Modulus and exponent of an `RSAPublicKey` (RFC 8017 appendix A.1.1).
pub(crate) fn rsa_public(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (0x30, numbers, _) = read(der)? else {
        return None;
    };
    let (0x02, n, rest) = read(numbers)? else {
        return None;
    };
    let (0x02, e, _) = read(rest)? else {
        return None;
    };
    let unsigned = |digits: &'_ [u8]| digits.iter().take_while(|byte| **byte == 0).count();
    Some((&n[unsigned(n)..], &e[unsigned(e)..]))
}

/// Tag, content, and what follows.
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
