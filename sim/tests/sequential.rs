//! The sequential matrix game: its rule, its contracts.

mod common;

use merit_sim::env::VecEnv;
use merit_sim::registry::{self, Batch, Driver, EnvOptions};
use merit_sim::sequential::{Sequential, SequentialOptions};

use common::{batch, gpu, run, stats};

fn small() -> SequentialOptions {
    SequentialOptions {
        agents: 4,
        actions: 5,
    }
}

/// Transition k pays (−1)^k (a − 2) of agent k mod 4, and nothing of the others.
#[test]
fn one_agent_matters_at_a_time() {
    let gpu = gpu();
    let env = Sequential::new(&gpu, &small(), &batch(2, Driver::External)).unwrap();
    run(&gpu, &env, true, 0);
    let read = |region| gpu.read::<f32>(region).unwrap();
    assert_eq!(read(&env.io().obs)[..8], [1., 0., 0., 0., 1., 0., 0., 0.]);
    assert_eq!(read(&env.io().avail), [1.0; 40]);
    let mut total = 0.0;
    for k in 1..=3_usize {
        // In environment 0 agent i does i, in the other its action is 4 - i.
        let actions: [u32; 8] = [0, 1, 2, 3, 4, 3, 2, 1];
        gpu.write(&env.io().actions, &actions);
        run(&gpu, &env, false, 1);
        let sign = if k % 2 == 0 { 1.0 } else { -1.0 };
        let paid = [sign * (k as f32 - 2.0), sign * (2.0 - k as f32)];
        total += paid[0];
        let reward = read(&env.io().reward);
        assert_eq!(reward, [[paid[0]; 4], [paid[1]; 4]].concat(), "{k}");
        assert_eq!(read(&env.io().terminated), [f32::from(u8::from(k == 3)); 2]);
        assert_eq!(read(&env.io().truncated), [0.0; 2]);
        let shown = k % 3;
        let one_hot: Vec<f32> = (0..4).map(|s| f32::from(u8::from(s == shown))).collect();
        assert_eq!(read(&env.io().obs), one_hot.repeat(8), "{k}");
        assert_eq!(read(&env.io().state), one_hot.repeat(8), "{k}");
    }
    assert_eq!(read(&env.io().final_obs)[..4], [0., 0., 0., 1.]);
    let s = stats(&gpu, &env);
    assert_eq!((s.episodes, s.return_sum, s.length_sum), (2.0, 0.0, 6.0));
    assert_eq!(s.return_sq_sum, f64::from(2.0 * total * total));
    assert!(env.frame(&gpu, 0).unwrap().text.starts_with(".*..\n"));
}

#[test]
fn the_built_in_policy_is_optimal_and_random_play_earns_nothing() {
    let gpu = gpu();
    let options = SequentialOptions::default();
    assert_eq!(options.optimum(), 112.5);
    let env = Sequential::new(&gpu, &options, &batch(64, Driver::Heuristic)).unwrap();
    run(&gpu, &env, true, 30);
    let s = stats(&gpu, &env);
    assert_eq!((s.episodes, s.wins, s.mean_return()), (128.0, 128.0, 112.5));
    let env = Sequential::new(&gpu, &options, &batch(512, Driver::Random)).unwrap();
    run(&gpu, &env, true, 30);
    let s = stats(&gpu, &env);
    // 15 uniform numbers of variance (16² − 1) / 12; four standard errors.
    let error = 4.0 * (15.0_f64 * 21.25 / 1024.0).sqrt();
    assert!(s.mean_return().abs() < error, "{}", s.mean_return());
}

#[test]
fn environment_i_is_the_same_in_any_batch_and_workgroup() {
    let gpu = gpu();
    let course = |members: usize, envs: usize, workgroup: Option<usize>| -> Vec<f32> {
        let mut b = batch(envs, Driver::Random);
        b.seeds = (7..7 + members as u64).collect();
        b.workgroup = workgroup;
        let env = Sequential::new(&gpu, &small(), &b).unwrap();
        run(&gpu, &env, true, 0);
        let mut paid = Vec::new();
        for _ in 0..10 {
            run(&gpu, &env, false, 1);
            paid.extend_from_slice(&env.get_state(&gpu).unwrap().last[..3]);
        }
        paid
    };
    let few = course(1, 3, None);
    assert_eq!(few, course(1, 300, None));
    assert_eq!(few, course(3, 77, Some(32)));
    assert!(few.contains(&2.0) && few.contains(&-2.0), "{few:?}");
}

#[test]
fn exact_state_in_exact_state_out() {
    let gpu = gpu();
    let mut b = batch(20, Driver::Random);
    b.keep_ended = true;
    let env = Sequential::new(&gpu, &small(), &b).unwrap();
    run(&gpu, &env, true, 1);
    let begun = env.get_state(&gpu).unwrap();
    run(&gpu, &env, false, 2);
    let ended = env.get_state(&gpu).unwrap();
    assert_eq!((ended.ended[3], ended.step[3]), (true, 3));
    env.set_state(&gpu, &begun).unwrap();
    assert_eq!(env.get_state(&gpu).unwrap(), begun);
    run(&gpu, &env, false, 2);
    assert_eq!(env.get_state(&gpu).unwrap(), ended);
    // An episode that is kept stays as it ended, and pays nothing.
    run(&gpu, &env, false, 1);
    let kept = env.get_state(&gpu).unwrap();
    assert_eq!(
        (kept.step, kept.running_return),
        (ended.step, ended.running_return)
    );
    assert_eq!(gpu.read::<f32>(&env.io().reward).unwrap(), [0.0; 80]);
    let other = Sequential::new(&gpu, &small(), &batch(3, Driver::Random)).unwrap();
    assert!(other.set_state(&gpu, &begun).is_err());
}

#[test]
fn impossible_sizes_are_refused() {
    let spec = |text: &str| {
        let options: EnvOptions = serde_json::from_str(text).unwrap();
        registry::spec("sequential", &options).map(|s| (s.agents, s.state, s.max_steps))
    };
    assert_eq!(spec("{}").unwrap(), (16, 256, 15));
    assert_eq!(spec(r#"{"agents": 4}"#).unwrap(), (4, 16, 3));
    for (text, says) in [
        (r#"{"agents": 1}"#, "`agents` is 1: it takes 2 to 64"),
        (r#"{"actions": 65}"#, "`actions` is 65: it takes 2 to 64"),
        (r#"{"agent": 4}"#, "unknown field `agent`"),
    ] {
        let error = spec(text).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    let none = Batch {
        envs_per_member: 0,
        ..batch(1, Driver::Random)
    };
    assert!(Sequential::new(&gpu(), &small(), &none).is_err());
}
