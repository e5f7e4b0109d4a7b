//! Private folders, and removing what a killed test process could not remove.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::Duration;

use tempfile::TempDir;

const PREFIX: &str = "roomcast-conformance-";
const LOCK: &str = "lock";
/// A folder has to be this old to be left over, for a new one is not locked yet.
const YOUNG: Duration = Duration::from_secs(60);

/// A folder that is removed on drop, or by a later process when ours was killed.
#[derive(Debug)]
pub(super) struct Folder {
    folder: TempDir,
    // It is ours as long as this is locked.
    _lock: File,
}

impl Folder {
    pub(super) fn new(name: &str) -> Result<Self, String> {
        static SWEPT: Once = Once::new();
        SWEPT.call_once(|| sweep(&std::env::temp_dir(), YOUNG));
        let make = || {
            let folder = tempfile::Builder::new().prefix(&format!("{PREFIX}{name}-")).tempdir()?;
            let lock = File::create(folder.path().join(LOCK))?;
            lock.lock()?;
            Ok(Self { folder, _lock: lock })
        };
        make().map_err(|error: std::io::Error| format!("a temporary folder: {error}"))
    }

    pub(super) fn path(&self) -> PathBuf {
        self.folder.path().to_owned()
    }
}

/// Removes the folders that nobody holds any more. What fails is somebody else's, or gone.
fn sweep(parent: &Path, young: Duration) {
    let ours = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().starts_with(PREFIX);
    for entry in fs::read_dir(parent).into_iter().flatten().flatten().filter(ours) {
        let old = entry
            .metadata()
            .and_then(|data| data.modified())
            .is_ok_and(|at| at.elapsed().is_ok_and(|age| age >= young));
        let free = || File::open(entry.path().join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok());
        if old && free() {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::time::Duration;

    use super::{LOCK, PREFIX, sweep};

    #[test]
    fn only_a_folder_that_nobody_holds_is_swept() {
        let parent = tempfile::tempdir().expect("a folder");
        let [held, left, foreign] =
            [format!("{PREFIX}held"), format!("{PREFIX}left"), "other".to_owned()].map(|name| {
                let path = parent.path().join(name);
                fs::create_dir(&path).expect("a folder");
                File::create(path.join(LOCK)).expect("a file");
                path
            });
        let lock = File::open(held.join(LOCK)).expect("it is there");
        lock.lock().expect("nobody has it");
        sweep(parent.path(), Duration::from_secs(60));
        assert!(left.exists(), "it is young");
        sweep(parent.path(), Duration::ZERO);
        assert!(held.exists() && foreign.exists() && !left.exists());
    }
}
