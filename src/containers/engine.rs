//! The engine: where it is, and what its errors mean.

use std::path::Path;
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error as EngineError;
use parking_lot::Mutex;

use crate::error::Error;

/// The code when no engine can be reached.
pub const UNAVAILABLE: &str = "docker.unavailable";
/// The code when the engine refuses something, or a container does not do what it should.
pub const FAILED: &str = "docker.failed";

/// How long an engine may take to say that it is there.
const GREETING: Duration = Duration::from_secs(5);
/// How long it may take to answer a request, the longest grace period of a container included.
const ANSWER: Duration = Duration::from_secs(180);
const DEFAULT_SOCKET: &str = "/var/run/docker.sock";

/// A connection that is made when it is needed first, and again after it was lost.
#[derive(Debug)]
pub struct Engine {
    host: Option<String>,
    connected: Mutex<Option<Docker>>,
}

impl Engine {
    /// With the setting.
    pub fn new(host: Option<String>) -> Self {
        Engine { host, connected: Mutex::default() }
    }

    /// Where the engine is looked for: the setting, `DOCKER_HOST`, or the first socket that there is.
    pub fn place(&self) -> String {
        let named = self.host.clone().or_else(|| std::env::var("DOCKER_HOST").ok());
        if let Some(host) = named.filter(|host| !host.is_empty()) {
            return host;
        }
        let of_user = std::env::var("XDG_RUNTIME_DIR").unwrap_or_default();
        let candidates = [
            DEFAULT_SOCKET.to_owned(),
            format!("{of_user}/docker.sock"),
            format!("{of_user}/podman/podman.sock"),
            "/run/podman/podman.sock".to_owned(),
        ];
        let found = candidates.iter().find(|path| Path::new(path).exists());
        format!("unix://{}", found.map_or(DEFAULT_SOCKET, String::as_str))
    }

    /// Whether containers can be reached at their own addresses: the engine is on this machine, and
    /// not in a virtual one.
    pub fn is_near(&self) -> bool {
        cfg!(target_os = "linux") && self.place().starts_with("unix://")
    }

    /// The engine.
    ///
    /// # Errors
    /// [`UNAVAILABLE`], with what to do.
    pub async fn get(&self) -> Result<Docker, Error> {
        if let Some(docker) = self.connected.lock().clone() {
            return Ok(docker);
        }
        let place = self.place();
        let docker = Docker::connect_with_host(&place)
            .map_err(|error| unavailable(&place, &error.to_string()))?
            .with_timeout(ANSWER);
        let greeting = tokio::time::timeout(GREETING, docker.negotiate_version()).await;
        let docker = match greeting {
            Ok(greeted) => greeted.map_err(|error| unavailable(&place, &reason(&error)))?,
            Err(_) => return Err(unavailable(&place, "it does not answer")),
        };
        *self.connected.lock() = Some(docker.clone());
        Ok(docker)
    }

    /// The next use connects anew.
    pub fn lost(&self) {
        self.connected.lock().take();
    }

    /// What an error of the engine means. After a lost connection the next use makes a new one.
    pub fn explain(&self, what: &str, error: &EngineError) -> Error {
        match error {
            EngineError::DockerResponseServerError { message, .. } => {
                Error::new(FAILED, format!("{what}: {}", message.trim()))
            }
            EngineError::DockerStreamError { error } => {
                Error::new(FAILED, format!("{what}: {}", error.trim()))
            }
            EngineError::HyperResponseError { .. }
            | EngineError::HyperLegacyError { .. }
            | EngineError::IOError { .. }
            | EngineError::RequestTimeoutError => {
                self.lost();
                let lost = unavailable(&self.place(), &reason(error));
                Error { message: format!("{what}: {}", lost.message), ..lost }
            }
            other => Error::new(FAILED, format!("{what}: {other}")),
        }
    }
}

/// Whether something is not there, or already as it should be.
pub fn is_status(error: &EngineError, status: u16) -> bool {
    matches!(error, EngineError::DockerResponseServerError { status_code, .. } if *status_code == status)
}

fn unavailable(place: &str, why: &str) -> Error {
    let message = format!(
        "no container engine answers at {place} ({why}); start Docker or Podman, or say where it is with \
         DOCKER_HOST or the setting docker-host. Plugins without containers need none"
    );
    Error::new(UNAVAILABLE, message)
}

/// The innermost cause, which says most.
fn reason(error: &EngineError) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
