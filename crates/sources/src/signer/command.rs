//! A command that signs.

use std::{fmt, io, time::Duration};

use biped_config::{ConfigTable, Field, FieldType};
use biped_core::{Error, ExposeSecret, SecretRef, SourceContext, async_trait};
use biped_io::{before, run_command_with};

use super::{
    Signer, base64_of_any_kind,
    public::{KeyKind, PublicKey},
};
use crate::{der, key::Algorithm};

/// The key of its table.
pub(crate) const KEY: &str = "signer";

/// How long it may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How much it may print, in bytes.
const LONGEST: usize = 64 * 1024;

/// The variable that names the algorithm.
const ALGORITHM: &str = "BIPED_ALG";

/// A command that gets the message on standard input, and prints the signature in base64 or base64url.
pub(crate) struct Command {
    program: String,
    arguments: Vec<String>,
    public: SecretRef,
}

impl Command {
    pub(crate) fn from_config(table: &ConfigTable) -> Option<Self> {
        table.check(&[
            Field::new(KEY, FieldType::Texts),
            Field::new("public", FieldType::Secret),
        ]);
        let argv = table.texts(KEY)?;
        let public = table.secret("public");
        if public.is_none() {
            drop(table.missing("public"));
        }
        let Some((program, arguments)) = argv.split_first() else {
            drop(table.invalid(KEY, "expected a program and its arguments"));
            return None;
        };
        Some(Self {
            program: program.clone(),
            arguments: arguments.to_vec(),
            public: public?,
        })
    }

    async fn run(
        &self,
        alg: Algorithm,
        message: &[u8],
        cx: &SourceContext<'_>,
    ) -> Result<Vec<u8>, Error> {
        let program = &self.program;
        let failed = |what: String| Error::secret(format!("the signing command {program} {what}"));
        let variables = [(ALGORITHM, alg.as_str())];
        let running = run_command_with(program, &self.arguments, message, &variables, LONGEST);
        let Some(ran) = before(cx.clock().sleep(TIMEOUT), running).await else {
            let seconds = TIMEOUT.as_secs();
            return Err(failed(format!("took more than {seconds} s")).transient(true));
        };
        let (status, printed) = ran.map_err(|error| match error.kind() {
            io::ErrorKind::FileTooLarge => failed(format!("printed more than {LONGEST} bytes")),
            _ => failed(format!("can't be run: {error}")),
        })?;
        if !status.success() {
            return Err(failed(format!("failed ({status})"))
                .transient(true)
                .with_remedy("run it by hand to see why"));
        }
        base64_of_any_kind(&printed)
            .ok_or_else(|| failed("printed something that is not base64".into()))
    }
}

/// A signature in the form of RFC 7518. Most tools make DER of ECDSA.
fn in_form(signature: Vec<u8>, kind: KeyKind) -> Option<Vec<u8>> {
    match kind {
        KeyKind::Ec(length) if signature.len() != 2 * length => {
            der::ecdsa_fixed(&signature, length)
        }
        _ => Some(signature),
    }
}

/// The signature of an ECDSA key in what a command printed.
#[cfg(feature = "fuzzing")]
pub(crate) fn read_ecdsa(printed: &[u8], length: usize) -> Option<Vec<u8>> {
    in_form(base64_of_any_kind(printed)?, KeyKind::Ec(length))
}

#[async_trait]
impl Signer for Command {
    fn reference(&self) -> String {
        format!("{KEY}:{}", self.program)
    }

    fn identity(&self) -> String {
        format!("{:?}", (&self.program, &self.arguments, &self.public))
    }

    fn secrets(&self) -> Vec<SecretRef> {
        vec![self.public.clone()]
    }

    async fn public(&self, cx: &SourceContext<'_>) -> Result<PublicKey, Error> {
        let text = cx.secret(&self.public).await?;
        let text = text.expose_secret().trim();
        match text.starts_with('{') {
            true => PublicKey::from_jwk(text),
            false => PublicKey::from_pem(text),
        }
    }

    async fn sign(
        &self,
        alg: Algorithm,
        message: &[u8],
        cx: &SourceContext<'_>,
    ) -> Result<Vec<u8>, Error> {
        let signature = self.run(alg, message, cx).await?;
        let kind = self.public(cx).await?.kind();
        in_form(signature, kind).ok_or_else(|| {
            let program = &self.program;
            Error::secret(format!(
                "the signing command {program} printed a signature of another form than {alg}"
            ))
        })
    }
}

/// Leaves out the arguments, which may be secrets.
impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Command")
            .field("program", &self.program)
            .finish_non_exhaustive()
    }
}
