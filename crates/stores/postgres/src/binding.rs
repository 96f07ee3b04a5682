//! [`end_point`]: what binds a password to the TLS connection that it is proved on.

use sha2::{Digest, Sha256, Sha384, Sha512};

/// Object identifiers of `sha256WithRSAEncryption` and its relatives, without the last byte.
const RSA: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01";
/// Those of `ecdsa-with-SHA256` and its relatives, without the last byte.
const ECDSA: &[u8] = b"\x2a\x86\x48\xce\x3d\x04\x03";

/// The `tls-server-end-point` of a certificate in DER: its digest, by the function that its signature uses
/// (RFC 5929, 4.1). Returns `None` for a signature whose function the RFC doesn't name, such as Ed25519.
pub(crate) fn end_point(certificate: &[u8]) -> Option<Vec<u8>> {
    let (whole, _) = value(certificate)?;
    let (_to_be_signed, rest) = value(whole)?;
    let (algorithm, _) = value(rest)?;
    let (identifier, _) = value(algorithm)?;
    let (&last, family) = identifier.split_last()?;
    match (family, last) {
        (RSA, 11) | (ECDSA, 2) => Some(Sha256::digest(certificate).to_vec()),
        (RSA, 12) | (ECDSA, 3) => Some(Sha384::digest(certificate).to_vec()),
        (RSA, 13) | (ECDSA, 4) => Some(Sha512::digest(certificate).to_vec()),
        _ => None,
    }
}

/// The content of the first value in DER, and what follows the value.
fn value(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (_tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    if first < 0x80 {
        return rest.split_at_checked(first.into());
    }
    let (length, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
    let length = length.iter().try_fold(0_usize, |length, &byte| {
        length.checked_mul(256)?.checked_add(byte.into())
    })?;
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P384_SHA384, PKCS_ED25519};

    use super::*;

    fn certificate(key: &KeyPair) -> Vec<u8> {
        let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.self_signed(key).unwrap().der().to_vec()
    }

    #[test]
    fn a_certificate_is_hashed_as_it_is_signed() {
        let short = certificate(&KeyPair::generate().unwrap());
        assert_eq!(end_point(&short), Some(Sha256::digest(&short).to_vec()));
        let long = certificate(&KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap());
        assert_eq!(end_point(&long), Some(Sha384::digest(&long).to_vec()));
        let other = certificate(&KeyPair::generate_for(&PKCS_ED25519).unwrap());
        assert_eq!(end_point(&other), None);
    }

    #[test]
    fn what_is_cut_off_binds_nothing() {
        let whole = certificate(&KeyPair::generate().unwrap());
        for length in 0..whole.len() {
            assert_eq!(end_point(&whole[..length]), None);
        }
        for odd in [
            &b"\x30\xff"[..],
            b"\x30\x89\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        ] {
            assert_eq!(end_point(odd), None);
        }
    }
}
