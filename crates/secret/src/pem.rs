//! PEM as people have it: on one line, and with text around it.

use zeroize::Zeroizing;

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";
const DASHES: &[u8] = b"-----";

/// Returns the blocks of a PEM text (RFC 7468), as parsers accept them: line breaks that are written out
/// (`\n`, as in variables and in JSON) are line breaks, and text around the blocks, in whatever
/// encoding, is left out. A text without a whole block stays as it is.
///
/// ```
/// let text = br"# the key\n-----BEGIN PRIVATE KEY-----\nMC4C\n-----END PRIVATE KEY-----\n";
/// let pem = biped_core::pem_blocks(text);
/// assert_eq!(&pem[..], b"-----BEGIN PRIVATE KEY-----\nMC4C\n-----END PRIVATE KEY-----\n");
/// ```
#[must_use]
pub fn pem_blocks(text: &[u8]) -> Zeroizing<Vec<u8>> {
    // All of it at once: a text that grows leaves copies of the key behind.
    let mut blocks = Zeroizing::new(Vec::with_capacity(text.len() + 1));
    let mut rest = text;
    while let Some(block) = next_block(&mut rest) {
        put(block, &mut blocks);
        blocks.push(b'\n');
    }
    if blocks.is_empty() {
        blocks.extend_from_slice(text);
    }
    blocks
}

/// Takes the first whole block from the text.
fn next_block<'t>(rest: &mut &'t [u8]) -> Option<&'t [u8]> {
    let start = find(rest, BEGIN)?;
    let block = &rest[start..];
    let last_line = find(block, END)? + END.len();
    let end = last_line + find(&block[last_line..], DASHES)? + DASHES.len();
    let (block, after) = block.split_at(end);
    *rest = after;
    Some(block)
}

/// Adds a block with its line breaks.
fn put(block: &[u8], into: &mut Vec<u8>) {
    let mut rest = block;
    while let Some(at) = rest.iter().position(|byte| *byte == b'\\') {
        into.extend_from_slice(&rest[..at]);
        let escaped = rest[at..].iter().position(|byte| *byte != b'\\');
        let Some(letter) = escaped.map(|length| at + length) else {
            return;
        };
        match rest[letter] {
            b'n' => into.push(b'\n'),
            b'r' => {}
            _ => into.extend_from_slice(&rest[at..=letter]),
        }
        rest = &rest[letter + 1..];
    }
    into.extend_from_slice(rest);
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}
