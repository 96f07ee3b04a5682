//! Every public type of the workspace, and whether it can hold a secret. A type that is new in the
//! exports fails a test here until it stands in this list; one that stands here as holding secrets
//! fails another until [`planted_secrets`](crate::planted_secrets) plants one in it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use syn::{Item, UseTree, Visibility};

use crate::architecture::{members, root};

/// Whether a type can hold a secret.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Held {
    /// It can, and `planted_secrets` plants one in it.
    Planted,
    /// It can't, or it may be shown: the reason.
    Never(&'static str),
}
use Held::{Never, Planted};

const TRAIT: Held = Never("a trait; its implementors are types of their own");
const WORD: Held = Never("a choice among words of ours");
const NUMBERS: Held = Never("numbers and points in time");
const SETTINGS: Held = Never("names and numbers of the configuration");
const NAMES: Held = Never("what a token is for, or whose it is: names, which are shown");
const COUNTS: Held = Never("what a sandbox is told to do, and what it counted");
const CALLERS: Held =
    Never("what an API and its caller say to each other, shown without its content");
const DOCUMENT: Held = Never("a vendor's description as it is published");

/// By the crate's folder: the types that its root exports, and those of its public modules.
pub(crate) const TYPES: &[(&str, &[(&str, Held)])] = &[
    ("crates/bench", &[]),
    (
        "crates/biped",
        &[
            ("Biped", Planted),
            ("Builder", Planted),
            ("ConfiguredProvider", Planted),
            ("blocking::ApiClient", Planted),
            ("blocking::Biped", Planted),
            ("blocking::Reader", CALLERS),
            ("blocking::RequestBuilder", Planted),
            ("blocking::Response", CALLERS),
            ("config::ConfigFile", Planted),
            ("config::OwnerCheck", WORD),
            ("config::Reach", Planted),
            ("config::Setting", Planted),
        ],
    ),
    ("tests/book", &[]),
    ("tests/fuzz", &[]),
    ("crates/cli", &[]),
    (
        "crates/clients/reqwest",
        &[
            ("ApiClient", Planted),
            ("ApiClients", Planted),
            ("HttpSettings", Planted),
            ("ProxySetting", Planted),
            ("TokenClient", Planted),
            ("TokenMiddleware", Planted),
        ],
    ),
    (
        "crates/clients/tower",
        &[
            ("Body", CALLERS),
            ("ResponseBody", CALLERS),
            ("ResponseFuture", CALLERS),
            ("TokenLayer", Planted),
            (
                "TokenService",
                Never("the layer's source, and the caller's own service"),
            ),
            ("TransportResponse", CALLERS),
        ],
    ),
    (
        "crates/config",
        &[
            ("ConfigTable", Planted),
            ("ConfigValue", Planted),
            ("Field", SETTINGS),
            ("FieldType", SETTINGS),
            ("Members", SETTINGS),
            ("LateHttp", NAMES),
            ("Origin", SETTINGS),
            ("Problem", Planted),
            ("ProviderConfig", Planted),
            ("ProviderKind", SETTINGS),
            ("SecretScheme", SETTINGS),
            ("SecretSchemes", SETTINGS),
            ("Section", SETTINGS),
            ("StoreConfig", Planted),
            ("StoreKind", SETTINGS),
            ("TenantPattern", SETTINGS),
            ("Value", Planted),
        ],
    ),
    (
        "crates/core",
        &[
            ("Account", Planted),
            ("AccountKey", Never("a hash of names")),
            ("ApiRequest", Planted),
            ("ApiRequestParts", TRAIT),
            ("ApiResponse", Planted),
            ("AttachContext", Planted),
            ("Choice", NAMES),
            (
                "Claim",
                Never("a failure's words, which are an error's, in core's own format"),
            ),
            ("ClientIdentity", Planted),
            ("DurableEntry", Planted),
            ("DurableLock", TRAIT),
            ("DurableStore", TRAIT),
            ("ExposeSecret", TRAIT),
            ("FetchContext", Planted),
            ("Generation", NUMBERS),
            ("RequestObserver", TRAIT),
            ("IdentityRef", Planted),
            ("Input", NAMES),
            (
                "Inspection",
                Never("what a vendor says of credentials, to be shown to people"),
            ),
            ("Lease", NUMBERS),
            (
                "LeaseFailure",
                Never("a failure's words, which are an error's, in core's own format"),
            ),
            ("LeaseId", NUMBERS),
            ("ParamValue", NAMES),
            ("FetchLimit", NUMBERS),
            ("Probe", DOCUMENT),
            (
                "Proof",
                Never("what a client says about itself, to be shown to people"),
            ),
            ("Provider", TRAIT),
            ("ProviderId", Planted),
            (
                "RejectionRule",
                Never("what a vendor's documentation says of its responses"),
            ),
            ("Revision", NUMBERS),
            ("SecretString", Planted),
            ("SetParam", TRAIT),
            ("StoreKey", Never("hashes under a key of the store")),
            ("StoredToken", Planted),
            (
                "Tenant",
                Never("a provider, what is asked of it, and a URL of the configuration"),
            ),
            ("Tenants", TRAIT),
            ("Token", Planted),
            ("TokenBuilder", Planted),
            (
                "TokenKey",
                Never("a hash of names, and of secrets under a key of the store"),
            ),
            ("TokenRequest", NAMES),
            ("TokenStore", TRAIT),
            ("VariableNames", SETTINGS),
            ("Verdict", WORD),
        ],
    ),
    (
        "crates/error",
        &[
            ("Clock", TRAIT),
            ("Error", Planted),
            ("ErrorKind", WORD),
            ("Now", NUMBERS),
            ("StoreError", Never("the store's own words")),
            ("SystemClock", NUMBERS),
            ("Timestamp", NUMBERS),
            (
                "VendorError",
                Never("the vendor's words; secrets that it repeats are redacted in an error"),
            ),
        ],
    ),
    (
        "crates/secret",
        &[
            ("IdentityKey", Planted),
            ("References", WORD),
            ("SecretRef", Planted),
            ("SecretSource", TRAIT),
            (
                "SecretUse",
                Never("where a secret is, and marks under a key of the process"),
            ),
            (
                "SourceContext",
                Never("a clock and a client; what it reads, it hands to its caller"),
            ),
            (
                "KeyedHash",
                Never("a hash under a key of the store or the process"),
            ),
            (
                "Mark",
                Never("a hash under a key of the store or the process"),
            ),
            ("Member", Planted),
        ],
    ),
    (
        "crates/wire",
        &[
            (
                "BaseUrls",
                Never("hosts, and a URL without what may hide a secret"),
            ),
            ("HttpClient", TRAIT),
            ("Lifetime", NUMBERS),
            ("NoLifetime", WORD),
            ("PlainHttp", NAMES),
        ],
    ),
    (
        "crates/engine",
        &[
            ("CachedToken", Planted),
            ("CallError", Planted),
            ("Credential", NUMBERS),
            ("CredentialState", WORD),
            ("Rejection", WORD),
            ("Settings", NUMBERS),
            ("Status", Planted),
            ("TokenManager", Planted),
            ("TokenManagerBuilder", Planted),
            ("TokenRef", Planted),
            ("TokenSource", Planted),
            ("TokenState", WORD),
            ("Transport", TRAIT),
        ],
    ),
    ("crates/io", &[]),
    (
        "crates/learn",
        &[
            ("Learned", DOCUMENT),
            (
                "Material",
                Never("a vendor's documentation, shown without its content"),
            ),
            (
                "Refusal",
                Never("names of fields and options, never values"),
            ),
            ("Written", WORD),
        ],
    ),
    (
        "crates/providers/contentsquare",
        &[
            ("Contentsquare", Planted),
            ("ContentsquareRequest", TRAIT),
            ("Scope", WORD),
        ],
    ),
    (
        "crates/providers/dialect",
        &[
            ("About", DOCUMENT),
            ("Backing", WORD),
            ("Catalogue", DOCUMENT),
            ("Dialect", DOCUMENT),
            ("Assumption", DOCUMENT),
            ("Difference", DOCUMENT),
            ("Example", DOCUMENT),
            ("Limits", DOCUMENT),
            ("LoadError", DOCUMENT),
            ("Param", DOCUMENT),
            ("Report", DOCUMENT),
            ("Scopes", DOCUMENT),
            ("Source", DOCUMENT),
            ("Suggested", WORD),
            ("Vendor", Planted),
            ("VendorBuilder", Planted),
            ("VendorFile", DOCUMENT),
            ("Verify", DOCUMENT),
        ],
    ),
    ("crates/providers/envelope", &[("Envelope", Planted)]),
    (
        "crates/providers/oauth2",
        &[
            ("ApiDescription", DOCUMENT),
            ("BasicEncoding", WORD),
            ("CertificateHeader", WORD),
            ("ClientAuthentication", Planted),
            ("OAuth2", Planted),
        ],
    ),
    ("crates/providers/platform", &[("Platform", Planted)]),
    (
        "crates/redact",
        &[
            ("Escaped", Never("a text that its caller shows")),
            ("Redactor", Planted),
        ],
    ),
    (
        "crates/sandbox",
        &[
            ("ApiCalls", COUNTS),
            ("ClientStats", COUNTS),
            ("Counts", COUNTS),
            ("Credentials", Planted),
            ("Effect", COUNTS),
            (
                "Environment",
                Never("what a platform sets for a process, printed for a shell"),
            ),
            ("Fault", COUNTS),
            ("KeyFilter", COUNTS),
            ("KeyStats", COUNTS),
            (
                "Platforms",
                Never("a sandbox that generates its secrets; it shows its address"),
            ),
            ("PlatformsBuilder", COUNTS),
            ("RetryAfter", COUNTS),
            (
                "RotatingAccount",
                Never("a sandbox's account; it shows how often its token was replaced"),
            ),
            ("Sandbox", Planted),
            ("SandboxBuilder", COUNTS),
            ("Seen", COUNTS),
            ("Stats", COUNTS),
            ("TokenRequests", COUNTS),
            ("Vendor", WORD),
        ],
    ),
    (
        "crates/serve",
        &[
            ("Running", Planted),
            ("Serve", Planted),
            ("Server", Planted),
        ],
    ),
    (
        "crates/sources",
        &[
            ("Algorithm", WORD),
            (
                "AnyKey",
                Never(
                    "a key that was read; it shows the thumbprint of its public half, or who signs",
                ),
            ),
            ("Asking", NAMES),
            ("Claims", NAMES),
            ("ExternalToken", Planted),
            ("GivenToken", Planted),
            ("KeyRef", Planted),
            ("KeySource", Planted),
            ("PublicKey", Never("a public key")),
            ("Signer", TRAIT),
            (
                "SigningKey",
                Never("a key that was read; it shows the thumbprint of its public half"),
            ),
            ("Vault", Planted),
            ("VaultSettings", Planted),
            ("Wanted", NAMES),
        ],
    ),
    ("crates/stores/file", &[("FileStore", Planted)]),
    ("crates/stores/memory", &[("MemoryStore", Planted)]),
    ("crates/stores/postgres", &[("PostgresStore", Planted)]),
    (
        "crates/stores/redis",
        &[("RedisStore", Planted), ("Sentinel", Planted)],
    ),
    (
        "crates/stores/sealed",
        &[("SealKey", Planted), ("SealedStore", Planted)],
    ),
    (
        "crates/testing",
        &[
            ("ManualClock", NUMBERS),
            ("Recorded", Never("what a test sent, for the test to read")),
            ("Reply", Never("what a test answers, for the test to read")),
            ("ScriptedHttp", Planted),
            ("TestProvider", Planted),
            ("TimeLimit", NUMBERS),
        ],
    ),
];

/// Names of types, as they are written: `TokenSource`, but neither `DEFAULT_LIFETIME` nor `call`.
fn is_type(word: &str) -> bool {
    word.starts_with(|first: char| first.is_ascii_uppercase())
        && word.contains(|letter: char| letter.is_ascii_lowercase())
}

/// The types that the root of a crate exports from its own modules, or from others by name.
fn exported(source: &str) -> BTreeSet<String> {
    let code: String = source
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect();
    let mut names = BTreeSet::new();
    for export in code.split("pub use ").skip(1) {
        let export = export.split(';').next().unwrap();
        if export.starts_with("biped_") {
            continue; // in the list of the crate that it is from
        }
        let words = export.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        // `Inner as Outer` exports both names here, which does no harm.
        names.extend(words.filter(|word| is_type(word)).map(str::to_owned));
    }
    names
}

#[test]
fn every_public_type_is_known_to_the_test_of_planted_secrets() {
    let known: BTreeMap<_, _> = TYPES.iter().copied().collect();
    let mut problems = Vec::new();
    for (folder, _) in members() {
        let source = root().join(&folder).join("src/lib.rs");
        let Ok(source) = fs::read_to_string(&source) else {
            continue;
        };
        let Some(types) = known.get(&*folder) else {
            problems.push(format!("{folder} is not in the list"));
            continue;
        };
        let exported = exported(&source);
        let listed: BTreeSet<_> = types.iter().map(|(name, _)| *name).collect();
        for name in &exported {
            if !listed.contains(&**name) {
                problems.push(format!("{folder}: {name} is new: can it hold a secret?"));
            }
        }
        for name in listed.iter().filter(|name| !name.contains("::")) {
            if !exported.contains(*name) {
                problems.push(format!("{folder}: {name} is exported no more"));
            }
        }
    }
    assert!(problems.is_empty(), "{problems:#?}");
}

#[test]
fn the_reader_of_exports_sees_what_is_exported() {
    let source = "
        mod a;
        // pub use a::Commented;
        pub use self::{a::{Alpha, BETA, gamma}, b::Delta as Epsilon};
        pub use c::*;
        use d::Private;
    ";
    let seen: Vec<_> = exported(source).into_iter().collect();
    assert_eq!(seen, ["Alpha", "Delta", "Epsilon"]);
}

/// What an application sees first. Everything else is in a module for those who need it.
#[test]
fn the_root_of_the_facade_holds_what_applications_need_and_no_more() {
    const NAMES: [&str; 24] = [
        "ApiClient",
        "Biped",
        "Builder",
        "CachedToken",
        "ConfiguredProvider",
        "Error",
        "ErrorKind",
        "ExposeSecret",
        "Inspection",
        "ParamValue",
        "Rejection",
        "SecretString",
        "SetParam",
        "Settings",
        "Status",
        "Timestamp",
        "Token",
        "TokenManager",
        "TokenRef",
        "TokenRequest",
        "TokenSource",
        "TokenState",
        "VendorError",
        "token_error",
    ];
    const MODULES: [&str; 16] = [
        "blocking",
        "client",
        "config",
        "contentsquare",
        "dialect",
        "envelope",
        "file",
        "oauth2",
        "platform",
        "postgres",
        "provider",
        "redis",
        "reqwest",
        "sealed",
        "store",
        "tower",
    ];
    let source = fs::read_to_string(root().join("crates/biped/src/lib.rs")).unwrap();
    let (mut names, mut modules) = (BTreeSet::new(), BTreeSet::new());
    for item in syn::parse_file(&source).unwrap().items {
        match item {
            Item::Use(it) if matches!(it.vis, Visibility::Public(_)) => {
                leaves(&it.tree, &mut names);
            }
            Item::Mod(it) if matches!(it.vis, Visibility::Public(_)) => {
                modules.insert(it.ident.to_string());
            }
            _ => {}
        }
    }
    let is_crate = |name: &String| MODULES.contains(&&**name);
    modules.extend(names.extract_if(.., is_crate));
    assert!(names.iter().eq(NAMES.iter()), "{names:#?}");
    assert!(modules.iter().eq(MODULES.iter()), "{modules:#?}");
}

fn leaves(tree: &UseTree, names: &mut BTreeSet<String>) {
    match tree {
        UseTree::Path(path) => leaves(&path.tree, names),
        UseTree::Group(group) => group.items.iter().for_each(|tree| leaves(tree, names)),
        UseTree::Name(name) => drop(names.insert(name.ident.to_string())),
        UseTree::Rename(name) => drop(names.insert(name.rename.to_string())),
        UseTree::Glob(_) => panic!("the root names what it holds"),
    }
}

/// Types in public modules are found by nobody's reading, so the modules themselves are.
#[test]
fn public_modules_hold_the_types_that_are_listed_for_them() {
    const MODULES: &[(&str, &str, &[&str])] = &[
        (
            "crates/biped",
            "blocking",
            &["ApiClient", "Biped", "Reader", "RequestBuilder", "Response"],
        ),
        (
            "crates/biped",
            "config",
            &["ConfigFile", "OwnerCheck", "Reach", "Setting"],
        ),
        ("crates/biped", "client", &[]),
        ("crates/biped", "provider", &[]),
        ("crates/biped", "store", &[]),
        ("crates/wire", "wire", &["Pointer", "ResponsePath"]),
        ("crates/cli", "fuzzing", &[]),
        ("crates/serve", "fuzzing", &[]),
        ("crates/serve", "problem", &[]),
        ("crates/sources", "fuzzing", &[]),
    ];
    for (folder, _) in members() {
        if folder == "crates/testing" {
            continue; // what a test sees in there is for the test to see
        }
        let Ok(source) = fs::read_to_string(root().join(&folder).join("src/lib.rs")) else {
            continue;
        };
        let modules = source
            .lines()
            .filter_map(|line| line.strip_prefix("pub mod "));
        // An empty one is a page of documentation.
        for line in modules.filter(|line| !line.ends_with("{}")) {
            let module = line.trim_end_matches([';', ' ', '{']);
            let known = MODULES
                .iter()
                .find(|(f, m, _)| *f == folder && *m == module);
            let (.., types) =
                known.unwrap_or_else(|| panic!("{folder}: {module} is a new public module"));
            let folder = root().join(&folder).join("src");
            let inside = folder.join(format!("{module}.rs"));
            let inside = fs::read_to_string(inside)
                .or_else(|_| fs::read_to_string(folder.join(module).join("mod.rs")));
            let inside = inside.unwrap();
            let mut found = exported(&inside);
            for kind in ["pub struct ", "pub enum ", "pub trait "] {
                let declared = inside.lines().filter_map(|line| line.strip_prefix(kind));
                found.extend(declared.map(|line| {
                    let end = line.find(|c: char| !c.is_ascii_alphanumeric());
                    line[..end.unwrap_or(line.len())].to_owned()
                }));
            }
            let found: Vec<_> = found.iter().map(String::as_str).collect();
            assert_eq!(&found, types, "{module}");
        }
    }
}
