//! [`Section`]: a table beside `[providers]`.

use std::{any::Any, fmt, sync::Arc};

use biped_core::Error;

use crate::{field::Field, problem::Problem, table::ConfigTable};

/// A table beside `[providers]`, such as `[http]`: its name, the keys that it takes, and the type that
/// it is read into.
///
/// Built-in sections are declared in the same way as an application's own.
///
/// ```
/// use biped_config::{ConfigTable, Field, FieldType, Section};
///
/// struct Serve { port: u16 }
///
/// let section = Section::new("serve", |table: &ConfigTable| {
///     Ok(Serve { port: table.count("port").unwrap_or(7600) })
/// })
/// .field(Field::new("port", FieldType::Integer).about("The port. Default: 7600."));
/// ```
#[derive(Clone)]
pub struct Section {
    name: Box<str>,
    about: Box<str>,
    fields: Vec<Field>,
    read: Arc<Read>,
}

type Read = dyn Fn(&ConfigTable) -> Result<Arc<dyn Any + Send + Sync>, Error> + Send + Sync;

impl Section {
    /// Creates a section of this name, read by `read`. The declared keys are checked before `read`
    /// runs. The problems that `read` notes are reported together with the others.
    pub fn new<T: Any + Send + Sync>(
        name: impl Into<Box<str>>,
        read: impl Fn(&ConfigTable) -> Result<T, Error> + Send + Sync + 'static,
    ) -> Self {
        let read = move |table: &ConfigTable| -> Result<Arc<dyn Any + Send + Sync>, Error> {
            Ok(Arc::new(read(table)?))
        };
        Self {
            name: name.into(),
            about: Box::default(),
            fields: Vec::new(),
            read: Arc::new(read),
        }
    }

    /// Sets a sentence that says what the section is for.
    #[must_use]
    pub fn about(mut self, about: impl Into<Box<str>>) -> Self {
        self.about = about.into();
        self
    }

    /// Declares a key.
    #[must_use]
    pub fn field(mut self, field: Field) -> Self {
        self.fields.push(field);
        self
    }

    /// Returns the name of the table.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns what the section is for.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.about
    }

    /// Returns the declared keys.
    pub fn fields(&self) -> impl Iterator<Item = &Field> {
        self.fields.iter()
    }

    /// Reads a table.
    ///
    /// # Errors
    /// Returns every problem of the table, not only the first.
    pub fn read(&self, table: &ConfigTable) -> Result<Arc<dyn Any + Send + Sync>, Vec<Problem>> {
        table.check(self.fields());
        table.require(self.fields());
        table.finish((self.read)(table))
    }
}

impl fmt::Debug for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Section")
            .field("name", &self.name)
            .field("fields", &self.fields)
            .finish_non_exhaustive()
    }
}
