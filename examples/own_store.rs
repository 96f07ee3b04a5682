//! A kind of store that Biped does not include, in one file: `[store] kind = "grid"`.
//!
//! The grid stands for a database of yours. Two applications share a token through it.
//!
//! ```sh
//! cargo run --example own_store
//! ```

#![allow(clippy::print_stdout)] // an example prints

use std::{
    collections::HashMap,
    error::Error as StdError,
    sync::{Arc, LazyLock, Mutex, PoisonError},
    time::Duration,
};

use biped::{
    Biped, Error,
    store::{
        Clock, Field, FieldType, Generation, Lease, StoreConfig, StoreError, StoreKind,
        StoredToken, SystemClock, TokenKey, TokenStore, async_trait,
    },
};
use biped_sandbox::Sandbox;

#[tokio::main]
async fn main() -> Result<(), Box<dyn StdError>> {
    let sandbox = Sandbox::builder().start().await?;
    let seal = "7".repeat(64); // "file:/run/secrets/biped-seal" in an application
    let store = format!("[store]\nkind = 'grid'\ntable = 'tokens'\nseal = 'inline:{seal}'\n");
    let config = format!("{store}{}", sandbox.config_toml());
    for _ in ["one application", "another"] {
        let builder = Biped::builder().store_kind(kind()).toml(&config);
        let biped = builder.build()?;
        biped.token_source("shop")?.token().await?;
        biped.manager().drain().await;
    }
    let requests = sandbox.stats().counts.token_requests.total;
    println!("token requests: {requests}");
    assert_eq!(requests, 1, "they share a token");
    Ok(())
}

/// The kind of store: its keys in `[store]`, and its constructor, which must not connect yet.
pub(crate) fn kind() -> StoreKind {
    let table = Field::new("table", FieldType::Text).required();
    StoreKind::new("grid", from_config)
        .about("Tokens in the company's grid")
        .field(table.about("The table of the tokens."))
}

fn from_config(config: &StoreConfig) -> Result<Arc<dyn TokenStore>, Error> {
    let table = config.string("table");
    let table = table.ok_or_else(|| config.missing("table"))?;
    Ok(Arc::new(Grid { table }))
}

/// The rows of all tables, which here is the database.
static ROWS: LazyLock<Mutex<HashMap<(String, TokenKey), Row>>> = LazyLock::new(Mutex::default);

/// A token, and the newest generation that was forgotten, each with the moment at which it ends.
#[derive(Default)]
struct Row {
    token: Option<(StoredToken, Duration)>,
    forgotten: Option<(Generation, Duration)>,
}

type Stored<T> = Result<T, StoreError>;

#[derive(Debug)]
struct Grid {
    table: String,
}

impl Grid {
    /// One step on a row, which no other step interrupts: a transaction of a database.
    fn step<T>(&self, key: &TokenKey, step: impl FnOnce(&mut Row, Duration) -> T) -> T {
        let mut rows = ROWS.lock().unwrap_or_else(PoisonError::into_inner);
        let row = rows.entry((self.table.clone(), *key)).or_default();
        let now = SystemClock.now().mono;
        row.token.take_if(|(_, end)| *end <= now);
        row.forgotten.take_if(|(_, end)| *end <= now);
        step(row, now)
    }
}

#[async_trait]
impl TokenStore for Grid {
    async fn get(&self, key: &TokenKey) -> Stored<Option<StoredToken>> {
        Ok(self.step(key, |row, _| row.token.as_ref().map(|it| it.0.clone())))
    }

    async fn put(&self, key: &TokenKey, token: &StoredToken, _: Option<&Lease>) -> Stored<bool> {
        Ok(self.step(key, |row, now| {
            let kept = row.token.as_ref().map(|(token, _)| token.generation);
            let known = kept.max(row.forgotten.map(|(through, _)| through));
            let is_new = known.is_none_or(|known| known < token.generation);
            if is_new {
                row.token = Some((token.clone(), now + token.keep));
            }
            is_new
        }))
    }

    async fn forget(&self, key: &TokenKey, to: Generation, keep: Duration) -> Stored<()> {
        self.step(key, |row, now| {
            row.token.take_if(|(token, _)| token.generation <= to);
            // What was forgotten before stays forgotten for its own time.
            let (known, end) = row.forgotten.unwrap_or((to, now + keep));
            row.forgotten = Some((known.max(to), end.max(now + keep)));
        });
        Ok(())
    }
}
