//! A configuration that changes while the sidecar runs.

use std::{path::Path, sync::mpsc, time::Duration};

use biped::{Biped, Error};
use biped_serve::{Running, Server, section};
use biped_testing::TimeLimit;

use crate::{
    stage::{Answer, Caller, address, provider},
    vendor::Vendor,
};

fn read(path: &Path) -> Result<Biped, Error> {
    Biped::builder()
        .section(section())
        .without_environment()
        .file(path)
        .build()
}

async fn start(path: &Path) -> (Running, mpsc::Receiver<Result<(), String>>) {
    let (tell, told) = mpsc::channel();
    let again = path.to_owned();
    let server = Server::new(read(path).unwrap()).reloading(
        Some(path.to_owned()),
        move || read(&again),
        |serve| serve,
        move |outcome| {
            let _ = tell.send(outcome.map_err(ToString::to_string));
        },
    );
    (server.start().await.unwrap(), told)
}

async fn ask(running: &Running, path: &str) -> Answer {
    let stream = tokio::net::TcpStream::connect(address(&running.addresses()[0]))
        .await
        .unwrap();
    Caller::new(stream).ask(&format!("GET {path}"), "").await
}

fn other(vendor: &Vendor, name: &str) -> String {
    provider(vendor)
        .replace("shop", name)
        .replace("'me'", &format!("'{name}'"))
}

const SERVE: &str = "[serve]\nlisten = ['127.0.0.1:0']\n";

#[tokio::test]
async fn unchanged_providers_keep_their_tokens_and_new_ones_are_served() {
    let _limit = TimeLimit::start();
    let vendor = Vendor::start().await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("biped.toml");
    std::fs::write(&file, format!("{SERVE}{}", provider(&vendor))).unwrap();
    let (running, _told) = start(&file).await;
    running.warmed().await;
    assert_eq!(ask(&running, "/shop/x").await.status, 200);
    assert_eq!(ask(&running, "/other/x").await.status, 404);
    assert_eq!(vendor.fetches(), 1);
    let both = format!("{SERVE}{}{}", provider(&vendor), other(&vendor, "other"));
    std::fs::write(&file, both).unwrap();
    running.reload().await.unwrap();
    assert_eq!(ask(&running, "/other/x").await.status, 200);
    assert_eq!(ask(&running, "/shop/x").await.status, 200);
    // The new provider's only.
    assert_eq!(vendor.fetches(), 2);
    std::fs::write(&file, format!("{SERVE}{}", other(&vendor, "other"))).unwrap();
    running.reload().await.unwrap();
    assert_eq!(ask(&running, "/shop/x").await.status, 404);
    assert_eq!(ask(&running, "/other/x").await.status, 200);
    assert_eq!(vendor.fetches(), 2);
}

#[tokio::test]
async fn a_broken_file_changes_nothing() {
    let _limit = TimeLimit::start();
    let vendor = Vendor::start().await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("biped.toml");
    std::fs::write(&file, format!("{SERVE}{}", provider(&vendor))).unwrap();
    let (running, _told) = start(&file).await;
    std::fs::write(&file, "[serve]\nnope = 1\n").unwrap();
    assert!(running.reload().await.is_err());
    std::fs::write(&file, "[serve]\nonly = ['nope']\n").unwrap();
    assert!(running.reload().await.is_err());
    assert_eq!(ask(&running, "/shop/x").await.status, 200);
}

#[cfg(unix)]
#[tokio::test]
async fn a_changed_file_is_noticed_also_behind_a_link_that_is_swapped() {
    use std::os::unix::fs::symlink;

    let _limit = TimeLimit::start();
    let vendor = Vendor::start().await;
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    for (version, text) in [
        ("..1", provider(&vendor)),
        (
            "..2",
            format!("{}{}", provider(&vendor), other(&vendor, "other")),
        ),
    ] {
        std::fs::create_dir(at(version)).unwrap();
        std::fs::write(at(version).join("biped.toml"), format!("{SERVE}{text}")).unwrap();
    }
    symlink("..1", at("..data")).unwrap();
    symlink("..data/biped.toml", at("biped.toml")).unwrap();
    let (running, told) = start(&at("biped.toml")).await;
    running.warmed().await;
    symlink("..2", at("..next")).unwrap();
    std::fs::rename(at("..next"), at("..data")).unwrap();
    let told = tokio::task::spawn_blocking(move || told.recv_timeout(Duration::from_secs(20)));
    assert_eq!(told.await.unwrap().unwrap(), Ok(()));
    assert_eq!(ask(&running, "/other/x").await.status, 200);
}

#[tokio::test]
async fn files_follow_the_configuration() {
    let _limit = TimeLimit::start();
    let vendor = Vendor::start().await;
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let with = |name: &str| {
        format!(
            "{SERVE}{}[[serve.files]]\nprovider = 'shop'\npath = '{}'\nremove = true\n",
            provider(&vendor),
            at(name).display()
        )
    };
    std::fs::write(at("biped.toml"), with("one")).unwrap();
    let (running, _told) = start(&at("biped.toml")).await;
    running.warmed().await;
    assert!(at("one").exists());
    std::fs::write(at("biped.toml"), with("two")).unwrap();
    running.reload().await.unwrap();
    while !at("two").exists() || at("one").exists() {
        tokio::task::yield_now().await;
    }
    assert_eq!(vendor.fetches(), 1);
}
