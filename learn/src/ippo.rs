//! IPPO (de Witt et al. 2020) as JaxMARL has it: every agent learns as if alone, with parameters shared. Actor and critic
//! both see the agent's observation. `ppo_family.md` §4, networks of §1.3 and 1.4.

use merit_sim::env::VecEnv;
use merit_sim::gpu::Gpu;

use crate::LearnError;
use crate::config::{Config, Network as Kind};
use crate::net::{Network, Trunk};
use crate::policy::View;
use crate::ppo::{ActorCritic, Networks, Ppo};
use crate::sizes::Sizes;

pub struct Ippo(pub Ppo);

/// Two networks on the same input, or two heads on one trunk; one optimiser either way, and one gradient norm.
pub fn networks(config: &Config, sizes: &Sizes) -> Networks {
    let (actor, critic) = match config.network {
        Kind::Ff => {
            let actor = Network::feed_forward(0, sizes.obs, config.hidden, sizes.outputs());
            let actor = actor.policy_for(sizes.actions);
            let critic = Network::feed_forward(actor.end(), sizes.obs, config.hidden, 1);
            (actor, critic)
        }
        Kind::Gru => {
            let trunk = Trunk::new(0, sizes.obs, config.hidden);
            let actor = Network::recurrent(trunk.end(), trunk, sizes.outputs());
            let actor = actor.policy_for(sizes.actions);
            let critic = Network::recurrent(actor.end(), trunk, 1);
            (actor, critic)
        }
    };
    let optimisers = vec![critic.end()];
    Networks {
        actor,
        critic,
        view: View::Observation,
        samples: 0,
        models: vec![],
        optimisers,
    }
}

impl Ippo {
    /// # Errors
    /// [`LearnError`]: what does not fit the configuration, the adapter or burn.
    pub fn new(gpu: &Gpu, config: &Config, env: Box<dyn VecEnv>) -> Result<Self, LearnError> {
        let ppo = Ppo::new(gpu, config, env, |sizes| networks(config, sizes))?;
        Ok(Self(ppo))
    }
}

impl ActorCritic for Ippo {
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

        // UPDATE: K epochs of minibatches, a step of the optimiser for each.
        ppo.record_epochs(&mut to)?;
        ppo.end_update(to)?;
        Ok(())
    }
}
