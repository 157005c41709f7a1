//! Numbers that the shader looks up instead of having them written out: where coordinates begin, what agents see and, for
//! the layout of an invocation per link, the links.

use super::MabraxConfig;
use super::model::{self, Value, axis_at_parent};
use super::options::Homogenisation;
use super::split::hidden_coordinates;
use super::system::System;
use crate::kernels::Constants;

/// In the table of what agents are shown: the one that tells an agent's number, and nothing. Else a number of the whole
/// robot's observation.
const ONE: u32 = u32::MAX - 1;
const NOTHING: u32 = u32::MAX;

/// The words and, as constants of the shader, where each table begins and how long its rows are.
pub(super) struct Tables {
    pub words: Vec<u32>,
    pub places: Vec<(&'static str, usize)>,
}

impl Tables {
    pub(super) fn of(config: &MabraxConfig) -> Self {
        let mut tables = Self {
            words: Vec::new(),
            places: Vec::new(),
        };
        let s = &config.system;
        tables.add("AT_INIT_Q", s.init_q.iter().map(|x| vec![x.to_bits()]));
        tables.add("AT_SHOWN", shown(config).into_iter().map(|x| vec![x]));
        let (tree, children) = tree(s);
        let tree = tables.add("AT_TREE", tree);
        tables.add("AT_CHILDREN", children.into_iter().map(|i| vec![i]));
        let links = (0..s.links.len()).map(|i| model::link(s, i));
        let links = links.chain([model::world()]).map(|l| l.words());
        let links = tables.add("AT_LINKS", links);
        let contacts = tables.add("AT_CONTACTS", contacts(s));
        let motors = tables.add("AT_MOTORS", motors(config));
        let axes = tables.add("AT_AXES", (0..s.nv).map(|d| axis(s, d)));
        tables.places.extend([
            ("TREE_WORDS", tree),
            ("LINK_WORDS", links),
            ("CONTACT_WORDS", contacts),
            ("MOTOR_WORDS", motors),
            ("AXIS_WORDS", axes),
        ]);
        tables
    }

    /// Adds rows of one length, which it returns.
    fn add(&mut self, name: &'static str, rows: impl IntoIterator<Item = Vec<u32>>) -> usize {
        self.places.push((name, self.words.len()));
        let mut length = 0;
        for row in rows {
            length = row.len();
            self.words.extend(row);
        }
        length
    }

    pub(super) fn constants(&self, constants: Constants) -> Constants {
        let places = self.places.iter();
        places.fold(constants, |c, (name, at)| c.uint(name, *at))
    }
}

/// `[A, D]`: what each agent is shown.
fn shown(config: &MabraxConfig) -> Vec<u32> {
    let (agents, d) = (config.parts.len(), config.spec().obs);
    let whole = config.whole();
    let mut shown = vec![NOTHING; agents * d];
    for (i, part) in config.parts.iter().enumerate() {
        let row = &mut shown[i * d..(i + 1) * d];
        match config.options.homogenisation {
            Homogenisation::Concat => {
                // What the reference's table names beyond the end is left out here.
                for &column in part.obs.iter().filter(|&&c| c < whole) {
                    row[column] = column as u32;
                }
            }
            way => {
                let begin = match way {
                    // The part begins right after the 1 at the agent's own number, whatever the number of agents.
                    Homogenisation::Max => {
                        row[i] = ONE;
                        i + 1
                    }
                    _ => 0,
                };
                // The reference reads the last column for one beyond the end.
                for (to, &column) in row[begin..].iter_mut().zip(&part.obs) {
                    *to = column.min(whole - 1) as u32;
                }
            }
        }
    }
    shown
}

/// Of each link its parent and which rows of the other tables are its own; and the children of all links, one after the other.
fn tree(s: &System) -> (Vec<Vec<u32>>, Vec<u32>) {
    let mut children: Vec<u32> = Vec::new();
    let (mut motors, mut contacts) = (0, 0);
    let mut rows = Vec::new();
    for (i, l) in s.links.iter().enumerate() {
        let first_child = children.len();
        let below = (0..s.links.len()).filter(|&c| s.links[c].parent == Some(i));
        children.extend(below.map(|c| c as u32));
        let own_motors = s.actuators.iter().filter(|m| s.dofs[m.qd_index].link == i);
        let own_contacts = s.contacts.iter().filter(|c| c.link == i);
        let rows_of = |first: usize, end: usize| [first, end - first];
        let (motors_end, contacts_end) =
            (motors + own_motors.count(), contacts + own_contacts.count());
        let numbers = [
            l.parent.unwrap_or(s.links.len()),
            usize::from(l.free),
            l.axes,
            l.q_start,
            l.qd_start,
            depth(s, i),
        ];
        let lists = [
            rows_of(first_child, children.len()),
            rows_of(motors, motors_end),
            rows_of(contacts, contacts_end),
        ];
        (motors, contacts) = (motors_end, contacts_end);
        let mut row: Vec<u32> = numbers
            .iter()
            .chain(lists.as_flattened())
            .map(|&x| x as u32)
            .collect();
        row.push(l.mass.to_bits());
        row.extend(model::inertia(l).words());
        row.extend(model::place(l).words());
        rows.push(row);
    }
    (rows, children)
}

/// Links between a link and the world.
pub(super) fn depth(s: &System, link: usize) -> usize {
    s.links[link].parent.map_or(0, |p| 1 + depth(s, p))
}

/// Contacts by link, each with its number.
fn contacts(s: &System) -> Vec<Vec<u32>> {
    let mut order: Vec<usize> = (0..s.contacts.len()).collect();
    order.sort_by_key(|&c| s.contacts[c].link);
    let row = |&c: &usize| [vec![c as u32], model::sphere(s, &s.contacts[c]).words()].concat();
    order.iter().map(row).collect()
}

/// Motors by link, each with its number, its velocity, and the agent and the number that move it.
fn motors(config: &MabraxConfig) -> Vec<Vec<u32>> {
    let s = &config.system;
    let (agents, numbers) = config.moved_by();
    let mut order: Vec<usize> = (0..s.actuators.len()).collect();
    order.sort_by_key(|&a| s.dofs[s.actuators[a].qd_index].link);
    let row = |&a: &usize| {
        let m = &s.actuators[a];
        let head = [a, m.qd_index, agents[a], numbers[a]].map(|x| x as u32);
        let pushes = Value::Flag(s.dofs[m.qd_index].slide);
        let axis = axis_at_parent(s, m.qd_index);
        [
            head.to_vec(),
            pushes.words(),
            axis.words(),
            model::motor(m).words(),
        ]
        .concat()
    };
    order.iter().map(row).collect()
}

fn axis(s: &System, dof: usize) -> Vec<u32> {
    let d = &s.dofs[dof];
    let own = model::vector(d.axis.map(f64::from));
    let slides = Value::Flag(d.slide);
    [slides.words(), own.words(), axis_at_parent(s, dof).words()].concat()
}

/// Words of workgroup memory that a robot takes in the layout of an invocation per link; a vector of three takes four.
pub(super) fn workgroup_words(config: &MabraxConfig) -> usize {
    let s = &config.system;
    let (links, contacts) = (s.links.len(), s.contacts.len().max(1));
    let (joints, motors) = (s.nq + s.nv, s.actuators.len().max(1));
    25 * links + 5 * contacts + motors + joints + config.whole() + 1
}

/// Constants of the layout of an invocation per link.
pub(super) fn tile_constants(
    config: &MabraxConfig,
    robots: usize,
    constants: Constants,
) -> Constants {
    let s = &config.system;
    let (bodies, forces) = model::body_columns(s);
    let levels = (0..s.links.len()).map(|i| 1 + depth(s, i)).max();
    constants
        .uint("ROBOTS", robots)
        .uint("CONTACTS", s.contacts.len())
        .uint("LEVELS", levels.unwrap_or(1))
        .uint("HIDDEN", hidden_coordinates(s))
        .flag("SEES_BODIES", config.task.sees == super::task::Sees::Bodies)
        .uint("AT_BODIES", bodies)
        .uint("AT_FORCES", forces)
}
