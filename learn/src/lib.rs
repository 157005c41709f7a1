//! `merit-learn`: multi-agent policy gradients that train from the simulator's device buffers.

pub mod actor;
pub mod adam;
pub mod agents;
pub mod alignment;
pub mod bench;
pub mod burn_device;
pub mod categorical;
pub mod checkpoint;
pub mod coma;
pub mod coma_pg;
pub mod config;
pub mod credit;
pub mod dae;
pub mod dead_units;
pub mod decomposition;
pub mod dense;
pub mod diagnostics;
pub mod distribution;
pub mod evaluate;
pub mod fop;
pub mod gae;
pub mod gaussian;
pub mod gpae;
pub mod gru;
pub mod hasac;
pub mod held;
pub mod host_replay;
pub mod init;
pub mod ippo;
pub mod iql;
pub mod kernel;
pub mod layers;
pub mod learner;
pub mod loss;
pub mod mappo;
pub mod me_igm;
pub mod minibatch;
pub mod net;
pub mod norm;
pub mod off_policy;
pub mod pieces;
pub mod policy;
pub mod population;
pub mod ppo;
pub mod q_learning;
pub mod q_loss;
pub mod qmix;
pub mod qplex;
pub mod qtran;
pub mod record;
pub mod recurrent;
pub mod replaced;
pub mod replay;
pub mod rng;
pub mod run;
pub mod sizes;
pub mod taken;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_actor_forgets;
#[cfg(test)]
mod tests_anomalies;
#[cfg(test)]
mod tests_coma;
#[cfg(test)]
mod tests_credit;
#[cfg(test)]
mod tests_fop;
#[cfg(test)]
mod tests_hasac;
#[cfg(test)]
mod tests_host_replay;
#[cfg(test)]
mod tests_keys_without_effect;
#[cfg(test)]
mod tests_large_dispatches;
#[cfg(test)]
mod tests_limits_of_missions;
#[cfg(test)]
mod tests_padding_of_inputs;
#[cfg(test)]
mod tests_qtran;
#[cfg(test)]
mod tests_reuse;
#[cfg(test)]
mod tests_ring_of_short_episodes;
#[cfg(test)]
mod tests_rollouts;
#[cfg(test)]
mod tests_sequential;
#[cfg(test)]
mod tests_three_agents;
#[cfg(test)]
mod tests_values;
#[cfg(test)]
mod tests_where_memory_begins;
pub mod timing;
pub mod train;
pub mod vdn;

use merit_sim::gpu::Gpu;

/// What can go wrong while learning. Each message says what was asked, what was found and what to do.
#[derive(Debug, thiserror::Error)]
pub enum LearnError {
    #[error(transparent)]
    Gpu(#[from] merit_sim::gpu::GpuError),
    #[error("{0}")]
    Config(String),
    #[error("the checkpoint cannot be used: {0}")]
    Checkpoint(String),
    #[error("burn: {0}")]
    Burn(String),
}

impl From<merit_sim::registry::EnvError> for LearnError {
    fn from(e: merit_sim::registry::EnvError) -> Self {
        match e {
            merit_sim::registry::EnvError::Gpu(e) => Self::Gpu(e),
            other => Self::Config(other.to_string()),
        }
    }
}

/// The policy's network of what `config` describes.
pub fn actor_network(config: &config::Config, sizes: &sizes::Sizes) -> net::Network {
    match config.algo {
        config::Algo::Ippo => ippo::networks(config, sizes).actor,
        config::Algo::Mappo => mappo::networks(config, sizes).actor,
        config::Algo::Coma => coma::networks(config, sizes).actor,
        config::Algo::ComaPg => {
            let [actor, _] = coma_pg::networks(config, sizes);
            actor
        }
        config::Algo::Dae => dae::networks(config, sizes).actor,
        config::Algo::Gpae => gpae::networks(config, sizes).actor,
        config::Algo::Hasac => hasac::policies(config, sizes),
        _ => agents::network(config, sizes),
    }
}

/// `config` with what the adapter decides: a `replay` of 0 becomes the largest that fits, up to 5,000 episodes. What a run records.
///
/// # Errors
/// [`LearnError`]: what does not fit the configuration.
pub fn settle(gpu: &Gpu, config: &config::Config) -> Result<config::Config, LearnError> {
    let mut config = config.clone();
    if config.algo.replays() && config.replay == 0 {
        let spec = merit_sim::registry::spec(&config.env, &ppo::options(&config)?)?;
        config.replay = replay::largest(gpu, &config, &spec);
        let least = replay::least(&config, &spec);
        if config.replay < least {
            // Not the number's fault, which was not given: fewer members would do.
            let replay = least;
            replay::check_fits(
                gpu,
                &config::Config {
                    replay,
                    ..config.clone()
                },
                &spec,
            )?;
        }
    }
    Ok(config)
}

/// The learner that `config` describes, at its first step.
///
/// # Errors
/// [`LearnError`]: what does not fit the configuration, the adapter or burn.
pub fn make(gpu: &Gpu, config: &config::Config) -> Result<Box<dyn learner::Learner>, LearnError> {
    use config::Algo;
    let config = &settle(gpu, config)?;
    // Before any device memory is asked for: a wrong size would fail there less readably.
    let spec = merit_sim::registry::spec(&config.env, &ppo::options(config)?)?;
    sizes::Sizes::new(config, &spec)?;
    let env = if config.algo.replays() {
        q_learning::train_env(gpu, config)?
    } else {
        ppo::train_env(gpu, config)?
    };
    Ok(match config.algo {
        Algo::Ippo => Box::new(ippo::Ippo::new(gpu, config, env)?),
        Algo::Mappo => Box::new(mappo::Mappo::new(gpu, config, env)?),
        Algo::Coma => Box::new(coma::Coma::new(gpu, config, env)?),
        Algo::ComaPg => Box::new(coma_pg::ComaPg::new(gpu, config, env)?),
        Algo::Dae => Box::new(dae::Dae::new(gpu, config, env)?),
        Algo::Gpae => Box::new(gpae::Gpae::new(gpu, config, env)?),
        Algo::Iql | Algo::Vdn | Algo::Qmix | Algo::Qplex | Algo::Qtran => {
            Box::new(q_learning::DoubleQ::new(gpu, config, env)?)
        }
        Algo::MeQmix | Algo::MeQplex => Box::new(me_igm::MeIgm::new(gpu, config, env)?),
        Algo::Fop => Box::new(fop::Fop::new(gpu, config, env)?),
        Algo::Hasac => Box::new(hasac::Hasac::new(gpu, config, env)?),
    })
}
