//! `--format curl`: a configuration for `curl -K -`, so that the token is in no command line.

/// One header. Within quotes, curl reads `\` as the start of an escape.
pub(super) fn config(header: &str) -> String {
    let value = header.replace('\\', r"\\").replace('"', r#"\""#);
    format!("header = \"Authorization: {value}\"\n")
}

#[cfg(all(test, unix))]
mod tests {
    use std::{
        io::{BufRead, BufReader, Write},
        net::TcpListener,
        process::{Command, Stdio},
        thread,
    };

    #[test]
    fn curl_sends_the_header_as_it_is() {
        for header in ["Bearer eyJ.a-b_c", r#"Bearer a"b\c\n"#, r"Bearer \"] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let url = format!("http://{}/", listener.local_addr().unwrap());
            let seen = thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                let reader = BufReader::new(stream.try_clone().unwrap());
                let lines = reader.lines().map(Result::unwrap);
                let lines: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
                let answer = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
                stream.write_all(answer).unwrap();
                lines
            });
            let mut curl = Command::new("curl")
                .args([
                    "-q",
                    "--fail",
                    "--silent",
                    "--noproxy",
                    "*",
                    "-K",
                    "-",
                    &url,
                ])
                .stdin(Stdio::piped())
                .spawn()
                .expect("curl is installed");
            let config = super::config(header);
            curl.stdin
                .take()
                .unwrap()
                .write_all(config.as_bytes())
                .unwrap();
            assert!(curl.wait().unwrap().success());
            let expected = format!("Authorization: {header}");
            assert!(seen.join().unwrap().contains(&expected), "{config}");
        }
    }
}
