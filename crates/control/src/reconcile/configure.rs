//! A new configuration: planned as a whole, applied as a whole, or refused by name.

use super::{cluster::Watched, run::Reconciler};
use crate::handle::Applied;
use pointsman_core::{config::Config, plan::plan};

impl Reconciler {
    pub(super) fn configure(&mut self, new: Config) -> Applied {
        let plan = plan(&self.config, &new);
        let refused = plan.refused();
        if !refused.is_empty() {
            return Applied::Refused(refused);
        }
        if plan.is_empty() {
            return Applied::Changed(Vec::new());
        }
        self.config = new;
        self.update_clusters();
        self.note_passed_through();
        self.update_chains();
        self.drop_clusters();
        self.publish_next();
        self.save();
        for change in plan.words() {
            tracing::info!("configuration: {change}");
        }
        Applied::Changed(plan.words())
    }

    /// New ones begin, known ones learn their new rules; chains that still name old ones come next.
    fn update_clusters(&mut self) {
        for config in self.config.clusters.clone() {
            match self.clusters.iter_mut().find(|c| c.config.name == config.name) {
                Some(known) => known.configure(&config),
                None => {
                    let around = &self.around;
                    let new = Watched::new(config, None, around.clock, self.events.clone(), &around.tasks);
                    self.clusters.push(new);
                }
            }
        }
    }

    fn update_chains(&mut self) {
        for config in self.config.virtual_clusters.clone() {
            // The plan refuses new virtual clusters.
            let Some(chain) = self.chains.iter().position(|c| c.config.name == config.name) else { continue };
            let (names, rules) = (config.chain.clone(), config.failover.clone());
            let known = &mut self.chains[chain];
            known.told.retain(|name, _| names.contains(name));
            let same = known.config.chain == names && known.config.failover == rules;
            if let (Some(side), Some(rules)) = (&mut known.passthrough, config.mode.passthrough()) {
                side.rules = rules.clone().into();
            }
            known.config = config;
            if !same {
                self.with_moment(chain, |machine, moment| machine.configure(names, rules, moment));
                self.configure_slots(chain);
                self.tell(chain);
            }
        }
        let order = |name: &str| self.config.virtual_clusters.iter().position(|v| *v.name == *name);
        self.chains.sort_by_key(|c| order(&c.config.name));
    }

    fn drop_clusters(&mut self) {
        let order = |name: &str| self.config.clusters.iter().position(|c| *c.name == *name);
        self.clusters.retain(|c| order(&c.config.name).is_some());
        self.clusters.sort_by_key(|c| order(&c.config.name));
    }
}
