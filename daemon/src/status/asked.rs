//! The way from whoever asks to a machine, and back.

use std::sync::Arc;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use vipward_core::machine::{Input, InputOf, Machine};
use vipward_core::status;

/// What one question is answered into.
type Question<S> = oneshot::Sender<Arc<S>>;

/// The machine's end. No lock is behind it: a thread that runs before all others must not wait for one that does not.
#[derive(Debug)]
pub struct Audience<S>(UnboundedReceiver<Question<S>>);

/// Where questions are put.
#[derive(Debug)]
pub struct Questions<S>(UnboundedSender<Question<S>>);

/// Both ends.
pub fn questions<S>() -> (Questions<S>, Audience<S>) {
    let (ask, asked) = unbounded_channel();
    (Questions(ask), Audience(asked))
}

impl<S> status::Audience<S> for Audience<S> {
    fn waits(&self) -> bool {
        !self.0.is_empty()
    }

    fn tell(&mut self, status: S) {
        let status = Arc::new(status);
        while let Ok(question) = self.0.try_recv() {
            // Who has gone needs no answer.
            let _ = question.send(status.clone());
        }
    }
}

impl<S> Questions<S> {
    /// Asks the machine behind `inputs`, and waits for its answer. `None`: it has ended.
    pub async fn ask<M: Machine>(&self, inputs: &UnboundedSender<InputOf<M>>) -> Option<Arc<S>> {
        let (question, answer) = oneshot::channel();
        self.0.send(question).ok()?;
        inputs.send(Input::Wakeup).ok()?;
        answer.await.ok()
    }
}
