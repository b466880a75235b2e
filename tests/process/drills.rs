//! What operators do, done under load: connections that age, a rolling restart, a backup that everything is restored from, and another number
//! of partitions.

mod backup;
mod connection_age;
mod growing;
mod rolling;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tollgate::grpc::v1::debit_response::Outcome;
use tonic::Code;

use crate::service::{Client, debit, until};

/// Charges one by one from some tasks, each by a request id of its own, until it is stopped.
struct Load {
    acknowledged: Arc<Mutex<Vec<String>>>,
    is_stopped: Arc<AtomicBool>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Load {
    /// Charges this account 1 each time. A service that is gone ends it.
    fn on(client: &Client, account: &'static str) -> Self {
        Self::on_with(client, account, "load")
    }

    /// The same, by request ids that begin so.
    fn on_with(client: &Client, account: &'static str, prefix: &str) -> Self {
        let (acknowledged, is_stopped) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let tasks = (0..4).map(|task| {
            let (mut client, acknowledged, is_stopped) = (client.clone(), Arc::clone(&acknowledged), Arc::clone(&is_stopped));
            let prefix = prefix.to_owned();
            tokio::spawn(async move {
                for number in 0.. {
                    let id = format!("{prefix}-{task}-{number}");
                    match client.charging.debit(debit(account, &id, "1")).await {
                        Ok(answer) => {
                            assert!(matches!(answer.into_inner().outcome, Some(Outcome::Charged(_))));
                            acknowledged.lock().unwrap().push(id);
                        }
                        Err(status) => {
                            assert!(is_stopped.load(Ordering::Relaxed) && status.code() != Code::Internal, "{status:?}");
                            return;
                        }
                    }
                    if is_stopped.load(Ordering::Relaxed) {
                        return;
                    }
                }
            })
        });
        Self { tasks: tasks.collect(), acknowledged: Arc::clone(&acknowledged), is_stopped: Arc::clone(&is_stopped) }
    }

    /// What was acknowledged so far.
    fn acknowledged(&self) -> Vec<String> {
        self.acknowledged.lock().unwrap().clone()
    }

    /// Waits until so many more were acknowledged.
    async fn goes_on(&self, count: usize) {
        let before = self.acknowledged().len();
        until("charges go on", async || (self.acknowledged().len() >= before + count).then_some(())).await;
    }

    /// From now on, errors are expected.
    fn may_fail(&self) {
        self.is_stopped.store(true, Ordering::Relaxed);
    }

    /// Ends it; all that was acknowledged.
    async fn end(self) -> Vec<String> {
        self.may_fail();
        for task in self.tasks {
            task.await.unwrap();
        }
        self.acknowledged.lock().unwrap().clone()
    }
}

/// Asserts that each of these charges was done: a repetition is one.
async fn are_there(client: &mut Client, account: &str, ids: &[String]) {
    for id in ids {
        let answer = client.charging.debit(debit(account, id, "1")).await.unwrap().into_inner();
        assert!(answer.replayed && matches!(answer.outcome, Some(Outcome::Charged(_))), "{id} is lost: {answer:?}");
    }
}
