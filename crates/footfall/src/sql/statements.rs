//! Where a statement ends: at a semicolon that is neither quoted nor commented.

/// A buffer that takes text in pieces and yields statements.
#[derive(Debug, Default)]
pub(super) struct Statements {
    text: String,
}

/// The scanner's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Inside {
    Plain,
    /// Until the same quote again; a doubled quote closes and reopens, which has the same effect.
    Quoted(char),
    LineComment,
    /// Block comments nest.
    BlockComment(u32),
}

impl Statements {
    pub(super) fn push(&mut self, piece: &str) {
        self.text.push_str(piece);
    }

    /// The next whole statement, without its semicolon. Empty ones are skipped.
    pub(super) fn next(&mut self) -> Option<String> {
        while let Some(end) = end_of_statement(&self.text) {
            let rest = self.text.split_off(end + 1);
            let mut statement = std::mem::replace(&mut self.text, rest);
            statement.truncate(end);
            if !is_blank(&statement) {
                return Some(statement.trim().to_owned());
            }
        }
        None
    }

    /// The rest, which no semicolon ended, unless it is blank.
    pub(super) fn rest(&mut self) -> Option<String> {
        let rest = std::mem::take(&mut self.text);
        Some(rest.trim().to_owned()).filter(|rest| !is_blank(rest))
    }

    /// Whether no statement has begun.
    pub(super) fn is_empty(&self) -> bool {
        is_blank(&self.text)
    }

    pub(super) fn clear(&mut self) {
        self.text.clear();
    }
}

/// The offset of the first semicolon that ends a statement.
fn end_of_statement(text: &str) -> Option<usize> {
    scan(text)
        .find(|(_, c, inside)| *c == ';' && *inside == Inside::Plain)
        .map(|(at, ..)| at)
}

/// Whether it is white space and comments alone.
fn is_blank(text: &str) -> bool {
    // The first character of a comment is still in plain state, so a comment is recognised by its second.
    let mut seen = scan(text).peekable();
    while let Some((_, c, inside)) = seen.next() {
        let opens_comment = matches!(seen.peek(), Some((_, _, Inside::LineComment | Inside::BlockComment(_))));
        if inside == Inside::Plain && !c.is_whitespace() && !opens_comment {
            return false;
        }
        if matches!(inside, Inside::Quoted(_)) {
            return false;
        }
    }
    true
}

/// Every character with its offset and the scanner's state.
fn scan(text: &str) -> impl Iterator<Item = (usize, char, Inside)> {
    let mut inside = Inside::Plain;
    let mut before = '\0';
    text.char_indices().map(move |(at, c)| {
        let (now, after) = step(inside, before, c);
        // A character that closed or opened a comment is not half of the next delimiter.
        before = if inside == after { c } else { '\0' };
        inside = after;
        (at, c, now)
    })
}

/// The state of `c`, and of the character after it.
fn step(inside: Inside, before: char, c: char) -> (Inside, Inside) {
    match (inside, before, c) {
        (Inside::Plain, '-', '-') => (Inside::LineComment, Inside::LineComment),
        (Inside::Plain, '/', '*') => (Inside::BlockComment(1), Inside::BlockComment(1)),
        (Inside::Plain, _, '\'' | '"' | '`') => (Inside::Quoted(c), Inside::Quoted(c)),
        (Inside::Quoted(quote), _, c) if c == quote => (inside, Inside::Plain),
        (Inside::LineComment, _, '\n') => (inside, Inside::Plain),
        (Inside::BlockComment(depth), '/', '*') => (inside, Inside::BlockComment(depth + 1)),
        (Inside::BlockComment(1), '*', '/') => (inside, Inside::Plain),
        (Inside::BlockComment(depth), '*', '/') => (inside, Inside::BlockComment(depth - 1)),
        _ => (inside, inside),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> (Vec<String>, Option<String>) {
        let mut statements = Statements::default();
        statements.push(text);
        let whole = std::iter::from_fn(|| statements.next()).collect();
        (whole, statements.rest())
    }

    fn whole(text: &str) -> Vec<String> {
        split(text).0
    }

    #[test]
    fn last_semicolon_is_optional() {
        assert_eq!(
            split("SELECT 1; SELECT\n2 ;SELECT 3"),
            (vec!["SELECT 1".into(), "SELECT\n2".into()], Some("SELECT 3".into()))
        );
        assert_eq!(split(" ;; \n;"), (vec![], None));
    }

    #[test]
    fn quoted_or_commented_semicolon_does_not_split() {
        for text in [
            "SELECT 'a;b'",
            "SELECT 'it''s;'",
            "SELECT \"a;b\" FROM t",
            "SELECT 1 -- no; not here",
            "SELECT 1 /* ; /* ; */ ; */ + 1",
            "SELECT 'ü;ß'",
            "SELECT 4 / 2 - 1 * 3",
        ] {
            assert_eq!(whole(&format!("{text}\n; SELECT 2;")), [text, "SELECT 2"], "{text}");
        }
    }

    #[test]
    fn comments_stay_in_their_statement() {
        assert_eq!(split("-- nothing\n/* here */"), (vec![], None));
        assert_eq!(whole("-- first\nSELECT 1;"), ["-- first\nSELECT 1"]);
        assert_eq!(split("/**/"), (vec![], None));
    }

    #[test]
    fn open_quote_needs_more_input() {
        let mut statements = Statements::default();
        statements.push("SELECT 'a;\n");
        assert_eq!(statements.next(), None);
        assert!(!statements.is_empty());
        statements.push("b';\n");
        assert_eq!(statements.next().as_deref(), Some("SELECT 'a;\nb'"));
        assert!(statements.is_empty());
    }

    #[test]
    fn slash_star_slash_only_opens_a_comment() {
        assert_eq!(whole("/*/ ; */ SELECT 1;"), ["/*/ ; */ SELECT 1"]);
    }
}
