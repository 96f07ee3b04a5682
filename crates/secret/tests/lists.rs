//! References to several places.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;

use biped_core::{
    Error, ErrorKind, ExposeSecret, SecretRef, SecretSource, SecretString, SourceContext,
    SystemClock, async_trait,
};

fn unset(name: &str) -> SecretRef {
    SecretRef::env(format!("BIPED_UNSET_IN_TESTS_{name}"))
}

/// A vault that is opened with a secret.
#[derive(Debug)]
struct Vault(SecretRef);

#[async_trait]
impl SecretSource for Vault {
    fn reference(&self) -> String {
        "vault:test".into()
    }

    async fn read(&self, cx: &SourceContext<'_>) -> Result<SecretString, Error> {
        cx.secret(&self.0).await
    }
}

#[tokio::test]
async fn what_is_read_once_goes_on_past_a_member_that_is_missing() {
    let _limit = biped_testing::TimeLimit::start();
    let list = unset("ONE").or(&SecretRef::inline("two"));
    assert_eq!(list.read_now().unwrap().expose_secret(), "two");
    let vault = SecretRef::from_source(Arc::new(Vault(list)));
    let opened = vault.resolve(0, &SystemClock).await.unwrap();
    assert_eq!(opened.expose_secret(), "two");

    let error = unset("ONE").or(&unset("TWO")).read_now().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Secret);
    let message = error.message();
    assert!(
        message.contains("ONE") && message.contains("TWO"),
        "{message}"
    );
}

#[tokio::test]
async fn an_empty_secret_of_another_place_is_an_error() {
    let _limit = biped_testing::TimeLimit::start();
    let vault = SecretRef::from_source(Arc::new(Vault(SecretRef::inline(""))));
    let error = vault.resolve(0, &SystemClock).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.is_transient()),
        (ErrorKind::Secret, true)
    );
    assert!(error.message().contains("vault:test"), "{error}");
}
