//! Sources of bootstrap servers, on loopback: a file that changes, and a DNS server of our own.

use super::*;
use pointsman_core::config::HealthConfig;
use std::{net::SocketAddr, path::PathBuf, sync::Mutex};
use tokio::net::UdpSocket;

const DEADLINE: Duration = Duration::from_secs(10);

fn cluster(bootstrap: Bootstrap) -> ClusterConfig {
    ClusterConfig {
        name: "p".into(),
        bootstrap,
        region: None,
        health: HealthConfig::default(),
        health_listeners: Vec::new(),
    }
}

/// The next list, in words.
async fn next(servers: &mut watch::Receiver<Vec<Address>>) -> Vec<String> {
    time::timeout(DEADLINE, servers.changed()).await.expect("a list in time").expect("the watcher runs");
    servers.borrow_and_update().iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn a_static_list_is_there_at_once() {
    let servers = vec![Address { host: "k".into(), port: 9092 }];
    let tasks = TaskTracker::new();

    let watched = watch(&cluster(Bootstrap::Static(servers.clone())), &tasks, &CancellationToken::new());

    assert_eq!(*watched.borrow(), servers);
    assert!(tasks.is_empty(), "a static list needs no task");
}

#[tokio::test]
async fn a_file_is_watched_and_its_last_good_list_is_kept() {
    let path: PathBuf = std::env::temp_dir().join(format!("pointsman-servers-{}", std::process::id()));
    let write = |text: &str| {
        let new = path.with_extension("new");
        std::fs::write(&new, text).and_then(|()| std::fs::rename(&new, &path)).expect("a writable directory");
    };
    write("a:1\nb:2\n");
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let refresh = Duration::from_millis(2);
    let mut servers = watch(&cluster(Bootstrap::File { path: path.clone(), refresh }), &tasks, &stop);

    assert_eq!(next(&mut servers).await, ["a:1", "b:2"]);
    write("broken");
    write("");
    write("c:3\n");
    assert_eq!(next(&mut servers).await, ["c:3"], "bad contents are no change");
    std::fs::remove_file(&path).expect("the file");
    assert_eq!(servers.borrow().len(), 1, "a missing file is no change");

    stop.cancel();
    tasks.close();
    time::timeout(DEADLINE, tasks.wait()).await.expect("the watcher ends with its parent");
}

/// Records of `_kafka._tcp.test.`: (priority, weight, port, target); none: NXDOMAIN.
type Records = Arc<Mutex<Vec<(u16, u16, u16, &'static str)>>>;

/// A DNS server that answers every question with these records.
async fn dns_server(records: Records) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
    let address = socket.local_addr().expect("a bound socket");
    tokio::spawn(async move {
        let mut query = [0; 1500];
        while let Ok((len, client)) = socket.recv_from(&mut query).await {
            let answer = answer(&query[..len], &records.lock().expect("not poisoned"));
            socket.send_to(&answer, client).await.expect("a reachable client");
        }
    });
    address
}

/// A response (RFC 1035, section 4) to a query with one question.
fn answer(query: &[u8], records: &[(u16, u16, u16, &str)]) -> Vec<u8> {
    let name_end = 12 + query[12..].iter().position(|b| *b == 0).expect("a name") + 1;
    let question = &query[12..name_end + 4];
    let code = if records.is_empty() { 3 } else { 0 };
    let count = u8::try_from(records.len()).expect("few records");
    let mut out = query[..2].to_vec();
    out.extend([0x85, code, 0, 1, 0, count, 0, 0, 0, 0]);
    out.extend(question);
    for (priority, weight, port, target) in records {
        let mut data: Vec<u8> = [*priority, *weight, *port].iter().flat_map(|n| n.to_be_bytes()).collect();
        for label in target.split('.') {
            data.push(u8::try_from(label.len()).expect("a short label"));
            data.extend(label.bytes());
        }
        data.push(0);
        out.extend([0xc0, 12, 0, 33, 0, 1, 0, 0, 0, 60, 0, u8::try_from(data.len()).expect("short data")]);
        out.extend(data);
    }
    out
}

#[tokio::test]
async fn an_srv_record_is_watched_in_its_order_and_its_last_good_list_is_kept() {
    let records: Records = Arc::new(Mutex::new(vec![
        (20, 0, 9092, "spare.test"),
        (10, 1, 9092, "light.test"),
        (10, 5, 9093, "heavy.test"),
    ]));
    let resolver = Some(dns_server(records.clone()).await);
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let bootstrap =
        Bootstrap::Srv { name: "_kafka._tcp.test.".into(), refresh: Duration::from_millis(5), resolver };
    let mut servers = watch(&cluster(bootstrap), &tasks, &stop);

    assert_eq!(next(&mut servers).await, ["heavy.test:9093", "light.test:9092", "spare.test:9092"]);
    records.lock().expect("not poisoned").clear();
    let gone = srv::Lookup::new("_kafka._tcp.test.".into(), resolver).ask().await;
    assert!(gone.is_err(), "no such record: {gone:?}");
    assert_eq!(servers.borrow().len(), 3, "a failed look-up is no change");
    records.lock().expect("not poisoned").push((1, 1, 9094, "new.test"));
    assert_eq!(next(&mut servers).await, ["new.test:9094"]);

    stop.cancel();
    tasks.close();
    time::timeout(DEADLINE, tasks.wait()).await.expect("the watcher ends with its parent");
}
