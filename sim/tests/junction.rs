//! The one-step traffic junction: its rule, its contracts.

mod common;

use merit_sim::env::VecEnv;
use merit_sim::junction::{Junction, JunctionState, OPTIMUM};
use merit_sim::registry::{self, Batch, Driver, EnvOptions};

use common::{batch, gpu, run, stats};

#[test]
fn exactly_one_must_move() {
    let gpu = gpu();
    let env = Junction::new(&gpu, &batch(4, Driver::External)).unwrap();
    run(&gpu, &env, true, 0);
    let read = |region| gpu.read::<f32>(region).unwrap();
    assert_eq!(read(&env.io().obs), [0., 1., 0., 1., 0., 1., 0., 1.]);
    assert_eq!(read(&env.io().avail), [1.0; 16]);
    gpu.write(&env.io().actions, &[0u32, 0, 0, 1, 1, 0, 1, 1]);
    run(&gpu, &env, false, 1);
    assert_eq!(read(&env.io().reward), [0., 0., 1., 1., 1., 1., 0., 0.]);
    assert_eq!(read(&env.io().terminated), [1.0; 4]);
    assert_eq!(read(&env.io().truncated), [0.0; 4]);
    assert_eq!(read(&env.io().agent_done), [1.0; 8]);
    assert_eq!(read(&env.io().final_obs), [0., 1., 0., 1., 0., 1., 0., 1.]);
    let s = stats(&gpu, &env);
    assert_eq!(
        (s.episodes, s.return_sum, s.wins, s.length_sum),
        (4.0, 2.0, 2.0, 4.0)
    );
    let frame = env.frame(&gpu, 0).unwrap();
    assert!(
        frame.text.contains("nobody has moved"),
        "the next episode: {}",
        frame.text
    );
    let kept = Batch {
        keep_ended: true,
        ..batch(4, Driver::External)
    };
    let env = Junction::new(&gpu, &kept).unwrap();
    run(&gpu, &env, true, 0);
    gpu.write(&env.io().actions, &[0u32, 0, 0, 1, 1, 0, 1, 1]);
    run(&gpu, &env, false, 1);
    for (g, says) in [
        (0, "0 waits, 1 waits: 0"),
        (1, "0 waits, 1 moves: 1"),
        (2, "0 moves, 1 waits: 1"),
        (3, "0 moves, 1 moves: 0"),
    ] {
        let frame = env.frame(&gpu, g).unwrap();
        assert!(frame.text.contains(says), "{}", frame.text);
    }
}

#[test]
fn the_built_in_policy_is_optimal_and_random_play_passes_half_of_the_time() {
    const EPISODES: f64 = 4096.0;
    let gpu = gpu();
    for (driver, mean, slack) in [
        (Driver::Heuristic, OPTIMUM, 0.0),
        // 4.5 standard errors.
        (Driver::Random, 0.5, 4.5 * 0.5 / EPISODES.sqrt()),
    ] {
        let env = Junction::new(&gpu, &batch(512, driver)).unwrap();
        run(&gpu, &env, true, 8);
        let s = stats(&gpu, &env);
        assert_eq!(s.episodes, EPISODES);
        assert!(
            (s.mean_return() - mean).abs() <= slack,
            "{driver:?}: {}",
            s.mean_return()
        );
        assert_eq!(s.wins, s.return_sum);
    }
}

#[test]
fn environment_i_is_the_same_in_any_batch_and_workgroup() {
    let gpu = gpu();
    let course = |members: usize, envs: usize, workgroup: Option<usize>| -> Vec<[bool; 2]> {
        let mut b = batch(envs, Driver::Random);
        b.seeds = (7..7 + members as u64).collect();
        b.workgroup = workgroup;
        let env = Junction::new(&gpu, &b).unwrap();
        run(&gpu, &env, true, 0);
        let mut moved = Vec::new();
        for _ in 0..10 {
            run(&gpu, &env, false, 1);
            moved.extend_from_slice(&env.get_state(&gpu).unwrap().moved[..3]);
        }
        moved
    };
    let few = course(1, 3, None);
    assert_eq!(few, course(1, 300, None));
    assert_eq!(few, course(3, 77, Some(32)));
    assert_eq!(few, course(1, 65, Some(1)));
    for which in [[false, true], [true, false]] {
        assert!(few.contains(&which), "{few:?}");
    }
}

#[test]
fn exact_state_in_exact_state_out() {
    let gpu = gpu();
    let mut b = batch(20, Driver::Random);
    b.keep_ended = true;
    let env = Junction::new(&gpu, &b).unwrap();
    run(&gpu, &env, true, 0);
    let begun = env.get_state(&gpu).unwrap();
    run(&gpu, &env, false, 1);
    let ended = env.get_state(&gpu).unwrap();
    assert_eq!((ended.ended[3], ended.step[3]), (true, 1));
    // An episode that is kept stays as it ended.
    run(&gpu, &env, false, 1);
    assert_eq!(env.get_state(&gpu).unwrap(), ended);
    assert_eq!(gpu.read::<f32>(&env.io().reward).unwrap(), [0.0; 40]);
    env.set_state(&gpu, &begun).unwrap();
    assert_eq!(env.get_state(&gpu).unwrap(), begun);
    run(&gpu, &env, false, 1);
    assert_eq!(env.get_state(&gpu).unwrap(), ended, "the same draws again");
    let error = env.set_state(&gpu, &JunctionState::default()).unwrap_err();
    assert!(error.to_string().contains("20"), "{error}");
}

#[test]
fn it_has_no_options_and_one_name() {
    let mut options = EnvOptions::new();
    assert_eq!(registry::spec("junction", &options).unwrap().agents, 2);
    options.insert("agents".into(), 3.into());
    let message = registry::spec("junction", &options)
        .unwrap_err()
        .to_string();
    assert!(message.contains("unknown field `agents`"), "{message}");
    let message = registry::spec("junction/easy", &EnvOptions::new())
        .unwrap_err()
        .to_string();
    assert!(message.contains("did you mean `junction`?"), "{message}");
}
