// Vectors and rotations of articulated bodies; section numbers are those of docs/environments/mabrax.md. A quaternion is
// (w, x, y, z) and need not have length 1: rotating by it scales by its squared length.

/// q ⊗ r
fn times(q: vec4<f32>, r: vec4<f32>) -> vec4<f32> {
    return vec4(q.x * r.x - dot(q.yzw, r.yzw), q.x * r.yzw + r.x * q.yzw + cross(q.yzw, r.yzw));
}

/// (0, v) ⊗ q
fn turned(v: vec3<f32>, q: vec4<f32>) -> vec4<f32> {
    return vec4(-dot(v, q.yzw), q.x * v + cross(v, q.yzw));
}

fn conjugate(q: vec4<f32>) -> vec4<f32> { return vec4(q.x, -q.yzw); }

/// The columns are what rotating by q makes of the axes.
fn matrix(q: vec4<f32>) -> mat3x3<f32> {
    let d = q * q;
    let xy = q.y * q.z;
    let xz = q.y * q.w;
    let yz = q.z * q.w;
    let wx = q.x * q.y;
    let wy = q.x * q.z;
    let wz = q.x * q.w;
    return mat3x3(
        vec3(d.x + d.y - d.z - d.w, 2.0 * (xy + wz), 2.0 * (xz - wy)),
        vec3(2.0 * (xy - wz), d.x - d.y + d.z - d.w, 2.0 * (yz + wx)),
        vec3(2.0 * (xz + wy), 2.0 * (yz - wx), d.x - d.y - d.z + d.w),
    );
}

fn unit(q: vec4<f32>) -> vec4<f32> { return q / sqrt(dot(q, q)); }

/// NaN, infinite or beyond LARGEST; tested on the bits, since a compiler may take floats for finite.
fn astray(x: f32) -> bool { return (bitcast<u32>(x) & 0x7fffffffu) > bitcast<u32>(LARGEST); }
fn astray3(v: vec3<f32>) -> bool { return astray(v.x) || astray(v.y) || astray(v.z); }

// What WGSL leaves to the device may be wrong in the fourth digit; these are right to about 2e-7.

const PI: f32 = 3.14159265;

/// Angle of the point (c, s), 0 for the origin. Polynomial of Cephes' atanf.
fn angle_of(s: f32, c: f32) -> f32 {
    let a = abs(s);
    let b = abs(c);
    let small = min(a, b);
    let large = max(a, b);
    if (large == 0.0) { return 0.0; }
    // Of a ratio in [0, 1]; above tan(π/8) the rest of π/4.
    let half = small > 0.41421356 * large;
    let x = select(small, small - large, half) / select(large, small + large, half);
    let z = x * x;
    var angle = (((0.080537445 * z - 0.13877686) * z + 0.19977711) * z - 0.33332949) * z * x + x;
    angle += select(0.0, 0.25 * PI, half);
    angle = select(angle, 0.5 * PI - angle, a > b);
    angle = select(angle, PI - angle, c < 0.0);
    return select(angle, -angle, s < 0.0);
}

/// Cosine and sine. Polynomials of Cephes' cosf and sinf on [-π/4, π/4].
fn direction_of(angle: f32) -> vec2<f32> {
    let quarters = round(angle / (0.5 * PI));
    // π/2 in three parts, so that the rest of a few turns keeps its digits.
    let x = ((angle - quarters * 1.5703125) - quarters * 0.00048375129) - quarters * 7.549790e-8;
    let z = x * x;
    let c = ((2.443315711809948e-5 * z - 1.388731625493765e-3) * z + 4.166664568298827e-2) * z * z - 0.5 * z + 1.0;
    let s = ((-1.9515295891e-4 * z + 8.3321608736e-3) * z - 1.6666654611e-1) * z * x + x;
    switch (u32(i32(quarters) & 3)) {
        case 0u: { return vec2(c, s); }
        case 1u: { return vec2(-s, c); }
        case 2u: { return vec2(-c, -s); }
        default: { return vec2(s, -c); }
    }
}
