//! [`Socket`]: a Unix socket, removed with its listener.

use std::{
    fs, io,
    os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    os::unix::net::UnixListener as UnixSocket,
    path::{Path, PathBuf},
};

use biped::Error;
use tokio::net::{UnixListener, UnixStream};

use super::failed::Failed;
use crate::config::Serve;

/// A Unix socket.
#[derive(Debug)]
pub(super) struct Socket {
    listener: UnixListener,
    /// What is removed at the end; nothing of a socket that another process made.
    file: Option<File>,
}

#[derive(Debug)]
struct File {
    path: PathBuf,
    /// Another process may have put a socket of its own there.
    inode: u64,
}

impl Socket {
    pub(super) async fn accept(&self) -> io::Result<UnixStream> {
        Ok(self.listener.accept().await?.0)
    }

    /// Gives the socket the group and the permissions of the settings.
    pub(super) fn restrict(&self, serve: &Serve) -> io::Result<()> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        if !file.is_there() {
            return Err(io::Error::other("something else is at its path"));
        }
        let path = &file.path;
        if let Some(group) = serve.socket_group {
            std::os::unix::fs::lchown(path, None, Some(group))?;
        }
        fs::set_permissions(path, fs::Permissions::from_mode(serve.socket_mode))
    }
}

impl File {
    /// Whether the path still leads to this socket.
    fn is_there(&self) -> bool {
        fs::symlink_metadata(&self.path).is_ok_and(|file| file.ino() == self.inode)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if let Some(file) = self.file.as_ref().filter(|file| file.is_there()) {
            let _ = fs::remove_file(&file.path);
        }
    }
}

/// A socket that another process made.
pub(super) fn inherited(listener: UnixSocket) -> io::Result<Socket> {
    listener.set_nonblocking(true)?;
    Ok(Socket {
        listener: UnixListener::from_std(listener)?,
        file: None,
    })
}

pub(super) fn bind(path: &Path, serve: &Serve) -> Result<Socket, Failed> {
    if path.as_os_str().is_empty() {
        let error = Error::configuration("listen: unix: has no path");
        let error = error.with_remedy("write unix:PATH, such as unix:/run/biped/biped.sock");
        return Err(Failed::Refused(error));
    }
    let shown = path.display();
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let refuse = |what: String, remedy: &'static str| {
        let error = Error::configuration(what).with_remedy(remedy);
        Err(Failed::Refused(error))
    };
    let parent = fs::metadata(directory).map_err(Failed::Io)?;
    if !is_trusted(parent.uid()) {
        let what = format!("the directory of {shown} belongs to another user");
        return refuse(what, "listen in a directory of this user or of root");
    }
    if parent.mode() & 0o1002 == 0o002 {
        tracing::warn!(
            "other users can replace {shown}, because they can write to its directory; run chmod o-w \
             on the directory"
        );
    }
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(Failed::Io(error)),
        Ok(file) if file.file_type().is_symlink() => {
            let what = format!("{shown} is a symbolic link");
            return refuse(what, "listen at the path that it leads to");
        }
        Ok(file) if !file.file_type().is_socket() => {
            let what = format!("{shown} exists, and is not a socket");
            return refuse(what, "listen at another path, or remove it");
        }
        Ok(file) if !is_trusted(file.uid()) => {
            let what = format!("{shown} belongs to another user");
            return refuse(what, "listen at another path, or let its user remove it");
        }
        Ok(_) => match std::os::unix::net::UnixStream::connect(path) {
            Ok(_) => return Err(Failed::Io(io::ErrorKind::AddrInUse.into())),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                fs::remove_file(path).map_err(Failed::Io)?;
            }
            Err(error) => return Err(Failed::Io(error)),
        },
    }
    let listener = UnixListener::bind(path).map_err(Failed::Io)?;
    let inode = fs::symlink_metadata(path).map_err(Failed::Io)?.ino();
    let socket = Socket {
        listener,
        file: Some(File {
            path: path.to_owned(),
            inode,
        }),
    };
    socket.restrict(serve).map_err(Failed::Io)?;
    Ok(socket)
}

fn is_trusted(uid: u32) -> bool {
    uid == 0 || uid == rustix::process::geteuid().as_raw()
}
