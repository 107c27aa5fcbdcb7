//! Processes that die with the tests, and the programs that they run.

use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};

/// A process, and all that it takes to start it once more.
pub(super) struct Launch {
    program: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(&'static str, String)>,
    /// What it says, over all its lives.
    pub log: PathBuf,
    process: Mutex<Option<Process>>,
}

impl Launch {
    pub fn new(
        program: PathBuf,
        arguments: Vec<String>,
        environment: Vec<(&'static str, String)>,
        log: PathBuf,
    ) -> Self {
        let launch = Self {
            program,
            arguments,
            environment,
            log,
            process: Mutex::new(None),
        };
        launch.start();
        launch
    }

    pub fn process(&self) -> std::sync::MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Kills it, if it still runs.
    pub fn stop(&self) {
        self.process().take();
    }

    pub fn start(&self) {
        let environment: Vec<_> = self
            .environment
            .iter()
            .map(|(name, value)| (*name, &**value))
            .collect();
        let mut process = self.process();
        process.take();
        *process = Some(spawn(
            &self.program,
            &self.arguments,
            &environment,
            &self.log,
        ));
    }

    pub fn signal(&self, signal: &str) {
        if let Some(process) = &*self.process() {
            let pid = process.0.id().to_string();
            output(Command::new("kill").args([&format!("-{signal}"), &*pid]));
        }
    }

    /// How it ended, if it did.
    pub fn ended(&self) -> Option<std::process::ExitStatus> {
        let mut process = self.process();
        process.as_mut()?.0.try_wait().unwrap()
    }
}

/// A process that dies with this one, or when it is dropped.
pub struct Process(pub Child);

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a process that dies with this one. The kernel kills it when the *thread* that started it
/// ends, and a test's thread ends with the test: hence a thread that never does.
pub fn spawn(
    program: &Path,
    arguments: &[String],
    environment: &[(&str, &str)],
    log: &Path,
) -> Process {
    let log = fs::File::options()
        .create(true)
        .append(true)
        .open(log)
        .unwrap();
    let mut command = Command::new("setpriv");
    command
        .args(["--pdeathsig", "KILL", "--"])
        .arg(program)
        .args(arguments);
    command.envs(environment.iter().copied());
    command
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log);
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        sender.send(command.spawn()).unwrap();
        loop {
            std::thread::park();
        }
    });
    let child = receiver.recv().unwrap();
    Process(
        child.unwrap_or_else(|error| {
            panic!("cannot start setpriv for {}: {error}", program.display())
        }),
    )
}

/// What a command prints of what it reads, and what it says besides; or what it says when it fails.
pub fn answer(command: &mut Command, input: &str) -> Result<(String, String), String> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut reads = child.stdin.take().unwrap();
    // Whoever does not read to the end says why.
    let _ = reads.write_all(input.as_bytes());
    drop(reads);
    let done = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (printed, said) = (text(&done.stdout), text(&done.stderr));
    if done.status.success() {
        Ok((printed, said))
    } else {
        Err(said)
    }
}

/// What a command prints; it must succeed.
pub fn output(command: &mut Command) -> String {
    let done = command.output().unwrap();
    assert!(
        done.status.success(),
        "{command:?} failed: {}",
        String::from_utf8_lossy(&done.stderr)
    );
    String::from_utf8(done.stdout).unwrap()
}

/// A program of the cluster's parts.
pub fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
        .unwrap_or_else(|| panic!("{name} is not in the PATH: run these tests with `make test-operator`, which builds it"))
}

/// The binary under test, beside this test's own.
pub fn nightjar() -> PathBuf {
    let here = std::env::current_exe().unwrap();
    let binary = here
        .parent()
        .and_then(Path::parent)
        .unwrap()
        .join("nightjar");
    assert!(
        binary.is_file(),
        "{} is not built: run these tests with `make test-operator`",
        binary.display()
    );
    binary
}

/// Ports that nobody listened at a moment ago.
pub fn free_ports<const N: usize>() -> [u16; N] {
    // All at once, so that no port comes twice.
    let listeners = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

/// A new folder. Those of runs that ended are removed.
pub(super) fn new_folder() -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let base = Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../target/tmp/operator-tests"
    ));
    let me = std::process::id();
    fs::create_dir_all(base).unwrap();
    let base = base.canonicalize().unwrap();
    for old in fs::read_dir(&base).unwrap().filter_map(Result::ok) {
        let name = old.file_name().to_string_lossy().into_owned();
        let pid = name.split('-').next().unwrap_or_default().to_owned();
        if !Path::new("/proc").join(pid).exists() {
            let _ = fs::remove_dir_all(old.path());
        }
    }
    let folder = base.join(format!("{me}-{}", NUMBER.fetch_add(1, Ordering::Relaxed)));
    fs::create_dir_all(&folder).unwrap();
    folder
}
