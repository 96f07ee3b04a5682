//! What can be written on the command line.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use biped::Builder;
use clap::{
    CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum, ValueHint,
    builder::{PossibleValue, PossibleValuesParser},
};
use clap_complete::Shell;

use crate::selection::Selection;

/// Two-legged OAuth from a shell: tokens and API calls, for the vendors in biped.toml.
#[derive(Debug, Parser)]
#[command(
    name = "biped",
    version,
    max_term_width = 100,
    arg_required_else_help = true
)]
#[command(after_help = EXIT_STATUS)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_STATUS: &str = "\
Exit status:
  0  done
  1  a bug, or stdout can't be written
  2  usage or configuration
  3  the vendor answered, and said no
  4  the vendor is unreachable or failing
  5  the API answered `call` with an error

Data is on stdout, everything else on stderr. With --format json an error is one JSON object.";

/// The options that every command takes.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "For every command")]
pub(crate) struct Global {
    /// The configuration file [default: what BIPED_CONFIG names, else ./biped.toml, which must be
    /// trusted (biped help trust), else biped/biped.toml in the platform's configuration directory]
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) config: Option<PathBuf>,

    /// Where tokens are kept beyond the process, whatever [store] says [default: file]
    #[arg(long, global = true, value_name = "KIND")]
    pub(crate) store: Option<String>,

    /// Tells on stderr what Biped does; twice for more
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,

    /// When to use colour
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    color: clap::ColorChoice,

    /// How long the command may take, in seconds; 0: as long as it likes
    #[arg(long, global = true, value_name = "SECONDS", default_value = "15", value_parser = seconds)]
    pub(crate) timeout: Duration,
}

fn seconds(text: &str) -> Result<Duration, &'static str> {
    let seconds = text.parse().ok();
    seconds
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or("a number of seconds is expected")
}

/// The command line, with the kinds of store that there are.
pub(crate) fn line(builder: &Builder) -> clap::Command {
    let memory = PossibleValue::new("memory").help("Nowhere");
    let others = builder.store_kinds().map(|kind| {
        let value = PossibleValue::new(kind.name().to_owned());
        value.help(kind.description().to_owned())
    });
    let kinds = PossibleValuesParser::new([memory].into_iter().chain(others));
    Args::command().mut_arg("store", |store| store.value_parser(kinds))
}

impl Args {
    /// Reads the command line.
    pub(crate) fn read(builder: &Builder, given: &[OsString]) -> Result<Self, clap::Error> {
        let matches = line(builder).try_get_matches_from(given)?;
        Self::from_arg_matches(&matches).map_err(|error| error.format(&mut line(builder)))
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Writes a commented starter biped.toml
    Init,
    /// Prints a token
    Token(Token),
    Call(Call),
    Exec(Exec),
    /// Lists the configured providers; sends nothing
    ///
    /// It runs no command, and reads no secret but what it takes to open the store. Where that is
    /// not enough, as for a biped.toml that is not trusted (biped help trust), STATE is unknown.
    List(Report),
    Inspect(Inspect),
    Check(Check),
    /// Shows the configuration, or its JSON Schema
    Config {
        #[command(subcommand)]
        command: Config,
    },
    Vendors(Vendors),
    Sandbox(Sandbox),
    Forget(Forget),
    Trust(Trust),
    /// Prints completions for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Prints the manual page
    Man {
        /// The command whose page it is [default: biped itself]
        command: Option<String>,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct Token {
    /// The provider's name in biped.toml
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// How the token is printed
    #[arg(long, default_value = "plain")]
    pub(crate) format: TokenFormat,
    /// Asks the vendor, whatever token is stored
    #[arg(long)]
    pub(crate) fresh: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TokenFormat {
    /// The token alone
    Plain,
    /// One object: access_token, token_type, expires_at, expires_in, scope, base_url, provider
    Json,
    /// A header line: Authorization: Bearer …
    Header,
    /// An assignment for a shell: NAME_ACCESS_TOKEN=…
    Env,
}

/// Calls the vendor's API, and prints the body of its answer
///
/// A token that the API rejects is replaced once; nothing else is sent again. Redirects are
/// followed within the API's origin only.
#[derive(Debug, clap::Args)]
pub(crate) struct Call {
    /// The provider's name in biped.toml
    pub(crate) name: String,
    /// GET, POST, …
    pub(crate) method: String,
    /// A path, appended to the API's base URL; or a whole URL of the same origin
    #[arg(value_name = "PATH_OR_URL", value_hint = ValueHint::Url)]
    pub(crate) target: String,
    /// The body; @FILE reads it from a regular file, @- from stdin. JSON is labelled as such unless -H
    /// gives a Content-Type
    #[arg(short, long, value_name = "BODY|@FILE", allow_hyphen_values = true)]
    pub(crate) data: Option<OsString>,
    /// A header to send; may be given again
    #[arg(short = 'H', long = "header", value_name = "K: V")]
    pub(crate) headers: Vec<String>,
    /// Prints the status line and the headers first
    #[arg(short, long)]
    pub(crate) include: bool,
    #[command(flatten)]
    pub(crate) selection: Selection,
    #[command(flatten)]
    pub(crate) errors: Errors,
}

/// Runs a command with tokens in its environment
///
/// For a provider NAME it sets NAME_ACCESS_TOKEN, NAME_TOKEN_TYPE (as a header has it: Bearer), and
/// where they are known NAME_BASE_URL, NAME_EXPIRES_AT (RFC 3339) and NAME_SCOPE: the name in upper
/// case, with _ for what can't be in a variable. The exit status is the command's own.
#[derive(Debug, clap::Args)]
pub(crate) struct Exec {
    /// The providers' names in biped.toml
    #[arg(required = true, value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// The command and its arguments
    #[arg(last = true, required = true, value_hint = ValueHint::CommandWithArguments)]
    pub(crate) command: Vec<OsString>,
    #[command(flatten)]
    pub(crate) selection: Selection,
    #[command(flatten)]
    pub(crate) errors: Errors,
}

/// How errors are told, where there is nothing else to format.
#[derive(Debug, clap::Args)]
pub(crate) struct Errors {
    /// How errors are told
    #[arg(long, default_value = "text")]
    pub(crate) format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Text,
    /// For programs
    Json,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Report {
    /// How it is printed
    #[arg(long, default_value = "text")]
    pub(crate) format: Format,
}

/// Lists the vendors that are described already, or those with all the given words
///
/// Any of them is configured with kind = "dialect" and vendor = "NAME".
#[derive(Debug, clap::Args)]
#[command(subcommand_precedence_over_arg = true)]
pub(crate) struct Vendors {
    /// Words to look for in names, titles and tags
    pub(crate) search: Vec<String>,
    /// How it is printed
    #[arg(long, default_value = "text", global = true)]
    pub(crate) format: Format,
    #[command(subcommand)]
    pub(crate) command: Option<OneVendor>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum OneVendor {
    /// Shows what a vendor needs, and an entry for biped.toml
    Show {
        /// The vendor's name
        name: String,
    },
    /// Loads a vendor file of your own, runs its examples, and explains what is wrong; sends nothing
    Check {
        /// The file
        #[arg(value_hint = ValueHint::FilePath)]
        file: PathBuf,
    },
}

/// Prints what the vendor says of the credentials: scopes, projects, expiry
///
/// A vendor that doesn't say is no error: a sentence on stderr tells (with --format json: nulls on
/// stdout), and the exit status is 0.
#[derive(Debug, clap::Args)]
pub(crate) struct Inspect {
    /// The provider's name in biped.toml
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) report: Report,
}

/// Tries each provider, and explains what is wrong
///
/// A token is asked of each vendor. The exit status is the worst of all.
#[derive(Debug, clap::Args)]
pub(crate) struct Check {
    /// The providers' names in biped.toml [default: all]
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
    #[command(flatten)]
    pub(crate) selection: Selection,
    #[command(flatten)]
    pub(crate) report: Report,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Prints the JSON Schema of biped.toml, for editors
    Schema,
    /// Prints the merged configuration, secrets redacted, and where each value is from
    Show(Report),
}

/// Runs the vendors' servers on loopback, until Ctrl-C
///
/// Its addresses are on stdout, once it takes connections.
#[derive(Debug, clap::Args)]
pub(crate) struct Sandbox {
    /// The first of three ports in a row; 0: any that are free
    #[arg(long, value_name = "N", default_value = "0")]
    pub(crate) port: u16,
    /// How long its tokens live
    #[arg(long, value_name = "SECONDS", default_value = "3600")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) lifetime: u64,
    /// Saves a biped.toml whose entries work against it; replaces an earlier one of its own only
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) write: Option<PathBuf>,
}

/// Removes a provider's stored token, after a leak
///
/// It is the token for the scope and the parameters that are configured; --scope and --param name
/// another.
#[derive(Debug, clap::Args)]
pub(crate) struct Forget {
    /// The provider's name in biped.toml
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) selection: Selection,
    #[command(flatten)]
    pub(crate) errors: Errors,
}

/// Trusts ./biped.toml: its references, and the hosts that secrets and tokens are sent to
///
/// A biped.toml that is found in the working directory may be somebody else's: it came with a
/// repository, say. Until it is trusted, `list` and `config show` show what is in it, and nothing of
/// it is resolved: no command is run, no variable or file is read, no token is sent. On a terminal
/// other commands ask; without one they end with status 2.
///
/// Trust is of this place, of what is printed, and of every other value that may be part of a host.
/// It holds while nothing of that changes; other scopes, dates, durations or [engine] settings, and
/// another client_secret that stands in the file itself, are no change. What --config or BIPED_CONFIG names needs no trust, nor does the file in the
/// platform's configuration directory.
///
/// Trusted or not, a ./biped.toml is refused that belongs to another user than you or root, or that
/// others, or a group but your own or root's, may write. With --config this is a warning. Vendor
/// files that it names are judged as it is itself.
#[derive(Debug, clap::Args)]
pub(crate) struct Trust {
    /// Lists the files that are trusted
    #[arg(long, conflicts_with = "revoke")]
    pub(crate) list: bool,
    /// Trusts it no longer
    #[arg(long)]
    pub(crate) revoke: bool,
    #[command(flatten)]
    pub(crate) errors: Errors,
}

impl Command {
    /// Whether errors are to be told as JSON.
    pub(crate) fn wants_json(&self) -> bool {
        let format = match self {
            Self::Token(token) => return token.format == TokenFormat::Json,
            Self::Call(call) => call.errors.format,
            Self::Exec(exec) => exec.errors.format,
            Self::Forget(forget) => forget.errors.format,
            Self::Trust(trust) => trust.errors.format,
            Self::List(report) => report.format,
            Self::Inspect(inspect) => inspect.report.format,
            Self::Check(check) => check.report.format,
            Self::Vendors(vendors) => vendors.format,
            Self::Config {
                command: Config::Show(report),
            } => report.format,
            _ => Format::Text,
        };
        format == Format::Json
    }
}

/// The value of an option as it stands in a command line that may be wrong: what is told about the
/// mistake depends on it.
pub(crate) fn written<'l>(line: &'l [OsString], option: &str) -> Option<&'l str> {
    let mut words = line.iter().skip(1).map(|word| word.to_str());
    while let Some(word) = words.next() {
        let Some(word) = word else { continue };
        if word == "--" {
            return None;
        }
        if let Some(rest) = word.strip_prefix(option) {
            match rest.strip_prefix('=') {
                Some(value) => return Some(value),
                None if rest.is_empty() => return words.next().flatten(),
                None => {}
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        line(&biped::Biped::builder()).debug_assert();
    }

    #[test]
    fn the_store_is_one_of_the_kinds_that_are_registered() {
        let kind = biped::store::StoreKind::new("postgres", |_| {
            Err(biped::Error::internal("it is never made"))
        });
        let builder = biped::Biped::builder().store_kind(kind);
        let read = |line: &str| {
            let line: Vec<_> = line.split(' ').map(OsString::from).collect();
            Args::read(&builder, &line).map(|args| args.global.store)
        };
        for kind in ["memory", "file", "redis", "postgres"] {
            let store = read(&format!("biped --store {kind} list")).unwrap();
            assert_eq!(store.as_deref(), Some(kind));
            let store = read(&format!("biped list --store={kind}")).unwrap();
            assert_eq!(store.as_deref(), Some(kind));
        }
        let error = read("biped list --store postgre").unwrap_err();
        assert!(error.to_string().contains("postgres"), "{error}");
        assert_eq!(read("biped list").unwrap(), None);
    }

    #[test]
    fn an_option_is_found_in_a_line_that_is_wrong() {
        let written = |line: &str| {
            let line: Vec<_> = line.split(' ').map(OsString::from).collect();
            written(&line, "--format").map(str::to_owned)
        };
        assert_eq!(
            written("biped token --format json").as_deref(),
            Some("json")
        );
        assert_eq!(
            written("biped --nope --format=json").as_deref(),
            Some("json")
        );
        assert_eq!(written("biped exec a -- x --format json"), None);
        assert_eq!(written("biped token --formats json --format"), None);
    }
}
