//! Servers of others that replace refresh tokens and detect the use of an old one.

use std::{collections::HashSet, env, fs};

use biped_testing::TimeLimit;
use serde_json::Value;

use crate::rotation_process::Plan;

/// How often the token of each server is refreshed, one process after another.
const REFRESHES: usize = 20;
/// How many processes ask at once.
const PROCESSES: usize = 10;

/// A server that `tests/live/rotation/run` has started.
struct Server {
    name: String,
    /// The lines of a provider.
    provider: String,
    /// Two refresh tokens, of an account each.
    seeds: [String; 2],
    /// Whether it refuses with `invalid_grant`.
    names_errors: bool,
}

fn servers() -> Vec<Server> {
    let directory = env::var("BIPED_LIVE_ROTATION").expect("tests/live/run rotation sets it");
    let read = |file: fs::DirEntry| {
        let told = fs::read(file.path()).unwrap();
        let told: Value = serde_json::from_slice(&told).unwrap();
        let provider = format!(
            "kind = 'oauth2'\ngrant = 'refresh_token'\ntoken_endpoint = {}\nclient_id = {}\n\
             client_secret = {}\nclient_authentication = 'client_secret_basic'\n",
            told["token_endpoint"], told["client_id"], told["client_secret"]
        );
        let seed = |number: usize| told["seeds"][number].as_str().unwrap().to_owned();
        Server {
            name: file.file_name().to_str().unwrap().to_owned(),
            provider,
            seeds: [seed(0), seed(1)],
            names_errors: told["names_errors"] != false,
        }
    };
    let files = fs::read_dir(directory).unwrap();
    files.map(|file| read(file.unwrap())).collect()
}

#[test]
#[ignore = "needs servers: tests/live/run rotation"]
fn servers_that_detect_reuse_get_each_refresh_token_once() {
    let _limit = TimeLimit::start();
    let servers = servers();
    assert!(!servers.is_empty());
    for server in servers {
        server.each_refresh_sends_what_the_one_before_brought();
        server.processes_at_once_send_one_request();
        server.a_refused_token_is_sent_once();
        let name = server.name;
        eprintln!("{name}: {REFRESHES} refreshes, {PROCESSES} processes at once, one refusal");
    }
}

impl Server {
    fn each_refresh_sends_what_the_one_before_brought(&self) {
        let name = &self.name;
        let directory = tempfile::tempdir().unwrap();
        let mut sent = HashSet::new();
        for number in 0..REFRESHES {
            let plan = Plan {
                store: directory.path().to_str().unwrap(),
                provider: &self.provider,
                seed: (number == 0).then_some(&*self.seeds[0]),
                is_fresh: true,
                ..Plan::default()
            };
            let (of_process, outcome) = plan.start().end();
            assert!(outcome.starts_with("token "), "{name} {number}: {outcome}");
            assert_eq!(of_process.len(), 1, "{name} {number}");
            sent.extend(of_process);
        }
        assert_eq!(sent.len(), REFRESHES, "{name} got a token twice");
    }

    fn processes_at_once_send_one_request(&self) {
        let (name, (requests, outcomes)) = (&self.name, self.at_once(&self.seeds[1]));
        assert_eq!((requests, outcomes.len()), (1, 1), "{name}: {outcomes:?}");
        assert!(outcomes.iter().all(|it| it.starts_with("token ")), "{name}");
    }

    fn a_refused_token_is_sent_once(&self) {
        let (name, (requests, outcomes)) = (&self.name, self.at_once("no-such-token"));
        if self.names_errors {
            assert_eq!(requests, 1, "{name}");
        }
        let is_refused = |outcome: &String| outcome.starts_with("error Refused");
        assert!(outcomes.iter().all(is_refused), "{name}: {outcomes:?}");
    }

    /// Processes that ask at once and, after them, as many again: how many requests they send, and what
    /// they come to.
    fn at_once(&self, seed: &str) -> (usize, HashSet<String>) {
        let directory = tempfile::tempdir().unwrap();
        let provider = format!("{}refresh_token = '{seed}'\n", self.provider);
        let plan = Plan {
            store: directory.path().to_str().unwrap(),
            provider: &provider,
            ..Plan::default()
        };
        let (mut requests, mut outcomes) = (0, HashSet::new());
        for _ in 0..2 {
            let started: Vec<_> = (0..PROCESSES).map(|_| plan.start()).collect();
            for process in started {
                let (sent, outcome) = process.end();
                requests += sent.len();
                outcomes.insert(outcome);
            }
        }
        (requests, outcomes)
    }
}
