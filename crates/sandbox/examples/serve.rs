//! A sandbox cluster to point any Kafka client at: `cargo run -p pointsman-sandbox --example serve -- [brokers] [first port]`.
//! Commands on standard input: `kill N`, `restart N`, `pause N`, `resume N`, `quorum lost|found`; its end ends the cluster.

use pointsman_sandbox::{Cluster, ClusterSpec};
use std::{error::Error, io::BufRead};
use tokio::runtime::Runtime;

fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().with_env_filter("debug").with_writer(std::io::stderr).init();
    let mut args = std::env::args().skip(1);
    let brokers: usize = args.next().map_or(Ok(3), |n| n.parse())?;
    let first: u16 = args.next().map_or(Ok(9092), |n| n.parse())?;
    let ports = (first..).take(brokers).collect();
    let runtime = Runtime::new()?;
    let cluster =
        runtime.block_on(Cluster::start(ClusterSpec { ports, ..ClusterSpec::new("sandbox", brokers) }))?;
    eprintln!("{}", cluster.bootstrap());
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let (command, argument) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
        let broker: usize = argument.parse().unwrap_or(usize::MAX);
        match command {
            "kill" => cluster.kill(broker),
            "restart" => runtime.block_on(cluster.restart(broker))?,
            "pause" => cluster.pause(broker),
            "resume" => cluster.resume(broker),
            "quorum" => cluster.lose_quorum(argument == "lost"),
            _ => eprintln!("kill N, restart N, pause N, resume N, quorum lost|found"),
        }
        eprintln!("{:?}", cluster.states());
    }
    Ok(())
}
