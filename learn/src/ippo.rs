//! IPPO (de Witt et al. 2020) as JaxMARL has it: every agent learns as if alone, with parameters shared. Actor and critic
//! both see the agent's observation. `ppo_family.md` §4, networks of §1.3 and 1.4.

use merit_sim::env::{EpisodeStats, VecEnv};
use merit_sim::gpu::Gpu;

use crate::LearnError;
use crate::config::{Config, Network as Kind};
use crate::learner::{Checkpoint, Learner, MemberReport, Timing};
use crate::net::{Network, Trunk};
use crate::policy::View;
use crate::ppo::{Networks, Ppo};
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

impl Learner for Ippo {
    fn update(&mut self) -> Result<(), LearnError> {
        let ppo = &mut self.0;
        let sizes = ppo.sizes;
        let mut to = ppo.begin_update();

        // COLLECT: T steps of E environments with the current policy, in one submission.
        ppo.timestamps.begin_rollout(to.encoder());
        ppo.record_start(&mut to);
        for t in 0..sizes.steps {
            ppo.policy.record(&mut to, t);
            ppo.env.record_step(to.pass(), t);
            to.launches += u64::from(ppo.env.dispatches_per_step());
            if let Some(final_value) = &ppo.final_value {
                final_value.record(&mut to, t);
            }
        }
        ppo.timestamps.end_rollout(to.encoder());

        // ESTIMATE: values of all steps and of the one after the last, advantages, targets.
        ppo.record_values(&mut to);
        ppo.gae.record(&mut to);
        ppo.diagnostics.record_explained_variance(&mut to);

        // UPDATE: K epochs of minibatches, a step of the one optimiser for each.
        for epoch in 0..sizes.epochs {
            ppo.minibatches
                .record_epoch(&mut to, ppo.minibatch_tick(epoch, 0));
            for minibatch in 0..sizes.minibatches {
                let tick = ppo.minibatch_tick(epoch, minibatch);
                ppo.record_gather(&mut to, tick);
                ppo.record_forward(&mut to, tick);
                to.submit();
                to.launches += ppo.loss.replay()?;
                ppo.record_backward(&mut to, tick);
                ppo.adam.record_norms(&mut to, tick);
                ppo.diagnostics.record_minibatch(&mut to, tick);
                ppo.adam.record_step(&mut to, tick);
            }
        }
        ppo.end_update(to);
        Ok(())
    }

    fn env_steps(&self) -> u64 {
        self.0.env_steps()
    }

    fn steps_per_update(&self) -> u64 {
        self.0.steps_per_update()
    }

    fn updates(&self) -> u64 {
        self.0.updates()
    }

    fn updates_done(&self) -> u64 {
        self.0.updates_done()
    }

    fn report(&mut self) -> Result<(Vec<MemberReport>, Timing), LearnError> {
        self.0.report()
    }

    fn evaluate(
        &mut self,
        episodes: usize,
        greedy: bool,
        seed: u64,
    ) -> Result<Vec<EpisodeStats>, LearnError> {
        self.0.evaluate(episodes, greedy, seed)
    }

    fn checkpoint(&mut self) -> Result<Checkpoint, LearnError> {
        self.0.checkpoint()
    }

    fn restore(&mut self, checkpoint: &Checkpoint) -> Result<(), LearnError> {
        self.0.restore(checkpoint)
    }
}
