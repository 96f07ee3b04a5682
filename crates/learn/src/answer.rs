//! Reads the response: where the token is, how long it lives, where the API is.

use serde_json::Value;

use crate::{
    body::tolerant,
    expires::{Expires, expires},
    learned::Refusal,
    naming::letters,
    place::{Leaf, Path, leaves},
};

/// A response as documents print it.
pub(crate) struct Printed {
    pub(crate) status: Option<u16>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

/// Where a token is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Place {
    Body(Path),
    Header(String),
    /// The whole body is the token.
    Whole,
}

/// What the response says.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) token: Place,
    /// The token of the documentation, to find it in the API call.
    pub(crate) sample: Option<String>,
    pub(crate) expires: Option<Expires>,
    /// The API's base URL, and the hosts that it may name.
    pub(crate) base_url: Option<(Path, String)>,
    pub(crate) token_type: Option<(Path, String)>,
    pub(crate) leaves: Vec<Leaf>,
}

/// Separates the status and the headers that `curl -i` prints from the body.
pub(crate) fn printed(text: &str) -> Printed {
    let text = text.replace("\r\n", "\n");
    let text = text.trim();
    let mut printed = Printed {
        status: None,
        headers: Vec::new(),
        body: text.to_owned(),
    };
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default();
    if !first.starts_with("HTTP/") {
        return printed;
    }
    printed.status = first
        .split_whitespace()
        .nth(1)
        .and_then(|code| code.parse().ok());
    for line in lines.by_ref() {
        match line.trim_start_matches("< ").split_once(':') {
            Some((name, value)) if !line.trim().is_empty() => {
                printed
                    .headers
                    .push((name.trim().to_owned(), value.trim().to_owned()));
            }
            _ => break,
        }
    }
    printed.body = lines.collect::<Vec<_>>().join("\n").trim().to_owned();
    printed
}

pub(crate) fn read(
    text: &str,
    jq: Option<&str>,
    notes: &mut Vec<String>,
) -> Result<Answer, Refusal> {
    let printed = printed(text);
    let status = printed.status.unwrap_or(200);
    if !(200..300).contains(&status) {
        return Err(Refusal::new(
            "the response is not a success",
            "pass the response that contains a token, and the refusal with --error FILE",
        ));
    }
    if printed.body.starts_with('<') && printed.body.contains("</") {
        return Err(Refusal::beyond(
            "the response is XML or HTML, which a vendor file can't read",
        ));
    }
    let value = tolerant(&printed.body);
    let leaves = value.as_ref().map(leaves).unwrap_or_default();
    let token = token(&printed, value.as_ref(), &leaves, jq)?;
    let at = match &token {
        Place::Body(path) => path.clone(),
        _ => Path::default(),
    };
    let sample = match &token {
        Place::Body(path) => leaves
            .iter()
            .find(|leaf| leaf.path == *path)
            .and_then(|leaf| leaf.value.as_str().map(str::to_owned)),
        Place::Whole => Some(printed.body.trim_matches('"').to_owned()),
        Place::Header(name) => {
            let mut headers = printed.headers.iter();
            headers
                .find(|(known, _)| known == name)
                .map(|(_, value)| value.clone())
        }
    };
    let expires = expires(&leaves, &at, notes);
    let named = |names: &[&str]| {
        leaves
            .iter()
            .find(|leaf| names.contains(&&*leaf.path.name()))
    };
    let base_url = base_url(&leaves, notes);
    let token_type = named(&["tokentype"]).and_then(|leaf| {
        let text = leaf.value.as_str()?.to_owned();
        Some((leaf.path.clone(), text))
    });
    Ok(Answer {
        status,
        token,
        sample: sample.filter(|sample| sample.len() > 6),
        expires,
        base_url,
        token_type,
        leaves,
    })
}

/// What jq reads is all that the documentation shows of the response.
pub(crate) fn from_jq(jq: &str, notes: &mut Vec<String>) -> Result<Answer, Refusal> {
    let path = Path::from_jq(jq).ok_or_else(unreadable_jq)?;
    notes.push("there is no response to read; the place of the token is the one that jq reads, and the lifetime is unknown".into());
    Ok(Answer {
        status: 200,
        token: Place::Body(path),
        sample: None,
        expires: None,
        base_url: None,
        token_type: None,
        leaves: Vec::new(),
    })
}

fn unreadable_jq() -> Refusal {
    Refusal::new(
        "the path that jq reads is not a plain one",
        "use a path such as .data.token, or remove the pipe",
    )
}

/// Names of tokens, the surest first.
const TOKENS: [&[&str]; 4] = [
    &["accesstoken"],
    &[
        "bearertoken",
        "token",
        "authtoken",
        "apitoken",
        "authenticationtoken",
        "authorizationtoken",
    ],
    &[
        "jwt",
        "jwttoken",
        "sessiontoken",
        "idtoken",
        "securitytoken",
    ],
    &["sessionid", "session", "sessionkey", "ticket"],
];

fn token(
    printed: &Printed,
    value: Option<&Value>,
    leaves: &[Leaf],
    jq: Option<&str>,
) -> Result<Place, Refusal> {
    if let Some(jq) = jq.filter(|_| value.is_some()) {
        let path = Path::from_jq(jq).ok_or_else(unreadable_jq)?;
        if leaves.iter().any(|leaf| leaf.path == path) {
            return Ok(Place::Body(path));
        }
        return Err(Refusal::new(
            "jq reads a path that is not in the response",
            "check that the response belongs to the command",
        ));
    }
    for names in TOKENS {
        let is_token = |leaf: &&Leaf| names.contains(&&*leaf.path.name()) && leaf.value.is_string();
        let found: Vec<_> = leaves.iter().filter(is_token).collect();
        match &*found {
            [] => {}
            [one] => return Ok(Place::Body(one.path.clone())),
            several => {
                let places: Vec<_> = several.iter().map(|leaf| leaf.path.jq()).collect();
                return Err(Refusal::new(
                    format!("the token may be {}", places.join(" or ")),
                    format!(
                        "add a pipe to the command that reads the right one, such as | jq -r '{}'",
                        places[0]
                    ),
                ));
            }
        }
    }
    let header = printed.headers.iter().find(|(name, _)| {
        let letters = letters(name);
        letters.ends_with("token") || letters == "authorization"
    });
    if let Some((name, _)) = header {
        return Ok(Place::Header(name.clone()));
    }
    let body = printed.body.trim();
    let is_one_word = !body.is_empty() && !body.contains(char::is_whitespace);
    match value {
        Some(Value::String(_)) => return Ok(Place::Body(Path::default())),
        None if is_one_word && !body.starts_with(['{', '[', '<']) => return Ok(Place::Whole),
        None if body.starts_with(['{', '[']) => {
            return Err(Refusal::new(
                "the response is not valid JSON",
                "remove its comments, and put quotes around its placeholders",
            ));
        }
        _ => {}
    }
    Err(unnamed(leaves))
}

/// The refusal of a response in which no name is that of a token. It lists the strings, the longest first.
fn unnamed(leaves: &[Leaf]) -> Refusal {
    /// How many of them are told.
    const MOST: usize = 5;
    let what = "the response does not show which value is the token";
    let mut strings: Vec<_> = leaves
        .iter()
        .filter_map(|leaf| Some((leaf.value.as_str()?.len(), leaf.path.jq())))
        .collect();
    strings.sort_by_key(|(length, _)| std::cmp::Reverse(*length));
    strings.truncate(MOST);
    let paths: Vec<_> = strings.into_iter().map(|(_, path)| path).collect();
    let Some(first) = paths.first() else {
        return Refusal::new(what, "pass the response that contains the token");
    };
    Refusal::new(
        format!("{what}; its strings are {}", paths.join(", ")),
        format!("add a pipe to the command that reads the token, such as | jq -r '{first}'"),
    )
}

fn base_url(leaves: &[Leaf], notes: &mut Vec<String>) -> Option<(Path, String)> {
    const NAMES: [&str; 12] = [
        "instanceurl",
        "baseurl",
        "apibaseurl",
        "apiurl",
        "apiendpoint",
        "baseuri",
        "apiserver",
        "apidomain",
        "apihost",
        "endpoint",
        "serverurl",
        "resturl",
    ];
    let leaf = leaves.iter().find(|leaf| {
        let is_url = leaf
            .value
            .as_str()
            .is_some_and(|text| text.starts_with("https://"));
        NAMES.contains(&&*leaf.path.name()) && is_url
    })?;
    let url = url::Url::parse(leaf.value.as_str()?).ok();
    let host = url
        .as_ref()
        .and_then(|url| url.host_str())
        .unwrap_or_default();
    let labels: Vec<_> = host.split('.').collect();
    let pointer = leaf.path.pointer();
    // Below a short second label, such as co.uk, anyone can have a host.
    let rest = match &*labels {
        [_, middle, _] if middle.len() > 3 => labels[1..].join("."),
        [_, _, _, ..] if labels.len() > 3 => labels[1..].join("."),
        _ => {
            notes.push(format!(
                "{pointer} contains a URL, which was left out because its host shows no pattern; set \
                 base_url and base_url_hosts if the API is there"
            ));
            return None;
        }
    };
    notes.push(format!(
        "{pointer} is read as the API's base URL; check base_url_hosts: tokens may be sent to all hosts below {rest}"
    ));
    Some((leaf.path.clone(), rest))
}
