// Particle worlds: discs on an unbounded plane that accelerate, push each other softly and brake. Section numbers are
// those of docs/environments/mpe.md. Constants: NP agents (predators in Predator-Prey), NG prey, L landmarks, and a
// constant for each option of sim/src/mpe/options.rs.

/// Moving bodies: agents, then prey.
const N: u32 = NP + NG;
/// All bodies: the moving ones, then the landmarks.
const BODIES: u32 = N + L;

const DT: f32 = 0.1;
const DAMPING: f32 = 0.25;
const CONTACT_FORCE: f32 = 100.0;
const CONTACT_MARGIN: f32 = 0.001;

const LARGEST: f32 = 0x1.fffffep+127;

// Rewards and orders, by the numbers of sim/src/mpe/options.rs.
const MIXED: u32 = 0u;
const SUMMED: u32 = 1u;
const TEAM: u32 = 2u;
const INDIVIDUAL: u32 = 3u;
const CAPTURES: u32 = 4u;
const NEAREST_ONLY: u32 = 5u;
const BY_INDEX: u32 = 0u;
const NEAREST: u32 = 1u;
const LEXICOGRAPHIC: u32 = 2u;
const DISPLACED: u32 = 3u;

// Purposes of random draws.
const DRAW_ACTION: u32 = 0u;
const DRAW_PREY: u32 = 1u;
const DRAW_POSITION: u32 = 2u;
const DRAW_LAYOUT: u32 = 3u;

var<private> px: array<f32, BODIES>;
var<private> py: array<f32, BODIES>;
var<private> vx: array<f32, N>;
var<private> vy: array<f32, N>;
var<private> fx: array<f32, N>;
var<private> fy: array<f32, N>;
var<private> earned: array<f32, A>;  // in this step
var<private> team_sum: f32;   // of all agents' rewards in this episode, as they would be paid step by step
var<private> prey_sum: f32;   // the same of learning prey
var<private> touches: f32;    // collisions (Cooperative Navigation), captures, or overlaps with obstacles in this episode

const AT_VELOCITY: u32 = 2u * BODIES;
const AT_SUMS: u32 = AT_VELOCITY + 2u * N;

fn load() {
    for (var e = 0u; e < BODIES; e++) {
        px[e] = bitcast<f32>(state[word(e)]);
        py[e] = bitcast<f32>(state[word(BODIES + e)]);
    }
    for (var i = 0u; i < N; i++) {
        vx[i] = bitcast<f32>(state[word(AT_VELOCITY + i)]);
        vy[i] = bitcast<f32>(state[word(AT_VELOCITY + N + i)]);
    }
    team_sum = bitcast<f32>(state[word(AT_SUMS)]);
    prey_sum = bitcast<f32>(state[word(AT_SUMS + 1u)]);
    touches = bitcast<f32>(state[word(AT_SUMS + 2u)]);
}

fn store() {
    for (var e = 0u; e < BODIES; e++) {
        state[word(e)] = bitcast<u32>(px[e]);
        state[word(BODIES + e)] = bitcast<u32>(py[e]);
    }
    for (var i = 0u; i < N; i++) {
        state[word(AT_VELOCITY + i)] = bitcast<u32>(vx[i]);
        state[word(AT_VELOCITY + N + i)] = bitcast<u32>(vy[i]);
    }
    state[word(AT_SUMS)] = bitcast<u32>(team_sum);
    state[word(AT_SUMS + 1u)] = bitcast<u32>(prey_sum);
    state[word(AT_SUMS + 2u)] = bitcast<u32>(touches);
}

// Small worlds are fastest with their loops unrolled. A driver would unroll those of the others too, for the arrays that they
// run over, and compile for minutes: the bound of a long loop is therefore made to depend on memory (the pad is 0).
const SMALL: bool = BODIES <= 8u && LANDMARK_ORDER == BY_INDEX && AGENT_ORDER == BY_INDEX;
fn up_to(n: u32) -> u32 { return n + select(slots.pad0, 0u, SMALL); }
/// The same for loops within, which are unrolled where they are short.
fn inner(n: u32) -> u32 { return n + select(slots.pad0, 0u, SMALL || n <= 6u); }

fn is_prey(i: u32) -> bool { return NG > 0u && i >= NP; }

fn apart(a: u32, b: u32) -> vec2<f32> { return vec2(px[a] - px[b], py[a] - py[b]); }
fn squared(d: vec2<f32>) -> f32 { return d.x * d.x + d.y * d.y; }
fn within(a: u32, b: u32, reach: f32) -> bool { return squared(apart(a, b)) < reach * reach; }

// ---- 4: actions -----------------------------------------------------------------------------------------------------

/// 4.1: 0 nothing, then left, right, down, up; with MIRRORED right, left, up, down.
fn direction(action: u32) -> vec2<f32> {
    let d = vec2(
        select(0.0, 1.0, action == 2u) - select(0.0, 1.0, action == 1u),
        select(0.0, 1.0, action == 4u) - select(0.0, 1.0, action == 3u),
    );
    return select(d, -d, MIRRORED);
}

/// 4.2: the same from five numbers; the first has no effect.
fn soft_direction(left: f32, right: f32, down: f32, up: f32) -> vec2<f32> {
    var a = vec4(left, right, down, up);
    if (CLIP_ACTIONS) { a = clamp(a, vec4(0.0), vec4(1.0)); }
    let d = vec2(a.y - a.x, a.w - a.z);
    return select(d, -d, MIRRORED);
}

fn push(i: u32, d: vec2<f32>) {
    let acceleration = select(AGENT_ACCEL, PREY_ACCEL, is_prey(i));
    fx[i] = d.x * acceleration;
    fy[i] = d.y * acceleration;
}

/// What every moving body accelerates by on its own account.
fn choose() {
    var bits = vec2(0u);
    for (var i = 0u; i < up_to(A); i++) {
        if (CONTINUOUS) {
            if (DRIVER == RANDOM) {
                let x = draw(DRAW_ACTION, 2u * i);
                let y = draw(DRAW_ACTION, 2u * i + 1u);
                push(i, soft_direction(uniform01(x.x), uniform01(x.y), uniform01(y.x), uniform01(y.y)));
            } else {
                push(i, soft_direction(told_number(i, 1u, 5u), told_number(i, 2u, 5u), told_number(i, 3u, 5u), told_number(i, 4u, 5u)));
            }
        } else {
            var action: u32;
            if (DRIVER == RANDOM) {
                // A draw is two words: one for an even agent, one for the next.
                let even = (i & 1u) == 0u;
                if (even) { bits = draw(DRAW_ACTION, i >> 1u); }
                action = below(select(bits.y, bits.x, even), 5u);
            } else {
                action = told(i);
            }
            push(i, direction(action));
        }
    }
    for (var i = A; i < up_to(N); i++) { push(i, prey_direction(i)); }
}

// ---- 3: motion ------------------------------------------------------------------------------------------------------

fn radius(e: u32) -> f32 {
    if (e >= N) { return LANDMARK_RADIUS; }
    return select(AGENT_RADIUS, PREY_RADIUS, is_prey(e));
}

/// 3.1: log(1 + exp(z)) without overflow.
fn softplus(z: f32) -> f32 { return max(z, 0.0) + log(1.0 + exp(-abs(z))); }

/// 3.1: the contact force on body `a` from body `b`.
fn contact(a: u32, b: u32) -> vec2<f32> {
    let d = apart(a, b);
    // Bodies at the same point do not push: there is no direction to push in.
    let r = max(sqrt(squared(d)), 1e-30);
    let touching = select(radius(a) + radius(b), 2.0 * AGENT_RADIUS, UNIFORM_CONTACT);
    let depth = CONTACT_MARGIN * softplus((touching - r) / CONTACT_MARGIN);
    return CONTACT_FORCE * d / r * depth;
}

fn collide() {
    for (var a = 0u; a < up_to(N); a++) {
        for (var b = a + 1u; b < N; b++) {
            let f = contact(a, b);
            fx[a] += f.x;
            fy[a] += f.y;
            fx[b] -= f.x;
            fy[b] -= f.y;
        }
        if (SOLID_LANDMARKS) {
            for (var b = N; b < up_to(BODIES); b++) {
                let f = contact(a, b);
                fx[a] += f.x;
                fy[a] += f.y;
            }
        }
    }
}

/// 3.2: every mass is 1.
fn integrate() {
    for (var i = 0u; i < up_to(N); i++) {
        let old = vec2(vx[i], vy[i]);
        var v = old * (1.0 - DAMPING) + vec2(fx[i], fy[i]) * DT;
        let fastest = select(AGENT_MAX_SPEED, PREY_MAX_SPEED, is_prey(i));
        if (fastest >= 0.0) {
            let speed = sqrt(squared(v));
            if (speed > fastest) { v = v / speed * fastest; }
        }
        let moves_by = select(v, old, POSITION_FIRST) * DT;
        px[i] += moves_by.x;
        py[i] += moves_by.y;
        vx[i] = v.x;
        vy[i] = v.y;
    }
}

// ---- 8: a step ------------------------------------------------------------------------------------------------------

fn advance() -> Outcome {
    choose();
    collide();
    integrate();
    let captured = reward_all();
    let length = e_step + 1u;
    let over = END_ON_CAPTURE && captured;
    let ended = over || length >= LAST_STEP;
    for (var i = 0u; i < inner(A); i++) {
        if (i < NP) { team_sum += earned[i]; } else { prey_sum += earned[i]; }
    }
    if (EPISODIC) {
        // 7.4: nothing until the end, then each its share of what its side earned.
        for (var i = 0u; i < inner(A); i++) {
            let share = select(team_sum / f32(NP), prey_sum / f32(max(NG, 1u)), is_prey(i));
            earned[i] = select(0.0, share, ended);
        }
    }
    for (var i = 0u; i < inner(A); i++) {
        pay(i, earned[i]);
        mark_done(i, ended);
    }
    return Outcome(over, length >= LAST_STEP, over, e_return + earned[0], length, vec2(team_sum, touches));
}
