//! What a manifest may declare that this version does not carry out yet. The entries are checked as
//! far as they can be, so that they are right when their time comes, and each kind gives a warning.

use super::manifest::{MANIFEST_FILE, Manifest};
use crate::error::{Phase, Problem};

/// One for each kind of such entries.
pub fn warnings(manifest: &Manifest) -> Vec<Problem> {
    [("exports", !manifest.exports.is_empty())]
        .into_iter()
        .filter(|(_, is_used)| *is_used)
        .map(|(what, _)| {
            let message = format!("{what}: this has no effect in this version of Moondock");
            Problem::new(Phase::Manifest, message).in_file(MANIFEST_FILE)
        })
        .collect()
}
