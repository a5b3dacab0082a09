//! The rules.

use std::collections::{HashMap, HashSet};

use super::{ClientHistory, ClientReport, Input, Report, Side, Window, WindowReport};

const NANOS_PER_MILLI: u64 = 1_000_000;

/// Judges a run.
pub fn check(input: &Input<'_>) -> Report {
    let clients = input.clients.iter().map(|client| check_client(input, client)).collect();
    Report { clients, switched_early: switched_early(input) }
}

fn switched_early(input: &Input<'_>) -> usize {
    let first = input.windows.iter().map(|w| w.start).min().unwrap_or(u64::MAX);
    let all = input.clients.iter().flat_map(|c| &c.acks);
    all.filter(|a| a.at < first && input.side_of(a) == Some(Side::Secondary)).count()
}

fn check_client(input: &Input<'_>, client: &ClientHistory) -> ClientReport {
    let (across, within) = duplicates(input, &client.client);
    ClientReport {
        client: client.client.clone(),
        acked: client.acks.len(),
        lost: client.acks.iter().filter(|a| is_lost(input, &a.value)).count(),
        duplicated_across: across,
        duplicated_within: within,
        consumed_again: consumed_again(client),
        app_errors: client.errors.len(),
        fatal_errors: client.errors.iter().filter(|e| e.fatal).count(),
        first_error: client.errors.first().map(|e| e.message.clone()),
        windows: input.windows.iter().map(|w| check_window(input, client, *w)).collect(),
    }
}

fn is_lost(input: &Input<'_>, value: &str) -> bool {
    input.primary.copies(value) == 0 && input.secondary.copies(value) == 0
}

/// Records of this client in both logs, and superfluous copies within one.
fn duplicates(input: &Input<'_>, client: &str) -> (usize, usize) {
    let own = |value: &&str| value.rsplit_once('-').is_some_and(|(name, _)| name == client);
    let across = input.primary.values().filter(own).filter(|v| input.secondary.copies(v) > 0).count();
    let within = [input.primary, input.secondary]
        .iter()
        .flat_map(|log| log.values().filter(own).map(|v| log.copies(v) - 1))
        .sum();
    (across, within)
}

fn consumed_again(client: &ClientHistory) -> usize {
    let mut seen = HashSet::new();
    client.consumed.iter().filter(|c| !seen.insert(&c.value)).count()
}

fn check_window(input: &Input<'_>, client: &ClientHistory, window: Window) -> WindowReport {
    let firsts = first_acks(input, client, window);
    let first_own = firsts.values().min().copied();
    let first_fleet =
        input.clients.iter().filter_map(|c| first_acks(input, c, window).into_values().min()).min();
    let own = old_acks_after(input, client, window, first_own);
    let since = |at: u64| (at - window.start) / NANOS_PER_MILLI;
    let every = (firsts.len() == input.partitions as usize).then(|| firsts.values().max().copied()).flatten();
    WindowReport {
        any_partition: first_own.map(since),
        every_partition: every.map(since),
        silence: silence(client.acks.iter().map(|a| (a.partition, a.at)), input.partitions, window),
        consumer_gap: silence(first_reads(client), input.partitions, window),
        not_consumed: not_consumed(input, client, window),
        order_violations: own.len(),
        violation_span: own.iter().max().zip(first_own).map_or(0, |(l, f)| (l - f) / NANOS_PER_MILLI),
        order_violations_fleet: old_acks_after(input, client, window, first_fleet).len(),
    }
}

fn within(window: Window, at: u64) -> bool {
    (window.start..window.end).contains(&at)
}

/// The first acknowledgement by the new cluster on each partition.
fn first_acks(input: &Input<'_>, client: &ClientHistory, window: Window) -> HashMap<u32, u64> {
    let mut firsts: HashMap<u32, u64> = HashMap::new();
    for ack in client.acks.iter().filter(|a| within(window, a.at)) {
        if input.side_of(ack) == Some(window.to) {
            firsts.entry(ack.partition).and_modify(|at| *at = ack.at.min(*at)).or_insert(ack.at);
        }
    }
    firsts
}

/// When the old cluster still acknowledged something although the new one had begun.
fn old_acks_after(input: &Input<'_>, client: &ClientHistory, window: Window, first: Option<u64>) -> Vec<u64> {
    let Some(first) = first else { return Vec::new() };
    let late = client.acks.iter().filter(|a| within(window, a.at) && a.at > first);
    late.filter(|a| input.side_of(a).is_some_and(|side| side != window.to)).map(|a| a.at).collect()
}

/// The first time that this consumer got each record; reading old records again is no progress.
fn first_reads(client: &ClientHistory) -> impl Iterator<Item = (u32, u64)> {
    let mut seen = HashSet::new();
    client.consumed.iter().filter(move |c| seen.insert(&c.value)).map(|c| (c.partition, c.at))
}

/// The longest time within the window in which one partition brought no event. The window's bounds count as
/// events: a partition that stays silent from the fault to the end was silent for the whole window.
fn silence(events: impl Iterator<Item = (u32, u64)>, partitions: u32, window: Window) -> u64 {
    let mut times: Vec<Vec<u64>> = vec![vec![window.start, window.end]; partitions as usize];
    for (partition, at) in events.filter(|(_, at)| within(window, *at)) {
        if let Some(of_partition) = times.get_mut(partition as usize) {
            of_partition.push(at);
        }
    }
    times.into_iter().map(longest_gap).max().unwrap_or(0) / NANOS_PER_MILLI
}

fn longest_gap(mut times: Vec<u64>) -> u64 {
    times.sort_unstable();
    times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(0)
}

/// What the new cluster acknowledged to any client within the window and this consumer did not get by the end
/// of the run.
fn not_consumed(input: &Input<'_>, client: &ClientHistory, window: Window) -> usize {
    let got: HashSet<&str> = client.consumed.iter().map(|c| c.value.as_str()).collect();
    let acks = input.clients.iter().flat_map(|c| &c.acks).filter(|a| within(window, a.at));
    acks.filter(|a| !got.contains(a.value.as_str()) && input.side_of(a) == Some(window.to)).count()
}
