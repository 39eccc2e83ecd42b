//! Where a worker may write (landlock(7)): into its own folders, and nowhere else. It may execute nothing.
//!
//! Reading stays as it was: a configuration includes files of any folder, and is read again at a reload.

use landlock::{
    ABI, AccessFs, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetStatus,
};
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

/// What of landlock is asked for. Older kernels do less.
const WANTED: ABI = ABI::V5;

/// Lets the calling thread, and threads that it starts, write into these folders only, and there into ordinary files. Folders
/// that are not there are made, for their owner alone. One that can't be had is left out; one that is taken away later and
/// made anew is another one.
///
/// # Errors
/// The kernel has no landlock, or not all of it. What it has holds.
pub fn write_only_into(folders: &[&Path]) -> Result<(), String> {
    let refused = |error: landlock::RulesetError| error.to_string();
    let handled = AccessFs::from_write(WANTED) | AccessFs::Execute;
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(handled)
        .and_then(Ruleset::create)
        .map_err(refused)?;
    let files: BitFlags<AccessFs> = AccessFs::MakeReg | AccessFs::RemoveFile | AccessFs::WriteFile | AccessFs::Truncate;
    for folder in folders {
        // That it is there already is as good, and what is wrong shows below, or when it is written to.
        let _ = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        match PathFd::new(folder) {
            Ok(folder) => rules = rules.add_rule(PathBeneath::new(folder, files)).map_err(refused)?,
            Err(error) => tracing::debug!("{} will not be written to: {error}", folder.display()),
        }
    }
    match rules.restrict_self().map_err(refused)?.ruleset {
        RulesetStatus::FullyEnforced => Ok(()),
        RulesetStatus::PartiallyEnforced => Err("this kernel knows a part of landlock only".to_owned()),
        RulesetStatus::NotEnforced => Err("this kernel has no landlock".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::ErrorKind;
    use std::os::unix::fs::symlink;
    use std::process::Command;

    /// Only the thread that asks for it, and those that it starts, are confined.
    #[test]
    fn what_is_written_elsewhere_and_what_is_executed_is_refused_and_all_can_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let (own, other) = (folder.path().join("own/deep"), folder.path().join("other"));
        fs::create_dir(&other).unwrap();
        fs::write(other.join("there"), "text").unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                if let Err(why) = write_only_into(&[&own, &folder.path().join("other/there/not-a-folder")]) {
                    assert!(!crate::testing::required("landlock"), "{why}");
                    eprintln!("NOT RUN: {why}");
                    return;
                }
                let denied = |result: std::io::Result<()>| {
                    assert_eq!(result.unwrap_err().kind(), ErrorKind::PermissionDenied);
                };
                fs::write(own.join("new"), "1").unwrap();
                fs::rename(own.join("new"), own.join("file")).unwrap();
                fs::write(own.join("file"), "2").unwrap();
                denied(fs::write(other.join("there"), "x"));
                denied(fs::write(other.join("new"), "x"));
                denied(fs::remove_file(other.join("there")));
                denied(fs::create_dir(own.join("folder")));
                denied(symlink("/etc/passwd", own.join("link")));
                let moved = fs::rename(other.join("there"), own.join("there"));
                assert!(matches!(moved.unwrap_err().kind(), ErrorKind::PermissionDenied | ErrorKind::CrossesDevices));
                assert_eq!(fs::read_to_string(other.join("there")).unwrap(), "text");
                denied(Command::new("/bin/true").status().map(drop));
                denied(std::thread::spawn(|| fs::write("/dev/null", "x")).join().unwrap());
                fs::remove_file(own.join("file")).unwrap();
                // As a script's standard error is made.
                let (_read, to) = nix::unistd::pipe().unwrap();
                let again = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&to));
                fs::OpenOptions::new().read(true).write(true).open(again).unwrap();
            });
        });
        fs::write(other.join("there"), "free").unwrap();
    }
}
