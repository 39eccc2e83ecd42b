//! What happens in the demo, in order.

use super::arithmetic::Arithmetic;
use super::cluster::{Cluster, EVERY, FILES, LIMIT};
use super::screen::{Screen, Tone, millis, wrap};
use std::io;
use std::time::{Duration, Instant};
use vipward_lab::client::outages;

const NETWORK: &str = "
vipward demo: two directors, two web servers, a client, in namespaces of their own

                client 192.0.2.200       asks http://192.0.2.100/ every 10 ms
                   │
        ┌──────────┴──────────┐          front 192.0.2.0/24
       lb1                   lb2         virtual router 51, VIP 192.0.2.100
        └──────────┬──────────┘          back 198.51.100.0/24
        ┌──────────┴──────────┐
       web1                 web2

Both directors run this command's own `vipward run` with the files of
scenarios/two-directors/. The relay in user space carries the traffic, so that
it works on every kernel.";

/// How often the screen is brought up to date.
const TICK: Duration = Duration::from_millis(50);
/// Nothing in the demo takes longer, even on a slow machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// How lines of the log begin that are of no news here.
const CHATTER: [&str; 4] = ["vipward ", "interfaces here", "dataplane", "configuration applied"];

/// One line of the table at the end.
struct Row {
    fault: &'static str,
    longest: Duration,
    failed: usize,
    asked: usize,
    allowed: String,
}

/// Plays the whole demo.
pub fn tell() -> io::Result<()> {
    let [first, second] = FILES;
    let sums = Arithmetic::of(first, second)?;
    let screen = Screen::new();
    screen.text(Tone::Plain, NETWORK);
    let mut story = Story {
        cluster: Cluster::build()?,
        screen,
        chapter: Instant::now(),
        heard: Vec::new(),
        counting: false,
        down: None,
    };
    let mut rows = Vec::new();

    story.chapter("Both directors start");
    story.start(0)?;
    story.start(1)?;
    story.until("lb1 to become MASTER", |story| Ok(story.said("lb1", "-> MASTER")))?;
    story.until("an answer", Story::answered)?;
    story.begin_to_count();
    story.quiet(Duration::from_secs(3));
    story.sum_up();

    story.chapter("web1 is killed");
    story.kill_web();
    story.until("both directors to take web1 out", |story| Ok(story.both_said("198.51.100.21:80 is down")))?;
    story.quiet(Duration::from_secs(2));
    rows.push(story.row(
        "web1 killed",
        format!("0 ms: the next server is tried at once; out of the table within {}", millis(sums.server_down)),
    ));

    story.chapter("web1 comes back");
    story.start_web()?;
    story.until("both directors to put web1 back", |story| Ok(story.both_said("198.51.100.21:80 is up")))?;
    story.quiet(Duration::from_secs(2));
    rows.push(story.row("web1 back", "0 ms".to_owned()));

    story.chapter("The daemon on lb1, the MASTER, is killed with SIGKILL");
    story.kill(0);
    story.until("lb2 to become MASTER", |story| Ok(story.said("lb2", "-> MASTER")))?;
    story.until("an answer", Story::answered)?;
    story.quiet(Duration::from_secs(2));
    rows.push(story.row(
        "MASTER killed (SIGKILL)",
        format!(
            "{}: 3 x {} + Skew_Time {}, less the time since the last advert",
            millis(sums.master_down),
            millis(sums.advert_interval),
            millis(sums.skew)
        ),
    ));

    story.chapter("lb1 comes back");
    story.start(0)?;
    story.until("lb1 to become MASTER again", |story| Ok(story.said("lb1", "-> MASTER")))?;
    story.until("an answer", Story::answered)?;
    story.quiet(Duration::from_secs(3));
    rows.push(story.row("MASTER back (preempts)", "0 ms: lb2 serves until it hears lb1".to_owned()));

    story.chapter("The daemon on lb1 is stopped with SIGTERM");
    story.stop(0);
    story.until("lb2 to become MASTER", |story| Ok(story.said("lb2", "-> MASTER")))?;
    story.until("an answer", Story::answered)?;
    story.quiet(Duration::from_secs(2));
    rows.push(story.row("MASTER stopped (SIGTERM)", format!("{}: Skew_Time", millis(sums.skew))));

    story.chapter("The end");
    story.stop(1);
    story.until_ended()?;
    story.table(&rows);
    Ok(())
}

/// The cluster on its screen.
struct Story {
    cluster: Cluster,
    screen: Screen,
    /// When this chapter began.
    chapter: Instant,
    /// What was said in this chapter, and by whom.
    heard: Vec<(&'static str, String)>,
    /// From the first answer on; before it nobody served, and that is no outage.
    counting: bool,
    /// Since when the client has no answer.
    down: Option<Instant>,
}

impl Story {
    fn chapter(&mut self, title: &str) {
        self.chapter = Instant::now();
        self.heard.clear();
        self.screen.heading(title);
    }

    fn begin_to_count(&mut self) {
        self.screen.event(Instant::now(), "client", Tone::Good, "is answered");
        self.counting = true;
        self.chapter = Instant::now();
    }

    /// One line on what the client saw in this chapter.
    fn sum_up(&self) {
        let samples = self.cluster.client.samples_since(self.chapter);
        let failed = samples.iter().filter(|sample| sample.answer.is_err()).count();
        let last: Vec<_> = samples.iter().rev().take(100).filter_map(|sample| sample.answer.as_deref().ok()).collect();
        let [web1, web2] = ["web1", "web2"].map(|web| {
            let answers = last.iter().filter(|answer| **answer == web).count();
            (answers * 100).checked_div(last.len()).unwrap_or(0)
        });
        let sentence =
            format!("{} requests, {failed} failed; now answered by web1 {web1} %, web2 {web2} %", samples.len());
        self.screen.event(Instant::now(), "client", if failed == 0 { Tone::Good } else { Tone::Plain }, &sentence);
    }

    /// Goes on until no daemon runs and none has the VIP.
    fn until_ended(&mut self) -> io::Result<()> {
        for director in 0..self.cluster.directors.len() {
            self.until("both daemons to give the VIP back and end", |story| {
                let director = story.cluster.directors.get_mut(director);
                director.map_or(Ok(true), |director| Ok(director.has_ended()? && !director.has_vip()))
            })?;
        }
        Ok(())
    }

    fn start(&mut self, director: usize) -> io::Result<()> {
        if let Some(director) = self.cluster.directors.get_mut(director) {
            director.start()?;
        }
        Ok(())
    }

    fn kill(&mut self, director: usize) {
        if let Some(director) = self.cluster.directors.get_mut(director) {
            director.kill();
        }
    }

    fn stop(&mut self, director: usize) {
        if let Some(director) = self.cluster.directors.get_mut(director) {
            director.stop();
        }
    }

    fn kill_web(&mut self) {
        let [web1, _] = &mut self.cluster.webs;
        web1.kill();
    }

    fn start_web(&mut self) -> io::Result<()> {
        let [web1, _] = &mut self.cluster.webs;
        web1.start()
    }

    fn said(&self, who: &str, part: &str) -> bool {
        self.heard.iter().any(|(name, text)| *name == who && text.contains(part))
    }

    fn both_said(&self, part: &str) -> bool {
        self.said("lb1", part) && self.said("lb2", part)
    }

    /// The client's newest request was answered.
    fn answered(&mut self) -> io::Result<bool> {
        Ok(self.cluster.client.samples_since(self.chapter).last().is_some_and(|sample| sample.answer.is_ok()))
    }

    /// Goes on until `condition` holds.
    fn until(&mut self, what: &str, mut condition: impl FnMut(&mut Self) -> io::Result<bool>) -> io::Result<()> {
        let start = Instant::now();
        while !condition(self)? {
            if start.elapsed() > PATIENCE {
                return Err(io::Error::other(format!("waited {} s in vain for {what}", PATIENCE.as_secs())));
            }
            self.tick();
        }
        self.tick();
        Ok(())
    }

    /// Goes on for a while.
    fn quiet(&mut self, time: Duration) {
        let start = Instant::now();
        while start.elapsed() < time {
            self.tick();
        }
    }

    /// Shows what is new, then rests a moment.
    fn tick(&mut self) {
        let mut news = Vec::new();
        for director in &mut self.cluster.directors {
            news.extend(director.news().into_iter().map(|line| (director.name, line)));
        }
        news.sort_by_key(|(_, line)| line.at);
        for (name, line) in news {
            let (tone, sentence) = read_log(&line.text);
            if !CHATTER.iter().any(|start| sentence.starts_with(start)) {
                self.screen.event(line.at, name, tone, sentence);
            }
            self.heard.push((name, sentence.to_owned()));
        }
        self.show_client();
        std::thread::sleep(TICK);
    }

    fn show_client(&mut self) {
        if !self.counting {
            return;
        }
        let samples = self.cluster.client.samples();
        // Requests that are still under way may have begun before those that are over; look behind them.
        let settled = Instant::now().checked_sub(LIMIT + 2 * TICK);
        let recent = samples.iter().filter(|sample| sample.asked >= self.chapter && Some(sample.asked) < settled);
        let recent: Vec<_> = recent.cloned().collect();
        let failing = recent.last().is_some_and(|sample| sample.answer.is_err());
        match (self.down, failing) {
            (None, true) => {
                let error = recent.iter().rev().take_while(|sample| sample.answer.is_err()).last();
                if let Some(sample) = error {
                    let why = sample.answer.as_ref().err().map(String::as_str).unwrap_or_default();
                    self.screen.event(sample.asked, "client", Tone::Bad, &format!("gets no answer: {why}"));
                    self.down = Some(sample.asked);
                }
            }
            (Some(since), false) => {
                if let Some(outage) = outages(&recent).into_iter().rev().find(|outage| outage.to > since) {
                    let sentence = format!(
                        "is answered again after {} ({} requests failed)",
                        millis(outage.length()),
                        outage.failed
                    );
                    self.screen.event(outage.to, "client", Tone::Good, &sentence);
                    self.down = None;
                }
            }
            (None, false) | (Some(_), true) => {}
        }
        self.screen.alive(&samples);
    }

    /// What the client saw in this chapter.
    fn row(&self, fault: &'static str, allowed: String) -> Row {
        self.sum_up();
        let samples = self.cluster.client.samples_since(self.chapter);
        let outages = outages(&samples);
        Row {
            fault,
            longest: outages.iter().map(|outage| outage.length()).max().unwrap_or_default(),
            failed: outages.iter().map(|outage| outage.failed).sum(),
            asked: samples.len(),
            allowed,
        }
    }

    fn table(&self, rows: &[Row]) {
        self.screen.text(Tone::Plain, "\n");
        let head = format!("  {:<25}{:>9}{:>13}   {}", "fault", "outage", "failed", "what the protocol allows");
        self.screen.text(Tone::Heading, &head);
        for row in rows {
            let failed = format!("{} of {}", row.failed, row.asked);
            let mut front = format!("  {:<25}{:>9}{failed:>13}   ", row.fault, millis(row.longest));
            let columns = front.chars().count();
            for line in wrap(&row.allowed, self.screen.width().saturating_sub(columns)) {
                self.screen.text(Tone::Plain, &format!("{front:<columns$}{line}"));
                front.clear();
            }
        }
        self.screen.text(
            Tone::Quiet,
            &format!(
                "\nOutage: from the first request that failed to the next that was answered, {} ms between requests.\n\
                 Nothing is left behind: the namespaces end with this command.",
                EVERY.as_millis()
            ),
        );
    }
}

/// A line of the daemon's log without its time, which the timeline has already: how it looks, and the sentence.
fn read_log(line: &str) -> (Tone, &str) {
    let mut rest = line.trim_start();
    if rest.starts_with("20")
        && let Some((time, behind)) = rest.split_once(' ')
        && time.ends_with('Z')
    {
        rest = behind.trim_start();
    }
    let levels = [("ERROR", Tone::Bad), ("WARN", Tone::Bad), ("INFO", Tone::Plain), ("DEBUG", Tone::Quiet)];
    for (level, tone) in levels {
        if let Some(sentence) = rest.strip_prefix(level) {
            let sentence = sentence.trim_start();
            let good = sentence.contains("-> MASTER") || sentence.contains(" is up");
            return (if good && tone == Tone::Plain { Tone::Good } else { tone }, sentence);
        }
    }
    (Tone::Plain, rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_lines_lose_their_time_and_level() {
        let line = "2026-11-23T08:51:12.123456Z  INFO VI_1: BACKUP -> MASTER: started";
        assert_eq!(read_log(line), (Tone::Good, "VI_1: BACKUP -> MASTER: started"));
        let line = "2026-11-23T08:51:12.123456Z  WARN TCP 192.0.2.100:80: 198.51.100.21:80 is down: refused";
        assert_eq!(read_log(line), (Tone::Bad, "TCP 192.0.2.100:80: 198.51.100.21:80 is down: refused"));
        assert_eq!(read_log("something else"), (Tone::Plain, "something else"));
    }
}
