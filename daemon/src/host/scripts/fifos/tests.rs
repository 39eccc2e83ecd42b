use super::super::tests::means;
use super::*;
use crate::testing::on_local_set;
use std::fs::{self, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

const PLENTY: Duration = Duration::from_secs(60);

fn config(path: &Path, script: Option<&str>) -> Config {
    let path: Arc<str> = path.to_str().unwrap().into();
    let script = script.map(|script| Command {
        argv: vec!["/bin/sh".to_owned(), "-c".to_owned(), script.to_owned(), "own".to_owned(), path.to_string()],
        user: None,
    });
    let mut config = Config::default();
    config.global.fifos.vrrp = Some(Fifo { path, user: None, script });
    config
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let all = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PLENTY, all).await.expect(what);
}

fn lines(path: &Path) -> Vec<String> {
    fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

/// Copies what it reads into the file beside the FIFO, and says when it begins and is ended.
const COPY: &str = "echo begins >> $1.log; trap 'echo ended >> $1.log; exit' TERM; exec 3<$1; \
                    while read -r line <&3; do echo \"$line\" >> $1.log; done";

fn copier(path: &Path) -> Config {
    config(path, Some(COPY))
}

#[test]
fn a_fifo_is_made_its_reader_gets_every_line_and_both_end_with_the_director() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f");
    let log = folder.path().join("f.log");
    on_local_set(async {
        let fifos = Fifos::start(means(PLENTY)).unwrap();
        fifos.loaded(&copier(&path), Vec::new());
        for n in 0..100 {
            fifos.put(path.to_str().unwrap(), &format!("line {n}"));
            fifos.put("/nowhere", "not wanted");
        }
        until("100 lines", || lines(&log).len() == 101).await;
        let data = fs::symlink_metadata(&path).unwrap();
        assert!(data.file_type().is_fifo());
        assert_eq!(data.permissions().mode() & 0o7777, 0o600);
        // A reload starts the reader anew.
        fifos.loaded(&copier(&path), Vec::new());
        until("the second reader", || lines(&log).iter().filter(|line| *line == "begins").count() == 2).await;
        fifos.put(path.to_str().unwrap(), "last");
        fifos.end().await;
        let all = lines(&log);
        let expected: Vec<String> = (0..100).map(|n| format!("line {n}")).collect();
        assert_eq!(all[1..101], expected);
        assert_eq!(all[101..], ["ended", "begins", "last", "ended"]);
        assert!(!path.exists());
    });
}

#[test]
fn what_nobody_reads_is_dropped_and_holds_nothing_up_and_who_reads_late_gets_the_newest() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f");
    // It was there before: it stays as it is.
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::from_bits_truncate(0o640)).unwrap();
    on_local_set(async {
        let fifos = Fifos::start(means(PLENTY)).unwrap();
        fifos.loaded(&config(&path, None), Vec::new());
        for n in 0..20_000 {
            fifos.put(path.to_str().unwrap(), &format!("line {n}"));
            if n % 1000 == 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        fifos.put(path.to_str().unwrap(), "newest");
        let mut reader = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(&path).unwrap();
        let (mut text, mut buffer) = (String::new(), [0; 4096]);
        let began = std::time::Instant::now();
        while !text.ends_with("newest\n") {
            assert!(began.elapsed() < PLENTY);
            match reader.read(&mut buffer) {
                Ok(length) => text += std::str::from_utf8(&buffer[..length]).unwrap(),
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
        let numbers: Vec<u32> = text.lines().filter_map(|line| line.strip_prefix("line ")?.parse().ok()).collect();
        assert_eq!(numbers[..2], [0, 1]);
        assert!(numbers.is_sorted() && numbers.len() < 20_000, "whole lines in their order");
        fifos.end().await;
        assert!(path.exists());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o640);
    });
}

#[test]
fn a_successor_goes_on_with_the_fifo_and_its_reader() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f");
    let log = folder.path().join("f.log");
    on_local_set(async {
        let old = Fifos::start(means(PLENTY)).unwrap();
        old.loaded(&copier(&path), Vec::new());
        old.put(path.to_str().unwrap(), "one");
        until("the first line", || lines(&log).len() == 2).await;
        // Nobody takes it the first time.
        drop(old.give().await);
        old.take_back();
        old.put(path.to_str().unwrap(), "two");
        until("the second line", || lines(&log).len() == 3).await;
        let new = Fifos::start(means(PLENTY)).unwrap();
        // Before it has what was left.
        new.put(path.to_str().unwrap(), "three");
        new.loaded(&copier(&path), old.give().await);
        drop(old);
        until("the third line", || lines(&log).len() == 4).await;
        new.end().await;
        assert_eq!(lines(&log), ["begins", "one", "two", "three", "ended"]);
        assert!(!path.exists());
    });
}

#[test]
fn a_file_that_is_no_fifo_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f");
    fs::write(&path, "precious").unwrap();
    on_local_set(async {
        let fifos = Fifos::start(means(PLENTY)).unwrap();
        fifos.loaded(&copier(&path), Vec::new());
        fifos.put(path.to_str().unwrap(), "line");
        fifos.end().await;
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
        assert!(!folder.path().join("f.log").exists());
    });
}
