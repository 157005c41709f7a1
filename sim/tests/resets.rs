//! Resets in the middle of a ring of slots, of every family.

mod common;

use merit_sim::env::VecEnv;
use merit_sim::gpu::{Gpu, Region};
use merit_sim::registry::{self, Batch, Driver, EnvOptions, Layout};

use common::{batch, gpu, stats};

const ENVS: usize = 6;
const SLOTS: usize = 5;

/// A slot of what is seen: observations, states, masks.
fn seen(gpu: &Gpu, env: &dyn VecEnv, slot: usize) -> [Vec<u32>; 3] {
    let io = env.io();
    [&io.obs, &io.state, &io.avail].map(|region: &Region| {
        let words = region.size as usize / 4 / SLOTS;
        gpu.read(&region.part(slot * words, words))
            .expect("readable")
    })
}

/// A reset that is seen in slot 3 is the one that is seen in slot 0, leaves the other slots, counts no episode, and what follows is the same.
#[test]
fn a_reset_is_seen_where_it_is_told() {
    let gpu = gpu();
    for (name, layout) in [
        ("smax/3m", Layout::Thread),
        ("smax/3m", Layout::Tile),
        ("mpe/simple_spread", Layout::Auto),
        ("overcooked/cramped_room", Layout::Auto),
        ("babyai/goto", Layout::Auto),
        ("mabrax/halfcheetah_6x1", Layout::Auto),
    ] {
        let b = Batch {
            steps: SLOTS,
            slots: SLOTS,
            layout,
            ..batch(ENVS, Driver::Random)
        };
        let made = || registry::make(&gpu, name, &EnvOptions::new(), &b).expect("known");
        let [there, plain] = [made(), made()];
        for env in [&there, &plain] {
            gpu.compute(|pass| {
                env.record_reset(pass);
                (0..2 * SLOTS + 3).for_each(|t| env.record_step(pass, t % SLOTS));
            });
        }
        let others: Vec<_> = [0, 1, 2, 4].map(|k| seen(&gpu, &*there, k)).into();
        let ended = stats(&gpu, &*there).episodes;
        stats(&gpu, &*plain);
        gpu.compute(|pass| there.record_reset_in(pass, 3));
        gpu.compute(|pass| plain.record_reset(pass));
        let after: Vec<_> = [0, 1, 2, 4].map(|k| seen(&gpu, &*there, k)).into();
        assert!(after == others, "{name}: another slot was written");
        assert_eq!(stats(&gpu, &*there).episodes, 0.0, "{name}");
        assert!(ended < 3.0 * ENVS as f64, "{name}: {ended} episodes");
        for k in 0..SLOTS + 2 {
            let (here, plainly) = ((3 + k) % SLOTS, k % SLOTS);
            assert!(
                seen(&gpu, &*there, here) == seen(&gpu, &*plain, plainly),
                "{name}: {k} steps behind the reset"
            );
            gpu.compute(|pass| there.record_step(pass, here));
            gpu.compute(|pass| plain.record_step(pass, plainly));
        }
        let states = [&there, &plain].map(|env| env.snapshot(&gpu).expect("readable"));
        assert!(states[0] == states[1], "{name}: other states");
    }
}
