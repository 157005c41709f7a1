// One invocation steps one link. A workgroup holds ROBOTS robots, their links side by side in workgroup memory, and a
// barrier stands between what one pass of a substep writes and what the next reads of other links. A link's constants are
// looked up once a step. Sums over children, motors and contacts are made by the link's own invocation in the order in
// which layout_thread.wgsl has them: what comes out depends on no other order. Constants: also those of
// sim/src/mabrax/tables.rs.

/// Invocations at work; each has the slot of its link.
const SLOTS: u32 = ROBOTS * LINKS;

var<private> lane_: u32;
var<private> group_first: u32;  // first robot of the workgroup
var<private> local_robot: u32;
var<private> link: u32;
var<private> slot: u32;
var<private> used: bool;        // does this invocation have a link?
var<private> leader: bool;      // does it settle what concerns the whole robot?
var<private> own: Body;
/// The link at the beginning of the step.
var<private> loaded: Body;
/// What the link's motors do to it, in its parent's frame.
var<private> motor: Wrench;
var<private> earned: f32;       // the leader's

var<workgroup> link_p: array<vec3<f32>, SLOTS>;
var<workgroup> link_r: array<vec4<f32>, SLOTS>;
var<workgroup> link_w: array<vec3<f32>, SLOTS>;
var<workgroup> link_v: array<vec3<f32>, SLOTS>;
/// What a link's joint does to its parent: force and torque, then push and turn.
var<workgroup> back_on_parent: array<vec3<f32>, SLOTS>;
var<workgroup> turn_of_parent: array<vec3<f32>, SLOTS>;
/// Contacts, in the order of their links: only the link's own invocation reads them.
var<workgroup> touch_at: array<vec4<f32>, ROBOTS * max(CONTACTS, 1u)>;
var<workgroup> touch_impulse: array<f32, ROBOTS * max(CONTACTS, 1u)>;
/// What the motors were told in the last step, after the task's scaling.
var<workgroup> control: array<f32, ROBOTS * max(NU, 1u)>;
var<workgroup> q: array<f32, ROBOTS * NQ>;
var<workgroup> qd: array<f32, ROBOTS * NV>;
var<workgroup> seen: array<f32, ROBOTS * NOBS>;
var<workgroup> link_lost: array<u32, SLOTS>;
var<workgroup> ended: array<u32, ROBOTS>;
var<workgroup> group_ended: u32;

fn q_at(k: u32) -> f32 { return q[local_robot * NQ + k]; }
fn qd_at(k: u32) -> f32 { return qd[local_robot * NV + k]; }
fn put_q(k: u32, x: f32) { q[local_robot * NQ + k] = x; }
fn put_qd(k: u32, x: f32) { qd[local_robot * NV + k] = x; }
fn see(k: u32, x: f32) { seen[local_robot * NOBS + k] = x; }
fn control_at(a: u32) -> f32 { return control[local_robot * NU + a]; }
fn put_control(a: u32, x: f32) { control[local_robot * NU + a] = x; }

fn link_body(i: u32) -> Body {
    let at = local_robot * LINKS + i;
    return with_matrix(Body(link_p[at], link_r[at], link_w[at], link_v[at], mat3x3<f32>()));
}

fn parent_body() -> Body {
    if (parent == LINKS) {
        return with_matrix(Body(vec3(0.0), vec4(1.0, 0.0, 0.0, 0.0), vec3(0.0), vec3(0.0), mat3x3<f32>()));
    }
    return link_body(parent);
}

/// Shows the link to the others.
fn publish() {
    link_p[slot] = own.p;
    link_r[slot] = own.r;
    link_w[slot] = own.w;
    link_v[slot] = own.v;
}

// ---- the link's constants --------------------------------------------------------------------------------------------

var<private> parent: u32;       // LINKS for the world
var<private> free: bool;
var<private> axes: u32;
var<private> q_start: u32;
var<private> qd_start: u32;
var<private> depth: u32;        // links between it and the world
/// Rows of the tables that are the link's, as first and end.
var<private> children: vec2<u32>;
var<private> motors: vec2<u32>;
var<private> contacts: vec2<u32>;
var<private> me: Link;
var<private> above: Link;       // the parent
var<private> hung: Place;
var<private> mass: f32;
var<private> inertia: mat3x3<f32>;

// A row is read word by word in the order of its fields.
var<private> cursor: u32;
fn next_word() -> u32 {
    cursor += 1u;
    return tables[cursor - 1u];
}
fn next_flag() -> bool { return next_word() != 0u; }
fn next_number() -> f32 { return bitcast<f32>(next_word()); }
fn next_pair() -> vec2<f32> {
    let x = next_number();
    return vec2(x, next_number());
}
fn next_rows() -> vec2<u32> {
    let first = next_word();
    return vec2(first, first + next_word());
}
fn next_vector() -> vec3<f32> {
    let xy = next_pair();
    return vec3(xy, next_number());
}
fn next_matrix() -> mat3x3<f32> {
    let x = next_vector();
    let y = next_vector();
    return mat3x3(x, y, next_vector());
}
fn next_range() -> Range {
    var range: Range;
    range.locked = next_flag();
    range.bounded = next_flag();
    range.low = next_number();
    range.high = next_number();
    range.at_low = next_pair();
    range.at_high = next_pair();
    return range;
}
fn next_slide() -> Slide {
    var slide: Slide;
    slide.axis = next_vector();
    slide.low = next_number();
    slide.high = next_number();
    return slide;
}

fn link_constants(i: u32) -> Link {
    cursor = AT_LINKS + i * LINK_WORDS;
    var k: Link;
    k.com = next_vector();
    k.anchor = next_vector();
    k.parent_anchor = next_vector();
    k.inv_mass = next_number();
    k.inv_inertia = next_matrix();
    k.ang_damping = next_number();
    k.vel_damping = next_number();
    k.axis0 = next_vector();
    k.axis1 = next_vector();
    k.axis2 = next_vector();
    k.parent_axis0 = next_vector();
    k.parent_axis1 = next_vector();
    k.parent_axis2 = next_vector();
    k.parity = next_number();
    k.range0 = next_range();
    k.range1 = next_range();
    k.range2 = next_range();
    k.slides = next_word();
    k.held = next_matrix();
    k.slide0 = next_slide();
    k.slide1 = next_slide();
    k.slide2 = next_slide();
    return k;
}

fn look_up() {
    cursor = AT_TREE + link * TREE_WORDS;
    parent = next_word();
    free = next_flag();
    axes = next_word();
    q_start = next_word();
    qd_start = next_word();
    depth = next_word();
    children = next_rows();
    motors = next_rows();
    contacts = next_rows();
    mass = next_number();
    inertia = next_matrix();
    hung.position = next_vector();
    let w = next_number();
    hung.rotation = vec4(w, next_vector());
    hung.anchor = next_vector();
    me = link_constants(link);
    above = link_constants(parent);
}

/// Slot of the child in row `c`.
fn child_slot(c: u32) -> u32 { return local_robot * LINKS + tables[AT_CHILDREN + c]; }

/// A motor, the velocity that it acts on, and who moves it.
struct MotorRow { number: u32, dof: u32, moved_by: u32, moved_with: u32, pushes: bool, axis: vec3<f32>, motor: Motor }

fn motor_row(i: u32) -> MotorRow {
    cursor = AT_MOTORS + i * MOTOR_WORDS;
    var row: MotorRow;
    row.number = next_word();
    row.dof = next_word();
    row.moved_by = next_word();
    row.moved_with = next_word();
    row.pushes = next_flag();
    row.axis = next_vector();
    row.motor.gear = next_number();
    row.motor.gain = next_number();
    row.motor.low = next_number();
    row.motor.high = next_number();
    row.motor.least = next_number();
    row.motor.most = next_number();
    return row;
}

/// A contact and its number.
struct ContactRow { number: u32, ball: Sphere }

fn contact_row(i: u32) -> ContactRow {
    cursor = AT_CONTACTS + i * CONTACT_WORDS;
    var row: ContactRow;
    row.number = next_word();
    row.ball.centre = next_vector();
    row.ball.radius = next_number();
    row.ball.friction = next_number();
    row.ball.elasticity = next_number();
    return row;
}

/// An axis of a joint, in its own frame and as slides lie in the parent's.
struct Axis { slides: bool, axis: vec3<f32>, at_parent: vec3<f32> }

fn axis_of(dof: u32) -> Axis {
    cursor = AT_AXES + dof * AXIS_WORDS;
    var axis: Axis;
    axis.slides = next_flag();
    axis.axis = next_vector();
    axis.at_parent = next_vector();
    return axis;
}

// ---- a substep -------------------------------------------------------------------------------------------------------

/// The links are published, and stay so behind the last barrier.
fn substep() {
    let jointed = used && !free;
    let before = own;
    var f = Wrench(vec3(0.0), vec3(0.0));

    // 2
    if (jointed) {
        let upper = parent_body();
        let j = joint_force(me, own, above, upper, motor);
        f = sum(f, on_child(me, own, j));
        let back = on_parent(me, upper, j);
        back_on_parent[slot] = back.force;
        turn_of_parent[slot] = back.torque;
    }
    workgroupBarrier();

    // 3
    if (used) {
        for (var c = children.x; c < children.y; c++) {
            let child = child_slot(c);
            f = sum(f, Wrench(back_on_parent[child], turn_of_parent[child]));
        }
        note(STAGE_FORCE, link, vec4(f.force, 0.0), vec4(f.torque, 0.0));
        own = integrated(me, own, f);
        note(STAGE_INTEGRATED, link, vec4(own.p, 0.0), own.r);
        note(STAGE_INTEGRATED_VELOCITY, link, vec4(own.v, 0.0), vec4(own.w, 0.0));
        publish();
    }
    let moving = own;
    workgroupBarrier();

    // 4
    var push = vec3(0.0);
    var turn = vec3(0.0);
    if (jointed) {
        let c = joint_correction(me, own, above, parent_body());
        push += me.inv_mass * c.push;
        turn += c.child;
        back_on_parent[slot] = c.push;
        turn_of_parent[slot] = c.parent;
    }
    workgroupBarrier();
    if (used) {
        for (var c = children.x; c < children.y; c++) {
            let child = child_slot(c);
            push -= me.inv_mass * back_on_parent[child];
            turn += turn_of_parent[child];
        }
        own = moved(own, push, turn);
        note(STAGE_JOINTS, link, vec4(own.p, 0.0), own.r);

        // 5 to 8 concern no other link
        touch_floor(before);
        if (NORMALISED) { own.r = unit(own.r); }
        note(STAGE_CONTACTS, link, vec4(own.p, 0.0), own.r);
        own = with_velocities(own, before);
        note(STAGE_PROJECTED, link, vec4(own.v, 0.0), vec4(own.w, 0.0));
        stop_at_floor(moving);
        publish();
    }
    workgroupBarrier();
}

/// 5, 6
fn touch_floor(before: Body) {
    if (contacts.x == contacts.y) { return; }
    own = with_matrix(own);
    var push = vec3(0.0);
    var turn = vec3(0.0);
    for (var c = contacts.x; c < contacts.y; c++) {
        let row = contact_row(c);
        let touch = floor_contact(me, row.ball, own, before);
        push += COLLIDE_SCALE * touch.push;
        turn += COLLIDE_SCALE * touch.turn;
        touch_at[local_robot * CONTACTS + c] = vec4(touch.at, touch.gap);
        touch_impulse[local_robot * CONTACTS + c] = touch.impulse;
        note(STAGE_CONTACT, row.number, vec4(touch.at, touch.gap), vec4(touch.impulse, 0.0, 0.0, 0.0));
    }
    own = moved(own, push, turn);
}

/// 8: `moving` has the velocities of step 3.
fn stop_at_floor(moving: Body) {
    var f = Wrench(vec3(0.0), vec3(0.0));
    var count = 0.0;
    for (var c = contacts.x; c < contacts.y; c++) {
        let at = touch_at[local_robot * CONTACTS + c];
        if (at.w < 0.0) {
            let touch = Touch(vec3(0.0), vec3(0.0), at.xyz, at.w, touch_impulse[local_robot * CONTACTS + c]);
            let impulse = floor_impulse(me, contact_row(c).ball, touch, own, moving);
            f = sum(f, Wrench(impulse, cross(touch.at - own.p, impulse)));
            count += 1.0;
        }
    }
    own = settled_velocities(me, own, f.force, f.torque, count);
}

// ---- state -----------------------------------------------------------------------------------------------------------

const AT_ROTATION: u32 = 3u * LINKS;
const AT_SPIN: u32 = 7u * LINKS;
const AT_VELOCITY: u32 = 10u * LINKS;
const AT_CONTROL: u32 = 13u * LINKS;
const AT_EARNED: u32 = AT_CONTROL + NU;
const AT_START: u32 = AT_EARNED + 1u;
const ENV_WORDS: u32 = 3u;
const STATE_WORDS: u32 = ENV_WORDS + AT_START + NQ + NV;

// A robot's words lie together, the links of a field side by side: neighbouring invocations read neighbours.
fn word(i: u32) -> u32 { return g * STATE_WORDS + ENV_WORDS + i; }

fn number(i: u32) -> f32 { return bitcast<f32>(state[word(i)]); }
fn vector(i: u32) -> vec3<f32> { return vec3(number(i), number(i + 1u), number(i + 2u)); }
fn put(i: u32, x: f32) { state[word(i)] = bitcast<u32>(x); }
fn put_vector(i: u32, v: vec3<f32>) {
    put(i, v.x);
    put(i + 1u, v.y);
    put(i + 2u, v.z);
}

/// Begins every entry point; behind its barrier the links are published.
fn enter(group: vec3<u32>, lane: u32) {
    lane_ = lane;
    group_first = (group.x + group.y * GROUPS_X) * ROBOTS;
    local_robot = min(lane / LINKS, ROBOTS - 1u);
    link = lane % LINKS;
    g = group_first + local_robot;
    used = lane < SLOTS && g < G;
    leader = used && link == 0u;
    slot = local_robot * LINKS + link;
    // Robots beyond the last one never end.
    if (lane < ROBOTS) { ended[lane] = 0u; }
    if (used) {
        e_step = state[g * STATE_WORDS];
        e_episode = state[g * STATE_WORDS + 1u];
        e_return = bitcast<f32>(state[g * STATE_WORDS + 2u]);
        earned = number(AT_EARNED);
        look_up();
        own = with_matrix(Body(
            vector(3u * link),
            vec4(number(AT_ROTATION + 4u * link), vector(AT_ROTATION + 4u * link + 1u)),
            vector(AT_SPIN + 3u * link),
            vector(AT_VELOCITY + 3u * link),
            mat3x3<f32>(),
        ));
        loaded = own;
        publish();
    }
    workgroupBarrier();
}

fn leave() {
    if (!used) { return; }
    put_vector(3u * link, own.p);
    put(AT_ROTATION + 4u * link, own.r.x);
    put_vector(AT_ROTATION + 4u * link + 1u, own.r.yzw);
    put_vector(AT_SPIN + 3u * link, own.w);
    put_vector(AT_VELOCITY + 3u * link, own.v);
    for (var a = link; a < NU; a += LINKS) { put(AT_CONTROL + a, control_at(a)); }
    if (KEEPS_JOINTS) {
        for (var k = link; k < NQ; k += LINKS) { put(AT_START + k, q_at(k)); }
        for (var k = link; k < NV; k += LINKS) { put(AT_START + NQ + k, qd_at(k)); }
    }
    if (leader) {
        state[g * STATE_WORDS] = e_step;
        state[g * STATE_WORDS + 1u] = e_episode;
        state[g * STATE_WORDS + 2u] = bitcast<u32>(e_return);
        put(AT_EARNED, earned);
    }
}

/// For a state that was put in: where an episode begins, what was drawn is shown, which the links do not tell in full.
fn recall() {
    if (used) {
        if (e_step == 0u) {
            for (var k = link; k < NQ; k += LINKS) { put_q(k, number(AT_START + k)); }
            for (var k = link; k < NV; k += LINKS) { put_qd(k, number(AT_START + NQ + k)); }
        } else {
            measure_joints();
        }
        for (var a = link; a < NU; a += LINKS) { put_control(a, number(AT_CONTROL + a)); }
    }
    workgroupBarrier();
}

// ---- a step ----------------------------------------------------------------------------------------------------------

@compute @workgroup_size(WORKGROUP)
fn env_step(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    enter(group, lane);
    drive();
    workgroupBarrier();
    var before = 0.0;
    var cost = 0.0;
    if (leader) {
        before = progress();
        // Forces are bounded, their price is not.
        for (var a = 0u; a < hidden(NU); a++) { cost += control_at(a) * control_at(a); }
    }
    for (var frame = 0u; frame < hidden(FRAMES); frame++) { substep(); }
    let lost = unstable();
    if (used) { measure_joints(); }
    workgroupBarrier();
    if (leader) {
        let o = settle(before, cost, lost);
        tell(o);
        e_return = o.total;
        ended[local_robot] = select(0u, 1u, o.over || o.cut);
    }
    e_step += 1u;
    workgroupBarrier();
    if (AUTO_RESET && any_ended()) {
        observe(true);
        next_episode(used && ended[local_robot] != 0u);
    }
    leave();
    observe(false);
}

/// Tells the motors what to do; their forces act along axes that are fixed in the parent (§4.4.1).
fn drive() {
    motor = Wrench(vec3(0.0), vec3(0.0));
    if (!used) { return; }
    for (var i = motors.x; i < motors.y; i++) {
        let row = motor_row(i);
        let u = told_motor(row.moved_by, row.moved_with);
        put_control(row.number, u);
        let force = motor_force(row.motor, u) * row.axis;
        if (row.pushes) { motor.force += force; } else { motor.torque += force; }
    }
}

/// Whether the robot is beyond the numbers; then its links are again what they were at the beginning of the step.
fn unstable() -> bool {
    if (used) {
        let gone = astray3(own.p) || astray3(own.r.yzw) || astray(own.r.x) || astray3(own.w) || astray3(own.v);
        link_lost[slot] = select(0u, 1u, gone);
    }
    workgroupBarrier();
    var lost = 0u;
    for (var i = 0u; i < hidden(LINKS); i++) { lost |= link_lost[local_robot * LINKS + i]; }
    if (used && lost != 0u) {
        own = loaded;
        publish();
    }
    workgroupBarrier();
    return lost != 0u;
}

fn any_ended() -> bool {
    if (lane_ == 0u) {
        var any = 0u;
        for (var k = 0u; k < ROBOTS; k++) { any |= ended[k]; }
        group_ended = any;
    }
    return workgroupUniformLoad(&group_ended) != 0u;
}

/// 4.7: coordinates and velocities of the link's joint.
fn measure_joints() {
    if (free) {
        measure_free(me, own, q_start, qd_start);
        return;
    }
    let j = joint_measures(me, hung, own, above, parent_body(), parent == LINKS);
    for (var k = 0u; k < axes; k++) {
        let axis = axis_of(qd_start + k);
        if (axis.slides) {
            put_q(q_start + k, dot(axis.at_parent, j.apart));
            put_qd(qd_start + k, dot(axis.at_parent, j.slip));
        } else {
            put_q(q_start + k, component(j.angles, k));
            put_qd(qd_start + k, component(j.rates, k));
        }
    }
}

fn component(v: vec3<f32>, k: u32) -> f32 { return select(select(v.z, v.y, k == 1u), v.x, k == 0u); }

// ---- a beginning -----------------------------------------------------------------------------------------------------

/// Starts an episode of the robots that are `concerned`; all invocations come along for the barriers.
fn next_episode(concerned: bool) {
    if (concerned) {
        e_step = 0u;
        e_episode += 1u;
        e_return = 0.0;
        earned = 0.0;
        for (var k = link; k < NQ; k += LINKS) {
            let x = drawn_q(k);
            put(AT_START + k, x);
            put_q(k, x);
        }
        for (var k = link; k < NV; k += LINKS) {
            let x = drawn_qd(k);
            put(AT_START + NQ + k, x);
            put_qd(k, x);
        }
        for (var a = link; a < NU; a += LINKS) { put_control(a, 0.0); }
    }
    workgroupBarrier();
    place_links(concerned);
}

/// 4.3: places the links from q and qd, parents first. Until the end, `p` and `v` are those of the links' origins.
fn place_links(concerned: bool) {
    var pose = with_matrix(Body(vec3(0.0), vec4(1.0, 0.0, 0.0, 0.0), vec3(0.0), vec3(0.0), mat3x3<f32>()));
    if (concerned) {
        for (var k = 0u; k < axes; k++) {
            let axis = axis_of(qd_start + k);
            pose = with_axis(pose, axis.axis, axis.slides, q_at(q_start + k), qd_at(qd_start + k));
        }
    }
    for (var level = 0u; level < hidden(LEVELS); level++) {
        if (concerned && depth == level) {
            if (free) { own = free_link(q_start, qd_start); } else { own = placed(hung, pose, parent_body()); }
            publish();
        }
        workgroupBarrier();
    }
    if (concerned) {
        own.r = unit(own.r);
        own = from_origin(me, with_matrix(own));
        publish();
    }
    workgroupBarrier();
}

/// Starts a fresh episode everywhere.
@compute @workgroup_size(WORKGROUP)
fn env_reset(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    enter(group, lane);
    next_episode(used);
    leave();
    observe(false);
}

/// Puts the links where q and qd of the state say, as a reset does with what it drew.
@compute @workgroup_size(WORKGROUP)
fn env_place(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    enter(group, lane);
    e_step = 0u;
    earned = 0.0;
    recall();
    place_links(used);
    leave();
    observe(false);
}

// ---- observations ----------------------------------------------------------------------------------------------------

/// Shows the state as it is, after it was put in from outside.
@compute @workgroup_size(WORKGROUP)
fn env_observe(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    enter(group, lane);
    recall();
    observe(false);
}

/// The whole robot's observation of the state, with q and qd as they are.
fn look() {
    if (REWARD == REACH) {
        if (leader) { see_reacher(); }
        return;
    }
    for (var k = HIDDEN + link; k < NQ; k += LINKS) { see(k - HIDDEN, q_at(k)); }
    if (SEES_HEIGHT && leader) { see(0u, torso().z); }
    for (var k = link; k < NV; k += LINKS) { see(NQ - HIDDEN + k, clamp(qd_at(k), -FASTEST_SEEN, FASTEST_SEEN)); }
    if (SEES_BODIES) {
        see_body(own, mass, inertia, centre_of_mass(), AT_BODIES + 10u * link, AT_BODIES + 10u * LINKS + 6u * link);
        let dofs = select(axes, 6u, free);
        for (var k = 0u; k < dofs; k++) { see(AT_FORCES + qd_start + k, 0.0); }
        for (var i = motors.x; i < motors.y; i++) {
            let row = motor_row(i);
            see(AT_FORCES + row.dof, motor_force(row.motor, control_at(row.number)));
        }
    }
}

/// Writes what critic and agents see, of all robots or, as their last sight of an episode, of those that ended: neighbouring
/// invocations write neighbouring words.
fn observe(to_final: bool) {
    if (used) { look(); }
    workgroupBarrier();
    // Workgroups beyond the last robot have none.
    let robots = min(ROBOTS, max(G, group_first) - group_first);
    let first = select(slots.next * G, 0u, to_final) + group_first;
    for (var w = lane_; w < robots * S; w += WORKGROUP) {
        if (!to_final || ended[w / S] != 0u) { put_state(first * S + w, seen[w], to_final); }
    }
    for (var w = lane_; w < robots * A * D; w += WORKGROUP) {
        let robot = w / (A * D);
        if (to_final && ended[robot] == 0u) { continue; }
        let column = tables[AT_SHOWN + w % (A * D)];
        var x = select(0.0, 1.0, column == SHOWS_ONE);
        if (column < NOBS) { x = seen[robot * NOBS + column]; }
        put_obs(first * A * D + w, x, to_final);
    }
    workgroupBarrier();
}
