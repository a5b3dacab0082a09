//! From bytes of the keyboard to keys. Pure.

/// A key that was pressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    /// A character.
    Char(char),
    /// The arrows.
    Up,
    Down,
    Left,
    Right,
    /// Far keys.
    PageUp,
    PageDown,
    Home,
    End,
    /// The tabulator.
    Tab,
    /// Return.
    Enter,
    /// What deletes to the left.
    Backspace,
    /// Escape.
    Escape,
    /// Ctrl-C, which raw mode hands over as a byte.
    Interrupt,
}

/// A key of the bottom line and of the help.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hint {
    /// As on the keyboard.
    pub(crate) key: &'static str,
    /// What it does, in a narrow terminal.
    pub(crate) short: &'static str,
    /// What it does, in a wider one.
    pub(crate) long: &'static str,
    /// What it does, in the help.
    pub(crate) help: &'static str,
}

/// A [`Hint`].
pub(crate) const fn hint(
    key: &'static str,
    short: &'static str,
    long: &'static str,
    help: &'static str,
) -> Hint {
    Hint { key, short, long, help }
}

/// The keys in one piece of a terminal's input. Sequences that mean nothing here are left out.
pub(crate) fn decode(input: &str) -> Vec<Key> {
    let mut keys = Vec::new();
    let mut rest = input.chars().peekable();
    while let Some(c) = rest.next() {
        match (c, rest.peek()) {
            ('\x03', _) => keys.push(Key::Interrupt),
            ('\t', _) => keys.push(Key::Tab),
            ('\r' | '\n', _) => keys.push(Key::Enter),
            ('\x08' | '\x7f', _) => keys.push(Key::Backspace),
            ('\x1b', Some('[' | 'O')) => {
                rest.next();
                keys.extend(sequence(&mut rest));
            }
            ('\x1b', None | Some('\x1b')) => keys.push(Key::Escape),
            // Alt and a key.
            ('\x1b', Some(_)) => {
                rest.next();
            }
            (c, _) if !c.is_control() => keys.push(Key::Char(c)),
            _ => {}
        }
    }
    keys
}

/// A sequence after its introducer, as xterm and the Linux console send it (ECMA-48): digits, then one character that ends it.
fn sequence(rest: &mut impl Iterator<Item = char>) -> Option<Key> {
    let mut parameters = String::new();
    let end = rest.find(|c| {
        let ends = ('@'..='~').contains(c);
        if !ends {
            parameters.push(*c);
        }
        ends
    })?;
    let number = parameters.split(';').next().unwrap_or_default();
    Some(match (end, number) {
        ('A', _) => Key::Up,
        ('B', _) => Key::Down,
        ('C', _) => Key::Right,
        ('D', _) => Key::Left,
        ('H', _) | ('~', "1" | "7") => Key::Home,
        ('F', _) | ('~', "4" | "8") => Key::End,
        ('~', "5") => Key::PageUp,
        ('~', "6") => Key::PageDown,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_is_cut_into_keys() {
        assert_eq!(decode("k?"), [Key::Char('k'), Key::Char('?')]);
        assert_eq!(decode("\x1b"), [Key::Escape]);
        assert_eq!(decode("\x1b\x1b[A"), [Key::Escape, Key::Up]);
        assert_eq!(decode("\x1b[1;5Cq"), [Key::Right, Key::Char('q')]);
        assert_eq!(decode("\x1b[200~\x1bx\x1a\r\x03"), [Key::Enter, Key::Interrupt]);
        assert_eq!(decode("\x1bOD\x1b[B\t"), [Key::Left, Key::Down, Key::Tab]);
        assert_eq!(decode("\x1b[5~\x1b[6~\x1b[H\x1b[4~"), [Key::PageUp, Key::PageDown, Key::Home, Key::End]);
        assert_eq!(decode("ä\x7f"), [Key::Char('ä'), Key::Backspace]);
        assert_eq!(decode("\x1b["), []);
    }
}
