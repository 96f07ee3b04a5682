//! A vendor that only tests know: its tokens are the secrets it was configured with.

use std::sync::Arc;

use biped::{
    Error, ExposeSecret, Timestamp, Token, TokenRequest,
    client::HttpClient,
    provider::{
        FetchContext, Field, FieldType, Provider, ProviderConfig, ProviderId, ProviderKind,
        SecretRef, async_trait,
    },
};

#[derive(Debug)]
pub(crate) struct Vendor {
    id: ProviderId,
    secret: SecretRef,
}

pub(crate) fn kind() -> ProviderKind {
    ProviderKind::new("acme", from_config)
        .about("Acme")
        .field(
            Field::new("client_secret", FieldType::Secret)
                .required()
                .about("The secret."),
        )
        .field(Field::new("region", FieldType::Text))
        .field(Field::new("project_id", FieldType::Integer).per_request())
        .field(Field::new("sandbox", FieldType::Bool))
        .field(Field::new("created", FieldType::Date))
        .field(Field::new("tags", FieldType::Texts))
        .field(Field::new("plan", FieldType::Choice(&["small", "large"])))
        .field(Field::new("patience", FieldType::Duration))
        .field(Field::new("share", FieldType::Number))
        .field(Field::new("headers", FieldType::Table))
        .field(Field::new("params", FieldType::SecretTable))
        .field(Field::new("extra", FieldType::Any))
}

/// A provider that is made in code.
pub(crate) fn with_secret(secret: SecretRef) -> Vendor {
    let id = ProviderId::new("acme", "https://acme.example/token", "c").credential(&secret);
    Vendor { id, secret }
}

pub(crate) fn from_config(config: &ProviderConfig) -> Result<Arc<dyn Provider>, Error> {
    let secret = config
        .secret("client_secret")
        .ok_or_else(|| config.missing("client_secret"))?;
    let client_id = config.secret("client_id");
    let client = client_id
        .as_ref()
        .map_or_else(String::new, SecretRef::identity);
    let mut id = ProviderId::new("acme", "https://acme.example/token", client)
        .named(config.name())
        .credential(&secret);
    if let Some(client_id) = &client_id {
        id = id.identifier(client_id);
    }
    Ok(Arc::new(Vendor { id, secret }))
}

#[async_trait]
impl Provider for Vendor {
    fn id(&self) -> &ProviderId {
        &self.id
    }

    async fn fetch(&self, _: &TokenRequest, cx: &FetchContext<'_>) -> Result<Token, Error> {
        let secret = cx.secret(&self.secret).await?;
        // A token is a header's value, which a secret needn't be.
        let text: String = secret
            .expose_secret()
            .bytes()
            .map(|b| format!("{b:02x}"))
            .collect();
        Token::new(text, cx.now()).build()
    }

    fn warning(&self, _: Timestamp) -> Option<String> {
        Some("these credentials will expire".into())
    }
}

/// The secret that a provider of this kind sends, as the token shows it.
pub(crate) async fn secret_of(biped: &biped::Biped, name: &str) -> String {
    let token = biped.token_source(name).unwrap().token().await.unwrap();
    let hex = token.expose_secret();
    let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    String::from_utf8((0..hex.len()).step_by(2).map(byte).collect()).unwrap()
}

/// An HTTP client for providers that send nothing.
#[derive(Debug)]
pub(crate) struct NoNetwork;

#[async_trait]
impl HttpClient for NoNetwork {
    async fn send(
        &self,
        _: http::Request<bytes::Bytes>,
    ) -> Result<http::Response<bytes::Bytes>, Error> {
        Err(Error::unreachable("there is no network here"))
    }
}
