//! Robots from MJCF files, MuJoCo's format: what Brax 0.14.2 makes of one for its positional pipeline (`brax/io/mjcf.py` and
//! MuJoCo's compiler). `docs/environments/mabrax.md` §9.2 lists what is read, what changes nothing and what is refused.

mod custom;
mod element;
mod frame;
mod inertia;
mod model;

use std::path::Path;

use roxmltree::Document;

use super::system::{Actuator, Contact, DIVISORS, Dof, Geom, Link, System, SystemError, UNBOUNDED};
use custom::Custom;
use frame::{Frame, joint_frame};
use inertia::Inertia;
use model::{Body, Joint, Kind, Model, Motor, Solid, Surface};

/// Whether a file is one of these, by its name.
pub fn is_mjcf(path: &Path) -> bool {
    path.extension()
        .is_some_and(|e| e.eq_ignore_ascii_case("xml"))
}

/// Reads a robot for the task of `built_in`, whose step's length and split hold where the file's robot fits them.
///
/// # Errors
/// [`SystemError`].
pub fn open(path: &Path, built_in: &System) -> Result<System, SystemError> {
    let file = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|e| SystemError::Read {
        file: file.clone(),
        reason: e.to_string(),
    })?;
    parse(&file, &text, built_in)
}

/// Reads a robot; `file` names it in messages.
///
/// # Errors
/// [`SystemError`].
pub fn parse(file: &str, text: &str, built_in: &System) -> Result<System, SystemError> {
    let document = Document::parse(text).map_err(|e| SystemError::Xml {
        file: file.to_owned(),
        line: e.pos().row,
        column: e.pos().col,
        reason: reason(&e),
    })?;
    let model = Model::read(file, &document)?;
    let custom = Custom::read(&model)?;
    let exponents = [
        1.0 - custom.share("spring_mass_scale")?,
        1.0 - custom.share("spring_inertia_scale")?,
    ];
    let ang_damping = custom.each("constraint_ang_damping", model.bodies.len())?;
    let vel_damping = custom.each("constraint_vel_damping", model.bodies.len())?;
    let weights = weights(&model)?;

    let (mut links, mut dofs, mut start) = (Vec::new(), Vec::new(), Vec::new());
    for (i, body) in model.bodies.iter().enumerate() {
        links.push(Link {
            q_start: start.len(),
            qd_start: dofs.len(),
            ang_damping: narrow(ang_damping[i]),
            vel_damping: narrow(vel_damping[i]),
            ..link(i, body, &weights[i], exponents)?
        });
        for joint in &body.joints {
            start.extend(coordinates(body, joint));
            dofs.extend(coordinate_axes(i, joint, dofs.len()));
        }
    }
    let actuators = actuators(&model, &dofs)?;
    let elasticity = custom.each("elasticity", model.solids.len())?;
    let mut system = System {
        file: file.to_owned(),
        name: model.name.clone(),
        timestep: narrow(model.timestep),
        frames: custom.frames(built_in)?,
        gravity: model.gravity.map(narrow),
        joint_scale_pos: narrow(custom.parameter("joint_scale_pos")),
        joint_scale_ang: narrow(custom.parameter("joint_scale_ang")),
        collide_scale: narrow(custom.parameter("collide_scale")),
        vel_damping: narrow(custom.damping("vel_damping")?),
        ang_damping: narrow(custom.damping("ang_damping")?),
        nq: start.len(),
        nv: dofs.len(),
        init_q: custom.start(start)?,
        links,
        dofs,
        actuators,
        geoms: model.solids.iter().filter_map(geom).collect(),
        contacts: contacts(&model, &elasticity)?,
        split: None,
    };
    if same_joints(&system, built_in) {
        system.split.clone_from(&built_in.split);
    }
    Ok(system)
}

/// What is wrong, without the place that the parser's messages end with.
fn reason(e: &roxmltree::Error) -> String {
    let text = e.to_string();
    let place = format!(" at {}", e.pos());
    text.strip_suffix(&place).unwrap_or(&text).to_owned()
}

/// The nearest 32-bit number. What rounding leaves of a zero is 0: the shader is shorter where constants are.
fn narrow(x: f64) -> f32 {
    if x.abs() < 1e-12 { 0.0 } else { x as f32 }
}

/// Masses and moments of all links, scaled to the total that the file asks for.
fn weights(model: &Model<'_>) -> Result<Vec<Inertia>, SystemError> {
    let of = |(i, body): (usize, &Body<'_>)| {
        let parts = model.solids.iter().filter(|s| s.link == Some(i));
        let parts: Vec<_> = parts.filter_map(Solid::inertia).collect();
        inertia::sum(&parts).ok_or_else(|| {
            body.element
                .error("has no mass: a link needs geoms that weigh something")
        })
    };
    let mut all = model
        .bodies
        .iter()
        .enumerate()
        .map(of)
        .collect::<Result<Vec<_>, _>>()?;
    if let Some(total) = model.total_mass {
        let scale = total / all.iter().map(|w| w.mass).sum::<f64>();
        for weight in &mut all {
            weight.mass *= scale;
            weight.moments = weight.moments.map(|m| m * scale);
        }
    }
    Ok(all)
}

/// All of a link but where its coordinates lie and how it is damped.
fn link(
    at: usize,
    body: &Body<'_>,
    weight: &Inertia,
    exponents: [f64; 2],
) -> Result<Link, SystemError> {
    let free = body.free();
    // The place of a free link is in its coordinates.
    let frame = if free { Frame::IDENTITY } else { body.frame };
    let (joint_frame, parity, angle_limits) = match free {
        true => ([[0.0; 3]; 3], 1.0, [[0.0; 2]; 3]),
        false => angles(body)?,
    };
    let mass = weight.mass.powf(exponents[0]);
    let moments = weight.moments.map(|m| m.powf(exponents[1]));
    let usable = |x: f64| DIVISORS.contains(&(x as f32));
    if ![weight.mass, mass].into_iter().chain(moments).all(usable) {
        let mass = weight.mass;
        return Err(body.element.error(format!(
            "has a mass of {mass:e} kg or moments of inertia beyond what the solver can divide by, 1e-12 to 1e12"
        )));
    }
    Ok(Link {
        name: body.element.name_or(|| format!("link {at}")),
        free,
        parent: body.parent,
        q_start: 0,
        qd_start: 0,
        axes: if free { 0 } else { body.joints.len() },
        position: frame.position.map(narrow),
        rotation: frame.rotation.map(narrow),
        anchor: if free {
            [0.0; 3]
        } else {
            body.joints[0].anchor.map(narrow)
        },
        com: weight.frame.position.map(narrow),
        inertia_rotation: weight.frame.rotation.map(narrow),
        raw_mass: weight.mass as f32,
        mass: mass as f32,
        inertia: moments.map(|m| m as f32),
        ang_damping: 0.0,
        vel_damping: 0.0,
        joint_frame,
        parity,
        angle_limits,
    })
}

/// The axes of a link's three angles, the third one's sense, and their bounds: 0 and 0 where no hinge turns it.
type Angles = ([[f32; 3]; 3], f32, [[f32; 2]; 3]);

fn angles(body: &Body<'_>) -> Result<Angles, SystemError> {
    let hinge = |j: &Joint<'_>| (j.kind == Kind::Hinge).then_some(j.axis);
    let hinges: Vec<_> = body.joints.iter().map(hinge).collect();
    let (rows, parity) = joint_frame(&hinges).map_err(|k| {
        body.joints[k].element.error(
            "is at an angle to the body's other joints that is not supported: hinges must be perpendicular to each other, and slides come after two hinges",
        )
    })?;
    let mut limits = [[0.0; 2]; 3];
    for (limit, joint) in limits.iter_mut().zip(&body.joints) {
        if joint.kind == Kind::Hinge {
            *limit = bounds(joint.range);
        }
    }
    Ok((rows.map(|r| r.map(narrow)), narrow(parity), limits))
}

fn bounds(range: Option<[f64; 2]>) -> [f32; 2] {
    range.map_or([-UNBOUNDED, UNBOUNDED], |r| r.map(narrow))
}

/// Where a joint's coordinates are before anything moves.
fn coordinates(body: &Body<'_>, joint: &Joint<'_>) -> Vec<f32> {
    let Frame { position, rotation } = body.frame;
    match joint.kind {
        Kind::Free => position.into_iter().chain(rotation).map(narrow).collect(),
        _ => vec![0.0],
    }
}

/// A joint's part of the velocities, of which `first` is the first.
fn coordinate_axes(link: usize, joint: &Joint<'_>, first: usize) -> Vec<Dof> {
    let dof = Dof {
        link,
        joint: joint.element.name_or(|| format!("joint {first}")),
        slide: joint.kind == Kind::Slide,
        axis: joint.axis.map(narrow),
        limit: bounds(joint.range),
    };
    vec![dof; if joint.kind == Kind::Free { 6 } else { 1 }]
}

fn actuators(model: &Model<'_>, dofs: &[Dof]) -> Result<Vec<Actuator>, SystemError> {
    let mut actuators: Vec<Actuator> = Vec::new();
    for Motor {
        element,
        joint,
        gear,
        control,
        force,
    } in &model.motors
    {
        let qd_index = dofs.iter().position(|d| d.joint == *joint);
        let qd_index = qd_index
            .ok_or_else(|| element.bad("joint", format!("names `{joint}`, which there is not")))?;
        if model.bodies[dofs[qd_index].link].free() {
            return Err(element.bad(
                "joint",
                format!("names `{joint}`, which is free: motors move hinges and slides"),
            ));
        }
        if actuators.iter().any(|a| a.qd_index == qd_index) {
            return Err(element.bad(
                "joint",
                format!("names `{joint}`, which another motor moves"),
            ));
        }
        actuators.push(Actuator {
            joint: (*joint).to_owned(),
            qd_index,
            gear: narrow(*gear),
            gain: 1.0,
            ctrl_range: bounds(*control),
            force_range: bounds(*force),
        });
    }
    match actuators.is_empty() {
        true => Err(model
            .root
            .error("has no `<motor>`: a robot without motors has nothing to learn")),
        false => Ok(actuators),
    }
}

fn geom(solid: &Solid<'_>) -> Option<Geom> {
    let (radius, half_length) = solid.surface.round()?;
    Some(Geom {
        link: solid.link,
        radius: narrow(radius),
        half_length: narrow(half_length),
        position: solid.frame.position.map(narrow),
        rotation: solid.frame.rotation.map(narrow),
    })
}

/// Spheres and ends of capsules that the floor stops, in the reference's order: by kind, the kind of the first one first.
fn contacts(model: &Model<'_>, elasticity: &[f64]) -> Result<Vec<Contact>, SystemError> {
    let mut found: Vec<(bool, Vec<Contact>)> = Vec::new();
    let solids = || model.solids.iter().enumerate();
    for (i, solid) in solids() {
        for (f, floor) in solids().take(i) {
            if !model.touch(solid, floor) {
                continue;
            }
            let (Some(link), Some((radius, half_length))) = (solid.link, solid.surface.round())
            else {
                continue;
            };
            model.check_touch(solid, floor)?;
            let end = |z: f64| Contact {
                link,
                centre: solid.frame.place([0.0, 0.0, z]).map(narrow),
                radius: narrow(radius),
                friction: narrow(solid.friction.max(floor.friction)),
                elasticity: narrow((elasticity[i] + elasticity[f]) / 2.0),
            };
            let capsule = matches!(solid.surface, Surface::Capsule { .. });
            let ends = match capsule {
                true => vec![end(half_length), end(-half_length)],
                false => vec![end(0.0)],
            };
            found.push((capsule, ends));
        }
    }
    let capsules_first = found.first().is_some_and(|(capsule, _)| *capsule);
    found.sort_by_key(|(capsule, _)| *capsule != capsules_first);
    Ok(found.into_iter().flat_map(|(_, ends)| ends).collect())
}

/// Whether a split of one robot's motors and observation is one of the other's too.
fn same_joints(a: &System, b: &System) -> bool {
    let joint = |s: &System, d: &Dof| match s.links[d.link].free {
        true => (d.link, None, false),
        false => (d.link, Some(d.joint.clone()), d.slide),
    };
    let joints = |s: &System| -> Vec<_> { s.dofs.iter().map(|d| joint(s, d)).collect() };
    let motors = |s: &System| -> Vec<_> { s.actuators.iter().map(|m| m.qd_index).collect() };
    joints(a) == joints(b) && motors(a) == motors(b)
}
