//! A dimension of a dispatch has at most 65,535 workgroups: with more environments than that, or samples in a minibatch than eight times as many, a run ended
//! with the driver's complaint.

use merit_sim::gpu::GpuError;

use crate::LearnError;
use crate::coma_pg::ComaPg;
use crate::config::{Algo, Config, Network};
use crate::kernel::{Bind, Constants, Kernel};
use crate::sizes::Sizes;
use crate::testing::{AGENTS, MATCH, config, gpu, learner, toy};
use crate::tests::read;
use crate::tests_values::{Either, values};

#[test]
fn ends_are_kept_of_more_environments_than_a_dimension_has_workgroups() {
    let envs = 65_600;
    let config = Config {
        env: MATCH.into(),
        seeds: 1,
        envs,
        replay: 8 * envs as u64,
        batch: 4,
        learning_starts: 1 << 30,
        total_steps: 1 << 31,
        ..values(Algo::MeQmix)
    };
    let mut learner = Either::new(&config);
    let io = learner.q().run.env.io().clone();
    // All begin at once, and those with odd numbers are cut at once.
    let steps = learner.q().run.replay.sizes.limit;
    (0..steps).for_each(|_| learner.update());
    let replay = &learner.q().run.replay;
    let last = steps - 1;
    let slot = last % replay.sizes.capacity;
    let cut = read(&io.truncated.part(slot * envs, envs));
    let ended = read(&io.final_obs);
    let words = ended.len() / envs;
    let first = last / replay.sizes.limit % replay.sizes.kept * ended.len();
    let kept = &read(&replay.kept_obs)[first..][..ended.len()];
    for (env, &was_cut) in cut.iter().enumerate() {
        assert_eq!(was_cut, f64::from(u8::from(env % 2 == 1)));
        let of = env * words..(env + 1) * words;
        if was_cut == 1.0 {
            assert_eq!(kept[of.clone()], ended[of], "environment {env}");
        }
    }
}

#[test]
fn minibatches_of_more_than_a_dispatch_are_refused() {
    let refused = |config: Config| {
        let small = Config {
            envs: 8,
            rollout: 8,
            ..config.clone()
        };
        let spec = toy(&small).spec().clone();
        let sizes = Sizes::new(&config, &spec).expect("sizes that go together");
        match sizes.check_dispatches(&config) {
            Err(LearnError::Config(message)) => message,
            other => panic!("{other:?}"),
        }
    };
    let large = Config {
        envs: 4096,
        rollout: 128,
        minibatches: 1,
        total_steps: 1 << 30,
        ..config(Algo::Mappo)
    };
    let samples = 4096 * 128 * AGENTS;
    let message = refused(large.clone());
    assert!(
        message.contains(&format!("would have {samples} samples")),
        "{message}"
    );
    assert!(
        message.contains("524280 are the most; set minibatches = "),
        "{message}"
    );
    let message = refused(Config {
        algo: Algo::ComaPg,
        ..large.clone()
    });
    assert!(message.contains("set envs or rollout lower"), "{message}");
    let message = refused(Config {
        algo: Algo::Gpae,
        minibatches: 16,
        reuse: 8,
        ..large
    });
    assert!(
        message.starts_with("reuse = 8, rollout = 128, envs = 4096: "),
        "{message}"
    );
}

#[test]
fn coma_pg_is_refused_where_its_rollout_is_more_than_a_dispatch() {
    let (envs, rollout) = (131_100, 2);
    let config = Config {
        envs,
        rollout,
        total_steps: 1 << 30,
        ..config(Algo::ComaPg)
    };
    match ComaPg::new(gpu(), &config, toy(&config)) {
        Err(LearnError::Config(message)) => {
            let samples = format!("would have {} samples", envs * rollout * AGENTS);
            assert!(message.contains(&samples), "{message}");
            assert!(message.contains("set envs or rollout lower"), "{message}");
        }
        Err(e) => panic!("{e}"),
        Ok(_) => panic!("not refused"),
    }
}

#[test]
fn an_update_with_too_many_workgroups_ends_with_what_to_set() {
    let most = gpu().limits.max_compute_workgroups_per_dimension as usize;
    // What was remembered is gathered by a workgroup a sequence.
    let envs = (most + 1).div_ceil(AGENTS);
    let config = Config {
        network: Network::Gru,
        envs,
        rollout: 1,
        minibatches: 1,
        epochs: 1,
        total_steps: 1 << 30,
        bootstrap_truncated: false,
        ..config(Algo::Ippo)
    };
    let mut learner = learner(&config);
    let told = learner.update().expect_err("too many").to_string();
    assert!(told.contains("`gather_memory` needs"), "{told}");
    let limit = format!("allows {most}: set minibatches higher");
    assert!(told.contains(&limit), "{told}");
}

#[test]
fn a_buffer_that_cannot_be_bound_is_named() {
    let gpu = gpu();
    let bytes = gpu.max_binding() + 4;
    let source = "@group(0) @binding(0) var<storage, read_write> sums: array<f32>;
        @compute @workgroup_size(1) fn first() { sums[0] = 1.0; }";
    let bound = gpu.guarded("a kernel", || {
        let sums = gpu.storage("partial sums", bytes);
        Kernel::new(
            gpu,
            "first",
            &Constants::default(),
            &[source],
            &[Bind::Write(&sums)],
        )
    });
    match bound {
        Err(GpuError::TooLargeBuffer { what, needed, .. }) => {
            assert_eq!((what.as_str(), needed), ("partial sums", bytes));
        }
        Err(e) => panic!("{e}"),
        Ok(_) => panic!("not refused"),
    }
}
