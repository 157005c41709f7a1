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
/// Of this episode, as it would be paid step by step.
var<private> earned: f32;
/// Coordinates and velocities of the joints; where an episode begins those that were drawn, which the links do not tell
/// in full (§4.3), else those of the links.
var<private> q: array<f32, NQ>;
var<private> qd: array<f32, NV>;
/// The links as they were at the beginning of the step.
var<private> loaded: array<Body, LINKS>;

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

// ---- what the task wants to know --------------------------------------------------------------------------------------

/// Origin of link `i`: the first one is the torso.
fn origin(k: Link, b: Body) -> vec3<f32> { return b.p - b.m * k.com; }

fn torso() -> vec3<f32> { return origin(LINK_0, body[0]); }

/// Of the effective masses.
fn centre_of_mass() -> vec3<f32> {
    var sum = vec3(0.0);
    //# each link
    sum += (LINK_MASS[$i] / TOTAL_MASS) * body[$i].p;
    //# end
    return sum;
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

/// Inertia about the robot's centre of mass, mass, and velocities of each link (§2.1).
fn look_at_bodies() {
    let centre = centre_of_mass();
    //# each seen link
    let r$i = body[$i].p - centre;
    let i$i = body[$i].m * LINK_INERTIA[$i] * transpose(body[$i].m);
    let rr$i = dot(r$i, r$i);
    let x$i = i$i[0] + LINK_MASS[$i] * (vec3(rr$i, 0.0, 0.0) - r$i.x * r$i);
    let y$i = i$i[1] + LINK_MASS[$i] * (vec3(0.0, rr$i, 0.0) - r$i.y * r$i);
    let z$i = i$i[2] + LINK_MASS[$i] * (vec3(0.0, 0.0, rr$i) - r$i.z * r$i);
    let v$i = (LINK_MASS[$i] / TOTAL_MASS) * body[$i].v;
    seen[$at] = x$i.x;
    seen[$at + 1u] = x$i.y;
    seen[$at + 2u] = x$i.z;
    seen[$at + 3u] = y$i.x;
    seen[$at + 4u] = y$i.y;
    seen[$at + 5u] = y$i.z;
    seen[$at + 6u] = z$i.x;
    seen[$at + 7u] = z$i.y;
    seen[$at + 8u] = z$i.z;
    seen[$at + 9u] = LINK_MASS[$i];
    seen[$to] = v$i.x;
    seen[$to + 1u] = v$i.y;
    seen[$to + 2u] = v$i.z;
    seen[$to + 3u] = body[$i].w.x;
    seen[$to + 4u] = body[$i].w.y;
    seen[$to + 5u] = body[$i].w.z;
    //# end
}

/// The reacher's fingertip and its way from the target.
fn tip_to_target() -> vec3<f32> {
    return origin(LINK_TIP, body[TIP]) + body[TIP].m * TIP_AT - origin(LINK_TARGET, body[TARGET]);
}

/// Its velocity, with the offset as it lies in the link's frame: the reference does not rotate it.
fn tip_velocity() -> vec3<f32> {
    let b = body[TIP];
    return b.v - cross(b.w, b.m * LINK_TIP.com) + cross(b.w, TIP_AT);
}

/// 4.7: coordinates and velocities of every joint.
fn measure_joints() {
    put_world();
    //# each free link
    let p$i = origin(LINK_$i, body[$i]);
    let v$i = body[$i].v - cross(body[$i].w, body[$i].m * LINK_$i.com);
    let w$i = body[$i].w * body[$i].m;
    q[$q] = p$i.x;
    q[$q + 1u] = p$i.y;
    q[$q + 2u] = p$i.z;
    q[$q + 3u] = body[$i].r.x;
    q[$q + 4u] = body[$i].r.y;
    q[$q + 5u] = body[$i].r.z;
    q[$q + 6u] = body[$i].r.w;
    qd[$qd] = v$i.x;
    qd[$qd + 1u] = v$i.y;
    qd[$qd + 2u] = v$i.z;
    qd[$qd + 3u] = w$i.x;
    qd[$qd + 4u] = w$i.y;
    qd[$qd + 5u] = w$i.z;
    //# end
    //# each joint
    let a$i = joint_angles(LINK_$i, body[$i], body[$p]);
    let apart$i = joint_apart(LINK_$i, body[$i], LINK_$p, body[$p]);
    let slip$i = slip(LINK_$i, body[$i], LINK_$p, body[$p]) * body[$p].m;
    let turn$i = relative_turn(PLACE_$i, body[$i], body[$p], $p == WORLD);
    let angles$i = vec3(
        angle_of(a$i.s.x, a$i.c.x),
        angle_of(LINK_$i.parity * a$i.s.y, a$i.c.y),
        angle_of(a$i.s.z, a$i.c.z),
    );
    let rates$i = vec3(
        dot(body[$i].m * LINK_$i.axis0, turn$i),
        dot(body[$i].m * LINK_$i.axis1, turn$i),
        LINK_$i.parity * dot(body[$i].m * LINK_$i.axis2, turn$i),
    );
    //# end
    //# each dof
    if (DOF_SLIDES[$d]) {
        q[$q] = dot(SLIDE_AXIS[$d], apart$i);
        qd[$d] = dot(SLIDE_AXIS[$d], slip$i);
    } else {
        q[$q] = angles$i[$k];
        qd[$d] = rates$i[$k];
    }
    //# end
}

/// From the anchor at the parent to that at the child, in the parent's frame.
fn joint_apart(k: Link, child: Body, kp: Link, parent: Body) -> vec3<f32> {
    return (child.p + child.m * k.anchor - parent.p - parent.m * k.parent_anchor) * parent.m;
}

/// Relative angular velocity as the reference projects it on the axes of the child. That of the world's links it rotates
/// into the child's frame first and takes for one in the anchor's: a quirk without effect where the axis is one of both.
fn relative_turn(k: Place, child: Body, parent: Body, of_world: bool) -> vec3<f32> {
    if (of_world) { return matrix(k.rotation) * (child.w * child.m); }
    return child.w - parent.w;
}

/// 4.3: places the links from q and qd. Until the end, `p` and `v` are those of the links' origins.
fn place_links() {
    put_world();
    //# each link
    var pose$i = with_matrix(Body(vec3(0.0), vec4(1.0, 0.0, 0.0, 0.0), vec3(0.0), vec3(0.0), mat3x3<f32>()));
    //# end
    //# each free link
    pose$i.p = vec3(q[$q], q[$q + 1u], q[$q + 2u]);
    pose$i.r = vec4(q[$q + 3u], q[$q + 4u], q[$q + 5u], q[$q + 6u]);
    pose$i.v = vec3(qd[$qd], qd[$qd + 1u], qd[$qd + 2u]);
    pose$i.w = vec3(qd[$qd + 3u], qd[$qd + 4u], qd[$qd + 5u]);
    body[$i] = with_matrix(pose$i);
    body[$i].w = body[$i].m * pose$i.w;
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
