//! The sources of the configuration, merged by figment.
//!
//! Each source is a figment provider of its values. Figment decides which value wins, and the
//! winner's tag leads back to its source, which knows where the value is. Nothing is deserialized
//! through figment, whose errors quote values.

use std::collections::BTreeMap;

use biped_config::{ConfigValue, Origin, Value};
use biped_core::Error;
use figment::{
    Error as FigmentError, Figment, Metadata, Profile, Provider, Source,
    value::{Dict, Map, Value as FigmentValue},
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
pub(crate) fn merge(layers: &[Layer]) -> Result<Table, Error> {
    let sources = layers
        .iter()
        .enumerate()
        .map(|(index, layer)| Numbered { index, layer });
    let figment = sources.fold(Figment::new(), Figment::merge);
    let merged = figment
        .data()
        .map_err(|_| Error::internal("the sources of the configuration can't be merged"))?;
    let root = merged
        .into_iter()
        .find(|(profile, _)| *profile == Profile::Default);
    let root = root.map(|(_, root)| root).unwrap_or_default();
    Ok(Winners {
        layers,
        figment: &figment,
    }
    .table(&root, &mut Vec::new()))
}

/// A source with its place among the sources.
struct Numbered<'l> {
    index: usize,
    layer: &'l Layer,
}

impl Provider for Numbered<'_> {
    fn metadata(&self) -> Metadata {
        Metadata::from(
            self.layer.name.clone(),
            Source::Custom(self.index.to_string()),
        )
    }

    fn data(&self) -> Result<Map<Profile, Dict>, FigmentError> {
        Ok([(Profile::Default, dict(&self.layer.root))].into())
    }
}

fn dict(table: &Table) -> Dict {
    let values = table.iter().map(|(key, value)| (key.clone(), plain(value)));
    values.collect()
}

fn plain(value: &ConfigValue) -> FigmentValue {
    match &value.raw {
        // To figment a date is a text.
        Value::Text(text) | Value::Date(text) => FigmentValue::from(text.as_str()),
        Value::Integer(number) => FigmentValue::from(*number),
        Value::Float(number) => FigmentValue::from(*number),
        Value::Bool(yes) => FigmentValue::from(*yes),
        Value::List(all) => FigmentValue::from(all.iter().map(plain).collect::<Vec<_>>()),
        Value::Table(table) => FigmentValue::from(dict(table)),
    }
}

/// What won, with where it is from.
struct Winners<'l> {
    layers: &'l [Layer],
    figment: &'l Figment,
}

impl Winners<'_> {
    fn table(&self, won: &Dict, path: &mut Vec<String>) -> Table {
        let mut table = BTreeMap::new();
        for (key, value) in won {
            path.push(key.clone());
            let value = match value {
                FigmentValue::Dict(_, inner) => Some(ConfigValue {
                    raw: Value::Table(self.table(inner, path)),
                    origin: self.opened(path),
                }),
                value => self.winner(value, path),
            };
            path.pop();
            table.extend(value.map(|value| (key.clone(), value)));
        }
        table
    }

    /// The value as its source has it.
    fn winner(&self, value: &FigmentValue, path: &[String]) -> Option<ConfigValue> {
        let source = self.figment.get_metadata(value.tag())?.source.as_ref()?;
        let index: usize = source.custom()?.parse().ok()?;
        find(&self.layers.get(index)?.root, path).cloned()
    }

    /// Where a table was opened first, which figment does not keep.
    fn opened(&self, path: &[String]) -> Origin {
        let tables = self
            .layers
            .iter()
            .filter_map(|layer| find(&layer.root, path));
        let mut tables = tables.filter(|value| matches!(value.raw, Value::Table(_)));
        tables
            .next()
            .map_or(Origin::Builder, |table| table.origin.clone())
    }
}

fn find<'t>(table: &'t Table, path: &[String]) -> Option<&'t ConfigValue> {
    let (key, rest) = path.split_first()?;
    let value = table.get(key)?;
    match (&value.raw, rest) {
        (_, []) => Some(value),
        (Value::Table(inner), rest) => find(inner, rest),
        _ => None,
    }
}
