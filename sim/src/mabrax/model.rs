//! A robot as WGSL: a constant for every link, joint and contact, and the layout's lines written out for each of them.

use std::fmt::Write as _;

use super::split::hidden_coordinates;
use super::system::{Actuator, Contact, Link, System};
use super::task::Sees;

pub(super) type Vec3 = [f64; 3];
pub(super) type Quat = [f64; 4];

fn wide3(v: [f32; 3]) -> Vec3 {
    v.map(f64::from)
}

fn wide4(q: [f32; 4]) -> Quat {
    q.map(f64::from)
}

pub(super) fn add(a: Vec3, b: Vec3) -> Vec3 {
    [a[0] + b[0], a[1] + b[1], a[2] + b[2]]
}

pub(super) fn minus(a: Vec3, b: Vec3) -> Vec3 {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}

pub(super) fn cross(a: Vec3, b: Vec3) -> Vec3 {
    [
        a[1] * b[2] - a[2] * b[1],
        a[2] * b[0] - a[0] * b[2],
        a[0] * b[1] - a[1] * b[0],
    ]
}

pub(super) fn dot(a: Vec3, b: Vec3) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

/// The vector rotated by a quaternion w, x, y, z of length 1.
pub(super) fn rotated(v: Vec3, q: Quat) -> Vec3 {
    let u = [q[1], q[2], q[3]];
    let (along, across) = (2.0 * dot(u, v), cross(u, v));
    let stay = q[0] * q[0] - dot(u, u);
    std::array::from_fn(|i| along * u[i] + stay * v[i] + 2.0 * q[0] * across[i])
}

/// A symmetric tensor of these principal values in a frame turned by `q`, columns first. What rounding leaves of a zero is 0.
fn tensor(values: Vec3, q: Quat) -> [Vec3; 3] {
    if values[0] == values[1] && values[1] == values[2] {
        let x = values[0];
        return [[x, 0.0, 0.0], [0.0, x, 0.0], [0.0, 0.0, x]];
    }
    let axes = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]].map(|e| rotated(e, q));
    let largest = values.iter().fold(0.0f64, |m, x| m.max(x.abs()));
    let entry = |i: usize, j: usize| {
        let x: f64 = (0..3).map(|k| values[k] * axes[k][i] * axes[k][j]).sum();
        if x.abs() < 1e-7 * largest { 0.0 } else { x }
    };
    std::array::from_fn(|j| std::array::from_fn(|i| entry(i, j)))
}

/// A constant of the shader: its text, or its words where invocations look it up.
pub(super) enum Value {
    Flag(bool),
    Count(usize),
    Number(f64),
    Vector(Vec<f64>),
    Matrix([Vec3; 3]),
    Struct(&'static str, Vec<Value>),
}

impl Value {
    pub(super) fn text(&self) -> String {
        match self {
            Self::Flag(x) => x.to_string(),
            Self::Count(x) => format!("{x}u"),
            Self::Number(x) => {
                let x = *x as f32;
                // A negative zero would keep a compiler from dropping it.
                format!("{:e}f", if x == 0.0 { 0.0 } else { x })
            }
            Self::Vector(v) => {
                let numbers: Vec<_> = v.iter().map(|&x| Self::Number(x).text()).collect();
                format!("vec{}({})", v.len(), numbers.join(", "))
            }
            Self::Matrix(columns) => {
                let [a, b, c] = columns.map(|c| vector(c).text());
                format!("mat3x3({a}, {b}, {c})")
            }
            Self::Struct(name, fields) => {
                let fields: Vec<_> = fields.iter().map(Self::text).collect();
                format!("{name}({})", fields.join(", "))
            }
        }
    }

    pub(super) fn words(&self) -> Vec<u32> {
        match self {
            Self::Flag(x) => vec![u32::from(*x)],
            Self::Count(x) => vec![*x as u32],
            Self::Number(x) => vec![(*x as f32).to_bits()],
            Self::Vector(v) => v.iter().flat_map(|&x| Self::Number(x).words()).collect(),
            Self::Matrix(columns) => columns.iter().flat_map(|&c| vector(c).words()).collect(),
            Self::Struct(_, fields) => fields.iter().flat_map(Self::words).collect(),
        }
    }
}

fn number(x: impl Into<f64>) -> Value {
    Value::Number(x.into())
}

pub(super) fn vector(v: Vec3) -> Value {
    Value::Vector(v.to_vec())
}

fn range([low, high]: [f32; 2]) -> Value {
    let bounded = low > -super::system::UNBOUNDED || high < super::system::UNBOUNDED;
    let (low, high) = (f64::from(low), f64::from(high));
    let at = |x: f64| {
        let x = if x.abs() < 10.0 { x } else { 0.0 };
        Value::Vector(vec![x.cos(), x.sin()])
    };
    Value::Struct(
        "Range",
        vec![
            Value::Flag(low == 0.0 && high == 0.0),
            Value::Flag(bounded),
            number(low),
            number(high),
            at(low),
            at(high),
        ],
    )
}

fn slide(axis: Vec3, [low, high]: [f32; 2]) -> Value {
    Value::Struct("Slide", vec![vector(axis), number(low), number(high)])
}

/// A link and its joint, in terms of its parent's centre of mass.
pub(super) fn link(system: &System, index: usize) -> Value {
    let l = &system.links[index];
    let parent_com = l.parent.map_or([0.0; 3], |p| wide3(system.links[p].com));
    let frame = wide4(l.rotation);
    let anchor = wide3(l.anchor);
    let parent_anchor = minus(add(wide3(l.position), rotated(anchor, frame)), parent_com);
    let axes = l.joint_frame.map(wide3);
    let slides: Vec<_> = system.axes(index).filter(|(_, _, d)| d.slide).collect();
    // Keeps the coordinates of the anchor's frame that no slide touches, seen from the parent's frame.
    let kept: Vec3 =
        std::array::from_fn(|c| f64::from(slides.iter().all(|(_, _, d)| d.axis[c] == 0.0)));
    let slide = |k: usize| match slides.get(k) {
        Some((_, _, d)) => slide(rotated(wide3(d.axis), frame), d.limit),
        None => slide([0.0; 3], [0.0; 2]),
    };
    let inverse = wide3(l.inertia).map(|x| 1.0 / x);
    let mut fields = vec![
        vector(wide3(l.com)),
        vector(minus(anchor, wide3(l.com))),
        vector(parent_anchor),
        number(1.0 / f64::from(l.mass)),
        Value::Matrix(tensor(inverse, wide4(l.inertia_rotation))),
        number(l.ang_damping),
        number(l.vel_damping),
    ];
    fields.extend(axes.map(vector));
    fields.extend(axes.map(|a| vector(rotated(a, frame))));
    fields.push(number(l.parity));
    fields.extend(l.angle_limits.map(range));
    fields.push(Value::Count(slides.len()));
    fields.push(Value::Matrix(tensor(kept, frame)));
    fields.extend([slide(0), slide(1), slide(2)]);
    Value::Struct("Link", fields)
}

/// The world as a link: nothing moves it.
pub(super) fn world() -> Value {
    let (zero, none) = (|| vector([0.0; 3]), || Value::Matrix([[0.0; 3]; 3]));
    let mut fields = vec![zero(), zero(), zero(), number(0.0), none()];
    fields.extend([number(0.0), number(0.0)]);
    fields.extend((0..6).map(|_| zero()));
    fields.push(number(1.0));
    fields.extend([[0.0; 2]; 3].map(range));
    fields.extend([Value::Count(0), none()]);
    fields.extend((0..3).map(|_| slide([0.0; 3], [0.0; 2])));
    Value::Struct("Link", fields)
}

/// Where a link hangs on its parent.
pub(super) fn place(l: &Link) -> Value {
    let rotation = Value::Vector(wide4(l.rotation).to_vec());
    let fields = vec![vector(wide3(l.position)), rotation, vector(wide3(l.anchor))];
    Value::Struct("Place", fields)
}

pub(super) fn inertia(l: &Link) -> Value {
    Value::Matrix(tensor(wide3(l.inertia), wide4(l.inertia_rotation)))
}

pub(super) fn sphere(system: &System, c: &Contact) -> Value {
    let centre = minus(wide3(c.centre), wide3(system.links[c.link].com));
    let fields = vec![
        vector(centre),
        number(c.radius),
        number(c.friction),
        number(c.elasticity),
    ];
    Value::Struct("Sphere", fields)
}

pub(super) fn motor(m: &Actuator) -> Value {
    let ([low, high], [least, most]) = (m.ctrl_range, m.force_range);
    let fields = [m.gear, m.gain, low, high, least, most].map(number);
    Value::Struct("Motor", fields.into())
}

/// An axis of a joint's frame in the frame that `rotation` turns it from.
pub(super) fn turned(axis: [f32; 3], rotation: [f32; 4]) -> Vec3 {
    rotated(wide3(axis), wide4(rotation))
}

/// Axis of velocity `dof` in the frame of the joint's anchor at the parent, which is turned as the link is at angle 0: slides and
/// motors lie in it.
pub(super) fn axis_at_parent(system: &System, dof: usize) -> Value {
    let d = &system.dofs[dof];
    vector(turned(d.axis, system.links[d.link].rotation))
}

/// Places in the whole robot's observation where the links begin, and the motors' forces.
pub(super) fn body_columns(system: &System) -> (usize, usize) {
    let bodies = system.nq - hidden_coordinates(system) + system.nv;
    (bodies, bodies + 16 * system.links.len())
}

impl System {
    /// Every link's inertia is the same about every axis: rotating it changes nothing.
    pub fn isotropic(&self) -> bool {
        let same = |l: &Link| l.inertia[0] == l.inertia[1] && l.inertia[1] == l.inertia[2];
        self.links.iter().all(same)
    }

    /// The robot's constants, as `joints.wgsl` and the layouts want them.
    pub(super) fn constants(&self) -> String {
        let mut out = String::new();
        let mut line = |text: String| {
            // Writing to a string cannot fail.
            let _ = writeln!(out, "{text}");
        };
        let h = f64::from(self.timestep);
        let float = |name: &str, x: f64| format!("const {name} = {};", number(x).text());
        for (name, x) in [
            ("TIMESTEP", h),
            ("DT", f64::from(self.dt())),
            ("VEL_FACTOR", (f64::from(self.vel_damping) * h).exp()),
            ("ANG_FACTOR", (f64::from(self.ang_damping) * h).exp()),
            ("JOINT_SCALE_POS", self.joint_scale_pos.into()),
            ("JOINT_SCALE_ANG", self.joint_scale_ang.into()),
            ("COLLIDE_SCALE", self.collide_scale.into()),
            (
                "TOTAL_MASS",
                self.links.iter().map(|l| f64::from(l.mass)).sum(),
            ),
        ] {
            line(float(name, x));
        }
        let gravity = vector(wide3(self.gravity));
        line(format!("const GRAVITY = {};", gravity.text()));
        line(format!("const ISOTROPIC = {};", self.isotropic()));
        line(format!("const NORMALISED = {};", !self.contacts.is_empty()));
        let links = self.links.len();
        for (name, count) in [
            ("LINKS", links),
            ("NQ", self.nq),
            ("NV", self.nv),
            ("NU", self.actuators.len()),
            ("ROWS", links.max(self.contacts.len())),
        ] {
            line(format!("const {name} = {count}u;"));
        }
        let mut constant = |name: &str, value: Value| {
            line(format!("const {name} = {};", value.text()));
        };
        for (i, l) in self.links.iter().enumerate() {
            constant(&format!("LINK_{i}"), link(self, i));
            constant(&format!("PLACE_{i}"), place(l));
        }
        constant(&format!("LINK_{links}"), world());
        for (s, c) in self.contacts.iter().enumerate() {
            constant(&format!("SPHERE_{s}"), sphere(self, c));
        }
        for (a, m) in self.actuators.iter().enumerate() {
            constant(&format!("MOTOR_{a}"), motor(m));
        }
        let mut list = |name: &str, kind: &str, values: Vec<Value>| {
            let values: Vec<_> = values.iter().map(Value::text).collect();
            let (n, values) = (values.len(), values.join(", "));
            line(format!("const {name} = array<{kind}, {n}>({values});"));
        };
        let masses = self.links.iter().map(|l| number(l.mass)).collect();
        list("LINK_MASS", "f32", masses);
        let inertias = self.links.iter().map(inertia).collect();
        list("LINK_INERTIA", "mat3x3<f32>", inertias);
        let slides = self.dofs.iter().map(|d| Value::Flag(d.slide)).collect();
        list("DOF_SLIDES", "bool", slides);
        let axes = self.dofs.iter().map(|d| vector(wide3(d.axis))).collect();
        list("DOF_AXIS", "vec3<f32>", axes);
        let slides = (0..self.nv).map(|d| axis_at_parent(self, d)).collect();
        list("SLIDE_AXIS", "vec3<f32>", slides);
        let motors = self.actuators.iter();
        let axes = motors.clone().map(|a| axis_at_parent(self, a.qd_index));
        list("MOTOR_AXIS", "vec3<f32>", axes.collect());
        let pushes = motors.map(|a| Value::Flag(self.dofs[a.qd_index].slide));
        list("MOTOR_PUSHES", "bool", pushes.collect());
        out
    }

    /// A file with its `//# each` blocks written out. `$i` is the link, `$p` its parent, `$s` the contact, `$d` the velocity, `$q`
    /// its coordinate, `$k` its number within the joint, `$a` the motor; elsewhere `$k` is a number and `$at` (and `$to`) its place in the
    /// whole robot's observation of a task that sees `sees`.
    pub(super) fn unrolled(&self, text: &str, sees: Sees) -> String {
        let mut out = String::new();
        let mut block: Option<(&str, String)> = None;
        for line in text.lines() {
            let trimmed = line.trim();
            if let Some(what) = trimmed.strip_prefix("//# each ") {
                block = Some((what, String::new()));
            } else if trimmed == "//# end" {
                if let Some((what, body)) = block.take() {
                    for tokens in self.instances(what, sees) {
                        let filled = tokens.iter().fold(body.clone(), |text, (token, value)| {
                            text.replace(token, &value.to_string())
                        });
                        out.push_str(&filled);
                    }
                }
            } else {
                let to = block.as_mut().map_or(&mut out, |(_, body)| body);
                to.push_str(line);
                to.push('\n');
            }
        }
        out
    }

    /// What the tokens of a block stand for, once for each time that it is written out.
    fn instances(&self, what: &str, sees: Sees) -> Vec<Vec<(&'static str, usize)>> {
        let (count, nq, nv) = (self.links.len(), self.nq, self.nv);
        let hidden = hidden_coordinates(self);
        let (bodies, forces) = body_columns(self);
        let tokens = |i: usize| {
            let l = &self.links[i];
            vec![
                ("$i", i),
                ("$p", l.parent.unwrap_or(count)),
                ("$qd", l.qd_start),
                ("$q", l.q_start),
                ("$at", bodies + 10 * i),
                ("$to", bodies + 10 * count + 6 * i),
            ]
        };
        let links = |keep: &dyn Fn(usize) -> bool| -> Vec<_> {
            (0..count).filter(|&i| keep(i)).map(tokens).collect()
        };
        // The numbers from `first` on, those that the observation has, from place `at` on.
        let numbers = |first: usize, end: usize, at: usize, keep: bool| -> Vec<_> {
            (first..if keep { end } else { first })
                .map(|k| vec![("$k", k), ("$at", at + k - first)])
                .collect()
        };
        let (joints, all) = (sees != Sees::Reaching, sees == Sees::Bodies);
        match what {
            "link" => links(&|_| true),
            "body" => links(&|_| true)
                .into_iter()
                .chain([vec![("$i", count)]])
                .collect(),
            "seen link" => links(&|_| all),
            "joint" => links(&|i| !self.links[i].free),
            "free link" => links(&|i| self.links[i].free),
            "touching link" => links(&|i| self.contacts.iter().any(|c| c.link == i)),
            "contact" => {
                let contacts = self.contacts.iter().enumerate();
                contacts
                    .map(|(s, c)| vec![("$i", c.link), ("$s", s)])
                    .collect()
            }
            "dof" => {
                let dofs = |i: usize| {
                    let axes = self.axes(i).enumerate();
                    axes.map(move |(k, (q, d, _))| vec![("$i", i), ("$q", q), ("$d", d), ("$k", k)])
                };
                (0..count).flat_map(dofs).collect()
            }
            "actuator" | "seen actuator" => {
                let motors = self.actuators.iter().enumerate();
                let motors = motors.filter(|_| what == "actuator" || all);
                motors
                    .map(|(a, m)| {
                        let link = self.dofs[m.qd_index].link;
                        vec![("$at", forces + m.qd_index), ("$a", a), ("$i", link)]
                    })
                    .collect()
            }
            "coordinate" => numbers(0, nq, 0, true),
            "velocity" => numbers(0, nv, 0, true),
            "number" => numbers(0, super::split::whole(self, sees), 0, true),
            "seen coordinate" => numbers(hidden, nq, 0, joints),
            "seen velocity" => numbers(0, nv, nq - hidden, joints),
            "velocity with a force" => numbers(0, nv, forces, all),
            other => unreachable!("a file has a block for each `{other}`"),
        }
    }
}
