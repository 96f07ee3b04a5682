//! How long a finished command waits for what is under way.

use std::time::Duration;

use biped::Biped;

/// How long a finished command waits for a token that is being renewed.
const RENEWING: Duration = Duration::from_secs(2);

/// How long a command that is not limited by `--timeout` waits where a refresh token may be under way: the
/// account is lost with the answer to it.
const ROTATING: Duration = Duration::from_secs(10);

/// How long a finished command waits for the store in any case.
const STORING: Duration = Duration::from_millis(250);

/// Returns how long a finished command waits. `left` is what `--timeout` left, if it limits the command.
pub(super) fn patience(left: Option<Duration>, rotates: bool) -> Duration {
    match left {
        Some(left) => left.clamp(STORING, RENEWING),
        None if rotates => ROTATING,
        None => RENEWING,
    }
}

/// Whether a provider has a refresh token that the vendor replaces.
pub(super) fn rotates(biped: &Biped) -> bool {
    let mut sources = biped
        .names()
        .filter_map(|name| biped.token_source(name).ok());
    sources.any(|source| source.provider().account().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_without_a_limit_waits_for_a_renewal_however_long_it_ran() {
        assert_eq!(patience(None, false), RENEWING);
        assert_eq!(patience(None, true), ROTATING);
    }

    #[test]
    fn a_command_with_a_limit_waits_within_it_and_for_the_store_in_any_case() {
        for rotates in [false, true] {
            let patience = |left| patience(Some(left), rotates);
            assert_eq!(patience(Duration::ZERO), STORING);
            assert_eq!(patience(Duration::from_secs(1)), Duration::from_secs(1));
            assert_eq!(patience(Duration::from_secs(60)), RENEWING);
        }
    }
}
