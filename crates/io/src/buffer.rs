//! A buffer that is zeroed when it is dropped.

use zeroize::Zeroizing;

/// The content of a file, or the output of a command.
pub(crate) type Content = Zeroizing<Vec<u8>>;

/// Appends to a buffer, and zeroes the old memory when the buffer grows.
pub(crate) fn append(content: &mut Content, more: &[u8]) {
    let length = content.len() + more.len();
    if length > content.capacity() {
        let mut larger = Zeroizing::new(Vec::with_capacity(length.max(2 * content.capacity())));
        larger.extend_from_slice(content);
        *content = larger;
    }
    content.extend_from_slice(more);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_that_grows_keeps_what_was_in_it() {
        let mut content = Zeroizing::new(Vec::new());
        for part in ["a", "bc", "", "defghijklmnop"] {
            append(&mut content, part.as_bytes());
        }
        assert_eq!(**content, *b"abcdefghijklmnop");
    }
}
