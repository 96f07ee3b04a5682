//! Tokens in environment variables: their names, and texts quoted for a shell.

pub(crate) use biped_serve::variable_prefix as prefix;

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
