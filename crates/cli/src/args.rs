//! The command line: commands, options and their help.

mod call;
mod errors;
pub(crate) mod new;
pub(crate) mod serve;

use std::{ffi::OsString, path::PathBuf, time::Duration};

use biped::Builder;
use clap::{
    CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum, ValueHint,
    builder::{PossibleValue, PossibleValuesParser},
};
use clap_complete::Shell;

pub(crate) use self::{
    call::Call,
    errors::{Errors, Format},
};
use crate::{
    examples,
    selection::{Selection, Tenant},
};

/// Fetches OAuth access tokens and calls APIs with them, for the vendors in biped.toml.
#[derive(Debug, Parser)]
#[command(
    name = "biped",
    version,
    max_term_width = 100,
    arg_required_else_help = true
)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What follows the options in biped's own help.
pub(crate) const EXIT_STATUS: &str = "\
Exit status:
  0  success
  1  a bug in biped, or stdout can't be written
  2  a usage or configuration error, or a secret that can't be read
  3  the vendor refused the request
  4  the vendor is unreachable or unavailable, its response is invalid, or the token store fails
  5  the API returned an error to `call`, or a redirect that is not followed
  126, 127  the program that `exec` runs can't be run, or does not exist

Data goes to stdout, everything else to stderr. With --format json an error is one JSON object.";

/// The options that every command takes.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "For every command")]
pub(crate) struct Global {
    /// The configuration file [default: the file that BIPED_CONFIG names, else ./biped.toml, which
    /// must be trusted (see biped help trust), else biped/biped.toml in the platform's configuration
    /// directory]
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) config: Option<PathBuf>,

    /// Where tokens are kept between runs; overrides [store] [default: file]
    #[arg(long, global = true, value_name = "KIND")]
    pub(crate) store: Option<String>,

    /// Logs each request to stderr: method, URL, status and time; repeat for more detail
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,

    /// When to use colour
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    color: clap::ColorChoice,

    /// How long the command may take, in seconds; 0 means no limit
    #[arg(long, global = true, value_name = "SECONDS", default_value = "15", value_parser = serve::seconds)]
    pub(crate) timeout: Duration,
}

/// Returns the command line, with the available kinds of store.
pub(crate) fn line(builder: &Builder) -> clap::Command {
    let memory = PossibleValue::new("memory").help("Tokens are not kept");
    let others = builder.store_kinds().map(|kind| {
        let value = PossibleValue::new(kind.name().to_owned());
        value.help(kind.description().to_owned())
    });
    let kinds = PossibleValuesParser::new([memory].into_iter().chain(others));
    let line = Args::command().mut_arg("store", |store| store.value_parser(kinds));
    let examples = examples::text(&examples::OF_BIPED);
    examples::add(line).after_help(format!("{EXIT_STATUS}\n\n{examples}"))
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
    Init(Init),
    /// Prints a token
    ///
    /// curl reads it from stdin, so that it is in no command line:
    /// biped token shop --format curl | curl -K - https://api.vendor.example/v1/orders
    ///
    /// kubectl runs it as a credential plugin. In the kubeconfig, set the exec section of a user to
    /// apiVersion: client.authentication.k8s.io/v1, command: biped, args: [token, NAME, --format,
    /// exec-credential], interactiveMode: Never.
    Token(Token),
    Call(Call),
    Exec(Exec),
    /// Lists the configured providers and their stored tokens, without asking a vendor
    ///
    /// It runs no command, and reads only the secrets that open the store. If this is not enough, or
    /// if biped.toml is not trusted (see biped help trust), STATE is unknown.
    List(List),
    Inspect(Inspect),
    Check(Check),
    Identity(Identity),
    /// Shows the configuration, or its JSON Schema
    Config {
        #[command(subcommand)]
        command: Config,
    },
    Vendors(Vendors),
    /// Writes the crate of a provider or a store of your own
    New {
        #[command(subcommand)]
        what: new::New,
    },
    Sandbox(Sandbox),
    Serve(serve::Serve),
    Ready(serve::Ready),
    /// Reserved for a view of a running sidecar in the terminal
    #[command(hide = true)]
    Watch {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<OsString>,
    },
    Seed(Seed),
    Forget(Forget),
    Trust(Trust),
    Completions(Completions),
    /// Prints the manual page
    Man {
        /// The command whose page to print [default: biped itself]
        command: Option<String>,
    },
}

/// Writes a commented starter biped.toml
///
/// With --api, it asks the API and the authorization server that the API names (RFC 9728, RFC 8414) what
/// a client needs, and prints a provider to paste into biped.toml. No credential is sent. Paste it only
/// if you trust the printed issuer: it receives the credentials.
#[derive(Debug, clap::Args)]
pub(crate) struct Init {
    /// Prints a provider for the API at this URL, and writes no file
    #[arg(long, value_name = "URL")]
    pub(crate) api: Option<String>,
    /// The name of a vendor, which this command does not take: it is there for a better message
    #[arg(hide = true)]
    pub(crate) vendor: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Token {
    /// The provider's name in biped.toml
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// The output format
    #[arg(long, default_value = "plain")]
    pub(crate) format: TokenFormat,
    /// Fetches a new token from the vendor, even if one is stored
    #[arg(long)]
    pub(crate) fresh: bool,
    /// Writes the output to this file instead of stdout: whole, and readable for its owner only
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub(crate) write: Option<PathBuf>,
    /// Keeps the file up to date until SIGINT or SIGTERM; --timeout does not apply
    #[arg(long, requires = "write")]
    pub(crate) follow: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TokenFormat {
    /// The token only
    Plain,
    /// A JSON object: access_token, token_type, expires_at, expires_in, scope, base_url, provider
    Json,
    /// A header line: Authorization: Bearer …
    Header,
    /// A shell assignment: NAME_ACCESS_TOKEN=…
    Env,
    /// The header as a configuration of curl, which reads it with -K -
    Curl,
    /// An ExecCredential for kubectl, which runs biped as a credential plugin
    ExecCredential,
}

/// Runs a command with tokens in its environment
///
/// For each provider NAME it sets NAME_ACCESS_TOKEN and NAME_TOKEN_TYPE (as in the Authorization
/// header: Bearer) and, if their values are known, NAME_BASE_URL, NAME_EXPIRES_AT (RFC 3339) and
/// NAME_SCOPE. Variables use the name in upper case, with _ for characters that a variable can't
/// contain. The exit status is that of the command; 127 if its program does not exist, 126 if the
/// program can't be run.
///
/// With --serve the command gets no token. It gets the address of a sidecar that runs as long as the
/// command: NAME_BASE_URL, and in NAME_ACCESS_TOKEN a token for that sidecar, which does not expire. A
/// program that calls NAME_BASE_URL with NAME_ACCESS_TOKEN works with and without --serve; with it, for
/// as long as it runs. --scope, --param and --tenant can't be used with --serve: the sidecar uses what is
/// configured.
#[derive(Debug, clap::Args)]
pub(crate) struct Exec {
    /// The providers' names in biped.toml
    #[arg(required = true, value_name = "NAME")]
    pub(crate) names: Vec<String>,
    #[command(flatten)]
    pub(crate) serving: serve::Serving,
    /// The command and its arguments
    #[arg(last = true, required = true, value_hint = ValueHint::CommandWithArguments)]
    pub(crate) command: Vec<OsString>,
    #[command(flatten)]
    pub(crate) selection: Selection,
    #[command(flatten)]
    pub(crate) errors: Errors,
}

/// The format of what people may want to publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PageFormat {
    /// For people
    Text,
    /// For programs
    Json,
    /// For documents
    Markdown,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Report {
    /// The output format
    #[arg(long, default_value = "text")]
    pub(crate) format: Format,
}

#[derive(Debug, clap::Args)]
pub(crate) struct List {
    #[command(flatten)]
    pub(crate) tenant: Tenant,
    #[command(flatten)]
    pub(crate) report: Report,
}

/// Lists the vendors in the catalogue, or those that match all the given words
///
/// To use one, set kind = "dialect" and vendor = "NAME".
#[derive(Debug, clap::Args)]
#[command(subcommand_precedence_over_arg = true)]
pub(crate) struct Vendors {
    /// Words to search for in names, titles, aliases, tags and hosts
    pub(crate) search: Vec<String>,
    /// The output format
    #[arg(long, default_value = "text", global = true)]
    pub(crate) format: PageFormat,
    #[command(subcommand)]
    pub(crate) command: Option<OneVendor>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum OneVendor {
    /// Shows what a vendor needs, and a table for biped.toml
    Show {
        /// The vendor's name
        name: String,
    },
    /// Loads a vendor file of your own, runs its examples and shows its problems, without sending a
    /// request
    Check {
        /// The file
        #[arg(value_hint = ValueHint::FilePath)]
        file: PathBuf,
    },
    Learn(Learn),
    /// Fetches a token from a vendor with credentials from environment variables, and says what to
    /// change in the vendor's file
    ///
    /// The variables are NAME_CLIENT_ID, NAME_CLIENT_SECRET, and one for each other parameter of the
    /// file, with the vendor's name in upper case. NAME_SCOPE and NAME_API_BASE_URL are optional. If
    /// the file has `verify`, the API is called once with the token. No biped.toml is read, and the
    /// token is not kept.
    Test {
        /// A vendor of the catalogue, or the path of a vendor file: ./mine.toml
        vendor: String,
    },
}

/// Turns the curl example of a vendor's documentation into a vendor file
///
/// Prints the file, or a table of kind "oauth2" for biped.toml if the vendor follows RFC 6749. The
/// assumptions are listed on stderr. No sample value of the documentation becomes part of the file,
/// and no request is sent. A file can be - for stdin. Without options, on a terminal, the command asks
/// for each text; end a pasted text with an empty line.
#[derive(Debug, clap::Args)]
pub(crate) struct Learn {
    /// The vendor's name, such as acme
    pub(crate) name: String,
    /// The curl command of the token request
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) curl: Option<PathBuf>,
    /// The response to it, as JSON or text, or as curl -i shows it
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) response: Option<PathBuf>,
    /// The response to a request with wrong credentials, in the same forms
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) error: Option<PathBuf>,
    /// The curl command of an API call
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) api: Option<PathBuf>,
    /// The address of the documentation
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub(crate) docs: Option<String>,
}

/// Prints what the vendor says about the credentials: scopes, projects, expiry
///
/// If the vendor does not describe credentials, a message on stderr says so (with --format json: null
/// values on stdout), and the exit status is 0.
#[derive(Debug, clap::Args)]
pub(crate) struct Inspect {
    /// The provider's name in biped.toml
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) tenant: Tenant,
    #[command(flatten)]
    pub(crate) report: Report,
}

/// Tries each provider and explains what is wrong
///
/// Each vendor is asked for a new token. The exit status is that of the worst error.
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

/// Shows how a provider proves who it is: the method, where the proof is from, and what it says
///
/// The source of an assertion is asked for one, which is not shown. Nothing is sent to the vendor.
#[derive(Debug, clap::Args)]
pub(crate) struct Identity {
    /// The provider's name in biped.toml
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) selection: Selection,
    #[command(flatten)]
    pub(crate) report: Report,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Prints the JSON Schema of biped.toml, for editors
    Schema,
    /// Prints the merged configuration and the origin of each value; secrets are redacted
    Show(Report),
}

/// Runs the vendors' servers on loopback, until Ctrl-C
///
/// Prints the servers' addresses to stdout when they accept connections.
#[derive(Debug, clap::Args)]
pub(crate) struct Sandbox {
    /// The first of three consecutive ports; 0 chooses free ports
    #[arg(long, value_name = "N", default_value = "0")]
    pub(crate) port: u16,
    /// How long tokens live, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "3600")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) lifetime: u64,
    /// Adds the identity services of GitHub, Kubernetes, Google, Azure and SPIFFE, an authorization
    /// server that trusts them, and an API, all on a fourth port
    #[arg(long)]
    pub(crate) platform: bool,
    /// Writes a biped.toml for the sandbox; replaces only a file that this command has written
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) write: Option<PathBuf>,
}

/// Stores the first refresh token of a provider whose vendor issues a new one at each use
///
/// The refresh token is read as one line of stdin; a terminal does not show it. Biped stores it, then
/// uses it once to check that the vendor accepts it. From then on Biped stores each new refresh token that
/// the vendor issues. A refresh token that was stored before is refused.
#[derive(Debug, clap::Args)]
pub(crate) struct Seed {
    /// The provider's name in biped.toml
    pub(crate) name: String,
    /// Only stores it, and sends nothing
    #[arg(long)]
    pub(crate) no_check: bool,
    /// Replaces a refresh token that is still good
    #[arg(long)]
    pub(crate) replace: bool,
    #[command(flatten)]
    pub(crate) errors: Errors,
}

/// Removes a provider's stored token, for example after a leak
///
/// This is the token of the configured scope and parameters; --scope and --param select another. A running
/// process that has it in memory uses it until it renews it, or until the API rejects it.
#[derive(Debug, clap::Args)]
pub(crate) struct Forget {
    /// The provider's name in biped.toml
    pub(crate) name: String,
    /// Removes the refresh token as well, if the vendor replaces it at each use: no token can be fetched
    /// until biped seed stores another one
    #[arg(long, conflicts_with_all = ["scopes", "params"])]
    pub(crate) credential: bool,
    #[command(flatten)]
    pub(crate) selection: Selection,
    #[command(flatten)]
    pub(crate) errors: Errors,
}

/// Trusts ./biped.toml: its references, and the hosts of secrets and tokens
///
/// A biped.toml in the working directory may come from another person, for example with a
/// repository. Until you trust it, `list` and `config show` show what it contains, but Biped runs no
/// command in it, reads no variable or file that it names, and sends no token. Other commands ask on
/// a terminal, and otherwise end with status 2.
///
/// Trust covers the file's location, everything that this command prints, and every other value that
/// may be part of a host. It ends when one of these changes. Scopes, dates, durations, [engine]
/// settings, and a client_secret that is written in the file itself may change. A file that --config
/// or BIPED_CONFIG names needs no trust, and neither does the file in the platform's configuration
/// directory.
///
/// Even if it is trusted, ./biped.toml is refused if it belongs to a user other than you or root, or
/// if others can write it, or a group other than yours or root's. With --config this is a warning.
/// The same rules apply to the vendor files that it names.
#[derive(Debug, clap::Args)]
pub(crate) struct Trust {
    /// Lists the trusted files
    #[arg(long, conflicts_with = "revoke")]
    pub(crate) list: bool,
    /// Stops trusting ./biped.toml, or the file that --config names
    #[arg(long)]
    pub(crate) revoke: bool,
    #[command(flatten)]
    pub(crate) errors: Errors,
}

/// Prints completions for a shell
///
/// In bash, zsh and fish they include the names of the configured providers. To find the names the
/// completions run biped, which reads the configuration but resolves none of its references.
#[derive(Debug, clap::Args)]
pub(crate) struct Completions {
    /// The shell
    pub(crate) shell: Shell,
    /// The words of a line up to the cursor, as the completions ask for names.
    #[arg(last = true, hide = true)]
    pub(crate) words: Vec<OsString>,
}

impl Command {
    /// Whether errors go to callers of the process, and not to its user.
    pub(crate) fn serves(&self) -> bool {
        matches!(self, Self::Serve(_))
    }

    /// Whether the process takes calls, which never wait for a log.
    pub(crate) fn takes_calls(&self) -> bool {
        match self {
            Self::Exec(exec) => exec.serving.serve,
            other => other.serves(),
        }
    }

    /// Whether `--timeout` limits the whole command, and not only how long it waits for a token.
    pub(crate) fn is_limited(&self) -> bool {
        match self {
            Self::Token(token) => !token.follow,
            other => !other.takes_calls(),
        }
    }

    /// Whether options select the scopes of the token.
    pub(crate) fn selects_scopes(&self) -> bool {
        match self {
            Self::Token(token) => token.selection.has_scopes(),
            Self::Call(call) => call.selection.has_scopes(),
            Self::Exec(exec) => exec.selection.has_scopes(),
            Self::Check(check) => check.selection.has_scopes(),
            _ => false,
        }
    }

    /// Whether errors are printed as JSON.
    pub(crate) fn wants_json(&self) -> bool {
        let format = match self {
            Self::Token(token) => return token.format == TokenFormat::Json,
            Self::Call(call) => call.errors.format,
            Self::Exec(exec) => exec.errors.format,
            Self::Seed(seed) => seed.errors.format,
            Self::Forget(forget) => forget.errors.format,
            Self::Trust(trust) => trust.errors.format,
            Self::List(list) => list.report.format,
            Self::Inspect(inspect) => inspect.report.format,
            Self::Check(check) => check.report.format,
            Self::Identity(identity) => identity.report.format,
            Self::Vendors(vendors) => return vendors.format == PageFormat::Json,
            Self::Config {
                command: Config::Show(report),
            } => report.format,
            _ => Format::Text,
        };
        format == Format::Json
    }
}

/// Returns the value of an option in a command line that may be invalid: the output of the error
/// depends on it.
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
