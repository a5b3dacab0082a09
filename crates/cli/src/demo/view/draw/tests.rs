//! What the screen says, at every size, with and without colours.

use super::paint;
use crate::demo::view::{
    history::History,
    keys::{Ui, hints},
    model::{BrokerId, BrokerState, Model},
    sample,
};
use ratatui::{
    buffer::{Buffer, Cell},
    layout::Rect,
    style::{Color, Modifier},
};
use std::time::Duration;

fn screen(model: &Model, ui: &Ui, width: u16, height: u16) -> Buffer {
    let mut buffer = Buffer::empty(Rect::new(0, 0, width, height));
    paint(model, ui, buffer.area, &mut buffer);
    buffer
}

fn text_of(buffer: &Buffer) -> String {
    let cells: Vec<&str> = buffer.content().iter().map(Cell::symbol).collect();
    let rows = cells.chunks(usize::from(buffer.area.width));
    rows.map(|row| row.concat().trim_end().to_owned() + "\n").collect()
}

fn text(model: &Model, width: u16, height: u16) -> String {
    text_of(&screen(model, &Ui::default(), width, height))
}

fn assert_shows(screen: &str, wanted: &[&str]) {
    for words in wanted {
        assert!(screen.contains(words), "expected {words:?} on\n{screen}");
    }
}

#[test]
fn the_state_is_said_in_words() {
    for (width, height) in [(80, 24), (100, 30), (200, 60)] {
        let screen = text(&sample::model(), width, height);
        assert_shows(
            &screen,
            &[
                "kcat -b 127.0.0.1:9092 -t demo -C",
                "● secondary serves all clients",
                "✗ NO QUORUM, 2",
                "● ACTIVE, 3",
                "✗ killed",
                "● up",
                "0, 3",
                ":9096",
                "secondary 1",
                "generation 7",
                "100",
                "2,350 acknowledged",
                "0 errors",
                "61 ms",
                "lag 0",
                "primary → secondary in 485 ms",
                "00:21.0  ⇄ to the secondary: primary lost quorum",
                "1-8",
                "quit",
            ],
        );
    }
}

#[test]
fn no_colour_means_no_colour() {
    let plain = screen(&sample::model(), &Ui::default(), 100, 30);
    assert!(plain.content().iter().all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset));
    let coloured = screen(&sample::model(), &Ui { colour: true, ..Ui::default() }, 100, 30);
    assert!(coloured.content().iter().any(|cell| cell.fg != Color::Reset));
    assert_eq!(text_of(&plain), text_of(&coloured), "colour alone says nothing");
}

#[test]
fn a_failover_is_a_gap_between_two_names() {
    let mut model = sample::model();
    model.history = History::default();
    let (lost, served) = (Duration::from_millis(21_000), Duration::from_millis(21_700));
    for at in (10_000..25_300).step_by(100).map(Duration::from_millis) {
        if !(lost..served).contains(&at) {
            model.history.add(at, usize::from(at >= served), 20);
        }
    }
    let screen = text(&model, 100, 30);
    let band = screen.lines().find(|line| line.contains("━ primary ━")).expect("the band");
    let (before, after) = band.split_once("⇄").expect("the switch");
    assert!(before.contains("✗"), "the kills: {band}");
    assert!(after.contains("━ secondary ━"), "{band}");
    assert!(after.starts_with('·'), "the gap: {band}");
}

#[test]
fn every_broker_state_and_role_has_its_words() {
    let mut model = sample::model();
    model.active = None;
    model.clusters[1].quorum = false;
    let states = [BrokerState::Paused, BrokerState::Restarting, BrokerState::Starting, BrokerState::Recovery];
    model.clusters[0].brokers.iter_mut().zip(states).for_each(|(broker, state)| broker.state = state);
    model.slots[0].broker = None;
    model.clients[0].silent = Duration::from_millis(1_400);
    model.clients[1].errors = 1;
    let wanted = [
        "‖ paused",
        "◌ restarts",
        "◌ starts",
        "! recovery",
        "✗ no cluster serves: requests wait",
        "waits",
        "0/s 1.4 s",
        "1 error,",
    ];
    assert_shows(&text(&model, 80, 24), &wanted);
    assert_shows(&text(&model, 100, 30), &["silent 1.4 s"]);

    model.active = Some(0);
    assert_shows(&text(&model, 80, 24), &["! primary has lost its quorum", "! ACTIVE, no quorum"]);

    model.clusters[0].quorum = true;
    model.clusters[1].quorum = true;
    assert_shows(&text(&model, 80, 24), &["● primary serves all clients", "○ standby"]);
}

#[test]
fn a_switch_under_way_has_no_duration_yet() {
    let mut model = sample::model();
    let switch = model.last_switch.as_mut().expect("a switch");
    switch.took = None;
    switch.at = model.now.saturating_sub(Duration::from_millis(400));
    assert_shows(&text(&model, 100, 30), &["switching primary → secondary, for 400 ms"]);
}

#[test]
fn the_chosen_broker_is_seen_without_colour() {
    let ui = Ui { selected: BrokerId { cluster: 1, broker: 1 }, ..Ui::default() };
    let buffer = screen(&sample::model(), &ui, 100, 30);
    assert_shows(&text_of(&buffer), &["▸7 broker 2"]);
    let marked = |cell: &&Cell| cell.modifier.contains(Modifier::REVERSED);
    let row = text_of(&buffer).lines().position(|line| line.contains("▸7")).expect("its row");
    let cells = buffer.content().chunks(100).nth(row).expect("its cells");
    assert!(cells.iter().filter(marked).count() >= "7 broker 1".len());
}

#[test]
fn every_key_is_on_the_bottom_line_and_in_the_help() {
    let models = [sample::model(), Model { registries: true, ..sample::model() }];
    for (model, width) in models.iter().flat_map(|model| [80, 100, 200].map(|width| (model, width))) {
        let screen = text(model, width, 24);
        let line = screen.lines().last().expect("a bottom line");
        hints(model).iter().for_each(|hint| {
            let words = [hint.short, hint.long];
            let found =
                line.split(&format!(" {} ", hint.key)).nth(1).map(str::trim_start).unwrap_or_default();
            assert!(words.iter().any(|words| found.starts_with(words)), "{hint:?} in {line:?}");
        });
        assert_eq!(line.contains(" v "), model.registries, "{line:?}");
    }
    let help = Ui { help: true, ..Ui::default() };
    for (model, (width, height)) in
        models.iter().flat_map(|model| [(80, 24), (200, 60)].map(|size| (model, size)))
    {
        let screen = text_of(&screen(model, &help, width, height));
        hints(model).iter().for_each(|hint| assert_shows(&screen, &[hint.help]));
        assert_shows(
            &screen,
            &["kcat -b 127.0.0.1:9092 -t demo -C", "top --admin 127.0.0.1:9901", "Any key closes this page"],
        );
        // What lies behind the help may be cut beside it.
        let cut = |line: &str| line.split_once('…').is_some_and(|(_, after)| after.contains('│'));
        assert!(!screen.lines().any(cut), "cut:\n{screen}");
    }
}

#[test]
fn a_small_window_says_what_it_needs() {
    assert_shows(&text(&sample::model(), 79, 24), &["80 x 24", "79 x 24", "q quits"]);
    assert_shows(&text(&sample::model(), 80, 23), &["80 x 24"]);
}

#[test]
fn no_size_is_a_panic() {
    let mut odd = sample::model();
    odd.clusters[0].brokers[4].leads = (0..60).collect();
    odd.clusters[0].brokers[4].node = i32::MIN;
    odd.clusters.push(odd.clusters[0].clone());
    odd.slots.extend(odd.slots.clone());
    odd.active = Some(7);
    odd.clients.iter_mut().for_each(|client| client.total = u64::MAX);
    odd.caption = "a long caption with a line\nbreak ".repeat(20).into();
    let ui = |help| Ui { help, colour: true, selected: BrokerId { cluster: 9, broker: 9 } };
    for model in [Model::default(), sample::model(), odd] {
        for help in [false, true] {
            // Every width and every height, with a few of the other.
            for (width, height) in (1..=220).flat_map(|w| [(w, 1), (w, 24), (w, 31), (w, 70)]) {
                screen(&model, &ui(help), width, height);
            }
            for (width, height) in (1..=70).flat_map(|h| [(1, h), (80, h), (101, h), (220, h)]) {
                screen(&model, &ui(help), width, height);
            }
        }
    }
}

#[test]
fn an_empty_stage_says_that_the_clusters_start() {
    assert_shows(&text(&Model::default(), 80, 24), &["Pointsman demo", "◌ the clusters start"]);
}
