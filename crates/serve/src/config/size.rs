//! Sizes: a number of bytes, or a text with KiB, MiB or GiB.

use biped::config::ConfigTable;

/// Reads a size in bytes.
pub(super) fn size(table: &ConfigTable, key: &str) -> Option<u64> {
    let value = table.value(key)?;
    let bytes = value
        .to_integer()
        .and_then(|bytes| u64::try_from(bytes).ok());
    let bytes = bytes.or_else(|| parse(&value.to_text()?));
    let expected = "a whole number of bytes, or a text such as \"64KiB\", \"8MiB\", \"1GiB\"";
    table.checked(key, bytes, expected, |_| true)
}

fn parse(text: &str) -> Option<u64> {
    let units = [("KiB", 10), ("MiB", 20), ("GiB", 30), ("", 0)];
    units.iter().find_map(|(unit, shift)| {
        let number: u64 = text.strip_suffix(unit)?.trim_end().parse().ok()?;
        number.checked_mul(1 << shift)
    })
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_size_is_bytes_or_has_a_binary_unit() {
        assert_eq!(parse("512"), Some(512));
        assert_eq!(parse("64KiB"), Some(65_536));
        assert_eq!(parse("8 MiB"), Some(8 << 20));
        assert_eq!(parse("1GiB"), Some(1 << 30));
        for wrong in ["64kb", "KiB", "-1", "1.5MiB", "99999999999GiB"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
