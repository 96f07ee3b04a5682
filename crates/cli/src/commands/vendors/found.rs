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
        let remedy = match catalogue.nearest(name) {
            Some(meant) => format!("did you mean {meant}?"),
            None => "list all with `biped vendors`".into(),
        };
        let what = format!("the catalogue does not contain a vendor named {name}");
        Error::configuration(what).with_remedy(remedy)
    })
}
