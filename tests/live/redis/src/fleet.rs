//! [`Fleet`]: processes that are started, watched and killed.

use std::{
    collections::HashSet,
    process::Stdio,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    sync::{Semaphore, mpsc},
    task::JoinHandle,
};

/// What a worker is started with.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) token_endpoint: String,
    pub(crate) store: Option<String>,
    pub(crate) refresh_at: f64,
    /// Between two calls.
    pub(crate) pause: Duration,
}

pub(crate) struct Fleet {
    setup: Setup,
    workers: Vec<Worker>,
    log: Arc<Mutex<Log>>,
    /// The processes whose last operation on the store failed.
    without: Arc<Mutex<HashSet<u32>>>,
    news: mpsc::UnboundedSender<(u32, News)>,
    heard: mpsc::UnboundedReceiver<(u32, News)>,
    /// A permit for each process that has had its first token.
    begun: Arc<Semaphore>,
}

struct Worker {
    child: Child,
    reader: JoinHandle<()>,
}

/// What workers did since somebody looked.
#[derive(Default)]
pub(crate) struct Log {
    pub(crate) calls: u64,
    pub(crate) failed: Vec<String>,
    pub(crate) slowest: Duration,
    /// How often the store of a process failed that had worked.
    pub(crate) lapses: u64,
    /// What the processes that have ended asked of their store.
    pub(crate) operations: u64,
    /// The time of a processor that they took.
    pub(crate) cpu: Duration,
}

/// A token request of a process.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum News {
    Fetching,
    Done,
}

impl Fleet {
    pub(crate) fn start(setup: Setup, count: usize) -> Self {
        let (news, heard) = mpsc::unbounded_channel();
        let mut fleet = Self {
            setup,
            workers: Vec::new(),
            log: Arc::default(),
            without: Arc::default(),
            news,
            heard,
            begun: Arc::new(Semaphore::new(0)),
        };
        fleet.grow(count);
        fleet
    }

    /// Starts `count` processes as a deployment does: no more at a time than the machine can start, each
    /// beside those that have their token.
    pub(crate) async fn roll_out(setup: Setup, count: usize) -> Self {
        let mut fleet = Self::start(setup, 0);
        let at_a_time = std::thread::available_parallelism().unwrap().get();
        fleet.begun.add_permits(at_a_time);
        for _ in 0..count {
            fleet.begun.acquire().await.unwrap().forget();
            fleet.grow(1);
        }
        // Until the last ones have begun.
        let last = u32::try_from(at_a_time).unwrap();
        drop(fleet.begun.acquire_many(last).await);
        fleet
    }

    /// Starts more processes.
    pub(crate) fn grow(&mut self, count: usize) {
        for _ in 0..count {
            let Setup {
                token_endpoint,
                store,
                refresh_at,
                pause,
            } = &self.setup;
            let mut child = Command::new(std::env::current_exe().unwrap())
                .arg("worker")
                .arg(token_endpoint)
                .arg(store.as_deref().unwrap_or("-"))
                .arg(refresh_at.to_string())
                .arg(pause.as_millis().to_string())
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .kill_on_drop(true)
                .spawn()
                .unwrap();
            let lines = BufReader::new(child.stdout.take().unwrap()).lines();
            let told = Told {
                id: child.id().unwrap(),
                log: self.log.clone(),
                without: self.without.clone(),
                news: self.news.clone(),
                begun: self.begun.clone(),
            };
            let reader = tokio::spawn(read(lines, told));
            self.workers.push(Worker { child, reader });
        }
    }

    /// The next that somebody asks the vendor, or has an answer.
    pub(crate) async fn heard(&mut self) -> (u32, News) {
        self.heard.recv().await.unwrap()
    }

    /// Waits until the vendor has been asked for the next token.
    pub(crate) async fn renewed(&mut self) {
        while self.heard.try_recv().is_ok() {}
        while self.heard().await.1 != News::Done {}
    }

    /// How many processes have not used the store again since it failed.
    pub(crate) fn without_store(&self) -> usize {
        self.without.lock().unwrap().len()
    }

    /// Kills a process with SIGKILL.
    pub(crate) async fn kill(&mut self, id: u32) {
        let found = self
            .workers
            .iter()
            .position(|worker| worker.child.id() == Some(id));
        let mut worker = self.workers.swap_remove(found.unwrap());
        worker.child.kill().await.unwrap();
    }

    /// What happened since this was asked last.
    pub(crate) fn take(&self) -> Log {
        std::mem::take(&mut *self.log.lock().unwrap())
    }

    /// Ends all processes.
    pub(crate) async fn stop(self) -> Log {
        let Self { workers, log, .. } = self;
        for mut worker in workers {
            drop(worker.child.stdin.take());
            worker.child.wait().await.unwrap();
            worker.reader.await.unwrap();
        }
        std::mem::take(&mut *log.lock().unwrap())
    }
}

/// Where the news of a process goes.
struct Told {
    id: u32,
    log: Arc<Mutex<Log>>,
    without: Arc<Mutex<HashSet<u32>>>,
    news: mpsc::UnboundedSender<(u32, News)>,
    begun: Arc<Semaphore>,
}

async fn read(mut lines: tokio::io::Lines<BufReader<tokio::process::ChildStdout>>, told: Told) {
    let Told {
        id,
        log,
        without,
        news,
        begun,
    } = told;
    while let Ok(Some(line)) = lines.next_line().await {
        let (what, rest) = line.split_once(' ').unwrap_or((&line, ""));
        let milliseconds = || Duration::from_millis(rest.parse().unwrap());
        let mut log = log.lock().unwrap();
        match what {
            "F" => drop(news.send((id, News::Fetching))),
            "D" => drop(news.send((id, News::Done))),
            "B" => begun.add_permits(1),
            "E" => log.failed.push(rest.into()),
            "S" => log.slowest = log.slowest.max(milliseconds()),
            "X" => {
                log.lapses += 1;
                without.lock().unwrap().insert(id);
            }
            "K" => drop(without.lock().unwrap().remove(&id)),
            "O" => log.operations += rest.parse::<u64>().unwrap(),
            "C" => log.cpu += milliseconds(),
            "R" => log.calls += rest.parse::<u64>().unwrap(),
            _ => log.failed.push(format!("a worker says {line}")),
        }
    }
    without.lock().unwrap().remove(&id);
}
