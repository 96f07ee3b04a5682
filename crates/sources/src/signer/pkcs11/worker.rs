//! [`Worker`]: calls that may never return, since a module's code does the work.

use std::{
    collections::VecDeque,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use biped_io::before;
use tokio::sync::oneshot;

/// Makes one call after the other, on a thread that lives for as long as there is one to make. A call that
/// does not return keeps this thread, and no other.
#[derive(Default)]
pub(super) struct Worker<S> {
    /// What the calls are made with. Held by the thread.
    tool: Mutex<S>,
    state: Mutex<State<S>>,
}

struct State<S> {
    waiting: VecDeque<Call<S>>,
    has_thread: bool,
    /// Whether a caller has waited in vain since a call began.
    overdue: bool,
}

struct Call<S> {
    make: Box<dyn FnOnce(&mut S) + Send>,
    caller: Weak<()>,
}

/// Why a call brought nothing.
#[derive(Debug)]
pub(super) enum Fault {
    /// An earlier call has not returned.
    Overdue,
    TimedOut,
    Panicked,
    NoThread(io::Error),
}

impl<S: Default + Send + 'static> Worker<S> {
    /// Makes a call after those that wait already, unless the time is over before it returns. What no caller
    /// waits for any more is not begun.
    pub(super) async fn call<T: Send + 'static>(
        self: &Arc<Self>,
        make: impl FnOnce(&mut S) -> T + Send + 'static,
        timeout: impl Future<Output = ()>,
    ) -> Result<T, Fault> {
        let (tell, told) = oneshot::channel();
        let caller = Arc::new(());
        self.begin(Call {
            make: Box::new(move |tool| drop(tell.send(make(tool)))),
            caller: Arc::downgrade(&caller),
        })?;
        match before(timeout, told).await {
            Some(told) => told.map_err(|_| Fault::Panicked),
            None => {
                let mut state = self.state();
                state.overdue = state.has_thread;
                Err(Fault::TimedOut)
            }
        }
    }

    fn begin(self: &Arc<Self>, call: Call<S>) -> Result<(), Fault> {
        let mut state = self.state();
        if state.overdue {
            return Err(Fault::Overdue);
        }
        state.waiting.retain(Call::is_awaited);
        state.waiting.push_back(call);
        if !state.has_thread {
            let worker = self.clone();
            // Not a thread of a runtime, which has a limited number and waits for them at its end.
            let thread = std::thread::Builder::new().name("biped-pkcs11".into());
            if let Err(error) = thread.spawn(move || worker.work()) {
                state.waiting.clear();
                return Err(Fault::NoThread(error));
            }
            state.has_thread = true;
        }
        Ok(())
    }

    /// Makes calls until none waits.
    fn work(&self) {
        let mut tool = self.tool.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(call) = self.next() {
            if catch_unwind(AssertUnwindSafe(|| (call.make)(&mut tool))).is_err() {
                *tool = S::default();
            }
        }
    }

    fn next(&self) -> Option<Call<S>> {
        let mut state = self.state();
        state.overdue = false;
        state.waiting.retain(Call::is_awaited);
        let next = state.waiting.pop_front();
        state.has_thread = next.is_some();
        next
    }

    fn state(&self) -> MutexGuard<'_, State<S>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> Call<S> {
    fn is_awaited(&self) -> bool {
        self.caller.strong_count() > 0
    }
}

impl<S> Default for State<S> {
    fn default() -> Self {
        Self {
            waiting: VecDeque::new(),
            has_thread: false,
            overdue: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::{pending, ready},
        pin::{Pin, pin},
        sync::mpsc,
    };

    use super::*;

    /// Begins a call, and leaves it waiting.
    async fn begin(call: Pin<&mut impl Future>) {
        tokio::select! {
            biased;
            _ = call => panic!("it returned"),
            () = ready(()) => {}
        }
    }

    #[tokio::test]
    async fn a_call_that_does_not_return_refuses_further_ones_and_stops_no_other_device() {
        let (stuck, other) = (Arc::<Worker<u32>>::default(), Arc::<Worker<u32>>::default());
        let (release, held) = mpsc::channel::<()>();
        let (time_is_up, timeout) = oneshot::channel::<()>();
        let (begins, begun) = mpsc::channel::<()>();
        let hangs = move |_: &mut u32| {
            begins.send(()).unwrap();
            held.recv().unwrap();
        };
        let first = stuck.call(hangs, async { timeout.await.unwrap() });
        let mut first = pin!(first);
        begin(first.as_mut()).await;
        begun.recv().unwrap();
        let mut second = pin!(stuck.call(|made| *made += 1, pending()));
        begin(second.as_mut()).await;
        {
            let mut left = pin!(stuck.call(|made| *made += 1, pending()));
            begin(left.as_mut()).await;
        }
        time_is_up.send(()).unwrap();
        assert!(matches!(first.await, Err(Fault::TimedOut)));
        for _ in 0..20 {
            let refused = stuck.call(|made| *made += 1, pending()).await;
            assert!(matches!(refused, Err(Fault::Overdue)));
        }
        other.call(|_| (), pending()).await.unwrap();

        release.send(()).unwrap();
        second.await.unwrap();
        // Neither what was refused was made, nor what no caller waited for.
        assert_eq!(stuck.call(|made| *made, pending()).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn after_a_panic_another_call_begins_anew() {
        let worker = Arc::<Worker<u32>>::default();
        worker.call(|made| *made += 1, pending()).await.unwrap();
        let panicked: Result<(), _> = worker.call(|_| panic!("as intended"), pending()).await;
        assert!(matches!(panicked, Err(Fault::Panicked)));
        assert_eq!(worker.call(|made| *made, pending()).await.unwrap(), 0);
    }
}
