//! [`Contentsquare`]: the provider itself.

use std::{sync::Arc, time::Duration};

use biped_core::{
    BaseUrls, Choice, Error, ErrorKind, ExposeSecret, FetchContext, Inspection, ParamValue,
    Provider, ProviderId, SecretRef, SecretString, Timestamp, Token, TokenRequest, async_trait,
};
use url::Url;

use crate::{
    answer, inspection,
    request::{MeBody, ProjectRequest},
};

/// The URL at which Contentsquare issues tokens for all its clouds.
pub const TOKEN_ENDPOINT: &str = "https://api.contentsquare.com/v1/oauth/token";

/// How long Contentsquare's credentials live from the day of their creation: one year.
pub const CREDENTIALS_LIFETIME: Duration = Duration::from_secs(365 * DAY);

/// How long before the credentials expire the [warning](Provider::warning) starts: 30 days.
pub const WARNING_PERIOD: Duration = Duration::from_secs(30 * DAY);

const DAY: u64 = 24 * 60 * 60;

const REGENERATE: &str = "https://support.contentsquare.com/hc/en-us/articles/37271728104593-How-to-create-API-credentials#section4";

/// A client at Contentsquare: a pair of `client_id` and `client_secret`, of a project or an account.
///
/// ```
/// use biped_contentsquare::Contentsquare;
/// use biped_core::{Provider as _, SecretRef, Timestamp};
///
/// let provider = Contentsquare::new(SecretRef::inline("client-7"), SecretRef::env("CS_SECRET"))
///     .named("analytics")
///     .client_secret_created(Timestamp::from_unix_seconds(1_772_323_200)); // 2026-03-01
/// assert_eq!(provider.id().name(), "analytics");
/// assert_eq!(provider.id().token_endpoint(), "https://api.contentsquare.com/v1/oauth/token");
/// ```
#[derive(Clone, Debug)]
pub struct Contentsquare {
    /// Contains the token endpoint.
    id: ProviderId,
    client_id: SecretRef,
    client_secret: SecretRef,
    client_secret_created: Option<Timestamp>,
}

impl Contentsquare {
    /// Returns the client with these credentials, at [`TOKEN_ENDPOINT`].
    #[must_use]
    pub fn new(client_id: SecretRef, client_secret: SecretRef) -> Self {
        Self {
            id: ProviderId::new(KIND, TOKEN_ENDPOINT, client_id.identity()),
            client_id,
            client_secret,
            client_secret_created: None,
        }
        .at(TOKEN_ENDPOINT)
    }

    fn at(mut self, token_endpoint: &str) -> Self {
        self.id = ProviderId::new(KIND, token_endpoint, self.id.client())
            .named(self.id.name())
            .identifier(&self.client_id)
            .credential(&self.client_secret);
        self
    }

    /// Sets the name for errors, logs and metrics. Default: `contentsquare`.
    #[must_use]
    pub fn named(mut self, name: impl Into<Arc<str>>) -> Self {
        self.id = self.id.named(name);
        self
    }

    /// Sets another token endpoint, such as that of a proxy or of the sandbox. Default:
    /// [`TOKEN_ENDPOINT`].
    ///
    /// `/me` is called at the same URL with `me` in place of the final `token`.
    #[must_use]
    pub fn token_endpoint(self, url: &Url) -> Self {
        self.at(url.as_str())
    }

    /// Sets when the credentials were created, so that [`warning`](Provider::warning) can tell when they
    /// expire. Default: unknown.
    #[must_use]
    pub fn client_secret_created(mut self, at: Timestamp) -> Self {
        self.client_secret_created = Some(at);
        self
    }
}

#[async_trait]
impl Provider for Contentsquare {
    fn id(&self) -> &ProviderId {
        &self.id
    }

    async fn fetch(&self, request: &TokenRequest, cx: &FetchContext<'_>) -> Result<Token, Error> {
        let request = ProjectRequest::of(request)?;
        let endpoint = self.endpoint()?;
        let credentials = self.credentials(cx).await?;
        let body = request.body(&credentials.id, &credentials.secret);
        let response = cx.post_json(endpoint.as_str(), &body).await?;
        let answer = answer::token(&response, &request, &endpoint, cx.sent_at(), cx.now());
        match answer {
            Err(error) if may_be_due_to_project(&error, request.project_id.is_some()) => {
                let projects = self.projects(&credentials, cx).await;
                Err(naming_projects(error, request.project_id, &projects))
            }
            answer => answer,
        }
    }

    async fn base_urls(&self, _: &FetchContext<'_>) -> Result<BaseUrls, Error> {
        Ok(answer::base_urls(&self.endpoint()?))
    }

    fn accepts_stored(&self, token: &Token, request: &TokenRequest) -> bool {
        let project = token.extra("project_id");
        let is_asked_for =
            |request: ProjectRequest| answer::check_project(&request, project).is_ok();
        token.confirmation().is_none() && ProjectRequest::of(request).is_ok_and(is_asked_for)
    }

    async fn inspect(
        &self,
        _: &TokenRequest,
        cx: &FetchContext<'_>,
    ) -> Result<Option<Inspection>, Error> {
        let credentials = self.credentials(cx).await?;
        let mut inspection = self.me(&credentials, cx).await?;
        inspection.expires_at = self.credentials_expire_at();
        Ok(Some(inspection))
    }

    fn warning(&self, now: Timestamp) -> Option<String> {
        let end = self.credentials_expire_at()?;
        if now < end.before(WARNING_PERIOD) {
            return None;
        }
        let when = match end.since(now).as_secs().div_ceil(DAY) {
            0 => "have expired".to_owned(),
            1 => "expire within a day".to_owned(),
            days => format!("expire in {days} days"),
        };
        Some(format!(
            "the credentials {when}, one year after client_secret_created; create new ones as \
             described at {REGENERATE}"
        ))
    }
}

/// The configured credentials, as one fetch has read them.
struct Credentials {
    id: String,
    secret: SecretString,
}

impl Contentsquare {
    fn endpoint(&self) -> Result<Url, Error> {
        Url::parse(self.id.token_endpoint())
            .map_err(|_| Error::configuration("the token endpoint is not a valid URL"))
    }

    async fn credentials(&self, cx: &FetchContext<'_>) -> Result<Credentials, Error> {
        Ok(Credentials {
            id: cx.identifier(&self.client_id).await?,
            secret: cx.secret(&self.client_secret).await?,
        })
    }

    fn credentials_expire_at(&self) -> Option<Timestamp> {
        self.client_secret_created
            .map(|created| created.after(CREDENTIALS_LIFETIME))
    }

    /// Calls `/me`.
    async fn me(
        &self,
        credentials: &Credentials,
        cx: &FetchContext<'_>,
    ) -> Result<Inspection, Error> {
        let body = MeBody {
            client_id: &credentials.id,
            client_secret: credentials.secret.expose_secret(),
        };
        let endpoint = me_endpoint(self.endpoint()?)?;
        let response = cx.post_json(endpoint.as_str(), &body).await?;
        inspection::inspection(&response, cx.now())
    }

    /// The permitted projects, after a refusal. It ignores errors of `/me`: the refusal is what matters.
    async fn projects(&self, credentials: &Credentials, cx: &FetchContext<'_>) -> Vec<Choice> {
        match cx.within(FINDING_OUT, self.me(credentials, cx)).await {
            Some(Ok(inspection)) => inspection.choices,
            _ => Vec::new(),
        }
    }
}

/// Adds a remedy with the permitted projects to the refusal of a request whose project is missing or is
/// none of them.
fn naming_projects(error: Error, project: Option<i64>, permitted: &[Choice]) -> Error {
    let is_permitted = |project| {
        permitted
            .iter()
            .any(|it| it.value == ParamValue::from(project))
    };
    if project.is_some_and(is_permitted) {
        return error;
    }
    match permitted.len() {
        0 | 1 if !speaks_of_a_project(&error) => error,
        0 => error.with_remedy("set project_id to the project that the token is for"),
        _ => error.with_remedy(inspection::permitted(permitted)),
    }
}

/// Whether a refusal may be due to the project: one in which the vendor speaks of a project, and any of
/// a request without one. `/me` is not worth a call for a client that the vendor refuses altogether.
fn may_be_due_to_project(error: &Error, has_project: bool) -> bool {
    let is_of_request = !has_project && !error.refuses_client();
    error.kind() == ErrorKind::Refused && (is_of_request || speaks_of_a_project(error))
}

fn speaks_of_a_project(error: &Error) -> bool {
    error.vendor().is_some_and(|vendor| {
        let words = [&vendor.code, &vendor.reason, &vendor.message];
        let mut words = words.into_iter().flatten();
        words.any(|word| word.to_ascii_lowercase().contains("project"))
    })
}

/// `…/oauth/token` is `…/oauth/me`.
fn me_endpoint(mut token_endpoint: Url) -> Result<Url, Error> {
    let path = token_endpoint.path().trim_end_matches('/');
    let Some(parent) = path.strip_suffix("/token") else {
        return Err(Error::configuration(
            "the URL of /me can't be derived from the token endpoint",
        )
        .with_remedy("set token_endpoint to a URL whose path ends in /token"));
    };
    let path = format!("{parent}/me");
    token_endpoint.set_path(&path);
    Ok(token_endpoint)
}

/// How long the error of a refusal waits for the list of projects.
const FINDING_OUT: Duration = Duration::from_secs(3);

pub(crate) const KIND: &str = "contentsquare";

#[cfg(test)]
mod tests {
    use biped_core::{ApiResponse, Verdict};

    use super::*;

    const CREATED: Timestamp = Timestamp::from_unix_seconds(1_772_323_200); // 2026-03-01

    fn days_after(days: u64) -> Timestamp {
        CREATED.after(Duration::from_secs(days * DAY))
    }

    fn provider() -> Contentsquare {
        Contentsquare::new(SecretRef::inline("id"), SecretRef::inline("secret"))
    }

    #[test]
    fn the_year_of_the_credentials_is_warned_of_thirty_days_ahead() {
        let provider = provider().client_secret_created(CREATED);
        assert_eq!(provider.warning(CREATED), None);
        assert_eq!(
            provider.warning(days_after(335).before(Duration::from_secs(1))),
            None
        );
        for days in [335, 364, 365, 400] {
            let warning = provider.warning(days_after(days)).unwrap();
            assert!(warning.contains(REGENERATE), "{warning}");
        }
        assert!(
            provider
                .warning(days_after(335))
                .unwrap()
                .contains("30 days")
        );
    }

    #[test]
    fn without_a_date_nothing_is_warned_of() {
        assert_eq!(provider().warning(Timestamp::MAX), None);
    }

    #[test]
    fn me_is_beside_the_token_endpoint() {
        let me = |text: &str| {
            me_endpoint(Url::parse(text).unwrap())
                .map(String::from)
                .ok()
        };
        assert_eq!(
            me(TOKEN_ENDPOINT).as_deref(),
            Some("https://api.contentsquare.com/v1/oauth/me")
        );
        assert_eq!(
            me("http://127.0.0.1:7600/cs/token/token/").as_deref(),
            Some("http://127.0.0.1:7600/cs/token/me")
        );
        assert_eq!(me("https://proxy.example/tokens"), None);
    }

    #[test]
    fn the_secret_is_a_part_of_the_id_and_the_name_is_none() {
        let other = Contentsquare::new(SecretRef::inline("id"), SecretRef::inline("another"));
        assert_eq!(provider().named("a").id(), provider().named("b").id());
        assert_ne!(provider().id(), other.id());
        let url = Url::parse("http://127.0.0.1:1/token").unwrap();
        let moved = |provider: Contentsquare| provider.token_endpoint(&url);
        assert_ne!(moved(provider()).id(), moved(other).id());
        let by_reference = |name| Contentsquare::new(SecretRef::env(name), SecretRef::env("S"));
        assert_ne!(by_reference("A").id(), by_reference("B").id());
        let elsewhere = provider().token_endpoint(&Url::parse("http://127.0.0.1:1/token").unwrap());
        assert_ne!(provider().id(), elsewhere.id());
    }

    #[test]
    fn an_expired_token_is_rejected_by_its_status() {
        let headers = http::HeaderMap::new();
        let judge = |status: u16, body: &[u8]| {
            let status = http::StatusCode::from_u16(status).unwrap();
            provider().judge(&ApiResponse::new(status, &headers, CREATED).with_body(body))
        };
        let expired = br#"{"success":false,"errorCode":"JWT_EXPIRED"}"#;
        assert_eq!(judge(401, expired), Verdict::Rejected);
        assert_eq!(judge(403, br#"{"success":false}"#), Verdict::Accepted);
        let mut challenged = http::HeaderMap::new();
        let challenge = http::HeaderValue::from_static("Bearer error=\"invalid_token\"");
        challenged.insert("www-authenticate", challenge);
        let response = ApiResponse::new(http::StatusCode::FORBIDDEN, &challenged, CREATED);
        assert_eq!(provider().judge(&response), Verdict::Rejected);
    }

    #[test]
    fn debug_shows_no_secret() {
        let provider = Contentsquare::new(SecretRef::inline("id"), SecretRef::inline("pl4nted"));
        assert!(!format!("{provider:?}").contains("pl4nted"));
    }
}
