//! The embedded Kafka as a subject.

use std::net::SocketAddr;
use std::time::Duration;

use pointsman_sandbox::{Cluster, ClusterSpec};
use pointsman_testkit::conformance::Subject;
use tokio::runtime::Runtime;

/// A restarted broker serves by then.
const READY: Duration = Duration::from_secs(20);

/// A cluster and the runtime that it lives in.
pub(crate) struct Sandbox {
    cluster: Cluster,
    runtime: Runtime,
}

impl Sandbox {
    pub(crate) fn start(brokers: usize) -> std::io::Result<Self> {
        let runtime = Runtime::new()?;
        let cluster = runtime.block_on(Cluster::start(ClusterSpec::new("sandbox", brokers)))?;
        Ok(Self { cluster, runtime })
    }
}

impl Subject for Sandbox {
    fn name(&self) -> &str {
        "sandbox"
    }

    fn bootstrap(&self) -> Vec<SocketAddr> {
        self.cluster.addresses()
    }

    fn kill(&mut self, broker: usize) -> Result<(), String> {
        let _inside = self.runtime.enter();
        self.cluster.kill(broker);
        Ok(())
    }

    fn restart(&mut self, broker: usize) -> Result<(), String> {
        self.runtime.block_on(async {
            self.cluster.restart(broker).await.map_err(|e| e.to_string())?;
            let serves = self.cluster.wait_serving(broker, READY).await;
            if serves { Ok(()) } else { Err(format!("broker {broker} does not serve after {READY:?}")) }
        })
    }

    fn pause(&mut self, broker: usize) -> Result<(), String> {
        let _inside = self.runtime.enter();
        self.cluster.pause(broker);
        Ok(())
    }

    fn resume(&mut self, broker: usize) -> Result<(), String> {
        let _inside = self.runtime.enter();
        self.cluster.resume(broker);
        Ok(())
    }
}
