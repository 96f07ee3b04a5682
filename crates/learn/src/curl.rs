//! From the words of a curl command to the request that it sends.

use crate::{learned::Refusal, shell::Command};

/// The request of a curl command.
#[derive(Default)]
pub(crate) struct Sent {
    pub(crate) url: String,
    pub(crate) method: Option<String>,
    pub(crate) headers: Vec<(String, String)>,
    /// The body's parts, which curl joins by `&`.
    pub(crate) data: Vec<Data>,
    /// `-G`: the data is the query.
    pub(crate) get: bool,
    pub(crate) json: bool,
    pub(crate) user: Option<String>,
    pub(crate) certificate: bool,
    pub(crate) insecure: bool,
    pub(crate) query: Vec<Data>,
}

/// A part of a body, or of a query.
pub(crate) enum Data {
    /// As it is sent.
    Raw(String),
    /// A field to encode: its name, which may be empty, and its value.
    Encode(String, String),
}

/// Options without a value that mean nothing to the exchange.
const SWITCHES: &str = "sSLifvkNgq0#Oj";
const LONG_SWITCHES: [&str; 27] = [
    "silent",
    "show-error",
    "location",
    "location-trusted",
    "include",
    "fail",
    "fail-with-body",
    "verbose",
    "compressed",
    "ssl-no-revoke",
    "no-buffer",
    "globoff",
    "http1.1",
    "http1.0",
    "http2",
    "http2-prior-knowledge",
    "http3",
    "tlsv1.2",
    "tlsv1.3",
    "tlsv1.1",
    "tlsv1.0",
    "ssl",
    "basic",
    "no-progress-meter",
    "progress-bar",
    "path-as-is",
    "ipv4",
];
/// Options with a value that mean nothing to the exchange.
const LONG_VALUES: [&str; 13] = [
    "max-time",
    "connect-timeout",
    "retry",
    "retry-delay",
    "retry-max-time",
    "output",
    "write-out",
    "cacert",
    "capath",
    "dump-header",
    "proxy",
    "resolve",
    "max-redirs",
];

/// The long name of a short option with a value.
fn long(short: char) -> Option<&'static str> {
    Some(match short {
        'X' => "request",
        'H' => "header",
        'd' => "data",
        'u' => "user",
        'F' => "form",
        'A' => "user-agent",
        'E' => "cert",
        'm' => "max-time",
        'o' => "output",
        'w' => "write-out",
        'D' => "dump-header",
        'x' => "proxy",
        'b' => "cookie",
        'c' => "cookie-jar",
        'e' => "referer",
        'T' => "upload-file",
        _ => return None,
    })
}

pub(crate) fn parse(command: &Command) -> Result<Sent, Refusal> {
    let mut sent = Sent::default();
    let mut words = command.words.iter().map(String::as_str);
    while let Some(word) = words.next() {
        if let Some(name) = word.strip_prefix("--") {
            let (name, own) = match name.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (name, None),
            };
            if !sent.switch(name)? {
                let value = own.or_else(|| words.next());
                sent.option(name, needed(name, value)?, command)?;
            }
        } else if let Some(cluster) = word.strip_prefix('-').filter(|rest| !rest.is_empty()) {
            let mut rest = cluster.chars();
            while let Some(short) = rest.next() {
                match (short, long(short)) {
                    ('G', _) => sent.get = true,
                    ('I', _) => sent.method = Some("HEAD".into()),
                    ('k', _) => sent.insecure = true,
                    (_, Some(name)) => {
                        let own = Some(rest.as_str()).filter(|rest| !rest.is_empty());
                        let value = own.or_else(|| words.next());
                        sent.option(name, needed(name, value)?, command)?;
                        break;
                    }
                    _ if SWITCHES.contains(short) => {}
                    _ => return Err(unknown(&format!("-{short}"))),
                }
            }
        } else if sent.url.is_empty() {
            sent.url = word.to_owned();
        } else {
            return Err(Refusal::new(
                "the command has more than one URL",
                "check its quotes, and pass a command with one URL",
            ));
        }
    }
    if sent.url.is_empty() {
        return Err(Refusal::new(
            "the command has no URL",
            "copy the whole command from the documentation",
        ));
    }
    Ok(sent)
}

fn needed<'v>(name: &str, value: Option<&'v str>) -> Result<&'v str, Refusal> {
    value.ok_or_else(|| {
        Refusal::new(
            format!("--{name} has no value"),
            "copy the whole command from the documentation",
        )
    })
}

fn unknown(option: &str) -> Refusal {
    Refusal::new(
        format!("the meaning of curl's option {option} is not known here"),
        "remove it if the vendor gets the same request without it",
    )
}

impl Sent {
    /// Takes an option without a value.
    fn switch(&mut self, name: &str) -> Result<bool, Refusal> {
        match name {
            "get" => self.get = true,
            "insecure" => self.insecure = true,
            "head" => self.method = Some("HEAD".into()),
            "digest" | "ntlm" | "negotiate" | "anyauth" => {
                return Err(Refusal::beyond(format!(
                    "--{name} answers a challenge of the server, which a vendor file can't express"
                )));
            }
            _ => return Ok(LONG_SWITCHES.contains(&name)),
        }
        Ok(true)
    }

    /// Takes an option with a value.
    fn option(&mut self, name: &str, value: &str, command: &Command) -> Result<(), Refusal> {
        let text = || from_file(value, command);
        match name {
            "request" => self.method = Some(value.to_ascii_uppercase()),
            "url" => self.url = value.to_owned(),
            "header" => {
                if let Some((name, value)) = value.split_once(':') {
                    self.headers
                        .push((name.trim().to_owned(), value.trim().to_owned()));
                }
            }
            "user-agent" => self.headers.push(("User-Agent".into(), value.into())),
            "oauth2-bearer" => {
                let value = format!("Bearer {value}");
                self.headers.push(("Authorization".into(), value));
            }
            "data" | "data-ascii" | "data-binary" => self.data.push(Data::Raw(text()?)),
            "data-raw" => self.data.push(Data::Raw(value.to_owned())),
            "json" => {
                self.json = true;
                self.data.push(Data::Raw(text()?));
            }
            "data-urlencode" => self.data.push(encoded(value)?),
            "url-query" => self.query.push(encoded(value)?),
            "user" => self.user = Some(value.to_owned()),
            "cert" => self.certificate = true,
            "key" | "pass" | "cert-type" | "key-type" => {}
            "form" | "form-string" => {
                return Err(Refusal::beyond(
                    "-F sends multipart/form-data, which a vendor file can't express",
                ));
            }
            "aws-sigv4" => return Err(Refusal::signed("--aws-sigv4")),
            "cookie" | "cookie-jar" => {
                return Err(Refusal::beyond(
                    "the exchange keeps cookies, which a vendor file can't express",
                ));
            }
            "upload-file" => return Err(unknown("-T")),
            _ if LONG_VALUES.contains(&name) => {}
            _ => return Err(unknown(&format!("--{name}"))),
        }
        Ok(())
    }
}

fn from_file(value: &str, command: &Command) -> Result<String, Refusal> {
    match (value.strip_prefix('@'), &command.input) {
        (Some("-"), Some(input)) => Ok(input.clone()),
        (Some(_), _) => Err(Refusal::new(
            "the command reads its data from a file",
            "put the data in place of @FILE",
        )),
        (None, _) => Ok(value.to_owned()),
    }
}

fn encoded(value: &str) -> Result<Data, Refusal> {
    match value.find(['=', '@']) {
        Some(at) if value[at..].starts_with('=') => {
            Ok(Data::Encode(value[..at].into(), value[at + 1..].into()))
        }
        // A sample such as an address of mail has an @ as well, but no name in front of it.
        Some(at) if at == 0 || !value[..at].contains(' ') => Err(Refusal::new(
            "the command reads a field from a file",
            "put the value in place of @FILE",
        )),
        _ => Ok(Data::Encode(String::new(), value.into())),
    }
}
