//! A sidecar whose stderr or stdout is not read.

use std::{
    io::Read,
    process::{Child, Stdio},
};

use rustix::process::Signal;

use crate::{
    serve::{Running, get},
    world::World,
};

/// More of these lines than any pipe holds.
const LINES: usize = 300;
/// A long path makes a long line.
const LENGTH: usize = 4000;

#[test]
fn a_log_that_is_not_read_holds_up_neither_calls_nor_the_end() {
    for signal in [Signal::TERM, Signal::INT] {
        let world = World::new();
        let mut command = world.command(["serve", "--listen", "127.0.0.1:0"]);
        command.stderr(Stdio::piped());
        let mut running = Running::of(command);
        let url = running.line();
        let path = format!("/nope/{}", "x".repeat(LENGTH));
        for _ in 0..LINES {
            assert_eq!(get(&url, &path, "").0, 404);
        }
        // As is the line that a reload prints.
        running.signal(Signal::HUP);
        assert_eq!(get(&url, "/-/health", ""), (200, "ok\n".into()));
        running.signal(signal);
        assert_eq!(running.status(), 0);
    }
}

#[test]
fn the_log_is_whole_and_in_order_when_the_sidecar_has_ended() {
    let world = World::new();
    let mut command = world.command(["serve", "--listen", "127.0.0.1:0"]);
    command.stderr(Stdio::piped());
    let mut running = Running::of(command);
    let url = running.line();
    let mut stderr = running.child.stderr.take().unwrap();
    let count = 200;
    for number in 0..count {
        assert_eq!(get(&url, &format!("/nope/{number}"), "").0, 404);
    }
    running.signal(Signal::INT);
    assert_eq!(running.status(), 0);
    let mut log = String::new();
    stderr.read_to_string(&mut log).unwrap();
    let calls = log.lines().filter(|line| line.starts_with('{'));
    let paths = calls.map(|line| {
        let call: serde_json::Value = serde_json::from_str(line).unwrap();
        call["path"].as_str().unwrap().to_owned()
    });
    let expected = (0..count).map(|number| format!("/nope/{number}"));
    assert!(paths.eq(expected), "{log}");
}

#[test]
fn a_stdout_that_is_not_read_holds_up_neither_calls_nor_the_end() {
    let world = World::new();
    // All pages of the pipe are taken before the sidecar prints its address.
    let (reader, writer) = rustix::pipe::pipe().unwrap();
    let full = {
        rustix::io::ioctl_fionbio(&writer, true).unwrap();
        while rustix::io::write(&writer, &[b'x'; 4096]).is_ok() {}
        rustix::io::ioctl_fionbio(&writer, false).unwrap();
        writer
    };
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap().to_string();
    drop(free);
    let mut command = world.command(["serve", "--listen", &address]);
    // With one thread, whatever waits holds up everything.
    command.env("BIPED_SERVE__THREADS", "1").stdout(full);
    let mut sidecar = Killed(command.spawn().unwrap());
    let url = format!("http://{address}");
    world.run(&format!("ready --url {url} --wait 60")).ok();
    assert_eq!(get(&url, "/-/health", ""), (200, "ok\n".into()));
    let pid = rustix::process::Pid::from_child(&sidecar.0);
    rustix::process::kill_process(pid, Signal::INT).unwrap();
    assert_eq!(sidecar.0.wait().unwrap().code(), Some(0));
    drop(reader);
}

/// Also where the test fails.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
