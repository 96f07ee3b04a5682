//! Without the feature `reqwest` an application brings its own HTTP client.
#![cfg(not(feature = "reqwest"))]

use biped::{Biped, ErrorKind};

#[test]
fn without_an_http_client_the_error_names_the_feature() {
    let error = Biped::builder().without_environment().build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.remedy().unwrap().contains("reqwest"));
}

#[test]
fn a_section_that_nothing_would_go_by_is_a_problem() {
    let text = "\n[http]\ntimeout = 3\n";
    let error = Biped::builder()
        .without_environment()
        .toml(text)
        .build()
        .unwrap_err();
    let line = error.to_string();
    assert!(
        line.starts_with("the configuration text:2: http: ") && line.contains("reqwest"),
        "{line}"
    );
}
