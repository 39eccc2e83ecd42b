use super::*;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use vipward_core::config::Config;
use vipward_core::machine::{Input, Machine};
use vipward_core::record::{MachineName, Reader, Recorded, Step, from_state};
use vipward_core::time::Instant;
use vipward_core::vrrp::Election;

/// Waits for a condition with a generous deadline.
fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(std::time::Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn entries(path: &Path) -> Vec<Entry> {
    let bytes = std::fs::read(path).unwrap();
    Reader::new(&bytes).map(|item| item.unwrap_or_else(|damage| panic!("{}: {damage}", path.display())).entry).collect()
}

fn recorded(ring: &Ring) -> (Recording, Recorded<Election, Tap>) {
    let mut sources = Sources::default();
    sources.add("lb1.conf", "# the text");
    let recording = Recording::start(ring.clone(), "lb1".to_owned(), 7, &sources).unwrap();
    let machine = Recorded::new(Election::default(), recording.tap());
    (recording, machine)
}

fn load(machine: &mut impl Machine, at: u64) {
    machine.handle(Input::ConfigLoaded { config: Arc::new(Config::default()), seed: at }, Instant::from_millis(at));
}

#[test]
fn every_file_of_a_ring_can_be_checked_by_itself_and_together_they_miss_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let ring = Ring { file: folder.path().join("lb1.pcapng"), max_bytes: 2_000, files: 1_000 };
    let (recording, mut machine) = recorded(&ring);
    let mut count = 0;
    wait_for("the ring turns four times", || {
        (0..10).for_each(|more| load(&mut machine, count + more));
        count += 10;
        recording.tap().generation() >= 4
    });
    recording.finish();
    let files = || {
        let mut files: Vec<PathBuf> = std::fs::read_dir(folder.path()).unwrap().map(|it| it.unwrap().path()).collect();
        files.sort_by_key(|path| {
            entries(path).into_iter().find_map(|it| match it {
                Entry::Begin(begin) => Some(begin.file),
                _ => None,
            })
        });
        files
    };
    let files = files();
    assert!(files.len() > 3, "{files:?}");
    let mut seen = Vec::new();
    for path in &files {
        let entries = entries(path);
        assert!(matches!(&entries[0], Entry::Begin(begin) if begin.director == "lb1" && begin.run == 7));
        assert!(matches!(&entries[1], Entry::Files(files) if files[0].text == "# the text"));
        let mut machine: Option<Election> = None;
        for entry in entries {
            match entry {
                Entry::State { machine: MachineName::Election, state, .. } => machine = from_state(&state).ok(),
                Entry::Step(Step::Election(step)) => {
                    let machine = machine.as_mut().expect("the state comes before the steps");
                    assert_eq!(machine.handle(step.input, step.at), step.output);
                    seen.push(step.at);
                }
                _ => {}
            }
        }
    }
    assert_eq!(seen, (0..count).map(Instant::from_millis).collect::<Vec<_>>());
}

#[test]
fn no_more_files_are_kept_than_asked_for_and_only_the_owner_reads_them() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let ring = Ring { file: folder.path().join("r"), max_bytes: 65_536, files: 3 };
    for _ in 0..5 {
        let (recording, mut machine) = recorded(&ring);
        load(&mut machine, 1);
        recording.finish();
    }
    let mut names: Vec<String> =
        std::fs::read_dir(folder.path()).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["r", "r.1", "r.2"]);
    assert_eq!(std::fs::metadata(&ring.file).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn what_is_no_recording_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let ring = Ring { file: folder.path().join("keepalived.conf"), max_bytes: 65_536, files: 3 };
    std::fs::write(&ring.file, "vrrp_instance VI_1 {").unwrap();
    assert!(ring.turn().unwrap_err().to_string().contains("no recording"));
    assert_eq!(std::fs::read_to_string(&ring.file).unwrap(), "vrrp_instance VI_1 {");
    let link = Ring { file: folder.path().join("link"), ..ring };
    std::os::unix::fs::symlink("keepalived.conf", &link.file).unwrap();
    assert!(link.turn().unwrap_err().to_string().contains("no regular file"));
    assert!(Ring { file: "/dev/null".into(), ..link }.turn().is_err());
}

/// Something is in the folder's place: the director works, the steps are kept, and are written once the folder can be made.
#[test]
fn a_disk_that_refuses_is_tried_again_and_nothing_waits_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let ring = Ring { file: folder.path().join("later").join("r"), max_bytes: 1 << 30, files: 3 };
    std::fs::write(folder.path().join("later"), "in the way").unwrap();
    let (recording, mut machine) = recorded(&ring);
    for at in 0..u64::try_from(QUEUE).unwrap() + 100 {
        machine.handle(Input::Wakeup, Instant::from_millis(at));
    }
    std::fs::remove_file(folder.path().join("later")).unwrap();
    wait_for("the file comes", || ring.file.exists());
    wait_for("there is room again", || {
        let mut tap = recording.tap();
        tap.take(Entry::Lost { machine: MachineName::Balancer, at: Instant::ZERO, steps: 1 })
    });
    machine.handle(Input::Wakeup, Instant::from_millis(1 << 20));
    recording.finish();
    let entries = entries(&ring.file);
    let lost = entries.iter().find_map(|entry| match entry {
        Entry::Lost { machine: MachineName::Election, steps, .. } => Some(*steps),
        _ => None,
    });
    // One place in the queue was the first state's.
    assert_eq!(lost, Some(101), "{:?}", &entries[entries.len() - 3..]);
    let last = entries.iter().rposition(|entry| matches!(entry, Entry::State { .. })).unwrap();
    assert!(matches!(&entries[last + 1], Entry::Step(step) if step.at() == Instant::from_millis(1 << 20)));
}

/// A file that is long begins anew every so often: what stands behind a damaged place can be read and checked.
#[test]
fn the_later_part_of_a_file_is_checked_when_its_first_half_is_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let ring = Ring { file: folder.path().join("r"), max_bytes: 1 << 30, files: 3 };
    let (recording, mut machine) = recorded(&ring);
    let mut balancer = Recorded::new(vipward_core::balancer::Balancer::default(), recording.tap());
    let mut count = 0;
    wait_for("two sections more", || {
        for _ in 0..100 {
            load(&mut machine, count);
            count += 1;
        }
        load(&mut balancer, count);
        recording.tap().generation() >= 2
    });
    load(&mut machine, count);
    recording.finish();
    let mut bytes = std::fs::read(&ring.file).unwrap();
    assert!(!folder.path().join("r.1").exists(), "it is one file");
    let whole = Reader::new(&bytes).map(Result::unwrap).count();
    let half = bytes.len() / 2;
    bytes[..half].fill(0xa5);
    let mut reader = Reader::new(&bytes);
    let damage = reader.next().unwrap().unwrap_err();
    let resumed = reader.resume(&damage).unwrap();
    assert!(resumed >= half as u64, "{resumed} of {}", bytes.len());
    let later: Vec<Entry> = reader.map(|found| found.unwrap().entry).collect();
    assert!(later.len() < whole);
    assert!(matches!(&later[0], Entry::Begin(begin) if begin.run == 7 && begin.file == 0));
    assert!(matches!(&later[1], Entry::Files(files) if files[0].text == "# the text"));
    let (mut election, mut checked): (Option<Election>, u64) = (None, 0);
    for entry in later {
        match entry {
            Entry::State { machine: MachineName::Election, state, .. } => election = from_state(&state).ok(),
            Entry::Step(Step::Election(step)) => {
                if let Some(election) = &mut election {
                    assert_eq!(election.handle(step.input, step.at), step.output);
                    checked += 1;
                }
            }
            _ => {}
        }
    }
    assert!(checked > 0);
}
