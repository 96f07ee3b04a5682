//! Reads the tables beside `[providers]`.

use biped_config::{ConfigTable, ConfigValue, Problem, Value};

use crate::{
    biped::Sections,
    config::{self, Table},
    registry::Registry,
};

/// Reads the sections that are configured.
pub(super) fn read(root: &Table, registry: &Registry, problems: &mut Vec<Problem>) -> Sections {
    let mut sections = Sections::new();
    for section in registry.sections() {
        let name = section.name();
        let (Some(value), Some(values)) = (root.get(name), config::table(root, name, problems))
        else {
            continue;
        };
        match section.read(&ConfigTable::new(
            name,
            value.origin.clone(),
            values.clone(),
        )) {
            Ok(read) => drop(sections.insert(name.into(), read)),
            Err(found) => problems.extend(found),
        }
    }
    sections
}

/// Notes unknown tables, with a suggestion.
pub(super) fn report_unknown(root: &Table, registry: &Registry, problems: &mut Vec<Problem>) {
    let known = || registry.section_names();
    for (name, value) in root
        .iter()
        .filter(|(name, _)| !known().any(|known| known == *name))
    {
        if is_provider(value) {
            problems.push(Problem {
                origin: value.origin.clone(),
                key: name.clone(),
                message: format!("unknown key; did you mean the table [providers.{name}]?"),
            });
            continue;
        }
        problems.push(Problem::unknown_key(
            value.origin.clone(),
            name.clone(),
            name,
            known(),
        ));
    }
}

/// Whether a table looks like a provider's, and is in the wrong place.
fn is_provider(value: &ConfigValue) -> bool {
    let Value::Table(table) = &value.raw else {
        return false;
    };
    ["client_id", "client_secret", "credentials"]
        .iter()
        .any(|key| table.contains_key(*key))
}
