//! [`Open`]: a session of a token, and the key in it. All of it blocks.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use aws_lc_rs::digest::{self, digest};
use biped_core::{Error, SecretString};
use cryptoki::{
    context::{CInitializeArgs, CInitializeFlags, Pkcs11},
    error::{Error as Failure, RvError},
    mechanism::{
        Mechanism, MechanismType,
        eddsa::{EddsaParams, EddsaSignatureScheme},
        rsa::{PkcsMgfType, PkcsPssParams},
    },
    object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle},
    session::{Session, UserType},
    slot::Slot,
};

use super::{pins, uri::Uri};
use crate::{key::Algorithm, signer::public::PublicKey};

/// The modules of this process, each loaded once: the standard allows no more.
static MODULES: Mutex<BTreeMap<PathBuf, Arc<Module>>> = Mutex::new(BTreeMap::new());

/// A module. Its locks are held while it works: if it does not return, other modules still do.
#[derive(Default)]
struct Module {
    loaded: Mutex<Option<Pkcs11>>,
    /// Keys of one token must not send the same wrong PIN at the same time.
    logging_in: Mutex<()>,
}

/// Why a device did not do its work.
#[derive(Debug)]
pub(super) enum Problem {
    /// The session or the device is gone; another session may work.
    Lost(String),
    /// A later attempt would fail as well.
    Lasting(String),
}

impl Problem {
    pub(super) fn into_error(self, name: &str) -> Error {
        let (what, may_pass) = match self {
            Self::Lost(what) => (what, true),
            Self::Lasting(what) => (what, false),
        };
        Error::secret(format!("{name}: {what}")).transient(may_pass)
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        let Failure::Pkcs11(code, _) = &failure else {
            return Self::Lasting(format!("the module failed: {failure}"));
        };
        let what = format!("the module failed: {code:?}");
        match code {
            RvError::DeviceError
            | RvError::DeviceRemoved
            | RvError::DeviceMemory
            | RvError::GeneralError
            | RvError::FunctionFailed
            | RvError::KeyHandleInvalid
            | RvError::ObjectHandleInvalid
            | RvError::OperationActive
            | RvError::SessionClosed
            | RvError::SessionHandleInvalid
            | RvError::SlotIdInvalid
            | RvError::TokenNotPresent
            | RvError::TokenNotRecognized
            | RvError::UserNotLoggedIn => Self::Lost(what),
            _ => Self::Lasting(what),
        }
    }
}

/// A session that is logged in, and the key in it.
pub(super) struct Open {
    session: Session,
    private: ObjectHandle,
    public: PublicKey,
}

impl Open {
    pub(super) fn new(uri: &Uri, pin: Option<&SecretString>) -> Result<Self, Problem> {
        let of_process = Module::at(&uri.module);
        let module = of_process.load(&uri.module)?;
        let slot = slot(&module, uri)?;
        let session = module.open_ro_session(slot)?;
        if let Some(pin) = pin {
            let token = token_name(&module, slot, uri)?;
            let _one = locked(&of_process.logging_in);
            log_in(&session, &token, pin)?;
        }
        let private = only(&session, uri, ObjectClass::PRIVATE_KEY)?
            .ok_or_else(|| Problem::Lasting("the token has no such private key".into()))?;
        let public = only(&session, uri, ObjectClass::PUBLIC_KEY)?;
        let public = public_key(&session, private, public)?;
        Ok(Self {
            session,
            private,
            public,
        })
    }

    pub(super) fn public(&self) -> Result<PublicKey, Problem> {
        Ok(self.public.clone())
    }

    /// Signs as RFC 7518 says.
    pub(super) fn sign(&self, alg: Algorithm, message: &[u8]) -> Result<Vec<u8>, Problem> {
        let pss = |hash_alg, mgf, length| PkcsPssParams {
            hash_alg,
            mgf,
            s_len: length,
        };
        let (sha256, sha384, sha512) = (
            MechanismType::SHA256,
            MechanismType::SHA384,
            MechanismType::SHA512,
        );
        // Not every token hashes for ECDSA itself.
        let hashed = |hash| digest(hash, message).as_ref().to_vec();
        let (mechanism, data) = match alg {
            Algorithm::RS256 => (Mechanism::Sha256RsaPkcs, message.to_vec()),
            Algorithm::RS384 => (Mechanism::Sha384RsaPkcs, message.to_vec()),
            Algorithm::RS512 => (Mechanism::Sha512RsaPkcs, message.to_vec()),
            Algorithm::PS256 => {
                let pss = pss(sha256, PkcsMgfType::MGF1_SHA256, 32.into());
                (Mechanism::Sha256RsaPkcsPss(pss), message.to_vec())
            }
            Algorithm::PS384 => {
                let pss = pss(sha384, PkcsMgfType::MGF1_SHA384, 48.into());
                (Mechanism::Sha384RsaPkcsPss(pss), message.to_vec())
            }
            Algorithm::PS512 => {
                let pss = pss(sha512, PkcsMgfType::MGF1_SHA512, 64.into());
                (Mechanism::Sha512RsaPkcsPss(pss), message.to_vec())
            }
            Algorithm::ES256 => (Mechanism::Ecdsa, hashed(&digest::SHA256)),
            Algorithm::ES384 => (Mechanism::Ecdsa, hashed(&digest::SHA384)),
            Algorithm::ES512 => (Mechanism::Ecdsa, hashed(&digest::SHA512)),
            Algorithm::EdDSA | Algorithm::Ed25519 => {
                let params = EddsaParams::new(EddsaSignatureScheme::Pure);
                (Mechanism::Eddsa(params), message.to_vec())
            }
            _ => {
                return Err(Problem::Lasting(format!(
                    "a token does not sign with {alg}"
                )));
            }
        };
        Ok(self.session.sign(&mechanism, self.private, &data)?)
    }
}

impl Module {
    fn at(path: &Path) -> Arc<Self> {
        locked(&MODULES).entry(path.to_owned()).or_default().clone()
    }

    fn load(&self, path: &Path) -> Result<Pkcs11, Problem> {
        let mut loaded = locked(&self.loaded);
        if let Some(module) = &*loaded {
            return Ok(module.clone());
        }
        let failed = |error: Failure| {
            let path = path.display();
            Problem::Lasting(format!("the module {path} can't be loaded: {error}"))
        };
        let module = Pkcs11::new(path).map_err(failed)?;
        match module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
            // Another part of the process may use it too.
            Ok(()) | Err(Failure::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
            Err(error) => return Err(failed(error)),
        }
        *loaded = Some(module.clone());
        Ok(module)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Finds the token.
fn slot(module: &Pkcs11, uri: &Uri) -> Result<Slot, Problem> {
    let mut found = Vec::new();
    for slot in module.get_slots_with_token()? {
        let info = module.get_token_info(slot)?;
        let fits = |wanted: &Option<String>, is: &str| {
            wanted
                .as_deref()
                .is_none_or(|wanted| wanted == is.trim_end())
        };
        if fits(&uri.token, info.label())
            && fits(&uri.serial, info.serial_number())
            && fits(&uri.manufacturer, info.manufacturer_id())
            && fits(&uri.model, info.model())
            && uri.slot.is_none_or(|wanted| wanted == slot.id())
        {
            found.push(slot);
        }
    }
    match found[..] {
        [slot] => Ok(slot),
        [] => Err(Problem::Lost("there is no such token".into())),
        _ => Err(Problem::Lasting(
            "several tokens fit; add serial or slot-id".into(),
        )),
    }
}

/// A name of the token that stays the same whichever of its keys is used.
fn token_name(module: &Pkcs11, slot: Slot, uri: &Uri) -> Result<String, Problem> {
    let info = module.get_token_info(slot)?;
    Ok(format!(
        "{} {} {}",
        uri.module.display(),
        info.serial_number(),
        info.label()
    ))
}

/// Logs in. A PIN that the token refused is not sent again.
fn log_in(session: &Session, token: &str, pin: &SecretString) -> Result<(), Problem> {
    if pins::is_refused(token, pin) {
        let what = "the token refused this PIN before, so it is not sent again";
        return Err(Problem::Lasting(what.into()));
    }
    match session.login(UserType::User, Some(pin)) {
        Ok(()) => {
            pins::forget(token);
            Ok(())
        }
        Err(Failure::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(()),
        Err(Failure::Pkcs11(
            RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange,
            _,
        )) => {
            let what = "the token refused the PIN";
            Err(Problem::Lasting(match pins::note(token, pin) {
                Ok(()) => what.into(),
                Err(error) => format!(
                    "{what}; correct it before the next command, which sends it again since the \
                     refusal can't be written to Biped's state directory: {error}"
                ),
            }))
        }
        Err(Failure::Pkcs11(RvError::PinLocked, _)) => {
            Err(Problem::Lasting("the token's PIN is locked".into()))
        }
        Err(error) => Err(error.into()),
    }
}

/// Finds the object of this class that the URI names.
fn only(session: &Session, uri: &Uri, class: ObjectClass) -> Result<Option<ObjectHandle>, Problem> {
    let mut wanted = vec![Attribute::Class(class)];
    wanted.extend(
        uri.object
            .as_ref()
            .map(|label| Attribute::Label(label.as_bytes().to_vec())),
    );
    wanted.extend(uri.id.as_ref().map(|id| Attribute::Id(id.clone())));
    match session.find_objects(&wanted)?[..] {
        [] => Ok(None),
        [one] => Ok(Some(one)),
        _ => Err(Problem::Lasting("several keys fit; add id".into())),
    }
}

/// Reads the public half, which a private RSA key has as well.
fn public_key(
    session: &Session,
    private: ObjectHandle,
    public: Option<ObjectHandle>,
) -> Result<PublicKey, Problem> {
    let kinds = [
        AttributeType::KeyType,
        AttributeType::Modulus,
        AttributeType::PublicExponent,
        AttributeType::EcParams,
        AttributeType::EcPoint,
    ];
    let (mut kind, mut modulus, mut exponent, mut curve, mut point) =
        (None, None, None, None, None);
    for attribute in session.get_attributes(public.unwrap_or(private), &kinds)? {
        match attribute {
            Attribute::KeyType(found) => kind = Some(found),
            Attribute::Modulus(bytes) => modulus = Some(bytes),
            Attribute::PublicExponent(bytes) => exponent = Some(bytes),
            Attribute::EcParams(bytes) => curve = Some(bytes),
            Attribute::EcPoint(bytes) => point = Some(bytes),
            _ => {}
        }
    }
    let found = match kind {
        Some(KeyType::RSA) => modulus
            .zip(exponent)
            .map(|(n, e)| PublicKey::of_rsa(&n, &e)),
        Some(KeyType::EC) => curve
            .zip(point)
            .and_then(|(curve, point)| PublicKey::of_point(&curve, &point)),
        Some(KeyType::EC_EDWARDS) => point.and_then(|point| PublicKey::of_edwards(&point)),
        _ => None,
    };
    found.ok_or_else(|| {
        Problem::Lasting(
            "the token has no public key beside the private one, or one of another type than RSA, \
             P-256, P-384, P-521 and Ed25519"
                .into(),
        )
    })
}
