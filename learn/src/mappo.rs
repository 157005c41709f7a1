//! MAPPO (Yu et al. 2022) as JaxMARL has it: agents share an actor that sees their observation and a critic that sees the
//! world state. `ppo_family.md` §5, networks of §1.1, 1.2 and 1.4.

use merit_sim::env::VecEnv;
use merit_sim::gpu::Gpu;

use crate::LearnError;
use crate::config::Config;
use crate::policy::View;
use crate::ppo::{ActorCritic, Networks, Ppo};
use crate::sizes::Sizes;

pub struct Mappo(pub Ppo);

pub fn networks(config: &Config, sizes: &Sizes) -> Networks {
    let view = View::World {
        agent_id: config.obs_with_agent_id,
    };
    Networks::separate(config, sizes, view, 1)
}

impl Mappo {
    /// # Errors
    /// [`LearnError`]: what does not fit the configuration, the adapter or burn.
    pub fn new(gpu: &Gpu, config: &Config, env: Box<dyn VecEnv>) -> Result<Self, LearnError> {
        let ppo = Ppo::new(gpu, config, env, |sizes| networks(config, sizes))?;
        Ok(Self(ppo))
    }
}

impl ActorCritic for Mappo {
    fn ppo(&self) -> &Ppo {
        &self.0
    }

    fn ppo_mut(&mut self) -> &mut Ppo {
        &mut self.0
    }

    fn learn(&mut self) -> Result<(), LearnError> {
        let ppo = &mut self.0;
        let mut to = ppo.begin_update();

        // COLLECT: T steps of E environments with the current policy, in one submission.
        ppo.record_rollout(&mut to);

        // ESTIMATE: values of all steps and of the one after the last, advantages, targets.
        ppo.record_values(&mut to);
        ppo.gae.record(&mut to);
        ppo.diagnostics.record_explained_variance(&mut to);
        ppo.credit.record(&mut to);

        // UPDATE: K epochs of minibatches, a step of both optimisers for each; both gradients are taken at the same parameters.
        ppo.record_epochs(&mut to)?;
        ppo.end_update(to)?;
        Ok(())
    }
}
