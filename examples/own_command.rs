//! A team's own `biped` command, with a kind of provider of its own.
//!
//! ```sh
//! cargo run --example own_command -- --config examples/own_command.toml token intranet
//! ```

use std::{process::ExitCode, sync::Arc};

use biped::{
    Biped, Error, ExposeSecret, Token, TokenRequest,
    provider::{
        FetchContext, Field, FieldType, Provider, ProviderConfig, ProviderId, ProviderKind,
        SecretRef, async_trait,
    },
};

fn main() -> ExitCode {
    biped_cli::run(Biped::builder().provider_kind(intranet()))
}

/// The intranet issues tokens itself; each is valid for a minute after it is read.
fn intranet() -> ProviderKind {
    let token = Field::new("token", FieldType::Secret).required();
    ProviderKind::new("intranet", from_config)
        .about("The APIs behind the company's proxy")
        .field(token.about("The token that the intranet issued."))
}

fn from_config(config: &ProviderConfig) -> Result<Arc<dyn Provider>, Error> {
    let token = config
        .secret("token")
        .ok_or_else(|| config.missing("token"))?;
    let id = ProviderId::new("intranet", "https://intranet.example", "")
        .named(config.name())
        .credential(&token);
    Ok(Arc::new(Intranet { id, token }))
}

#[derive(Debug)]
struct Intranet {
    id: ProviderId,
    token: SecretRef,
}

#[async_trait]
impl Provider for Intranet {
    fn id(&self) -> &ProviderId {
        &self.id
    }

    async fn fetch(&self, _: &TokenRequest, cx: &FetchContext<'_>) -> Result<Token, Error> {
        let token = cx.secret(&self.token).await?;
        Token::new(token.expose_secret(), cx.now())
            .expires_in(Some(std::time::Duration::from_secs(60)))
            .build()
    }
}
