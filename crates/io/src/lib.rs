//! Reads files and runs commands within limits of time and memory, and replaces files whole.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `file.rs` | [`read_file`], its variants, and their limits |
//! | `replace.rs` | [`replace_file`]: a file that readers see whole |
//! | `command.rs` | [`run_command`], which ends a command together with its children |
//! | `before.rs` | [`before`]: work with a time limit |
//! | `block_on.rs` | [`block_on`]: asynchronous work for synchronous callers |
//! | `buffer.rs` | a buffer that is zeroed when it is dropped |
//!
//! The crate reads no clock. A caller passes a future that completes when the time is over.

mod before;
mod block_on;
mod buffer;
mod command;
mod file;
mod replace;

pub use self::{
    before::before,
    block_on::block_on,
    command::{run_command, run_command_with},
    file::{FILE_TIMEOUT, MAX_FILE_SIZE, read_file, read_file_async, read_file_if, read_text_file},
    replace::{replace_file, replace_file_durably},
};
