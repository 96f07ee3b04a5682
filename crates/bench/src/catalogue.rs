//! What the catalogue costs a command: a process that finds it as it is compiled in, and reads it once.

use std::{hint::black_box, process::Command, time::Instant};

use biped::dialect::{Catalogue, VendorFile};
use toml::de::DeTable;

use crate::report::{Figure, Goal, nanos_each};

/// What is said to a process that does one of these once, and prints how long it took.
pub(crate) const ONCE: &str = "catalogue-once";

/// The contract's limit.
const MOST: f64 = 2_000.0;

const ROUNDS: usize = 21;

/// Finds one vendor, and compiles its file.
const ONE: &str = "one";
/// Parses the TOML of that file.
const ONE_PARSED: &str = "one-parsed";
/// Searches all vendors, by the index alone: no file is parsed.
const ALL: &str = "all";

/// Carries out one of them in this process, which has done nothing else.
pub(crate) fn once(what: &str, vendor: &str) {
    let start = Instant::now();
    let catalogue = Catalogue::built_in();
    match what {
        ONE => {
            black_box(catalogue.dialect(vendor).expect("a vendor"));
        }
        ALL => {
            black_box(catalogue.search(vendor).count());
        }
        _ => {
            let text = catalogue.get(vendor).expect("a vendor").text();
            black_box(DeTable::parse(text).expect("TOML"));
        }
    }
    println!("{}", nanos_each(start, 1));
}

/// Microseconds of a new process.
fn measured(what: &str, vendor: &str) -> f64 {
    let program = std::env::current_exe().expect("this program can be found");
    let output = Command::new(program).args([ONCE, what, vendor]).output();
    let told = output.expect("this program can be started").stdout;
    let nanos: f64 = String::from_utf8_lossy(&told)
        .trim()
        .parse()
        .expect("a number");
    nanos / 1_000.0
}

/// The vendors of the rounds, from the whole catalogue.
fn vendors() -> impl Iterator<Item = &'static str> {
    let all: Vec<_> = Catalogue::built_in()
        .entries()
        .map(VendorFile::name)
        .collect();
    (0..ROUNDS).map(move |round| all[round * all.len() / ROUNDS])
}

/// Beside parsing the TOML of the same file, and beside the contract's limit.
pub(crate) fn one_vendor() -> Vec<Figure> {
    let pairs: Vec<_> = vendors()
        .map(|vendor| (measured(ONE, vendor), measured(ONE_PARSED, vendor)))
        .collect();
    let values: Vec<f64> = pairs.iter().map(|(value, _)| *value).collect();
    let what = "a vendor of the catalogue, in a new process";
    vec![
        Figure::beside("C1", what, "µs", Goal::None, &pairs),
        Figure::alone("C1", "  alone", "µs", Goal::Most(MOST), &values),
    ]
}

/// Beside the contract's limit only. A search reads an index, so parsing files is not its limit.
pub(crate) fn all_vendors() -> Vec<Figure> {
    let values: Vec<f64> = vendors().map(|vendor| measured(ALL, vendor)).collect();
    let what = "the catalogue searched, in a new process";
    vec![Figure::alone("C2", what, "µs", Goal::Most(MOST), &values)]
}
