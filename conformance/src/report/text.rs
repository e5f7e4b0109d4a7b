//! Text for XML and HTML.

/// Text inside an element or an attribute. Control characters have no form in XML.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' => escaped.push_str("&#10;"),
            letter if letter.is_control() || matches!(letter, '\u{fffe}' | '\u{ffff}') => escaped.push('\u{fffd}'),
            letter => escaped.push(letter),
        }
    }
    escaped
}

/// Milliseconds in seconds.
pub(super) fn seconds(milliseconds: u64) -> String {
    format!("{}.{:03}", milliseconds / 1000, milliseconds % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_failure_says_stays_inside_its_attribute() {
        assert_eq!(escape("a \"<b>\" &\n\u{1b}c"), "a &quot;&lt;b&gt;&quot; &amp;&#10;\u{fffd}c");
    }

    #[test]
    fn time_is_in_seconds() {
        assert_eq!([seconds(5), seconds(61_020)], ["0.005", "61.020"]);
    }
}
