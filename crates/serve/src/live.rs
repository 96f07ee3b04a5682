//! [`Live`]: the configuration that requests are served by. A reload replaces it as a whole.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use biped::{Biped, ConfiguredProvider, Error, TokenSource, provider::wire::Escaped};

use crate::{
    callers::{Callers, Identity},
    config::{ProviderSettings, Serve, Warm},
    meter::Series,
    room::Room,
    target::is_servable,
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
    pub(crate) room: Arc<Room>,
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
        let mut problems = Vec::new();
        let known: BTreeSet<&str> = biped.names().collect();
        let mut check = |place: &str, name: &str| {
            if !known.contains(name) {
                let all: Vec<_> = known.iter().copied().collect();
                let all = all.join(", ");
                problems.push(format!(
                    "{place}: there is no provider named {}; expected one of {all}",
                    Escaped(name)
                ));
            }
        };
        for name in serve.only.iter().flatten() {
            check("serve.only", name);
        }
        for (name, _) in &serve.providers {
            check("serve.providers", name);
        }
        for name in &serve.ready_requires {
            check("serve.ready_requires", name);
        }
        if let Warm::These(names) = &serve.warm {
            for name in names {
                check("serve.warm", name);
            }
        }
        for caller in &serve.callers {
            for name in caller.providers.iter().flatten() {
                check("serve.callers.providers", name);
            }
        }
        for file in &serve.files {
            check("serve.files.provider", &file.provider);
        }
        let has_tenants = |name: &str| {
            let provider = biped.provider(name);
            provider.is_ok_and(|provider| provider.provider().tenants().is_some())
        };
        for (name, settings) in &serve.providers {
            if settings.tenants && known.contains(name.as_str()) && !has_tenants(name) {
                let name = Escaped(name);
                problems.push(format!(
                    "serve.providers.{name}.tenants: the provider has no tenants; set tenant to a \
                     pattern in [providers.{name}]"
                ));
            }
        }
        let warm: &[String] = match &serve.warm {
            Warm::These(names) => names,
            Warm::All => &[],
        };
        let files = serve.files.iter().map(|file| &file.provider);
        let at_start = [
            ("serve.ready_requires", serve.ready_requires.iter()),
            ("serve.warm", warm.iter()),
        ];
        let at_start = at_start
            .into_iter()
            .flat_map(|(place, names)| names.map(move |name| (place, name)))
            .chain(files.map(|name| ("serve.files.provider", name)));
        for (place, name) in at_start {
            if has_tenants(name) {
                let name = Escaped(name);
                problems.push(format!(
                    "{place}: {name} has tenants, and no tenant can be named here; remove it"
                ));
            }
        }
        let has_authority = serve
            .tls
            .as_ref()
            .is_some_and(|tls| tls.client_ca.is_some());
        if !has_authority
            && serve
                .callers
                .iter()
                .any(|caller| caller.certificate.is_some())
        {
            problems.push(
                "serve.callers.certificate: no certificate of a caller is asked for; set \
                 serve.tls.client_ca"
                    .into(),
            );
        }
        let names: Vec<&str> = match &serve.only {
            Some(names) => names.iter().map(String::as_str).collect(),
            None => known.iter().copied().collect(),
        };
        for name in &names {
            if !is_servable(name) {
                problems.push(format!(
                    "providers: {} can't be served; use letters, digits, - . and _ in its name, or \
                     leave it out of serve.only",
                    Escaped(name)
                ));
            }
        }
        if !problems.is_empty() {
            return Err(Error::configuration_lines(problems));
        }
        let known = old.into_iter().flat_map(Self::all);
        let mut upstreams: Vec<_> = known.map(|served| served.upstream.clone()).collect();
        let mut providers = BTreeMap::new();
        for name in names {
            // Providers with the same settings share connections, and a reload keeps them.
            let http = biped.http_settings(name)?;
            let settings = serve.providers.iter().find(|(known, _)| known == name);
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
                room: old
                    .and_then(|old| old.served(&name))
                    .map_or_else(Arc::default, |old| old.room.clone()),
                series: old
                    .and_then(|old| old.served(&name))
                    .map_or_else(|| Arc::new(Series::new(&name)), |old| old.series.clone()),
                settings,
            };
            providers.insert(name, Arc::new(served));
        }
        Ok(Self {
            callers: Callers::new(&serve.callers),
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
        let required = |served: &&Arc<Served>| {
            let names = &self.serve.ready_requires;
            names.iter().any(|name| **name == *served.name)
        };
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
