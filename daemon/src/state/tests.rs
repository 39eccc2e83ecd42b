//! State files on a disk that works, and on disks that don't.

use super::*;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Instant;
use vipward_core::estate::{BalancerEstate, ElectionEstate};

const SOON: std::time::Duration = std::time::Duration::from_secs(60);

fn place(folder: &Path) -> Place {
    Place::new(folder, Path::new("/etc/keepalived/keepalived.conf"), "lb1")
}

fn balancer(attempts: u64) -> Estate {
    Estate::Balancer(BalancerEstate { attempts, ..Default::default() })
}

fn election() -> Estate {
    Estate::Election(ElectionEstate::default())
}

fn until(condition: impl Fn() -> bool) {
    let deadline = Instant::now() + SOON;
    while !condition() {
        assert!(Instant::now() < deadline, "it never came true");
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}

#[test]
fn what_was_put_down_last_is_there_for_the_next_process_and_gone_after_an_orderly_stop() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("not/yet");
    let place = place(&inner);
    assert_eq!(place.read(MachineName::Election), None);
    let shelf = Shelf::start(place.clone()).unwrap();
    shelf.slot().keep(election());
    for attempts in 0..=100 {
        shelf.slot().keep(balancer(attempts));
    }
    until(|| place.read(MachineName::Balancer) == Some(balancer(100)));
    until(|| place.read(MachineName::Election) == Some(election()));
    let modes = [inner.clone(), place.path(MachineName::Election)]
        .map(|path| fs::metadata(path).unwrap().permissions().mode() & 0o777);
    assert_eq!(modes, [0o700, 0o600]);
    shelf.clear();
    assert_eq!(fs::read_dir(&inner).unwrap().count(), 0);
    shelf.slot().keep(election());
    std::thread::sleep(std::time::Duration::from_millis(20));
    assert_eq!(fs::read_dir(&inner).unwrap().count(), 0, "nothing is written after the end");
    shelf.open().unwrap();
    shelf.slot().keep(balancer(5));
    until(|| place.read(MachineName::Balancer) == Some(balancer(5)));
    shelf.clear();
}

#[test]
fn directors_of_one_machine_keep_apart() {
    let folder = tempfile::tempdir().unwrap();
    let config = Path::new("/etc/keepalived/keepalived.conf");
    let names = [
        Place::new(folder.path(), config, "lb1"),
        Place::new(folder.path(), config, "lb2"),
        Place::new(folder.path(), Path::new("/etc/keepalived/other.conf"), "lb1"),
    ]
    .map(|place| place.path(MachineName::Election));
    assert!(names[0] != names[1] && names[1] != names[2] && names[0] != names[2], "{names:?}");
    assert_eq!(names[0], place(folder.path()).path(MachineName::Election), "and find their own again");
}

/// Cut off anywhere, or with any bit turned, it is left aside; so is one of another boot.
#[test]
fn a_damaged_file_is_left_aside() {
    let folder = tempfile::tempdir().unwrap();
    let place = place(folder.path());
    let path = place.path(MachineName::Balancer);
    file::write(&path, &place.boot, balancer(7)).unwrap();
    let whole = fs::read(&path).unwrap();
    assert_eq!(place.read(MachineName::Balancer), Some(balancer(7)));
    for length in 0..whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        assert_eq!(place.read(MachineName::Balancer), None, "{length} bytes");
    }
    for at in 0..whole.len() * 8 {
        let mut bytes = whole.clone();
        bytes[at / 8] ^= 1 << (at % 8);
        fs::write(&path, &bytes).unwrap();
        assert_eq!(place.read(MachineName::Balancer), None, "bit {at}");
    }
    file::write(&path, "another boot", balancer(7)).unwrap();
    assert_eq!(place.read(MachineName::Balancer), None);
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert_eq!(place.read(MachineName::Balancer), None, "a folder where the file should be");
}

/// What fails is tried again with the newest copy, and nobody waits for it meanwhile.
#[test]
fn a_folder_that_can_not_be_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("state");
    fs::write(&inner, "a file where the folder should be").unwrap();
    let place = place(&inner);
    let shelf = Shelf::start(place.clone()).unwrap();
    for attempts in 0..10_000 {
        shelf.slot().keep(balancer(attempts));
    }
    fs::remove_file(&inner).unwrap();
    until(|| place.read(MachineName::Balancer) == Some(balancer(9_999)));
    shelf.clear();
}

/// Somebody who may write into the folder must not have us write to another file, or believe one of theirs.
#[test]
fn planted_files_are_not_followed_and_not_believed() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.state");
    let precious = folder.path().join("precious");
    std::fs::write(&precious, "precious").unwrap();
    let estate = || Estate::Election(Default::default());
    symlink(&precious, path.with_extension("new")).unwrap();
    file::write(&path, "boot", estate()).unwrap();
    assert_eq!(std::fs::read_to_string(&precious).unwrap(), "precious");
    assert!(file::read(&path, "boot").unwrap().unwrap().is_ok());
    std::fs::remove_file(&path).unwrap();
    symlink(&precious, &path).unwrap();
    assert!(file::read(&path, "boot").is_err());
    file::write(&path, "boot", estate()).unwrap();
    assert_eq!(std::fs::read_to_string(&precious).unwrap(), "precious");
    // A folder for everybody.
    let mode = |mode| std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(mode)).unwrap();
    mode(0o777);
    let error = file::write(&path, "boot", estate()).unwrap_err();
    assert!(error.to_string().contains("others may write into it"), "{error}");
    mode(0o1777);
    file::write(&path, "boot", estate()).unwrap();
}
