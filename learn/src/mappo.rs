//! MAPPO (Yu et al. 2022) as JaxMARL has it: agents share an actor that sees their observation and a critic that sees the
//! world state. `ppo_family.md` §5, networks of §1.1, 1.2 and 1.4.

use merit_sim::env::{EpisodeStats, VecEnv};
use merit_sim::gpu::Gpu;

use crate::LearnError;
use crate::config::{Config, Network as Kind};
use crate::learner::{Checkpoint, Learner, MemberReport, Timing};
use crate::net::{Network, Trunk};
use crate::policy::View;
use crate::ppo::{Networks, Ppo};
use crate::sizes::Sizes;

pub struct Mappo(pub Ppo);

/// Two networks, each with an optimiser and a gradient norm of its own.
pub fn networks(config: &Config, sizes: &Sizes) -> Networks {
    let view = View::World {
        agent_id: config.obs_with_agent_id,
    };
    let columns = view.columns(sizes);
    let network = |first: usize, inputs: usize, outputs: usize| match config.network {
        Kind::Ff => Network::feed_forward(first, inputs, config.hidden, outputs),
        Kind::Gru => {
            let trunk = Trunk::new(first, inputs, config.hidden);
            Network::recurrent(trunk.end(), trunk, outputs)
        }
    };
    let actor = network(0, sizes.obs, sizes.outputs()).policy_for(sizes.actions);
    let critic = network(actor.end(), columns, 1);
    let optimisers = vec![actor.end(), critic.end()];
    Networks {
        actor,
        critic,
        view,
        optimisers,
    }
}

impl Mappo {
    /// # Errors
    /// [`LearnError`]: what does not fit the configuration, the adapter or burn.
    pub fn new(gpu: &Gpu, config: &Config, env: Box<dyn VecEnv>) -> Result<Self, LearnError> {
        let ppo = Ppo::new(gpu, config, env, |sizes| networks(config, sizes))?;
        Ok(Self(ppo))
    }
}

impl Learner for Mappo {
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

        // UPDATE: K epochs of minibatches, a step of both optimisers for each; both gradients are taken at the same
        // parameters.
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
