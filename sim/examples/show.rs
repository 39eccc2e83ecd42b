use vipward_sim::explore::*;
use vipward_sim::runner::events::{Stage, product};
fn main() {
    let seed: u64 = std::env::args().nth(1).unwrap().parse().unwrap();
    let case = Case::draw(seed, 600).unwrap();
    let (texts, _) = case.texts();
    for (path, text) in &texts {
        println!("--- {}\n{}", path.display(), String::from_utf8_lossy(text));
    }
    let (scenario, ..) = case.scenario().unwrap();
    let mut stage = Stage::new(&scenario, None, &product);
    stage.play_until(|stage| !stage.watch().violations.is_empty()).unwrap();
    let run = stage.conclude();
    println!("{}", vipward_sim::timeline::render(&run));
}
