//! Who names what: every name in a template stands for something, and everything declared is used.

use biped_config::nearest;

use crate::{
    about::Declared,
    dialect::{Dialect, Param},
    source::Faults,
    step::{Auth, Field, FieldValue, Header, Step},
    template::{RESERVED, Template, is_name},
};

/// What becomes of a template whose optional name stands for nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// It is part of an address: can't be.
    Address,
    /// It is a host that a token may go to: can't be, and no answer may name it.
    Host,
    /// The request needs it: can't be.
    Needed,
    /// What it would fill is left out.
    LeftOut,
}

/// Checks all names, and notes what has to be given.
pub(crate) fn settle(dialect: &mut Dialect, faults: &Faults) {
    let declared = dialect.about.as_ref().map(|about| about.params.clone());
    let mut names = Names {
        has_about: declared.is_some(),
        declared: declared.unwrap_or_default(),
        exports: Vec::new(),
        params: Vec::new(),
        client_id: false,
        client_secret: false,
        faults,
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
    faults: &'a Faults,
}

/// What is there already where a template stands.
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
                self.faults
                    .note(param.line, key, "letters, digits and _ make a name");
            } else if !described && RESERVED.contains(&&*param.name) {
                self.faults
                    .note(param.line, key, "this name means something else already");
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
            let wrong = |why: String| self.faults.note(template.line, "", why);
            match name {
                "client_id" => self.client_id = true,
                "client_secret" => self.client_secret = true,
                "token" | "scope" | "url" if role == Role::Host => {
                    wrong(format!("{{{name}}} can't name hosts"));
                }
                "scope" => {}
                "token" if stage.has_token => {}
                "token" => wrong("{token} is there after the first answer only".into()),
                "url" if role != Role::Address => {}
                "url" => wrong("{url} can't stand in an address".into()),
                _ if self.exports.iter().any(|known| &**known == name) => {
                    if role == Role::Host {
                        wrong(format!(
                            "{{{name}}} is from an answer, which can't name hosts"
                        ));
                    }
                }
                _ => self.use_param(name, template.line, role),
            }
        }
    }

    /// What an answer gave is part of a host only beside hosts that it may name, and what a request
    /// asks for never is.
    fn check_host(&self, url: &Template, key: &str, has_hosts: bool) {
        for name in url.host_names() {
            if name == "scope" {
                let why = "{scope} is from the request, which can't name hosts";
                self.faults.note(url.line, key, why);
            }
            let is_answered = name == "token" || self.exports.iter().any(|it| **it == *name);
            if is_answered && !has_hosts {
                let why = format!(
                    "{{{name}}} is from an answer and part of the host; add base_url_hosts to \
                     [response], the hosts that it may name"
                );
                self.faults.note(url.line, key, why);
            }
        }
    }

    fn use_param(&mut self, name: &str, line: usize, role: Role) {
        let faults = self.faults;
        if let Some(param) = self.params.iter_mut().find(|param| &*param.name == name) {
            if param.line == 0 {
                param.line = line;
            }
            param.in_url |= matches!(role, Role::Address | Role::Host);
            if param.optional && role != Role::LeftOut {
                let why = format!("{{{name}}} is optional, and can't be left out here");
                faults.note(line, "", why);
            }
        } else if self.has_about {
            let known = self.params.iter().map(|param| &*param.name);
            let meant = nearest(name, known.chain(self.exports.iter().map(|name| &**name)))
                .map_or(String::new(), |meant| format!("; is {meant} meant?"));
            let why = format!("{{{name}}} is no parameter that about.params tells of{meant}");
            faults.note(line, "", why);
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
                    "this name means something else already"
                } else {
                    "letters, digits and _ make a name"
                };
                self.faults
                    .note(step.url.line, format!("response.export.{name}"), why);
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
            self.faults.note(line, key, "no template names it");
        }
    }
}

impl Step {
    /// Every template of the step, and what becomes of it without its names.
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
            jwt.claims
                .iter()
                .for_each(|(_, value)| value.templates(visit));
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
