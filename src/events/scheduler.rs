//! Lets schedules run when their time comes.
//!
//! When each runs next is in the database, so a time that was missed while no host was up is made up
//! for, once. Of several hosts, the one that moves that time on writes the delivery, in the same
//! transaction.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::extension::schedules::{Schedule, ScheduleTable};
use crate::services::Services;
use crate::store::deliveries::{self, Kind, NewDelivery};
use crate::store::schedules::{self, Due};
use crate::store::{DbError, DbErrorKind};

/// How often the clock is looked at: times are given in seconds.
const TICK: Duration = Duration::from_secs(1);
/// How often a run is tried.
const MAX_ATTEMPTS: u32 = 3;

/// Begins to watch the clock, until `stop`.
pub fn start(services: &Arc<Services>, stop: CancellationToken) {
    let services = Arc::downgrade(services);
    tokio::spawn(async move {
        tokio::select! {
            () = stop.cancelled() => {}
            () = run(services) => {}
        }
    });
}

async fn run(services: Weak<Services>) {
    // What the database was told; `None`: nothing yet.
    let mut told: Option<Vec<String>> = None;
    loop {
        {
            let Some(services) = services.upgrade() else { return };
            if let Err(error) = tick(&services, &mut told).await {
                tracing::warn!("cannot look after the schedules: {error}");
                told = None;
            }
        }
        // Shortly after a full second, in which times are given.
        let into_second = Timestamp::now().subsec_millisecond().unsigned_abs();
        tokio::time::sleep(
            TICK + Duration::from_millis(5) - Duration::from_millis(into_second.into()),
        )
        .await;
    }
}

async fn tick(services: &Arc<Services>, told: &mut Option<Vec<String>>) -> Result<(), DbError> {
    let world = services.world.load_full();
    let table = world.part::<ScheduleTable>().unwrap_or_default();
    let current: BTreeMap<&str, &Schedule> = table.0.iter().map(|s| (s.id(), s)).collect();
    let ids: Vec<String> = current.keys().map(|id| (*id).to_owned()).collect();
    let session = services.store.session();
    if told.as_ref() != Some(&ids) {
        let running: Vec<String> =
            world.generations().iter().map(|g| g.plugin_id().to_owned()).collect();
        schedules::remove_others(&session, &running, &ids).await?;
        let now = Timestamp::now().as_millisecond();
        for schedule in current.values() {
            if let Some(next) = schedule.next_after(now) {
                let plugin_id = schedule.generation.plugin_id();
                schedules::add(&session, schedule.id(), plugin_id, next).await?;
            }
        }
        *told = Some(ids);
    }
    if current.is_empty() {
        return Ok(());
    }
    for due in schedules::due(&session).await? {
        if let Some(schedule) = current.get(due.id.as_str()) {
            begin(services, schedule, &due).await?;
        }
    }
    Ok(())
}

/// Moves a schedule on and writes the delivery of the run that is due.
async fn begin(services: &Arc<Services>, schedule: &Schedule, due: &Due) -> Result<(), DbError> {
    // What was missed meanwhile is done once.
    let now = Timestamp::now().as_millisecond().max(due.next_at);
    let next = schedule.next_after(now).ok_or_else(|| {
        let message = format!("schedule {} never comes again", schedule.name());
        DbError::new(DbErrorKind::Internal, message)
    })?;
    let transaction = services.store.begin().await?;
    let session = transaction.session().clone();
    if !schedules::advance(&session, due, next).await? {
        transaction.rollback().await;
        return Ok(());
    }
    let run = NewDelivery {
        id: Uuid::now_v7().to_string(),
        kind: Kind::Schedule,
        plugin_id: schedule.generation.plugin_id().to_owned(),
        name: schedule.name().to_owned(),
        handler: schedule.handler().to_owned(),
        payload: "null".to_owned(),
        ordering_key: None,
        // A run that takes longer than the time to the next one is not joined by it.
        unique_key: Some(due.id.clone()),
        depth: 0,
        max_attempts: MAX_ATTEMPTS,
        delay: Duration::ZERO,
    };
    let (_, is_new) = deliveries::insert_unique(&session, run).await?;
    transaction.commit().await?;
    if is_new {
        services.events.wake();
    } else {
        let (plugin, schedule) = (schedule.generation.plugin_id(), schedule.name());
        tracing::warn!(plugin, schedule, "left out a run, as the last one is not over");
    }
    Ok(())
}
