//! The terminal: taken over while the view shows, given back however it ends, and listened to.

use super::keys::{Key, decode};
use ratatui::{
    Frame, Terminal,
    backend::{Backend, CrosstermBackend},
    crossterm::{
        cursor::Show,
        execute,
        terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode},
    },
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::{
    io::{self, BufWriter, IsTerminal, stdin, stdout},
    mem::ManuallyDrop,
    os::fd::AsFd,
    panic,
    sync::{
        Once,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::sync::{mpsc, watch};

/// Time between two frames.
const FRAME: Duration = Duration::from_millis(100);
/// An escape byte alone may be the beginning of a sequence whose rest takes so long.
const SEQUENCE: Duration = Duration::from_millis(30);

/// What is shown, and what keys do to it.
pub(crate) trait View {
    /// What the screen is drawn from, besides the user's own choices.
    type Model: Clone;
    /// What the user can want of others.
    type Command: Copy;

    /// Draws everything. May note what a key needs to know of the screen.
    fn draw(&mut self, model: &Self::Model, frame: &mut Frame);

    /// Takes a key: changes what is chosen, or says what is to be done.
    fn press(&mut self, key: Key, model: &Self::Model) -> Option<Self::Command>;

    /// Whether this ends the view.
    fn quits(command: Self::Command) -> bool;
}

/// Whether colours are wanted.
pub(crate) fn colour() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Whether standard input and output are a terminal that can show the view.
pub(crate) fn possible() -> bool {
    let dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    stdin().is_terminal() && stdout().is_terminal() && !dumb
}

/// Shows the newest model and sends what the user asks for, until the user quits, `models` or `commands` closes, or the terminal
/// goes away. In the end the terminal is as it was, and `commands` is closed: whoever obeys it need not know why.
///
/// Blocks: it wants a thread of its own, outside of the runtime. A command is dropped while the channel is full.
///
/// # Errors
///
/// The terminal refused, or a thread panicked meanwhile.
#[expect(clippy::needless_pass_by_value, reason = "both channels close when the view ends")]
pub(crate) fn show<V: View>(
    view: V,
    models: watch::Receiver<V::Model>,
    commands: mpsc::Sender<V::Command>,
) -> io::Result<()> {
    let guard = Guard::new()?;
    // Its own end would write to a terminal that may be gone, and panic; the guard does what is needed.
    let mut terminal = ManuallyDrop::new(Terminal::new(CrosstermBackend::new(BufWriter::new(stdout())))?);
    terminal.clear()?;
    let ended = run(&mut terminal, &Keyboard(stdin()), view, &models, &commands);
    drop(guard);
    ended
}

fn run<B: Backend, V: View>(
    terminal: &mut Terminal<B>,
    keyboard: &Keyboard<impl AsFd>,
    mut view: V,
    models: &watch::Receiver<V::Model>,
    commands: &mpsc::Sender<V::Command>,
) -> io::Result<()> {
    loop {
        // The sender must not wait for the terminal.
        let model = models.borrow().clone();
        terminal
            .draw(|frame| view.draw(&model, frame))
            .map_err(|e| io::Error::other(format!("drawing: {e}")))?;
        let Some(keys) = keyboard.wait(FRAME)? else { return Ok(()) };
        for command in keys.into_iter().filter_map(|key| view.press(key, &model)) {
            // Where nobody has room for it, the user presses again.
            let _ = commands.try_send(command);
            if V::quits(command) {
                return Ok(());
            }
        }
        if models.has_changed().is_err() || commands.is_closed() {
            return Ok(());
        }
        if PANICKED.load(SeqCst) {
            return Err(io::Error::other("a thread panicked"));
        }
    }
}

/// Where keys come from: standard input, in tests a socket.
struct Keyboard<F>(F);

impl<F: AsFd> Keyboard<F> {
    /// The keys that come within this time, perhaps none. `None`: nothing can come any more.
    ///
    /// Reads by itself: crossterm's reader spins when its terminal is gone.
    fn wait(&self, at_most: Duration) -> io::Result<Option<Vec<Key>>> {
        let mut input = Vec::new();
        let mut wait = at_most;
        loop {
            match self.ready(wait)? {
                Ready::Nothing => break,
                Ready::Gone => return Ok(None),
                Ready::Input => {}
            }
            let mut piece = [0; 256];
            let length = rustix::io::read(&self.0, &mut piece)?;
            if length == 0 {
                return Ok(None);
            }
            input.extend_from_slice(&piece[..length]);
            if input.last() != Some(&0x1b) {
                break;
            }
            wait = SEQUENCE;
        }
        Ok(Some(decode(&String::from_utf8_lossy(&input))))
    }

    fn ready(&self, at_most: Duration) -> io::Result<Ready> {
        let mut asked = [PollFd::new(&self.0, PollFlags::IN)];
        let wait = Timespec::try_from(at_most).map_err(io::Error::other)?;
        match poll(&mut asked, Some(&wait)) {
            // A signal, such as that the window has another size: the next frame looks.
            Ok(0) | Err(rustix::io::Errno::INTR) => return Ok(Ready::Nothing),
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        let gone = asked[0].revents().intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL);
        Ok(if gone { Ready::Gone } else { Ready::Input })
    }
}

enum Ready {
    Nothing,
    Input,
    Gone,
}

/// Whether the terminal is taken over: whoever takes this back gives the terminal back, once.
static TAKEN: AtomicBool = AtomicBool::new(false);
/// A panic has given the terminal back already: its message stands where the view was.
static PANICKED: AtomicBool = AtomicBool::new(false);

/// Raw mode and the alternate screen, until it is dropped or any thread panics.
struct Guard;

impl Guard {
    fn new() -> io::Result<Self> {
        static HOOK: Once = Once::new();
        HOOK.call_once(give_back_on_panic);
        enable_raw_mode()?;
        TAKEN.store(true, SeqCst);
        let guard = Self;
        execute!(stdout(), EnterAlternateScreen)?;
        Ok(guard)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        give_back();
    }
}

fn give_back_on_panic() {
    let previous = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if give_back() {
            PANICKED.store(true, SeqCst);
        }
        previous(info);
    }));
}

/// Whether there was anything to give back.
fn give_back() -> bool {
    let taken = TAKEN.swap(false, SeqCst);
    if taken {
        // A terminal that is gone needs nothing.
        let _ = execute!(stdout(), LeaveAlternateScreen, Show);
        let _ = disable_raw_mode();
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::backend::TestBackend;
    use std::{io::Write, os::unix::net::UnixStream, thread};

    type Ended = thread::JoinHandle<io::Result<()>>;

    const LONG: Duration = Duration::from_secs(20);

    /// Every character is a command, and `q` the last one.
    struct Letters;

    impl View for Letters {
        type Model = &'static str;
        type Command = char;

        fn draw(&mut self, model: &&'static str, frame: &mut Frame) {
            frame.render_widget(*model, frame.area());
        }

        fn press(&mut self, key: Key, _: &&'static str) -> Option<char> {
            if let Key::Char(letter) = key { Some(letter) } else { None }
        }

        fn quits(command: char) -> bool {
            command == 'q'
        }
    }

    struct Shown {
        keys: UnixStream,
        models: watch::Sender<&'static str>,
        commands: mpsc::Receiver<char>,
        ended: Ended,
    }

    fn shown() -> Shown {
        let (keys, tty) = UnixStream::pair().expect("a pair of sockets");
        let (models, seen) = watch::channel("shown");
        let (sender, commands) = mpsc::channel(4);
        let ended = thread::spawn(move || {
            let mut terminal = Terminal::new(TestBackend::new(100, 30)).expect("a screen");
            run(&mut terminal, &Keyboard(tty), Letters, &seen, &sender)
        });
        Shown { keys, models, commands, ended }
    }

    #[test]
    fn keys_become_commands_until_the_user_quits() {
        let mut shown = shown();
        shown.keys.write_all(b"\x1b[Bmq").expect("keys");
        assert_eq!(shown.commands.blocking_recv(), Some('m'));
        assert_eq!(shown.commands.blocking_recv(), Some('q'));
        assert_eq!(shown.commands.blocking_recv(), None);
        shown.ended.join().expect("no panic").expect("a good end");
    }

    #[test]
    fn it_ends_with_the_terminal_with_the_models_and_with_the_listener() {
        let ways: [fn(Shown) -> Ended; 3] = [
            |Shown { keys, ended, models, commands }| {
                drop(keys);
                keep(ended, (models, commands))
            },
            |Shown { keys, ended, models, commands }| {
                drop(models);
                keep(ended, (keys, commands))
            },
            |Shown { keys, ended, models, commands }| {
                drop(commands);
                keep(ended, (models, keys))
            },
        ];
        for end in ways {
            end(shown()).join().expect("no panic").expect("a good end");
        }
    }

    /// Keeps the rest open until the view has ended.
    fn keep<T: Send + 'static>(ended: Ended, rest: T) -> Ended {
        thread::spawn(move || {
            let result = ended.join().expect("no panic");
            drop(rest);
            result
        })
    }

    #[test]
    fn a_sequence_in_two_pieces_is_one_key() {
        let (mut keys, tty) = UnixStream::pair().expect("a pair of sockets");
        let keyboard = Keyboard(tty);
        keys.write_all(b"\x1b").expect("the first piece");
        let writer = thread::spawn(move || {
            keys.write_all(b"[A").expect("the second piece");
            keys
        });
        let keys = writer.join().expect("no panic");
        assert_eq!(keyboard.wait(LONG).expect("input"), Some(vec![Key::Up]));
        drop(keys);
        assert_eq!(keyboard.wait(LONG).expect("input"), None);
    }

    #[test]
    fn without_a_key_it_waits_no_longer_than_asked() {
        let (_keys, tty) = UnixStream::pair().expect("a pair of sockets");
        assert_eq!(Keyboard(tty).wait(Duration::from_millis(1)).expect("input"), Some(vec![]));
    }
}
