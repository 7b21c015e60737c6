//! Hints for misspelled words: "did you mean …?".

/// The candidate that `word` is most likely a misspelling of, if one is close enough to be worth
/// suggesting. Case does not count as a difference worth a miss.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = word.to_lowercase();
    // A third of the word may be wrong; beyond that a suggestion confuses more than it helps.
    let tolerance = (lower.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| {
            (strsim::damerau_levenshtein(&lower, &candidate.to_lowercase()), candidate)
        })
        .filter(|(distance, _)| *distance <= tolerance)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// ` Did you mean "x"?`, or nothing: for the end of a message.
pub fn hint<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    nearest(word, candidates).map(|found| format!(" Did you mean {found:?}?")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_words_are_suggested_and_distant_ones_are_not() {
        let keys = ["query", "mutation", "subscription"];
        assert_eq!(nearest("querry", keys), Some("query"));
        assert_eq!(nearest("Mutation", keys), Some("mutation"));
        assert_eq!(nearest("banana", keys), None);
        assert_eq!(nearest("", keys), None);
        assert_eq!(hint("querry", keys), " Did you mean \"query\"?");
        assert_eq!(hint("banana", keys), "");
    }
}
