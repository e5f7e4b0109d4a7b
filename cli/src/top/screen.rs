//! The terminal.

use crossterm::event::{Event, EventStream, KeyCode, KeyEventKind, KeyModifiers};
use futures_util::StreamExt;
use ratatui::DefaultTerminal;

use super::state::State;
use super::view;
use crate::exit::Failure;

/// The terminal, which is given back when this is dropped.
pub(crate) struct Screen {
    terminal: DefaultTerminal,
    events: EventStream,
}

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Quit,
    /// Nothing but a new look, as does another size of the terminal.
    Other,
}

impl Screen {
    /// Takes the whole terminal.
    ///
    /// # Errors
    /// When it cannot be had.
    pub(crate) fn open() -> Result<Self, Failure> {
        let terminal = ratatui::try_init().map_err(|error| failed(&error))?;
        Ok(Self { terminal, events: EventStream::new() })
    }

    /// Draws.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub(crate) fn draw(&mut self, state: &State) -> Result<(), Failure> {
        self.terminal.draw(|frame| view::draw(frame, state)).map(drop).map_err(|error| failed(&error))
    }

    /// The next key.
    ///
    /// # Errors
    /// When the terminal is gone.
    ///
    /// # Cancel safety
    /// Safe.
    pub(crate) async fn key(&mut self) -> Result<Key, Failure> {
        match self.events.next().await {
            Some(Ok(event)) => Ok(meaning(&event)),
            Some(Err(error)) => Err(failed(&error)),
            None => Ok(Key::Quit),
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

/// In raw mode Ctrl-C is a key and no signal.
fn meaning(event: &Event) -> Key {
    let Event::Key(key) = event else { return Key::Other };
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    match key.code {
        _ if key.kind == KeyEventKind::Release => Key::Other,
        KeyCode::Char('q') | KeyCode::Esc => Key::Quit,
        KeyCode::Char('c' | 'd') if control => Key::Quit,
        _ => Key::Other,
    }
}

fn failed(error: &std::io::Error) -> Failure {
    Failure::failed(format!("the terminal cannot be used: {error}"))
}

#[cfg(test)]
mod tests {
    use crossterm::event::KeyEvent;

    use super::*;

    #[test]
    fn q_escape_and_control_c_end_it() {
        let key = |code, modifiers| meaning(&Event::Key(KeyEvent::new(code, modifiers)));
        let (none, control) = (KeyModifiers::NONE, KeyModifiers::CONTROL);
        assert_eq!(key(KeyCode::Char('q'), none), Key::Quit);
        assert_eq!(key(KeyCode::Esc, none), Key::Quit);
        assert_eq!(key(KeyCode::Char('c'), control), Key::Quit);
        assert_eq!(key(KeyCode::Char('c'), none), Key::Other);
        assert_eq!(meaning(&Event::Resize(1, 1)), Key::Other);
    }
}
