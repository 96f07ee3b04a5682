//! A thousand tasks, one client, ten expiries and ten early revocations: no call fails, and the
//! vendor sees no more token requests than it must.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use biped::ApiClient;
use biped_sandbox::KeyFilter;
use tokio::task::JoinSet;

use crate::{LIFETIME, Stage};

const TASKS: u64 = 1_000;
const EXPIRIES: u64 = 10;
const REVOCATIONS: u64 = 10;

/// Connections at once: a thousand sockets on both sides would test the machine's limits.
const AT_ONCE: usize = 48;

/// What happens to the token in the middle of a round of calls.
#[derive(Clone, Copy)]
enum Event {
    Nothing,
    Expiry,
    Revocation,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_tasks_call_through_ten_expiries_and_ten_revocations() {
    let stage = Stage::new().await;
    let client = stage.biped.client("exports").unwrap();
    let client = client.max_concurrent_requests(AT_ONCE);
    let key = KeyFilter::all().project_id(42);

    round(&stage, &client, Event::Nothing).await;
    for _ in 0..EXPIRIES {
        round(&stage, &client, Event::Expiry).await;
        // A token that is rejected right after it replaced another would be another story.
        stage.clock.advance(LIFETIME / 10);
        round(&stage, &client, Event::Revocation).await;
    }

    let stats = stage.sandbox.stats();
    let counts = stats.counts_of(&key);
    assert_eq!(counts.revocations, REVOCATIONS);
    assert_eq!(
        counts.api_calls.accepted,
        (1 + EXPIRIES + REVOCATIONS) * TASKS
    );
    assert!(counts.api_calls.rejected >= REVOCATIONS);
    let elapsed = Duration::from_millis(stats.elapsed_ms);
    assert!(elapsed >= LIFETIME * 10, "ten lives have passed");
    let lives = (elapsed.as_secs_f64() / (0.80 * LIFETIME.as_secs_f64())).ceil();
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let most = 1 + lives as u64 + REVOCATIONS;
    assert!(
        counts.token_requests.total <= most,
        "{:?}, at most {most} expected",
        counts.token_requests
    );
    assert_eq!(counts.token_requests.issued, counts.token_requests.total);
}

/// One call of each task. When half of them are through, the event happens to the others.
async fn round(stage: &Stage, client: &ApiClient, event: Event) {
    let done = Arc::new(AtomicU64::new(0));
    let mut tasks = JoinSet::new();
    for _ in 0..TASKS {
        let (client, done) = (client.clone(), done.clone());
        tasks.spawn(async move {
            let response = client.get("/v1/exports").send().await.unwrap();
            let status = response.status();
            let body = response.bytes().await.unwrap();
            done.fetch_add(1, Ordering::Relaxed);
            assert_eq!(status, 200, "{body:?}");
        });
    }
    let mut happened = false;
    while let Some(task) = tasks.join_next().await {
        task.unwrap();
        if !happened && done.load(Ordering::Relaxed) >= TASKS / 2 {
            happened = true;
            match event {
                Event::Nothing => {}
                Event::Expiry => stage.clock.advance(LIFETIME),
                Event::Revocation => {
                    let revoked = stage.sandbox.revoke_tokens(&KeyFilter::all());
                    assert_eq!(revoked, 1, "one live token, however many callers");
                }
            }
        }
    }
    assert!(happened);
}
