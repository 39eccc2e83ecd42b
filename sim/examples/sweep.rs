use vipward_sim::explore::*;
use vipward_sim::runner::events::product;
fn main() {
    let mut args = std::env::args().skip(1);
    let base: u64 = args.next().unwrap().parse().unwrap();
    let n: u64 = args.next().unwrap().parse().unwrap();
    let t = std::time::Instant::now();
    for seed in base..base + n {
        let s = std::time::Instant::now();
        match Case::draw(seed, 600).and_then(|case| run(&case, &product)) {
            Ok(v) => {
                for v in v.iter().take(1) {
                    println!("{seed}: {} {} {}", v.at, v.invariant, v.text);
                }
            }
            Err(e) => println!("{seed}: ERR {e}"),
        }
        let e = s.elapsed().as_millis();
        if e > 1000 {
            println!("{seed}: slow {e} ms");
        }
    }
    println!("{:?}", t.elapsed());
}
