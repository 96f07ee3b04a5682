//! `biped trust`.

use std::path::Path;

use crate::{
    args,
    failure::Outcome,
    output,
    session::{FILE_NAME, Session},
    trust::{Trusted, place_of, shown},
};

pub(crate) fn run(session: &Session, args: &args::Trust) -> Outcome {
    let trusted = Trusted::of_user()?;
    if args.list {
        let places = trusted.places()?;
        let lines = places.iter().map(|place| shown(Path::new(place)) + "\n");
        return output::data(lines.collect::<String>().as_bytes());
    }
    if args.revoke {
        let path = session.named_file().unwrap_or(Path::new(FILE_NAME));
        let place = place_of(path)?;
        let told = match trusted.revoke(&place)? {
            true => "is no longer trusted",
            false => "was not trusted",
        };
        return told_of(session, &place, told);
    }
    let Some(found) = session.found()? else {
        return Err(session.nothing_configured().into());
    };
    let place = place_of(found.file.path())?;
    let reach = session.builder()?.reach(&found.file)?;
    trusted.record(&place, &reach)?;
    let lines = reach.lines().map(|line| format!("{line}\n"));
    output::data(lines.collect::<String>().as_bytes())?;
    told_of(
        session,
        &place,
        "is trusted until one of these lines, a value that may be part of a host, or the file's \
         location changes",
    )
}

fn told_of(session: &Session, place: &Path, told: &str) -> Outcome {
    if !session.is_json() {
        output::note(&format!("{} {told}", shown(place)));
    }
    Ok(())
}
