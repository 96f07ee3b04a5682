//! A nightly export over all projects of an account.
//!
//! The vendor lists the projects; each has its own token and its own cloud.
//!
//! ```sh
//! cargo run --example nightly_export
//! ```

#![allow(clippy::print_stdout, clippy::disallowed_methods)] // an example prints, and waits

mod local_vendors;

use std::{error::Error, process::ExitCode};

use biped::{ApiClient, Biped};
use biped_sandbox::Sandbox;
use local_vendors::{LocalVendors, PAUSE};
use serde_json::Value;
use tokio::task::JoinSet;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Lists the exports of one project and downloads a file; returns the number of bytes.
async fn export(project: ApiClient) -> Outcome<u64> {
    let list = project.get("/v1/exports").send().await?;
    let list: Value = list.error_for_status()?.json().await?;
    let jobs = list["payload"].as_array().map_or(0, Vec::len);
    let mut length = 0;
    for _ in 0..jobs {
        let file = project.get("/v1/download?bytes=100000").send().await?;
        let mut file = file.error_for_status()?;
        while let Some(piece) = file.chunk().await? {
            length += piece.len() as u64;
        }
    }
    Ok(length)
}

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut vendors = LocalVendors::start(Sandbox::builder().projects(12)).await?;

    // Biped::from_file("biped.toml")? in an application.
    let biped = Biped::builder().toml(vendors.config()).build()?;
    let account = biped.client("exports")?.max_concurrent_requests(10);
    let inspection = account.token_source().inspect().await?;
    let projects = inspection.ok_or("the vendor names no projects")?.choices;
    println!("{} projects", projects.len());

    let mut length = 0;
    // Each round stands for one night.
    while vendors.has_time_left() {
        vendors.revoke_half_way();
        let mut exports = JoinSet::new();
        for project in &projects {
            exports.spawn(export(account.param("project_id", project.value.clone())));
        }
        while let Some(done) = exports.join_next().await {
            length += vendors.note(done?).unwrap_or(0);
        }
        tokio::time::sleep(PAUSE).await;
    }
    println!("{length} bytes");
    if projects.len() != 12 {
        return Err("expected twelve projects".into());
    }
    Ok(vendors.end())
}
