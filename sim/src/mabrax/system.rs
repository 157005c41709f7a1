//! A robot as data: links, joints, actuators and what touches the floor, read from a file and checked.
//!
//! The format is `brax-positional-system` (`docs/environments/mabrax.md` §9.1 lists its fields): a system as Brax 0.14.2 hands it to its positional
//! pipeline. Seven of them are built in. `mjcf` makes the same of MuJoCo's format.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::path::Path;

use serde_json::Value;

/// What limits and ranges without a bound are.
pub const UNBOUNDED: f32 = f32::MAX;

/// Links of a robot at most: a shader with more takes too long to compile.
pub const MOST_LINKS: usize = 32;

/// Masses, moments, lengths and times that the shader divides by: beyond these, quotients and their products leave 32 bits.
pub const DIVISORS: RangeInclusive<f32> = 1e-12..=1e12;

/// Velocities are multiplied by exp(damping · timestep); e⁸⁹ is no 32-bit number.
pub const MOST_EXPONENT: f32 = 80.0;

/// Why a file describes no robot that can be simulated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SystemError {
    #[error("cannot read the system file {file}: {reason}")]
    Read { file: String, reason: String },
    #[error("{file} is no JSON: {reason}")]
    Json { file: String, reason: String },
    #[error("{file}: field `{field}` is missing")]
    Missing { file: String, field: String },
    #[error("{file}: field `{field}` {problem}")]
    Field {
        file: String,
        field: String,
        problem: String,
    },
    #[error("{file}:{line}:{column} is no XML: {reason}")]
    Xml {
        file: String,
        line: u32,
        column: u32,
        reason: String,
    },
    /// In an MJCF file.
    #[error("{file}:{line}:{column}: {element} {problem}")]
    Element {
        file: String,
        line: u32,
        column: u32,
        element: String,
        problem: String,
    },
}

/// A value of the file and the way to it.
struct Field<'a> {
    file: &'a str,
    path: String,
    value: &'a Value,
}

impl<'a> Field<'a> {
    fn bad(&self, problem: impl Into<String>) -> SystemError {
        SystemError::Field {
            file: self.file.to_owned(),
            field: self.path.clone(),
            problem: problem.into(),
        }
    }

    /// Reads the member `name` with `read`.
    fn get<T>(
        &self,
        name: &str,
        read: impl FnOnce(&Field<'a>) -> Result<T, SystemError>,
    ) -> Result<T, SystemError> {
        let object = self.value.as_object();
        let object = object.ok_or_else(|| self.bad("must be an object"))?;
        let path = match self.path.as_str() {
            "" => name.to_owned(),
            before => format!("{before}.{name}"),
        };
        let Some(value) = object.get(name) else {
            return Err(SystemError::Missing {
                file: self.file.to_owned(),
                field: path,
            });
        };
        read(&Field {
            file: self.file,
            path,
            value,
        })
    }

    /// Reads every entry of a list.
    fn each<T>(
        &self,
        mut read: impl FnMut(&Field<'a>) -> Result<T, SystemError>,
    ) -> Result<Vec<T>, SystemError> {
        let list = self.value.as_array();
        let list = list.ok_or_else(|| self.bad("must be a list"))?;
        let entry = |(i, value)| {
            read(&Field {
                file: self.file,
                path: format!("{}[{i}]", self.path),
                value,
            })
        };
        list.iter().enumerate().map(entry).collect()
    }

    fn f32(&self) -> Result<f32, SystemError> {
        let number = self.value.as_f64().map(|x| x as f32);
        match number {
            Some(x) if x.is_finite() => Ok(x),
            _ => Err(self.bad(format!("must be a finite number, found {}", self.value))),
        }
    }

    fn positive(&self) -> Result<f32, SystemError> {
        match self.f32()? {
            x if DIVISORS.contains(&x) => Ok(x),
            x => Err(self.bad(format!("must be from 1e-12 to 1e12, found {x:e}"))),
        }
    }

    fn not_negative(&self) -> Result<f32, SystemError> {
        match self.f32()? {
            x if x >= 0.0 => Ok(x),
            x => Err(self.bad(format!("must not be negative, found {x}"))),
        }
    }

    /// A number, or `fallback` for `null`.
    fn or(&self, fallback: f32) -> Result<f32, SystemError> {
        match self.value {
            Value::Null => Ok(fallback),
            _ => self.f32(),
        }
    }

    fn whole(&self) -> Result<i64, SystemError> {
        let number = self.value.as_i64();
        number.ok_or_else(|| self.bad(format!("must be a whole number, found {}", self.value)))
    }

    /// A whole number below `end`.
    fn index(&self, end: usize) -> Result<usize, SystemError> {
        let number = self.whole()?;
        let found = usize::try_from(number).ok().filter(|&x| x < end);
        found.ok_or_else(|| self.bad(format!("must be from 0 to below {end}, found {number}")))
    }

    /// The number that an entry must have that is the `at`th of its list.
    fn numbered(&self, at: usize) -> Result<(), SystemError> {
        match self.whole()? {
            x if x == at as i64 => Ok(()),
            x => Err(self.bad(format!("must be {at}, its place in the list, found {x}"))),
        }
    }

    fn text(&self) -> Result<String, SystemError> {
        let text = self.value.as_str();
        text.map(str::to_owned)
            .ok_or_else(|| self.bad(format!("must be a string, found {}", self.value)))
    }

    fn numbers<const N: usize>(&self) -> Result<[f32; N], SystemError> {
        let list = self.each(Field::f32)?;
        let found = list.len();
        list.try_into()
            .map_err(|_| self.bad(format!("must have {N} numbers, found {found}")))
    }

    fn unit<const N: usize>(&self) -> Result<[f32; N], SystemError> {
        let v = self.numbers::<N>()?;
        let length = v.iter().map(|x| x * x).sum::<f32>().sqrt();
        if (length - 1.0).abs() < 1e-4 {
            return Ok(v);
        }
        Err(self.bad(format!("must have length 1, found {length}")))
    }

    /// A lower and an upper bound, `null` for none.
    fn range(&self) -> Result<[f32; 2], SystemError> {
        let bounds = match self.value.as_array() {
            Some(list) if list.len() == 2 => list,
            _ => return Err(self.bad("must be a list of two bounds")),
        };
        let bound = |i: usize, fallback: f32| {
            Field {
                file: self.file,
                path: format!("{}[{i}]", self.path),
                value: &bounds[i],
            }
            .or(fallback)
        };
        let (low, high) = (bound(0, -UNBOUNDED)?, bound(1, UNBOUNDED)?);
        if low > high {
            return Err(self.bad(format!("has its lower bound {low} above the upper, {high}")));
        }
        Ok([low, high])
    }
}

/// A rigid body and the joint to its parent. Lengths in metres, masses in kilograms, rotations as quaternions w, x, y, z.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    pub name: String,
    /// No joint to the parent, which is the world.
    pub free: bool,
    /// The world where there is none.
    pub parent: Option<usize>,
    /// First coordinate and first velocity of its joint.
    pub q_start: usize,
    pub qd_start: usize,
    /// Axes of its joint; 0 where it is free.
    pub axes: usize,
    /// Its frame in its parent's at angle 0.
    pub position: [f32; 3],
    pub rotation: [f32; 4],
    /// The joint's anchor in its frame.
    pub anchor: [f32; 3],
    /// Its centre of mass in its frame.
    pub com: [f32; 3],
    pub inertia_rotation: [f32; 4],
    /// In kilograms.
    pub raw_mass: f32,
    /// As the solver uses them: the raw ones to the powers of the system's `spring_*_scale`.
    pub mass: f32,
    pub inertia: [f32; 3],
    /// Damping of its joint, in torque per rad/s and force per m/s.
    pub ang_damping: f32,
    pub vel_damping: f32,
    /// Axes that its joint's angles are measured about; those of a free link are of no use.
    pub joint_frame: [[f32; 3]; 3],
    pub parity: f32,
    /// Bounds of the three angles; 0 and 0 where an angle is locked.
    pub angle_limits: [[f32; 2]; 3],
}

/// One coordinate of a joint.
#[derive(Clone, Debug, PartialEq)]
pub struct Dof {
    pub link: usize,
    pub joint: String,
    pub slide: bool,
    /// Its axis in the joint's frame.
    pub axis: [f32; 3],
    pub limit: [f32; 2],
}

/// A motor that turns or pushes along one coordinate.
#[derive(Clone, Debug, PartialEq)]
pub struct Actuator {
    pub joint: String,
    pub qd_index: usize,
    pub gear: f32,
    pub gain: f32,
    pub ctrl_range: [f32; 2],
    pub force_range: [f32; 2],
}

/// A sphere or a capsule, for pictures.
#[derive(Clone, Debug, PartialEq)]
pub struct Geom {
    /// `None`: part of the world.
    pub link: Option<usize>,
    pub radius: f32,
    /// 0 for a sphere; a capsule lies along its z axis.
    pub half_length: f32,
    pub position: [f32; 3],
    pub rotation: [f32; 4],
}

/// A sphere, or an end of a capsule, that the floor stops.
#[derive(Clone, Debug, PartialEq)]
pub struct Contact {
    pub link: usize,
    /// In the link's frame.
    pub centre: [f32; 3],
    pub radius: f32,
    pub friction: f32,
    pub elasticity: f32,
}

/// What one agent of a split moves and sees, in the numbers of the whole robot's actions and observation.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    pub actions: Vec<usize>,
    pub obs: Vec<usize>,
}

/// A robot.
#[derive(Clone, Debug, PartialEq)]
pub struct System {
    /// The file that it was read from.
    pub file: String,
    pub name: String,
    /// Seconds of a physics substep, substeps of an environment step.
    pub timestep: f32,
    pub frames: usize,
    pub gravity: [f32; 3],
    pub joint_scale_pos: f32,
    pub joint_scale_ang: f32,
    pub collide_scale: f32,
    pub vel_damping: f32,
    pub ang_damping: f32,
    /// Coordinates and velocities in all.
    pub nq: usize,
    pub nv: usize,
    pub init_q: Vec<f32>,
    pub links: Vec<Link>,
    pub dofs: Vec<Dof>,
    pub actuators: Vec<Actuator>,
    pub geoms: Vec<Geom>,
    pub contacts: Vec<Contact>,
    /// The split that the file gives, by the name that JaxMARL registers it under.
    pub split: Option<(String, Vec<Part>)>,
}

/// The built-in systems, by task.
const BUILT_IN: [(&str, &str); 7] = [
    ("ant", include_str!("systems/ant.json")),
    ("halfcheetah", include_str!("systems/halfcheetah.json")),
    ("hopper", include_str!("systems/hopper.json")),
    ("walker2d", include_str!("systems/walker2d.json")),
    ("humanoid", include_str!("systems/humanoid.json")),
    (
        "humanoidstandup",
        include_str!("systems/humanoidstandup.json"),
    ),
    ("reacher", include_str!("systems/reacher.json")),
];

impl System {
    /// The built-in robot of a task.
    ///
    /// # Errors
    /// [`SystemError::Read`] for a task that there is none of.
    pub fn built_in(task: &str) -> Result<Self, SystemError> {
        let found = BUILT_IN.iter().find(|(name, _)| *name == task);
        let (_, text) = found.ok_or_else(|| SystemError::Read {
            file: task.to_owned(),
            reason: "there is no built-in system of that name".into(),
        })?;
        Self::parse(&format!("built-in system {task}"), text)
    }

    /// # Errors
    /// [`SystemError`].
    pub fn open(path: &Path) -> Result<Self, SystemError> {
        let file = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|e| SystemError::Read {
            file: file.clone(),
            reason: e.to_string(),
        })?;
        Self::parse(&file, &text)
    }

    /// Reads a system; `file` names it in messages.
    ///
    /// # Errors
    /// [`SystemError`].
    pub fn parse(file: &str, text: &str) -> Result<Self, SystemError> {
        let value = serde_json::from_str(text).map_err(|e| SystemError::Json {
            file: file.to_owned(),
            reason: e.to_string(),
        })?;
        let root = Field {
            file,
            path: String::new(),
            value: &value,
        };
        root.get("format", |f| match f.text()?.as_str() {
            "brax-positional-system" => Ok(()),
            other => Err(f.bad(format!("must be `brax-positional-system`, found `{other}`"))),
        })?;
        root.get("format_version", |f| match f.whole()? {
            1 => Ok(()),
            other => Err(f.bad(format!("must be 1, found {other}"))),
        })?;
        let size = |name: &'static str| root.get("sizes", |f| f.get(name, |f| f.index(1 << 16)));
        let (nq, nv) = (size("nq")?, size("nv")?);
        let links = root.get("links", |f| links(f, nq, nv))?;
        let dofs = root.get("dofs", |f| dofs(f, &links, nq, nv))?;
        let actuators = root.get("actuators", |f| actuators(f, &links, &dofs))?;
        let geoms = root.get("geoms", |f| geoms(f, links.len()))?;
        let contacts = root.get("contacts", |f| contacts(f, links.len(), geoms.len()))?;
        let init_q = root.get("init_q", |f| {
            let q = f.each(Field::f32)?;
            match q.len() {
                n if n == nq => Ok(q),
                n => Err(f.bad(format!("must have {nq} numbers as `sizes.nq`, found {n}"))),
            }
        })?;
        let params = |name: &'static str| root.get("params", |f| f.get(name, Field::f32));
        let timestep = root.get("timestep", Field::positive)?;
        let damping = |name: &'static str| {
            root.get("params", |f| {
                f.get(name, |f| match f.f32()? {
                    x if x * timestep < MOST_EXPONENT => Ok(x),
                    x => Err(f.bad(format!(
                        "is {x:e}: exp({name} · timestep) must be a finite number"
                    ))),
                })
            })
        };
        root.get("params", |f| {
            f.get("enable_fluid", |f| match f.value.as_bool() {
                Some(false) => Ok(()),
                _ => Err(f.bad("must be false: fluid forces are not supported")),
            })
        })?;
        let split = match value.get("mabrax") {
            None | Some(Value::Null) => None,
            Some(_) => root.get("mabrax", |f| {
                Ok(Some((f.get("name", Field::text)?, f.get("agents", parts)?)))
            })?,
        };
        Ok(Self {
            file: file.to_owned(),
            name: root.get("env", Field::text)?,
            timestep,
            frames: root.get("n_frames", |f| match f.index(1001)? {
                0 => Err(f.bad("must be at least 1")),
                n => Ok(n),
            })?,
            gravity: root.get("gravity", Field::numbers)?,
            joint_scale_pos: params("joint_scale_pos")?,
            joint_scale_ang: params("joint_scale_ang")?,
            collide_scale: params("collide_scale")?,
            vel_damping: damping("vel_damping")?,
            ang_damping: damping("ang_damping")?,
            nq,
            nv,
            init_q,
            links,
            dofs,
            actuators,
            geoms: geoms.into_iter().flatten().collect(),
            contacts,
            split,
        })
    }

    /// Seconds of an environment step, in 32-bit arithmetic as the reference has it.
    pub fn dt(&self) -> f32 {
        self.timestep * self.frames as f32
    }

    /// The coordinates and velocities of a link's joint: `q`, `qd` and their count.
    pub fn axes(&self, link: usize) -> impl Iterator<Item = (usize, usize, &Dof)> {
        let l = &self.links[link];
        (0..l.axes).map(move |k| (l.q_start + k, l.qd_start + k, &self.dofs[l.qd_start + k]))
    }

    /// The link at the root of the tree that actuated joints belong to, whose place the tasks judge: the first.
    pub fn free_root(&self) -> bool {
        self.links[0].free
    }
}

fn links(list: &Field<'_>, nq: usize, nv: usize) -> Result<Vec<Link>, SystemError> {
    let parents = list.each(|f| f.get("parent", Field::whole))?;
    let count = parents.len();
    if count == 0 || count > MOST_LINKS {
        return Err(list.bad(format!(
            "must have 1 to {MOST_LINKS} entries, found {count}"
        )));
    }
    let (mut at, mut q, mut qd) = (0, 0, 0);
    let links = list.each(|f| {
        f.get("index", |f| f.numbered(at))?;
        let parent = f.get("parent", |f| parent(f, at, &parents))?;
        let (free, axes) = f.get("type", |f| match f.text()?.as_str() {
            "f" if parent.is_some() => Err(f.bad("is `f`: only a link of the world can be free")),
            "f" => Ok((true, 0)),
            "1" => Ok((false, 1)),
            "2" => Ok((false, 2)),
            "3" => Ok((false, 3)),
            other => Err(f.bad(format!(
                "is `{other}`, an unsupported joint: it must be `f` (free), `1`, `2` or `3` (that many hinges and slides)"
            ))),
        })?;
        let counts = if free { (7, 6) } else { (axes, axes) };
        f.get("q_start", |f| f.numbered(q))?;
        f.get("qd_start", |f| f.numbered(qd))?;
        f.get("q_count", |f| f.numbered(counts.0))?;
        f.get("qd_count", |f| f.numbered(counts.1))?;
        let (joint_frame, parity, angle_limits) = if free {
            ([[0.0; 3]; 3], 1.0, [[0.0; 2]; 3])
        } else {
            let parity = f.get("parity", |f| match f.f32()? {
                x if x.abs() == 1.0 => Ok(x),
                x => Err(f.bad(format!("must be 1 or -1, found {x}"))),
            })?;
            let limits = f.get("angle_limits", |f| {
                let list = f.each(Field::range)?;
                list.try_into()
                    .map_err(|_| f.bad("must have three pairs of bounds"))
            })?;
            (f.get("joint_frame", joint_frame)?, parity, limits)
        };
        let link = Link {
            name: f.get("name", Field::text)?,
            free,
            parent,
            q_start: q,
            qd_start: qd,
            axes,
            position: f.get("transform", |f| f.get("pos", Field::numbers))?,
            rotation: f.get("transform", |f| f.get("rot", Field::unit))?,
            anchor: f.get("joint_pos", Field::numbers)?,
            com: f.get("com", Field::numbers)?,
            inertia_rotation: f.get("inertia_rot", Field::unit)?,
            raw_mass: f.get("mass_raw", Field::positive)?,
            mass: f.get("mass", Field::positive)?,
            inertia: f.get("inertia_diag", |f| {
                let list = f.each(Field::positive)?;
                list.try_into().map_err(|_| f.bad("must have 3 numbers"))
            })?,
            ang_damping: f.get("constraint_ang_damping", Field::not_negative)?,
            vel_damping: f.get("constraint_vel_damping", Field::not_negative)?,
            joint_frame,
            parity,
            angle_limits,
        };
        (at, q, qd) = (at + 1, q + counts.0, qd + counts.1);
        Ok(link)
    })?;
    if (q, qd) != (nq, nv) {
        return Err(list.bad(format!(
            "have {q} coordinates and {qd} velocities in all, but `sizes` says {nq} and {nv}"
        )));
    }
    Ok(links)
}

/// The parent of link `at`: the world or a link before it.
fn parent(f: &Field<'_>, at: usize, parents: &[i64]) -> Result<Option<usize>, SystemError> {
    let found = f.whole()?;
    if found == -1 {
        return Ok(None);
    }
    let count = parents.len();
    let index = f.index(count)?;
    // Whoever walks up more links than there are walks in a circle.
    let mut up = found;
    for _ in 0..count {
        match usize::try_from(up).ok().filter(|&i| i < count) {
            Some(i) => up = parents[i],
            None => {
                if index < at {
                    return Ok(Some(index));
                }
                return Err(f.bad(format!("is {found}: links must come after their parents")));
            }
        }
    }
    Err(f.bad(format!(
        "is {found}: the link would be its own ancestor, a loop of links, which is not supported"
    )))
}

/// Three axes that are perpendicular, of length 1 and right-handed.
fn joint_frame(f: &Field<'_>) -> Result<[[f32; 3]; 3], SystemError> {
    let rows = f.each(Field::unit::<3>)?;
    let rows: [[f32; 3]; 3] = rows.try_into().map_err(|_| f.bad("must have three axes"))?;
    let [a, b, c] = rows;
    let cross = [
        a[1] * b[2] - a[2] * b[1],
        a[2] * b[0] - a[0] * b[2],
        a[0] * b[1] - a[1] * b[0],
    ];
    let off = (0..3).map(|i| (cross[i] - c[i]).abs()).fold(0.0, f32::max);
    if off > 1e-4 {
        return Err(f.bad("must be right-handed: its third axis the first times the second"));
    }
    Ok(rows)
}

fn dofs(list: &Field<'_>, links: &[Link], nq: usize, nv: usize) -> Result<Vec<Dof>, SystemError> {
    let mut at = 0;
    let dofs = list.each(|f| {
        f.get("index", |f| f.numbered(at))?;
        let link = f.get("link", |f| f.index(links.len()))?;
        let l = &links[link];
        let count = if l.free { 6 } else { l.axes };
        if !(l.qd_start..l.qd_start + count).contains(&at) {
            return Err(f.bad(format!(
                "belongs to link {link}, whose velocities are {} to {}",
                l.qd_start,
                l.qd_start + count - 1
            )));
        }
        let slide = f.get("kind", |f| match (f.text()?.as_str(), l.free) {
            ("free", true) => Ok(false),
            ("hinge", false) => Ok(false),
            ("slide", false) => Ok(true),
            (other, free) => Err(f.bad(format!(
                "is `{other}`, an unsupported joint here: it must be {}",
                if free { "`free`" } else { "`hinge` or `slide`" }
            ))),
        })?;
        if !l.free {
            f.get("q_index", |f| f.numbered(l.q_start + at - l.qd_start))?;
            f.get("q_index", |f| f.index(nq))?;
        }
        let axis = match (l.free, slide) {
            (true, _) => [0.0; 3],
            (false, true) => f.get("vel", Field::unit)?,
            (false, false) => f.get("ang", Field::unit)?,
        };
        let dof = Dof {
            link,
            joint: f.get("joint", Field::text)?,
            slide,
            axis,
            limit: f.get("limit", Field::range)?,
        };
        at += 1;
        Ok(dof)
    })?;
    if dofs.len() != nv {
        let found = dofs.len();
        return Err(list.bad(format!(
            "must have {nv} entries as `sizes.nv`, found {found}"
        )));
    }
    Ok(dofs)
}

fn actuators(list: &Field<'_>, links: &[Link], dofs: &[Dof]) -> Result<Vec<Actuator>, SystemError> {
    let mut at = 0;
    let mut driven = BTreeSet::new();
    let none = |f: &Field<'_>| match f.f32()? {
        0.0 => Ok(()),
        x => Err(f.bad(format!(
            "is {x}: only motors are supported, whose force does not depend on the joint"
        ))),
    };
    let actuators = list.each(|f| {
        f.get("index", |f| f.numbered(at))?;
        f.get("bias_q", none)?;
        f.get("bias_qd", none)?;
        let qd_index = f.get("qd_index", |f| {
            let i = f.index(dofs.len())?;
            match links[dofs[i].link].free {
                false => Ok(i),
                true => Err(f.bad(format!(
                    "is {i}, of the free joint `{}`: a motor turns a hinge or pushes a slide",
                    dofs[i].joint
                ))),
            }
        })?;
        let actuator = Actuator {
            joint: f.get("joint", Field::text)?,
            qd_index,
            gear: f.get("gear", Field::f32)?,
            gain: f.get("gain", Field::f32)?,
            ctrl_range: f.get("ctrl_range", Field::range)?,
            force_range: f.get("force_range", Field::range)?,
        };
        let joint = &dofs[qd_index].joint;
        if actuator.joint != *joint {
            return Err(f.bad(format!(
                "drives joint `{}` by its name and `{joint}` by its `qd_index`",
                actuator.joint
            )));
        }
        if !driven.insert(qd_index) {
            return Err(f.bad(format!("drives `{joint}`, which another actuator drives")));
        }
        at += 1;
        Ok(actuator)
    })?;
    if actuators.is_empty() {
        return Err(list.bad("must have an entry: a robot without motors has nothing to learn"));
    }
    Ok(actuators)
}

/// All of them in the order of the file, `None` for planes.
fn geoms(list: &Field<'_>, links: usize) -> Result<Vec<Option<Geom>>, SystemError> {
    let mut at = 0;
    list.each(|f| {
        f.get("index", |f| f.numbered(at))?;
        at += 1;
        let link = f.get("link", |f| match f.whole()? {
            -1 => Ok(None),
            _ => f.index(links).map(Some),
        })?;
        let capsule = f.get("type", |f| match (f.text()?.as_str(), link) {
            ("plane", None) => Ok(None),
            ("plane", _) => Err(f.bad("is `plane`, which only the world can have")),
            ("sphere", _) => Ok(Some(false)),
            ("capsule", _) => Ok(Some(true)),
            (other, _) => Err(f.bad(format!(
                "is `{other}`, an unsupported geometry: it must be `sphere`, `capsule` or `plane`"
            ))),
        })?;
        let Some(capsule) = capsule else {
            return Ok(None);
        };
        Ok(Some(Geom {
            link,
            radius: f.get("radius", Field::positive)?,
            half_length: match capsule {
                true => f.get("half_length", Field::not_negative)?,
                false => 0.0,
            },
            position: f.get("pos", Field::numbers)?,
            rotation: f.get("quat", Field::unit)?,
        }))
    })
}

fn contacts(list: &Field<'_>, links: usize, geoms: usize) -> Result<Vec<Contact>, SystemError> {
    let mut at = 0;
    list.each(|f| {
        f.get("index", |f| f.numbered(at))?;
        f.get("geom", |f| f.index(geoms))?;
        at += 1;
        Ok(Contact {
            link: f.get("link", |f| f.index(links))?,
            centre: f.get("center_in_link", Field::numbers)?,
            radius: f.get("radius", Field::positive)?,
            friction: f.get("friction", Field::not_negative)?,
            elasticity: f.get("elasticity", Field::not_negative)?,
        })
    })
}

fn parts(list: &Field<'_>) -> Result<Vec<Part>, SystemError> {
    list.each(|f| {
        Ok(Part {
            actions: f.get("action_index", |f| f.each(|f| f.index(1 << 16)))?,
            obs: f.get("obs_index", |f| f.each(|f| f.index(1 << 16)))?,
        })
    })
}
