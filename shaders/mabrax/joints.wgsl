// Rigid bodies, the joints between them and the floor: one physics substep of Brax's positional pipeline, link by link
// (docs/environments/mabrax.md §4). These functions know no robot and keep no state: a layout calls them in the order
// of the steps, once per link, joint or contact. All vectors are in world coordinates where nothing else is said.
//
// The reference works in the frame of the joint's anchor at the parent; angles between vectors are the same in any
// frame, so that here nothing is rotated there and back.

/// A link as the solver sees it.
struct Body {
    p: vec3<f32>,         // centre of mass
    r: vec4<f32>,         // rotation
    w: vec3<f32>,         // angular velocity
    v: vec3<f32>,         // velocity of the centre of mass
    m: mat3x3<f32>,       // matrix(r)
}

/// The bounds of an angle.
struct Range {
    locked: bool,
    bounded: bool,
    low: f32,
    high: f32,
    at_low: vec2<f32>,    // cosine and sine of `low`
    at_high: vec2<f32>,
}

/// A slide axis of a joint.
struct Slide {
    axis: vec3<f32>,      // in the parent's frame; 0 where there is none
    low: f32,
    high: f32,
}

/// A link and the joint to its parent, as constants. The world is a link too, of no inverse mass.
struct Link {
    com: vec3<f32>,             // centre of mass in the link's frame
    anchor: vec3<f32>,          // from the centre of mass to the joint, in the link's frame
    parent_anchor: vec3<f32>,   // from the parent's centre of mass to the joint, in the parent's frame
    inv_mass: f32,
    inv_inertia: mat3x3<f32>,   // in the link's frame
    ang_damping: f32,
    vel_damping: f32,
    // The joint's axes in the link's frame and, at angle 0, in the parent's.
    axis0: vec3<f32>,
    axis1: vec3<f32>,
    axis2: vec3<f32>,
    parent_axis0: vec3<f32>,
    parent_axis1: vec3<f32>,
    parent_axis2: vec3<f32>,
    parity: f32,
    range0: Range,
    range1: Range,
    range2: Range,
    slides: u32,
    held: mat3x3<f32>,          // in the parent's frame: keeps what no slide touches
    slide0: Slide,
    slide1: Slide,
    slide2: Slide,
}

/// A sphere that the floor stops.
struct Sphere {
    centre: vec3<f32>,    // from the link's centre of mass, in the link's frame
    radius: f32,
    friction: f32,
    elasticity: f32,
}

/// A motor: its force is gear times what the range leaves of gain times what the range leaves of the action.
struct Motor { gear: f32, gain: f32, low: f32, high: f32, least: f32, most: f32 }

struct Wrench { force: vec3<f32>, torque: vec3<f32> }

fn with_matrix(b: Body) -> Body { return Body(b.p, b.r, b.w, b.v, matrix(b.r)); }

/// Inverse inertia times `x`; `m` may have been made from a rotation of another length than 1, of which `squared` is the square.
fn inverse_inertia(k: Link, m: mat3x3<f32>, squared: f32, x: vec3<f32>) -> vec3<f32> {
    if (ISOTROPIC) { return (k.inv_inertia[0].x * squared * squared) * x; }
    return m * (k.inv_inertia * (x * m));
}

/// Squared length of a rotation that was normalised since it was changed last. Without contacts none ever is (§4.4.6).
fn settled(r: vec4<f32>) -> f32 {
    if (NORMALISED) { return 1.0; }
    return dot(r, r);
}

/// Relative velocity at the joint as the reference has it: of the link's origin, not of its anchor, and against a point as
/// far on the other side of the parent's origin as the anchor is on this one (a sign in its change of frames).
fn slip(k: Link, child: Body, kp: Link, parent: Body) -> vec3<f32> {
    let own = child.v - cross(child.w, child.m * k.com);
    return own - parent.v + cross(parent.w, parent.m * (k.parent_anchor + 2.0 * kp.com));
}

// ---- step 2: forces of the joints ------------------------------------------------------------------------------------

/// What a joint does to its child. `motor` is in the parent's frame.
fn joint_force(k: Link, child: Body, kp: Link, parent: Body, motor: Wrench) -> Wrench {
    let scale = settled(parent.r);
    let force = parent.m * motor.force - (k.vel_damping * scale * scale) * slip(k, child, kp, parent);
    let torque = parent.m * motor.torque - (k.ang_damping * scale * scale) * (child.w - parent.w);
    return Wrench(force, torque);
}

fn on_child(k: Link, child: Body, f: Wrench) -> Wrench {
    return Wrench(f.force, f.torque + cross(child.m * k.anchor, f.force));
}

fn on_parent(k: Link, parent: Body, f: Wrench) -> Wrench {
    return Wrench(-f.force, -f.torque - cross(parent.m * k.parent_anchor, f.force));
}

fn sum(a: Wrench, b: Wrench) -> Wrench { return Wrench(a.force + b.force, a.torque + b.torque); }

// ---- step 3: integration ---------------------------------------------------------------------------------------------

fn integrated(k: Link, b: Body, f: Wrench) -> Body {
    let turning = inverse_inertia(k, b.m, settled(b.r), f.torque);
    let w = ANG_FACTOR * (b.w + TIMESTEP * turning);
    let v = VEL_FACTOR * (b.v + TIMESTEP * (GRAVITY + k.inv_mass * f.force));
    let r = unit(b.r + turned((0.5 * TIMESTEP) * w, b.r));
    return Body(b.p + TIMESTEP * v, r, w, v, matrix(r));
}

// ---- step 4: joints and limits ---------------------------------------------------------------------------------------

/// How far a direction with cosine `c` and sine `s` against the reference lies outside of its range, times its length:
/// the sine of the angle to the nearer bound, 0 within.
fn outside(range: Range, s: f32, c: f32) -> f32 {
    if (range.locked) { return s; }
    if (!range.bounded) { return 0.0; }
    // sin(high - angle) and sin(angle - low): with the half plane, they tell the order without an arc tangent.
    let below_high = c * range.at_high.y - s * range.at_high.x;
    let above_low = s * range.at_low.x - c * range.at_low.y;
    let upper = s >= 0.0;
    let past_high = below_high < 0.0;
    let short_of_low = above_low < 0.0;
    let over = range.high < PI && select(upper || past_high, upper && past_high, range.high >= 0.0);
    let under = range.low > -PI && select(!upper && short_of_low, !upper || short_of_low, range.low >= 0.0);
    return select(select(0.0, above_low, under), -below_high, over);
}

/// The joint's angles: the child's axes against the parent's.
struct Angles {
    line: vec3<f32>,      // ℓ, perpendicular to axis 0 of the parent and axis 2 of the child
    c2: vec3<f32>,        // axis 2 of the child
    // Sine and cosine of each, times a common length.
    s: vec3<f32>,
    c: vec3<f32>,
}

fn joint_angles(k: Link, child: Body, parent: Body) -> Angles {
    let j0 = parent.m * k.parent_axis0;
    let c1 = child.m * k.axis1;
    let c2 = child.m * k.axis2;
    let lean = dot(j0, c2);
    let level = j0 - lean * c2;
    let m = level / sqrt(max(dot(level, level), 1e-30));
    let line = cross(c2, m);
    // ℓ × c1 = -c2 (m · c1) and j0 × m = (j0 · c2) ℓ: three of the reference's normalisations fall away.
    return Angles(
        line,
        c2,
        vec3(dot(line, parent.m * k.parent_axis2), k.parity * lean, -k.parity * dot(m, c1)),
        vec3(dot(line, parent.m * k.parent_axis1), dot(j0, m), dot(m, child.m * k.axis0)),
    );
}

/// What a joint's pass changes: the push on the child's position (the parent's is opposite) and how both turn.
struct Correction { push: vec3<f32>, child: vec3<f32>, parent: vec3<f32> }

fn joint_correction(k: Link, child: Body, kp: Link, parent: Body) -> Correction {
    // 4b: the angular error
    let a = joint_angles(k, child, parent);
    let j0 = parent.m * k.parent_axis0;
    let error = outside(k.range0, a.s.x, a.c.x) * j0
        + (k.parity * outside(k.range1, a.s.y, a.c.y)) * a.line
        + (k.parity * outside(k.range2, a.s.z, a.c.z)) * a.c2;
    // 4c: the positional error
    let to_child = child.m * k.anchor;
    let to_parent = parent.m * k.parent_anchor;
    var d = (parent.p + to_parent) - (child.p + to_child);
    if (k.slides > 0u) {
        let apart = -(d * parent.m);
        var back = -(k.held * apart);
        back -= beyond(k.slide0, apart) * k.slide0.axis;
        if (k.slides > 1u) { back -= beyond(k.slide1, apart) * k.slide1.axis; }
        if (k.slides > 2u) { back -= beyond(k.slide2, apart) * k.slide2.axis; }
        d = parent.m * back;
    }
    // 4e: the impulse -(c / w) n of n = -d / c is d / w, and w d² needs no root
    let dd = dot(d, d);
    let arm_child = cross(to_child, d);
    let arm_parent = cross(to_parent, d);
    let spin_child = inverse_inertia(k, child.m, 1.0, arm_child);
    let spin_parent = inverse_inertia(kp, parent.m, 1.0, arm_parent);
    let weight = (k.inv_mass + kp.inv_mass + 1e-6) * dd + dot(arm_child, spin_child) + dot(arm_parent, spin_parent);
    let share = select(0.0, JOINT_SCALE_POS * dd / weight, dd > 1e-16);
    // 4f: the same for the turn
    var turn_child: vec3<f32>;
    var turn_parent: vec3<f32>;
    if (ISOTROPIC) {
        let easy_child = k.inv_inertia[0].x;
        let easy_parent = kp.inv_inertia[0].x;
        let turn = (-JOINT_SCALE_ANG / (easy_child + easy_parent + 1e-6)) * error;
        turn_child = easy_child * turn;
        turn_parent = easy_parent * turn;
    } else {
        let ee = dot(error, error);
        turn_child = inverse_inertia(k, child.m, 1.0, error);
        turn_parent = inverse_inertia(kp, parent.m, 1.0, error);
        let stiff = dot(error, turn_child) + dot(error, turn_parent) + 1e-6 * ee;
        let scale = select(0.0, -JOINT_SCALE_ANG * ee / stiff, ee > 1e-16);
        turn_child *= scale;
        turn_parent *= scale;
    }
    return Correction(share * d, 0.5 * (share * spin_child + turn_child), -0.5 * (share * spin_parent + turn_parent));
}

/// How far a slide lies outside of its range.
fn beyond(slide: Slide, apart: vec3<f32>) -> f32 {
    let s = dot(slide.axis, apart);
    return s - clamp(s, slide.low, slide.high);
}

/// 4g: not normalised.
fn moved(b: Body, push: vec3<f32>, turn: vec3<f32>) -> Body {
    return Body(b.p + push, b.r + turned(turn, b.r), b.w, b.v, b.m);
}

// ---- steps 5 and 6: the floor ----------------------------------------------------------------------------------------

struct Touch {
    push: vec3<f32>,
    turn: vec3<f32>,
    at: vec3<f32>,        // where the contact is taken to be, halfway between the sphere's lowest point and the floor
    gap: f32,             // negative in contact
    impulse: f32,         // λ
}

/// `b` is the link after step 4 with the matrix of its rotation as it is, `before` the link at the beginning of the substep.
fn floor_contact(k: Link, ball: Sphere, b: Body, before: Body) -> Touch {
    let centre = b.p + b.m * ball.centre;
    let gap = centre.z - ball.radius;
    var touch = Touch(vec3(0.0), vec3(0.0), vec3(centre.xy, 0.5 * gap), gap, 0.0);
    if (!(gap < 0.0)) { return touch; }
    let squared = dot(b.r, b.r);
    // Up the normal; unlike the other corrections it turns the link by the whole impulse.
    let lowest = vec3(centre.xy, gap) - b.p;
    let arm = cross(lowest, vec3(0.0, 0.0, 1.0));
    let spin = inverse_inertia(k, b.m, squared, arm);
    touch.impulse = -gap / (k.inv_mass + dot(arm, spin) + 1e-6);
    touch.push = vec3(0.0, 0.0, touch.impulse * k.inv_mass);
    touch.turn = touch.impulse * spin;
    // Back to where the material point was, if that takes less than the normal did. The coefficient of friction has no part in it.
    let s = touch.at - b.p;
    let was = before.p + before.m * (s * b.m);
    let back = was.xy - touch.at.xy;
    let far = length(back);
    let t = vec3(back / (far + 1e-6), 0.0);
    let arm_t = cross(s, t);
    let spin_t = inverse_inertia(k, b.m, squared, arm_t);
    let hold = far / (k.inv_mass + dot(arm_t, spin_t));
    if (hold < touch.impulse && far > 1e-8) {
        touch.push += (hold * k.inv_mass) * t;
        touch.turn += (0.5 * hold) * spin_t;
    }
    return touch;
}

// ---- step 7: velocities from positions -------------------------------------------------------------------------------

fn with_velocities(b: Body, before: Body) -> Body {
    let d = times(b.r, conjugate(before.r));
    let w = (2.0 / TIMESTEP) * d.yzw;
    return Body(b.p, b.r, select(w, -w, d.x < 0.0), (b.p - before.p) / TIMESTEP, matrix(b.r));
}

// ---- step 8: velocities at the floor ---------------------------------------------------------------------------------

/// Impulse on the link, at `touch.at`. `free` has the velocities of step 3.
fn floor_impulse(k: Link, ball: Sphere, touch: Touch, b: Body, free: Body) -> vec3<f32> {
    let s = touch.at - b.p;
    let velocity = b.v + cross(b.w, s);
    // Sliding friction
    let speed = length(velocity.xy);
    var impulse = vec3(0.0);
    if (speed > 1e-8) {
        let t = vec3(velocity.xy / speed, 0.0);
        let arm = cross(s, t);
        let weight = k.inv_mass + dot(arm, inverse_inertia(k, b.m, settled(b.r), arm)) + 1e-6;
        impulse -= (min(ball.friction * touch.impulse / TIMESTEP, speed) / weight) * t;
    }
    // Restitution: only where the link was on its way down
    let falling = (free.v + cross(free.w, s)).z;
    if (falling <= 0.0) {
        let up = -velocity.z - min(ball.elasticity * falling, 0.0);
        // The reference's normal, which its epsilon shortens, keeps the sign of the impulse.
        let n = up / (abs(up) + 1e-6);
        let arm = cross(s + vec3(0.0, 0.0, touch.gap), vec3(0.0, 0.0, n));
        let weight = k.inv_mass + dot(arm, inverse_inertia(k, b.m, settled(b.r), arm)) + 1e-6;
        impulse.z += n * abs(up) / weight;
    }
    return impulse;
}

/// The end of a substep: damped once more, and the mean of the floor's `count` impulses added.
fn settled_velocities(k: Link, b: Body, force: vec3<f32>, torque: vec3<f32>, count: f32) -> Body {
    let share = 1.0 / (count + 1e-8);
    let v = VEL_FACTOR * b.v + (k.inv_mass * share) * force;
    let w = ANG_FACTOR * b.w + inverse_inertia(k, b.m, settled(b.r), share * torque);
    return Body(b.p, b.r, w, v, b.m);
}

// ---- 4.3: links from joint coordinates -------------------------------------------------------------------------------

/// Where a link hangs on its parent at angle 0, and its joint's anchor in its own frame.
struct Place { position: vec3<f32>, rotation: vec4<f32>, anchor: vec3<f32> }

/// One more axis of a joint. Velocities of stacked axes are not carried through each other's rotation, as in the reference.
fn with_axis(joint: Body, axis: vec3<f32>, slides: bool, angle: f32, rate: f32) -> Body {
    if (slides) {
        return Body(joint.p + joint.m * (angle * axis), joint.r, joint.w, joint.v + rate * axis, joint.m);
    }
    let half = direction_of(0.5 * angle);
    let r = vec4(half.x, half.y * axis);
    return with_matrix(Body(joint.p, times(joint.r, r), joint.w + rate * axis, joint.v, joint.m));
}

/// A link from its joint and its parent. A parent's rotation that is not of length 1, as noise makes that of a free root,
/// stretches what hangs on it.
fn placed(k: Place, joint: Body, parent: Body) -> Body {
    let frame = matrix(k.rotation);
    let offset = parent.m * (k.position + frame * (joint.p + k.anchor - joint.m * k.anchor));
    let r = times(parent.r, times(k.rotation, joint.r));
    let m = matrix(r);
    let v = parent.v + cross(parent.w, offset) + parent.m * joint.v;
    return Body(parent.p + offset, r, parent.w + m * joint.w, v, m);
}

fn from_origin(k: Link, b: Body) -> Body {
    let com = b.m * k.com;
    return Body(b.p + com, b.r, b.w, b.v + cross(b.w, com), b.m);
}

// ---- 4.7: joint coordinates from links -------------------------------------------------------------------------------

/// What there is to know of a joint; of each axis one angle and rate, or its part of `apart` and `slip`.
struct Measures {
    angles: vec3<f32>,
    rates: vec3<f32>,
    apart: vec3<f32>,     // from the anchor at the parent to that at the child, in the parent's frame
    slip: vec3<f32>,      // in the parent's frame
}

fn joint_measures(k: Link, place: Place, child: Body, kp: Link, parent: Body, of_world: bool) -> Measures {
    let a = joint_angles(k, child, parent);
    let turn = relative_turn(place, child, parent, of_world);
    return Measures(
        vec3(angle_of(a.s.x, a.c.x), angle_of(k.parity * a.s.y, a.c.y), angle_of(a.s.z, a.c.z)),
        vec3(dot(child.m * k.axis0, turn), dot(child.m * k.axis1, turn), k.parity * dot(child.m * k.axis2, turn)),
        (child.p + child.m * k.anchor - parent.p - parent.m * k.parent_anchor) * parent.m,
        slip(k, child, kp, parent) * parent.m,
    );
}

/// Relative angular velocity as the reference projects it on the axes of the child. That of the world's links it rotates
/// into the child's frame first and takes for one in the anchor's: a quirk without effect where the axis is one of both.
fn relative_turn(k: Place, child: Body, parent: Body, of_world: bool) -> vec3<f32> {
    if (of_world) { return matrix(k.rotation) * (child.w * child.m); }
    return child.w - parent.w;
}
