//! Secrets that a command prints.

use std::{
    io,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use secrecy::{ExposeSecret, SecretString};
use tokio::{
    io::AsyncReadExt as _,
    process::{Child, ChildStdout},
};
use zeroize::Zeroizing;

use super::places::text;
use crate::{
    Clock, Error, SystemClock,
    file::{Content, append},
};

/// How long a command may take to print a secret.
pub const COMMAND_TIMEOUT: Duration = Duration::from_secs(10);

/// The largest secret, in bytes: a command without an end fills no memory.
const LARGEST: usize = 1024 * 1024;

/// How much of what a command prints is read at a time, in bytes.
const CHUNK: usize = 16 * 1024;

/// How long a command is left alone that failed, or whose secret was refused.
pub(crate) const COMMAND_REST: Duration = Duration::from_secs(30);

pub(super) async fn from_command(
    argv: &[String],
    clock: &dyn Clock,
) -> Result<SecretString, Error> {
    let Some((program, arguments)) = argv.split_first() else {
        return Err(Error::secret(
            "cmd is an empty list; it is a program and its arguments",
        ));
    };
    let ran = tokio::select! {
        ran = run(program, arguments) => ran,
        () = clock.sleep(COMMAND_TIMEOUT) => {
            let seconds = COMMAND_TIMEOUT.as_secs();
            let what = format!("the secret command {program} took more than {seconds} s");
            return Err(Error::secret(what)
                .transient(true)
                .with_retry_after(Some(COMMAND_REST)));
        }
    };
    let ran = ran.map_err(|error| {
        Error::secret(format!(
            "the secret command {program} can't be run: {error}"
        ))
    })?;
    let Some((status, printed)) = ran else {
        return Err(Error::secret(format!(
            "the secret command {program} printed more than {LARGEST} bytes"
        )));
    };
    if !status.success() {
        return Err(
            Error::secret(format!("the secret command {program} failed ({status})"))
                .with_remedy("run it by hand to see why")
                .transient(true)
                .with_retry_after(Some(COMMAND_REST)),
        );
    }
    match text(&printed) {
        Some(secret) if !secret.expose_secret().is_empty() => Ok(secret),
        Some(_) => Err(
            Error::secret(format!("the secret command {program} printed nothing"))
                .transient(true)
                .with_retry_after(Some(COMMAND_REST)),
        ),
        None => Err(Error::secret(format!(
            "the secret command {program} printed no UTF-8"
        ))),
    }
}

/// The same without a runtime, or on the threads of one, where nobody may wait for another.
pub(super) fn from_command_now(argv: &[String]) -> Result<SecretString, Error> {
    let read = || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Error::internal(format!("no runtime can be started: {error}")))?;
        runtime.block_on(from_command(argv, &SystemClock))
    };
    std::thread::scope(|scope| scope.spawn(read).join())
        .unwrap_or_else(|_| Err(Error::internal("reading a secret was interrupted")))
}

/// Runs a program to its end. Returns how it ended and what it printed; `None` where that is more
/// than a secret may have. Dropped on the way, it takes the program's children with it.
async fn run(program: &str, arguments: &[String]) -> io::Result<Option<(ExitStatus, Content)>> {
    let mut command = tokio::process::Command::new(program);
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
    let status = loop {
        let end = tokio::select! {
            biased;
            count = stdout.read(&mut chunk) => match count? {
                0 => {
                    let status = child.wait().await;
                    group.leave();
                    Some(status?)
                }
                count => {
                    append(&mut printed, &chunk[..count]);
                    None
                }
            },
            status = child.wait() => {
                group.leave();
                read_rest(&mut stdout, &mut chunk, &mut printed).await?;
                Some(status?)
            }
        };
        if printed.len() > LARGEST {
            return Ok(None);
        }
        if let Some(status) = end {
            break status;
        }
    };
    Ok(Some((status, printed)))
}

/// Reads what is in the pipe of a command that has ended, and waits for no more: a process that it
/// left behind may keep the pipe open.
#[cfg(unix)]
#[allow(clippy::unused_async)] // elsewhere it is
async fn read_rest(
    stdout: &mut ChildStdout,
    chunk: &mut [u8],
    printed: &mut Content,
) -> io::Result<()> {
    while printed.len() <= LARGEST {
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
) -> io::Result<()> {
    while printed.len() <= LARGEST {
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
