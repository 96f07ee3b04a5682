//! [`Rereading`]: a configuration file that is read again. [`Doubt`]: why a file may not be used.

use std::path::{Path, PathBuf};

use biped::{
    Biped, Builder, Error,
    config::{ConfigFile, OwnerCheck, Reach},
};

use crate::trust::{self, Standing, Trusted, place_of};

/// A configuration file that is read again.
#[derive(Clone, Debug)]
pub(crate) struct Rereading {
    pub(super) builder: Builder,
    pub(crate) path: PathBuf,
    /// Whether it was found in the working directory, without being named.
    pub(super) is_chance: bool,
}

impl Rereading {
    /// Builds the providers by what the file says now. Nobody is asked whether to trust it.
    pub(crate) fn read(&self) -> Result<Biped, Error> {
        let check = match self.is_chance {
            true => OwnerCheck::Refuse,
            false => OwnerCheck::Warn,
        };
        let file = ConfigFile::open(self.path.clone(), check)?;
        let builder = self.builder.clone().opened_file(file.clone());
        if self.is_chance {
            let reach = builder.reach(&file)?;
            let place = place_of(&self.path)?;
            let standing = Trusted::of_user()?.standing(&place, &reach);
            if standing != Standing::Trusted {
                return Err(Doubt {
                    place,
                    standing,
                    reach,
                }
                .error());
            }
        }
        built(builder, || nothing_in(&self.path))
    }
}

/// Builds the providers of a configuration: the same at the start and when it is read again. `nothing` is the
/// error for one without providers.
pub(super) fn built(builder: Builder, nothing: impl FnOnce() -> Error) -> Result<Biped, Error> {
    let biped = builder.build()?;
    if biped.names().len() == 0 {
        return Err(nothing());
    }
    Ok(biped)
}

/// The error for a file without providers.
pub(super) fn nothing_in(file: &Path) -> Error {
    let place = file.display();
    Error::configuration(format!("{place} does not configure a provider"))
        .with_remedy("add a table [providers.NAME]")
}

/// Why a file may not be used: its contents are not trusted.
pub(super) struct Doubt {
    pub(super) place: PathBuf,
    pub(super) standing: Standing,
    pub(super) reach: Reach,
}

impl Doubt {
    pub(super) fn error(&self) -> Error {
        let place = trust::shown(&self.place);
        let what = match self.standing {
            Standing::Changed => "has changed since it was trusted",
            _ => "is not trusted",
        };
        Error::configuration(format!("{place} {what}, so Biped does not use it")).with_remedy(
            "review it with biped config show, then run biped trust; or name it with \
             --config biped.toml",
        )
    }
}
