// What is asked of a robot: actions, rewards, ends, beginnings and what its agents see (docs/environments/mabrax.md §2, §3).
// Constants: those of sim/src/mabrax/model.rs.

// Purposes of random draws.
const DRAW_ACTION: u32 = 0u;
const DRAW_POSITION: u32 = 1u;
const DRAW_VELOCITY: u32 = 2u;
const DRAW_TARGET: u32 = 3u;

// What is rewarded, by the numbers of sim/src/mabrax/task.rs.
const TORSO: u32 = 0u;
const CENTRE_OF_MASS: u32 = 1u;
const HEIGHT: u32 = 2u;
const REACH: u32 = 3u;
// When it is paid.
const DENSE: u32 = 0u;
const EPISODIC: u32 = 1u;
const SPARSE: u32 = 2u;
// What agents are shown of the whole robot's observation.
const PART: u32 = 0u;
const PART_AFTER_NUMBER: u32 = 1u;
const PART_IN_PLACE: u32 = 2u;

/// Numbers of the robot, the task and the split, for loops: an address that is the same for all invocations.
@group(0) @binding(14) var<storage, read> tables: array<u32>;
fn table(i: u32) -> f32 { return bitcast<f32>(tables[i]); }

// A bound of a loop that must not be unrolled: it depends on memory (the pad is 0).
fn hidden(n: u32) -> u32 { return n + slots.pad0; }

/// q, qd and control are those of the state.
var<private> measured: bool;
/// The whole robot's observation.
var<private> seen: array<f32, NOBS>;

/// Number `k` of agent `i`: what it was told, or at random in [-1, 1).
fn action(i: u32, k: u32) -> f32 {
    if (DRIVER == RANDOM) {
        let n = i * WIDTH + k;
        let bits = draw(DRAW_ACTION, n >> 1u);
        return 2.0 * uniform01(select(bits.x, bits.y, (n & 1u) == 1u)) - 1.0;
    }
    return told_number(i, k, WIDTH);
}

/// Force or torque of a motor that is told `u`.
fn motor_force(m: Motor, u: f32) -> f32 {
    return m.gear * clamp(m.gain * clamp(u, m.low, m.high), m.least, m.most);
}

/// What a task measures before and after a step.
fn progress() -> f32 {
    if (REWARD == CENTRE_OF_MASS) { return centre_of_mass().x; }
    if (REWARD == TORSO) { return torso().x; }
    return 0.0;
}

fn finite(x: f32) -> bool { return (bitcast<u32>(x) & 0x7f800000u) != 0x7f800000u; }

/// What a motor is told that agent `i` moves by its number `k`.
fn told_motor(i: u32, k: u32) -> f32 {
    let u = action(i, k);
    // A number that is none is no action, and the square of one must stay a number.
    return ACTION_SCALE * clamp(select(0.0, u, finite(u)), -1e6, 1e6) + ACTION_OFFSET;
}

fn advance() -> Outcome {
    var cost = 0.0;
    //# each actuator
    control[$a] = told_motor(MOVED_BY[$a], MOVED_WITH[$a]);
    // Forces are bounded, their price is not.
    cost += control[$a] * control[$a];
    //# end
    drive();
    let before = progress();
    for (var frame = 0u; frame < hidden(FRAMES); frame++) { substep(); }
    let lost = unstable();
    if (lost) { take_back(); }
    measure_joints();
    measured = true;

    var gained = FORWARD_REWARD * (progress() - before) / DT;
    if (REWARD == HEIGHT) { gained = torso().z / DT; }
    if (REWARD == REACH) { gained = -length(tip_to_target()); }
    let paid = select(gained + ALIVE_REWARD - CONTROL_COST * cost, 0.0, lost);
    let length = e_step + 1u;
    let over = lost || !healthy();
    let cut = length >= MAX_STEPS;
    var reward = paid;
    if (PAYMENT == EPISODIC) {
        earned += paid;
        reward = select(0.0, earned, over || cut);
    } else if (PAYMENT == SPARSE) {
        // The distance so far: the reference sums velocities.
        earned += select(progress() - before, 0.0, lost);
        reward = select(0.0, SPARSE_REWARD, (over || cut) && earned > SPARSE_DISTANCE);
    }
    for (var i = 0u; i < hidden(A); i++) {
        pay(i, reward);
        mark_done(i, over || cut);
    }
    return Outcome(over, cut, false, e_return + reward, length, vec2(select(0.0, 1.0, lost), torso().x));
}

fn healthy() -> bool {
    let z = torso().z;
    if (BOUNDS_HEIGHT && (z < LOWEST || z > HIGHEST || (STRICT && (z == LOWEST || z == HIGHEST)))) { return false; }
    if (BOUNDS_PITCH && !(q[2] > -STEEPEST && q[2] < STEEPEST)) { return false; }
    if (BOUNDS_STATE) {
        //# each coordinate
        if ($k >= 2 && !(abs(q[$k]) < 100.0)) { return false; }
        //# end
        //# each velocity
        if (!(abs(qd[$k]) < 100.0)) { return false; }
        //# end
    }
    return true;
}

/// Standard normal, from two words (Box and Muller).
fn normal(bits: vec2<u32>) -> f32 {
    return sqrt(-2.0 * log(1.0 - uniform01(bits.x))) * cos(2.0 * PI * uniform01(bits.y));
}

fn restart() {
    for (var i = 0u; i < hidden(NQ); i++) {
        let u = 2.0 * uniform01(draw(DRAW_POSITION, i).x) - 1.0;
        put(AT_START + i, table(AT_INIT_Q + i) + POSITION_NOISE * u);
    }
    for (var i = 0u; i < hidden(NV); i++) {
        let bits = draw(DRAW_VELOCITY, i);
        if (NORMAL_VELOCITIES) {
            put(AT_START + NQ + i, VELOCITY_NOISE * normal(bits));
        } else {
            put(AT_START + NQ + i, VELOCITY_NOISE * (2.0 * uniform01(bits.x) - 1.0));
        }
    }
    if (REWARD == REACH) {
        let bits = draw(DRAW_TARGET, 0u);
        let way = (0.2 * uniform01(bits.y)) * direction_of(2.0 * PI * uniform01(bits.x));
        put(AT_START + 2u, way.x);
        put(AT_START + 3u, way.y);
        put(AT_START + NQ + 2u, 0.0);
        put(AT_START + NQ + 3u, 0.0);
    }
    take_start();
    //# each actuator
    control[$a] = 0.0;
    //# end
    earned = 0.0;
    place_links();
    measured = true;
}

/// Puts the links where q and qd of the state say, as a reset does with what it drew.
@compute @workgroup_size(WORKGROUP)
fn env_place(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    if (!enter(group, lane)) { return; }
    e_step = 0u;
    earned = 0.0;
    recall();
    place_links();
    measured = true;
    leave();
    observe(false);
}

/// The whole robot's observation of the state, with q and qd as they are.
fn look() {
    //# each seen coordinate
    seen[$at] = q[$k];
    //# end
    if (SEES_HEIGHT) { seen[0] = torso().z; }
    //# each seen velocity
    seen[$at] = clamp(qd[$k], -FASTEST_SEEN, FASTEST_SEEN);
    //# end
    look_at_bodies();
    //# each velocity with a force
    seen[$at] = 0.0;
    //# end
    //# each seen actuator
    seen[$at] = motor_force(MOTOR_$a, control[$a]);
    //# end
    //# each reacher
    let first = direction_of(q[0]);
    let second = direction_of(q[1]);
    let v = tip_velocity();
    let apart = tip_to_target();
    seen[0] = first.x;
    seen[1] = second.x;
    seen[2] = first.y;
    seen[3] = second.y;
    seen[4] = q[2];
    seen[5] = q[3];
    seen[6] = v.x;
    seen[7] = v.y;
    seen[8] = apart.x;
    seen[9] = apart.y;
    seen[10] = apart.z;
    //# end
}

/// Number `k` of the whole robot's observation, as it was just shown.
fn shown(k: u32, to_final: bool) -> f32 {
    if (to_final) { return final_state[g * S + k]; }
    return world_state[(slots.next * G + g) * S + k];
}

fn observe(to_final: bool) {
    if (!measured) { recall(); }
    look();
    //# each number
    show_state($k, seen[$k], to_final);
    //# end
    for (var i = 0u; i < hidden(A); i++) {
        let first = tables[AT_PARTS + 2u * i];
        let size = tables[AT_PARTS + 2u * i + 1u];
        if (SHOWS == PART_IN_PLACE) {
            for (var k = 0u; k < hidden(D); k++) { show(i, k, 0.0, to_final); }
            for (var k = 0u; k < hidden(size); k++) {
                // What the reference's table names beyond the end is left out here.
                let at = tables[first + size + k];
                if (at < NOBS) { show(i, at, shown(at, to_final), to_final); }
            }
            continue;
        }
        // With PART_AFTER_NUMBER the agent's part begins right after the 1 at its own number, whatever the number of agents.
        let begin = select(0u, i + 1u, SHOWS == PART_AFTER_NUMBER);
        for (var k = 0u; k < hidden(D); k++) {
            var x = select(0.0, 1.0, k + 1u == begin);
            if (k >= begin && k < begin + size) { x = shown(tables[first + k - begin], to_final); }
            show(i, k, x, to_final);
        }
    }
}

/// For a state that was put in: where an episode begins, what was drawn is shown, which the links do not tell in full.
fn recall() {
    if (e_step == 0u) { take_start(); } else { measure_joints(); }
    //# each actuator
    control[$a] = number(AT_CONTROL + $a);
    //# end
}
