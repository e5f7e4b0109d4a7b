//! URLs without what is secret.

/// The scheme and the hosts of a URL, and nothing else of it: no login, path or option. A URL in which a password may go further than it
/// should has no hosts either.
pub(crate) fn place(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return "***".to_owned() };
    let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '+' | '-' | '.');
    let scheme = if scheme.chars().all(plain) { scheme } else { "***" };
    let (authority, behind) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    if behind.contains('@') {
        return format!("{scheme}://***");
    }
    let hosts = authority.rsplit_once('@').map_or(authority, |(_, hosts)| hosts);
    format!("{scheme}://{}", crate::text::shown(hosts))
}

/// A text in which URLs that the command line held are replaced by their places.
pub(crate) fn without_secrets(text: String, arguments: impl Iterator<Item = String>) -> String {
    let scheme = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '+' | '-' | '.');
    arguments.fold(text, |text, argument| {
        let Some(colon) = argument.find("://") else { return text };
        let start = argument[..colon]
            .rfind(|letter| !scheme(letter))
            .map_or(0, |before| before + argument[before..].chars().next().map_or(1, char::len_utf8));
        let url = &argument[start..];
        text.replace(url, &place(url))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_has_no_secret() {
        for (url, expected) in [
            ("redis://app:hunter2@h:6379/0?sentinel_password=hunter3", "redis://h:6379"),
            ("nats://token@a,b:4222", "nats://a,b:4222"),
            ("redis://app:hun/ter2@h", "redis://***"),
            ("redis://app:hun?ter2@h", "redis://***"),
            ("redis://app:hun@ter2@h", "redis://h"),
            ("hunter2", "***"),
            ("hun ter2://x", "***://x"),
        ] {
            assert_eq!(place(url), expected, "{url}");
        }
    }

    #[test]
    fn a_url_within_an_argument_is_replaced() {
        for argument in ["--ulr=redis://u:hunter2@h/0", "redis://u:hunter2@h/0", "\u{fc}redis://u:hunter2@h/0"] {
            let text = without_secrets(format!("unexpected {argument}"), [argument.to_owned()].into_iter());
            assert!(text.contains("redis://h") && !text.contains("hunter2"), "{text}");
        }
    }
}
