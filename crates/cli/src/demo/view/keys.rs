//! What the keys of the demo mean. Pure.

use super::model::{BrokerId, BrokerState, Model};
use crate::screen::{
    keys::{Hint, Key, hint},
    terminal::View,
};
use ratatui::Frame;

/// What the user wants done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command {
    /// End this broker without notice.
    Kill(BrokerId),
    /// Stop this broker, and leave its connections open.
    Pause(BrokerId),
    /// Let this paused broker go on.
    Resume(BrokerId),
    /// Start this broker again; one that is up or paused ends first.
    Restart(BrokerId),
    /// Kill so many brokers of the active cluster that it loses its quorum.
    KillQuorum,
    /// Close the registries of so many brokers of the active cluster that it loses its quorum; their Kafka ports stay open.
    EnterRecovery,
    /// Open all closed registries again.
    LeaveRecovery,
    /// Bring every broker back.
    RestoreAll,
    /// Play the script: a minority loss, a failover, a failback.
    PlayScript,
    /// End the demo.
    Quit,
}

/// The key that only brokers with registries beside them have a use for.
const RECOVERY: &str = "v";

/// Every key that does something, in the order of the bottom line.
const HINTS: [Hint; 10] = [
    hint("1-8", "pick", "pick broker", "pick a broker; the arrow keys do too"),
    hint("k", "kill", "kill", "kill it: the process ends without notice"),
    hint("p", "pause", "pause", "pause it: it stays connected and answers nothing; again: it goes on"),
    hint("r", "start", "restart", "start it again"),
    hint("m", "quorum", "kill quorum", "kill a majority of the active cluster: a failover follows"),
    hint(
        RECOVERY,
        "recovery",
        "recovery",
        "recovery mode of a majority: ports open, registries off; again: ends",
    ),
    hint("a", "all", "all back", "bring all brokers back: a failback follows"),
    hint("s", "play", "script", "play it all by itself: minority loss, failover, failback"),
    hint("?", "help", "help", "this page"),
    hint("q", "quit", "quit", "end the demo and everything in it; Esc and Ctrl-C do too"),
];

/// The keys that do something on this stage.
pub(crate) fn hints(model: &Model) -> Vec<Hint> {
    HINTS.into_iter().filter(|hint| model.registries || hint.key != RECOVERY).collect()
}

/// What the user has chosen on the screen.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ui {
    /// The broker that k, p and r are about.
    pub(crate) selected: BrokerId,
    /// Whether the help covers the screen.
    pub(crate) help: bool,
    /// Whether colours are wanted.
    pub(crate) colour: bool,
}

impl View for Ui {
    type Model = Model;
    type Command = Command;

    fn draw(&mut self, model: &Model, frame: &mut Frame) {
        super::draw::draw(model, self, frame);
    }

    fn press(&mut self, key: Key, model: &Model) -> Option<Command> {
        if self.help && key != Key::Interrupt && key != Key::Char('q') {
            self.help = false;
            return None;
        }
        match key {
            Key::Interrupt | Key::Escape => Some(Command::Quit),
            Key::Down | Key::Right | Key::Tab => self.select(model, 1),
            Key::Up | Key::Left => self.select(model, model.brokers().count().saturating_sub(1)),
            Key::Char(key) => self.letter(key.to_ascii_lowercase(), model),
            _ => None,
        }
    }

    fn quits(command: Command) -> bool {
        command == Command::Quit
    }
}

impl Ui {
    fn letter(&mut self, key: char, model: &Model) -> Option<Command> {
        match key {
            '1'..='9' => {
                let place = key.to_digit(10).and_then(|digit| usize::try_from(digit).ok())? - 1;
                self.selected = model.brokers().nth(place).unwrap_or(self.selected);
                None
            }
            '?' | 'h' => {
                self.help = true;
                None
            }
            'k' | 'p' | 'r' => self.one_broker(key, model),
            'm' => model.active.map(|_| Command::KillQuorum),
            'v' => Self::recovery(model),
            'a' => Some(Command::RestoreAll),
            's' => Some(Command::PlayScript),
            'q' => Some(Command::Quit),
            _ => None,
        }
    }

    /// What would change nothing is no command.
    fn one_broker(&self, key: char, model: &Model) -> Option<Command> {
        let broker = self.selected;
        match (key, model.broker(broker)?.state) {
            ('k', BrokerState::Killed) => None,
            ('k', _) => Some(Command::Kill(broker)),
            ('p', BrokerState::Up) => Some(Command::Pause(broker)),
            ('p', BrokerState::Paused) => Some(Command::Resume(broker)),
            ('r', BrokerState::Up | BrokerState::Paused | BrokerState::Recovery | BrokerState::Killed) => {
                Some(Command::Restart(broker))
            }
            _ => None,
        }
    }

    /// The same key goes into recovery mode and out of it.
    fn recovery(model: &Model) -> Option<Command> {
        let mut states =
            model.clusters.iter().flat_map(|cluster| &cluster.brokers).map(|broker| broker.state);
        match states.any(|state| state == BrokerState::Recovery) {
            true => Some(Command::LeaveRecovery),
            false => model.active.filter(|_| model.registries).map(|_| Command::EnterRecovery),
        }
    }

    /// Moves the choice by so many brokers, around the end.
    fn select(&mut self, model: &Model, by: usize) -> Option<Command> {
        let all: Vec<BrokerId> = model.brokers().collect();
        let place = all.iter().position(|id| *id == self.selected).unwrap_or(0);
        self.selected = all.get((place + by) % all.len().max(1)).copied().unwrap_or(self.selected);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::{super::sample, *};
    use crate::screen::keys::decode;

    fn id(cluster: usize, broker: usize) -> BrokerId {
        BrokerId { cluster, broker }
    }

    #[test]
    fn digits_and_arrows_choose_a_broker() {
        let model = sample::model();
        let mut ui = Ui::default();
        let mut after = |keys: &str| {
            decode(keys).into_iter().for_each(|key| assert_eq!(ui.press(key, &model), None));
            ui.selected
        };
        assert_eq!(after("5"), id(0, 4));
        assert_eq!(after("6"), id(1, 0));
        assert_eq!(after("8"), id(1, 2));
        assert_eq!(after("9"), id(1, 2), "there is no ninth broker");
        assert_eq!(after("\x1b[B"), id(0, 0));
        assert_eq!(after("\x1b[A"), id(1, 2));
        assert_eq!(after("\x1bOD"), id(1, 1));
        assert_eq!(after("\t"), id(1, 2));
    }

    #[test]
    fn a_letter_acts_on_the_chosen_broker() {
        let mut model = sample::model();
        let mut ui = Ui { selected: id(0, 3), ..Ui::default() };
        let mut press = |key, state| {
            model.clusters[0].brokers[3].state = state;
            ui.press(Key::Char(key), &model)
        };
        assert_eq!(press('k', BrokerState::Up), Some(Command::Kill(id(0, 3))));
        assert_eq!(press('K', BrokerState::Paused), Some(Command::Kill(id(0, 3))));
        assert_eq!(press('k', BrokerState::Killed), None);
        assert_eq!(press('p', BrokerState::Up), Some(Command::Pause(id(0, 3))));
        assert_eq!(press('p', BrokerState::Paused), Some(Command::Resume(id(0, 3))));
        assert_eq!(press('p', BrokerState::Killed), None);
        assert_eq!(press('r', BrokerState::Killed), Some(Command::Restart(id(0, 3))));
        assert_eq!(press('r', BrokerState::Recovery), Some(Command::Restart(id(0, 3))));
        assert_eq!(press('k', BrokerState::Recovery), Some(Command::Kill(id(0, 3))));
        assert_eq!(press('r', BrokerState::Restarting), None);
    }

    #[test]
    fn a_key_closes_registries_where_there_are_some_and_opens_them_again() {
        let mut model = sample::model();
        let press = |model: &Model| Ui::default().press(Key::Char('v'), model);
        assert_eq!(press(&model), None, "nobody has a registry");
        model.registries = true;
        assert_eq!(press(&model), Some(Command::EnterRecovery));
        model.clusters[1].brokers[0].state = BrokerState::Recovery;
        assert_eq!(press(&model), Some(Command::LeaveRecovery));
        model.active = None;
        assert_eq!(press(&model), Some(Command::LeaveRecovery), "out of it, though no cluster serves");
        model.clusters[1].brokers[0].state = BrokerState::Up;
        assert_eq!(press(&model), None, "no cluster has a quorum to lose");
    }

    #[test]
    fn every_key_of_the_bottom_line_does_something() {
        let model = Model { registries: true, ..sample::model() };
        let hints = hints(&model);
        assert_eq!(hints.len(), HINTS.len());
        for hint in &hints {
            let key = hint.key.chars().last().expect("a key");
            let mut ui = Ui { selected: id(0, 3), ..Ui::default() };
            let command = ui.press(Key::Char(key), &model);
            assert!(command.is_some() || ui.help || ui.selected != id(0, 3), "{hint:?}");
        }
    }

    #[test]
    fn the_help_closes_by_any_key_and_quits_by_its_own() {
        let model = sample::model();
        let mut ui = Ui { help: true, ..Ui::default() };
        assert_eq!(ui.press(Key::Char('m'), &model), None);
        assert!(!ui.help);

        ui.help = true;
        assert_eq!(ui.press(Key::Escape, &model), None);
        assert_eq!(ui.press(Key::Escape, &model), Some(Command::Quit));
        ui.help = true;
        assert_eq!(ui.press(Key::Interrupt, &model), Some(Command::Quit));
        assert_eq!(ui.press(Key::Char('q'), &model), Some(Command::Quit));
    }

    #[test]
    fn nothing_is_asked_of_an_empty_stage() {
        let mut ui = Ui::default();
        for key in [Key::Char('k'), Key::Char('m'), Key::Char('1'), Key::Down, Key::Up] {
            assert_eq!(ui.press(key, &Model::default()), None, "{key:?}");
        }
        assert_eq!(ui.press(Key::Interrupt, &Model::default()), Some(Command::Quit));
    }
}
