//! The images of services: built from the plugin's folder, or pulled.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bollard::Docker;
use bollard::models::BuildInfo;
use bollard::query_parameters::{
    BuildImageOptionsBuilder, CreateImageOptionsBuilder, ListImagesOptions,
    RemoveImageOptionsBuilder, TagImageOptionsBuilder,
};
use futures_util::StreamExt;

use super::engine::{FAILED, is_status};
use super::{Containers, logs, names};
use crate::error::{Error, Result};
use crate::extension::services::Declared;
use crate::extension::services::compose::model::Build;
use crate::extension::services::context::BuildContext;
use crate::plugin::generation::Generation;

/// How many lines of a build that failed are told.
const LAST_LINES: usize = 15;
/// The memory of a build that needs more than a container may have, in bytes.
const BUILD_MEMORY: u64 = 1 << 30;

/// How often an image that is in use is tried to be removed, and how long after the last time.
const REMOVALS: u32 = 20;
const REMOVAL_WAIT: Duration = Duration::from_millis(250);

/// An image that is there.
#[derive(Debug, Clone)]
pub struct Image {
    pub name: String,
    pub id: String,
}

impl Containers {
    /// Builds the images of services that have a `build` section, unless they are there. If one cannot
    /// be built, those that were are removed.
    ///
    /// # Errors
    /// When there is no engine, or a build fails.
    pub async fn build(&self, generation: &Arc<Generation>, declared: &Declared) -> Result<()> {
        if declared.project.services.values().all(|service| service.build.is_none()) {
            return Ok(());
        }
        let docker = self.engine.get().await?;
        let project = self.instance.begin(generation.plugin_id())?;
        for (name, service) in &declared.project.services {
            if let Some(build) = &service.build {
                self.built(&docker, generation, declared, (&project, name), build).await?;
            }
        }
        Ok(())
    }

    /// The images of all services, built or pulled if need be.
    pub(super) async fn images(
        &self,
        docker: &Docker,
        generation: &Arc<Generation>,
        declared: &Declared,
        project: &str,
    ) -> Result<BTreeMap<String, Image>> {
        let mut images = BTreeMap::new();
        for (name, service) in &declared.project.services {
            let image = match (&service.build, &service.image) {
                (Some(build), _) => {
                    self.built(docker, generation, declared, (project, name), build).await?
                }
                (None, Some(image)) => self.pulled(docker, generation, name, image).await?,
                // A service that has neither is refused when the file is read.
                (None, None) => continue,
            };
            images.insert(name.clone(), image);
        }
        Ok(images)
    }

    /// The name of the image that a build makes: another build, another name.
    pub(super) fn image_name(project: &str, service: &str, build: &Build) -> String {
        format!("{}:{}", names::repository(project, service), &names::hash(build)[..12])
    }

    async fn built(
        &self,
        docker: &Docker,
        generation: &Arc<Generation>,
        declared: &Declared,
        (project, service): (&str, &str),
        build: &Build,
    ) -> Result<Image> {
        let name = Self::image_name(project, service, build);
        if let Some(image) = self.there(docker, &name).await? {
            return Ok(image);
        }
        let repository = names::repository(project, service);
        let limit = self.settings.build_timeout;
        let context = BuildContext::of(generation.source(), &build.context, &build.dockerfile)
            .map_err(|(_, message)| Error::new(FAILED, message))?;
        let tar = context.tar().map_err(|error| Error::new(FAILED, error.to_string()))?;
        let what = format!("building the image of the service \"{service}\"");
        logs::progress(generation, "plugin:building", service, &what);
        let run =
            self.run_build(docker, generation, declared, service, (&name, &repository), build, tar);
        let done = match tokio::time::timeout(limit, self.unless_stopping(run)).await {
            Ok(done) => done,
            Err(_) => {
                let message = format!("it took longer than the {} s it may", limit.as_secs());
                Err(Error::new(FAILED, message))
            }
        };
        let found = match done {
            Ok(()) => self.there(docker, &name).await?,
            Err(error) => {
                let own = format!("{repository}:");
                if let Err(left) = self.remove_images(docker, |tag| tag.starts_with(&own)).await {
                    tracing::warn!("what was built is removed later: {left}");
                }
                return Err(Error { message: format!("{what}: {}", error.message), ..error });
            }
        };
        let image =
            found.ok_or_else(|| Error::new(FAILED, format!("{what}: there is no image")))?;
        logs::progress(
            generation,
            "plugin:built",
            service,
            &format!("the image of the service \"{service}\" is built"),
        );
        Ok(image)
    }

    #[expect(clippy::too_many_arguments, reason = "what a build is made of")]
    async fn run_build(
        &self,
        docker: &Docker,
        generation: &Arc<Generation>,
        declared: &Declared,
        service: &str,
        (name, repository): (&str, &str),
        build: &Build,
        tar: Vec<u8>,
    ) -> Result<()> {
        let plugin_id = generation.plugin_id();
        let mut labels = HashMap::from([
            (names::INSTANCE, self.instance.id()?),
            (names::PLUGIN, plugin_id),
            (names::SERVICE, service),
        ]);
        if !declared.docker.remove_on_uninstall {
            labels.insert(names::STAYS, "true");
        }
        let memory = self.settings.memory_mb.saturating_mul(1 << 20).max(BUILD_MEMORY);
        let memory = i32::try_from(memory).unwrap_or(i32::MAX);
        let args: HashMap<&str, &str> =
            build.args.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let mut options = BuildImageOptionsBuilder::new()
            .dockerfile(&build.dockerfile)
            .t(name)
            .rm(true)
            .forcerm(true)
            .memory(memory)
            .memswap(memory)
            .buildargs(&args)
            .labels(&labels);
        if let Some(target) = &build.target {
            options = options.target(target);
        }
        let body = bollard::body_full(tar.into());
        let mut stream = std::pin::pin!(docker.build_image(options.build(), None, Some(body)));
        let mut output = Output::default();
        while let Some(info) = stream.next().await {
            match info {
                Ok(info) => {
                    for line in output.take(info) {
                        self.build_line(
                            docker,
                            generation,
                            service,
                            repository,
                            &mut output,
                            &line,
                        )
                        .await;
                    }
                }
                Err(error) => {
                    let failed = self.engine.explain("the engine says", &error);
                    let message = match output.last() {
                        last if last.is_empty() => failed.message,
                        last => format!("{}\n{last}", failed.message),
                    };
                    return Err(Error { message, ..failed });
                }
            }
        }
        // The last stage is the image itself.
        let of_last = format!("{repository}:stage-{}", output.stage);
        self.untag(docker, &of_last).await
    }

    /// Tells a line. What a step made gets a name at once, so that it is found again, to be used by the
    /// next build or to be removed.
    async fn build_line(
        &self,
        docker: &Docker,
        generation: &Arc<Generation>,
        service: &str,
        repository: &str,
        output: &mut Output,
        line: &str,
    ) {
        logs::line(generation, service, line);
        if line.starts_with("Step ") {
            output.is_base = line.split(" : ").nth(1).is_some_and(|step| step.starts_with("FROM "));
            output.stage += u32::from(output.is_base);
            logs::progress(generation, "plugin:progress", service, line);
        } else if let Some(id) = made(line).filter(|_| !output.is_base) {
            let tag = format!("stage-{}", output.stage);
            let options = TagImageOptionsBuilder::new().repo(repository).tag(&tag).build();
            if let Err(error) = docker.tag_image(id, Some(options)).await {
                tracing::debug!("a stage of a build gets no name: {error}");
            }
        }
    }

    async fn pulled(
        &self,
        docker: &Docker,
        generation: &Arc<Generation>,
        service: &str,
        name: &str,
    ) -> Result<Image> {
        if let Some(image) = self.there(docker, name).await? {
            return Ok(image);
        }
        let what = format!("pulling the image {name} of the service \"{service}\"");
        logs::progress(generation, "plugin:building", service, &what);
        let has_tag = name.rsplit('/').next().is_some_and(|last| last.contains([':', '@']));
        let mut options = CreateImageOptionsBuilder::new().from_image(name);
        if !has_tag {
            options = options.tag("latest");
        }
        let pull = async {
            let mut stream = std::pin::pin!(docker.create_image(Some(options.build()), None, None));
            while let Some(info) = stream.next().await {
                let info = info.map_err(|error| self.engine.explain(&what, &error))?;
                if let Some(message) = info.error_detail.and_then(|detail| detail.message) {
                    return Err(Error::new(FAILED, format!("{what}: {message}")));
                }
                if let Some(status) = info.status.filter(|_| info.progress_detail.is_none()) {
                    logs::line(generation, service, &status);
                }
            }
            Ok(())
        };
        let limit = self.settings.build_timeout;
        tokio::time::timeout(limit, self.unless_stopping(pull)).await.map_err(|_| {
            let message = format!("{what}: it took longer than the {} s it may", limit.as_secs());
            Error::new(FAILED, message)
        })??;
        let found = self.there(docker, name).await?;
        found.ok_or_else(|| Error::new(FAILED, format!("{what}: there is no image")))
    }

    async fn there(&self, docker: &Docker, name: &str) -> Result<Option<Image>> {
        match docker.inspect_image(name).await {
            Ok(found) => {
                Ok(Some(Image { name: name.to_owned(), id: found.id.unwrap_or_default() }))
            }
            Err(error) if is_status(&error, 404) => Ok(None),
            Err(error) => {
                Err(self.engine.explain(&format!("looking for the image {name}"), &error))
            }
        }
    }

    /// Removes the names that `which` picks, and the images that have no other.
    ///
    /// # Errors
    /// When some of them cannot be removed; the others are.
    pub(super) async fn remove_images(
        &self,
        docker: &Docker,
        which: impl Fn(&str) -> bool,
    ) -> Result<()> {
        let found = docker.list_images(None::<ListImagesOptions>).await;
        let mut failed = None;
        for image in found.map_err(|error| self.engine.explain("the images", &error))? {
            if image.labels.contains_key(names::STAYS) {
                continue;
            }
            for tag in image.repo_tags.iter().filter(|tag| which(names::plain(tag))) {
                failed = self.untag(docker, tag).await.err().or(failed);
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// Takes a name from an image, and removes it with what it was made from if nothing else needs it.
    async fn untag(&self, docker: &Docker, name: &str) -> Result<()> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let options = RemoveImageOptionsBuilder::new().build();
            match docker.remove_image(name, Some(options), None).await {
                Ok(_) => return Ok(()),
                Err(error) if is_status(&error, 404) => return Ok(()),
                // A build that was cut off has yet to end its container.
                Err(error) if is_status(&error, 409) && attempt < REMOVALS => {
                    tokio::time::sleep(REMOVAL_WAIT).await;
                }
                Err(error) => {
                    return Err(self.engine.explain(&format!("removing the image {name}"), &error));
                }
            }
        }
    }
}

/// The id of an image that a line of a build says was made.
fn made(line: &str) -> Option<&str> {
    let id = line.trim().strip_prefix("---> ")?.trim();
    (id.len() >= 12 && id.bytes().all(|b| b.is_ascii_hexdigit())).then_some(id)
}

/// What a build has said so far.
#[derive(Default)]
struct Output {
    partial: String,
    last: VecDeque<String>,
    stage: u32,
    /// Whether the step names the image that a stage begins with, which is not the plugin's.
    is_base: bool,
}

impl Output {
    /// The lines that a message ends.
    fn take(&mut self, info: BuildInfo) -> Vec<String> {
        let mut text = info.stream.unwrap_or_default();
        if let Some(status) = info.status.filter(|_| info.progress_detail.is_none()) {
            text.push_str(&status);
            text.push('\n');
        }
        self.partial.push_str(&text);
        let mut lines = Vec::new();
        while let Some(end) = self.partial.find('\n') {
            let line: String = self.partial.drain(..=end).collect();
            let line = line.trim_end();
            if !line.is_empty() {
                self.last.push_back(line.to_owned());
                if self.last.len() > LAST_LINES {
                    self.last.pop_front();
                }
                lines.push(line.to_owned());
            }
        }
        lines
    }

    fn last(&self) -> String {
        self.last.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }
}
