//! [`Rule`]: which methods and paths of an API may be called.

use crate::target::percent_decoded;

/// A rule such as `GET /v1/**`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    /// `None` for any.
    method: Option<String>,
    segments: Vec<Segment>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Is(String),
    /// `*`: one segment.
    One,
    /// `**`: the rest.
    Rest,
}

impl Rule {
    /// Reads a rule: a method or `*`, a space, and a path.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (method, path) = text.split_once(' ')?;
        let path = path.trim_start().strip_prefix('/')?;
        let is_method = |method: &str| {
            !method.is_empty()
                && method
                    .bytes()
                    .all(|byte| byte.is_ascii_uppercase() || byte == b'-')
        };
        let method = match method {
            "*" => None,
            method if is_method(method) => Some(method.to_owned()),
            _ => return None,
        };
        let segments: Vec<_> = path
            .split('/')
            .map(|segment| match segment {
                "*" => Segment::One,
                "**" => Segment::Rest,
                text => Segment::Is(text.to_owned()),
            })
            .collect();
        let rest = segments.iter().position(|it| *it == Segment::Rest);
        let is_last = rest.is_none_or(|at| at + 1 == segments.len());
        let is_plain = !path.contains(['?', '#', ' ']);
        (is_last && is_plain).then_some(Self { method, segments })
    }

    /// Whether the rule is about this method, in any spelling of it.
    fn is_about(&self, method: &str) -> bool {
        let known = self.method.as_deref();
        known.is_none_or(|known| known.eq_ignore_ascii_case(method))
    }

    /// Whether the rule is for this method and path. The path is compared byte for byte, without its
    /// query; one that contains an encoded slash matches no rule.
    pub(crate) fn matches(&self, method: &str, path: &str) -> bool {
        if self.method.as_deref().is_some_and(|known| known != method) || has_encoded_slash(path) {
            return false;
        }
        let mut given = path.strip_prefix('/').unwrap_or(path).split('/');
        for segment in &self.segments {
            match (segment, given.next()) {
                (Segment::Rest, _) => return true,
                (Segment::One, Some(segment)) if !segment.is_empty() => {}
                (Segment::Is(known), Some(segment)) if known == segment => {}
                _ => return false,
            }
        }
        given.next().is_none()
    }
}

fn has_encoded_slash(path: &str) -> bool {
    let mut windows = path.as_bytes().windows(3);
    windows.any(|window| window.eq_ignore_ascii_case(b"%2f"))
}

/// Whether an API may take the path for another one: it has an encoded slash, or an encoded character that
/// is as good unencoded (RFC 3986 §6.2.2.2), or an empty segment that is not the last.
fn is_ambiguous(path: &str) -> bool {
    let is_as_good = |c: char| c.is_ascii_alphanumeric() || "-._~/".contains(c);
    let mut encoded = path.split('%').skip(1).filter_map(|rest| rest.get(..2));
    let has_encoded = encoded.any(|digits| {
        let decoded = percent_decoded(&format!("%{digits}"));
        decoded.is_some_and(|text| text.contains(is_as_good))
    });
    has_encoded || path.contains("//")
}

/// Whether rules allow a call: a denial wins; without a list, everything is allowed.
pub(crate) fn allows(allow: Option<&[Rule]>, deny: &[Rule], method: &str, path: &str) -> bool {
    // A path that may be read as another one can't be shown to be harmless where a method is denied at all.
    let is_denied = deny.iter().any(|rule| rule.matches(method, path))
        || (deny.iter().any(|rule| rule.is_about(method)) && is_ambiguous(path));
    let is_allowed = allow.is_none_or(|rules| rules.iter().any(|rule| rule.matches(method, path)));
    is_allowed && !is_denied
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str) -> Rule {
        Rule::parse(text).unwrap()
    }

    #[test]
    fn a_star_is_one_segment_and_two_are_the_rest() {
        assert!(rule("GET /v1/**").matches("GET", "/v1/a/b"));
        assert!(rule("GET /v1/*").matches("GET", "/v1/a"));
        assert!(!rule("GET /v1/*").matches("GET", "/v1/a/b"));
        assert!(!rule("GET /v1/*").matches("GET", "/v1/"));
        assert!(!rule("GET /v1/**").matches("POST", "/v1/a"));
        assert!(rule("* /v1/orders").matches("DELETE", "/v1/orders"));
        assert!(!rule("* /v1/orders").matches("GET", "/v1/orders/"));
        assert!(!rule("* /v1/orders").matches("GET", "/v1/%6Frders"));
    }

    #[test]
    fn an_encoded_slash_matches_no_rule() {
        assert!(!rule("GET /**").matches("GET", "/v1/group%2Fproject"));
        assert!(!allows(None, &[rule("GET /admin")], "GET", "/x%2fadmin"));
        assert!(allows(None, &[], "GET", "/group%2Fproject"));
    }

    #[test]
    fn a_denial_is_not_got_around_by_another_spelling() {
        let deny = [rule("* /admin/**")];
        for path in ["/%61dmin/x", "//admin/x", "/admin//x", "/x/%2E%2e/admin/x"] {
            assert!(!allows(None, &deny, "DELETE", path), "{path}");
            assert!(allows(None, &[], "DELETE", path), "{path}");
        }
        for path in ["/orders/%C3%A4%20b", "/orders/", "/a%zz", "/a%"] {
            assert!(allows(None, &deny, "GET", path), "{path}");
        }
    }

    #[test]
    fn a_denial_of_one_method_leaves_the_paths_of_others_alone() {
        let deny = [rule("POST /admin/**")];
        for path in ["/x//y", "/projects/a%2Fb", "/%61dmin/x"] {
            assert!(allows(None, &deny, "GET", path), "{path}");
            assert!(!allows(None, &deny, "POST", path), "{path}");
            assert!(!allows(None, &deny, "post", path), "{path}");
        }
    }

    #[test]
    fn a_denial_wins() {
        let (allow, deny) = ([rule("* /**")], [rule("* /admin/**")]);
        assert!(allows(Some(&allow), &deny, "GET", "/v1"));
        assert!(!allows(Some(&allow), &deny, "GET", "/admin/x"));
        assert!(!allows(Some(&[]), &[], "GET", "/v1"));
    }

    #[test]
    fn what_is_not_a_rule_is_refused() {
        for wrong in [
            "GET",
            "/v1",
            "get /v1",
            "GET v1",
            "GET /**/x",
            "GET /a?b",
            "",
        ] {
            assert_eq!(Rule::parse(wrong), None, "{wrong}");
        }
    }
}
