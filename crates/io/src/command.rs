//! [`run_command`]: runs a program, which ends together with its children, and returns its output.

use std::{
    future::pending,
    io,
    process::{ExitStatus, Stdio},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    process::{Child, ChildStdout, Command},
};
use zeroize::Zeroizing;

use crate::{
    before::before,
    buffer::{Content, append},
};

/// How much of what a command prints is read at a time, in bytes.
const CHUNK: usize = 16 * 1024;

/// Runs a program without a shell and without input. Returns its exit status and its standard output
/// of at most `limit` bytes, in memory that is zeroed when it is dropped. It needs a tokio runtime with
/// I/O.
///
/// On Unix the program is a process group of its own, which is killed when the returned future is
/// dropped or the program prints too much. The output is what the program has printed when it ends,
/// even if a process that it left behind could print more.
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
/// The operating system's error if the program can't be run;
/// [`FileTooLarge`](io::ErrorKind::FileTooLarge) if it prints more than `limit` bytes.
pub async fn run_command(
    program: &str,
    arguments: &[String],
    limit: usize,
) -> io::Result<(ExitStatus, Zeroizing<Vec<u8>>)> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    run(command, &[], limit).await
}

/// Runs a program as [`run_command`] does, with `input` on standard input, and with these environment
/// variables beside those of this process. A program that does not read all of its input may succeed all
/// the same.
///
/// # Errors
/// As [`run_command`].
pub async fn run_command_with(
    program: &str,
    arguments: &[String],
    input: &[u8],
    variables: &[(&str, &str)],
    limit: usize,
) -> io::Result<(ExitStatus, Zeroizing<Vec<u8>>)> {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .envs(variables.iter().copied())
        .stdin(Stdio::piped());
    run(command, input, limit).await
}

async fn run(
    mut command: Command,
    input: &[u8],
    limit: usize,
) -> io::Result<(ExitStatus, Zeroizing<Vec<u8>>)> {
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    #[cfg(unix)]
    command.process_group(0);
    let mut child = command.spawn()?;
    // Declared after the child, and so dropped before it: the child's id is not reused until then.
    let mut group = Group::of(&child);
    let stdin = child.stdin.take();
    let feeding = async {
        if let Some(mut stdin) = stdin {
            // A program that has read enough closes it.
            let _ = stdin.write_all(input).await;
        }
        pending::<()>().await;
    };
    before(feeding, output(&mut child, &mut group, limit))
        .await
        .unwrap_or_else(|| Err(io::Error::other("the output can't be read")))
}

/// Reads what a program prints until it ends.
async fn output(
    child: &mut Child,
    group: &mut Group,
    limit: usize,
) -> io::Result<(ExitStatus, Zeroizing<Vec<u8>>)> {
    let stdout = child.stdout.take();
    let mut stdout = stdout.ok_or_else(|| io::Error::other("the output can't be read"))?;
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
            let message = format!("printed more than {limit} bytes");
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
        }
        if let Some(status) = status {
            return Ok((status, printed));
        }
    }
}

/// Reads the rest in the pipe of a program that has ended. It doesn't wait for more, because a process
/// that was left behind may keep the pipe open.
#[cfg(unix)]
#[allow(clippy::unused_async)] // elsewhere it is
async fn read_rest(
    stdout: &mut ChildStdout,
    chunk: &mut [u8],
    printed: &mut Content,
    limit: usize,
) -> io::Result<()> {
    while printed.len() <= limit {
        // Read directly: the runtime may not know yet that there is more.
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

/// The process group of a program, which is killed when this is dropped.
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

    /// Lets the group live on, because the program has ended by itself and another process may get its
    /// id. What it left running, such as an agent, goes on.
    fn leave(&mut self) {
        self.leader = None;
    }
}

#[cfg(unix)]
impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.leader {
            // An error means that it has just ended.
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
