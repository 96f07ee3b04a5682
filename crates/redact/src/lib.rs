//! Makes text of others fit to be shown: redacts secrets in it, cuts it and escapes it.
//!
//! The order matters. First [`Redactor`] looks for secrets in the whole text. Then [`vendor_text`] cuts
//! the text and escapes it. A secret is not found if it was cut or escaped before.
//!
//! ```
//! use biped_redact::{Redactor, vendor_text};
//!
//! let redactor = Redactor::new(["hunter2/+"]);
//! let said = redactor.redacted("hunter2%2F%2B is not\nthe password");
//! assert_eq!(vendor_text(&said).as_deref(), Some("[redacted] is not\\nthe password"));
//! ```
//!
//! | file | what is in it |
//! | --- | --- |
//! | `escape.rs` | [`Escaped`], [`escaped`], [`one_line`] |
//! | `vendor_text.rs` | [`vendor_text`], [`whole_vendor_text`] |
//! | `redactor.rs` | [`Redactor`] |
//! | `lattice.rs` | every reading of a text whose characters may be encoded |

mod escape;
mod lattice;
mod redactor;
mod vendor_text;

pub use self::{
    escape::{Escaped, escaped, one_line},
    redactor::Redactor,
    vendor_text::{VENDOR_TEXT_LIMIT, vendor_text, whole_vendor_text},
};
