//! [`race`]: the first of several servers to which a connection is ready.

use std::{future::Future, time::Duration};

use biped_core::Clock;
use tokio::task::JoinSet;

/// How long it may take until a connection is ready.
pub(crate) const CONNECTING: Duration = Duration::from_secs(2);
/// How long a server is waited for before the next is asked beside it.
const HEAD_START: Duration = Duration::from_millis(100);
/// When those that refused are asked again while another has not answered.
const AGAIN: Duration = Duration::from_millis(500);

/// A server to which there is no connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failed {
    pub(crate) at: usize,
    /// Why; `None` if it has never answered.
    pub(crate) why: Option<String>,
}

/// A server that was asked.
struct Asked {
    at: usize,
    /// Whether its answer is still to come.
    is_under_way: bool,
    /// Why it refused.
    why: Option<String>,
}

/// Asks servers in this order until a connection is ready. Returns the server with its connection, or why
/// each of them has none.
///
/// A server that hangs delays the next by [`HEAD_START`] only. One that refused, and is promoted while the other
/// hangs, is noticed.
pub(crate) async fn race<T, W>(
    order: impl IntoIterator<Item = usize>,
    clock: &dyn Clock,
    connect: impl Fn(usize) -> W,
) -> Result<(usize, T), Vec<Failed>>
where
    T: Send + 'static,
    W: Future<Output = Result<T, String>> + Send + 'static,
{
    let mut untried = order.into_iter().peekable();
    let mut all: Vec<Asked> = Vec::new();
    let mut under_way = JoinSet::new();
    let mut over = clock.sleep(CONNECTING);
    let mut is_next_due = true;
    loop {
        if is_next_due {
            let due = match untried.next() {
                Some(at) => {
                    all.push(Asked {
                        at,
                        is_under_way: false,
                        why: None,
                    });
                    all.len() - 1..
                }
                None => 0..,
            };
            for asked in all[due].iter_mut().filter(|asked| !asked.is_under_way) {
                asked.is_under_way = true;
                let (at, connecting) = (asked.at, connect(asked.at));
                under_way.spawn(async move { (at, connecting.await) });
            }
        }
        let pause = match untried.peek() {
            Some(_) => HEAD_START,
            None => AGAIN,
        };
        tokio::select! {
            biased;
            Some(done) = under_way.join_next() => {
                let (at, why) = match done {
                    Ok((at, Ok(connection))) => return Ok((at, connection)),
                    Ok((at, Err(why))) => (at, why),
                    Err(_) => return Err(reasons(all)),
                };
                for asked in all.iter_mut().filter(|asked| asked.at == at) {
                    asked.is_under_way = false;
                    asked.why = Some(why.clone());
                }
                is_next_due = untried.peek().is_some();
                if under_way.is_empty() && !is_next_due {
                    return Err(reasons(all));
                }
            }
            () = &mut over => return Err(reasons(all)),
            () = clock.sleep(pause) => is_next_due = true,
        }
    }
}

fn reasons(all: Vec<Asked>) -> Vec<Failed> {
    let failed = |Asked { at, why, .. }| Failed { at, why };
    all.into_iter().map(failed).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use biped_testing::{ManualClock, TimeLimit};
    use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

    use super::*;

    /// What a server does when it is asked.
    #[derive(Clone, Copy)]
    enum Server {
        Hangs,
        Refuses,
        /// Refuses so many times; then it is the primary.
        IsPromotedAfter(usize),
    }

    struct Race {
        clock: Arc<ManualClock>,
        running: tokio::task::JoinHandle<Result<(usize, ()), Vec<Failed>>>,
        asked: UnboundedReceiver<usize>,
    }

    impl Race {
        fn start(servers: &[Server]) -> Self {
            let clock = Arc::new(ManualClock::new());
            let (told, asked) = unbounded_channel();
            let servers: Vec<_> = servers
                .iter()
                .map(|server| (*server, Arc::default()))
                .collect();
            let running = tokio::spawn({
                let clock = clock.clone();
                async move {
                    let connect = |at: usize| ask(at, servers[at].clone(), told.clone());
                    race(0..servers.len(), &*clock, connect).await
                }
            });
            Self {
                clock,
                running,
                asked,
            }
        }

        /// Lets everything happen that can happen now.
        async fn settle(&self) {
            for _ in 0..50 {
                tokio::task::yield_now().await;
            }
        }

        async fn pass(&self, time: Duration) {
            self.settle().await;
            self.clock.advance(time);
            self.settle().await;
        }

        /// The servers that were asked since this was asked last.
        fn asked(&mut self) -> Vec<usize> {
            std::iter::from_fn(|| self.asked.try_recv().ok()).collect()
        }
    }

    async fn ask(
        at: usize,
        (server, times): (Server, Arc<std::sync::atomic::AtomicUsize>),
        told: UnboundedSender<usize>,
    ) -> Result<(), String> {
        told.send(at).unwrap();
        let before = times.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        match server {
            Server::Hangs => std::future::pending().await,
            Server::IsPromotedAfter(refusals) if before >= refusals => Ok(()),
            Server::Refuses | Server::IsPromotedAfter(_) => Err("is a replica".to_owned()),
        }
    }

    #[tokio::test]
    async fn a_server_that_hangs_delays_the_next_by_its_head_start_only() {
        let _limit = TimeLimit::start();
        let mut race = Race::start(&[Server::Hangs, Server::IsPromotedAfter(0)]);
        race.pass(HEAD_START - Duration::from_millis(1)).await;
        assert_eq!(race.asked(), [0]);
        race.pass(Duration::from_millis(1)).await;
        assert_eq!(race.asked(), [1]);
        assert_eq!(race.running.await.unwrap(), Ok((1, ())));
    }

    #[tokio::test]
    async fn servers_that_refuse_are_passed_over_at_once_and_not_asked_twice() {
        let _limit = TimeLimit::start();
        let mut race = Race::start(&[Server::Refuses, Server::Refuses]);
        race.settle().await;
        assert_eq!(race.asked(), [0, 1]);
        let failed = |at| Failed {
            at,
            why: Some("is a replica".to_owned()),
        };
        assert_eq!(race.running.await.unwrap(), Err(vec![failed(0), failed(1)]));
    }

    #[tokio::test]
    async fn a_replica_that_is_promoted_while_the_primary_hangs_is_noticed() {
        let _limit = TimeLimit::start();
        let mut race = Race::start(&[Server::Hangs, Server::IsPromotedAfter(1)]);
        race.pass(HEAD_START).await;
        assert_eq!(race.asked(), [0, 1]);
        race.pass(AGAIN).await;
        assert_eq!(race.asked(), [1]);
        assert_eq!(race.running.await.unwrap(), Ok((1, ())));
    }

    #[tokio::test]
    async fn an_attempt_is_over_in_time_and_says_of_each_server_why() {
        let _limit = TimeLimit::start();
        let mut race = Race::start(&[Server::Hangs, Server::Refuses]);
        race.pass(HEAD_START).await;
        race.pass(CONNECTING).await;
        assert_eq!(race.asked()[..2], [0, 1]);
        let failed = race.running.await.unwrap().unwrap_err();
        let whys: Vec<_> = failed.into_iter().map(|failed| failed.why).collect();
        assert_eq!(whys, [None, Some("is a replica".to_owned())]);
    }
}
