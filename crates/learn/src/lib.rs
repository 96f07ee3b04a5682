//! Turns what a vendor's documentation prints into a vendor file: a curl command, the response to it,
//! a refusal and a call of the API.
//!
//! ```
//! use biped_learn::{Material, learn};
//!
//! let mut material = Material::new(
//!     "acme",
//!     r#"curl https://acme.example/login --json '{"user": "<user>", "password": "<password>"}'"#,
//! );
//! material.response = Some(r#"{"session": {"token": "abc", "ttl": 1800}}"#);
//! let learned = learn(&material)?;
//! assert!(learned.text.contains(r#"token = "/session/token""#));
//! # Ok::<(), biped_learn::Refusal>(())
//! ```
//!
//! The result is a file of kind `dialect`, which contains its examples, or an entry of kind `oauth2`
//! if the exchange is that of RFC 6749. It contains no value of the documentation that may be a
//! sample. What the text does not say is left out, and [`Learned::notes`] says so; what a vendor file
//! can't express is a [`Refusal`] with its reason.
//!
//! # The files
//!
//! ```text
//! learned.rs    Material, Learned, Refusal
//! shell.rs      commands, as people print them, to words; scan.rs: one line of them
//! curl.rs       words to a request
//! template.rs   a text with {names}; placeholder.rs: placeholders of any style, and samples
//! naming.rs     which names are credentials
//! request.rs    a request to what a vendor file says about it
//! address.rs, body.rs, header.rs, value.rs   its parts
//! place.rs      paths in JSON
//! answer.rs     the response; expires.rs: its expiry; refused.rs: the refusal
//! api.rs        the API call
//! whole.rs      all that was learned
//! file.rs       writes a vendor file; example.rs: its examples; toml.rs: TOML
//! entry.rs      writes an entry of kind oauth2
//! ```

mod address;
mod answer;
mod api;
mod body;
mod curl;
mod entry;
mod example;
mod expires;
mod file;
mod header;
mod learned;
mod naming;
mod place;
mod placeholder;
mod refused;
mod request;
mod scan;
mod shell;
mod template;
mod toml;
mod value;
mod whole;

pub use self::learned::{Learned, Material, Refusal, Written};

/// Turns the material into a vendor file, or an entry of kind `oauth2`.
///
/// # Errors
/// Fails if the text is not a curl command with one request, if a vendor file can't express the
/// request, or if the response does not show where the token is. No error quotes a value.
pub fn learn(material: &Material<'_>) -> Result<Learned, Refusal> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if material.name.is_empty() || !material.name.chars().all(is_plain) {
        return Err(Refusal::new(
            "the vendor's name is not valid",
            "use letters, digits, - and _",
        ));
    }
    let mut notes = Vec::new();
    let command = shell::only_curl(material.curl)?;
    let sent = curl::parse(&command)?;
    let mut request = request::describe(&sent, &mut notes)?;
    let answer = match (material.response, &command.jq) {
        (Some(text), jq) => answer::read(text, jq.as_deref(), &mut notes)?,
        (None, Some(jq)) => answer::from_jq(jq, &mut notes)?,
        (None, None) => {
            return Err(Refusal::new(
                "there is no response to read",
                "pass the response to the token request with --response FILE",
            ));
        }
    };
    let refused = refused::read(material.error, &mut notes);
    let ok = refused::success_flag(&answer, refused.as_ref());
    refused::note_flag(&answer, material.error, refused.as_ref(), &mut notes);
    let api = match material.api {
        Some(text) => Some(api::read(text, &answer, &mut request, &mut notes)?),
        None => {
            notes.push("no API call was given; the file assumes Authorization: Bearer".into());
            None
        }
    };
    let whole = whole::Whole {
        material,
        request: &request,
        answer: &answer,
        refused: refused.as_ref(),
        ok: ok.as_ref(),
        api: api.as_ref(),
    };
    if entry::is_standard(&whole) {
        return Ok(entry::write(&whole, notes));
    }
    file::write(&whole, notes)
}
