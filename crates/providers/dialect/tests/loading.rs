//! What is wrong with a file is told when it is loaded, with its line and without its values.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use biped_config::Origin;
use biped_dialect::{Dialect, check_text};

const URL: &str = "url = \"https://v.example/token\"\n";

/// The problems of a file as `line key`, after the URL in its first line.
fn problems(rest: &str) -> Vec<String> {
    let text = format!("{URL}{rest}");
    let Err(error) = Dialect::from_toml(&text, "mine.toml") else {
        return Vec::new();
    };
    error
        .problems()
        .iter()
        .map(|problem| {
            let Origin::File { path, line, .. } = &problem.origin else {
                panic!("{problem}");
            };
            assert_eq!(path.to_str(), Some("mine.toml"));
            format!("{line} {}", problem.key).trim_end().to_owned()
        })
        .collect()
}

#[test]
fn unknown_keys_are_told_wherever_they_are() {
    for (rest, expected) in [
        ("encodng = \"json\"", "2 encodng"),
        ("[response]\ntokn = \"/x\"", "3 response.tokn"),
        (
            "[response.expires]\nat = \"/x\"\nas_ = \"unix\"",
            "4 response.expires.as_",
        ),
        (
            "[response.ok]\nat = \"/x\"\nequals = 1\nelse = 2",
            "5 response.ok.else",
        ),
        ("[response.error]\nkode = \"/x\"", "3 response.error.kode"),
        (
            "auth = \"basic\"\nbasic = { user = \"a\", password = \"b\", realm = \"c\" }",
            "3 basic.realm",
        ),
        (
            "[attach]\nheaders = { A = \"{token}\" }\nheadrs = {}",
            "4 attach.headrs",
        ),
        ("[[expired]]\nstatus = [401]\nbody = 1", "4 expired.body"),
        (
            "[[then]]\nurl = \"https://v.example\"\nurll = \"\"",
            "4 then.urll",
        ),
        (
            "auth = \"jwt\"\n[jwt]\nalg = \"HS256\"\nkey = \"{k}\"\naud = \"x\"",
            "6 jwt.aud",
        ),
        (
            "[about]\ntitle = \"t\"\ndocs = \"d\"\nhomepage = \"h\"",
            "5 about.homepage",
        ),
    ] {
        assert_eq!(problems(rest), [expected], "{rest}");
    }
}

#[test]
fn the_key_that_is_meant_is_named() {
    let error = Dialect::from_toml(&format!("{URL}encodng = \"json\""), "f").unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("encodng") && text.contains("encoding") && !text.contains("response"),
        "{text}"
    );
}

#[test]
fn where_none_is_near_the_known_keys_are_named() {
    let error = Dialect::from_toml(&format!("{URL}zzz = 1"), "f").unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("encoding") && text.contains("response"),
        "{text}"
    );
    assert_eq!(text.matches("url").count(), 1, "{text}");
}

#[test]
fn an_address_that_credentials_can_not_go_to_is_told() {
    for (url, is_good) in [
        ("https://vendor.example/token", true),
        ("HTTPS://{host}/token", true),
        ("https://{region}.vendor.example", true),
        ("{origin}/token", true),
        ("http://127.0.0.1:8080/token", true),
        ("http://localhost:{port}/token", true),
        ("http://{host}/token", true),
        ("http://vendor.example/token", false),
        ("http://vendor.example/{tenant}", false),
        ("https://user@vendor.example/{tenant}", false),
        ("ftp://vendor.example/token", false),
        ("ftp://{host}/token", false),
        ("vendor.example/token", false),
        ("", false),
    ] {
        let loaded = Dialect::from_toml(&format!("url = \"{url}\""), "f");
        assert_eq!(loaded.is_ok(), is_good, "{url}");
    }
}

#[test]
fn values_of_another_kind_are_told() {
    for (rest, expected) in [
        ("headers = { \"a {b} c\" = \"d\" }", "2 headers.a {b} c"),
        ("method = \"PATCH\"", "2 method"),
        ("encoding = 1", "2 encoding"),
        ("grant_type = true", "2 grant_type"),
        ("scopes = \"a b\"", "2 scopes"),
        ("fields = { a = { b = \"c\" } }", "2 fields.a"),
        ("fields = { a = 2026-01-01 }", "2 fields.a"),
        ("fields = { a = [[1]] }", "2 fields.a"),
        ("fields = { \"/a\" = \"b\" }", "2 fields./a"),
        (
            "encoding = \"json\"\nfields = { \"/a~2\" = \"b\" }",
            "3 fields./a~2",
        ),
        (
            "encoding = \"json\"\nfields = { \"/a\" = 1, \"/a/b\" = 2 }",
            "3 fields",
        ),
        (
            "encoding = \"json\"\nfields = { a = 1, \"/a\" = 2 }",
            "3 fields./a",
        ),
        ("headers = { \"a b\" = \"c\" }", "2 headers.a b"),
        ("headers = { A = \"1\", a = \"2\" }", "2 headers.a"),
        ("encoding = \"none\"\nfields = { a = 1 }", "3 fields"),
        ("encoding = \"text\"", "1 body"),
        ("body = \"x\"", "2 body"),
        ("basic = { user = \"a\", password = \"b\" }", "2 basic"),
        ("auth = \"jwt\"", "1 jwt"),
        (
            "auth = \"jwt\"\njwt = { alg = \"none\", key = \"{k}\" }",
            "3 jwt.alg",
        ),
        (
            "auth = \"jwt\"\njwt = { alg = \"HS256\", key = \"{k}\", use = \"field:\" }",
            "3 jwt.use",
        ),
        (
            "auth = \"jwt\"\nencoding = \"none\"\njwt = { alg = \"HS256\", key = \"{k}\" }",
            "1 jwt.use",
        ),
        (
            "response = { token = \"access_token\" }",
            "2 response.token",
        ),
        (
            "response = { format = \"text\", token = \"/x\" }",
            "2 response.token",
        ),
        (
            "response = { expires = { as = \"unix\" } }",
            "2 response.expires.at",
        ),
        (
            "response = { expires = { at = \"/x\", as = \"weeks\" } }",
            "2 response.expires.as",
        ),
        ("response = { lifetime = true }", "2 response.lifetime"),
        ("response = { lifetime = 0 }", "2 response.lifetime"),
        (
            "response = { base_url = \"/x\" }",
            "2 response.base_url_hosts",
        ),
        (
            "response = { base_url = \"/x\", base_url_hosts = [\"https://x\"] }",
            "2 response.base_url_hosts",
        ),
        (
            "response = { ok = { at = \"/x\" } }",
            "2 response.ok.equals",
        ),
        ("attach = {}", "2 attach.headers"),
        ("expired = { at = \"/x\" }", "2 expired.at"),
        ("expired = {}", "2 expired.status"),
        ("expired = { status = [1000] }", "2 expired.status"),
    ] {
        let found = problems(rest);
        assert!(found.contains(&expected.to_owned()), "{rest}: {found:?}");
    }
}

#[test]
fn templates_that_are_none_are_told() {
    for template in ["{", "}", "{}", "{a b}", "{a|upper}", "{now+1y}", "{now|%!}"] {
        assert_eq!(
            problems(&format!("fields = {{ a = \"{template}\" }}")),
            ["2 fields.a"]
        );
    }
}

const ABOUT: &str = "[about]\ntitle = \"t\"\ndocs = \"https://v.example\"\n[about.params]\n";

#[test]
fn names_that_stand_for_nothing_are_told() {
    assert_eq!(problems("fields = { a = \"{token}\" }"), ["2"]);
    let declared =
        format!("fields = {{ a = \"{{regin}}\", b = \"{{region}}\" }}\n{ABOUT}region = \"r\"");
    assert_eq!(problems(&declared), ["2"]);
    let unused = format!("{ABOUT}region = \"r\"");
    assert_eq!(problems(&unused), ["6 about.params.region"]);
    let reserved = format!("{ABOUT}token = \"r\"");
    assert_eq!(problems(&reserved), ["6 about.params.token"]);
    let exported = "response = { export = { token = \"/x\" } }";
    assert_eq!(problems(exported), ["1 response.export.token"]);
    let later = "[[then]]\nurl = \"https://v.example/{x}\"\nresponse = { export = { x = \"/x\" } }";
    assert_eq!(problems(&format!("{later}\n{ABOUT}")), ["3"]);
    let hosts = "response = { export = { x = \"/x\" } }\n[[then]]\nurl = \"{x}\"\n\
                 response = { base_url = \"/y\", base_url_hosts = [\"{x}\"] }";
    assert_eq!(problems(hosts), ["5"]);
}

#[test]
fn an_answer_has_a_hand_in_a_host_only_beside_hosts_that_it_may_name() {
    let asking = |hosts: &str, url: &str| {
        problems(&format!(
            "response = {{ export = {{ x = \"/x\" }}{hosts} }}\n[[then]]\nurl = \"{url}\""
        ))
    };
    let hosts = ", base_url_hosts = [\"*.vendor.example\"]";
    for url in [
        "https://{token}/a",
        "https://{x}",
        "https://{x}.v.example/a",
        "https://v.example{x}/a",
        "https://v.example:{x}/a",
        "https://{x}@v.example/a",
        "https:/{x}/a",
        "{x}/a",
        "{scheme}://{token}/a",
        "https://{region}.{x}.v.example/a",
        "{scheme}{x}/a",
    ] {
        assert_eq!(asking("", url), ["4 then.url"], "{url}");
        assert_eq!(asking(hosts, url), Vec::<String>::new(), "{url}");
    }
    for url in [
        "https://v.example/{x}",
        "https://v.example/a?{token}",
        "https://{region}.v.example/{x}/{token}",
        "{origin}/{x}",
        "{origin}/a?next=https://{x}",
    ] {
        assert_eq!(asking("", url), Vec::<String>::new(), "{url}");
    }
    let one = "url = \"https://v.example\"\n[[then]]\nurl = \"https://{token}/x\"";
    assert!(!biped_dialect::check_text(one, "f").is_good());
}

#[test]
fn neither_a_request_nor_a_token_names_hosts() {
    for scheme in ["https://{scope}/a", "https://{scope}.v.example/a"] {
        let error = Dialect::from_toml(&format!("url = \"{scheme}\""), "f").unwrap_err();
        assert_eq!(error.problems().len(), 1, "{error}");
    }
    let path = Dialect::from_toml("url = \"https://v.example/{scope}\"", "f");
    assert!(path.is_ok());
    for name in ["token", "scope", "url"] {
        let hosts = format!(
            "[[then]]\nurl = \"https://v.example\"\n\
             response = {{ base_url = \"/y\", base_url_hosts = [\"{{{name}}}\"] }}"
        );
        assert_eq!(problems(&hosts), ["4"], "{name}");
    }
}

#[test]
fn an_optional_parameter_can_not_be_where_something_must_be() {
    let about = format!("{ABOUT}x = {{ says = \"s\", optional = true }}");
    let text = format!("url = \"https://v.example/{{x}}\"\n{about}");
    let error = Dialect::from_toml(&text, "f").unwrap_err();
    assert_eq!(error.problems().len(), 1, "{error}");
    let field = format!("fields = {{ a = \"{{x}}\" }}\n{about}");
    assert_eq!(problems(&field), Vec::<String>::new());
}

#[test]
fn slips_of_syntax_are_told_without_the_line_they_are_in() {
    let text = format!("{URL}body = \"pl4nted\nauth = none\nauth = \"body\"");
    let error = Dialect::from_toml(&text, "f").unwrap_err();
    assert!(!format!("{error} {error:?}").contains("pl4nted"), "{error}");
}

#[test]
fn all_problems_are_told_together_in_order() {
    let found = problems("method = \"X\"\nencoding = \"Y\"\nz = 1");
    assert_eq!(found, ["2 method", "3 encoding", "4 z"]);
}

#[test]
fn an_example_that_comes_out_otherwise_is_explained_without_secrets() {
    let text = format!(
        "{URL}[[example]]\n\
         given = {{ client_id = \"id\", client_secret = \"pl4nted secret\" }}\n\
         request = {{ url = \"https://v.example/other\", form = \"grant_type=x\" }}\n\
         response = {{ json = {{ access_token = \"t\", expires_in = 60 }} }}\n\
         expect = {{ token = \"t\", lifetime = 61 }}\n"
    );
    let report = check_text(&text, "f");
    assert!(!report.is_good());
    assert_eq!(report.examples(), 1);
    let what: Vec<_> = report
        .differences()
        .iter()
        .map(|d| (d.line, d.what.as_str()))
        .collect();
    assert_eq!(
        what,
        [
            (4, "request.url"),
            (4, "request.form"),
            (6, "expect.lifetime")
        ]
    );
    let form = &report.differences()[1];
    assert_eq!(
        form.actual,
        "`grant_type=client_credentials&client_id=id&client_secret={client_secret}`"
    );
    assert!(!format!("{report:?}").contains("pl4nted+secret"));
}

#[test]
fn what_would_make_a_file_better_is_said() {
    let report = check_text(URL, "f");
    assert!(report.is_good());
    assert_eq!(report.advice().len(), 3);
    let get = check_text(&format!("{URL}method = \"GET\""), "f");
    assert_eq!(get.advice().len(), 4);
    let query = check_text(&format!("{URL}method = \"GET\"\nencoding = \"query\""), "f");
    assert_eq!(query.advice().len(), 3);
}

#[test]
fn a_file_is_checked_where_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("mine.toml");
    std::fs::write(&path, format!("{URL}nonsense = 1")).unwrap();
    let report = biped_dialect::check(&path).unwrap();
    assert_eq!(report.problems().len(), 1);
    assert!(biped_dialect::check(&directory.path().join("none.toml")).is_err());
}

#[cfg(unix)]
#[test]
fn what_is_no_regular_file_is_not_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pipe.toml");
    let made = std::process::Command::new("mkfifo").arg(&path).status();
    assert!(made.unwrap().success());
    for path in [path.as_path(), "/dev/zero".as_ref(), directory.path()] {
        let error = biped_dialect::check(path).unwrap_err();
        assert!(error.to_string().contains("not a regular file"), "{error}");
    }
    let path = directory.path().join("binary.toml");
    std::fs::write(&path, b"\xff").unwrap();
    let error = biped_dialect::check(&path).unwrap_err();
    assert!(error.to_string().contains("UTF-8"), "{error}");
}

#[test]
fn the_files_of_the_guide_are_good() {
    let guide = include_str!("../ADDING_A_VENDOR.md");
    let blocks = guide.split("```toml\n").skip(1);
    let mut files = 0;
    for block in blocks {
        let text = block.split("```").next().unwrap();
        if text.contains("[[example]]") {
            let report = check_text(text, "guide.toml");
            assert_eq!(report.problems(), []);
            assert_eq!(report.differences(), []);
            assert!(report.advice().is_empty());
            files += 1;
        }
    }
    assert_eq!(files, 2);
}
