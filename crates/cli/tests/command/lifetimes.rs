//! A lifetime that nothing tells, and that is told to be assumed.

use crate::world::{OneRequest, Ran, World};

/// What a command says, where the vendor answers with this, and its file is `vendor`.
fn run(line: &str, answer: &str, vendor: Option<&str>) -> Ran {
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n{answer}",
        answer.len()
    );
    let server = OneRequest::answered(answer.leak());
    let world = World::empty();
    let kind = match vendor {
        None => format!("kind = 'oauth2'\ntoken_endpoint = '{}/token'\n", server.url),
        Some(vendor) => {
            world.write_untrusted("mine.toml", vendor);
            let url = &server.url;
            format!("kind = 'dialect'\nfile = 'mine.toml'\ntoken_endpoint = '{url}/token'\n")
        }
    };
    world.write(
        "biped.toml",
        &format!("[providers.crm]\n{kind}client_id = 'a'\nclient_secret = 'b'\n"),
    );
    let ran = world.run(line);
    server.request();
    ran
}

const VENDOR: &str = "url = 'https://v.example/t'\n[response]\nexpires = { at = '/ttl' }\n";

#[test]
fn a_check_and_verbose_say_that_a_lifetime_is_assumed_and_why() {
    let fixed = format!("{VENDOR}lifetime = 60\n").replace("expires = { at = '/ttl' }\n", "");
    for (answer, vendor, why) in [
        (r#"{"access_token":"t"}"#, None, Some("no expires_in")),
        (
            r#"{"access_token":"t","expires_in":"soon"}"#,
            None,
            Some("can't be read"),
        ),
        (
            r#"{"access_token":"t","expires_in":0}"#,
            None,
            Some("can't be read"),
        ),
        (r#"{"access_token":"t","expires_in":60}"#, None, None),
        (
            r#"{"access_token":"t","expires_in":60}"#,
            Some(VENDOR),
            Some("vendor file"),
        ),
        (
            r#"{"access_token":"t","ttl":"later"}"#,
            Some(VENDOR),
            Some("can't be read"),
        ),
        (r#"{"access_token":"t","ttl":60}"#, Some(VENDOR), None),
        // The vendor file knows how long tokens live.
        (r#"{"access_token":"t"}"#, Some(&*fixed), None),
    ] {
        let checked = run("check crm", answer, vendor);
        assert_eq!(checked.status, 0, "{checked:?}");
        let verbose = run("token crm -v", answer, vendor);
        for told in [&checked.stdout, &verbose.stderr] {
            let assumed = told.lines().find(|line| line.contains("is assumed"));
            assert_eq!(assumed.is_some(), why.is_some(), "{answer}: {told}");
            assert!(
                why.is_none_or(|why| assumed.unwrap().contains(why)),
                "{answer}: {told}"
            );
        }
        let found = run("check crm --format json", answer, vendor).json();
        let warnings = found[0]["warnings"].as_array().unwrap().len();
        assert_eq!(warnings, usize::from(why.is_some()), "{found}");
    }
}

#[test]
fn checking_a_vendor_file_says_which_examples_get_an_assumed_lifetime() {
    let world = World::empty();
    let example = "\n[[example]]\ngiven = { client_id = 'a', client_secret = 'b' }\n\
                   request = { url = 'https://v.example/t', form = 'grant_type=client_credentials&client_id=a&client_secret=b' }\n\
                   response = { json = { access_token = 't', expires_in = 60 } }\n\
                   expect = { token = 't' }\n";
    world.write_untrusted("mine.toml", &format!("{VENDOR}{example}"));
    let ran = world.run("vendors check mine.toml");
    assert_eq!(ran.status, 0, "{ran:?}");
    let told = ran.stderr.lines().find(|line| line.contains("is assumed"));
    assert!(told.unwrap().contains("line 5"), "{ran:?}");
    assert!(
        told.unwrap().contains("where the vendor file says"),
        "{ran:?}"
    );
    world.write_untrusted(
        "mine.toml",
        &format!("{VENDOR}{example}").replace("/ttl", "/expires_in"),
    );
    let ran = world.run("vendors check mine.toml");
    assert!(!ran.stderr.contains("is assumed"), "{ran:?}");
}
