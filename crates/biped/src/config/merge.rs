//! Merging of sources, by figment.
//!
//! Figment sees the shape of the configuration and a number for each value, never a value: its
//! errors quote what they stumble over, and its tags know no lines.

use std::collections::BTreeMap;

use biped_config::{ConfigValue, Origin};
use biped_core::Error;
use figment::{
    Figment, Metadata, Profile, Provider,
    value::{Dict, Map, Value},
};

use super::Table;

/// A source of configuration.
pub(crate) struct Layer {
    /// What it is: a file's name, a variable, the builder.
    pub(crate) name: String,
    /// What it says.
    pub(crate) root: Table,
}

/// Merges sources; of two values for a key the later source's counts. Tables are merged key by key,
/// lists are replaced.
pub(crate) fn merge(layers: impl IntoIterator<Item = Layer>) -> Result<Table, Error> {
    let mut values = Values::default();
    let figment = layers.into_iter().fold(Figment::new(), |figment, layer| {
        let shape = values.take(layer.root, &mut Vec::new());
        figment.merge(Shape {
            name: layer.name,
            shape,
        })
    });
    let merged = figment
        .data()
        .map_err(|_| Error::internal("the sources of the configuration can't be merged"))?;
    let root = merged
        .into_iter()
        .find(|(profile, _)| *profile == Profile::Default);
    Ok(values.give(
        root.map(|(_, root)| root).unwrap_or_default(),
        &mut Vec::new(),
    ))
}

/// A source as figment sees it.
struct Shape {
    name: String,
    shape: Dict,
}

impl Provider for Shape {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok([(Profile::Default, self.shape.clone())].into())
    }
}

/// The values behind the numbers, and where each table was first opened.
#[derive(Default)]
struct Values {
    leaves: Vec<ConfigValue>,
    tables: BTreeMap<Vec<String>, Origin>,
}

impl Values {
    fn take(&mut self, table: Table, at: &mut Vec<String>) -> Dict {
        let mut shape = Dict::new();
        for (key, value) in table {
            at.push(key.clone());
            let stand_in = match value.raw {
                biped_config::Value::Table(inner) => {
                    self.tables.entry(at.clone()).or_insert(value.origin);
                    Value::from(self.take(inner, at))
                }
                raw => {
                    self.leaves.push(ConfigValue {
                        raw,
                        origin: value.origin,
                    });
                    Value::from(self.leaves.len() - 1)
                }
            };
            shape.insert(key, stand_in);
            at.pop();
        }
        shape
    }

    fn give(&self, shape: Dict, at: &mut Vec<String>) -> Table {
        let mut table = Table::new();
        for (key, stand_in) in shape {
            at.push(key.clone());
            let value = match stand_in {
                Value::Dict(_, inner) => {
                    let origin = self.tables.get(at).cloned().unwrap_or(Origin::Builder);
                    Some(ConfigValue {
                        raw: biped_config::Value::Table(self.give(inner, at)),
                        origin,
                    })
                }
                number => number
                    .to_u128()
                    .and_then(|number| self.leaves.get(usize::try_from(number).ok()?))
                    .cloned(),
            };
            if let Some(value) = value {
                table.insert(key, value);
            }
            at.pop();
        }
        table
    }
}
