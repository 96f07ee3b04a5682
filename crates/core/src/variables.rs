//! [`VariableNames`]: the environment variables that references name.

use std::collections::BTreeSet;

/// Where the name of a tenant is filled in.
const TENANT: &str = "{tenant}";

/// The environment variables that the references of a configuration name.
///
/// ```
/// use biped_core::VariableNames;
///
/// let mut names = VariableNames::default();
/// for text in ["env:CRM_{tenant}_SECRET", "env:SHOP#/secret", "file:${SECRETS}/key.pem", "no reference"] {
///     names.note(text);
/// }
/// assert!(names.has_value("CRM_acme_SECRET") && names.has_value("SHOP"));
/// assert!(names.contains("SECRETS") && !names.has_value("SECRETS"));
/// ```
#[derive(Clone, Debug, Default)]
pub struct VariableNames {
    /// Those of `env:NAME`. A name may contain `{tenant}`.
    values: BTreeSet<String>,
    in_paths: BTreeSet<String>,
}

impl VariableNames {
    /// Notes the variables that a text names, if it is a reference as [`SecretRef`](crate::SecretRef) reads
    /// it.
    pub fn note(&mut self, text: &str) {
        if let Some(name) = text.strip_prefix("env:") {
            let name = name.split_once("#/").map_or(name, |(name, _)| name);
            self.values.insert(name.to_owned());
        }
        if let Some(path) = text.strip_prefix("file:") {
            let after = path.split("${").skip(1);
            let names = after.filter_map(|rest| Some(rest.split_once('}')?.0.to_owned()));
            self.in_paths.extend(names);
        }
    }

    /// Returns whether a reference is to the value of this variable (`env:NAME`), or to that of a tenant
    /// (`env:CRM_{tenant}_SECRET`). A tenant's name alone (`env:{tenant}`) would fit every variable, so it fits
    /// none.
    #[must_use]
    pub fn has_value(&self, variable: &str) -> bool {
        self.values.iter().any(|name| fits(name, variable))
    }

    /// Returns whether a reference names this variable: for its value, or in the path of a file
    /// (`file:${NAME}/x`).
    #[must_use]
    pub fn contains(&self, variable: &str) -> bool {
        self.has_value(variable) || self.in_paths.contains(variable)
    }
}

fn fits(name: &str, variable: &str) -> bool {
    let Some((start, rest)) = name.split_once(TENANT) else {
        return name == variable;
    };
    let end = rest.rsplit_once(TENANT).map_or(rest, |(_, end)| end);
    let fixed = start.len() + end.len();
    fixed > 0 && variable.len() > fixed && variable.starts_with(start) && variable.ends_with(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(texts: &[&str]) -> VariableNames {
        let mut names = VariableNames::default();
        texts.iter().for_each(|text| names.note(text));
        names
    }

    #[test]
    fn a_name_ends_where_its_field_of_json_begins_and_may_have_any_character() {
        let names = of(&["env:BIPED_CREDS#/secret", "env:shop.secret-key", "env:A#B"]);
        for name in ["BIPED_CREDS", "shop.secret-key", "A#B"] {
            assert!(names.has_value(name) && names.contains(name), "{name}");
        }
        for name in ["BIPED_CREDS#/secret", "BIPED", "shop", "A", ""] {
            assert!(!names.contains(name), "{name}");
        }
    }

    #[test]
    fn the_variables_of_tenants_are_found_and_no_others() {
        let names = of(&["env:CRM_{tenant}_SECRET", "env:{tenant}"]);
        assert!(names.has_value("CRM_acme_SECRET"));
        for name in ["CRM_SECRET", "CRM__SECRET", "CRM_acme_ID", "PATH"] {
            assert!(!names.has_value(name), "{name}");
        }
    }

    #[test]
    fn a_variable_in_a_path_is_named_and_its_value_is_not_asked_for() {
        let names = of(&["file:${CREDENTIALS}/${NAME}.pem#/key", "inline:env:X"]);
        for name in ["CREDENTIALS", "NAME"] {
            assert!(names.contains(name) && !names.has_value(name), "{name}");
        }
        assert!(!names.contains("X"));
    }
}
