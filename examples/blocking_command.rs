//! A command without an async runtime.
//!
//! ```sh
//! cargo run --example blocking_command
//! ```

#![allow(clippy::print_stdout, clippy::disallowed_methods)] // an example prints, and waits

mod local_vendors;

use std::{error::Error, process::ExitCode, thread};

use biped::blocking::{ApiClient, Biped};
use biped_sandbox::Sandbox;
use local_vendors::{LocalVendors, PAUSE};

fn orders(shop: &ApiClient) -> Result<String, Box<dyn Error>> {
    let response = shop
        .get("/v1/orders")
        .query(&[("limit", "10")])
        .send()?
        .error_for_status()?;
    Ok(response.text()?)
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    // The local vendors need a runtime; the command itself does not.
    let runtime = tokio::runtime::Runtime::new()?;
    let mut vendors = runtime.block_on(LocalVendors::start(Sandbox::builder()))?;

    // Biped::from_file("biped.toml")? in an application.
    let biped = Biped::new(biped::Biped::builder().toml(vendors.config()).build()?)?;
    let shop = biped.client("shop")?;

    let mut latest = None;
    while vendors.has_time_left() {
        vendors.revoke_half_way();
        latest = vendors.note(orders(&shop));
        thread::sleep(PAUSE);
    }
    println!("{}", latest.unwrap_or_default());
    let token = biped.token("shop")?;
    println!(
        "a {} token, requested at {}",
        token.token_type(),
        token.requested_at().unix_seconds()
    );
    Ok(vendors.end())
}
