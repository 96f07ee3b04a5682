//! Whether the settings fit the providers.

use biped::{
    Biped, ConfiguredProvider, Error,
    config::{Origin, Problem},
    provider::wire::Escaped,
};

use crate::{
    config::{CallerSettings, Mention, Serve, Warm},
    target::is_servable,
};

/// Everything in the settings that does not fit the providers, in one error.
pub(super) fn check(biped: &Biped, serve: &Serve) -> Result<(), Error> {
    if biped.names().len() == 0 {
        let error = Error::configuration("no provider is configured");
        return Err(error.with_remedy("add a table [providers.NAME]"));
    }
    let mut problems = unknown_names(biped, serve);
    problems.extend(tenants(biped, serve));
    problems.extend(certificates(serve));
    problems.extend(unservable(biped, serve));
    if problems.is_empty() {
        return Ok(());
    }
    problems.sort_by_key(|problem| problem.origin.line());
    Err(Error::configuration_lines(problems))
}

/// Names of providers that are not configured.
fn unknown_names(biped: &Biped, serve: &Serve) -> Vec<Problem> {
    let only = serve.only.iter().flatten();
    let tables = serve.providers.iter().map(|(name, _)| name);
    let of_callers = serve.callers.iter();
    let of_callers = of_callers.flat_map(|caller| caller.providers.iter().flatten());
    let all = only.chain(tables).chain(of_callers).chain(at_start(serve));
    let problem = |name: &Mention| {
        let error = biped.provider(name).err()?;
        Some(name.problem(text(&error)))
    };
    all.filter_map(problem).collect()
}

/// The providers whose tokens are fetched at the start, without a request that could name a tenant.
fn at_start(serve: &Serve) -> impl Iterator<Item = &Mention> {
    let warm: &[Mention] = match &serve.warm {
        Warm::These(names) => names,
        Warm::All => &[],
    };
    let files = serve.files.iter().map(|file| &file.provider);
    serve.ready_requires.iter().chain(warm).chain(files)
}

/// Tenants where there can be none.
fn tenants(biped: &Biped, serve: &Serve) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (name, settings) in &serve.providers {
        let provider = biped.provider(name).ok();
        if settings.tenants && provider.is_some_and(|provider| !has_tenants(provider)) {
            problems.push(name.problem(format!(
                "tenants = true, but the provider has no tenants; set tenant to a pattern in \
                 [providers.{}]",
                Escaped(name)
            )));
        }
    }
    for name in at_start(serve) {
        if biped.provider(name).is_ok_and(has_tenants) {
            problems.push(name.problem(format!(
                "{} has tenants, and no tenant can be named here; remove it",
                Escaped(name)
            )));
        }
    }
    for caller in &serve.callers {
        let names = caller.tenants.iter();
        problems.extend(names.filter_map(|name| impossible(biped, caller, name)));
    }
    problems
}

fn has_tenants(provider: &ConfiguredProvider) -> bool {
    provider.provider().tenants().is_some()
}

/// A name of a caller's tenant that none of the caller's providers lets a tenant have.
fn impossible(biped: &Biped, caller: &CallerSettings, tenant: &Mention) -> Option<Problem> {
    let mine = biped.names().filter(|name| caller.may_use(name));
    let providers = mine.filter_map(|name| biped.provider(name).ok());
    let mut why = None;
    for provider in providers {
        let Some(tenants) = provider.provider().tenants() else {
            continue;
        };
        match tenants.tenant(tenant, provider.request()) {
            Ok(_) => return None,
            Err(error) => why = Some(error),
        }
    }
    let why = why.filter(|_| &**tenant != "*")?;
    Some(tenant.problem(text(&why)))
}

/// Certificates of callers that none is asked for.
fn certificates(serve: &Serve) -> Vec<Problem> {
    let has_authority = serve
        .tls
        .as_ref()
        .is_some_and(|tls| tls.client_ca.is_some());
    let names = serve.callers.iter();
    let names = names.filter_map(|caller| caller.certificate.as_ref());
    let problem = |name: &Mention| {
        name.problem("no certificate of a caller is asked for; set serve.tls.client_ca")
    };
    names.filter(|_| !has_authority).map(problem).collect()
}

/// Providers whose names can't be in a path.
fn unservable(biped: &Biped, serve: &Serve) -> Vec<Problem> {
    const MESSAGE: &str = "can't be served; use letters, digits, - . and _ in the name";
    if let Some(only) = &serve.only {
        let wrong = only.iter().filter(|name| !is_servable(name));
        return wrong.map(|name| name.problem(MESSAGE)).collect();
    }
    let wrong = biped.names().filter(|name| !is_servable(name));
    let problem = |name: &str| {
        let key = format!("providers.{}", Escaped(name));
        let inside = format!("providers.{name}.");
        let mut settings = biped.config().iter();
        let setting = settings.find(|setting| setting.key.starts_with(&inside));
        Problem {
            origin: setting.map_or(Origin::Builder, |setting| setting.origin.clone()),
            key,
            message: format!("{MESSAGE}, or leave it out of serve.only"),
        }
    };
    wrong.map(problem).collect()
}

fn text(error: &Error) -> String {
    match error.remedy() {
        Some(remedy) => format!("{}; {remedy}", error.message()),
        None => error.message().to_owned(),
    }
}
