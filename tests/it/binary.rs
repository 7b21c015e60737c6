//! The built binary as a process, with its own folders.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

/// The administrator's token of every [`Server`].
pub const TOKEN: &str = "an-administrators-token";

/// The binary on these folders, with no configuration from elsewhere.
pub fn moondock(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_moondock"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("MOONDOCK_")) {
        command.env_remove(name);
    }
    command.current_dir(dir).env("NO_COLOR", "1").args(args);
    command
}

/// Runs a command to its end.
pub fn run(dir: &Path, args: &[&str]) -> Output {
    moondock(dir, args).output().unwrap()
}

/// What a command wrote and how it ended: exit code, standard output, standard error.
pub fn outcome(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

/// `moondock serve` in a folder. Dropping it kills the process.
pub struct Server {
    pub url: String,
    pub child: Child,
    log: Option<JoinHandle<String>>,
}

impl Server {
    pub fn start(dir: &TempDir, args: &[&str]) -> Server {
        let mut command = moondock(dir.path(), &["serve", "--listen", "127.0.0.1:0"]);
        command.args(args).env("MOONDOCK_ADMIN_TOKEN", TOKEN);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut errors = child.stderr.take().unwrap();
        let log = std::thread::spawn(move || {
            let mut text = String::new();
            let _ = errors.read_to_string(&mut text);
            text
        });
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let Some(at) = line.find("http://") else {
            let _ = child.wait();
            panic!("not listening: {line:?}, {}", log.join().unwrap());
        };
        let url = line[at..].trim().to_owned();
        Server { url, child, log: Some(log) }
    }

    /// A GraphQL request as the administrator.
    pub async fn graphql(&self, query: &str) -> Value {
        let request = moondock::http::new().post(format!("{}/graphql", self.url));
        let request = request.bearer_auth(TOKEN).json(&json!({ "query": query }));
        request.send().await.unwrap().json().await.unwrap()
    }

    pub fn signal(&self, signal: i32) {
        let pid = i32::try_from(self.child.id()).unwrap();
        // SAFETY: the process is our own child, which was not waited for yet.
        assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
    }

    /// Waits for the end: the exit code (none after a signal) and the log.
    pub fn end(mut self) -> (Option<i32>, String) {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status.code(), self.log.take().unwrap().join().unwrap());
            }
            assert!(start.elapsed() < Duration::from_secs(20), "it does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// SIGTERM, and what [`Server::end`] says.
    pub fn terminate(self) -> (Option<i32>, String) {
        self.signal(libc::SIGTERM);
        self.end()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
