//! The sources of a configuration, read and merged.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use biped_config::{ConfigTable, ConfigValue, Origin, Problem, Value};
use biped_core::{Error, References, VariableNames, wire};

use crate::{
    config::{self, ConfigFile, Environment, Layer, OwnerCheck, Table},
    registry::Registry,
};

/// The sources. Values override variables, which override files, which override defaults.
#[derive(Clone, Default)]
pub(super) struct Sources {
    pub(super) files: Vec<File>,
    pub(super) environment: Environment,
    pub(super) defaults: Vec<Given>,
    pub(super) values: Vec<Given>,
}

impl Sources {
    /// The paths of the files.
    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        let is_file = |file: &&File| !matches!(file, File::Text(_));
        self.files.iter().filter(is_file).map(File::path)
    }

    /// The files that are open.
    pub(super) fn opened(&self) -> Vec<ConfigFile> {
        self.files.iter().filter_map(File::opened).collect()
    }

    /// Warns of variables that set nothing and that no source refers to.
    pub(super) fn warn_of_unused(&self, registry: &Registry, referenced: &VariableNames) {
        let sections: Vec<_> = registry.section_names().collect();
        for text in self.environment.unused(&sections, referenced) {
            tracing::warn!(target: "biped::config", "{}", wire::Escaped(&text));
        }
    }

    /// Reads and merges the sources. Syntax errors are returned at once; other problems are noted.
    pub(super) fn read(
        &self,
        registry: &Registry,
        references: References,
        problems: &mut Vec<Problem>,
    ) -> Result<Read, Error> {
        let mut layers = vec![layer("defaults", &self.defaults)];
        let mut broken = false;
        for file in &self.files {
            match file.read()? {
                Ok(table) => {
                    problems.extend(table.take_problems());
                    layers.push(Layer {
                        name: file.path().display().to_string(),
                        root: table.into_values(),
                    });
                }
                Err(found) => {
                    broken = true;
                    problems.extend(found);
                }
            }
        }
        if broken {
            return Err(config::report(std::mem::take(problems)));
        }
        let values = layer("the builder", &self.values);
        let known = layers.iter().chain([&values]);
        let names: BTreeSet<_> = known
            .flat_map(|layer| config::provider_names(&layer.root))
            .cloned()
            .collect();
        let sections: Vec<_> = registry.section_names().collect();
        let mut referenced = VariableNames::default();
        for layer in layers.iter().chain([&values]) {
            let values = layer.root.values();
            values.for_each(|value| value.note_variables(&mut referenced));
        }
        layers.extend(self.environment.layers(&sections, &names, problems));
        layers.push(values);
        let mut root = config::merge(&layers)?;
        config::rule_all(&mut root, references, &registry.schemes());
        Ok(Read { root, referenced })
    }
}

/// What the sources say.
pub(super) struct Read {
    pub(super) root: Table,
    /// The variables that a source refers to, overridden or not.
    pub(super) referenced: VariableNames,
}

fn layer(name: &str, values: &[Given]) -> Layer {
    let mut root = Table::new();
    for given in values {
        config::insert(&mut root, given.key.split('.'), given.value.clone());
    }
    Layer {
        name: name.into(),
        root,
    }
}

/// A value that the application set, with the whole path of its key.
#[derive(Clone)]
pub(super) struct Given {
    pub(super) key: String,
    value: ConfigValue,
}

impl Given {
    pub(super) fn new(origin: Origin, key: impl Into<String>, value: impl Into<Value>) -> Self {
        let raw = value.into();
        Self {
            key: key.into(),
            value: ConfigValue { raw, origin },
        }
    }
}

#[derive(Clone)]
pub(super) enum File {
    At(PathBuf),
    Opened(ConfigFile),
    Text(String),
}

/// The name of [`Builder::toml`](crate::Builder::toml)'s text in errors.
const TEXT_NAME: &str = "the configuration text";

impl File {
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::At(path) => path,
            Self::Opened(file) => file.path(),
            Self::Text(_) => Path::new(TEXT_NAME),
        }
    }

    fn opened(&self) -> Option<ConfigFile> {
        match self {
            Self::Opened(file) => Some(file.clone()),
            _ => None,
        }
    }

    fn read(&self) -> Result<Result<ConfigTable, Vec<Problem>>, Error> {
        let path = self.path();
        Ok(match self {
            Self::Text(text) => ConfigTable::from_toml(path, text),
            Self::Opened(file) => ConfigTable::from_toml(path, file.text()),
            Self::At(_) => {
                let file = ConfigFile::open(path, OwnerCheck::Off)?;
                ConfigTable::from_toml(path, file.text())
            }
        })
    }
}
