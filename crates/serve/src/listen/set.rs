//! [`Listeners`]: all listeners of a sidecar, which a reload may change.

use std::sync::Arc;

use biped::Error;
use tokio::task::JoinSet;

use super::{Bound, Failed, Inherited, Purpose, bind, check_local, is_missing, shown, take};
use crate::{config::Serve, live::Live, peer::Shown, shared::Shared};

/// The listeners that take connections.
#[derive(Debug, Default)]
pub(crate) struct Listeners {
    all: Vec<Listening>,
    tasks: JoinSet<()>,
}

#[derive(Debug)]
struct Listening {
    wanted: Wanted,
    bound: Arc<Bound>,
}

/// Which listener the configuration wants.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Wanted {
    At(String, Purpose),
    /// Another process made it, and it stays as long as this one.
    Inherited(bool),
}

/// What a configuration changes. Until it is applied, the new listeners are bound and take no connections.
#[derive(Debug)]
pub(crate) struct Change {
    new: Vec<Listening>,
    /// Positions of those that stay.
    kept: Vec<usize>,
}

impl Listeners {
    /// Binds what `live` wants and is not there. `inherited` listeners take the place of `listen`.
    pub(crate) async fn prepare(
        &self,
        live: &Live,
        inherited: Vec<(Inherited, bool)>,
    ) -> Result<Change, Error> {
        let serve = &live.serve;
        let mut change = Change {
            new: Vec::new(),
            kept: Vec::new(),
        };
        for (listener, is_probe) in inherited {
            change.new.push(Listening {
                wanted: Wanted::Inherited(is_probe),
                bound: Arc::new(take(serve, listener, is_probe)?),
            });
        }
        for (at, known) in self.all.iter().enumerate() {
            if let Wanted::Inherited(_) = known.wanted {
                known.bound.check(serve)?;
                change.kept.push(at);
            }
        }
        let is_given = change.kept.len() + change.new.len() > 0;
        for (address, purpose) in wanted(live, is_given) {
            let is_spare = purpose == Purpose::All && serve.is_default_listen;
            let wanted = Wanted::At(address.clone(), purpose.clone());
            let is_free = |(at, known): &(usize, &Listening)| {
                known.wanted == wanted && !change.kept.contains(at)
            };
            let known = self.all.iter().enumerate().find(is_free);
            if let Some((at, known)) = known {
                known.bound.check(serve)?;
                change.kept.push(at);
                continue;
            }
            match bind(serve, &address, &purpose).await {
                Ok(bound) => change.new.push(Listening {
                    wanted,
                    bound: Arc::new(bound),
                }),
                // A machine may have no IPv6, and the default needs none.
                Err(Failed::Io(error))
                    if is_spare
                        && change.kept.len() + change.new.len() > 0
                        && is_missing(&error) => {}
                Err(failed) => return Err(failed.of(&address)),
            }
        }
        if change.kept.is_empty() && change.new.is_empty() {
            let error = Error::configuration("there is no address to listen at");
            return Err(error.with_remedy("name one in [serve] listen"));
        }
        Ok(change)
    }

    /// Takes connections at the new listeners, and none at those that are no longer wanted.
    pub(crate) fn apply(&mut self, change: Change, shared: &Arc<Shared>) {
        let all = std::mem::take(&mut self.all).into_iter().enumerate();
        for (at, listening) in all {
            if change.kept.contains(&at) {
                // Not before: the old configuration may have admitted those who could connect.
                listening.bound.restrict(&shared.live.load().serve);
                self.all.push(listening);
                continue;
            }
            if let Some(address) = listening.bound.address() {
                shared.own.remove(address);
            }
            listening.bound.info.removed.send_replace(true);
        }
        for listening in change.new {
            if let Some(address) = listening.bound.address() {
                shared.own.add(address);
            }
            let bound = listening.bound.clone();
            self.tasks.spawn(bound.run(shared.clone()));
            self.all.push(listening);
        }
    }

    pub(crate) fn shown(&self, serve: &Serve) -> Shown {
        let mut all = Shown::default();
        for Listening { bound, .. } in &self.all {
            let list = match bound.info.is_probe {
                true => &mut all.probes,
                false => &mut all.addresses,
            };
            list.push(shown(serve, bound));
        }
        all
    }

    /// Whether other processes of the machine can connect, whoever they are.
    pub(crate) fn has_tcp(&self) -> bool {
        let mut all = self.all.iter();
        all.any(|it| it.bound.address().is_some() && !it.bound.info.is_probe)
    }

    /// Whether there is a Unix socket, whose callers have a user.
    pub(crate) fn has_socket(&self) -> bool {
        let mut all = self.all.iter();
        all.any(|it| it.bound.address().is_none() && !it.bound.info.is_probe)
    }

    /// Ends when every listener is closed.
    pub(crate) async fn close(&mut self) {
        self.all.clear();
        self.tasks.shutdown().await;
    }
}

/// Every listener that the configuration names.
fn wanted(live: &Live, is_given: bool) -> Vec<(String, Purpose)> {
    let serve = &live.serve;
    let mut all = Vec::new();
    for address in serve.listen.iter().filter(|_| !is_given) {
        all.push((address.clone(), Purpose::All));
    }
    for address in &serve.probe_listen {
        all.push((address.clone(), Purpose::Probe));
    }
    for served in live.all() {
        for address in &served.settings.listen {
            all.push((address.clone(), Purpose::Provider(served.name.clone())));
        }
    }
    all
}

impl Bound {
    /// Whether a listener that is open may stay so with other settings.
    fn check(&self, serve: &Serve) -> Result<(), Error> {
        match self.address() {
            Some(address) => check_local(serve, address, self.info.is_probe),
            None => Ok(()),
        }
    }
}
