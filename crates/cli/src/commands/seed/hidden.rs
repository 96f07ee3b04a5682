//! A terminal that does not show what is typed.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM},
    iterator::Signals,
    low_level::emulate_default_handler,
};

/// Shows what is typed again when it is dropped, and when a signal ends the process.
pub(super) struct Hidden(Modes);

/// The modes of the terminal to return to, while it hides what is typed.
type Modes = Arc<Mutex<Option<Termios>>>;

/// Stops the terminal from showing what is typed.
pub(super) fn hide() -> Hidden {
    let modes = Modes::default();
    // Before anything is hidden. Without it the terminal has to be mended by hand after a signal.
    let _ = show_at_signals(modes.clone());
    let mut shown = modes.lock().unwrap_or_else(PoisonError::into_inner);
    if let Ok(found) = tcgetattr(io::stdin()) {
        let mut hidden = found.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        hidden.local_modes.insert(LocalModes::ECHONL);
        let is_hidden = tcsetattr(io::stdin(), OptionalActions::Flush, &hidden).is_ok();
        *shown = is_hidden.then_some(found);
    }
    drop(shown);
    Hidden(modes)
}

/// From here on, each signal that ends the process shows what is typed before.
fn show_at_signals(modes: Modes) -> io::Result<()> {
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGQUIT, SIGTERM])?;
    let show_and_end = move || {
        if let Some(signal) = signals.forever().next() {
            // Held until the process ends, so that nothing is hidden after this.
            let mut shown = modes.lock().unwrap_or_else(PoisonError::into_inner);
            show(&mut shown);
            let _ = emulate_default_handler(signal);
        }
    };
    thread::Builder::new().spawn(show_and_end).map(drop)
}

fn show(shown: &mut Option<Termios>) {
    if let Some(modes) = shown.take() {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &modes);
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        show(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
