//! What a request's target names: a provider with parameters and a path, or a route of the sidecar's
//! own. The path is bytes, which nothing here decodes.

/// Why a target is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadPath(pub(crate) &'static str);

/// `/NAME;K=V/REST`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target<'t> {
    pub(crate) name: &'t str,
    /// `/NAME;K=V`, as it was written.
    pub(crate) prefix: &'t str,
    /// The parameters in the path, not decoded.
    pub(crate) params: Vec<(&'t str, &'t str)>,
    /// `/REST`, or empty.
    pub(crate) rest: &'t str,
}

/// Splits a path into the provider and the rest.
pub(crate) fn split(path: &str) -> Result<Target<'_>, BadPath> {
    let body = path.strip_prefix('/').unwrap_or(path);
    let end = body.find('/').unwrap_or(body.len());
    let (first, rest) = body.split_at(end);
    let prefix = path.get(..path.len() - rest.len()).unwrap_or(path);
    let mut parts = first.split(';');
    let name = parts.next().unwrap_or_default();
    let params: Option<Vec<_>> = parts.map(|part| part.split_once('=')).collect();
    let params = params.ok_or(BadPath("expected parameters of the form ;NAME=VALUE"))?;
    Ok(Target {
        name,
        prefix,
        params,
        rest,
    })
}

/// Refuses what another server may read as another path.
pub(crate) fn check(path: &str, query: Option<&str>) -> Result<(), BadPath> {
    let whole = path.bytes().chain(query.unwrap_or_default().bytes());
    for byte in whole {
        if !(0x21..=0x7e).contains(&byte) {
            return Err(BadPath(
                "the target contains a byte that is not visible ASCII",
            ));
        }
    }
    if path.contains('\\') {
        return Err(BadPath("the path contains a backslash"));
    }
    if !path.contains(['.', '%']) {
        return Ok(());
    }
    if contains_encoded(path, b"5c") {
        return Err(BadPath("the path contains a backslash"));
    }
    if contains_encoded(path, b"00") {
        return Err(BadPath("the path contains a null byte"));
    }
    // A server that decodes %2F, or drops ;parameters, resolves dots after it did.
    if path.split('/').any(has_dots) {
        return Err(BadPath("the path contains a dot segment"));
    }
    Ok(())
}

fn has_dots(segment: &str) -> bool {
    if !segment.contains(['.', '%']) {
        return false;
    }
    let plain = segment.to_ascii_lowercase().replace("%2e", ".");
    plain.split("%2f").any(|part| {
        let part = part.split([';']).next().unwrap_or(part);
        let part = part.split("%3b").next().unwrap_or(part);
        part == "." || part == ".."
    })
}

fn contains_encoded(path: &str, code: &[u8; 2]) -> bool {
    path.as_bytes()
        .windows(3)
        .any(|window| window.first() == Some(&b'%') && window[1..].eq_ignore_ascii_case(code))
}

/// Decodes `%XX`; `None` where that is malformed or not UTF-8.
pub(crate) fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || char::from(rest.next()?).to_digit(16);
        let (high, low) = (digit()?, digit()?);
        bytes.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(bytes).ok()
}

/// Whether a provider of this name can be served: the name is a segment of a path.
pub(crate) fn is_servable(name: &str) -> bool {
    let mut bytes = name.bytes();
    let first = bytes.next();
    first.is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_name_parameters_and_the_rest_as_written() {
        let target = split("/exports;project_id=43;scope=a%20b/v1//x%2Fy").unwrap();
        assert_eq!(target.name, "exports");
        assert_eq!(target.prefix, "/exports;project_id=43;scope=a%20b");
        assert_eq!(target.params, [("project_id", "43"), ("scope", "a%20b")]);
        assert_eq!(target.rest, "/v1//x%2Fy");
        assert_eq!(split("/shop").unwrap().rest, "");
        assert_eq!(split("//evil").unwrap().name, "");
        assert!(split("/a;b/c").is_err());
    }

    #[test]
    fn what_other_servers_read_as_another_path_is_refused() {
        for wrong in [
            "/a/../b",
            "/a/.",
            "/a/%2e%2E/b",
            "/a/.%2e",
            "/a/..%2fb",
            "/a/%2e%2e%2Fb",
            "/a\\b",
            "/a%5cb",
            "/a%5Cb",
            "/a%00b",
            "/a/..;x=1/b",
            "/a/caf\u{e9}",
            "/a b",
        ] {
            assert!(check(wrong, None).is_err(), "{wrong}");
        }
        for right in [
            "/a/...",
            "/a/.well-known",
            "/a//b",
            "/group%2Fproject",
            "/a/b..c",
            "/a;v=1.2/%2e.x",
            "/-._~!$&'()*+,;=:@",
            "/%41%20%25",
        ] {
            assert_eq!(check(right, Some("q=a/../b&x=%5c")), Ok(()), "{right}");
        }
        assert!(check("/a", Some("q=\u{e9}")).is_err());
    }

    #[test]
    fn only_a_segment_of_a_path_can_be_served() {
        assert!(is_servable("shop_1.eu-west"));
        for wrong in ["", "-", "-x", ".x", "a b", "a/b", "a;b", "caf\u{e9}"] {
            assert!(!is_servable(wrong), "{wrong}");
        }
    }

    #[test]
    fn malformed_encodings_are_not_decoded() {
        assert_eq!(percent_decoded("a%20b").as_deref(), Some("a b"));
        for wrong in ["%", "%2", "%zz", "%ff"] {
            assert_eq!(percent_decoded(wrong), None, "{wrong}");
        }
    }
}
