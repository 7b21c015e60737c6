//! Waiting until a container does what it is started for.

use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::models::{ContainerInspectResponse, ContainerStateStatusEnum, HealthStatusEnum};

use super::engine::FAILED;
use super::{Containers, logs};
use crate::error::{Error, Result};
use crate::extension::services::compose::model::{Restart, Service};

/// How often a container that is to start is looked at.
const LOOK: Duration = Duration::from_millis(100);
/// How long a container without a health check has to run to count as started.
const STEADY: Duration = Duration::from_millis(400);
/// A container that was started so often without success has failed.
const TRIES: i64 = 5;

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// It runs.
    Started,
    /// Its check says that it is healthy.
    Healthy,
    /// It has ended well.
    Completed,
    /// It does what it is there for: it runs, and is healthy if that is checked, or has ended well.
    Serving,
}

impl Containers {
    /// Waits until something holds of a container.
    ///
    /// # Errors
    /// When it never will, or not in time: why, and what the container wrote last.
    pub(super) async fn wait(
        &self,
        docker: &Docker,
        id: &str,
        (name, service): (&str, &Service),
        until: Until,
        deadline: Instant,
    ) -> Result<()> {
        // Since when it runs without a break, by this machine's clock.
        let mut run: (Option<String>, Instant) = (None, Instant::now());
        loop {
            let found = self.inspect(docker, name, id).await?;
            let started_at = found.state.as_ref().and_then(|state| state.started_at.clone());
            if started_at != run.0 {
                run = (started_at, Instant::now());
            }
            let why = match stands(&found, service, until, run.1.elapsed()) {
                Ok(true) => return Ok(()),
                Ok(false) if Instant::now() < deadline => {
                    tokio::time::sleep(LOOK).await;
                    continue;
                }
                Ok(false) => {
                    let limit = self.settings.start_timeout.as_secs();
                    format!(
                        "it was not there within the {limit} s that the services may take to start"
                    )
                }
                Err(why) => why,
            };
            let said = logs::last_lines(docker, id).await;
            let said = if said.is_empty() {
                "it has written nothing".to_owned()
            } else {
                format!("it wrote:\n{said}")
            };
            return Err(Error::new(
                FAILED,
                format!("the service \"{name}\" does not start: {why}; {said}"),
            ));
        }
    }
}

fn status(found: &ContainerInspectResponse) -> Option<ContainerStateStatusEnum> {
    found.state.as_ref()?.status
}

/// Whether it runs, or is about to again.
pub fn is_running(found: &ContainerInspectResponse) -> bool {
    matches!(
        status(found),
        Some(ContainerStateStatusEnum::RUNNING | ContainerStateStatusEnum::RESTARTING)
    )
}

fn exit_code(found: &ContainerInspectResponse) -> Option<i64> {
    let state = found.state.as_ref()?;
    let has_ended = matches!(
        state.status,
        Some(ContainerStateStatusEnum::EXITED | ContainerStateStatusEnum::DEAD)
    );
    state.exit_code.filter(|_| has_ended)
}

/// Whether it has ended, and well.
pub fn has_ended_well(found: &ContainerInspectResponse) -> bool {
    exit_code(found) == Some(0)
}

/// Whether a service that has ended well has done what it was there for.
pub fn ends(service: &Service) -> bool {
    matches!(service.restart, Restart::No | Restart::OnFailure(_))
}

/// Whether what is waited for holds; why it never will, if so.
fn stands(
    found: &ContainerInspectResponse,
    service: &Service,
    until: Until,
    steady: Duration,
) -> Result<bool, String> {
    let state = found.state.clone().unwrap_or_default();
    if let Some(code) = exit_code(found) {
        let may_end = until == Until::Completed || (until == Until::Serving && ends(service));
        return match code {
            0 if may_end => Ok(true),
            _ => {
                let memory =
                    if state.oom_killed == Some(true) { " for lack of memory" } else { "" };
                Err(format!("it ended with code {code}{memory}"))
            }
        };
    }
    if found.restart_count.unwrap_or_default() >= TRIES {
        let code = state.exit_code.unwrap_or_default();
        return Err(format!(
            "it was started {TRIES} times and ended each time, last with code {code}"
        ));
    }
    let runs = state.status == Some(ContainerStateStatusEnum::RUNNING);
    let health = state.health.and_then(|health| health.status);
    if health == Some(HealthStatusEnum::UNHEALTHY) {
        return Err("its health check says that it is unhealthy".to_owned());
    }
    let is_checked = matches!(health, Some(HealthStatusEnum::STARTING | HealthStatusEnum::HEALTHY));
    Ok(match until {
        Until::Started => runs,
        Until::Completed => false,
        Until::Healthy if runs && !is_checked => {
            return Err("it is to be healthy, but has no health check".to_owned());
        }
        Until::Healthy => runs && health == Some(HealthStatusEnum::HEALTHY),
        Until::Serving if is_checked => runs && health == Some(HealthStatusEnum::HEALTHY),
        Until::Serving => runs && steady >= STEADY,
    })
}
