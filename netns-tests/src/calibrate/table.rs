//! The table that people read: a row for each case, the model beside reality.

use super::catalogue::Calibrated;
use super::facts::{Facts, Figure, contradictions, deviation};
use super::model::model;
use super::play::play;
use std::time::Duration;

/// One case, played.
#[derive(Clone, Debug)]
pub struct Compared {
    /// The cluster with its pace.
    pub cluster: String,
    pub fault: String,
    pub model: Vec<Facts>,
    pub real: Facts,
    /// See [`super::contradictions`].
    pub contradictions: Vec<String>,
    /// How often it was played before it agreed, or at all.
    pub plays: u32,
}

/// Plays a case in the simulator and for real, so often at most as long as the two contradict, and tells both, with what the
/// daemons logged the last time.
///
/// # Errors
/// What could not be played.
pub fn compare(calibrated: &Calibrated, most: u32) -> Result<(Compared, String), String> {
    let model: Vec<Facts> = model(calibrated)?.iter().map(Facts::of).collect();
    let mut plays = 0;
    loop {
        plays += 1;
        let (row, said) = vipward_lab::apart(|| play(calibrated)).map_err(|error| error.to_string())??;
        let real = Facts::of(&row);
        let contradictions = contradictions(&model, &real);
        if contradictions.is_empty() || plays >= most {
            let cluster = format!("{}, {}", calibrated.cluster.name, calibrated.cluster.pace);
            let fault = calibrated.case.fault.clone();
            return Ok((Compared { cluster, fault, model, real, contradictions, plays }, said));
        }
    }
}

const FIGURES: [Figure; 3] = [Figure::Outage, Figure::Degraded, Figure::TwoOwners];

impl Compared {
    /// The time that is farthest off.
    pub fn worst(&self) -> Duration {
        FIGURES.iter().map(|figure| deviation(&self.model, &self.real, *figure).0).max().unwrap_or_default()
    }
}

fn seconds(time: Duration) -> String {
    if time.is_zero() { "–".to_owned() } else { format!("{:.1}", time.as_secs_f64()) }
}

/// `3.4`, or `2.6 to 3.4` where it depends on what nothing shows.
fn range(model: &[Facts], figure: Figure) -> String {
    let all = || model.iter().map(|facts| facts.times.get(&figure).copied().unwrap_or_default());
    let (least, most) = (seconds(all().min().unwrap_or_default()), seconds(all().max().unwrap_or_default()));
    if least == most { least } else { format!("{least} to {most}") }
}

fn failed(model: &[Facts]) -> String {
    let all = || model.iter().map(|facts| facts.failed);
    let (least, most) = (all().min().unwrap_or_default(), all().max().unwrap_or_default());
    if least == most { least.to_string() } else { format!("{least} to {most}") }
}

/// The table's head, as Markdown.
pub const HEAD: &str = "| case | owners | outage, model (s) | real | degraded, model (s) | real | two owners, model (s) \
    | real | failed, model | real | off (s) |\n|---|---|---|---|---|---|---|---|---|---|---|";

/// A row of it.
pub fn row(compared: &Compared) -> String {
    let mut cells = vec![compared.fault.clone(), compared.real.owners.clone()];
    for figure in FIGURES {
        cells.push(range(&compared.model, figure));
        cells.push(seconds(compared.real.times.get(&figure).copied().unwrap_or_default()));
    }
    cells.push(failed(&compared.model));
    cells.push(compared.real.failed.to_string());
    let mark = if compared.contradictions.is_empty() { "" } else { " **contradicts**" };
    cells.push(format!("{:.2}{mark}", compared.worst().as_secs_f64()));
    format!("| {} |", cells.join(" | "))
}

/// How far all of them are off together.
pub fn summary(all: &[Compared]) -> String {
    let mut worst: Vec<Duration> = all.iter().map(Compared::worst).collect();
    worst.sort();
    let median = worst.get(worst.len() / 2).copied().unwrap_or_default();
    let most = worst.last().copied().unwrap_or_default();
    let contradict = all.iter().filter(|one| !one.contradictions.is_empty()).count();
    let again = all.iter().filter(|one| one.plays > 1).count();
    format!(
        "{} cases, {contradict} contradict; a time is off by {:.2} s in the median, by {:.2} s at the worst; {again} \
         were played more than once",
        all.len(),
        median.as_secs_f64(),
        most.as_secs_f64()
    )
}
