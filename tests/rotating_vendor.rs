//! [`RotatingVendor`]: replaces refresh tokens, and revokes the account where an old one is used again.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, MutexGuard},
    thread,
};

use biped_sandbox::RotatingAccount;
use serde_json::json;

/// A vendor of one account on loopback, whose answers are held where a test wants it.
pub(crate) struct RotatingVendor {
    port: u16,
    has_grace: bool,
    shared: Arc<Shared>,
}

/// Where a request is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hold {
    /// It has no effect at all if its process is gone when it is released.
    BeforeReplacing,
    /// The credential is replaced, and the answer is not on its way.
    BeforeAnswering,
}

struct Shared {
    account: Mutex<Account>,
    changed: Condvar,
}

struct Account {
    /// Its tokens are and so on.
    tokens: RotatingAccount,
    /// The tokens that were sent, in order.
    sent: Vec<u64>,
    hold: Option<Hold>,
    is_held: bool,
    /// How many requests are being answered.
    active: usize,
    /// How often a token that was used before revoked the account.
    revocations: usize,
}

impl RotatingVendor {
    /// A vendor that, with a grace period, answers the latest replaced token again.
    pub(crate) fn start(has_grace: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let account = Account {
            tokens: RotatingAccount::new("R", has_grace),
            sent: Vec::new(),
            hold: None,
            is_held: false,
            active: 0,
            revocations: 0,
        };
        let shared = Arc::new(Shared {
            account: Mutex::new(account),
            changed: Condvar::new(),
        });
        let vendor = Self {
            port,
            has_grace,
            shared: shared.clone(),
        };
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = shared.clone();
                thread::spawn(move || {
                    shared.account().active += 1;
                    shared.serve(stream);
                    shared.account().active -= 1;
                    shared.changed.notify_all();
                });
            }
        });
        vendor
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn has_grace(&self) -> bool {
        self.has_grace
    }

    /// The number of the token that is good.
    pub(crate) fn current(&self) -> u64 {
        self.shared.account().tokens.current()
    }

    pub(crate) fn is_revoked(&self) -> bool {
        self.shared.account().tokens.is_revoked()
    }

    /// How often the account was revoked.
    pub(crate) fn revocations(&self) -> usize {
        self.shared.account().revocations
    }

    /// How often this token was sent.
    pub(crate) fn times_sent(&self, number: u64) -> usize {
        let account = self.shared.account();
        account.sent.iter().filter(|sent| **sent == number).count()
    }

    /// A new token, as a person's consent gives it.
    pub(crate) fn consent(&self) -> u64 {
        let mut account = self.shared.account();
        account.tokens.consent();
        account.tokens.current()
    }

    /// Holds the next request.
    pub(crate) fn hold(&self, at: Hold) {
        self.shared.account().hold = Some(at);
    }

    pub(crate) fn wait_until_held(&self) {
        self.shared.until(|account| account.is_held);
    }

    /// Releases what is held, and waits until no request is being answered.
    pub(crate) fn release(&self) {
        {
            let mut account = self.shared.account();
            account.hold = None;
            account.is_held = false;
        }
        self.shared.changed.notify_all();
        self.shared.until(|account| account.active == 0);
    }
}

impl Shared {
    fn account(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap()
    }

    fn until(&self, holds: impl Fn(&Account) -> bool) {
        let account = self.account();
        let wait = |account: &mut Account| !holds(account);
        drop(self.changed.wait_while(account, wait).unwrap());
    }

    /// Waits here, if this is where the request is held.
    fn pass(&self, at: Hold) -> bool {
        let mut account = self.account();
        if account.hold != Some(at) {
            return false;
        }
        account.is_held = true;
        self.changed.notify_all();
        let wait = |account: &mut Account| account.is_held;
        drop(self.changed.wait_while(account, wait).unwrap());
        true
    }

    fn serve(&self, mut stream: TcpStream) {
        let Some(number) = refresh_token(&stream) else {
            return;
        };
        self.account().sent.push(number);
        if self.pass(Hold::BeforeReplacing) {
            return;
        }
        let (status, answer) = self.account().answer(number);
        self.pass(Hold::BeforeAnswering);
        let length = answer.len();
        // The process may be gone.
        let _ = write!(
            stream,
            "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\nconnection: close\r\n\r\n{answer}"
        );
    }
}

impl Account {
    fn answer(&mut self, number: u64) -> (u16, String) {
        let was_revoked = self.tokens.is_revoked();
        let Some(successor) = self.tokens.present(&format!("R-{number}")) else {
            self.revocations += usize::from(self.tokens.is_revoked() && !was_revoked);
            return (400, json!({ "error": "invalid_grant" }).to_string());
        };
        let answer = json!({
            "access_token": format!("t-{number}"),
            "expires_in": 3600,
            "refresh_token": successor,
        });
        (200, answer.to_string())
    }
}

/// The number of the refresh token in a request.
fn refresh_token(stream: &TcpStream) -> Option<u64> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let body = String::from_utf8(body).ok()?;
    let mut fields = body.split('&');
    let token = fields.find_map(|field| field.strip_prefix("refresh_token=R-"));
    token?.parse().ok()
}
