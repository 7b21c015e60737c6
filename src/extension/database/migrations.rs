//! The migrations of a plugin: Lua files that carry its rows from one version to the next.

use crate::error::{Phase, Problem};
use crate::plugin::source::Source;

/// The folder in which they are.
pub const FOLDER: &str = "migrations";

/// A migration of a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    /// Such as `0002_split_names`: under this name it is remembered.
    pub name: String,
    /// Relative to the plugin's folder.
    pub path: String,
}

impl Migration {
    fn number(&self) -> &str {
        number(&self.name)
    }
}

/// The migrations of a plugin, in the order in which they run.
///
/// # Errors
/// A problem for each file in the folder that is not called like a migration, and for each that has
/// the number of another.
pub fn files(source: &Source) -> Result<Vec<Migration>, Vec<Problem>> {
    let mut found: Vec<Migration> = Vec::new();
    let mut problems = Vec::new();
    let mut wrong = |path: &str, message: String| {
        problems.push(Problem::new(Phase::Load, message).in_file(path));
    };
    // They come sorted, and so do their numbers.
    for path in source.paths() {
        let Some(file) = path.strip_prefix(FOLDER).and_then(|rest| rest.strip_prefix('/')) else {
            continue;
        };
        let Some(name) = name(file) else {
            wrong(
                path,
                "a migration is called migrations/NNNN_name.lua: four digits, an underscore, then \
                 letters, digits, underscores and hyphens; rename the file or move it elsewhere"
                    .to_owned(),
            );
            continue;
        };
        let migration = Migration { name: name.to_owned(), path: path.to_owned() };
        match found.iter().find(|other| other.number() == migration.number()) {
            Some(other) => wrong(
                path,
                format!(
                    "the migration has the number of {}; give it the next free one",
                    other.path
                ),
            ),
            None => found.push(migration),
        }
    }
    if problems.is_empty() { Ok(found) } else { Err(problems) }
}

/// Those of `files` that are not among `applied`.
///
/// # Errors
/// A problem for each that has the number of another that was applied: it was renamed, or two people
/// took the same number.
pub fn pending(files: &[Migration], applied: &[String]) -> Result<Vec<Migration>, Vec<Problem>> {
    let pending: Vec<Migration> =
        files.iter().filter(|file| !applied.contains(&file.name)).cloned().collect();
    let taken = |file: &Migration| {
        let other = applied.iter().find(|name| number(name) == file.number())?;
        let message = format!(
            "the number of the migration is that of {other}, which has run already: if it is \
             another, give it the number {}; if it is the same, give it its name back",
            next_number(applied.iter().map(String::as_str).chain(files.iter().map(|f| &*f.name)))
        );
        Some(Problem::new(Phase::Load, message).in_file(&file.path))
    };
    let problems: Vec<Problem> = pending.iter().filter_map(taken).collect();
    if problems.is_empty() { Ok(pending) } else { Err(problems) }
}

/// The four digits after the greatest number among the names of migrations.
pub(super) fn next_number<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let numbers = names.into_iter().filter_map(|name| number(name).parse::<u32>().ok());
    format!("{:04}", numbers.max().unwrap_or(0) + 1)
}

fn number(name: &str) -> &str {
    name.split_once('_').map_or(name, |(number, _)| number)
}

/// The name of the migration in this file, if it is called like one.
fn name(file: &str) -> Option<&str> {
    let name = file.strip_suffix(".lua").or_else(|| file.strip_suffix(".luau"))?;
    let (number, rest) = name.split_once('_')?;
    let is_number = number.len() == 4 && number.bytes().all(|b| b.is_ascii_digit());
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    (is_number && !rest.is_empty() && rest.bytes().all(is_plain)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(paths: &[&str]) -> Source {
        Source::from_files(paths.iter().map(|path| (*path, "")))
    }

    fn names(migrations: &[Migration]) -> Vec<&str> {
        migrations.iter().map(|m| m.name.as_str()).collect()
    }

    #[test]
    fn migrations_come_in_order() {
        let source = source(&[
            "init.lua",
            "migrations.lua",
            "migrations/0010_c.lua",
            "migrations/0002_b-2.luau",
            "migrations/0001_a_1.lua",
            "lib/migrations/x.lua",
        ]);
        let found = files(&source).unwrap();
        assert_eq!(names(&found), ["0001_a_1", "0002_b-2", "0010_c"]);
        assert_eq!(found[1].path, "migrations/0002_b-2.luau");
        assert_eq!(pending(&found, &[]).unwrap(), found);
        let applied = ["0001_a_1".to_owned(), "0002_b-2".to_owned()];
        assert_eq!(names(&pending(&found, &applied).unwrap()), ["0010_c"]);
        assert_eq!(next_number(applied.iter().map(String::as_str)), "0003");
        assert_eq!(next_number([]), "0001");
    }

    #[test]
    fn other_files_and_equal_numbers_are_problems() {
        let wrong = [
            "migrations/0001.lua",
            "migrations/001_a.lua",
            "migrations/0001_.lua",
            "migrations/0001_a b.lua",
            "migrations/0001_a.sql",
            "migrations/README.md",
            "migrations/old/0001_a.lua",
        ];
        let problems = files(&source(&wrong)).unwrap_err();
        assert_eq!(problems.len(), wrong.len());
        assert!(problems[0].message.contains("NNNN_name.lua"), "{}", problems[0]);

        let twice = source(&["migrations/0001_a.lua", "migrations/0001_b.lua"]);
        assert_eq!(
            files(&twice).unwrap_err()[0].to_string(),
            "migrations/0001_b.lua: the migration has the number of migrations/0001_a.lua; give it the next free one"
        );
        let both = source(&["migrations/0001_a.lua", "migrations/0001_a.luau"]);
        assert_eq!(files(&both).unwrap_err().len(), 1);
    }

    #[test]
    fn a_migration_that_has_run_keeps_its_name() {
        let renamed = files(&source(&["migrations/0001_b.lua", "migrations/0002_c.lua"])).unwrap();
        let problems = pending(&renamed, &["0001_a".to_owned()]).unwrap_err();
        assert_eq!(
            problems[0].to_string(),
            "migrations/0001_b.lua: the number of the migration is that of 0001_a, which has run already: if it is another, give it the number 0003; if it is the same, give it its name back"
        );
    }
}
