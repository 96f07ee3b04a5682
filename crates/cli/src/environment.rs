//! Tokens in environment variables: their names, and their values quoted for a shell.

/// Returns the prefix of a provider's variables: its name in upper case, with `_` for characters that
/// a variable can't contain.
pub(crate) fn prefix(provider: &str) -> String {
    let mut prefix: String = provider
        .chars()
        .map(|c| match c {
            c if c.is_ascii_alphanumeric() => c.to_ascii_uppercase(),
            _ => '_',
        })
        .collect();
    if prefix.starts_with(|c: char| c.is_ascii_digit()) {
        prefix.insert(0, '_');
    }
    prefix
}

/// Quotes a text as one word of a POSIX shell.
pub(crate) fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-+/:@%".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.into();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_provider_has_a_name_that_a_variable_can_have() {
        assert_eq!(prefix("exports-us"), "EXPORTS_US");
        assert_eq!(prefix("my.shop 2"), "MY_SHOP_2");
        assert_eq!(prefix("2checkout"), "_2CHECKOUT");
        assert_eq!(prefix("caf\u{e9}"), "CAF_");
    }

    #[test]
    fn a_shell_reads_back_what_was_quoted() {
        for text in [
            "",
            "eyJ.a-b_c",
            "a b",
            "it's",
            "$(rm -rf /)`x`",
            "a=~b;\"\\",
            "''",
        ] {
            let line = format!("X={}; printf %s \"$X\"", quoted(text));
            let shell = std::process::Command::new("sh")
                .args(["-c", &line])
                .output();
            assert_eq!(shell.unwrap().stdout, text.as_bytes(), "{line}");
        }
    }

    #[test]
    fn a_plain_token_needs_no_quotes() {
        assert_eq!(quoted("eyJhbGciOi.J9-_"), "eyJhbGciOi.J9-_");
    }
}
