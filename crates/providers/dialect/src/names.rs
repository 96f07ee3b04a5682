//! Checks the names in templates: each has a meaning, and each declared parameter is used.

use biped_config::{ConfigTable, nearest};

use crate::{
    about::Declared,
    dialect::{Dialect, Param},
    reading::VendorTable as _,
    step::{Auth, Field, FieldValue, Header, Step},
    template::{RESERVED, Template, is_name},
};

/// What a template is for, which decides whether its parameters may be optional.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// It is a URL: no parameter may be optional.
    Address,
    /// It is a host that a token may be sent to: no parameter may be optional or from a response.
    Host,
    /// The request needs it: no parameter may be optional.
    Needed,
    /// It is left out if an optional parameter has no value.
    LeftOut,
}

/// Checks all names, and stores in the dialect which values the configuration must give.
pub(crate) fn settle(dialect: &mut Dialect, table: &ConfigTable) {
    let declared = dialect.about.as_ref().map(|about| about.params.clone());
    let mut names = Names {
        has_about: declared.is_some(),
        declared: declared.unwrap_or_default(),
        exports: Vec::new(),
        params: Vec::new(),
        client_id: false,
        client_secret: false,
        table,
    };
    names.declare();
    let has_hosts = dialect.hosts().next().is_some();
    for (at, step) in dialect.steps.iter().enumerate() {
        let stage = Stage { has_token: at > 0 };
        step.templates(&mut |template, role| names.visit(template, role, stage));
        let key = if at == 0 { "url" } else { "then.url" };
        names.check_host(&step.url, key, has_hosts);
        names.export(step);
    }
    let stage = Stage { has_token: true };
    if let Some(step) = &dialect.revoke {
        step.templates(&mut |template, role| names.visit(template, role, stage));
        names.check_host(&step.url, "revoke.url", has_hosts);
    }
    if let Some(attach) = &dialect.attach {
        let headers = attach.headers.iter().flat_map(Header::templates);
        let query = attach.query.iter().map(|(_, template)| template);
        headers
            .chain(query)
            .for_each(|template| names.visit(template, Role::LeftOut, stage));
        if let Some((user, password)) = &attach.basic {
            names.visit(user, Role::Needed, stage);
            names.visit(password, Role::Needed, stage);
        }
    }
    names.report_unused();
    dialect.uses_client_id = names.client_id;
    dialect.uses_client_secret = names.client_secret;
    dialect.params = names.params;
}

struct Names<'a> {
    has_about: bool,
    declared: Vec<Declared>,
    exports: Vec<Box<str>>,
    params: Vec<Param>,
    client_id: bool,
    client_secret: bool,
    table: &'a ConfigTable,
}

/// What is available when a template is rendered.
#[derive(Clone, Copy)]
struct Stage {
    has_token: bool,
}

impl Names<'_> {
    fn declare(&mut self) {
        for param in &self.declared {
            let key = format!("about.params.{}", param.name);
            let described = ["client_id", "client_secret", "scope"].contains(&&*param.name);
            if !is_name(&param.name) {
                self.table
                    .wrong(param.line, &key, "expected a name of letters, digits and _");
            } else if !described && RESERVED.contains(&&*param.name) {
                self.table
                    .wrong(param.line, &key, "this name is reserved or used already");
            } else if !described {
                self.params.push(Param {
                    name: param.name.clone(),
                    says: param.says.clone(),
                    secret: param.secret,
                    optional: param.optional,
                    declared: true,
                    in_url: false,
                    line: 0,
                });
            }
        }
    }

    fn visit(&mut self, template: &Template, role: Role, stage: Stage) {
        for name in template.names() {
            let wrong = |why: String| self.table.wrong(template.line, "", why);
            match name {
                "client_id" => self.client_id = true,
                "client_secret" => self.client_secret = true,
                "token" | "scope" | "url" if role == Role::Host => {
                    wrong(format!("{{{name}}} can't be part of a host"));
                }
                "scope" => {}
                "token" if stage.has_token => {}
                "token" => wrong("{token} is available after the first response only".into()),
                "url" if role != Role::Address => {}
                "url" => wrong("{url} can't be part of a URL".into()),
                _ if self.exports.iter().any(|known| &**known == name) => {
                    if role == Role::Host {
                        wrong(format!(
                            "{{{name}}} comes from a response, so it can't be part of a host"
                        ));
                    }
                }
                _ => self.use_param(name, template.line, role),
            }
        }
    }

    /// A value from a response may be part of a host only if `base_url_hosts` limits it; a value from a
    /// token request may never be.
    fn check_host(&self, url: &Template, key: &str, has_hosts: bool) {
        for name in url.host_names() {
            if name == "scope" {
                let why = "{scope} comes from the token request, so it can't be part of a host";
                self.table.wrong(url.line, key, why);
            }
            let is_answered = name == "token" || self.exports.iter().any(|it| **it == *name);
            if is_answered && !has_hosts {
                let why = format!(
                    "{{{name}}} comes from a response and is part of the host; add base_url_hosts \
                     to [response] to limit the hosts"
                );
                self.table.wrong(url.line, key, why);
            }
        }
    }

    fn use_param(&mut self, name: &str, line: usize, role: Role) {
        let table = self.table;
        if let Some(param) = self.params.iter_mut().find(|param| &*param.name == name) {
            if param.line == 0 {
                param.line = line;
            }
            param.in_url |= matches!(role, Role::Address | Role::Host);
            if param.optional && role != Role::LeftOut {
                let why = format!("{{{name}}} is optional, but is needed here");
                table.wrong(line, "", why);
            }
        } else if self.has_about {
            let known = self.params.iter().map(|param| &*param.name);
            let meant = nearest(name, known.chain(self.exports.iter().map(|name| &**name)))
                .map_or(String::new(), |meant| format!("; did you mean {meant}?"));
            let why = format!("about.params does not declare {{{name}}}{meant}");
            table.wrong(line, "", why);
        } else {
            self.params.push(Param {
                name: name.into(),
                says: Box::default(),
                secret: false,
                optional: false,
                declared: false,
                in_url: matches!(role, Role::Address | Role::Host),
                line,
            });
        }
    }

    fn export(&mut self, step: &Step) {
        for (name, _) in &step.reads.export {
            let taken =
                RESERVED.contains(&&**name) || self.params.iter().any(|param| param.name == *name);
            if taken || !is_name(name) {
                let why = if taken {
                    "this name is reserved or used already"
                } else {
                    "expected a name of letters, digits and _"
                };
                self.table
                    .wrong(step.url.line, &format!("response.export.{name}"), why);
            }
            if !self.exports.contains(name) {
                self.exports.push(name.clone());
            }
        }
    }

    fn report_unused(&self) {
        for param in self.params.iter().filter(|param| param.line == 0) {
            let declared = self.declared.iter().find(|known| known.name == param.name);
            let line = declared.map_or(1, |declared| declared.line);
            let key = format!("about.params.{}", param.name);
            self.table
                .wrong(line, &key, "no template uses this parameter");
        }
    }
}

impl Step {
    /// Visits every template of the step with its role.
    pub(crate) fn templates<'s>(&'s self, visit: &mut impl FnMut(&'s Template, Role)) {
        visit(&self.url, Role::Address);
        if let Auth::Basic { user, password } = &self.auth {
            visit(user, Role::Needed);
            visit(password, Role::Needed);
        }
        let all = self.fields.iter().chain(&self.query);
        all.for_each(|Field { value, .. }| value.templates(visit));
        for template in self.headers.iter().flat_map(Header::templates) {
            visit(template, Role::LeftOut);
        }
        if let Some(body) = &self.body {
            visit(body, Role::Needed);
        }
        if let Some(jwt) = &self.jwt {
            visit(&jwt.key, Role::Needed);
            if let Some(kid) = &jwt.kid {
                visit(kid, Role::Needed);
            }
            if let Some(certificate) = &jwt.certificate {
                visit(certificate, Role::Needed);
            }
            for (_, value) in jwt.claims.iter().chain(&jwt.header) {
                value.templates(visit);
            }
        }
        for host in &self.reads.base_url_hosts {
            visit(host, Role::Host);
        }
    }
}

impl FieldValue {
    fn templates<'s>(&'s self, visit: &mut impl FnMut(&'s Template, Role)) {
        match self {
            Self::Text(template) | Self::Number(template) => visit(template, Role::LeftOut),
            Self::List(all) => all.iter().for_each(|value| value.templates(visit)),
            Self::Fixed(_) | Self::Assertion => {}
        }
    }
}
