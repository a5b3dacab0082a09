//! What an operator says: looked up, handed to the machine, and answered with what was decided.

use super::run::Reconciler;
use crate::handle::{Decided, NotDone};
use pointsman_core::failover::{Command, Refusal};
use std::sync::Arc;

impl Reconciler {
    /// Does what an operator wants. The answer is there when the decision is published, not when it is carried out.
    pub(super) fn command(&mut self, name: &Arc<str>, command: Command) -> Result<Decided, NotDone> {
        let Some(chain) = self.chains.iter().position(|c| c.config.name == *name) else {
            let known = self.chains.iter().map(|c| c.config.name.clone()).collect();
            return Err(NotDone::NoVirtualCluster { name: name.clone(), known });
        };
        if let Command::Switch { to, .. } = &command
            && !self.clusters.iter().any(|c| c.config.name == *to)
        {
            let known = self.clusters.iter().map(|c| c.config.name.clone()).collect();
            return Err(NotDone::NoCluster { name: to.clone(), known });
        }
        if self.slots_alone(chain) > 0 {
            return Err(NotDone::Refused(Refusal::EachSlotAlone));
        }
        let from = self.chains[chain].machine.active().cloned();
        tracing::info!(virtual_cluster = &**name, "command: {command}");
        let mut refused = None;
        self.with_moment(chain, |machine, moment| {
            machine.command(command, moment).unwrap_or_else(|refusal| {
                refused = Some(refusal);
                Vec::new()
            })
        });
        if let Some(refusal) = refused {
            tracing::info!(virtual_cluster = &**name, "refused: {refusal}");
            return Err(NotDone::Refused(refusal));
        }
        // A command that moves nothing may still have changed what is kept.
        self.save();
        let machine = &self.chains[chain].machine;
        let to = machine.heading().filter(|to| Some(*to) != from.as_ref()).cloned();
        Ok(Decided { generation: machine.since(), from, to })
    }
}
