//! What the sidecar reads of callers and of APIs.

use biped_serve::fuzzing;
use url::Url;

use crate::input::line;

/// A request's path, and its query below: what is accepted holds no way to another path.
pub(crate) fn path(data: &[u8]) {
    let (path, query) = line(data);
    if path.contains(['?', '#']) {
        return; // A path ends there before it is read.
    }
    let query = std::str::from_utf8(query)
        .ok()
        .filter(|query| !query.is_empty());
    let Some((name, prefix, rest)) = fuzzing::path(path, query) else {
        return;
    };
    assert!(!name.contains('/') && !path.contains('\\'));
    assert_eq!(format!("{prefix}{rest}"), path);
    // However a server decodes it, no segment is `.` or `..`.
    let decoded = path.replace("%2e", ".").replace("%2E", ".");
    let decoded = decoded.replace("%2f", "/").replace("%2F", "/");
    assert!(
        !decoded.split('/').any(|part| part == "." || part == ".."),
        "{path}"
    );
    let base = Url::parse("https://api.example/base/").unwrap();
    if let Ok(joined) = Url::parse(&format!("https://api.example/base{rest}")) {
        assert_eq!(joined.origin(), base.origin(), "{path}");
        assert!(joined.path().starts_with("/base"), "{path}");
    }
}

/// A path, and the values of `Biped-…` headers below.
pub(crate) fn parameters(data: &[u8]) {
    let (path, headers) = line(data);
    let headers = std::str::from_utf8(headers).unwrap_or_default();
    let headers = headers.lines().filter_map(|line| line.split_once(": "));
    if let Some(key) = fuzzing::parameters(path, headers) {
        // What tells two wishes apart is written in one line each.
        assert!(key.lines().count() <= 4, "{key}");
    }
}

/// A rule, a method and a path, in a line each.
pub(crate) fn allow_list(data: &[u8]) {
    let (rule, rest) = line(data);
    let (method, path) = line(rest);
    let path = std::str::from_utf8(path).unwrap_or_default();
    let allowed = fuzzing::allows(rule, method, path);
    if allowed == Some(true) {
        let (known, _) = rule.split_once(' ').unwrap();
        assert!(known == "*" || known == method);
        assert!(!path.to_ascii_lowercase().contains("%2f"));
    }
}

/// An address that was called, and the values of `Location` and `Link` below.
pub(crate) fn links(data: &[u8]) {
    let (called, rest) = line(data);
    let (location, link) = line(rest);
    let Ok(called) = Url::parse(called) else {
        return;
    };
    // A sidecar calls no other addresses. The crate url has a debug assertion that relative addresses of
    // files can break.
    if !matches!(called.scheme(), "http" | "https") {
        return;
    }
    let base = Url::parse("https://api.example/base").unwrap();
    let Some(seen) = fuzzing::location(&base, &called, location) else {
        return;
    };
    // A relative address of another origin would be called at this one.
    let caller = Url::parse("http://127.0.0.1:7417/shop/x").unwrap();
    let target = called.join(location);
    let through = caller.join(&seen);
    if let (Ok(target), Ok(through)) = (target, through) {
        let is_own = through.origin() == caller.origin();
        assert!(
            !is_own || target.origin() == base.origin(),
            "{location} as {seen}"
        );
    }
    let _ = fuzzing::link(
        &base,
        &called,
        std::str::from_utf8(link).unwrap_or_default(),
    );
}

/// The body of a token request, in a form.
pub(crate) fn form(data: &[u8]) {
    if let Some(fields) = fuzzing::form(data) {
        let mut names: Vec<_> = fields.iter().map(|(name, _)| name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), fields.len(), "a field is read twice");
    }
}

/// A method and a target, and headers below: what a page of another origin sends is refused.
pub(crate) fn hosts(data: &[u8]) {
    let (head, rest) = line(data);
    let (method, target) = head.split_once(' ').unwrap_or(("GET", head));
    let headers = std::str::from_utf8(rest).unwrap_or_default();
    let headers: Vec<_> = headers
        .lines()
        .filter_map(|line| line.split_once(": "))
        .collect();
    let hosts = ["sidecar.internal".to_owned()];
    if fuzzing::admits(method, target, headers.iter().copied(), &hosts) != Some(true) {
        return;
    }
    let of = |wanted: &str| {
        let named = headers
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
        let valid = named.filter(|(_, value)| http::HeaderValue::try_from(*value).is_ok());
        valid
            .map(|(_, value)| value.to_ascii_lowercase())
            .collect::<Vec<_>>()
    };
    let given = of("host");
    assert_eq!(given.len(), 1, "{given:?}");
    for host in &given {
        let url = Url::parse(&format!("http://{host}")).expect("a host that is admitted");
        let is_near = match url.host() {
            Some(url::Host::Domain(name)) => ["localhost", "sidecar.internal"].contains(&name),
            Some(url::Host::Ipv4(four)) => four.is_loopback(),
            Some(url::Host::Ipv6(six)) => six.is_loopback(),
            None => false,
        };
        assert!(is_near, "{host}");
        assert!(
            url.port().is_none_or(|port| port == 7417) && url.path() == "/",
            "{host}"
        );
    }
    for origin in of("origin") {
        assert_eq!(
            Some(&*origin),
            given
                .first()
                .map(|host| format!("http://{host}"))
                .as_deref()
        );
    }
}

/// What a caller proves itself with.
pub(crate) fn credentials(data: &[u8]) {
    let (text, _) = line(data);
    let (tokens, basic) = fuzzing::credentials(text);
    assert!(tokens.iter().all(|token| !token.is_empty()));
    if let Some((user, _)) = basic {
        assert!(!user.contains(':'));
    }
}
