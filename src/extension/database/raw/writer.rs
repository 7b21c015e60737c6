//! The text that goes to the database, written token by token.

/// Text with gaps where the parameters are.
#[derive(Debug, Default)]
pub(super) struct Writer {
    /// What is before the gaps that there are so far.
    pieces: Vec<String>,
    /// What is behind the last gap.
    last: String,
}

impl Writer {
    /// Adds a token, with a space before it: no two tokens can become one, as `- -1` would become a
    /// comment.
    pub fn token(&mut self, text: &str) {
        self.space();
        self.last.push_str(text);
    }

    /// Adds a token directly behind the last one. It must be punctuation.
    pub fn tight(&mut self, text: &str) {
        self.last.push_str(text);
    }

    /// Leaves a gap for the next parameter.
    pub fn parameter(&mut self) {
        self.space();
        self.pieces.push(std::mem::take(&mut self.last));
    }

    /// How many gaps there are so far.
    pub fn parameters(&self) -> usize {
        self.pieces.len()
    }

    /// The text between the gaps: one piece more than there are gaps.
    pub fn finish(mut self) -> Vec<String> {
        self.pieces.push(self.last);
        self.pieces
    }

    fn space(&mut self) {
        let at_start = self.last.is_empty() && self.pieces.is_empty();
        if !at_start && !self.last.ends_with(['(', '[']) {
            self.last.push(' ');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_stay_apart() {
        let mut writer = Writer::default();
        for token in ["SELECT", "-", "-"] {
            writer.token(token);
        }
        writer.parameter();
        writer.tight(",");
        writer.token("count");
        writer.tight("(");
        writer.parameter();
        writer.tight(")");
        writer.parameter();
        writer.token("x");
        assert_eq!(writer.parameters(), 3);
        assert_eq!(writer.finish(), ["SELECT - - ", ", count(", ") ", " x"]);
    }
}
