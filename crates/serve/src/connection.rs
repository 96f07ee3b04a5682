//! One connection of a caller: its requests, its timeouts, its end.

mod service;

use std::{sync::Arc, time::Duration};

use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

use self::service::Service;
use crate::{
    activity::{Activity, Reset, Timed},
    guard, meter,
    peer::{ListenerInfo, Peer},
    shared::{Shared, Stage},
    tls::Tls,
};

/// How long an idle connection of a probe is kept at most: there are few of them.
const PROBE_IDLE: Duration = Duration::from_secs(30);

/// Serves a TCP connection until its end, encrypted where the configuration says so.
pub(crate) async fn open(
    shared: Arc<Shared>,
    listener: Arc<ListenerInfo>,
    peer: Peer,
    stream: TcpStream,
) {
    let tls = shared.live.load().tls.clone();
    match tls.filter(|_| !listener.is_probe) {
        // Its states are three times as large, and would be in the memory of every connection.
        Some(tls) => Box::pin(open_tls(tls, shared, listener, peer, stream)).await,
        None => serve(shared, listener, peer, stream).await,
    }
}

async fn open_tls(
    tls: Arc<Tls>,
    shared: Arc<Shared>,
    listener: Arc<ListenerInfo>,
    mut peer: Peer,
    stream: TcpStream,
) {
    let mut stage = shared.stage.subscribe();
    let accepted = tokio::select! {
        biased;
        accepted = tls.accept(stream) => accepted,
        _ = stage.wait_for(|stage| *stage >= Stage::Closing) => return,
    };
    if let Some((stream, secured)) = accepted {
        peer.secured = Some(secured);
        Box::pin(serve(shared, listener, peer, stream)).await;
    }
}

/// Serves a connection until its end.
pub(crate) async fn serve<S>(
    shared: Arc<Shared>,
    listener: Arc<ListenerInfo>,
    peer: Peer,
    stream: S,
) where
    S: AsyncRead + AsyncWrite + Reset + Unpin + Send + 'static,
{
    let _counted = (!listener.is_probe).then(|| shared.presence.connected());
    let _measured = meter::Connection::new(&listener.label);
    let serve = &shared.live.load().serve;
    let max_head = serve.max_head;
    let keep_alive = match listener.is_probe {
        true => serve.keep_alive.min(PROBE_IDLE),
        false => serve.keep_alive,
    };
    let activity = Activity::new(keep_alive);
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_buf_size(max_head)
        .max_headers(guard::MAX_FIELDS)
        .half_close(false);
    builder
        .http2()
        .timer(TokioTimer::new())
        .adaptive_window(true)
        .max_concurrent_streams(256)
        .max_header_list_size(u32::try_from(max_head).unwrap_or(u32::MAX))
        .keep_alive_interval(Some(Duration::from_secs(30)));
    let service = Service::new(shared.clone(), listener.clone(), peer, activity.clone());
    let io = TokioIo::new(Timed::new(stream, activity.clone()));
    let connection = builder.serve_connection(io, service);
    tokio::pin!(connection);
    let mut stage = shared.stage.subscribe();
    let mut removed = listener.removed.subscribe();
    let mut is_closing = false;
    loop {
        let current = *stage.borrow_and_update();
        if current >= Stage::Over {
            return;
        }
        let is_removed = *removed.borrow_and_update();
        if (current >= Stage::Closing || is_removed) && !is_closing {
            is_closing = true;
            connection.as_mut().graceful_shutdown();
        }
        tokio::select! {
            biased;
            end = connection.as_mut() => {
                if let Err(error) = end {
                    tracing::debug!("a caller's connection ended: {error}");
                }
                return;
            }
            changed = stage.changed() => {
                if changed.is_err() {
                    return;
                }
            }
            _ = removed.changed(), if !is_removed => {}
            () = activity.expired() => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size<A, B, C, D, F>(_: impl FnOnce(A, B, C, D) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn an_idle_connection_takes_little_memory() {
        let open = size(open);
        assert!(open < 3 * 1024, "{open} bytes");
    }
}
