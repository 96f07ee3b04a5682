//! The manager's primitives, with a point before each access where another task may go first.
//!
//! Locks and atomics are shuttle's. What is arc_swap's and tokio's stays theirs, and is one step.

use std::{
    cell::RefCell,
    future::Future,
    hash::{BuildHasherDefault, DefaultHasher},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::Pin,
    sync::{Arc, PoisonError},
    task::{Context, Poll},
};

pub(crate) use shuttle::sync::{Mutex, MutexGuard, RwLock, atomic};
use shuttle::{
    future::{AbortHandle, JoinHandle},
    sync::atomic::{AtomicBool, Ordering::SeqCst},
};
pub(crate) use tokio::sync::oneshot;

/// The same in each run, so that a schedule can be played again.
pub(crate) type DefaultHashBuilder = BuildHasherDefault<DefaultHasher>;

/// A point where another task may go first.
#[derive(Default)]
pub(crate) struct Step(AtomicBool);

impl Step {
    pub(crate) fn take(&self) {
        self.0.load(SeqCst);
    }
}

pub(crate) struct ArcSwapOption<T> {
    step: Step,
    inner: arc_swap::ArcSwapOption<T>,
}

impl<T> Default for ArcSwapOption<T> {
    fn default() -> Self {
        Self {
            step: Step::default(),
            inner: arc_swap::ArcSwapOption::empty(),
        }
    }
}

impl<T> ArcSwapOption<T> {
    pub(crate) fn load(&self) -> arc_swap::Guard<Option<Arc<T>>> {
        self.step.take();
        self.inner.load()
    }

    pub(crate) fn load_full(&self) -> Option<Arc<T>> {
        self.step.take();
        self.inner.load_full()
    }

    pub(crate) fn store(&self, value: Option<Arc<T>>) {
        self.step.take();
        self.inner.store(value);
    }
}

pub(crate) struct OnceLock<T> {
    step: Step,
    inner: std::sync::OnceLock<T>,
}

impl<T> OnceLock<T> {
    pub(crate) fn new() -> Self {
        Self {
            step: Step::default(),
            inner: std::sync::OnceLock::new(),
        }
    }

    pub(crate) fn get(&self) -> Option<&T> {
        self.step.take();
        self.inner.get()
    }

    pub(crate) fn set(&self, value: T) -> Result<(), T> {
        self.step.take();
        self.inner.set(value)
    }
}

#[derive(Default)]
pub(crate) struct Notify {
    step: Step,
    inner: tokio::sync::Notify,
}

impl Notify {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn notified(&self) -> tokio::sync::futures::Notified<'_> {
        self.step.take();
        self.inner.notified()
    }

    pub(crate) fn notify_waiters(&self) {
        self.step.take();
        self.inner.notify_waiters();
    }
}

/// A runtime that tasks are started on, and that can end.
#[derive(Clone, Default)]
pub(crate) struct Handle(Arc<Mutex<Tasks>>);

#[derive(Default)]
struct Tasks {
    ended: bool,
    running: Vec<AbortHandle>,
}

pub(crate) struct NoRuntime;

shuttle::thread_local! {
    static CURRENT: RefCell<Option<Handle>> = RefCell::default();
}

impl Handle {
    pub(crate) fn try_current() -> Result<Self, NoRuntime> {
        CURRENT.with(|current| current.borrow().clone().ok_or(NoRuntime))
    }

    /// Runs the task, or drops it on the spot where the runtime has ended.
    pub(crate) fn spawn<F>(&self, task: F) -> Option<JoinHandle<Option<F::Output>>>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let mut tasks = self.lock();
        if tasks.ended {
            drop(tasks);
            drop(task);
            return None;
        }
        let runtime = self.clone();
        let task = Caught(Box::pin(task));
        let running = shuttle::future::spawn(async move {
            runtime.enter();
            task.await
        });
        tasks.running.push(running.abort_handle());
        Some(running)
    }

    /// Makes this the runtime of the current task.
    pub(crate) fn enter(&self) {
        CURRENT.with(|current| *current.borrow_mut() = Some(self.clone()));
    }

    /// Drops its tasks, each where it stands.
    pub(crate) fn end(&self) {
        let running = {
            let mut tasks = self.lock();
            tasks.ended = true;
            std::mem::take(&mut tasks.running)
        };
        for task in running {
            task.abort();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Tasks> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a provider panics with.
pub(crate) struct ProviderPanic;

/// A task whose panic stays its own, as tokio has it; any other panic fails the check.
struct Caught<F>(Pin<Box<F>>);

impl<F: Future> Future for Caught<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match catch_unwind(AssertUnwindSafe(|| self.0.as_mut().poll(cx))) {
            Ok(poll) => poll.map(Some),
            Err(panic) if panic.is::<ProviderPanic>() => Poll::Ready(None),
            Err(panic) => resume_unwind(panic),
        }
    }
}
