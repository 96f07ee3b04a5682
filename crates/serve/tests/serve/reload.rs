//! A configuration that changes while the sidecar runs.

use std::{
    path::Path,
    sync::{
        atomic::{AtomicU8, Ordering},
        mpsc,
    },
    time::Duration,
};

use biped::{Biped, Error};
use biped_serve::{Running, Server, section};
use biped_testing::TimeLimit;

use crate::{
    stage::{Answer, Caller, address, provider, until},
    vendor::{Act, Vendor},
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
async fn a_caller_stays_known_while_its_token_cant_be_read() {
    let _limit = TimeLimit::start();
    let vendor = Vendor::start().await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("biped.toml");
    let token = directory.path().join("caller");
    std::fs::write(&token, "secret").unwrap();
    let callers = "[[serve.callers]]\nname = 'a'\ntoken = 'file:caller'\n";
    std::fs::write(&file, format!("{SERVE}{callers}{}", provider(&vendor))).unwrap();
    let (running, _told) = start(&file).await;
    let status = async || {
        let stream = tokio::net::TcpStream::connect(address(&running.addresses()[0]));
        let mut caller = Caller::new(stream.await.unwrap());
        let headers = "Biped-Caller: secret\r\n";
        caller.ask("GET /shop/x", headers).await.status
    };
    assert_eq!(status().await, 200);
    std::fs::remove_file(&token).unwrap();
    running.reload().await.unwrap();
    assert_eq!(status().await, 200);
    let none = format!(
        "{SERVE}{}{}",
        callers.replace("'a'", "'b'"),
        provider(&vendor)
    );
    std::fs::write(&file, none).unwrap();
    running.reload().await.unwrap();
    assert_eq!(status().await, 401);
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

#[tokio::test]
async fn a_reload_refuses_what_a_start_refuses() {
    let _limit = TimeLimit::start();
    let vendor = Vendor::start().await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("biped.toml");
    let good = format!("{SERVE}{}", provider(&vendor));
    std::fs::write(&file, &good).unwrap();
    let (running, _told) = start(&file).await;
    let addresses = running.addresses();
    let missing = "[serve.tls]\ncertificate = 'file:no.crt'\nkey = 'file:no.key'\n";
    for text in [
        "",
        "# nothing\n",
        "[serve]\n",
        &format!("{good}[serve.providers.nope]\n"),
        &format!("{good}{missing}"),
    ] {
        std::fs::write(&file, text).unwrap();
        let at_start = Server::new(read(&file).unwrap()).start().await.unwrap_err();
        let error = running.reload().await.unwrap_err();
        assert_eq!(error.to_string(), at_start.to_string());
        // Such as a certificate, which is not one.
        assert!(!error.to_string().contains("secret"), "{error}");
        assert_eq!(running.addresses(), addresses);
        assert_eq!(ask(&running, "/shop/x").await.status, 200);
    }
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
async fn a_file_that_is_back_as_it_was_ends_the_error_of_its_absence() {
    let _limit = TimeLimit::start();
    let vendor = Vendor::start().await;
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let file = at("biped.toml");
    std::fs::write(&file, format!("{SERVE}{}", provider(&vendor))).unwrap();
    let (running, told) = start(&file).await;
    running.warmed().await;
    std::fs::rename(&file, at("away")).unwrap();
    running.reload().await.unwrap_err();
    let error = async || ask(&running, "/-/status").await.json()["configuration"]["error"].clone();
    assert!(error().await.is_string());
    std::fs::rename(at("away"), &file).unwrap();
    let told = tokio::task::spawn_blocking(move || told.recv_timeout(Duration::from_secs(120)));
    assert_eq!(told.await.unwrap().unwrap(), Ok(()));
    assert!(error().await.is_null());
}

#[tokio::test]
async fn a_changed_file_of_a_vendor_is_noticed() {
    let _limit = TimeLimit::start();
    let vendor = Vendor::start().await;
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let file = format!("url = 'http://{}/token'\n", vendor.address);
    std::fs::write(at("acme.toml"), &file).unwrap();
    let text = "[providers.acme]\nkind = 'dialect'\nfile = 'acme.toml'\nclient_id = 'a'\n\
                client_secret = 'b'\n";
    std::fs::write(at("biped.toml"), format!("{SERVE}{text}")).unwrap();
    let (running, told) = start(&at("biped.toml")).await;
    running.warmed().await;
    for (line, is_right) in [("nonsense = 1", false), ("encoding = 'json'", true)] {
        std::fs::write(at("acme.toml"), format!("{file}{line}\n")).unwrap();
        until("the change is noticed", async || {
            let heard = told.try_recv();
            heard.is_ok_and(|outcome| outcome.is_ok() == is_right)
        })
        .await;
    }
    // The file goes together with its name.
    std::fs::remove_file(at("acme.toml")).unwrap();
    let text = format!("{SERVE}{}", provider(&vendor));
    std::fs::write(at("biped.toml"), text).unwrap();
    until("the change is noticed", async || told.try_recv().is_ok()).await;
    assert_eq!(ask(&running, "/shop/x").await.status, 200);
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
    until("the new file replaces the old", async || {
        at("two").exists() && !at("one").exists()
    })
    .await;
    let json = with("two").replace("remove", "format = 'json'\nremove");
    std::fs::write(at("biped.toml"), json).unwrap();
    running.reload().await.unwrap();
    until("the file has the new format", async || {
        std::fs::read_to_string(at("two")).is_ok_and(|text| text.starts_with('{'))
    })
    .await;
    assert_eq!(vendor.fetches(), 1);
}

#[tokio::test]
async fn a_reload_may_mend_what_readiness_waits_for() {
    let _limit = TimeLimit::start();
    let vendor = Vendor::start().await;
    vendor.tokens(
        |got| match String::from_utf8_lossy(&got.body).contains("wrong") {
            true => Act::Reply(crate::vendor::reply(
                "401 Unauthorized",
                "",
                "{\"error\": \"invalid_client\"}",
            )),
            false => crate::vendor::token("good", 3600),
        },
    );
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("biped.toml");
    let right = format!(
        "{SERVE}ready_requires = ['shop']\nwarm_timeout = '100ms'\n{}\
         client_authentication = 'client_secret_post'\n",
        provider(&vendor)
    );
    std::fs::write(&file, right.replace("'me'", "'wrong'")).unwrap();
    let (running, _told) = start(&file).await;
    until("the vendor refused", async || vendor.fetches() > 0).await;
    assert_eq!(ask(&running, "/-/ready").await.status, 503);
    std::fs::write(&file, right).unwrap();
    running.reload().await.unwrap();
    running.warmed().await;
    assert_eq!(ask(&running, "/-/ready").await.status, 200);
}

#[cfg(unix)]
#[tokio::test]
async fn a_socket_is_opened_to_others_only_by_a_configuration_that_is_taken() {
    use std::os::unix::fs::PermissionsExt as _;

    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("biped.sock");
    let mode = || std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777;
    let listen = |more: &str| format!("listen = ['unix:{}'{more}]", socket.display());
    let sidecar = Changing::new(&listen("")).await;
    assert_eq!(mode(), 0o600);
    let open = "socket_mode = '0666'\ncallers = [{ name = 'a', token = 'secret-a' }]";
    let at = format!(", '{}'", taken.local_addr().unwrap());
    let refused = format!("{}\n{open}", listen(&at));
    sidecar.to(&refused).await.unwrap_err();
    assert_eq!(mode(), 0o600);
    sidecar
        .to(&format!("{}\n{open}", listen("")))
        .await
        .unwrap();
    assert_eq!(mode(), 0o666);
}

/// A sidecar whose configuration is this text, between a fixed head and a vendor's provider.
struct Changing {
    vendor: Vendor,
    directory: tempfile::TempDir,
    running: Running,
    _limit: TimeLimit,
}

impl Changing {
    async fn new(serve: &str) -> Self {
        let limit = TimeLimit::start();
        let vendor = Vendor::start().await;
        let directory = tempfile::tempdir().unwrap();
        write(&directory, &vendor, serve);
        let (running, _told) = start(&directory.path().join("biped.toml")).await;
        running.warmed().await;
        Self {
            vendor,
            directory,
            running,
            _limit: limit,
        }
    }

    async fn to(&self, serve: &str) -> Result<(), Error> {
        write(&self.directory, &self.vendor, serve);
        self.running.reload().await
    }
}

fn write(directory: &tempfile::TempDir, vendor: &Vendor, serve: &str) {
    let text = format!("[serve]\n{serve}\n{}", provider(vendor));
    std::fs::write(directory.path().join("biped.toml"), text).unwrap();
}

/// An address that was free a moment ago. Linux has many loopback addresses: at one of its own, no
/// connection of another test takes the port meanwhile.
async fn free() -> String {
    static OWN: AtomicU8 = AtomicU8::new(2);
    let own = match cfg!(target_os = "linux") {
        true => OWN.fetch_add(1, Ordering::SeqCst),
        false => 1,
    };
    let at = std::net::SocketAddr::from(([127, 0, 0, own], 0));
    let listener = tokio::net::TcpListener::bind(at).await;
    listener.unwrap().local_addr().unwrap().to_string()
}

async fn get(at: &str) -> u16 {
    let stream = tokio::net::TcpStream::connect(at).await.unwrap();
    Caller::new(stream).ask("GET /shop/x", "").await.status
}

#[tokio::test]
async fn new_addresses_are_listened_at_and_old_ones_are_closed() {
    let (kept, gone, new) = (free().await, free().await, free().await);
    let sidecar = Changing::new(&format!("listen = ['{kept}', '{gone}']")).await;
    let mut connected = Vec::new();
    for at in [&kept, &gone] {
        let stream = tokio::net::TcpStream::connect(at).await.unwrap();
        let mut caller = Caller::new(stream);
        assert_eq!(caller.ask("GET /shop/x", "").await.status, 200);
        connected.push(caller);
    }
    let (new_unix, probe) = (sidecar.directory.path().join("s.sock"), free().await);
    let listen = format!(
        "listen = ['{kept}', '{new}', 'unix:{}']\nprobe_listen = ['{probe}']",
        new_unix.display()
    );
    sidecar.to(&listen).await.unwrap();
    let mut expected = vec![format!("http://{kept}"), format!("http://{new}")];
    if cfg!(unix) {
        expected.push(format!("unix:{}", new_unix.display()));
        assert!(new_unix.exists());
    }
    assert_eq!(sidecar.running.addresses(), expected);
    assert_eq!(
        sidecar.running.probe_addresses(),
        [format!("http://{probe}")]
    );
    assert_eq!((get(&kept).await, get(&new).await), (200, 200));
    // A connection to the kept address stays, one to the closed address ends.
    assert_eq!(connected[0].ask("GET /shop/x", "").await.status, 200);
    assert!(connected[1].head().await.is_none());
    until("the old address is closed", async || {
        tokio::net::TcpStream::connect(&gone).await.is_err()
    })
    .await;
    sidecar.to(&format!("listen = ['{kept}']")).await.unwrap();
    until("the socket is removed", async || !new_unix.exists()).await;
}

#[tokio::test]
async fn an_address_that_is_taken_changes_nothing() {
    let kept = free().await;
    let sidecar = Changing::new(&format!("listen = ['{kept}']")).await;
    let other = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let taken = other.local_addr().unwrap();
    let new = free().await;
    let change = format!("listen = ['{new}', '{taken}']\nonly = []");
    assert!(sidecar.to(&change).await.is_err());
    assert_eq!(sidecar.running.addresses(), [format!("http://{kept}")]);
    assert_eq!(get(&kept).await, 200);
    assert!(tokio::net::TcpStream::connect(&new).await.is_err());
}

#[tokio::test]
async fn a_listener_that_would_be_open_to_other_machines_is_not_kept_without_its_guards() {
    let directory = tempfile::tempdir().unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["sidecar.test".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let at = |name: &str| directory.path().join(name);
    std::fs::write(at("crt"), certificate.pem()).unwrap();
    std::fs::write(at("key"), key.serialize_pem()).unwrap();
    let tls = format!(
        "tls = {{ certificate = 'file:{}', key = 'file:{}' }}",
        at("crt").display(),
        at("key").display()
    );
    let callers = "callers = [{ name = 'a', token = 'secret-a' }]";
    let open = format!("listen = ['0.0.0.0:0']\n{callers}");
    let sidecar = Changing::new(&format!("{open}\n{tls}")).await;
    let error = sidecar.to(&open).await.unwrap_err();
    assert_eq!(error.kind(), biped::ErrorKind::Configuration);
    // Nor is one that another process made.
    let file = at("biped.toml");
    let text = |serve: &str| format!("[serve]\n{serve}\n{}", provider(&sidecar.vendor));
    std::fs::write(&file, text(&format!("{callers}\n{tls}"))).unwrap();
    let again = file.clone();
    let inherited = Server::new(read(&file).unwrap())
        .reloading(None, move || read(&again), |serve| serve, |_| ())
        .inherit_tcp(std::net::TcpListener::bind("0.0.0.0:0").unwrap(), false);
    let inherited = inherited.start().await.unwrap();
    std::fs::write(&file, text(callers)).unwrap();
    let error = inherited.reload().await.unwrap_err();
    assert_eq!(error.kind(), biped::ErrorKind::Configuration);
    drop(inherited);
    assert!(sidecar.running.addresses()[0].starts_with("https://0.0.0.0:"));
    // On loopback TLS may come and go.
    sidecar.to("listen = ['127.0.0.1:0']").await.unwrap();
    let plain = sidecar.running.addresses().remove(0);
    assert_eq!(get(plain.strip_prefix("http://").unwrap()).await, 200);
    let secure = format!("listen = ['127.0.0.1:0']\n{tls}");
    sidecar.to(&secure).await.unwrap();
    let secured = sidecar.running.addresses();
    assert_eq!(secured, [plain.replace("http:", "https:")]);
}

#[tokio::test]
async fn a_new_limit_counts_the_calls_that_are_under_way() {
    let at = free().await;
    let with = |limit: u32| format!("listen = ['{at}']\nmax_in_flight = {limit}");
    let sidecar = Changing::new(&with(2)).await;
    sidecar.vendor.api(|got| match got.path() {
        "/base/stall" => Act::Stall(Vec::new()),
        _ => crate::vendor::ok("hello"),
    });
    let mut stalled = Caller::new(tokio::net::TcpStream::connect(&at).await.unwrap());
    stalled
        .write("GET /shop/stall HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await;
    until("the API has the call", async || {
        !sidecar.vendor.got().is_empty()
    })
    .await;
    assert_eq!(get(&at).await, 200);
    sidecar.to(&with(1)).await.unwrap();
    assert_eq!(get(&at).await, 503);
    sidecar.to(&with(2)).await.unwrap();
    assert_eq!(get(&at).await, 200);
    drop(stalled);
}

#[tokio::test]
async fn what_is_trusted_changes_with_the_configuration() {
    let at = free().await;
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let (port, pem, _read) = crate::tls::server_with(params, key).await;
    let sidecar = Changing::new(&format!("listen = ['{at}']")).await;
    let secure = |http: &str| {
        let api = provider(&sidecar.vendor);
        let base = format!("http://{}/base", sidecar.vendor.address);
        let api = api.replace(&base, &format!("https://localhost:{port}"));
        let text = format!("[serve]\nlisten = ['{at}']\n{api}{http}");
        std::fs::write(sidecar.directory.path().join("biped.toml"), text).unwrap();
    };
    secure("");
    sidecar.running.reload().await.unwrap();
    assert_eq!(get(&at).await, 502);
    secure(&format!("[http]\nextra_ca = \'\'\'{pem}\'\'\'\n"));
    sidecar.running.reload().await.unwrap();
    assert_eq!(get(&at).await, 200);
}
