//! [`Servers`]: the servers of token requests. Their URLs are parsed once and not at every request.

use http::{
    Uri,
    uri::{Authority, Scheme},
};
use url::Url;

use crate::recent::Recent;

/// How many servers are remembered.
const SERVERS_KEPT: usize = 32;

/// Recently used servers, by scheme and authority. Paths and queries are not kept, because some vendors
/// expect a secret there.
#[derive(Debug)]
pub(crate) struct Servers(Recent<(Scheme, Authority), Url>);

impl Servers {
    pub(crate) fn new() -> Self {
        Self(Recent::new(SERVERS_KEPT))
    }

    /// Parses a URL; returns `None` for an invalid one, and for other schemes than http and https.
    pub(crate) fn url(&self, address: &Uri) -> Option<Url> {
        let (scheme, authority) = (address.scheme()?, address.authority()?);
        let known = self
            .0
            .find(|(known, at)| known == scheme && at == authority);
        if let Some(mut url) = known {
            url.set_path(address.path());
            url.set_query(address.query());
            return Some(url);
        }
        let url = parsed(address)?;
        // Hosts compare without case; user names and passwords do not.
        if !authority.as_str().contains('@') {
            let mut root = url.clone();
            root.set_path("");
            root.set_query(None);
            self.0.keep((scheme.clone(), authority.clone()), root);
        }
        Some(url)
    }
}

fn parsed(address: &Uri) -> Option<Url> {
    Url::parse(&address.to_string())
        .ok()
        .filter(|url| matches!(url.scheme(), "https" | "http") && url.has_host())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> Uri {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_of_a_known_server_is_read_like_any_other() {
        for server in [
            "https://login.example",
            "HTTPS://Login.Example:443",
            "http://127.0.0.1:7600",
            "http://0x7f.1",
            "http://[::1]:80",
            "https://user:Pass@login.example",
        ] {
            let servers = Servers::new();
            servers.url(&uri(server)).unwrap();
            for rest in [
                "",
                "/",
                "/token",
                "//evil.example/token",
                "/a//b/./c/../d",
                "/..//x",
                "/%2e%2E/x",
                "/a\\b",
                "/a|b{c}\"d'",
                "/caf\u{e9}",
                "/a;b=c:d@e",
                "?",
                "/token?",
                "/token?a=b&c=%20d'|?",
                "?x=/../y",
            ] {
                let Ok(address) = format!("{server}{rest}").parse::<Uri>() else {
                    continue;
                };
                assert_eq!(servers.url(&address), parsed(&address), "{address}");
            }
        }
    }

    #[test]
    fn servers_are_told_apart() {
        let servers = Servers::new();
        for address in [
            "https://a.example/x",
            "http://a.example/x",
            "https://a.example:8443/x",
            "https://b.example/x",
            "https://u:Secret@a.example/x",
            "https://u:sECRET@a.example/x",
        ] {
            assert_eq!(servers.url(&uri(address)).unwrap().as_str(), address);
        }
        assert_eq!(servers.url(&uri("ftp://a.example/x")), None);
        assert_eq!(servers.url(&uri("/x")), None);
    }

    #[test]
    fn neither_paths_nor_queries_nor_passwords_are_kept() {
        let servers = Servers::new();
        servers
            .url(&uri("https://a.example/s3cret?s3cret"))
            .unwrap();
        servers.url(&uri("https://u:s3cret@a.example/")).unwrap();
        let mut known = Vec::new();
        servers.0.find(|(scheme, authority)| {
            known.push(format!("{scheme} {authority}"));
            false
        });
        assert_eq!(known, ["https a.example"]);
        let root = servers.0.find(|_| true).unwrap();
        assert_eq!(root.as_str(), "https://a.example/");
    }
}
