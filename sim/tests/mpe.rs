//! Particle worlds: recordings of JaxMARL, single steps of the other references, contracts, and distributions of resets.

mod common;

use std::path::PathBuf;

use merit_sim::env::{ActionSpace, VecEnv};
use merit_sim::gpu::{Gpu, Region};
use merit_sim::mpe::{Mpe, MpeState, configure, names};
use merit_sim::parity::{check_file_with, kolmogorov_smirnov};
use merit_sim::registry::{Batch, Driver, EnvOptions, Layout};
use serde_json::{Value, json};

use common::{batch, gpu, options, recordings, run};

fn make(gpu: &Gpu, name: &str, asked: Value, batch: &Batch) -> Mpe {
    let config = configure(name, &options(asked)).expect("a valid configuration");
    Mpe::new(gpu, config, batch).expect("a small batch")
}

fn observe(gpu: &Gpu, env: &Mpe) -> Vec<f32> {
    gpu.compute(|pass| env.record_observe(pass));
    gpu.read(&env.io().obs).unwrap()
}

fn floats(gpu: &Gpu, region: &Region) -> Vec<f32> {
    gpu.read(region).unwrap()
}

fn near(what: &str, ours: &[f32], theirs: &[f32], tolerance: f32) {
    assert_eq!(ours.len(), theirs.len(), "{what}");
    for (k, (a, b)) in ours.iter().zip(theirs).enumerate() {
        assert!(
            (a - b).abs() <= tolerance * b.abs().max(1.0),
            "{what}: number {k} is {a}, not {b}"
        );
    }
}

fn flat(pairs: &[[f32; 2]]) -> Vec<f32> {
    pairs.iter().flatten().copied().collect()
}

// ---- recordings -----------------------------------------------------------------------------------------------------

#[test]
fn recordings_in_the_repository_pass() {
    let gpu = gpu();
    let files = recordings("mpe");
    assert!(files.len() >= 10, "{} recordings", files.len());
    for path in files {
        let report = check_file_with(&gpu, &path, Layout::Auto, true).unwrap();
        let failed: Vec<_> = report.arrays.iter().filter(|a| !a.pass).collect();
        assert!(failed.is_empty(), "{}: {failed:?}", report.file);
        for name in [
            "state.p_pos",
            "state.p_vel",
            "reward",
            "obs after the step",
            "world state",
        ] {
            let compared = report.arrays.iter().any(|a| a.name == name && a.steps > 0);
            assert!(compared, "{}: {name} was compared", report.file);
        }
    }
}

/// One wrong number in the recording of velocities fails, there and in what is seen of them, and nowhere else.
#[test]
fn a_recording_with_one_wrong_entry_fails() {
    let gpu = gpu();
    let path = &recordings("mpe")[1];
    let bytes = std::fs::read(path).unwrap();
    let (header, metadata) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let fails = |array: &str, at: usize| -> Vec<String> {
        let from = 8 + header + metadata.info(array).unwrap().data_offsets.0 + 4 * at;
        let mut bytes = bytes.clone();
        let word: &mut [u8] = &mut bytes[from..from + 4];
        let old = f32::from_le_bytes([word[0], word[1], word[2], word[3]]);
        word.copy_from_slice(&(old + 1e-4).to_le_bytes());
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        let report = check_file_with(&gpu, file.path(), Layout::Auto, false).unwrap();
        let failed = report.arrays.into_iter().filter(|a| !a.pass);
        failed.map(|a| a.name).collect()
    };
    assert_eq!(fails("reward", 7), ["reward"]);
    let failed = fails("obs.agent_0", 18 * 9 + 4);
    assert!(failed.contains(&"obs".to_owned()), "{failed:?}");
    assert!(!failed.contains(&"state.p_pos".to_owned()), "{failed:?}");
}

// ---- single steps of specs/mpe.md §8 --------------------------------------------------------------------------------

/// One environment in a state of our making.
fn world(
    gpu: &Gpu,
    name: &str,
    asked: Value,
    positions: &[[f32; 2]],
    velocities: &[[f32; 2]],
) -> Mpe {
    let batch = Batch {
        keep_ended: true,
        ..batch(1, Driver::External)
    };
    let env = make(gpu, name, asked, &batch);
    let mut s = MpeState::zeroed(1, velocities.len(), positions.len());
    s.positions = positions.to_vec();
    s.velocities = velocities.to_vec();
    env.set_state(gpu, &s).unwrap();
    env
}

/// Acts once; returns positions and velocities of the moving bodies and the rewards.
fn act(gpu: &Gpu, env: &Mpe, actions: &[u32]) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    gpu.write(&env.io().actions, actions);
    run(gpu, env, false, 1);
    let s = env.get_state(gpu).unwrap();
    let moving = &s.positions[..s.velocities.len()];
    (
        flat(moving),
        flat(&s.velocities),
        floats(gpu, &env.io().reward),
    )
}

const THREE: [[f32; 2]; 3] = [[0.1, 0.2], [0.3, 0.25], [-0.5, 0.4]];
const LANDMARKS: [[f32; 2]; 3] = [[0.0, 0.0], [-0.4, 0.5], [0.8, -0.3]];
const THREE_MOVE: [[f32; 2]; 3] = [[0.5, -0.2], [0.0, 0.0], [-0.1, 0.3]];
const TAG: [[f32; 2]; 6] = [
    [0.1, 0.2],
    [0.3, 0.25],
    [-0.5, 0.4],
    [0.14, 0.28],
    [0.5, 0.2],
    [-0.45, 0.15],
];
const TAG_MOVE: [[f32; 2]; 4] = [[0.5, -0.2], [0.0, 0.0], [0.9, 0.3], [1.0, 0.7]];
const TAG_VELOCITIES: [f32; 8] = [
    0.515_983, -0.468_034, -0.667_892, -0.133_027, 0.911_724, 0.410_803, 0.767_377, 1.049_349,
];

fn together(a: &[[f32; 2]], b: &[[f32; 2]]) -> Vec<[f32; 2]> {
    [a, b].concat()
}

#[test]
fn golden_1_jaxmarl_cooperative_navigation() {
    let gpu = gpu();
    let bodies = together(&THREE, &LANDMARKS);
    let env = world(&gpu, "mpe/simple_spread", json!({}), &bodies, &THREE_MOVE);
    let (p, v, r) = act(&gpu, &env, &[2, 3, 0]);
    near(
        "positions",
        &p,
        &[0.15, 0.18, 0.30, 0.25, -0.51, 0.43],
        1e-5,
    );
    let theirs = [
        -0.035_427_4,
        -0.377_606_8,
        0.910_427_4,
        -0.272_393_2,
        -0.075,
        0.225,
    ];
    near("velocities", &v, &theirs, 2e-5);
    near(
        "rewards",
        &r,
        &[-1.053_997_5, -1.053_997_5, -0.553_997_4],
        2e-5,
    );
    let s = env.get_state(&gpu).unwrap();
    assert_eq!((s.step[0], s.touches[0]), (1, 1.0), "one pair touches");
}

#[test]
fn golden_2_jaxmarl_predator_prey() {
    let gpu = gpu();
    for defects in [false, true] {
        let asked = json!({ "reference_defects": defects });
        let env = world(&gpu, "mpe/simple_tag", asked, &TAG, &TAG_MOVE);
        let (p, v, r) = act(&gpu, &env, &[2, 3, 2, 4]);
        let theirs = [0.15, 0.18, 0.30, 0.25, -0.41, 0.43, 0.24, 0.35];
        near("positions", &p, &theirs, 1e-5);
        near("velocities", &v, &TAG_VELOCITIES, 2e-5);
        near("rewards", &r, &[10., 10., 10., -10.], 1e-5);
    }
}

#[test]
fn golden_3_sqddpg_predator_prey() {
    let gpu = gpu();
    // The recorded prey went up; a learning prey of this variant says so with the mirrored action.
    let asked = json!({ "prey": "learned" });
    let env = world(&gpu, "mpe/lica_tag_3", asked, &TAG, &TAG_MOVE);
    let (p, v, r) = act(&gpu, &env, &[1, 4, 1, 3]);
    near("velocities", &v, &TAG_VELOCITIES, 2e-5);
    let theirs = [
        0.151_598_3,
        0.153_196_6,
        0.233_210_8,
        0.236_697_3,
        -0.408_827_6,
        0.441_080_3,
        0.216_737_7,
        0.384_934_9,
    ];
    near("positions", &p, &theirs, 1e-5);
    near("rewards", &r[..3], &[-0.305_384_7; 3], 2e-5);
    assert_eq!(
        floats(&gpu, &env.io().terminated),
        [0.0],
        "nobody is caught"
    );
}

#[test]
fn golden_4_triangle_area() {
    let gpu = gpu();
    let bodies = together(&THREE, &[[0.6, 0.3], [-1.0, -0.8], [0.0, -1.2]]);
    let env = world(
        &gpu,
        "mpe/lare_triangle_area",
        json!({}),
        &bodies,
        &THREE_MOVE,
    );
    let (p, v, r) = act(&gpu, &env, &[2, 3, 0]);
    let theirs = [
        0.057_137_9,
        0.154_375_4,
        0.148_526_1,
        0.182_341_2,
        -0.5075,
        0.4225,
    ];
    near("positions", &p, &theirs, 1e-5);
    let theirs = [
        -0.428_621_2,
        -0.456_245_6,
        -1.514_739_1,
        -0.676_587_6,
        -0.075,
        0.225,
    ];
    near("velocities", &v, &theirs, 2e-5);
    near("rewards", &r, &[-0.993_955_9; 3], 2e-5);
    let obs = floats(&gpu, &env.io().obs);
    let theirs = [-0.564_637_9, 0.268_124_6, 0.091_388_2, 0.027_965_8];
    near("the others of agent 0", &obs[10..14], &theirs, 1e-5);
}

fn six_agents() -> (Vec<[f32; 2]>, Vec<[f32; 2]>) {
    let at = |i: f32| [0.25 * i - 0.6, 0.05 * i * i - 0.5];
    let moves = |i: f32| [0.1 * i - 0.2, 0.3 - 0.1 * i];
    (
        (0..6).map(|i| at(i as f32)).collect(),
        (0..6).map(|i| moves(i as f32)).collect(),
    )
}

#[test]
fn golden_5_lare_cooperative_navigation() {
    let gpu = gpu();
    let (agents, moves) = six_agents();
    let landmarks: Vec<_> = (0..6)
        .map(|i| {
            [
                0.4 * ((3 * i) % 5) as f32 - 0.8,
                0.35 * ((2 * i) % 7) as f32 - 0.9,
            ]
        })
        .collect();
    let bodies = together(&agents, &landmarks);
    let env = world(&gpu, "mpe/lare_spread_6", json!({}), &bodies, &moves);
    let (p, v, r) = act(&gpu, &env, &[0, 1, 2, 3, 4, 0]);
    let theirs = [
        -0.659_174_2,
        -0.486_334_8,
        -0.370_573_9,
        -0.430_514,
        -0.042_751_9,
        -0.288_151_2,
        0.1575,
        -0.1,
        0.415,
        0.3425,
        0.6725,
        0.735,
    ];
    near("positions", &p, &theirs, 1e-5);
    let theirs = [
        -0.591_742,
        0.136_651_6,
        -0.205_738_6,
        0.194_86,
        0.572_480_6,
        0.118_488_4,
        0.075,
        -0.5,
        0.15,
        0.425,
        0.225,
        -0.15,
    ];
    near("velocities", &v, &theirs, 2e-5);
    let theirs = [
        -1.436_979,
        -1.389_360_9,
        -1.265_315_9,
        -1.262_309_5,
        -0.542_707_3,
        -0.482_163_1,
    ];
    near("rewards", &r, &theirs, 2e-5);
    let theirs = [
        -0.591_742,
        0.136_651_6,
        -0.659_174_2,
        -0.486_334_8,
        -0.140_825_8,
        -0.413_665_2,
        -0.140_825_8,
        0.636_334_8,
        0.659_174_2,
        -0.063_665_2,
        0.259_174_2,
        0.986_334_8,
        1.059_174_2,
        0.286_334_8,
        1.459_174_2,
        1.686_334_8,
        0.288_600_3,
        0.055_820_8,
        0.616_422_3,
        0.198_183_7,
        0.816_674_2,
        0.386_334_8,
        1.074_174_2,
        0.828_834_8,
        1.331_674_2,
        1.221_334_8,
    ];
    let obs = floats(&gpu, &env.io().obs);
    near("agent 0 sees", &obs[..26], &theirs, 2e-5);
}

/// A file with a network for prey that see `inputs` numbers: its logits are `low` where their own velocity in x (feature
/// 0) is `from[0]` and `high` where it is `from[1]`, straight in between.
fn prey_file(
    inputs: usize,
    low: [f32; 5],
    high: [f32; 5],
    from: [f32; 2],
) -> tempfile::NamedTempFile {
    let hidden = 3;
    let mut w1 = vec![0.0f32; hidden * inputs];
    let mut w2 = vec![0.0f32; hidden * hidden];
    let mut w3 = vec![0.0f32; 5 * hidden];
    // The last hidden unit of the first layer carries how far above from[0] the velocity is, the first of the second.
    w1[2 * inputs] = 1.0 / (from[1] - from[0]);
    let b1 = [0.0, 0.0, -from[0] / (from[1] - from[0])];
    w2[2] = 1.0;
    for a in 0..5 {
        w3[a * hidden] = high[a] - low[a];
    }
    let arrays: [(&str, Vec<usize>, &[f32]); 6] = [
        ("W1", vec![hidden, inputs], &w1),
        ("b1", vec![hidden], &b1),
        ("W2", vec![hidden, hidden], &w2),
        ("b2", vec![hidden], &[0.0; 3]),
        ("W3", vec![5, hidden], &w3),
        ("b3", vec![5], &low),
    ];
    let bytes: Vec<(&str, Vec<usize>, Vec<u8>)> = arrays
        .into_iter()
        .map(|(name, shape, x)| {
            let bytes = x.iter().flat_map(|x| x.to_le_bytes()).collect();
            (name, shape, bytes)
        })
        .collect();
    let views = bytes.iter().map(|(name, shape, bytes)| {
        let view =
            safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.clone(), bytes);
        (*name, view.unwrap())
    });
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), safetensors::serialize(views, None).unwrap()).unwrap();
    file
}

const PREY_LOGITS: [[f32; 5]; 2] = [
    [-2.393_09, -0.668_67, 4.165_13, -5.080_35, 3.870_96],
    [-1.709_44, 0.206_99, -2.873_16, 3.665_19, -0.087_21],
];

fn golden_6_world(gpu: &Gpu, asked: Value) -> Mpe {
    let (mut agents, mut moves) = six_agents();
    agents.extend([[-0.05, -0.25], [0.5, 0.5]]);
    moves.extend([[0.2, -0.1], [1.2, 0.6]]);
    let obstacles = [[0.9, -0.6], [-0.3, -0.35], [0.62, 0.65]];
    let mut all = json!({ "prey": "pretrained", "prey_noise": false, "reference_defects": true });
    for (k, v) in options(asked) {
        all[k] = v;
    }
    world(
        gpu,
        "mpe/lare_tag_6",
        all,
        &together(&agents, &obstacles),
        &moves,
    )
}

fn check_golden_6(gpu: &Gpu, env: &Mpe) {
    let (p, v, r) = act(gpu, env, &[0, 1, 2, 3, 4, 0]);
    let theirs = [
        -0.615,
        -0.4775,
        -0.404_582,
        -0.469_164_1,
        -0.126_066,
        -0.348_566,
        0.1575,
        -0.08,
        0.415,
        0.3225,
        0.685_602_2,
        0.778_673_9,
        -0.001_549_5,
        -0.218_419,
        0.591_132_5,
        0.581_814_8,
    ];
    near("positions", &p, &theirs, 1e-5);
    let theirs = [
        -0.15,
        0.225,
        -0.545_820_4,
        -0.191_640_8,
        -0.260_660_2,
        -0.485_660_2,
        0.075,
        -0.3,
        0.15,
        0.225,
        0.356_021_8,
        0.286_739_4,
        0.484_505_1,
        0.315_810_2,
        0.911_324_7,
        0.818_148_2,
    ];
    near("velocities", &v, &theirs, 2e-5);
    let theirs = [
        -0.066_591_6,
        -0.047_466_7,
        -0.018_011_8,
        -0.021_084_7,
        -0.031_347_5,
        -0.021_835_3,
    ];
    near("rewards", &r, &theirs, 2e-5);
}

/// The prey's logits of the specification, through the network's code with weights that yield just them.
#[test]
fn golden_6_lare_predator_prey() {
    let gpu = gpu();
    let net = prey_file(26, PREY_LOGITS[0], PREY_LOGITS[1], [0.2, 1.2]);
    check_golden_6(
        &gpu,
        &golden_6_world(&gpu, json!({ "prey_weights": net.path() })),
    );
}

/// The same with the published network, where `MERIT_MPE_PREY` names its file (docs/environments/mpe.md §4.4).
#[test]
fn golden_6_with_the_published_prey() {
    if let Some(path) = std::env::var_os("MERIT_MPE_PREY") {
        let gpu = gpu();
        let asked = json!({ "prey_weights": PathBuf::from(path) });
        check_golden_6(&gpu, &golden_6_world(&gpu, asked));
    }
}

// ---- what the variants differ in --------------------------------------------------------------------------------------

/// specs/mpe.md §3.2 and §4.2 by hand on one state each.
#[test]
fn rewards_of_all_variants() {
    let gpu = gpu();
    let landmarks = [[2.0, 0.0], [0.0, 2.0], [0.0, -1.0]];
    let agents = [[0.0, 0.0], [0.2, 0.0], [2.0, 1.0]];
    let bodies = together(&agents, &landmarks);
    // At rest, one step moves nothing under `position_first`: the rewards are those of the state that went in.
    let spread = |name: &str, asked: Value| {
        let mut all = options(asked);
        all.insert("integrator".into(), "position_first".into());
        let env = world(&gpu, name, all.into(), &bodies, &[[0.0; 2]; 3]);
        act(&gpu, &env, &[0, 0, 0]).2
    };
    let cov = -(1.0 + 2.0 + 1.0);
    let jax = [(-1.0 + cov) / 2.0, (-1.0 + cov) / 2.0, cov / 2.0];
    near("jax", &spread("mpe/simple_spread", json!({})), &jax, 1e-6);
    let local = spread("mpe/simple_spread", json!({ "local_ratio": 1.0 }));
    near("local", &local, &[-1., -1., 0.], 1e-6);
    let sqddpg = spread("mpe/lica_spread_3", json!({}));
    near("sqddpg, corrected", &sqddpg, &[3.0 * cov - 2.0; 3], 1e-6);
    let sqddpg = spread("mpe/lica_spread_3", json!({ "reference_defects": true }));
    near("sqddpg", &sqddpg, &[3.0 * cov - 5.0; 3], 1e-6);
    near(
        "stas",
        &spread("mpe/stas_spread_3", json!({})),
        &[cov - 2.0; 3],
        1e-6,
    );
    let lare = spread("mpe/stas_spread_3", json!({ "reward": "individual" }));
    let own = [-1.0 - 1.0, -(0.04f32 + 1.0).sqrt() - 1.0, -1.0];
    near("lare", &lare, &own, 1e-6);

    // Two prey: the first is touched by predator 0, the last by nobody and outside the arena.
    let moving = [[0.0, 0.0], [0.5, 0.0], [0.0, -0.5], [0.1, 0.0], [1.5, 0.95]];
    let far = [[5.0, 5.0], [-5.0, 5.0]];
    let bodies = together(&moving, &far);
    let tag = |name: &str, asked: Value| {
        let mut all = options(asked);
        all.insert("num_prey".into(), 2.into());
        all.insert("integrator".into(), "position_first".into());
        for key in ["seen_prey", "seen_agents", "seen_landmarks"] {
            all.insert(key.into(), Value::Null);
        }
        let env = world(&gpu, name, all.into(), &bodies, &[[0.0; 2]; 5]);
        let rewards = act(&gpu, &env, &[0; 5][..env.spec().agents]).2;
        (rewards, floats(&gpu, &env.io().terminated)[0])
    };
    let outside = 1f32.exp() + 0.5;
    let (jax, _) = tag("mpe/simple_tag", json!({ "seen_prey": null }));
    near("jax", &jax, &[10., 10., 10., -10., -outside], 1e-5);
    let quirks = json!({ "last_prey_only": true });
    let (jax, _) = tag("mpe/simple_tag", quirks);
    near(
        "jax, last prey only",
        &jax,
        &[10., 10., 10., 0., -outside],
        1e-5,
    );
    let distances = [0.1f32, 0.4, 0.26f32.sqrt()];
    let all: f32 = distances.iter().sum();
    let (sqddpg, over) = tag("mpe/lica_tag_3", json!({ "prey": "frozen" }));
    near("sqddpg", &sqddpg, &[3.0 * (10.0 - 0.1 * all); 3], 1e-5);
    assert_eq!(over, 1.0, "a capture ends the episode");
    let (lica, _) = tag(
        "mpe/lica_tag_3",
        json!({ "prey": "frozen", "reward": "nearest" }),
    );
    near("LICA's text", &lica, &[10.0 - 0.1; 3], 1e-5);
    let (stas, over) = tag("mpe/stas_tag_3", json!({ "prey": "frozen" }));
    near("stas", &stas, &[10.0 - 0.1 * all; 3], 1e-5);
    assert_eq!(over, 0.0);
    let individual = json!({ "prey": "frozen", "reward": "individual" });
    let (lare, _) = tag("mpe/stas_tag_3", individual);
    let own = [10.0 - 0.01, -0.04, -0.1 * distances[2]];
    near("lare", &lare, &own, 1e-5);
}

/// specs/mpe.md §4.2: the check values of the boundary's price.
#[test]
fn prey_pay_for_leaving_the_arena() {
    let gpu = gpu();
    for (x, price) in [
        (0.89, 0.0),
        (0.95, 0.5),
        (0.999, 0.99),
        (1.0, 1.0),
        (1.5, 2.718_281_7),
        (2.0, 7.389_056),
        (2.2, 10.0),
        (-3.0, 10.0),
    ] {
        let bodies = [
            [-9.0, 9.0],
            [-9.0, -9.0],
            [9.0, 9.0],
            [x, 0.0],
            [7.0, 7.0],
            [7.0, -7.0],
        ];
        let env = world(&gpu, "mpe/simple_tag", json!({}), &bodies, &[[0.0; 2]; 4]);
        let rewards = act(&gpu, &env, &[0; 4]).2;
        near(&format!("at {x}"), &rewards[3..], &[-price], 2e-5);
    }
}

/// The four orders on one state, where each gives another list.
#[test]
fn neighbours_are_ranked_as_the_variants_say() {
    let gpu = gpu();
    // Agent 0 at (1, 0); the others, relative to it: A (-0.5, 0), B (0.7, 0.1), C (-0.5, -0.4), D (0.9, -0.3).
    let me = [1.0, 0.0];
    let relative = [[-0.5, 0.0], [0.75, 0.125], [-0.5, -0.375], [0.875, -0.25]];
    let others = relative.map(|[x, y]| [x + me[0], y + me[1]]);
    let agents = together(&[me], &others);
    let landmarks = [[3.0, 0.0], [1.25, 0.0], [-2.0, 0.0], [1.0, 0.5], [9.0, 9.0]];
    let bodies = together(&agents, &landmarks);
    let seen = |order: &str, count: usize| {
        let asked = json!({
            "num_agents": 5, "num_landmarks": 5, "agent_order": order, "landmark_order": order,
            "seen_agents": count, "seen_landmarks": 2, "messages": false,
        });
        let env = world(&gpu, "mpe/simple_spread_5", asked, &bodies, &[[0.0; 2]; 5]);
        let obs = observe(&gpu, &env);
        assert_eq!(env.spec().obs, 4 + 4 + 2 * count);
        obs[..env.spec().obs].to_vec()
    };
    let list = |ids: &[usize]| -> Vec<f32> { ids.iter().flat_map(|&k| relative[k]).collect() };
    near("index", &seen("index", 4)[8..], &list(&[0, 1, 2, 3]), 1e-6);
    near("nearest", &seen("nearest", 3)[8..], &list(&[0, 2, 1]), 1e-6);
    near(
        "nearest landmarks",
        &seen("nearest", 3)[4..8],
        &[0.25, 0.0, 0.0, 0.5],
        1e-6,
    );
    near(
        "lexicographic",
        &seen("lexicographic", 4)[8..],
        &list(&[2, 0, 1, 3]),
        1e-6,
    );
    // Squares of |relative - (1, 0)|: A 2.25, B 0.078125, C 2.39, D 0.078125; of a tie the lower number comes first.
    near(
        "displaced",
        &seen("displaced", 4)[8..],
        &list(&[1, 3, 0, 2]),
        1e-6,
    );
    near(
        "displaced landmarks",
        &seen("displaced", 4)[4..8],
        &[0.25, 0.0, 2.0, 0.0],
        1e-6,
    );
}

/// Sizes of observations in the papers (specs/mpe.md §3.1, §4.1, §5), and how long an episode is.
#[test]
fn shapes_of_all_names() {
    let known = [
        ("simple_spread", 3, 18, 26),
        ("simple_spread_5", 5, 30, 26),
        ("simple_spread_6", 6, 36, 26),
        ("simple_spread_15", 15, 90, 26),
        ("simple_spread_30", 30, 180, 26),
        ("simple_tag", 4, 16, 26),
        ("simple_tag_6", 8, 28, 26),
        ("simple_tag_15", 20, 62, 26),
        ("simple_tag_30", 40, 122, 26),
        ("lica_spread_3", 3, 18, 200),
        ("lica_spread_5", 5, 30, 200),
        ("lica_tag_3", 3, 16, 200),
        ("stas_spread_3", 3, 14, 25),
        ("stas_spread_6", 6, 26, 25),
        ("stas_spread_15", 15, 26, 25),
        ("stas_spread_30", 30, 26, 25),
        ("stas_tag_3", 3, 16, 25),
        ("stas_tag_6", 6, 28, 25),
        ("stas_tag_15", 15, 34, 25),
        ("stas_tag_30", 30, 44, 25),
        ("lare_spread_6", 6, 26, 25),
        ("lare_spread_15", 15, 26, 25),
        ("lare_spread_30", 30, 26, 25),
        ("lare_tag_6", 6, 28, 25),
        ("lare_tag_15", 15, 34, 25),
        ("lare_tag_30", 30, 46, 25),
        ("lare_competitive_tag_6", 8, 32, 25),
        ("lare_triangle_area", 3, 14, 25),
    ];
    assert_eq!(names().len(), known.len());
    for (name, agents, obs, steps) in known {
        let name = format!("mpe/{name}");
        assert!(names().contains(&name), "{name}");
        let config = configure(&name, &EnvOptions::new()).unwrap();
        let spec = config.spec();
        let found = (spec.agents, spec.obs, config.options.last_step());
        assert_eq!(found, (agents, obs, steps), "{name}");
        assert_eq!(spec.actions, ActionSpace::Discrete(5));
        let prey = [14, 26][usize::from(config.options.num_agents > 3)];
        let of_papers = name.contains("stas_tag") || name.contains("lare_tag");
        if of_papers {
            assert_eq!(config.options.features(true), prey, "{name}: what prey see");
        }
    }
    // JaxMARL's slips with more than one prey: predators see the velocity of the last one alone, prey of none.
    let asked = options(json!({ "num_prey": 2, "num_landmarks": 2, "reference_defects": true }));
    let o = configure("mpe/simple_tag", &asked).unwrap().options;
    assert_eq!((o.features(false), o.features(true)), (18, 16));
}

#[test]
fn every_name_plays_random_episodes() {
    let gpu = gpu();
    for name in names() {
        let env = make(&gpu, &name, json!({}), &batch(3, Driver::Random));
        run(&gpu, &env, true, 27);
        let obs = floats(&gpu, &env.io().obs);
        assert!(obs.iter().all(|x| x.is_finite()), "{name}");
        let s = env.get_state(&gpu).unwrap();
        // A capture may have ended an episode of LICA's tag before; everybody else is in the second one, or the first of 200 steps.
        let episodes = if env.config().options.max_steps == 25 {
            1
        } else {
            0
        };
        assert!(
            s.episode.iter().all(|&e| e >= episodes),
            "{name}: {:?}",
            s.episode
        );
        let frame = env.frame(&gpu, 2).unwrap();
        let bodies = s.positions.len() / 3;
        assert!(frame.shapes.len() >= bodies, "{name}");
        assert_eq!(frame.text.lines().count(), 24 + bodies, "{name}");
    }
}

#[test]
fn episodic_rewards_pay_each_side_its_sum_at_the_end() {
    let gpu = gpu();
    for name in ["mpe/lare_spread_6", "mpe/simple_tag"] {
        let total = |episodic: bool| {
            let asked = json!({ "episodic_reward": episodic, "max_steps": 6 });
            let env = make(&gpu, name, asked, &batch(5, Driver::Random));
            run(&gpu, &env, true, 0);
            let (agents, steps) = (env.spec().agents, env.config().options.last_step());
            let mut sums = vec![0.0f32; 5 * agents];
            for step in 1..=steps {
                run(&gpu, &env, false, 1);
                let paid = floats(&gpu, &env.io().reward);
                let early = episodic && step < steps;
                assert!(
                    !early || paid.iter().all(|&r| r == 0.0),
                    "{name}: paid early"
                );
                sums.iter_mut().zip(&paid).for_each(|(s, r)| *s += r);
            }
            assert_eq!(floats(&gpu, &env.io().truncated), [1.0; 5]);
            (sums, agents, env.config().options.num_agents)
        };
        let ((dense, agents, own), (episodic, ..)) = (total(false), total(true));
        for (dense, episodic) in dense.chunks(agents).zip(episodic.chunks(agents)) {
            for side in [0..own, own..agents] {
                let share = dense[side.clone()].iter().sum::<f32>() / side.len() as f32;
                near(
                    name,
                    &episodic[side.clone()],
                    &vec![share; side.len()],
                    1e-5,
                );
            }
        }
    }
}

#[test]
fn continuous_actions_push_as_their_discrete_corners_do() {
    let gpu = gpu();
    let bodies = together(&THREE, &LANDMARKS);
    for name in ["mpe/simple_spread", "mpe/lica_spread_3"] {
        for action in 0..5u32 {
            let discrete = world(&gpu, name, json!({}), &bodies, &THREE_MOVE);
            let ours = act(&gpu, &discrete, &[action; 3]);
            let asked = json!({ "action_type": "continuous" });
            let env = world(&gpu, name, asked, &bodies, &THREE_MOVE);
            assert_eq!(env.spec().actions, ActionSpace::Continuous(5));
            let mut corner = [0.0f32; 5];
            corner[action as usize] = 1.0;
            let words: Vec<u32> = [corner; 3].concat().iter().map(|x| x.to_bits()).collect();
            let soft = act(&gpu, &env, &words);
            near(name, &soft.0, &ours.0, 1e-6);
            near(name, &soft.1, &ours.1, 1e-6);
            near(name, &soft.2, &ours.2, 1e-6);
        }
    }
    // What is outside [0, 1] counts as it is, unless it is clipped.
    let strong = [[0.0, 3.0, 0.0, 0.0, -1.0f32]; 3].concat();
    let words: Vec<u32> = strong.iter().map(|x| x.to_bits()).collect();
    let velocity = |clip: bool| {
        let asked = json!({ "action_type": "continuous", "clip_actions": clip });
        let apart = [
            [-5.0, 0.0],
            [0.0, 0.0],
            [5.0, 0.0],
            [9., 9.],
            [9., 9.],
            [9., 9.],
        ];
        let env = world(&gpu, "mpe/simple_spread", asked, &apart, &[[0.0; 2]; 3]);
        act(&gpu, &env, &words).1[..2].to_vec()
    };
    near("as given", &velocity(false), &[-1.5, -0.5], 1e-6);
    near("clipped", &velocity(true), &[-0.5, 0.0], 1e-6);
}

#[test]
fn prey_act_as_their_policies_say() {
    let gpu = gpu();
    let bodies = [
        [0.0, 0.0],
        [0.0, 0.4],
        [-0.4, 0.0],
        [0.3, 0.0],
        [9., 9.],
        [9., -9.],
    ];
    let velocity = |prey: &str| {
        let env = world(
            &gpu,
            "mpe/stas_tag_3",
            json!({ "prey": prey }),
            &bodies,
            &[[0.0; 2]; 4],
        );
        act(&gpu, &env, &[0; 3]).1[6..].to_vec()
    };
    near("frozen", &velocity("frozen"), &[0.0, 0.0], 1e-6);
    near(
        "away from the nearest",
        &velocity("scripted"),
        &[0.4, 0.0],
        1e-6,
    );
    // Random prey: each of the five directions a fifth of the time. 3,000 draws: 5 standard deviations are 110.
    let env = make(
        &gpu,
        "mpe/stas_tag_3",
        json!({ "agent_box": 40.0 }),
        &batch(3000, Driver::External),
    );
    run(&gpu, &env, true, 1);
    let s = env.get_state(&gpu).unwrap();
    let mut counts = [0usize; 5];
    for v in s.velocities.chunks(4) {
        let [x, y] = v[3].map(|x| (x / 0.4).round() as i32);
        counts[match (x, y) {
            (0, 0) => 0,
            (-1, 0) => 1,
            (1, 0) => 2,
            (0, -1) => 3,
            _ => 4,
        }] += 1;
    }
    assert!(counts.iter().all(|c| c.abs_diff(600) < 115), "{counts:?}");
    // Pretrained prey with equal logits: softmax of Gumbel noise, against the same from the host's generator.
    let net = prey_file(14, [0.0; 5], [0.0; 5], [0.0, 1.0]);
    let asked = json!({ "prey": "pretrained", "prey_weights": net.path(), "agent_box": 40.0 });
    let env = make(
        &gpu,
        "mpe/stas_tag_3",
        asked,
        &batch(3000, Driver::External),
    );
    run(&gpu, &env, true, 1);
    let s = env.get_state(&gpu).unwrap();
    let pushes: Vec<f32> = s.velocities.chunks(4).map(|v| v[3][0] / 0.4).collect();
    let mean = pushes.iter().sum::<f32>() / 3000.0;
    let square = pushes.iter().map(|x| x * x).sum::<f32>() / 3000.0;
    let mut random = Lcg(5);
    let mut soft = || {
        let weights: [f64; 5] = std::array::from_fn(|_| -1.0 / random.uniform().ln());
        (weights[1] - weights[2]) / weights.iter().sum::<f64>()
    };
    let host = (0..100_000).map(|_| soft().powi(2)).sum::<f64>() / 100_000.0;
    assert!(mean.abs() < 0.03, "{mean}");
    assert!(
        (f64::from(square) - host).abs() < 0.02,
        "{square}, not {host}"
    );
}

// ---- contracts --------------------------------------------------------------------------------------------------------

#[test]
fn environment_i_is_the_same_in_any_batch_and_any_workgroup() {
    let gpu = gpu();
    for name in ["mpe/simple_tag", "mpe/lare_spread_15", "mpe/lica_tag_3"] {
        let play = |envs: usize, workgroup: Option<usize>| {
            let batch = Batch {
                workgroup,
                ..batch(envs, Driver::Random)
            };
            let env = make(&gpu, name, json!({}), &batch);
            run(&gpu, &env, true, 60);
            env.get_state(&gpu).unwrap()
        };
        let (alone, among, wide) = (play(1, None), play(70, None), play(70, Some(32)));
        assert!(among == wide, "{name}: the workgroup's size");
        let (b, n) = (alone.positions.len(), alone.velocities.len());
        assert_eq!(alone.positions[..], among.positions[..b], "{name}");
        assert_eq!(alone.velocities[..], among.velocities[..n], "{name}");
        assert_eq!(
            (alone.step[0], alone.episode[0]),
            (among.step[0], among.episode[0])
        );
        assert_ne!(among.positions[..b], among.positions[b..2 * b], "{name}");
    }
}

#[test]
fn exact_state_in_exact_state_out_and_a_snapshot_goes_on() {
    let gpu = gpu();
    let env = make(
        &gpu,
        "mpe/simple_tag_6",
        json!({}),
        &batch(33, Driver::Random),
    );
    run(&gpu, &env, true, 9);
    let (state, kept) = (env.get_state(&gpu).unwrap(), env.snapshot(&gpu).unwrap());
    run(&gpu, &env, false, 30);
    let (later, through) = (env.get_state(&gpu).unwrap(), env.snapshot(&gpu).unwrap());
    assert_ne!(later, state);
    env.set_state(&gpu, &state).unwrap();
    assert_eq!(env.get_state(&gpu).unwrap(), state);
    env.restore(&gpu, &kept).unwrap();
    run(&gpu, &env, false, 30);
    assert!(env.snapshot(&gpu).unwrap() == through);
    let error = env
        .set_state(&gpu, &MpeState::zeroed(33, 8, 10))
        .unwrap_err();
    assert!(error.to_string().contains("the positions"), "{error}");
}

/// Resets differ from episode to episode, end with 26 steps in JaxMARL's rules, and leave the other environments alone.
#[test]
fn only_those_that_ended_reset() {
    let gpu = gpu();
    let env = make(
        &gpu,
        "mpe/simple_spread",
        json!({}),
        &batch(4, Driver::External),
    );
    run(&gpu, &env, true, 0);
    let mut s = env.get_state(&gpu).unwrap();
    s.step = vec![25, 0, 24, 25];
    env.set_state(&gpu, &s).unwrap();
    gpu.write(&env.io().actions, &[0u32; 12]);
    run(&gpu, &env, false, 1);
    assert_eq!(floats(&gpu, &env.io().truncated), [1., 0., 0., 1.]);
    assert_eq!(floats(&gpu, &env.io().terminated), [0.; 4]);
    let after = env.get_state(&gpu).unwrap();
    assert_eq!(after.step, [0, 1, 25, 0]);
    assert_eq!(after.episode, [1, 0, 0, 1]);
    for g in [1, 2] {
        assert_eq!(
            after.positions[6 * g + 3..6 * g + 6],
            s.positions[6 * g + 3..6 * g + 6]
        );
    }
    assert_ne!(after.positions[3..6], s.positions[3..6], "new landmarks");
    assert!(after.velocities[..3].iter().all(|v| *v == [0.0; 2]));
    // The last observation of the ended episode shows its landmarks.
    let last = floats(&gpu, &env.io().final_obs);
    let relative = [last[2] + last[4], last[3] + last[5]];
    near("old landmark", &relative, &s.positions[3], 1e-5);
}

#[test]
fn resets_are_distributed_as_the_variants_say() {
    let gpu = gpu();
    let uniform: Vec<f64> = (0..20_000)
        .map(|k| (k as f64 + 0.5) / 10_000.0 - 1.0)
        .collect();
    for (name, agents, landmarks) in [
        ("simple_spread", 1.0, Some(1.0)),
        ("lica_tag_3", 1.0, Some(0.9)),
        ("stas_spread_6", 1.5, Some(1.5)),
        ("stas_tag_6", 1.5, Some(1.4)),
        ("lare_spread_15", 2.2, None),
        ("lare_triangle_area", 0.2, Some(1.5)),
    ] {
        let env = make(
            &gpu,
            &format!("mpe/{name}"),
            json!({}),
            &batch(1500, Driver::External),
        );
        run(&gpu, &env, true, 0);
        let s = env.get_state(&gpu).unwrap();
        let bodies = s.positions.len() / 1500;
        let n = s.velocities.len() / 1500;
        for (e, half) in [
            (0, Some(agents)),
            (n - 1, Some(agents)),
            (n, landmarks),
            (bodies - 1, landmarks),
        ] {
            let Some(half) = half else { continue };
            for axis in 0..2 {
                let ours: Vec<f64> = s
                    .positions
                    .chunks(bodies)
                    .map(|p| f64::from(p[e][axis] / half))
                    .collect();
                let (d, critical) = kolmogorov_smirnov(&ours, &uniform, 1e-6);
                assert!(
                    d < critical,
                    "{name}: body {e}, axis {axis}: {d} > {critical}"
                );
            }
        }
    }
}

/// specs/mpe.md §3.4, against a sampler of our own on the host: landmarks keep their distance, and lie where its do.
#[test]
fn poisson_disc_landmarks_keep_their_distance() {
    let gpu = gpu();
    for (name, n, half) in [
        ("lare_spread_6", 6, 1.5),
        ("lare_spread_15", 15, 2.2),
        ("lare_spread_30", 30, 3.0),
    ] {
        let envs = 500;
        let env = make(
            &gpu,
            &format!("mpe/{name}"),
            json!({}),
            &batch(envs, Driver::External),
        );
        run(&gpu, &env, true, 0);
        let s = env.get_state(&gpu).unwrap();
        let mut ours: [Vec<f64>; 3] = Default::default();
        let mut theirs: [Vec<f64>; 3] = Default::default();
        let statistics = |points: &[[f64; 2]], to: &mut [Vec<f64>; 3]| {
            let apart = |a: [f64; 2], b: [f64; 2]| (a[0] - b[0]).hypot(a[1] - b[1]);
            let mut closest = f64::INFINITY;
            for (k, &a) in points.iter().enumerate() {
                assert!(
                    a.iter().all(|x| x.abs() <= half),
                    "{name}: within the square"
                );
                for &b in &points[k + 1..] {
                    closest = closest.min(apart(a, b));
                }
            }
            assert!(closest > 0.675 - 1e-5, "{name}: {closest}");
            to[0].push(closest);
            to[1].push(points[0][0]);
            to[2].push(points.iter().map(|p| p[1].abs()).sum::<f64>() / points.len() as f64);
        };
        for p in s.positions.chunks(2 * n) {
            let points: Vec<_> = p[n..].iter().map(|p| p.map(f64::from)).collect();
            statistics(&points, &mut ours);
        }
        let mut random = Lcg(11);
        for _ in 0..envs {
            statistics(&bridson(&mut random, half, n), &mut theirs);
        }
        for k in 0..3 {
            let (d, critical) = kolmogorov_smirnov(&ours[k], &theirs[k], 1e-6);
            assert!(d < critical, "{name}: statistic {k}: {d} > {critical}");
        }
    }
}

/// Knuth's MMIX generator: enough for a test's sampler.
struct Lcg(u64);

impl Lcg {
    fn uniform(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }

    fn below(&mut self, n: usize) -> usize {
        (self.uniform() * n as f64) as usize
    }
}

/// Bridson's sampling as the specification writes it down.
fn bridson(random: &mut Lcg, half: f64, n: usize) -> Vec<[f64; 2]> {
    const RHO: f64 = 0.675;
    let side = 2.0 * half;
    let mut points: Vec<[f64; 2]> = Vec::new();
    while points.len() < n {
        points = vec![[random.uniform() * side, random.uniform() * side]];
        let mut active = vec![points[0]];
        while !active.is_empty() {
            let q = active.remove(random.below(active.len()));
            for _ in 0..5 {
                let angle = std::f64::consts::TAU * random.uniform();
                let distance = RHO * (3.0 * random.uniform() + 1.0).sqrt();
                let c = [q[0] + distance * angle.cos(), q[1] + distance * angle.sin()];
                let inside = c.iter().all(|x| (0.0..side).contains(x));
                if inside
                    && points
                        .iter()
                        .all(|p| (p[0] - c[0]).hypot(p[1] - c[1]) > RHO)
                {
                    points.push(c);
                    active.push(c);
                }
            }
        }
    }
    let mut chosen = Vec::new();
    for _ in 0..n {
        let [x, y] = points.swap_remove(random.below(points.len()));
        chosen.push([x - half, y - half]);
    }
    chosen
}

/// Bodies at one point have no direction to push each other in: nothing happens, and nothing becomes NaN.
#[test]
fn coincident_bodies_stay_finite() {
    let gpu = gpu();
    let bodies = [[0.3, 0.3]; 6];
    let env = world(&gpu, "mpe/simple_tag", json!({}), &bodies, &[[0.0; 2]; 4]);
    let (p, v, r) = act(&gpu, &env, &[0; 4]);
    assert!(v.iter().all(|x| *x == 0.0), "{v:?}");
    near("positions", &p, &[0.3; 8], 1e-6);
    near("rewards", &r, &[30., 30., 30., -30.], 1e-5);
}

#[test]
fn statistics_sum_returns_lengths_and_captures() {
    let gpu = gpu();
    // One predator sits on the prey: each episode ends with its first step, won, for 10 less 0.1 of no distance.
    let asked = json!({ "agent_box": 0.001, "num_agents": 1, "prey": "frozen", "integrator": "position_first" });
    let env = make(&gpu, "mpe/lica_tag_3", asked, &batch(50, Driver::External));
    gpu.write(&env.io().actions, &[0u32; 50]);
    run(&gpu, &env, true, 2);
    gpu.compute(|pass| env.record_stats(pass));
    let words = floats(&gpu, env.stats_region());
    let s = merit_sim::env::EpisodeStats::from_words(&words);
    assert_eq!(
        (s.episodes, s.mean_length(), s.win_rate()),
        (100.0, 1.0, 1.0)
    );
    assert!((s.mean_return() - 10.0).abs() < 0.05, "{}", s.mean_return());
    assert_eq!(s.extra[1], 100.0, "captures");
    assert!(
        (s.extra[0] - s.return_sum).abs() < 1e-2,
        "one predator's sum is the team's"
    );
}

#[test]
fn wrong_options_get_one_clear_message() {
    let gpu = gpu();
    let message = |name: &str, asked: Value| -> String {
        let found = configure(&format!("mpe/{name}"), &options(asked));
        found.expect_err("a wrong option").to_string()
    };
    for (name, asked, parts) in [
        (
            "simple_spred",
            json!({}),
            vec!["unknown environment", "mpe/simple_spread"],
        ),
        (
            "simple_spread",
            json!({ "speed": 1 }),
            vec!["`speed`", "unknown field"],
        ),
        (
            "simple_spread",
            json!({ "reward": "none" }),
            vec!["`reward`", "unknown variant"],
        ),
        (
            "simple_spread",
            json!({ "reward": "captures" }),
            vec!["`reward`", "captures", "mixed"],
        ),
        (
            "simple_spread",
            json!({ "num_agents": 0 }),
            vec!["num_agents", "1 to 100"],
        ),
        (
            "simple_spread",
            json!({ "num_agents": 5000 }),
            vec!["5000", "1 to 100"],
        ),
        (
            "simple_spread",
            json!({ "prey": "random" }),
            vec!["`prey`", "Predator-Prey only"],
        ),
        (
            "simple_tag",
            json!({ "local_ratio": 0.1 }),
            vec!["`local_ratio`", "Cooperative Navigation"],
        ),
        (
            "simple_spread",
            json!({ "local_ratio": 0.1, "reward": "team" }),
            vec!["`local_ratio`", "0.1", "`reward = \"mixed\"`"],
        ),
        (
            "simple_spread",
            json!({ "clip_actions": true }),
            vec!["`clip_actions`", "`action_type = \"continuous\"`"],
        ),
        (
            "stas_tag_3",
            json!({ "boundary_penalty": true }),
            vec!["`boundary_penalty`", "`prey = \"learned\"`"],
        ),
        (
            "simple_tag",
            json!({ "prey_noise": false }),
            vec!["`prey_noise`", "`prey = \"pretrained\"`"],
        ),
        (
            "simple_tag",
            json!({ "num_prey": 0 }),
            vec!["num_prey", "1 to 100"],
        ),
        (
            "lare_triangle_area",
            json!({ "num_agents": 4 }),
            vec!["num_agents", "three corners"],
        ),
        (
            "lare_spread_6",
            json!({ "num_landmarks": 30 }),
            vec!["num_landmarks", "Poisson-disc"],
        ),
        (
            "lare_tag_6",
            json!({ "seen_prey": 3 }),
            vec!["seen_prey", "at most 2"],
        ),
        (
            "simple_spread",
            json!({ "agent_radius": -1.0 }),
            vec!["agent_radius", "-1"],
        ),
        (
            "simple_spread",
            json!({ "max_steps": 0 }),
            vec!["max_steps", "1 to 65000"],
        ),
        (
            "simple_spread",
            json!({ "reference_defects": 3 }),
            vec!["reference_defects", "true or false"],
        ),
        (
            "lare_tag_6",
            json!({ "prey": "pretrained" }),
            vec!["prey_weights"],
        ),
        (
            "lare_tag_6",
            json!({ "prey": "pretrained", "prey_weights": "/nowhere/prey.safetensors" }),
            vec!["/nowhere/prey.safetensors", "No such file"],
        ),
    ] {
        let text = message(name, asked);
        assert!(parts.iter().all(|p| text.contains(p)), "{text}");
        assert!(!text.contains('\n'), "{text}");
    }
    let net = prey_file(14, [0.0; 5], [0.0; 5], [0.0, 1.0]);
    let asked = json!({ "prey": "pretrained", "prey_weights": net.path() });
    let text = message("lare_tag_6", asked);
    assert!(
        text.contains("[3, 14]") && text.contains("[3, 26]"),
        "{text}"
    );
    let config = configure("mpe/simple_spread", &EnvOptions::new()).unwrap();
    let error = Mpe::new(&gpu, config, &batch(1, Driver::Heuristic))
        .err()
        .unwrap();
    assert!(
        error.to_string().contains("no policy of their own"),
        "{error}"
    );
}
