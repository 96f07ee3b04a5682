//! Calls four APIs of two vendors. Biped handles the tokens.
//!
//! It starts both vendors on loopback with tokens that live a few seconds, calls their APIs across
//! several expiries and one early revocation, and prints what the vendors counted.
//!
//! ```sh
//! cargo run --example quickstart
//! ```

#![allow(clippy::print_stdout, clippy::disallowed_methods)] // an example prints, and waits

use std::{
    error::Error,
    process::ExitCode,
    time::{Duration, Instant},
};

use biped::{ApiClient, Biped};
use biped_sandbox::{KeyFilter, Sandbox};
use comfy_table::{CellAlignment, Table, presets::UTF8_HORIZONTAL_ONLY};

const LIFETIME: Duration = Duration::from_secs(4);
const RUN: Duration = Duration::from_secs(14);

/// One API: its client, the path, a body to push, and the vendor's key for it.
struct Api {
    name: &'static str,
    client: ApiClient,
    path: &'static str,
    push: Option<&'static str>,
    key: KeyFilter,
    failed: u64,
}

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let sandbox = Sandbox::builder().lifetime(LIFETIME).start().await?;

    // An application has this in its biped.toml.
    let config = format!(
        r#"
        [providers.analytics]
        kind = "contentsquare"
        token_endpoint = "{url}/v1/oauth/token"
        client_id = "{account_id}"
        client_secret = {account_secret:?}
        scope = ["data-export", "speed-analysis"]
        project_id = 42

        [providers.enrichment]
        kind = "contentsquare"
        token_endpoint = "{url}/v1/oauth/token"
        client_id = "{project_id}"
        client_secret = {project_secret:?}
        scope = "enrichment"
        integration_id = 123

        [providers.shop]
        kind = "envelope"
        base_url = "{url}"
        client_id = "{shop_id}"
        client_secret = {shop_secret:?}
        "#,
        url = sandbox.url(),
        account_id = biped_sandbox::ACCOUNT.client_id,
        account_secret = biped_sandbox::ACCOUNT.client_secret,
        project_id = biped_sandbox::PROJECT.client_id,
        project_secret = biped_sandbox::PROJECT.client_secret,
        shop_id = biped_sandbox::SHOP.client_id,
        shop_secret = biped_sandbox::SHOP.client_secret,
    );

    // This is all that an application does about tokens.
    let biped = Biped::builder().toml(config).build()?;
    let project_42 = biped.client("analytics")?;
    let project_43 = project_42.param("project_id", 43);
    let enrichment = biped.client("enrichment")?;
    let shop = biped.client("shop")?;

    let account = || KeyFilter::all().client_id(biped_sandbox::ACCOUNT.client_id);
    let mut apis = [
        Api {
            name: "analytics, project 42",
            client: project_42,
            path: "/v1/exports",
            push: None,
            key: account().project_id(42),
            failed: 0,
        },
        Api {
            name: "analytics, project 43",
            client: project_43,
            path: "/v1/speed-analysis/monitoring list",
            push: None,
            key: account().project_id(43),
            failed: 0,
        },
        Api {
            name: "enrichment",
            client: enrichment,
            path: "/v1/enrichment/integrations/123/data",
            push: Some(r#"{"sessions": [{"id": 1, "segment": "loyal"}]}"#),
            key: KeyFilter::all().client_id(biped_sandbox::PROJECT.client_id),
            failed: 0,
        },
        Api {
            name: "shop",
            client: shop,
            path: "/v1/orders",
            push: None,
            key: KeyFilter::all().client_id(biped_sandbox::SHOP.client_id),
            failed: 0,
        },
    ];

    println!(
        "Calling four APIs for {} s; their tokens live {} s …",
        RUN.as_secs(),
        LIFETIME.as_secs()
    );
    let start = Instant::now();
    let mut revoked = false;
    while start.elapsed() < RUN {
        for api in &mut apis {
            if let Err(error) = api.call().await {
                println!("{}: {error}", api.name);
                api.failed += 1;
            }
        }
        if !revoked && start.elapsed() > RUN / 2 {
            revoked = true;
            sandbox.revoke_tokens(&account().project_id(43));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    report(&sandbox, &apis, start.elapsed()).await
}

impl Api {
    async fn call(&self) -> Result<(), Box<dyn Error>> {
        let request = match self.push {
            Some(body) => self.client.post(self.path).body(body),
            None => self.client.get(self.path),
        };
        let response = request.send().await?.error_for_status()?;
        response.bytes().await?;
        Ok(())
    }
}

/// Prints what the vendors counted, and whether it is as expected.
async fn report(
    sandbox: &Sandbox,
    apis: &[Api],
    elapsed: Duration,
) -> Result<ExitCode, Box<dyn Error>> {
    let stats = sandbox.stats();
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY);
    table.set_header([
        "provider",
        "base URL",
        "calls",
        "failed",
        "token requests",
        "rejections",
    ]);
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let mut wrong = Vec::new();
    let mut base_urls = Vec::new();
    let expiries = (elapsed.as_secs_f64() / (0.80 * LIFETIME.as_secs_f64())).ceil();
    for api in apis {
        let counts = stats.counts_of(&api.key);
        let source = api.client.token_source();
        let token = source.token().await?;
        let base_url = source
            .base_url(&token)
            .ok_or("a token without a base URL")?
            .to_string();
        table.add_row([
            api.name.to_owned(),
            base_url.clone(),
            counts.api_calls.accepted.to_string(),
            api.failed.to_string(),
            counts.token_requests.total.to_string(),
            counts.api_calls.rejected.to_string(),
        ]);
        base_urls.push(base_url);
        #[allow(clippy::cast_precision_loss)]
        let requests = counts.token_requests.total as f64;
        #[allow(clippy::cast_precision_loss)]
        let most = 1.0 + expiries + counts.revocations as f64;
        if requests > most {
            wrong.push(format!(
                "{}: expected at most {most} token requests, found {requests}",
                api.name
            ));
        }
        if counts.api_calls.accepted == 0 || api.failed > 0 {
            wrong.push(format!("{}: {} calls failed", api.name, api.failed));
        }
    }
    println!("{table}");
    if base_urls.first() == base_urls.get(1) {
        wrong.push("both projects are on the same cloud".into());
    }
    if stats.counts.revocations != 1 || stats.counts.api_calls.rejected == 0 {
        wrong.push("no API call noticed the revocation".into());
    }
    for problem in &wrong {
        println!("error: {problem}");
    }
    Ok(if wrong.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
