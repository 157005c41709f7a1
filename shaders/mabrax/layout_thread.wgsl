// One invocation steps one robot. The lines between `//# each` and `//# end` are written out once for every link, joint
// or contact of the robot by sim/src/mabrax/model.rs, so that every index and every LINK_i is a constant: the driver
// drops what is zero, and the state can stay in registers. In them `$i` is the link, `$p` its parent (WORLD where it has
// none), `$s` the contact.

const WORLD: u32 = LINKS;

/// The links, and the world at the end.
var<private> body: array<Body, LINKS + 1u>;
/// What the motors do to each link, in its parent's frame.
var<private> motor: array<Wrench, LINKS>;

fn put_world() {
    body[WORLD] = with_matrix(Body(vec3(0.0), vec4(1.0, 0.0, 0.0, 0.0), vec3(0.0), vec3(0.0), mat3x3<f32>()));
}

fn substep() {
    put_world();
    //# each body
    let before$i = body[$i];
    var f$i = Wrench(vec3(0.0), vec3(0.0));
    var push$i = vec3(0.0);
    var turn$i = vec3(0.0);
    //# end

    // 2
    //# each joint
    let j$i = joint_force(LINK_$i, body[$i], LINK_$p, body[$p], motor[$i]);
    f$i = sum(f$i, on_child(LINK_$i, body[$i], j$i));
    f$p = sum(f$p, on_parent(LINK_$i, body[$p], j$i));
    //# end
    //# each link
    note(STAGE_FORCE, $i, vec4(f$i.force, 0.0), vec4(f$i.torque, 0.0));
    //# end

    // 3
    //# each link
    body[$i] = integrated(LINK_$i, body[$i], f$i);
    let free$i = body[$i];
    note(STAGE_INTEGRATED, $i, vec4(body[$i].p, 0.0), body[$i].r);
    note(STAGE_INTEGRATED_VELOCITY, $i, vec4(body[$i].v, 0.0), vec4(body[$i].w, 0.0));
    //# end

    // 4
    //# each joint
    let c$i = joint_correction(LINK_$i, body[$i], LINK_$p, body[$p]);
    push$i += LINK_$i.inv_mass * c$i.push;
    push$p -= LINK_$p.inv_mass * c$i.push;
    turn$i += c$i.child;
    turn$p += c$i.parent;
    //# end
    //# each link
    body[$i] = moved(body[$i], push$i, turn$i);
    push$i = vec3(0.0);
    turn$i = vec3(0.0);
    note(STAGE_JOINTS, $i, vec4(body[$i].p, 0.0), body[$i].r);
    //# end

    // 5, 6
    //# each touching link
    body[$i] = with_matrix(body[$i]);
    //# end
    //# each contact
    let touch$s = floor_contact(LINK_$i, SPHERE_$s, body[$i], before$i);
    push$i += COLLIDE_SCALE * touch$s.push;
    turn$i += COLLIDE_SCALE * touch$s.turn;
    note(STAGE_CONTACT, $s, vec4(touch$s.at, touch$s.gap), vec4(touch$s.impulse, 0.0, 0.0, 0.0));
    //# end
    //# each touching link
    body[$i] = moved(body[$i], push$i, turn$i);
    //# end
    if (NORMALISED) {
        //# each link
        body[$i].r = unit(body[$i].r);
        //# end
    }

    // 7
    //# each link
    note(STAGE_CONTACTS, $i, vec4(body[$i].p, 0.0), body[$i].r);
    body[$i] = with_velocities(body[$i], before$i);
    note(STAGE_PROJECTED, $i, vec4(body[$i].v, 0.0), vec4(body[$i].w, 0.0));
    f$i = Wrench(vec3(0.0), vec3(0.0));
    var count$i = 0.0;
    //# end

    // 8
    //# each contact
    if (touch$s.gap < 0.0) {
        let impulse = floor_impulse(LINK_$i, SPHERE_$s, touch$s, body[$i], free$i);
        f$i = sum(f$i, Wrench(impulse, cross(touch$s.at - body[$i].p, impulse)));
        count$i += 1.0;
    }
    //# end
    //# each link
    body[$i] = settled_velocities(LINK_$i, body[$i], f$i.force, f$i.torque, count$i);
    //# end
}

// ---- state -----------------------------------------------------------------------------------------------------------

const AT_ROTATION: u32 = 3u * LINKS;
const AT_SPIN: u32 = 7u * LINKS;
const AT_VELOCITY: u32 = 10u * LINKS;
const AT_CONTROL: u32 = 13u * LINKS;
const AT_EARNED: u32 = AT_CONTROL + NU;
const AT_START: u32 = AT_EARNED + 1u;

// A driver for software devices turns an access to a private array at an index that it does not know into a ladder of
// comparisons: here every index is a constant, and what needs a loop goes through memory.

/// What the motors were told in the last step, after the task's scaling.
var<private> control: array<f32, NU>;
var<private> earned: f32;
var<private> q: array<f32, NQ>;
var<private> qd: array<f32, NV>;
/// q, qd and control are those of the state.
var<private> measured: bool;
/// The whole robot's observation.
var<private> seen: array<f32, NOBS>;
/// The links as they were at the beginning of the step.
var<private> loaded: array<Body, LINKS>;

fn link_body(i: u32) -> Body { return body[i]; }
fn q_at(k: u32) -> f32 { return q[k]; }
fn qd_at(k: u32) -> f32 { return qd[k]; }
fn put_q(k: u32, x: f32) { q[k] = x; }
fn put_qd(k: u32, x: f32) { qd[k] = x; }
fn see(k: u32, x: f32) { seen[k] = x; }

fn number(i: u32) -> f32 { return bitcast<f32>(state[word(i)]); }
fn vector(i: u32) -> vec3<f32> { return vec3(number(i), number(i + 1u), number(i + 2u)); }
fn put(i: u32, x: f32) { state[word(i)] = bitcast<u32>(x); }
fn put_vector(i: u32, v: vec3<f32>) {
    put(i, v.x);
    put(i + 1u, v.y);
    put(i + 2u, v.z);
}

fn load() {
    //# each link
    loaded[$i] = with_matrix(Body(
        vector(3u * $i),
        vec4(number(AT_ROTATION + 4u * $i), vector(AT_ROTATION + 4u * $i + 1u)),
        vector(AT_SPIN + 3u * $i),
        vector(AT_VELOCITY + 3u * $i),
        mat3x3<f32>(),
    ));
    //# end
    earned = number(AT_EARNED);
    take_back();
}

/// The robot as it was at the beginning of the step.
fn take_back() {
    put_world();
    //# each link
    body[$i] = loaded[$i];
    //# end
}

fn store() {
    //# each link
    put_vector(3u * $i, body[$i].p);
    put(AT_ROTATION + 4u * $i, body[$i].r.x);
    put_vector(AT_ROTATION + 4u * $i + 1u, body[$i].r.yzw);
    put_vector(AT_SPIN + 3u * $i, body[$i].w);
    put_vector(AT_VELOCITY + 3u * $i, body[$i].v);
    //# end
    //# each actuator
    put(AT_CONTROL + $a, control[$a]);
    //# end
    put(AT_EARNED, earned);
    if (KEEPS_JOINTS) {
        //# each coordinate
        put(AT_START + $k, q[$k]);
        //# end
        //# each velocity
        put(AT_START + NQ + $k, qd[$k]);
        //# end
    }
}

/// The joints as the episode began with them.
fn take_start() {
    //# each coordinate
    q[$k] = number(AT_START + $k);
    //# end
    //# each velocity
    qd[$k] = number(AT_START + NQ + $k);
    //# end
}

fn unstable() -> bool {
    var lost = false;
    //# each link
    lost = lost || astray3(body[$i].p) || astray3(body[$i].r.yzw) || astray(body[$i].r.x) || astray3(body[$i].w) || astray3(body[$i].v);
    //# end
    return lost;
}

// ---- a step ----------------------------------------------------------------------------------------------------------

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
    return settle(before, cost, lost);
}

/// The forces of the motors, along axes that are fixed in the parent (§4.4.1).
fn drive() {
    //# each link
    motor[$i] = Wrench(vec3(0.0), vec3(0.0));
    //# end
    //# each actuator
    if (MOTOR_PUSHES[$a]) {
        motor[$i].force += motor_force(MOTOR_$a, control[$a]) * MOTOR_AXIS[$a];
    } else {
        motor[$i].torque += motor_force(MOTOR_$a, control[$a]) * MOTOR_AXIS[$a];
    }
    //# end
}

/// 4.7: coordinates and velocities of every joint.
fn measure_joints() {
    put_world();
    //# each free link
    measure_free(LINK_$i, body[$i], $qu, $qdu);
    //# end
    //# each joint
    let j$i = joint_measures(LINK_$i, PLACE_$i, body[$i], LINK_$p, body[$p], $p == WORLD);
    //# end
    //# each dof
    if (DOF_SLIDES[$d]) {
        q[$q] = dot(SLIDE_AXIS[$d], j$i.apart);
        qd[$d] = dot(SLIDE_AXIS[$d], j$i.slip);
    } else {
        q[$q] = j$i.angles[$k];
        qd[$d] = j$i.rates[$k];
    }
    //# end
}

// ---- a beginning -----------------------------------------------------------------------------------------------------

fn restart() {
    for (var i = 0u; i < hidden(NQ); i++) { put(AT_START + i, drawn_q(i)); }
    for (var i = 0u; i < hidden(NV); i++) { put(AT_START + NQ + i, drawn_qd(i)); }
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

/// 4.3: places the links from q and qd. Until the end, `p` and `v` are those of the links' origins.
fn place_links() {
    put_world();
    //# each joint
    var pose$i = with_matrix(Body(vec3(0.0), vec4(1.0, 0.0, 0.0, 0.0), vec3(0.0), vec3(0.0), mat3x3<f32>()));
    //# end
    //# each free link
    body[$i] = free_link($qu, $qdu);
    //# end
    //# each dof
    pose$i = with_axis(pose$i, DOF_AXIS[$d], DOF_SLIDES[$d], q[$q], qd[$d]);
    //# end
    //# each joint
    body[$i] = placed(PLACE_$i, pose$i, body[$p]);
    //# end
    //# each link
    body[$i].r = unit(body[$i].r);
    body[$i] = from_origin(LINK_$i, with_matrix(body[$i]));
    //# end
}

// ---- observations ----------------------------------------------------------------------------------------------------

/// The whole robot's observation of the state, with q and qd as they are.
fn look() {
    //# each seen coordinate
    seen[$at] = q[$k];
    //# end
    if (SEES_HEIGHT) { seen[0] = torso().z; }
    //# each seen velocity
    seen[$at] = clamp(qd[$k], -FASTEST_SEEN, FASTEST_SEEN);
    //# end
    let centre = centre_of_mass();
    //# each seen link
    see_body(body[$i], LINK_MASS[$i], LINK_INERTIA[$i], centre, $atu, $tou);
    //# end
    //# each velocity with a force
    seen[$at] = 0.0;
    //# end
    //# each seen actuator
    seen[$at] = motor_force(MOTOR_$a, control[$a]);
    //# end
    if (REWARD == REACH) { see_reacher(); }
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
        for (var k = 0u; k < hidden(D); k++) {
            let column = tables[AT_SHOWN + i * D + k];
            var x = select(0.0, 1.0, column == SHOWS_ONE);
            if (column < NOBS) { x = shown(column, to_final); }
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
