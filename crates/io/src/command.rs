//! [`run_command`]: runs a program that ends together with its children, and keeps what it prints.

use std::{
    io,
    process::{ExitStatus, Stdio},
};

use tokio::{
    io::AsyncReadExt as _,
    process::{Child, ChildStdout, Command},
};
use zeroize::Zeroizing;

use crate::{
    before::before,
    buffer::{Content, append},
};

/// How much of what a command prints is read at a time, in bytes.
const CHUNK: usize = 16 * 1024;

/// Runs a program without a shell and without input. Returns how it ended and what it printed on its
/// standard output, at most `limit` bytes, in memory that is zeroed when it is dropped. It needs a
/// tokio runtime with I/O.
///
/// On Unix it is a process group of its own, which is killed as a whole when the returned future is
/// dropped or the program prints too much. What it has printed when it ends is the output, even if a
/// process that it left behind could print more.
///
/// ```
/// use biped_io::run_command;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// # if cfg!(unix) {
/// let (status, printed) = run_command("echo", &["hello".to_owned()], 1024).await?;
/// assert!(status.success());
/// assert_eq!(**printed, *b"hello\n");
/// # }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// Where the program can't be run, as the operating system says;
/// [`FileTooLarge`](io::ErrorKind::FileTooLarge) where it prints more than `limit` bytes.
pub async fn run_command(
    program: &str,
    arguments: &[String],
    limit: usize,
) -> io::Result<(ExitStatus, Zeroizing<Vec<u8>>)> {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    #[cfg(unix)]
    command.process_group(0);
    let mut child = command.spawn()?;
    // Declared after the child, and so dropped before it: until it is waited for, its id is its own.
    let mut group = Group::of(&child);
    let stdout = child.stdout.take();
    let mut stdout = stdout.ok_or_else(|| io::Error::other("its output can't be read"))?;
    let mut printed = Zeroizing::new(Vec::new());
    let mut chunk = Zeroizing::new(vec![0; CHUNK]);
    loop {
        let mut ended = None;
        let end = async { ended = Some(child.wait().await) };
        let read = before(end, stdout.read(&mut chunk)).await;
        let status = match read.transpose()? {
            Some(0) => {
                let status = child.wait().await;
                group.leave();
                Some(status?)
            }
            Some(count) => {
                append(&mut printed, &chunk[..count]);
                None
            }
            None => {
                group.leave();
                read_rest(&mut stdout, &mut chunk, &mut printed, limit).await?;
                ended.transpose()?
            }
        };
        if printed.len() > limit {
            let message = format!("it printed more than {limit} bytes");
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
        }
        if let Some(status) = status {
            return Ok((status, printed));
        }
    }
}

/// Reads what is in the pipe of a command that has ended, and waits for no more: a process that it
/// left behind may keep the pipe open.
#[cfg(unix)]
#[allow(clippy::unused_async)] // elsewhere it is
async fn read_rest(
    stdout: &mut ChildStdout,
    chunk: &mut [u8],
    printed: &mut Content,
    limit: usize,
) -> io::Result<()> {
    while printed.len() <= limit {
        // The runtime may not know yet that there is more.
        match rustix::io::read(&*stdout, &mut *chunk) {
            Ok(0) | Err(rustix::io::Errno::AGAIN) => break,
            Ok(count) => append(printed, &chunk[..count]),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(not(unix))]
async fn read_rest(
    stdout: &mut ChildStdout,
    chunk: &mut [u8],
    printed: &mut Content,
    limit: usize,
) -> io::Result<()> {
    while printed.len() <= limit {
        match stdout.read(chunk).await? {
            0 => break,
            count => append(printed, &chunk[..count]),
        }
    }
    Ok(())
}

/// The process group of a command, which is killed when this is dropped.
struct Group {
    #[cfg(unix)]
    leader: Option<rustix::process::Pid>,
}

#[cfg(unix)]
impl Group {
    fn of(child: &Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        let leader = id.and_then(rustix::process::Pid::from_raw);
        Self { leader }
    }

    /// The command has ended by itself, and from now on another process may get its id. What it
    /// left running, such as an agent, goes on.
    fn leave(&mut self) {
        self.leader = None;
    }
}

#[cfg(unix)]
impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.leader {
            // It may have ended just now.
            let _ = rustix::process::kill_process_group(leader, rustix::process::Signal::KILL);
        }
    }
}

#[cfg(not(unix))]
impl Group {
    fn of(_: &Child) -> Self {
        Self {}
    }

    fn leave(&mut self) {}
}
