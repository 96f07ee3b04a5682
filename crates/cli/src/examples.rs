//! The examples at the end of each command's help, and of its page in the manual.

use clap::Command;

/// What an example does, and its command line.
pub(crate) type Example = (&'static str, &'static str);

/// The examples of biped itself.
pub(crate) const OF_BIPED: [Example; 2] = [
    ("Try every provider, and see what is wrong:", "biped check"),
    (
        "Call an API with a fresh token:",
        "biped call shop GET /v1/orders",
    ),
];

/// The examples of each command, by its path.
const OF_COMMANDS: [(&str, [Example; 2]); 27] = [
    (
        "init",
        [
            ("Write ./biped.toml, to be filled in:", "biped init"),
            ("Write it elsewhere:", "biped --config team.toml init"),
        ],
    ),
    (
        "token",
        [
            (
                "Print a token, with when it expires:",
                "biped token shop --format json",
            ),
            (
                "Fetch a new one, for other scopes than the configured ones:",
                "biped token exports --fresh --scope data-export",
            ),
        ],
    ),
    (
        "call",
        [
            (
                "Show status and headers as well:",
                "biped call shop GET /v1/orders -i",
            ),
            (
                "Send a file, with a header:",
                "biped call shop POST /v1/orders -d @order.json -H 'Idempotency-Key: 1'",
            ),
        ],
    ),
    (
        "exec",
        [
            (
                "Run a program that reads SHOP_ACCESS_TOKEN:",
                "biped exec shop -- ./report",
            ),
            (
                "Use the variables of two providers in a shell:",
                "biped exec shop exports -- sh -c 'echo \"$SHOP_BASE_URL $EXPORTS_EXPIRES_AT\"'",
            ),
        ],
    ),
    (
        "list",
        [
            (
                "Show the providers, and how long their tokens live:",
                "biped list",
            ),
            ("Show the tokens of one tenant:", "biped list --tenant acme"),
        ],
    ),
    (
        "inspect",
        [
            ("Show scopes and projects:", "biped inspect exports"),
            ("The same as JSON:", "biped inspect exports --format json"),
        ],
    ),
    (
        "check",
        [
            ("Try every provider:", "biped check"),
            (
                "Try two of them, and show each request:",
                "biped check shop exports -v",
            ),
        ],
    ),
    (
        "config",
        [
            ("Show each value and its origin:", "biped config show"),
            (
                "Write the JSON Schema for an editor:",
                "biped config schema > biped.schema.json",
            ),
        ],
    ),
    (
        "config schema",
        [
            ("Print it:", "biped config schema"),
            (
                "Write it for an editor:",
                "biped config schema > biped.schema.json",
            ),
        ],
    ),
    (
        "config show",
        [
            ("Show each value and its origin:", "biped config show"),
            (
                "See what a file says before it is trusted:",
                "biped config show --config biped.toml",
            ),
        ],
    ),
    (
        "vendors",
        [
            ("Search by words:", "biped vendors microsoft identity"),
            (
                "Add a vendor to the configuration:",
                "biped vendors show paypal >> biped.toml",
            ),
        ],
    ),
    (
        "vendors show",
        [
            ("See what a vendor needs:", "biped vendors show paypal"),
            (
                "Add it to the configuration:",
                "biped vendors show paypal >> biped.toml",
            ),
        ],
    ),
    (
        "vendors check",
        [
            ("Check a vendor file:", "biped vendors check mine.toml"),
            (
                "The same as JSON:",
                "biped vendors check mine.toml --format json",
            ),
        ],
    ),
    (
        "vendors test",
        [
            (
                "Try a vendor of the catalogue with credentials of your own:",
                "SPOTIFY_CLIENT_ID=… SPOTIFY_CLIENT_SECRET=… biped vendors test spotify",
            ),
            ("Try a file of your own:", "biped vendors test ./mine.toml"),
        ],
    ),
    (
        "identity",
        [
            (
                "Show how a provider proves who it is:",
                "biped identity shop",
            ),
            ("The same as JSON:", "biped identity shop --format json"),
        ],
    ),
    (
        "serve",
        [
            (
                "Serve every provider at http://127.0.0.1:7417/NAME:",
                "biped serve",
            ),
            (
                "Serve on a socket, and hand out tokens there:",
                "biped serve --listen unix:/run/biped.sock --tokens",
            ),
        ],
    ),
    (
        "ready",
        [
            ("Ask the sidecar of this machine:", "biped ready"),
            (
                "Ask another one, and wait for it:",
                "biped ready --url http://127.0.0.1:8080 --wait 1",
            ),
        ],
    ),
    (
        "vendors learn",
        [
            (
                "Write a vendor's file from the examples of its documentation:",
                "biped vendors learn acme --curl token.sh --response ok.json > acme.toml",
            ),
            (
                "With a refusal as well:",
                "biped vendors learn acme --curl token.sh --response ok.json --error no.json > acme.toml",
            ),
        ],
    ),
    (
        "new",
        [
            ("Write the crate of a provider:", "biped new provider acme"),
            ("Write the crate of a store:", "biped new store ledger"),
        ],
    ),
    (
        "new provider",
        [
            (
                "Write a crate whose kind is acme:",
                "biped new provider biped-acme",
            ),
            (
                "Build it with a checkout of Biped:",
                "biped new provider my-vendor --biped-path biped",
            ),
        ],
    ),
    (
        "new store",
        [
            (
                "Write a crate whose kind is ledger:",
                "biped new store biped-ledger",
            ),
            (
                "Build it with a checkout of Biped:",
                "biped new store my-store --biped-path biped",
            ),
        ],
    ),
    (
        "sandbox",
        [
            (
                "Write a configuration for it as well:",
                "biped sandbox --port 7600 --write sandbox.toml",
            ),
            (
                "Try clients without a secret, with an entry for each platform:",
                "biped sandbox --platform --write sandbox.toml",
            ),
        ],
    ),
    (
        "seed",
        [
            ("Type the first refresh token:", "biped seed crm"),
            (
                "Store another, and don't try it:",
                "biped seed crm --replace --no-check",
            ),
        ],
    ),
    (
        "forget",
        [
            ("Forget a token that has leaked:", "biped forget shop"),
            (
                "Forget the token of one tenant:",
                "biped forget crm --tenant acme",
            ),
        ],
    ),
    (
        "trust",
        [
            ("Trust ./biped.toml:", "biped trust"),
            ("List what is trusted:", "biped trust --list"),
        ],
    ),
    (
        "completions",
        [
            (
                "Complete in this shell:",
                "eval \"$(biped completions bash)\"",
            ),
            (
                "Install them for fish:",
                "biped completions fish > biped.fish",
            ),
        ],
    ),
    (
        "man",
        [
            ("Write the page of biped:", "biped man > biped.1"),
            (
                "Write the page of a command:",
                "biped man call > biped-call.1",
            ),
        ],
    ),
];

/// Returns the examples of a command, by its path, such as `config show`.
pub(crate) fn of(path: &str) -> &'static [Example] {
    let found = OF_COMMANDS.iter().find(|(known, _)| *known == path);
    found.map_or(&[], |(_, examples)| examples)
}

/// Returns examples as the help shows them.
pub(crate) fn text(examples: &[Example]) -> String {
    let lines = examples
        .iter()
        .map(|(what, line)| format!("\n  {what}\n      {line}"));
    format!("Examples:{}", lines.collect::<String>())
}

/// Adds the examples to the commands below this one.
pub(crate) fn add(command: Command) -> Command {
    below(command, "")
}

fn below(mut command: Command, path: &str) -> Command {
    let shown = command.get_subcommands().filter(|one| !one.is_hide_set());
    let names = shown.map(|one| one.get_name().to_owned());
    for name in names.collect::<Vec<_>>() {
        let path = format!("{path} {name}");
        command = command.mut_subcommand(name, |one| {
            let examples = of(path.trim());
            below(one.after_help(text(examples)), &path)
        });
    }
    command
}

#[cfg(test)]
mod tests;
