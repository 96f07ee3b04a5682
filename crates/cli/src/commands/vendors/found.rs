//! A vendor of the catalogue by its name.

use std::sync::Arc;

use biped::{
    Error,
    dialect::{Catalogue, Dialect, VendorFile},
};

/// Returns the vendor of this name.
pub(super) fn of_catalogue(name: &str) -> Result<(&'static VendorFile, Arc<Dialect>), Error> {
    let catalogue = Catalogue::built_in();
    let found = catalogue.get(name);
    let found = found.and_then(|entry| Some((entry, entry.dialect()?)));
    found.ok_or_else(|| {
        let what = format!("the catalogue does not contain a vendor named {name}");
        Error::configuration(what).with_remedy(suggestion(name))
    })
}

/// What to do about a name that is not in the catalogue.
pub(in crate::commands) fn suggestion(name: &str) -> String {
    let catalogue = Catalogue::built_in();
    match catalogue.suggestion(name) {
        None => "list all with `biped vendors`".into(),
        Some(meant) if catalogue.candidates(name).len() == 1 => meant,
        Some(meant) => format!("{meant} Search with `biped vendors {name}`"),
    }
}
