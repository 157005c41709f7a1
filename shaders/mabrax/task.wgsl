// What is asked of a robot: actions, rewards, ends, beginnings and what is seen of it (docs/environments/mabrax.md §2, §3).
// Constants: those of sim/src/mabrax/model.rs and mod.rs. `//# each` as in layout_thread.wgsl.
//
// A layout says where things lie:
//   link_body(i)                   link i, or the world
//   q_at(k), qd_at(k), put_q(k, x), put_qd(k, x)   coordinates and velocities of the joints; where an episode begins those that
//                                  were drawn, which the links do not tell in full (§4.3), else those of the links (§4.7)
//   see(k, x)                      number k of the whole robot's observation
//   earned                         reward of this episode, as it would be paid step by step

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
// In the table of what agents are shown: these, or a number of the whole robot's observation.
const SHOWS_ONE: u32 = 0xfffffffeu;

/// Numbers of the robot, the task and the split, as sim/src/mabrax/tables.rs lays them out.
@group(0) @binding(14) var<storage, read> tables: array<u32>;
fn table(i: u32) -> f32 { return bitcast<f32>(tables[i]); }

// A bound of a loop that must not be unrolled: it depends on memory (the pad is 0).
fn hidden(n: u32) -> u32 { return n + slots.pad0; }

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

/// Pays for a step and says whether the episode is over. `before` is the progress at its beginning, `cost` the squared actions'
/// sum, `lost` whether the state became unstable.
fn settle(before: f32, cost: f32, lost: bool) -> Outcome {
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
    if (BOUNDS_PITCH && !(q_at(2u) > -STEEPEST && q_at(2u) < STEEPEST)) { return false; }
    if (BOUNDS_STATE) {
        //# each coordinate
        if ($k >= 2 && !(abs(q_at($k)) < 100.0)) { return false; }
        //# end
        //# each velocity
        if (!(abs(qd_at($k)) < 100.0)) { return false; }
        //# end
    }
    return true;
}

/// Standard normal, from two words (Box and Muller).
fn normal(bits: vec2<u32>) -> f32 {
    return sqrt(max(-2.0 * log(1.0 - uniform01(bits.x)), 0.0)) * cos(2.0 * PI * uniform01(bits.y));
}

/// Where an episode puts the reacher's target.
fn drawn_target() -> vec2<f32> {
    let bits = draw(DRAW_TARGET, 0u);
    return (0.2 * uniform01(bits.y)) * direction_of(2.0 * PI * uniform01(bits.x));
}

/// Coordinate `i` that an episode begins with.
fn drawn_q(i: u32) -> f32 {
    if (REWARD == REACH && i >= 2u) {
        let goal = drawn_target();
        return select(goal.x, goal.y, i == 3u);
    }
    return table(AT_INIT_Q + i) + POSITION_NOISE * (2.0 * uniform01(draw(DRAW_POSITION, i).x) - 1.0);
}

fn drawn_qd(i: u32) -> f32 {
    if (REWARD == REACH && i >= 2u) { return 0.0; }
    let bits = draw(DRAW_VELOCITY, i);
    if (NORMAL_VELOCITIES) { return VELOCITY_NOISE * normal(bits); }
    return VELOCITY_NOISE * (2.0 * uniform01(bits.x) - 1.0);
}

// ---- what is measured of the robot -------------------------------------------------------------------------------------

/// Origin of a link: that of the first one is the torso.
fn origin(k: Link, b: Body) -> vec3<f32> { return b.p - b.m * k.com; }

fn torso() -> vec3<f32> { return origin(LINK_0, link_body(0u)); }

/// Of the effective masses.
fn centre_of_mass() -> vec3<f32> {
    var sum = vec3(0.0);
    //# each link
    sum += (LINK_MASS[$i] / TOTAL_MASS) * link_body($iu).p;
    //# end
    return sum;
}

/// The reacher's fingertip and its way from the target.
fn tip_to_target() -> vec3<f32> {
    let tip = link_body(TIP);
    return origin(LINK_TIP, tip) + tip.m * TIP_AT - origin(LINK_TARGET, link_body(TARGET));
}

/// Its velocity, with the offset as it lies in the link's frame: the reference does not rotate it.
fn tip_velocity() -> vec3<f32> {
    let b = link_body(TIP);
    return b.v - cross(b.w, b.m * LINK_TIP.com) + cross(b.w, TIP_AT);
}

/// 4.7 of a free link.
fn measure_free(k: Link, b: Body, q: u32, qd: u32) {
    let p = origin(k, b);
    let v = b.v - cross(b.w, b.m * k.com);
    let w = b.w * b.m;
    put_q(q, p.x);
    put_q(q + 1u, p.y);
    put_q(q + 2u, p.z);
    put_q(q + 3u, b.r.x);
    put_q(q + 4u, b.r.y);
    put_q(q + 5u, b.r.z);
    put_q(q + 6u, b.r.w);
    put_qd(qd, v.x);
    put_qd(qd + 1u, v.y);
    put_qd(qd + 2u, v.z);
    put_qd(qd + 3u, w.x);
    put_qd(qd + 4u, w.y);
    put_qd(qd + 5u, w.z);
}

/// 4.3 of a free link: `p` and `v` are those of its origin.
fn free_link(q: u32, qd: u32) -> Body {
    let p = vec3(q_at(q), q_at(q + 1u), q_at(q + 2u));
    let r = vec4(q_at(q + 3u), q_at(q + 4u), q_at(q + 5u), q_at(q + 6u));
    let v = vec3(qd_at(qd), qd_at(qd + 1u), qd_at(qd + 2u));
    let m = matrix(r);
    return Body(p, r, m * vec3(qd_at(qd + 3u), qd_at(qd + 4u), qd_at(qd + 5u)), v, m);
}

/// Inertia of a link about the robot's centre of mass, mass, and velocities (§2.1): ten numbers from `at` on and six from `to` on.
fn see_body(b: Body, mass: f32, inertia: mat3x3<f32>, centre: vec3<f32>, at: u32, to: u32) {
    let r = b.p - centre;
    let i = b.m * inertia * transpose(b.m);
    let rr = dot(r, r);
    let x = i[0] + mass * (vec3(rr, 0.0, 0.0) - r.x * r);
    let y = i[1] + mass * (vec3(0.0, rr, 0.0) - r.y * r);
    let z = i[2] + mass * (vec3(0.0, 0.0, rr) - r.z * r);
    let v = (mass / TOTAL_MASS) * b.v;
    see(at, x.x);
    see(at + 1u, x.y);
    see(at + 2u, x.z);
    see(at + 3u, y.x);
    see(at + 4u, y.y);
    see(at + 5u, y.z);
    see(at + 6u, z.x);
    see(at + 7u, z.y);
    see(at + 8u, z.z);
    see(at + 9u, mass);
    see(to, v.x);
    see(to + 1u, v.y);
    see(to + 2u, v.z);
    see(to + 3u, b.w.x);
    see(to + 4u, b.w.y);
    see(to + 5u, b.w.z);
}

/// The reacher's observation.
fn see_reacher() {
    let first = direction_of(q_at(0u));
    let second = direction_of(q_at(1u));
    let v = tip_velocity();
    let apart = tip_to_target();
    see(0u, first.x);
    see(1u, second.x);
    see(2u, first.y);
    see(3u, second.y);
    see(4u, q_at(2u));
    see(5u, q_at(3u));
    see(6u, v.x);
    see(7u, v.y);
    see(8u, apart.x);
    see(9u, apart.y);
    see(10u, apart.z);
}
