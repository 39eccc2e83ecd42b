//! Work on a thread of a node, which ends with whoever has it.

use crate::node::Node;
use std::io;
use std::thread::JoinHandle;
use tokio::sync::oneshot;

/// Dropping it ends the work, and waits for that.
pub(crate) struct Background {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Background {
    /// Does it on a runtime of its own.
    pub fn start<F: Future<Output = ()>>(
        node: &Node,
        name: &'static str,
        work: impl FnOnce() -> F + Send + 'static,
    ) -> io::Result<Self> {
        let (stop, stopped) = oneshot::channel();
        let thread = node.thread(name, move || {
            let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
            runtime.block_on(async {
                tokio::select! {
                    biased;
                    _ = stopped => {}
                    () = work() => {}
                }
            });
        })?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
