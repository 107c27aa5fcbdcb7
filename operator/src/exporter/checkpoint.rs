//! The books on disk: one file for each account and region.
//!
//! A file is written as a whole beside the old one, forced to the disk, and renamed over it; only then
//! is the snapshot of these books published. So whenever the process dies, the file holds at least
//! what anybody saw: a restarted exporter goes on above it, reads no minute twice, and makes up
//! for those it missed.
//!
//! A file that is torn, of another stack, or of another version is set aside (`.unusable`), never
//! used in part: counters then begin at 0 again, which Prometheus understands. For the same reason a
//! file goes when its account and region leave this exporter: if they come back, another
//! exporter may have published more in the meantime. A file that the disk does not give may be as good as ever:
//! whoever it may belong to waits for it.

use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::book::Minute;
use super::gates;
use super::snapshot::TargetKey;
use super::watched::SavedSubject;

/// The beginning of each file.
const MAGIC: &[u8; 16] = b"nightjar books\n\0";
/// What follows is laid out as [`Header`] and [`Books`] are in this version.
const VERSION: u32 = 4;
const SUFFIX: &str = ".books";

/// Whose books they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Namespace and name of the stack.
    pub stack: String,
    /// Which account, by its role, and region.
    pub key: TargetKey,
    /// The account's number.
    pub account_id: String,
    /// `aws`, `aws-cn` ...
    pub partition: String,
}

/// All that is needed to go on.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Books<'a> {
    /// When the last round that found all of a service began.
    pub last_found: Vec<(String, Minute)>,
    /// When CloudWatch last answered everything about a service.
    pub last_poll: Vec<(String, i64)>,
    /// Until when rules must not judge.
    pub catching_up_until: i64,
    /// Rows, by shape and metric, of which CloudWatch has counts by duration.
    pub histograms: Vec<(String, String)>,
    /// What is known of the series that rule others out.
    pub gates: gates::Saved,
    /// What is left of the budget, and as of when: metrics, and seconds since the Unix epoch.
    pub bucket: Option<(f64, f64)>,
    /// The subjects with their books.
    pub subjects: Vec<SavedSubject<'a>>,
}

/// Why a file cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// It is not whole, or something else.
    Corrupt,
    /// Another version of Nightjar wrote it.
    OtherVersion,
    /// It belongs to another stack or account.
    Foreign,
}

impl Unusable {
    /// The word for a label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Corrupt => "corrupt",
            Self::OtherVersion => "other_version",
            Self::Foreign => "foreign",
        }
    }
}

/// The files of an exporter. Nobody else may use the folder while it lives.
#[derive(Debug)]
pub struct Store {
    dir: PathBuf,
    stack: String,
    state: Mutex<State>,
    _lock: File,
}

#[derive(Debug, Default)]
struct State {
    /// Whose books may be written.
    active: HashSet<TargetKey>,
    /// Whose books there are, and where.
    files: HashMap<TargetKey, PathBuf>,
    /// What could not be read so far: it is not known yet whose books they are.
    unread: Vec<PathBuf>,
}

/// Books and whose they are.
pub type Kept = (Header, Books<'static>);

/// The bytes of books.
pub fn encode(header: &Header, books: &Books<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&[0; 12]);
    let bytes = postcard::to_extend(header, bytes).and_then(|b| postcard::to_extend(books, b));
    let mut bytes = bytes.expect("writing to memory cannot fail");
    let body = &bytes[32..];
    let (length, sum) = (body.len() as u64, crc32fast::hash(body));
    bytes[20..28].copy_from_slice(&length.to_le_bytes());
    bytes[28..32].copy_from_slice(&sum.to_le_bytes());
    bytes
}

/// The books in some bytes.
pub fn decode(bytes: &[u8]) -> Result<Kept, Unusable> {
    let number = |from: usize| -> Option<u32> {
        let bytes = bytes.get(from..from + 4)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    };
    if bytes.get(..16) != Some(MAGIC) {
        return Err(Unusable::Corrupt);
    }
    if number(16).ok_or(Unusable::Corrupt)? != VERSION {
        return Err(Unusable::OtherVersion);
    }
    let (length, sum, body) = (number(20), number(28), bytes.get(32..));
    let (Some(length), Some(sum), Some(body)) = (length, sum, body) else {
        return Err(Unusable::Corrupt);
    };
    let high = number(24).ok_or(Unusable::Corrupt)?;
    let whole = u64::from(high) << 32 | u64::from(length);
    if body.len() as u64 != whole || crc32fast::hash(body) != sum {
        return Err(Unusable::Corrupt);
    }
    let read = || {
        let (header, rest) = postcard::take_from_bytes(body)?;
        let (books, _) = postcard::take_from_bytes(rest)?;
        Ok::<_, postcard::Error>((header, books))
    };
    read().map_err(|_| Unusable::Corrupt)
}

impl Store {
    /// Takes a folder for the books of a stack.
    pub fn open(dir: &Path, stack: String) -> anyhow::Result<Self> {
        std::fs::create_dir_all(dir)
            .with_context(|| format!("cannot make the folder {} (--state-dir)", dir.display()))?;
        let lock = File::open(dir)
            .with_context(|| format!("cannot open the folder {} (--state-dir)", dir.display()))?;
        lock.try_lock().with_context(|| {
            format!(
                "{} is in use: another exporter keeps its books there. Give each its own --state-dir.",
                dir.display()
            )
        })?;
        Ok(Self {
            dir: dir.to_owned(),
            stack,
            state: Mutex::default(),
            _lock: lock,
        })
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Namespace and name of the stack.
    pub fn stack(&self) -> &str {
        &self.stack
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks what there is: sets aside what cannot be used, and what does not belong to any of the `wanted`
    /// accounts and regions. Returns what cannot be used, and why.
    pub fn sort(&self, wanted: &[TargetKey]) -> io::Result<Vec<(PathBuf, Unusable)>> {
        let mut state = self.state();
        state.active.extend(wanted.iter().cloned());
        let mut unusable = Vec::new();
        let entries: Vec<_> = std::fs::read_dir(&self.dir)?.collect::<Result<_, _>>()?;
        let mut files: Vec<_> = entries.iter().map(std::fs::DirEntry::path).collect();
        files.retain(|path| path.to_string_lossy().ends_with(SUFFIX));
        files.sort();
        for path in files {
            match self.read(&path) {
                Ok(found) => unusable.extend(state.note(path, found)),
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "books cannot be read now; they are tried again");
                    state.unread.push(path);
                }
            }
        }
        Ok(unusable)
    }

    fn read(&self, path: &Path) -> io::Result<Result<Kept, Unusable>> {
        let bytes = std::fs::read(path)?;
        Ok(decode(&bytes).and_then(|kept| {
            if kept.0.stack == self.stack {
                Ok(kept)
            } else {
                Err(Unusable::Foreign)
            }
        }))
    }

    /// The books of an account and region, if there are some. They may be saved from now on. Fails while a file
    /// that may be theirs cannot be read.
    pub fn load(&self, key: &TargetKey) -> io::Result<Option<Kept>> {
        let mut state = self.state();
        state.active.insert(key.clone());
        if !state.files.contains_key(key) {
            let of_region = format!("-{}{SUFFIX}", key.1);
            let unread = std::mem::take(&mut state.unread);
            let (theirs, others): (Vec<_>, Vec<_>) = unread
                .into_iter()
                .partition(|path| path.to_string_lossy().ends_with(&of_region));
            state.unread = others;
            let mut failed = None;
            for path in theirs {
                match self.read(&path) {
                    Ok(found) => {
                        if let Some((path, why)) = state.note(path, found) {
                            let cause = why.as_str();
                            tracing::error!(path = %path.display(), cause, "books cannot be used and are set aside: their counters begin at 0");
                        }
                    }
                    // Somebody gave it up.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => {
                        state.unread.push(path);
                        failed = Some(error);
                    }
                }
            }
            if let Some(error) = failed.filter(|_| !state.files.contains_key(key)) {
                return Err(error);
            }
        }
        let Some(path) = state.files.get(key) else {
            return Ok(None);
        };
        match self.read(path) {
            Ok(found) => Ok(found.ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                state.files.remove(key);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Writes books, and returns when the disk has them.
    pub fn save(&self, header: &Header, bytes: &[u8]) -> io::Result<()> {
        // Held while writing, so that what is forgotten stays forgotten.
        let mut state = self.state();
        if !state.active.contains(&header.key) {
            return Ok(());
        }
        let name = format!("{}-{}{SUFFIX}", header.account_id, header.key.1);
        let (path, new) = (self.dir.join(&name), self.dir.join(format!("{name}.new")));
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .open(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&new, &path)?;
        state.files.insert(header.key.clone(), path);
        File::open(&self.dir)?.sync_all()
    }

    /// Forgets an account and region that left, or whose books belong to another account.
    pub fn forget(&self, key: &TargetKey) {
        let mut state = self.state();
        state.active.remove(key);
        if let Some(path) = state.files.remove(key) {
            set_aside(&path);
        }
    }
}

impl State {
    /// Takes over what is in a file. Answers what cannot be used, and why.
    fn note(
        &mut self,
        path: PathBuf,
        found: Result<Kept, Unusable>,
    ) -> Option<(PathBuf, Unusable)> {
        match found {
            Ok((header, _)) if self.active.contains(&header.key) => {
                self.files.entry(header.key).or_insert(path);
                None
            }
            Ok(_) => {
                set_aside(&path);
                None
            }
            Err(why) => {
                set_aside(&path);
                Some((path, why))
            }
        }
    }
}

fn set_aside(path: &Path) {
    let aside = path.with_extension("unusable");
    // A file that cannot be moved away must go: it would be taken for good at the next start.
    if std::fs::rename(path, &aside).is_err()
        && let Err(error) = std::fs::remove_file(path)
    {
        tracing::error!(path = %path.display(), %error, "books that must not be used again cannot be removed");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header(region: &str) -> Header {
        Header {
            stack: "web/shop".to_owned(),
            key: (None, region.to_owned()),
            account_id: "111122223333".to_owned(),
            partition: "aws".to_owned(),
        }
    }

    fn books() -> Books<'static> {
        Books {
            last_found: vec![("lambda".to_owned(), Minute(7))],
            catching_up_until: 9,
            ..Books::default()
        }
    }

    fn store(dir: &Path) -> Store {
        Store::open(dir, "web/shop".to_owned()).unwrap()
    }

    #[test]
    fn what_was_saved_is_loaded_and_what_left_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let first = store(dir.path());
        let header = header("eu-west-1");
        assert!(first.load(&header.key).unwrap().is_none());
        first.save(&header, &encode(&header, &books())).unwrap();
        drop(first);
        let second = store(dir.path());
        second.sort(std::slice::from_ref(&header.key)).unwrap();
        let (found, books) = second.load(&header.key).unwrap().unwrap();
        assert_eq!(
            (found, books.last_found),
            (header.clone(), vec![("lambda".to_owned(), Minute(7))])
        );
        second.forget(&header.key);
        // A write that was under way when the pair left.
        second
            .save(&header, &encode(&header, &Books::default()))
            .unwrap();
        assert!(second.load(&header.key).unwrap().is_none());
        drop(second);
        let third = store(dir.path());
        assert_eq!(third.sort(std::slice::from_ref(&header.key)).unwrap(), []);
        assert!(third.load(&header.key).unwrap().is_none());
    }

    #[test]
    fn books_that_the_disk_does_not_give_are_waited_for_and_not_begun_anew() {
        let dir = tempfile::tempdir().unwrap();
        let (header, other) = (header("eu-west-1"), header("us-east-1"));
        // Reading a folder fails as reading from a disk that is ill does: it says nothing of what is in it.
        let path = dir.path().join("111122223333-eu-west-1.books");
        std::fs::create_dir(&path).unwrap();
        let store = store(dir.path());
        let wanted = [header.key.clone(), other.key.clone()];
        assert_eq!(store.sort(&wanted).unwrap(), []);
        assert!(store.load(&header.key).is_err() && path.exists());
        assert!(
            store.load(&other.key).unwrap().is_none(),
            "another region's"
        );
        std::fs::remove_dir(&path).unwrap();
        std::fs::write(&path, encode(&header, &books())).unwrap();
        assert_eq!(store.load(&header.key).unwrap().unwrap().0, header);
    }

    #[test]
    fn books_that_somebody_removes_because_they_cannot_be_read_are_begun_anew() {
        let dir = tempfile::tempdir().unwrap();
        let header = header("eu-west-1");
        let path = dir.path().join("111122223333-eu-west-1.books");
        std::fs::create_dir(&path).unwrap();
        let store = store(dir.path());
        let wanted = std::slice::from_ref(&header.key);
        assert_eq!(store.sort(wanted).unwrap(), []);
        assert!(store.load(&header.key).is_err());
        std::fs::remove_dir(&path).unwrap();
        assert!(store.load(&header.key).unwrap().is_none());
        store.save(&header, &encode(&header, &books())).unwrap();
        assert!(store.load(&header.key).unwrap().is_some());
        std::fs::remove_file(&path).unwrap();
        assert!(store.load(&header.key).unwrap().is_none());
    }

    #[test]
    fn two_exporters_do_not_share_a_folder() {
        let dir = tempfile::tempdir().unwrap();
        let _first = store(dir.path());
        let error = Store::open(dir.path(), "web/shop".to_owned()).unwrap_err();
        assert!(error.to_string().contains("in use"), "{error}");
    }

    #[test]
    fn what_cannot_be_used_is_set_aside_with_its_reason() {
        let dir = tempfile::tempdir().unwrap();
        let good = encode(&header("eu-west-1"), &books());
        let mut other_version = good.clone();
        other_version[16] = 200;
        let mut foreign = header("eu-west-2");
        foreign.stack = "web/other".to_owned();
        for (name, bytes) in [
            ("a.books", good.clone()),
            ("b.books", good[..good.len() - 1].to_vec()),
            ("c.books", other_version),
            ("d.books", encode(&foreign, &books())),
            ("e.books", encode(&header("us-east-1"), &books())),
        ] {
            std::fs::write(dir.path().join(name), bytes).unwrap();
        }
        let store = store(dir.path());
        let reasons: Vec<_> = store
            .sort(&[(None, "eu-west-1".to_owned())])
            .unwrap()
            .into_iter()
            .map(|(_, why)| why)
            .collect();
        assert_eq!(
            reasons,
            [Unusable::Corrupt, Unusable::OtherVersion, Unusable::Foreign]
        );
        let left = std::fs::read_dir(dir.path())
            .unwrap()
            .map(|file| file.unwrap().path());
        let left: Vec<_> = left
            .filter(|path| path.extension() == Some("books".as_ref()))
            .collect();
        assert_eq!(left, [dir.path().join("a.books")]);
    }

    proptest! {
        /// A file with any bit turned, or cut anywhere, is never taken for good.
        #[test]
        fn a_damaged_file_is_never_used(at in any::<prop::sample::Index>(), bit in 0..8_u8, cut in any::<bool>()) {
            let mut bytes = encode(&header("eu-west-1"), &books());
            let at = at.index(bytes.len());
            if cut {
                bytes.truncate(at);
            } else {
                bytes[at] ^= 1 << bit;
            }
            prop_assert!(decode(&bytes).is_err());
        }
    }
}
