//! `biped seed` on a terminal.

use std::{os::unix::process::ExitStatusExt as _, process::Stdio, thread};

use rustix::{
    process::{Pid, Signal, kill_process},
    termios::{LocalModes, tcgetattr},
};

use crate::{trust::terminal, world::World};

#[test]
fn a_signal_that_ends_the_question_leaves_a_terminal_that_shows_what_is_typed() {
    let world = World::empty();
    world.write(
        "biped.toml",
        "[providers.crm]\nkind = 'oauth2'\ntoken_endpoint = 'http://127.0.0.1:1/token'\n\
         client_id = 'c'\nclient_secret = 's'\ngrant = 'refresh_token'\n\
         [store]\nkind = 'file'\npath = 'kept'\nseal = ['env:SEAL']\n",
    );
    for signal in [Signal::INT, Signal::TERM, Signal::QUIT, Signal::HUP] {
        let (_person, terminal) = terminal();
        let shows = || {
            let modes = tcgetattr(&terminal).unwrap().local_modes;
            modes.contains(LocalModes::ECHO)
        };
        assert!(shows());
        let mut command = world.command(["seed", "crm"]);
        command
            .env("SEAL", "ab".repeat(32))
            .stdin(terminal.try_clone().unwrap())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        // Until the command hides what is typed.
        while shows() {
            assert!(child.try_wait().unwrap().is_none(), "{signal:?}");
            thread::yield_now();
        }
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
        let status = child.wait().unwrap();
        assert_eq!(status.signal(), Some(signal.as_raw()), "{status}");
        assert!(shows(), "{signal:?}");
    }
}
