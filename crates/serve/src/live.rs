//! [`Live`]: the configuration that requests are served by. A reload replaces it as a whole.

mod check;

use std::{collections::BTreeMap, sync::Arc};

use biped::{Biped, ConfiguredProvider, Error, TokenSource};

use crate::{
    callers::{Callers, Identity},
    config::{ProviderSettings, Serve, Warm},
    limiter::Limiter,
    meter::Series,
    tls::Tls,
    upstream::{OwnAddresses, Upstream},
};

/// At most so many providers are warmed.
const MAX_WARM: usize = 64;

/// What requests are served by.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) biped: Biped,
    pub(crate) serve: Serve,
    pub(crate) callers: Callers,
    pub(crate) tls: Option<Arc<Tls>>,
    providers: BTreeMap<Arc<str>, Arc<Served>>,
}

/// A provider that is served.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) name: Arc<str>,
    pub(crate) provider: ConfiguredProvider,
    pub(crate) source: TokenSource,
    pub(crate) settings: ProviderSettings,
    /// The connections to its API.
    pub(crate) upstream: Arc<Upstream>,
    /// Calls under way.
    pub(crate) calls: Arc<Limiter>,
    pub(crate) series: Arc<Series>,
}

impl Live {
    /// Checks the settings against the providers, and reads the listeners' certificate. What did not change
    /// since `old` is kept.
    pub(crate) async fn open(
        biped: Biped,
        serve: Serve,
        own: &OwnAddresses,
        old: Option<&Self>,
    ) -> Result<Self, Error> {
        let mut live = Self::new(biped, serve, own, old)?;
        let kept = old.and_then(|old| old.tls.clone());
        live.tls = match live.serve.tls.clone() {
            None => None,
            Some(settings) => match kept.filter(|tls| *tls.settings() == settings) {
                Some(tls) => Some(tls),
                None => Some(Arc::new(Tls::open(settings).await?)),
            },
        };
        Ok(live)
    }

    fn new(
        biped: Biped,
        serve: Serve,
        own: &OwnAddresses,
        old: Option<&Self>,
    ) -> Result<Self, Error> {
        check::check(&biped, &serve)?;
        let names: Vec<&str> = match &serve.only {
            Some(names) => names.iter().map(|name| &**name).collect(),
            None => biped.names().collect(),
        };
        let known = old.into_iter().flat_map(Self::all);
        let mut upstreams: Vec<_> = known.map(|served| served.upstream.clone()).collect();
        let mut providers = BTreeMap::new();
        for name in names {
            // Providers with the same settings share connections, and a reload keeps them.
            let http = biped.http_settings(name)?;
            let settings = serve.providers.iter().find(|(known, _)| **known == *name);
            let settings = settings.map_or_else(ProviderSettings::default, |(_, it)| it.clone());
            let shared = upstreams.iter().find(|upstream| upstream.is_for(&http));
            let upstream = match shared {
                Some(shared) => shared.clone(),
                None => {
                    let made = Arc::new(Upstream::new(http, own.clone()));
                    // A machine without certificates is told of now, instead of at the first call.
                    made.clients(settings.http2, None)?;
                    upstreams.push(made.clone());
                    made
                }
            };
            let provider = biped.provider(name)?.clone();
            let name: Arc<str> = name.into();
            let served = Served {
                name: name.clone(),
                source: biped.token_source(&name)?,
                provider,
                upstream,
                calls: old
                    .and_then(|old| old.served(&name))
                    .map_or_else(Arc::default, |old| old.calls.clone()),
                series: old
                    .and_then(|old| old.served(&name))
                    .map_or_else(|| Arc::new(Series::new(&name)), |old| old.series.clone()),
                settings,
            };
            providers.insert(name, Arc::new(served));
        }
        Ok(Self {
            callers: Callers::new(&serve.callers, old.map(|old| &old.callers)),
            tls: None,
            biped,
            serve,
            providers,
        })
    }

    pub(crate) fn served(&self, name: &str) -> Option<&Arc<Served>> {
        self.providers.get(name)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Served>> {
        self.providers.values()
    }

    /// The names of the providers that this caller may use. One that has not proven itself may use none.
    pub(crate) fn names_for(&self, identity: &Identity) -> Vec<&str> {
        let names = self.all().map(|served| &*served.name);
        match identity {
            Some(caller) => names.filter(|name| caller.may_use(name)).collect(),
            None if self.callers.is_empty() => names.collect(),
            None => Vec::new(),
        }
    }

    /// The providers whose tokens are fetched at the start.
    pub(crate) fn warmed(&self) -> Vec<Arc<Served>> {
        let is_chosen = |served: &&Arc<Served>| match &self.serve.warm {
            // Which tenants there are is told by requests.
            Warm::All => served.provider.provider().tenants().is_none(),
            Warm::These(names) => names.iter().any(|name| **name == *served.name),
        };
        let required = |served: &&Arc<Served>| self.serve.requires(&served.name);
        let chosen = self.all().filter(is_chosen).take(MAX_WARM);
        let mut chosen: Vec<_> = chosen.cloned().collect();
        for served in self.all().filter(required) {
            if !chosen.iter().any(|known| known.name == served.name) {
                chosen.push(served.clone());
            }
        }
        chosen
    }
}
