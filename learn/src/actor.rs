//! The policy of a finished run, acting in environments of someone else's: what plays and draws episodes needs no critic,
//! no loss and no optimiser.

use merit_sim::env::{ActionSpace, VecEnv};
use merit_sim::gpu::Gpu;
use merit_sim::registry;

use crate::LearnError;
use crate::config::Config;
use crate::dense::Activate;
use crate::kernel::{Recorder, Tick, Ticks};
use crate::learner::{Array, Checkpoint};
use crate::net::{Network, UNIFORM_WORDS};
use crate::policy::{Behaviour, Context, Itself, Policy, Remembered};
use crate::ppo::{keys, options};
use crate::recurrent::Memory;
use crate::rng::Purpose;
use crate::sizes::Sizes;

/// One member's policy.
pub struct Actor {
    policy: Policy,
    /// What an agent network is told of itself.
    itself: Option<Itself>,
    ticks: Ticks,
    greedy: bool,
    steps: u32,
    /// Nothing is behind the next step that it goes on from.
    begins: bool,
    memory: Option<Memory>,
}

impl Actor {
    /// The policy of member `member` of a run with this configuration and checkpoint, for the `[G, A]` agents of `env`, a
    /// batch of one step and one slot. `seed` is that of the drawn actions; with `greedy` the most probable is taken.
    ///
    /// # Errors
    /// [`LearnError::Config`] for a member that the run has not, or an environment with other observations or actions than
    /// it was trained on; [`LearnError::Checkpoint`] for a checkpoint of another configuration.
    pub fn new(
        gpu: &Gpu,
        config: &Config,
        checkpoint: &Checkpoint,
        member: usize,
        env: &dyn VecEnv,
        seed: u64,
        greedy: bool,
    ) -> Result<Self, LearnError> {
        let trained = Sizes::new(config, &registry::spec(&config.env, &options(config)?)?)?;
        let spec = env.spec();
        if (spec.obs, spec.actions) != (trained.obs, trained.actions) {
            let has = |obs: usize, actions: ActionSpace| match actions {
                ActionSpace::Discrete(n) => format!("{obs} features and {n} actions"),
                ActionSpace::Continuous(k) => {
                    format!("{obs} features and actions of {k} numbers")
                }
            };
            return Err(LearnError::Config(format!(
                "the run was trained on {} with {} of an agent; {} has here {}",
                config.env,
                has(trained.obs, trained.actions),
                spec.name,
                has(spec.obs, spec.actions),
            )));
        }
        if member >= trained.members {
            return Err(LearnError::Config(format!(
                "the run has no member {member}: its {} seeds are members 0 to {}",
                trained.members,
                trained.members - 1
            )));
        }
        let net = crate::actor_network(config, &trained);
        let words = parameters(&net, checkpoint, trained.members, member)?;
        let sizes = Sizes {
            members: 1,
            envs: env.envs(),
            agents: spec.agents,
            ..trained
        };
        let actor = gpu.guarded("the policy's kernels", || {
            let params = gpu.storage_from("parameters", &words);
            let ticks = Ticks::new(gpu, 1);
            let context = Context {
                gpu,
                sizes: &sizes,
                activate: Activate::from(config.activation),
                forget: config.rnn_reset.into(),
                by_rows: config.by_rows(gpu),
                params: &params,
                stride: words.len(),
                ticks: &ticks,
            };
            let log_probs = gpu.storage("log-probabilities", 4 * sizes.rows() as u64);
            let memory = net
                .trunk
                .map(|t| Memory::new(gpu, sizes.rows(), t.hidden(), 1));
            let carried = gpu.storage("nothing carried", 4 * sizes.rows() as u64);
            let remembered = memory.as_ref().map(|m| Remembered {
                memory: &m.state,
                carried: &carried,
            });
            let keys = keys(gpu, &[seed], Purpose::Evaluate);
            let itself = config
                .algo
                .decomposes_values()
                .then(|| Itself::new(&context, config, env.io()));
            let behaviour = Behaviour::executing(config.algo, itself.as_ref());
            Self {
                policy: Policy::new(
                    &context,
                    &net,
                    env.io(),
                    &keys,
                    &log_probs,
                    remembered,
                    behaviour,
                ),
                itself,
                ticks,
                greedy,
                steps: 0,
                begins: true,
                memory,
            }
        })?;
        Ok(actor)
    }

    /// Writes the actions of the next step, from the observations in the environment's one slot. Reads nothing back.
    pub fn act(&mut self, gpu: &Gpu) {
        let tick = Tick {
            draw: self.steps,
            greedy: self.greedy.into(),
            // One slot and one step: what the last step ended stands where the next will write.
            before: if self.begins { Tick::CARRIED } else { 0 },
            ..Tick::default()
        };
        self.ticks.set(0, tick);
        self.ticks.upload(gpu);
        let mut to = Recorder::new(gpu);
        if let Some(itself) = &self.itself {
            itself.record(&mut to, 0);
        }
        self.policy.record(&mut to, 0);
        to.submit();
        self.steps += 1;
        self.begins = false;
    }

    /// For episodes that begin anew before they have ended: what the agents remember, and did last, was of others.
    pub fn forget(&mut self, gpu: &Gpu) {
        if let Some(memory) = &self.memory {
            let words = (memory.state.size / 4) as usize;
            gpu.write(&memory.state, &vec![0.0_f32; words]);
        }
        self.begins = true;
    }
}

#[cfg(test)]
impl Actor {
    /// What the agents remember now.
    pub fn memory_words(&self) -> Vec<f64> {
        let memory = self.memory.as_ref().expect("a recurrent network");
        crate::tests::read(&memory.state)
    }
}

/// One member's words of the policy.
fn parameters(
    net: &Network,
    checkpoint: &Checkpoint,
    members: usize,
    member: usize,
) -> Result<Vec<f32>, LearnError> {
    // Kernels read whole vectors.
    let mut words = vec![0.0; net.end().next_multiple_of(UNIFORM_WORDS)];
    for (name, place, shape) in net.arrays("actor") {
        let wrong = |what: String| Err(LearnError::Checkpoint(format!("`{name}` {what}")));
        let needed = [vec![members], shape].concat();
        match checkpoint.get(&name) {
            Some(Array::F32 { shape, data }) if *shape == needed => {
                let first = member * place.len();
                words[place.clone()].copy_from_slice(&data[first..first + place.len()]);
            }
            Some(Array::F32 { shape, .. }) => {
                return wrong(format!("has shape {shape:?}, this run needs {needed:?}"));
            }
            Some(_) => return wrong("does not hold f32".into()),
            None => return wrong("is missing".into()),
        }
    }
    Ok(words)
}
