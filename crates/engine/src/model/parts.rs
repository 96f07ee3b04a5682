//! The small parts, in every order there is where those are few enough.

use super::*;
use crate::{
    endpoint::Endpoint,
    flight::{Ended, Flight, activity::Activity, demand::Demand},
    settings::{HEARTBEAT, MISSED_HEARTBEATS},
};

fn flight(urgent: bool) -> Arc<Flight> {
    let now = ModelClock::default().now();
    Arc::new(Flight::new(&now, urgent, Demand::default(), None))
}

#[test]
fn a_flight_that_lands_wakes_who_waits() {
    exhaust(|| async {
        let flight = flight(true);
        let waits = {
            let flight = flight.clone();
            spawn(async move { flight.wait().await.is_err() })
        };
        flight.finish(Err(Ended::Failed(Error::internal(""))));
        assert!(waits.end().await);
    });
}

#[test]
fn the_first_end_of_a_flight_is_everybodys() {
    exhaust(|| async {
        let flight = flight(true);
        let lands = {
            let flight = flight.clone();
            spawn(async move { flight.finish(Err(Ended::Failed(Error::unreachable("")))) })
        };
        flight.finish(Err(Ended::Failed(Error::internal(""))));
        let kind = async || match flight.wait().await {
            Err(Ended::Failed(error)) => error.kind(),
            _ => panic!("it failed"),
        };
        let seen = kind().await;
        lands.end().await;
        assert_eq!(kind().await, seen);
    });
}

#[test]
fn it_is_quiet_when_the_last_flight_is_over() {
    exhaust(|| async {
        let activity = Arc::<Activity>::default();
        let over = Arc::new(AtomicUsize::new(0));
        let flights: Vec<_> = (0..2)
            .map(|_| {
                let (guard, over) = (activity.begin(), over.clone());
                spawn(async move {
                    over.fetch_add(1, SeqCst);
                    drop(guard);
                })
            })
            .collect();
        activity.drain().await;
        assert_eq!(over.load(SeqCst), 2);
        end_of_all(flights).await;
    });
}

#[test]
fn a_permit_goes_on_to_whoever_still_waits() {
    explore(|| async {
        let clock = Arc::new(ModelClock::default());
        let endpoint = Endpoint::new(&Settings::default().concurrent_fetches(1), None);
        let permit = endpoint.permit(&flight(true), &*clock).await;
        let leaves = {
            let (endpoint, clock) = (endpoint.clone(), clock.clone());
            spawn(async move { drop(endpoint.permit(&flight(true), &*clock).await) })
        };
        leaves.abort();
        drop(permit);
        drop(endpoint.permit(&flight(true), &*clock).await);
    });
}

/// Opens the gate when `work` waits.
async fn telling<T>(work: impl Future<Output = T>, waits: Arc<Gate>) -> T {
    let mut work = pin!(work);
    poll_fn(|cx| {
        let polled = work.as_mut().poll(cx);
        waits.open();
        polled
    })
    .await
}

#[test]
fn a_flight_that_gets_urgent_while_it_joins_the_queue_goes_ahead() {
    explore(|| async {
        let clock = Arc::new(ModelClock::default());
        let endpoint = Endpoint::new(&Settings::default().concurrent_fetches(1), None);
        let served = Arc::<Mutex<Vec<usize>>>::default();
        let queue = |number, flight: Arc<Flight>| {
            let waits = Arc::<Gate>::default();
            let (endpoint, clock) = (endpoint.clone(), clock.clone());
            let (tells, served) = (waits.clone(), served.clone());
            let queues = spawn(async move {
                let permit = endpoint.permit(&flight, &*clock);
                let permit = telling(permit, tells).await;
                lock(&served).push(number);
                drop(permit);
            });
            (queues, waits)
        };
        let permit = endpoint.permit(&flight(true), &*clock).await;
        let (background, waits) = queue(1, flight(false));
        waits.opened().await;
        let flight = flight(false);
        let (gets_urgent, waits) = queue(2, flight.clone());
        flight.require(Demand::default());
        waits.opened().await;
        drop(permit);
        end_of_all([background, gets_urgent]).await;
        assert_eq!(*lock(&served), [2, 1]);
    });
}

/// Flights in one place's queue that are driven, and the time for others to be passed over.
fn drive(
    clock: &Arc<ModelClock>,
    endpoint: &Arc<Endpoint>,
    flights: &[Arc<Flight>],
) -> Running<()> {
    let (clock, endpoint, flights) = (clock.clone(), endpoint.clone(), flights.to_vec());
    spawn(async move {
        for _ in 0..=MISSED_HEARTBEATS {
            clock.advance(HEARTBEAT);
            for flight in &flights {
                flight.give_heartbeat(&clock.now());
                endpoint.pass_over_lost(&clock.now());
            }
            elsewhere().await;
        }
    })
}

#[test]
fn a_permit_that_nobody_drives_is_taken_over_and_comes_back_once() {
    explore(|| async {
        let clock = Arc::new(ModelClock::default());
        let endpoint = Endpoint::new(&Settings::default().concurrent_fetches(1), None);
        let standing = endpoint.permit(&flight(true), &*clock).await;
        let flights = [flight(true), flight(true)];
        let with_permit = Arc::<AtomicUsize>::default();
        let waiters = flights.clone().map(|flight| {
            let (endpoint, clock) = (endpoint.clone(), clock.clone());
            let with_permit = with_permit.clone();
            spawn(async move {
                let permit = endpoint.permit(&flight, &*clock).await;
                assert_eq!(with_permit.fetch_add(1, SeqCst), 0, "two at a time");
                elsewhere().await;
                with_permit.fetch_sub(1, SeqCst);
                drop(permit);
            })
        });
        let driven = drive(&clock, &endpoint, &flights);
        let comes_back = spawn(async move {
            elsewhere().await;
            drop(standing);
        });
        end_of_all(waiters).await;
        end_of_all([driven, comes_back]).await;
        drop(endpoint.permit(&flight(true), &*clock).await);
    });
}

#[test]
fn a_permit_that_is_never_given_back_is_taken_over() {
    explore(|| async {
        let clock = Arc::new(ModelClock::default());
        let endpoint = Endpoint::new(&Settings::default().concurrent_fetches(1), None);
        let standing = endpoint.permit(&flight(true), &*clock).await;
        let waits = |flight: Arc<Flight>| {
            let (endpoint, clock) = (endpoint.clone(), clock.clone());
            spawn(async move { drop(endpoint.permit(&flight, &*clock).await) })
        };
        let driven = flight(true);
        // One is passed over ahead of the other, and has its turn all the same.
        let waiters = [waits(flight(true)), waits(driven.clone())];
        drive(&clock, &endpoint, &[driven]).end().await;
        end_of_all(waiters).await;
        assert!(!standing.is_still_held());
    });
}
