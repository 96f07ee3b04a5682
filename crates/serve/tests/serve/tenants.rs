//! Callers that act for many customers.

use biped::Biped;
use biped_serve::{Server, section};
use metrics_exporter_prometheus::PrometheusBuilder;

use crate::{
    stage::Stage,
    vendor::{Act, Vendor, ok, reply},
};

fn crm(at: std::net::SocketAddr) -> String {
    format!(
        "[providers.crm]\nkind = 'oauth2'\ntenant = '[a-z]{{1,9}}'\n\
         token_endpoint = 'http://{at}/token/{{tenant}}'\napi_base_url = 'http://{at}/api/{{tenant}}'\n\
         client_id = 'me'\nclient_secret = 'vendor-secret'\n"
    )
}

/// A sidecar in front of a vendor whose tokens name their tenant.
async fn stage(serve: &str, rest: &str) -> Stage {
    let mut stage = Stage::new().await;
    stage.vendor.tokens(|got| {
        let tenant = got.path().strip_prefix("/token/").unwrap_or("none");
        crate::vendor::token(&format!("for-{tenant}"), 3600)
    });
    stage.vendor.api(|_| ok("done"));
    let toml = format!(
        "[serve]\nlisten = ['127.0.0.1:0']\n{serve}\n{}\n{rest}\n",
        crm(stage.vendor.address)
    );
    stage.running = Server::new(crate::stage::biped(&toml))
        .start()
        .await
        .unwrap();
    stage.address = crate::stage::address(&stage.running.addresses()[0]);
    stage
}

const ALLOWED: &str = "[serve.providers.crm]\ntenants = true\n";

#[tokio::test]
async fn a_header_or_the_path_names_the_tenant_of_a_call() {
    let stage = stage("", ALLOWED).await;
    let acme = stage.ask("GET /crm/v1/x", "Biped-Tenant: acme\r\n").await;
    assert_eq!((acme.status, &*acme.text()), (200, "done"));
    assert_eq!(stage.get("/crm;tenant=umbrella/v1/x").await.status, 200);
    let got = stage.vendor.got();
    assert_eq!(got[0].header("authorization"), Some("Bearer for-acme"));
    assert_eq!(got[0].path(), "/api/acme/v1/x");
    assert_eq!(got[0].header("biped-tenant"), None);
    assert_eq!(got[1].header("authorization"), Some("Bearer for-umbrella"));
    assert_eq!(got[1].path(), "/api/umbrella/v1/x");
}

#[tokio::test]
async fn a_header_or_a_field_names_the_tenant_of_an_oauth_client() {
    let stage = stage("tokens = 'any'", ALLOWED).await;
    let post = async |headers: &str, form: &str| {
        let mut caller = stage.caller().await;
        let length = form.len();
        caller
            .write(format!(
                "POST /-/oauth/crm/token HTTP/1.1\r\nHost: localhost\r\n{headers}\
                 Content-Length: {length}\r\n\r\n{form}"
            ))
            .await;
        caller.answer().await
    };
    let form = "grant_type=client_credentials";
    let acme = post("Biped-Tenant: acme\r\n", form).await;
    assert_eq!(acme.status, 200, "{}", acme.text());
    assert!(acme.text().contains("for-acme"));
    let umbrella = post("", &format!("{form}&tenant=umbrella")).await;
    assert!(umbrella.text().contains("for-umbrella"));
    let two = post("Biped-Tenant: acme\r\n", &format!("{form}&tenant=umbrella")).await;
    assert_eq!(two.status, 400);
    assert!(two.text().contains("invalid_request"));
}

#[tokio::test]
async fn no_metric_names_a_tenant() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let stage = stage("", ALLOWED).await;
    assert_eq!(stage.get("/crm;tenant=acme/v1/x").await.status, 200);
    assert_eq!(stage.get("/crm;tenant=umbrella/v1/x").await.status, 200);
    stage
        .vendor
        .api(|_| Act::Reply(reply("401 Unauthorized", "", "no")));
    assert_eq!(stage.get("/crm;tenant=acme/v1/x").await.status, 401);
    // A name that the pattern refuses.
    assert_eq!(stage.get("/crm;tenant=refused2/x").await.status, 400);
    let text = handle.render();
    assert!(text.contains("crm"), "{text}");
    for name in ["acme", "umbrella", "refused2"] {
        assert!(!text.contains(name), "{name}: {text}");
    }
}

#[tokio::test]
async fn no_tenant_a_wrong_one_and_two_of_them_are_refused() {
    let stage = stage("", ALLOWED).await;
    for (path, headers, status) in [
        ("/crm/x", "", 400),
        ("/crm/x", "Biped-Tenant: ACME\r\n", 400),
        ("/crm;tenant=a%2Fb/x", "", 400),
        ("/crm;tenant=acme/x", "Biped-Tenant: acme\r\n", 400),
        ("/crm/x", "Biped-Param: tenant=acme\r\n", 400),
    ] {
        let answer = stage.ask(&format!("GET {path}"), headers).await;
        let (got, word, sent) = answer.problem();
        assert_eq!((got, &*word, sent), (status, "parameter", false), "{path}");
    }
    assert_eq!(stage.vendor.got().len(), 0);
    assert_eq!(stage.vendor.fetches(), 0);
}

#[tokio::test]
async fn tenants_are_allowed_by_the_provider_and_by_the_caller() {
    let silent = stage("", "").await;
    let answer = silent.get("/crm;tenant=acme/x").await;
    assert_eq!(answer.problem(), (403, "parameter".into(), false));

    let callers = format!(
        "{ALLOWED}[[serve.callers]]\nname = 'none'\ntoken = 'n'\n\
         [[serve.callers]]\nname = 'one'\ntoken = 'o'\ntenants = ['acme']\n\
         [[serve.callers]]\nname = 'all'\ntoken = 'a'\ntenants = ['*']\ntokens = true\n"
    );
    let stage = stage("tokens = true", &callers).await;
    for (caller, tenant, status) in [
        ("n", "acme", 403),
        ("o", "acme", 200),
        ("o", "umbrella", 403),
        ("a", "umbrella", 200),
    ] {
        let headers = format!("Biped-Caller: {caller}\r\nBiped-Tenant: {tenant}\r\n");
        let answer = stage.ask("GET /crm/x", &headers).await;
        assert_eq!(answer.status, status, "{caller} {tenant}");
    }
    let headers = "Biped-Caller: a\r\nBiped-Request: 1\r\n";
    let token = stage.ask("GET /-/token/crm?tenant=acme", headers).await;
    assert_eq!(token.json()["access_token"], "for-acme");
}

#[tokio::test]
async fn the_status_tells_their_number_and_never_their_names() {
    let stage = stage("", ALLOWED).await;
    for tenant in ["acme", "umbrella", "acme"] {
        let path = format!("/crm;tenant={tenant}/x");
        assert_eq!(stage.get(&path).await.status, 200);
    }
    let status = stage.get("/-/status").await;
    let crm = &status.json()["providers"][0];
    assert_eq!((&crm["name"], &crm["tenants"]), (&"crm".into(), &2.into()));
    assert!(!status.text().contains("acme"), "{}", status.text());
}

#[tokio::test]
async fn a_caller_can_only_be_given_names_that_a_tenant_can_have() {
    let vendor = Vendor::start().await;
    let plain = crate::stage::provider(&vendor);
    let start = async |tenants: &str, providers: &str| {
        let toml = format!(
            "[serve]\nlisten = ['127.0.0.1:0']\n{ALLOWED}{}{plain}[[serve.callers]]\nname = 'a'\n\
             token = 'secret'\ntenants = {tenants}\n{providers}\n",
            crm(vendor.address)
        );
        let builder = Biped::builder().section(section()).without_environment();
        Server::new(builder.toml(&toml).build().unwrap())
            .start()
            .await
    };
    for possible in ["['acme', 'umbrella']", "['*']", "[]"] {
        assert!(start(possible, "").await.is_ok(), "{possible}");
    }
    for impossible in ["Acme", "acme/../umbrella", "", "a*"] {
        let error = start(&format!("['acme', '{impossible}']"), "").await;
        let error = error.err().unwrap();
        assert_eq!(error.message().lines().count(), 1, "{error}");
        assert!(
            error.message().contains("serve.callers.tenants: "),
            "{error}"
        );
    }
    // Of providers without tenants the key says nothing.
    assert!(start("['Acme']", "providers = ['shop']").await.is_ok());
}

#[tokio::test]
async fn what_needs_a_tenant_at_the_start_is_refused() {
    let vendor = Vendor::start().await;
    let plain = crate::stage::provider(&vendor);
    for (serve, rest) in [
        ("ready_requires = ['crm']", ""),
        ("warm = ['crm']", ""),
        ("files = [{ provider = 'crm', path = '/nowhere/x' }]", ""),
        ("", "[serve.providers.shop]\ntenants = true\n"),
    ] {
        let toml = format!(
            "[serve]\nlisten = ['127.0.0.1:0']\n{serve}\n{}{plain}{rest}",
            crm(vendor.address)
        );
        let biped = Biped::builder()
            .section(section())
            .without_environment()
            .toml(&toml)
            .build()
            .unwrap();
        let error = Server::new(biped).start().await.err().unwrap();
        assert!(error.to_string().contains("tenant"), "{error}");
    }
}
