//! What the platforms, the issuer and the API share.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use biped_core::{Clock, Timestamp};
use serde_json::{Value, json};

use super::{
    directory::Directory,
    keys::{Claims, Key, is_for, named_issuer},
};
use crate::{rotating::RotatingAccount, stop::Stop, token::random_hex};

/// Whose tokens the issuer trusts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Party {
    GitHub,
    Forgejo,
    Kubernetes,
    Gcp,
    Azure,
    Spiffe,
    /// An endpoint of any kind.
    Any,
    /// A client with a key of its own.
    Client,
    /// A service account with a key file.
    Account,
}

use Party::{Account, Any, Azure, Client, Forgejo, Gcp, GitHub, Kubernetes, Spiffe};

const PARTIES: [Party; 9] = [
    GitHub, Forgejo, Kubernetes, Gcp, Azure, Spiffe, Any, Client, Account,
];

/// The client that owns all of them.
pub(super) const CLIENT_ID: &str = "sandbox-client";

/// The service account of the key file.
pub(super) const ACCOUNT_EMAIL: &str = "biped@sandbox.iam.gserviceaccount.com";

/// What Entra ID wants assertions to be for, and Azure gives.
pub(super) const AZURE_AUDIENCE: &str = "api://AzureADTokenExchange";

/// How long a platform's token is valid.
pub(super) const PLATFORM_LIFETIME: Duration = Duration::from_secs(600);

/// The accounts whose refresh tokens rotate, and whether each has a grace period.
pub(super) const ROTATING: [(&str, bool); 2] = [("rotating", false), ("rotating-grace", true)];

/// How many requests are remembered.
const REMEMBERED: usize = 4096;

/// How far ahead another clock may be.
const SKEW: i64 = 30;

impl Party {
    fn name(self) -> &'static str {
        match self {
            GitHub => "github",
            Forgejo => "forgejo",
            Kubernetes => "kubernetes",
            Gcp => "gcp",
            Azure => "azure",
            Spiffe => "spiffe",
            Any => "any",
            Client => CLIENT_ID,
            Account => ACCOUNT_EMAIL,
        }
    }

    /// Who a token of it is about.
    pub(super) fn subject(self) -> &'static str {
        match self {
            GitHub | Forgejo => "repo:biped/sandbox:ref:refs/heads/main",
            Kubernetes => "system:serviceaccount:sandbox:biped",
            Gcp => "117000000000000000042",
            Azure => "00000000-0000-0000-0000-000000000042",
            Spiffe => "spiffe://sandbox.example/biped",
            Any => "job-42",
            Client => CLIENT_ID,
            Account => ACCOUNT_EMAIL,
        }
    }
}

/// A token that the issuer or the metadata server gave out.
struct Issued {
    caller: Caller,
    expires_at: Timestamp,
}

/// Who a token is about.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    pub(super) party: &'static str,
    pub(super) subject: String,
}

/// A request, and how it was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Seen {
    /// The method, the path and the query: `GET /msi/token?api-version=2019-08-01`.
    pub request: String,
    /// The status of the response.
    pub status: u16,
}

pub(super) struct State {
    pub(super) clock: Arc<dyn Clock>,
    /// How long the issuer's tokens live.
    pub(super) lifetime: Duration,
    pub(super) url: String,
    keys: BTreeMap<Party, Key>,
    /// Removed with the sandbox.
    directory: Directory,
    /// What the runner and App Service want to see with each request.
    pub(super) runner: String,
    pub(super) identity_header: String,
    issued: Mutex<BTreeMap<String, Issued>>,
    /// Arc's key files that were not presented yet, by their content.
    arc: Mutex<BTreeMap<String, PathBuf>>,
    seen: Mutex<VecDeque<Seen>>,
    /// The accounts whose refresh tokens rotate, in the order of [`ROTATING`].
    rotating: Mutex<[RotatingAccount; 2]>,
    /// How many answers to refreshes are to be lost.
    lost: Mutex<u32>,
    pub(super) stop: Stop,
}

impl State {
    pub(super) fn new(
        clock: Arc<dyn Clock>,
        lifetime: Duration,
        url: String,
        stop: Stop,
    ) -> io::Result<Self> {
        let keys = PARTIES.map(|party| Ok((party, Key::generate(party.name())?)));
        Ok(Self {
            clock,
            lifetime,
            url,
            keys: keys.into_iter().collect::<io::Result<_>>()?,
            directory: Directory::new()?,
            runner: random_hex(32),
            identity_header: random_hex(32),
            issued: Mutex::default(),
            arc: Mutex::default(),
            seen: Mutex::default(),
            rotating: Mutex::new(
                ROTATING.map(|(_, has_grace)| RotatingAccount::new(random_hex(48), has_grace)),
            ),
            lost: Mutex::default(),
            stop,
        })
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now().wall
    }

    pub(super) fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub(super) fn issuer(&self) -> String {
        format!("{}/issuer", self.url)
    }

    pub(super) fn token_endpoint(&self) -> String {
        format!("{}/issuer/token", self.url)
    }

    pub(super) fn api(&self) -> String {
        format!("{}/api", self.url)
    }

    /// What `iss` in a token of this party is.
    fn issuer_of(&self, party: Party) -> String {
        match party {
            Client | Account => party.name().into(),
            _ => format!("{}/{}", self.url, party.name()),
        }
    }

    pub(super) fn key(&self, party: Party) -> Option<&Key> {
        self.keys.get(&party)
    }

    /// A JSON Web Key Set of all parties.
    pub(super) fn jwks(&self) -> Value {
        let keys: Vec<_> = self.keys.values().map(Key::jwk).collect();
        json!({ "keys": keys })
    }

    /// A token of a platform for an audience.
    pub(super) fn signed(&self, party: Party, audience: &Value, lifetime: Duration) -> String {
        let now = self.now().unix_seconds();
        let life = i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX);
        let claims = json!({
            "iss": self.issuer_of(party), "sub": party.subject(), "aud": audience,
            "iat": now, "nbf": now, "exp": now.saturating_add(life), "jti": random_hex(32),
        });
        self.key(party)
            .map(|key| key.sign(&claims))
            .unwrap_or_default()
    }

    /// Whose token this is, if it is signed, valid now, and for one of these audiences; else why not.
    pub(super) fn verified(
        &self,
        jwt: &str,
        audiences: &[&str],
    ) -> Result<(Party, Claims), &'static str> {
        let issuer = named_issuer(jwt).ok_or("the assertion is not a JWT with an issuer")?;
        let party = PARTIES.iter().find(|it| self.issuer_of(**it) == issuer);
        let party = *party.ok_or("the issuer of the assertion is not trusted")?;
        let claims = self.key(party).and_then(|key| key.open(jwt));
        let claims = claims.ok_or("the signature of the assertion is not valid")?;
        let now = self.now().unix_seconds();
        let time = |name: &str| claims.get(name).and_then(Value::as_i64);
        match time("exp") {
            None => return Err("the assertion has no exp"),
            Some(expiry) if expiry <= now => return Err("the assertion has expired"),
            Some(_) => {}
        }
        if ["iat", "nbf"]
            .iter()
            .any(|name| time(name).is_some_and(|time| time > now + SKEW))
        {
            return Err("the assertion is not valid yet");
        }
        if !is_for(&claims, audiences) {
            return Err("the audience of the assertion is another");
        }
        Ok((party, claims))
    }

    /// Keeps a new token, which is opaque.
    pub(super) fn issue(&self, caller: Caller, lifetime: Duration) -> String {
        let token = random_hex(48);
        let now = self.now();
        let issued = Issued {
            caller,
            expires_at: now.after(lifetime),
        };
        let mut all = lock(&self.issued);
        all.retain(|_, token| token.expires_at > now);
        all.insert(token.clone(), issued);
        token
    }

    /// Whose token the issuer gave out, while it is valid.
    pub(super) fn issued(&self, token: &str) -> Option<Caller> {
        let now = self.now();
        let all = lock(&self.issued);
        let issued = all.get(token).filter(|token| token.expires_at > now)?;
        Some(issued.caller.clone())
    }

    /// Writes a new key file of Arc, and returns its path.
    pub(super) fn key_file_of_arc(&self) -> io::Result<PathBuf> {
        let (content, name) = (random_hex(64), random_hex(16));
        let file = self.directory().join(format!("{name}.key"));
        fs::write(&file, &content)?;
        lock(&self.arc).insert(content, file.clone());
        Ok(file)
    }

    /// Whether this is the content of a key file, which is removed: each is taken once.
    pub(super) fn is_of_arc(&self, content: &str) -> bool {
        let file = lock(&self.arc).remove(content);
        // The whole directory is removed in the end.
        file.is_some_and(|file| fs::remove_file(file).is_ok())
    }

    /// The refresh tokens that are good, in the order of [`ROTATING`].
    pub(super) fn refresh_tokens(&self) -> [String; 2] {
        lock(&self.rotating).each_ref().map(RotatingAccount::token)
    }

    /// Takes a refresh token: whose it is and its successor, or `None` for one that is refused.
    pub(super) fn refreshed(&self, token: &str) -> Option<(Caller, String)> {
        let mut accounts = lock(&self.rotating);
        let all = accounts.iter_mut().zip(ROTATING);
        let (account, (name, _)) = all.into_iter().find(|(account, _)| account.knows(token))?;
        let caller = Caller {
            party: CLIENT_ID,
            subject: name.to_owned(),
        };
        Some((caller, account.present(token)?))
    }

    /// A new refresh token of the account of this name.
    pub(super) fn consent(&self, name: &str) -> Option<String> {
        let at = ROTATING.iter().position(|(known, _)| *known == name)?;
        Some(lock(&self.rotating)[at].consent())
    }

    /// Loses the answer to one more refresh.
    pub(super) fn lose_answer(&self) {
        *lock(&self.lost) += 1;
    }

    /// Whether this answer to a refresh is to be lost.
    pub(super) fn loses_answer(&self) -> bool {
        let mut lost = lock(&self.lost);
        let is_lost = *lost > 0;
        *lost = lost.saturating_sub(1);
        is_lost
    }

    pub(super) fn note(&self, request: String, status: u16) {
        let mut seen = lock(&self.seen);
        if seen.len() == REMEMBERED {
            seen.pop_front();
        }
        seen.push_back(Seen { request, status });
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        lock(&self.seen).iter().cloned().collect()
    }

    /// Completes when the sandbox stops.
    pub(super) fn stopped(&self) -> impl Future<Output = ()> + Send + 'static + use<> {
        self.stop.stopped()
    }
}

impl Caller {
    /// The caller that a verified token is about.
    pub(super) fn of(party: Party, claims: &Claims) -> Self {
        let subject = claims.get("sub").or_else(|| claims.get("iss"));
        Self {
            party: party.name(),
            subject: subject
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned(),
        }
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}
