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

/// The intranet accepts a pass as the token, for a minute.
fn intranet() -> ProviderKind {
    let pass = Field::new("pass", FieldType::Secret).required();
    ProviderKind::new("intranet", from_config)
        .about("The APIs behind the company's proxy")
        .field(pass.about("The pass from the front desk."))
}

fn from_config(config: &ProviderConfig) -> Result<Arc<dyn Provider>, Error> {
    let pass = config
        .secret("pass")
        .ok_or_else(|| config.missing("pass"))?;
    let id = ProviderId::new("intranet", "https://intranet.example", "")
        .named(config.name())
        .credential(&pass);
    Ok(Arc::new(Intranet { id, pass }))
}

#[derive(Debug)]
struct Intranet {
    id: ProviderId,
    pass: SecretRef,
}

#[async_trait]
impl Provider for Intranet {
    fn id(&self) -> &ProviderId {
        &self.id
    }

    async fn fetch(&self, _: &TokenRequest, cx: &FetchContext<'_>) -> Result<Token, Error> {
        let pass = cx.secret(&self.pass).await?;
        Token::new(pass.expose_secret(), cx.now())
            .expires_in(Some(std::time::Duration::from_secs(60)))
            .build()
    }
}
