//! `biped init`.

use std::{fs::File, io, io::Write, path::Path};

use biped::Error;

use crate::{
    Outcome, output,
    session::{FILE_NAME, Session},
};

const STARTER: &str = include_str!("init/biped.toml");

pub(crate) fn run(session: &Session) -> Outcome {
    let path = session.named_file().unwrap_or(Path::new(FILE_NAME));
    let shown = path.display();
    let written = File::create_new(path).and_then(|mut file| file.write_all(STARTER.as_bytes()));
    match written {
        Ok(()) => {
            output::note(&format!(
                "{shown} is written: fill in your vendors, then try them with biped check"
            ));
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Err(Error::configuration(format!("{shown} is there already, and is left alone")).into())
        }
        Err(error) => {
            Err(Error::configuration(format!("{shown} can't be written: {error}")).into())
        }
    }
}
