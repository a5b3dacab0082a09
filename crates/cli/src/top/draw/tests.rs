//! What the screen says at fixed sizes, whatever the admin API answers.

use super::paint;
use crate::{
    http::unreachable,
    screen::{
        keys::{Key, decode},
        picture,
        terminal::View,
    },
    top::{
        keys::{HINTS, Ui},
        model::Model,
        monitor::Monitor,
        sample,
    },
};
use ratatui::{
    buffer::{Buffer, Cell},
    layout::Rect,
    style::Color,
};
use serde_json::{Value, json};
use std::time::Duration;

const SIZES: [(u16, u16); 3] = [(80, 24), (120, 40), (50, 15)];

fn screen(model: &Model, ui: &mut Ui, (width, height): (u16, u16)) -> Buffer {
    let mut buffer = Buffer::empty(Rect::new(0, 0, width, height));
    paint(model, ui, buffer.area, &mut buffer);
    buffer
}

fn text_of(buffer: &Buffer) -> String {
    let cells: Vec<&str> = buffer.content().iter().map(Cell::symbol).collect();
    let rows = cells.chunks(usize::from(buffer.area.width));
    rows.map(|row| row.concat().trim_end().to_owned() + "\n").collect()
}

fn text(model: &Model, size: (u16, u16)) -> String {
    text_of(&screen(model, &mut Ui::default(), size))
}

/// Words that were broken into lines, in one.
fn flat(screen: &str) -> String {
    screen.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn assert_shows(screen: &str, wanted: &[&str]) {
    for words in wanted {
        assert!(screen.contains(words), "expected {words:?} on\n{screen}");
    }
}

fn unanswered(why: &str) -> Model {
    let mut monitor = Monitor::new("127.0.0.1:9901");
    for second in [1, 13] {
        monitor.tell(Err(why.into()), 1_000 * second, Duration::from_secs(second));
    }
    monitor.model()
}

/// Thirty brokers and slots, and names that no screen has room for.
fn large() -> Value {
    let mut status = sample::status();
    let host = "kafka-with-a-name-that-nobody-would-want-to-type.europe-west.example.com";
    let broker = |n: i32| {
        json!({ "address": format!("{host}:{}", 9100 + n), "node": n, "state": "unhealthy",
                "reason": "no answer within 1s to a question that is much longer than any screen has columns" })
    };
    let slot = |n: i32| json!({ "slot": n, "advertised": format!("{host}:{}", 9200 + n), "broker": format!("{n}@{host}:{}", 9100 + n) });
    status["clusters"][0]["brokers"] = (0..30).map(broker).collect();
    status["clusters"][0]["name"] = "a-cluster-with-a-name-of-one-hundred-characters-".repeat(2).into();
    status["virtual_clusters"][0]["slots"] = (0..30).map(slot).collect();
    status["virtual_clusters"][0]["name"] = "a-virtual-cluster-with-a-long-name-".repeat(3).into();
    status["virtual_clusters"][0]["active"] = status["clusters"][0]["name"].clone();
    status
}

#[test]
fn at_80_x_24_everything_of_a_failover_is_there() {
    let screen = text(&sample::model(), (80, 24));
    let expected = " Pointsman 0.1.0  127.0.0.1:9901                       ● generation 7, up 1h 6m
 main  ● secondary serves   31 conns  in 1.2 MB/s  out 3.4 MB/s  412 req/s
─ Clusters and slots ────────────────────────────────────────────── 1-15 of 18 ─
primary  ✗ NO QUORUM  2 of 5 healthy, 3 needed, 12 topics
   0  kafka-a0:9092  ✗ unhealthy  connection refused
   1  kafka-a1:9092  ✗ unhealthy  connection refused
   2  kafka-a2:9092  ✗ unhealthy  connection refused
   3  kafka-a3:9092  ● healthy    1.2 ms
   4  kafka-a4:9092  ● healthy    1.2 ms
secondary  ● serves  3 of 3 healthy, 2 needed, 11 topics
   0  kafka-b0:9092  ● healthy    1.2 ms
   1  kafka-b1:9092  ● healthy    1.2 ms
   2  kafka-b2:9092  ● healthy    1.2 ms
main  0.0.0.0:9092-9096  primary → secondary
   0  kafka.example.com:9092 ▸ secondary 0@kafka-b0:9092
   1  kafka.example.com:9093 ▸ secondary 1@kafka-b1:9092
   2  kafka.example.com:9094 ▸ secondary 2@kafka-b2:9092
   3  kafka.example.com:9095 ▸ secondary 0@kafka-b0:9092
─ Events ───────────────────────────────────────────────────────────────────────
     34s ago  ⇄ no cluster → primary: first start
     14s ago  ⇄ primary → secondary in 250 ms: primary lost quorum: 2 of 5 brok…


 ↑↓  scroll   Tab  other list   /  filter   p  pause   ?  help   q  quit
";
    assert_eq!(screen, expected);
}

#[test]
fn at_120_x_40_clusters_and_slots_stand_side_by_side() {
    let screen = text(&sample::model(), (120, 40));
    assert_shows(
        &screen,
        &[
            "31 connections (+2.0/s)   in 1.2 MB/s   out 3.4 MB/s   412 requests/s",
            "─ Clusters ──",
            "─ Slots ──",
            "   4  kafka.example.com:9096 ▸ secondary 1@kafka-b1:9092",
            "  ! about 25 records unread on primary: orders (25, billin…",
            "  ! secondary differs in 1 topic: audit (missing)",
            "primary lost quorum: 2 of 5 brokers are healthy, 3 needed",
        ],
    );
    let row = screen.lines().find(|line| line.starts_with("primary")).expect("a heading");
    assert!(row.contains("main  0.0.0.0:9092-9096"), "side by side: {row}");
}

#[test]
fn at_50_x_15_the_verdict_and_the_keys_remain() {
    let screen = text(&sample::model(), (50, 15));
    assert_shows(
        &screen,
        &[
            "● up 1h 6m",
            "main  ● secondary serves   31 conns",
            "✗ NO QUORUM",
            "✗ unhealthy  connection refu…",
            "⇄ primary → secondary in 250",
            " q ",
            "quit",
        ],
    );
}

#[test]
fn without_an_answer_the_screen_says_what_to_do() {
    let model = unanswered(&unreachable("127.0.0.1:9901", "Connection refused (os error 111)"));
    for size in SIZES {
        let screen = flat(&text(&model, size));
        assert_shows(&screen, &["✗ no answer for 12s", "Connection refused", "admin.listen", "--admin"]);
    }
    let asking = Monitor::new("127.0.0.1:9901").model();
    SIZES.iter().for_each(|size| assert_shows(&text(&asking, *size), &["◌ asking", "asking 127.0.0.1:9901"]));
}

#[test]
fn a_long_address_leaves_room_for_what_is_wrong() {
    let mut monitor = Monitor::new("admin.of-a-long-name.europe-west.example.com:19901");
    monitor.tell(Err("refused".into()), 1_000, Duration::from_secs(1));
    assert_shows(&text(&monitor.model(), (50, 15)), &[" Pointsman  admin.of-a-long-…  ✗ no answer for 0s\n"]);
}

#[test]
fn an_answer_that_stays_away_keeps_the_last_one_and_warns() {
    let mut monitor = Monitor::new("127.0.0.1:9901");
    monitor.tell(Ok((sample::status().to_string(), String::new())), 90_000, Duration::from_secs(1));
    monitor.tell(Err("refused".into()), 91_000, Duration::from_secs(2));
    monitor.tell(Err("refused".into()), 98_000, Duration::from_secs(9));
    let screen = text(&monitor.model(), (80, 24));
    assert_shows(
        &screen,
        &["✗ no answer for 7s: as it was then", "✗ NO QUORUM", "! no answer: refused", "31 connections"],
    );
}

#[test]
fn thirty_brokers_with_long_names_scroll_to_the_last_slot() {
    let model = sample::of(&large());
    for size in SIZES {
        let mut ui = Ui::default();
        let before = text_of(&screen(&model, &mut ui, size));
        assert_shows(&before, &["kafka-with", "✗ unhealthy"]);
        let keys: &[Key] = if size.0 < 100 { &[Key::End] } else { &[Key::Tab, Key::End] };
        keys.iter().for_each(|key| assert_eq!(ui.press(*key, &model), None));
        let after = text_of(&screen(&model, &mut ui, size));
        assert_shows(&after, &["29  :9229 ▸ ", "m:9129"]);
        assert!(before.lines().chain(after.lines()).all(|line| line.chars().count() <= usize::from(size.0)));
    }
}

#[test]
fn a_filter_leaves_what_contains_it_with_its_heading() {
    let mut ui = Ui::default();
    let model = sample::model();
    decode("/A3").into_iter().for_each(|key| assert_eq!(ui.press(key, &model), None));
    let screen = text_of(&screen(&model, &mut ui, (80, 24)));
    assert_shows(&screen, &["with a3", "primary  ✗ NO QUORUM", "kafka-a3:9092", "/a3", "Esc clears"]);
    for gone in ["kafka-a2", "kafka-b0", "▸", "first start"] {
        assert!(!screen.contains(gone), "{gone} on\n{screen}");
    }
}

#[test]
fn pause_holds_the_screen_and_says_for_how_long() {
    let mut ui = Ui::default();
    let before = sample::model();
    assert_eq!(ui.press(Key::Char('p'), &before), None);
    let mut status = sample::status();
    status["clusters"][0]["name"] = "renamed".into();
    let mut later = sample::of(&status);
    later.now_ms += 61_000;
    let held = text_of(&screen(&later, &mut ui, (80, 24)));
    assert_shows(&held, &["‖ paused 1m 1s", "primary  ✗ NO QUORUM"]);
    assert_eq!(ui.press(Key::Char('p'), &later), None);
    assert_shows(&text_of(&screen(&later, &mut ui, (80, 24))), &["renamed  ✗ NO QUORUM", "● generation 7"]);
}

#[test]
fn a_resize_keeps_the_list_within_its_end() {
    let model = sample::of(&large());
    let mut ui = Ui::default();
    screen(&model, &mut ui, (50, 15));
    ui.press(Key::End, &model);
    screen(&model, &mut ui, (50, 15));
    let far = ui.panes[0];
    screen(&model, &mut ui, (80, 60));
    assert!(ui.panes[0].first < far.first && ui.panes[0].first == ui.panes[0].last(), "{:?}", ui.panes);
    let wide = text_of(&screen(&model, &mut ui, (120, 70)));
    assert_shows(&wide, &["─ Slots", "29  "]);
}

#[test]
fn several_virtual_clusters_have_a_line_each_and_their_names_in_events() {
    let mut status = sample::status();
    let one = status["virtual_clusters"][0].clone();
    let named = |n: i32| {
        let mut one = one.clone();
        one["name"] = format!("v{n}").into();
        one
    };
    status["virtual_clusters"] = (0..9).map(named).collect();
    let screen = text(&sample::of(&status), (80, 24));
    assert_shows(
        &screen,
        &[" v0  ● secondary serves", " v2  ●", "and 6 more virtual clusters", "v8: primary → secondary"],
    );
}

#[test]
fn no_cluster_and_a_command_are_said() {
    let mut status = sample::status();
    status["virtual_clusters"][0]["pinned"] = true.into();
    assert_shows(&text(&sample::of(&status), (80, 24)), &["● secondary serves, by command"]);
    status["virtual_clusters"][0]["active"] = Value::Null;
    status["virtual_clusters"][0]["slots"][0]["broker"] = Value::Null;
    status["clusters"][0]["brokers"][3]["state"] = "recovery".into();
    status["clusters"][0]["brokers"][3]["reason"] =
        "recovery mode: its Kafka port answers, :8081 does not".into();
    let screen = text(&sample::of(&status), (80, 24));
    assert_shows(
        &screen,
        &["✗ no cluster serves", "▸ no broker", "! recovery   recovery mode: its Kafka port"],
    );
}

#[test]
fn behind_passthrough_slots_may_go_alone_and_lose_their_broker() {
    let mut status = sample::status();
    let main = &mut status["virtual_clusters"][0];
    main["mode"] = "passthrough".into();
    main["scope"] = "broker".into();
    main["active"] = Value::Null;
    let slot = |slot: i32, broker: &str, cluster: &str, ejected: Option<&str>| {
        let address = format!("b{slot}.k:9093");
        json!({ "slot": slot, "advertised": address, "broker": broker, "cluster": cluster, "ejected": ejected })
    };
    main["slots"] =
        json!([slot(0, "b0:9092", "secondary", None), slot(3, "a4:9092", "primary", Some("kafka-a3:9092"))]);
    let screen = text(&sample::of(&status), (80, 24));
    assert_shows(
        &screen,
        &[
            "● each slot alone   31 connections (+2.0/s)   in 1.2 MB/s   out 3.4 MB/s\n",
            "primary  ! serves without quorum",
            "secondary  ● serves",
            "   0  b0.k:9093 ▸ secondary b0:9092\n",
            "   3  b3.k:9093 ▸ primary a4:9092 (connections to kafka-a3:9092 fail)\n",
        ],
    );
}

#[test]
fn every_key_is_on_the_bottom_line_and_in_the_help() {
    for size in SIZES {
        let line = text(&sample::model(), size).lines().last().expect("a bottom line").to_owned();
        HINTS
            .iter()
            .for_each(|hint| assert_shows(&line, &[hint.key, hint.short.split(' ').next().expect("a word")]));
        let mut ui = Ui { help: true, ..Ui::default() };
        let help = text_of(&screen(&sample::model(), &mut ui, size));
        HINTS.iter().for_each(|hint| assert_shows(&help, &[&hint.help[..20]]));
        assert!(size.0 < 80 || help.lines().all(|l| !l.contains('…') || !l.contains('│')), "cut:\n{help}");
    }
}

#[test]
fn no_colour_means_no_colour() {
    let plain = screen(&sample::model(), &mut Ui::default(), (120, 40));
    assert!(plain.content().iter().all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset));
    let coloured = screen(&sample::model(), &mut Ui::new(true), (120, 40));
    assert!(coloured.content().iter().any(|cell| cell.fg != Color::Reset));
    assert_eq!(text_of(&plain), text_of(&coloured), "colour alone says nothing");
}

#[test]
fn a_small_window_says_what_it_needs() {
    assert_shows(&flat(&text(&sample::model(), (39, 24))), &["40 x 10", "39 x 24", "q quits"]);
}

#[test]
fn no_size_and_no_answer_is_a_panic() {
    let strange = json!({ "version": 9, "clusters": [{ "brokers": [{}, 7, null], "notes": [{}] }, 3],
                          "virtual_clusters": [{}, { "slots": [{}], "switches": [{}], "chain": [1] }] });
    for model in [
        sample::model(),
        sample::of(&large()),
        sample::of(&strange),
        sample::of(&json!([])),
        unanswered("x\ny"),
    ] {
        for help in [false, true] {
            let mut ui = Ui { help, typing: help, ..Ui::new(true) };
            for size in (1..=130)
                .flat_map(|w| [(w, 1), (w, 10), (w, 24)])
                .chain((1..=60).flat_map(|h| [(1, h), (50, h), (120, h)]))
            {
                screen(&model, &mut ui, size);
                ui.press(Key::PageDown, &model);
            }
        }
    }
}

#[test]
fn picture_of_the_monitor_is_what_it_draws() {
    let buffer = screen(&sample::model(), &mut Ui::new(true), (110, 22));
    picture::assert_drawn(
        "top.svg",
        &buffer,
        "pointsman top, shortly after a failover (the figures are made up)",
    );
}
