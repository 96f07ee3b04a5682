//! One check, and lists of them.

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use biped_core::TokenStore;

use super::tools::{PATIENCE, Store, ticks};

/// One promise, and the function that checks it.
#[derive(Clone, Copy)]
pub struct Check {
    /// The function's name.
    pub name: &'static str,
    pub(super) run: fn(Store) -> Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Check {
    /// Runs the check in its own task.
    ///
    /// # Errors
    /// Returns how the store breaks the promise.
    pub async fn run(&self, store: Arc<dyn TokenStore>) -> Result<(), String> {
        self.run_within(PATIENCE * 5, store).await
    }

    async fn run_within(&self, limit: u32, store: Arc<dyn TokenStore>) -> Result<(), String> {
        let check = tokio::spawn((self.run)(store));
        let running = check.abort_handle();
        tokio::select! {
            biased;
            verdict = crate::verdict(check) => verdict,
            () = ticks(limit) => {
                // It would go on beside the other checks.
                running.abort();
                Err("the check hangs".into())
            }
        }
    }
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Check({})", self.name)
    }
}

macro_rules! checks {
    ($($check:ident),* $(,)?) => {
        &[$(Check { name: stringify!($check), run: |store| Box::pin($check(store)) }),*]
    };
}
pub(super) use checks;

#[cfg(test)]
mod tests {
    use biped_memory::MemoryStore;

    use super::*;

    #[tokio::test]
    async fn a_check_that_hangs_does_not_go_on() {
        let check = Check {
            name: "hangs",
            run: |store| {
                Box::pin(async move {
                    let _store = store;
                    std::future::pending::<()>().await;
                })
            },
        };
        let store = Arc::new(MemoryStore::new());
        assert!(check.run_within(1, store.clone()).await.is_err());
        crate::settle().await;
        assert_eq!(
            Arc::strong_count(&store),
            1,
            "the check still has the store"
        );
    }
}
