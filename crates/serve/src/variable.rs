//! [`variable_prefix`]: how a provider's environment variables are called.

/// The prefix of a provider's variables: its name in upper case, with `_` for characters that a variable
/// can't contain, and before a digit at its start.
///
/// ```
/// assert_eq!(biped_serve::variable_prefix("exports-us"), "EXPORTS_US");
/// ```
#[must_use]
pub fn variable_prefix(provider: &str) -> String {
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

#[cfg(test)]
mod tests {
    use super::variable_prefix;

    #[test]
    fn any_provider_has_a_name_that_a_variable_can_have() {
        assert_eq!(variable_prefix("exports-us"), "EXPORTS_US");
        assert_eq!(variable_prefix("my.shop 2"), "MY_SHOP_2");
        assert_eq!(variable_prefix("2checkout"), "_2CHECKOUT");
        assert_eq!(variable_prefix("caf\u{e9}"), "CAF_");
    }
}
