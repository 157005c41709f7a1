//! Which agent moves which motors and sees which numbers: the splits of MABrax, and any other.

use serde::{Deserialize, Serialize};

use super::system::{Part, System};
use super::task::Sees;

/// Which of the tables of a registered split.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mapping {
    /// JaxMARL's, with its slips: published numbers used them.
    #[default]
    Reference,
    /// What the tables were meant to say.
    Corrected,
}

/// A registered name: the task, the joints of each agent where JaxMARL has no table, and the name for people.
pub const SPLITS: [(&str, &str); 7] = [
    ("ant_4x2", "ant"),
    ("ant_8x1", "ant"),
    ("halfcheetah_6x1", "halfcheetah"),
    ("hopper_3x1", "hopper"),
    ("humanoid_9|8", "humanoid"),
    ("walker2d_2x3", "walker2d"),
    ("walker2d_6x1", "walker2d"),
];

/// Of `q`, those that the observation leaves out at its beginning: the place on the floor.
pub fn hidden_coordinates(system: &System) -> usize {
    if system.free_root() { 2 } else { 1 }
}

/// Where the coordinates and the velocities of the joints lie in the whole robot's observation.
pub struct Columns {
    hidden: usize,
    first_velocity: usize,
}

impl Columns {
    pub fn of(system: &System) -> Self {
        let hidden = hidden_coordinates(system);
        Self {
            hidden,
            first_velocity: system.nq - hidden,
        }
    }

    fn coordinate(&self, q: usize) -> Option<usize> {
        q.checked_sub(self.hidden)
    }

    fn velocity(&self, qd: usize) -> usize {
        self.first_velocity + qd
    }
}

/// Joints by name, and motors by number, of the whole robot.
fn joint_of(system: &System, name: &str) -> Option<usize> {
    system
        .dofs
        .iter()
        .position(|d| d.joint == name && !system.links[d.link].free)
}

/// Two joints are neighbours that hold the same link.
fn neighbours(system: &System, a: usize, b: usize) -> bool {
    let ends = |dof: usize| {
        let link = system.dofs[dof].link;
        [Some(link), system.links[link].parent]
    };
    let (a, b) = (ends(a), ends(b));
    a.iter().any(|x| x.is_some() && b.contains(x))
}

/// Joints that a motor moves, at most `distance` joints away from one of `own`.
fn within(system: &System, own: &[usize], distance: usize) -> Vec<usize> {
    let driven: Vec<usize> = system.actuators.iter().map(|a| a.qd_index).collect();
    let mut found = own.to_vec();
    for _ in 0..distance {
        let next: Vec<usize> = driven
            .iter()
            .copied()
            .filter(|j| !found.contains(j) && found.iter().any(|f| neighbours(system, *f, *j)))
            .collect();
        found.extend(next);
    }
    found
}

/// Parts by the convention of the registered tables: the root's coordinates and velocities, coordinates and velocities of the
/// own joints, coordinates of joints at most `distance` away. `omitted` columns are left out.
pub fn parts(
    system: &System,
    split: &[Vec<usize>],
    distance: usize,
    omitted: &[usize],
) -> Vec<Part> {
    let columns = Columns::of(system);
    let root = &system.links[0];
    let (root_q, root_qd) = if root.free {
        (7, 6)
    } else {
        (root.axes, root.axes)
    };
    let part = |actions: &Vec<usize>| {
        let own: Vec<usize> = actions
            .iter()
            .map(|&a| system.actuators[a].qd_index)
            .collect();
        let q_of = |dof: usize| {
            let link = &system.links[system.dofs[dof].link];
            link.q_start + dof - link.qd_start
        };
        let near = within(system, &own, distance);
        let mut obs: Vec<usize> = (0..root_q)
            .chain(near.into_iter().map(q_of))
            .filter_map(|q| columns.coordinate(q))
            .chain((0..root_qd).chain(own).map(|qd| columns.velocity(qd)))
            .filter(|c| !omitted.contains(c))
            .collect();
        obs.sort_unstable();
        obs.dedup();
        Part {
            actions: actions.clone(),
            obs,
        }
    };
    split.iter().map(part).collect()
}

/// The split of a table of joints per agent: their motors.
///
/// # Errors
/// What is wrong with the table, with the entry.
pub fn from_joints(system: &System, table: &[Vec<String>]) -> Result<Vec<Vec<usize>>, String> {
    let mut owner: Vec<Option<usize>> = vec![None; system.actuators.len()];
    let all = || {
        let names = system.actuators.iter().map(|a| a.joint.as_str());
        names.collect::<Vec<_>>().join(", ")
    };
    let mut split = Vec::new();
    for (i, joints) in table.iter().enumerate() {
        if joints.is_empty() {
            return Err(format!("option `split[{i}]`: agent {i} has no joint"));
        }
        let mut part = Vec::new();
        for (k, joint) in joints.iter().enumerate() {
            let dof = joint_of(system, joint);
            let motor = dof.and_then(|d| system.actuators.iter().position(|a| a.qd_index == d));
            let Some(motor) = motor else {
                return Err(format!(
                    "option `split[{i}][{k}]`: {} has no motor at a joint `{joint}`; it has {}",
                    system.name,
                    all()
                ));
            };
            if let Some(other) = owner[motor] {
                return Err(format!(
                    "option `split[{i}][{k}]`: joint `{joint}` is named twice, agent {other} has it already"
                ));
            }
            owner[motor] = Some(i);
            part.push(motor);
        }
        split.push(part);
    }
    if let Some(left) = owner.iter().position(Option::is_none) {
        return Err(format!(
            "option `split`: no agent has joint `{}`; every one of {} needs an agent",
            system.actuators[left].joint,
            all()
        ));
    }
    Ok(split)
}

/// The registered splits that JaxMARL has no table for.
fn unpublished(system: &System, name: &str) -> Option<Vec<Part>> {
    let order: &[&[&str]] = match name {
        "ant_8x1" => &[
            &["hip_1"],
            &["ankle_1"],
            &["hip_2"],
            &["ankle_2"],
            &["hip_3"],
            &["ankle_3"],
            &["hip_4"],
            &["ankle_4"],
        ],
        "walker2d_6x1" => &[
            &["thigh_joint"],
            &["leg_joint"],
            &["foot_joint"],
            &["thigh_left_joint"],
            &["leg_left_joint"],
            &["foot_left_joint"],
        ],
        _ => return None,
    };
    let table: Vec<Vec<String>> = order
        .iter()
        .map(|joints| joints.iter().map(|&j| j.to_owned()).collect())
        .collect();
    let split = from_joints(system, &table).ok()?;
    // The walker's registered split shows nobody the torso's pitch and its rate.
    let omitted: &[usize] = if name == "walker2d_6x1" {
        &[1, 10]
    } else {
        &[]
    };
    Some(parts(system, &split, 1, omitted))
}

/// The parts of a registered name.
pub fn registered(system: &System, name: &str, mapping: Mapping) -> Option<Vec<Part>> {
    let published = || {
        system
            .split
            .as_ref()
            .filter(|s| s.0 == name)
            .map(|s| s.1.clone())
    };
    let mut parts = published().or_else(|| unpublished(system, name))?;
    if mapping == Mapping::Reference {
        return Some(parts);
    }
    match name {
        // Every agent sees one leg and moves the leg before it, since the motors begin with leg 4.
        "ant_4x2" => {
            let mut actions: Vec<_> = parts.iter().map(|p| p.actions.clone()).collect();
            actions.rotate_left(1);
            for (part, actions) in parts.iter_mut().zip(actions) {
                part.actions = actions;
            }
        }
        // Written for an observation that begins with the place along x.
        "halfcheetah_6x1" => {
            for part in &mut parts {
                part.obs = part.obs.iter().filter_map(|i| i.checked_sub(1)).collect();
            }
        }
        // Nobody sees the torso's pitch and its rate.
        "walker2d_2x3" | "walker2d_6x1" => {
            for part in &mut parts {
                part.obs.extend([1, 10]);
                part.obs.sort_unstable();
            }
        }
        "humanoid_9|8" => {
            for part in &mut parts {
                part.obs = part.obs.iter().filter_map(|&i| of_376(i)).collect();
            }
        }
        _ => {}
    }
    Some(parts)
}

/// Where a number of the 376 of MuJoCo's humanoid, which the split was written for, lies among Brax's 244.
///
/// MuJoCo lists the world and 13 bodies (torso, waist, pelvis, then thigh, shin and foot of each side, then two of each arm); Brax has no world,
/// and feet that are part of the shins. The external forces at the end have no counterpart.
fn of_376(index: usize) -> Option<usize> {
    const LINK: [Option<usize>; 14] = [
        None,
        Some(0),
        Some(1),
        Some(2),
        Some(3),
        Some(4),
        None,
        Some(5),
        Some(6),
        None,
        Some(7),
        Some(8),
        Some(9),
        Some(10),
    ];
    let of = |first: usize, each: usize, ours: usize| {
        let (body, k) = ((index - first) / each, (index - first) % each);
        LINK[body].map(|link| ours + each * link + k)
    };
    match index {
        0..45 => Some(index),
        45..185 => of(45, 10, 45),
        185..269 => of(185, 6, 155),
        269..292 => Some(index - 269 + 221),
        _ => None,
    }
}

/// Numbers of the whole robot's observation.
pub fn whole(system: &System, sees: Sees) -> usize {
    match sees {
        Sees::Reaching => 11,
        Sees::Joints => system.nq - hidden_coordinates(system) + system.nv,
        Sees::Bodies => {
            system.nq - hidden_coordinates(system) + 2 * system.nv + 16 * system.links.len()
        }
    }
}
