//! Every entry of the sandbox's biped.toml works, and each calls the API that its token belongs to.

use std::collections::BTreeSet;

use biped_sandbox::{ACCOUNT, KeyFilter, PROJECT, SHOP, Vendor};

use crate::Stage;

#[tokio::test]
async fn all_five_entries_work_at_once() {
    let stage = Stage::new().await;
    let client = |name| stage.biped.client(name).unwrap();
    let pushed = client("enrichment")
        .post("/v1/enrichment/integrations/123/data")
        .body(r#"{"sessions":[]}"#);
    let (exports, exports_us, pushed, speed, orders) = tokio::join!(
        stage.get("exports", "/v1/exports"),
        stage.get("exports-us", "/v1/exports"),
        pushed.send(),
        stage.get("speed-analysis", "/v1/speed-analysis/monitoring list"),
        stage.get("shop", "/v1/orders"),
    );
    for (status, body) in [exports, exports_us, speed, orders].map(Result::unwrap) {
        assert_eq!(status, 200, "{body}");
    }
    assert_eq!(pushed.unwrap().status(), 200);

    let stats = stage.sandbox.stats();
    assert_eq!(stats.counts.api_calls.accepted, 5);
    assert_eq!(stats.counts.token_requests.total, 5);
    for client in [ACCOUNT, PROJECT, SHOP] {
        let calls = stats.counts_of(&KeyFilter::all().client_id(client.client_id));
        assert!(calls.api_calls.accepted > 0, "{client:?}");
    }
}

#[tokio::test]
async fn two_projects_of_one_account_are_called_on_their_own_clouds() {
    let stage = Stage::new().await;
    let project_42 = stage.biped.client("exports").unwrap();
    let project_43 = project_42.param("project_id", 43);
    let mut bases = BTreeSet::new();
    for (client, project) in [(project_42, 42), (project_43, 43)] {
        let response = client.get("/v1/exports").send().await.unwrap();
        assert_eq!(response.status(), 200);
        let cloud = stage.sandbox.clouds()[project - 42];
        assert_eq!(response.url().as_str(), format!("{cloud}/v1/exports"));
        let body: serde_json::Value = response.json().await.unwrap();
        assert_eq!(body["payload"][0]["projectId"], project);
        bases.insert(cloud);
    }
    assert_eq!(bases.len(), 2, "two clouds");
    let requests = stage.counts().token_requests;
    assert_eq!((requests.total, requests.issued), (2, 2));
}

#[tokio::test]
async fn calls_share_a_token_and_keys_do_not() {
    let stage = Stage::new().await;
    for _ in 0..3 {
        for name in ["exports", "exports-us"] {
            assert_eq!(stage.get(name, "/v1/exports").await.unwrap().0, 200);
        }
    }
    for project in [42, 43] {
        let counts = stage.counts_of(&KeyFilter::all().project_id(project));
        assert_eq!(counts.token_requests.total, 1);
        assert_eq!(counts.api_calls.accepted, 3);
    }
}

#[tokio::test]
async fn inspection_tells_scopes_and_projects_where_the_vendor_does() {
    let stage = Stage::new().await;
    let source = |name| stage.biped.token_source(name).unwrap();
    let told = source("exports").inspect().await.unwrap().unwrap();
    assert!(told.scopes.iter().any(|scope| scope == "data-export"));
    let projects = told.choices.iter();
    let projects: Vec<_> = projects.map(|project| project.value.as_integer()).collect();
    assert_eq!(projects, [Some(42), Some(43)]);
    let told = source("enrichment").inspect().await.unwrap().unwrap();
    assert_eq!(told.choices.len(), 1);

    assert!(source("shop").inspect().await.unwrap().is_none());
    let shop = stage.counts_of(&KeyFilter::all().vendor(Vendor::Envelope));
    assert_eq!(shop.token_requests.total, 0, "nothing was asked");
}

#[tokio::test]
async fn warmed_providers_ask_nobody_when_they_are_used() {
    let stage = Stage::new().await;
    let warmed = stage.biped.warm(stage.biped.names()).await.unwrap();
    let names: Vec<_> = warmed.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, stage.biped.names().collect::<Vec<_>>());
    assert!(
        warmed.iter().all(|(_, outcome)| outcome.is_ok()),
        "{warmed:?}"
    );
    assert_eq!(stage.sandbox.stats().counts.token_requests.total, 5);

    stage.get("shop", "/v1/orders").await.unwrap();
    assert_eq!(stage.sandbox.stats().counts.token_requests.total, 5);
    assert!(stage.biped.warm(["shopp"]).await.is_err());
}
