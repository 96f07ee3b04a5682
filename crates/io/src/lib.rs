//! Reads files and runs commands within limits of time and memory, and without waiting for what never
//! answers.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `file.rs` | [`read_file`], its variants, and their limits |
//! | `command.rs` | [`run_command`], which ends a command together with its children |
//! | `before.rs` | [`before`]: work with an end |
//! | `block_on.rs` | [`block_on`]: asynchronous work for callers that are not asynchronous |
//! | `buffer.rs` | bytes that are zeroed when they are dropped |
//!
//! It reads no clock: a caller says with a future when its time is over.

mod before;
mod block_on;
mod buffer;
mod command;
mod file;

pub use self::{
    before::before,
    block_on::block_on,
    command::run_command,
    file::{FILE_TIMEOUT, MAX_FILE_SIZE, read_file, read_file_async, read_file_if, read_text_file},
};
