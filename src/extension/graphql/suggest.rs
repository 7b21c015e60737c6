//! "Did you mean" hints.

/// The candidate that `name` is most likely a misspelling of.
pub(super) fn nearest<'c>(
    name: &str,
    candidates: impl Iterator<Item = &'c str>,
) -> Option<&'c str> {
    let limit = (name.chars().count() / 3).max(1);
    candidates
        .map(|candidate| {
            // A difference in case alone is the likeliest mistake of all.
            let distance = match candidate.eq_ignore_ascii_case(name) {
                true => 0,
                false => strsim::damerau_levenshtein(name, candidate),
            };
            (distance, candidate)
        })
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, candidate)| candidate)
}

/// ` Did you mean "x"?`, or nothing.
pub(super) fn hint<'c>(name: &str, candidates: impl Iterator<Item = &'c str>) -> String {
    nearest(name, candidates).map(|found| format!(" Did you mean {found:?}?")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_near_names_are_suggested() {
        let names = || ["Poll", "PollFilter", "User"].into_iter();
        assert_eq!(nearest("Pol", names()), Some("Poll"));
        assert_eq!(nearest("user", names()), Some("User"));
        assert_eq!(nearest("Something", names()), None);
        assert_eq!(hint("Usr", names()), " Did you mean \"User\"?");
    }
}
