//! What the cases need of a cluster besides its protocol: where it is, and how its brokers fail.

use std::net::SocketAddr;

use crate::kafka::Cluster;

/// A cluster under test: three brokers, automatic creation of topics off, `min.insync.replicas` 2, no initial delay of
/// rebalances. Brokers are counted from 0.
pub trait Subject: Send {
    /// Name for messages.
    fn name(&self) -> &str;
    /// The client address of each broker, dead ones included.
    fn bootstrap(&self) -> Vec<SocketAddr>;
    /// Ends a broker at once: its connections are reset, its port is closed.
    fn kill(&mut self, broker: usize) -> Result<(), String>;
    /// Starts a killed broker again, with what it had stored, and waits until it answers.
    fn restart(&mut self, broker: usize) -> Result<(), String>;
    /// Freezes a broker: its connections stay open and nothing answers.
    fn pause(&mut self, broker: usize) -> Result<(), String>;
    /// Lets a frozen broker go on.
    fn resume(&mut self, broker: usize) -> Result<(), String>;
}

impl Subject for Cluster {
    fn name(&self) -> &str {
        Self::name(self)
    }

    fn bootstrap(&self) -> Vec<SocketAddr> {
        self.addresses()
    }

    fn kill(&mut self, broker: usize) -> Result<(), String> {
        Self::kill(self, &[broker]);
        Ok(())
    }

    fn restart(&mut self, broker: usize) -> Result<(), String> {
        Self::restart(self, &[broker])?;
        self.wait_ready()
    }

    fn pause(&mut self, broker: usize) -> Result<(), String> {
        Self::pause(self, &[broker]);
        Ok(())
    }

    fn resume(&mut self, broker: usize) -> Result<(), String> {
        Self::resume(self, &[broker]);
        Ok(())
    }
}
