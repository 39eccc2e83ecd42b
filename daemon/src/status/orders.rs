//! An operator's orders to the Balancer (`vipward drain`), and the way back of its answers.

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use vipward_core::balancer::drain::order::Order;
use vipward_core::balancer::{Balancer, Event};
use vipward_core::machine::InputOf;

/// The number of an order, and why nothing came of it, if so.
type Answer = (u64, Option<String>);

/// Where orders are given, one after the other.
#[derive(Debug)]
pub struct Orders {
    next: u64,
    answers: UnboundedReceiver<Answer>,
}

/// Where the Balancer's world answers. It never waits.
#[derive(Debug)]
pub struct Answers(UnboundedSender<Answer>);

/// Both ends.
pub fn orders() -> (Orders, Answers) {
    let (tell, answers) = unbounded_channel();
    (Orders { next: 1, answers }, Answers(tell))
}

impl Answers {
    pub fn tell(&self, number: u64, refused: Option<String>) {
        // A worker that ends hears nothing any more.
        let _ = self.0.send((number, refused));
    }
}

impl Orders {
    /// Gives an order to the machine behind `inputs`, and waits for its answer: why not, where it is refused. `None`: the machine has ended.
    pub async fn give(
        &mut self,
        order: Order,
        inputs: &UnboundedSender<InputOf<Balancer>>,
    ) -> Option<Result<(), String>> {
        let number = self.next;
        self.next += 1;
        inputs.send(Event::from((number, order)).into()).ok()?;
        loop {
            // Answers that nobody waited for any more come first.
            let (answered, refused) = self.answers.recv().await?;
            if answered == number {
                return Some(refused.map_or(Ok(()), Err));
            }
        }
    }
}
