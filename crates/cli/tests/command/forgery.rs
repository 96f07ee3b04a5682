//! Names, scopes and parameters, and what a vendor says, forge no line of what people read.

use serde_json::Value;

use crate::world::{OneRequest, Ran, World};

/// A provider whose name, scope and parameters begin other lines, drive the terminal and turn its
/// direction; and a vendor that answers the same.
const ENTRY: &str = r#"
[providers."shop\nERROR forged\u001b[2J\u009b1m\u2028\u202e"]
kind = "oauth2"
token_endpoint = "URL/token"
client_id = "a"
client_secret = "b"
scope = "read\u001b[2J\u0085forged\u2028\u202e"
audience = "me\nERROR forged\r\u001b[1m\u2029"
parameters = { "more\nERROR forged" = "x\nERROR forged" }
"#;

const REFUSAL: &str = "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\n\
    connection: close\r\n\r\n{\"error\": \"invalid_scope\\nERROR forged\", \
    \"error_description\": \"no\\r\\nERROR forged\\u001b[2J\\u009b\\u2028\\u202e\"}";

const NAME: &str = "shop\nERROR forged\u{1b}[2J\u{9b}1m\u{2028}\u{202e}";

fn world(url: &str) -> World {
    let world = World::empty();
    world.write("biped.toml", &ENTRY.replace("URL", url));
    world
}

/// That nothing is in there which a terminal obeys, and that no line begins with what was forged.
#[track_caller]
fn assert_plain(what: &str, ran: &Ran) {
    for text in [&ran.stdout, &ran.stderr] {
        let is_odd = |character: char| {
            (character.is_control() && character != '\n')
                || "\u{2028}\u{2029}\u{202e}".contains(character)
        };
        assert!(!text.contains(is_odd), "{what}: {text:?}");
        let forged = |line: &str| line.trim_start().starts_with("ERROR");
        assert!(!text.lines().any(forged), "{what}: {text}");
    }
}

#[test]
fn a_configured_name_scope_or_parameter_forges_no_line() {
    let world = world("http://127.0.0.1:1");
    for line in [
        vec!["list"],
        vec!["config", "show"],
        vec!["check"],
        vec!["check", "-v"],
        vec!["token", NAME],
        vec!["-vv", "token", NAME],
        vec!["call", NAME, "GET", "/x"],
        vec!["inspect", NAME],
        vec!["forget", NAME],
        vec!["token", "nobody\nERROR forged"],
        vec!["vendors", "check", "no\nERROR forged"],
        vec!["vendors", "show", "no\nERROR forged"],
    ] {
        let what = line.join(" ");
        assert_plain(&what, &world.run_words(&line));
        let json = world.run_words(line.iter().chain(&["--format", "json"]));
        assert_plain(&format!("{what} as JSON"), &json);
    }
    let list = world.run("list").ok();
    assert_eq!(list.lines().count(), 2, "{list}");
    assert!(list.contains(r"audience=me\nERROR forged"), "{list}");
    let rows: Value = world.run("list --format json").json();
    assert_eq!(rows[0]["provider"], NAME, "JSON says what it is");
}

#[test]
fn what_a_vendor_says_forges_no_line() {
    for words in [
        &["check"][..],
        &["-v", "check"],
        &["token", NAME],
        &["-v", "token", NAME],
    ] {
        let vendor = OneRequest::answered(REFUSAL);
        let ran = world(&vendor.url).run_words(words);
        vendor.request();
        assert_eq!(ran.status, 3, "{ran:?}");
        assert_plain(&words.join(" "), &ran);
        let told = format!("{}{}", ran.stdout, ran.stderr);
        assert!(told.contains(r"no\r\nERROR forged"), "{told}");
    }
}
