//! A robot as people see it: from the side, from obliquely above where it can leave the plane, from above where it lies flat.

use super::model::rotated;
use super::task::Goal;
use super::{MabraxConfig, MabraxState};
use crate::frame::{Colour, Frame, PALETTE, Shape};

/// Width and height of the picture, in metres, and the height of the floor's line above its lower edge.
const SIZE: [f32; 2] = [4.0, 2.5];
const FLOOR: f32 = 0.45;

/// A point in the picture and how far behind the picture it lies.
type Point = ([f32; 2], f32);

/// How the world is seen.
struct View {
    size: [f32; 2],
    /// Point of the world that is drawn at `centre`.
    at: [f32; 3],
    centre: [f32; 2],
    /// To the right, upwards and away, in world coordinates.
    axes: [[f32; 3]; 3],
}

impl View {
    fn of(config: &MabraxConfig, torso: [f32; 3]) -> Self {
        if config.task.goal == Goal::Reach {
            return Self {
                size: [0.7, 0.7],
                at: [0.0; 3],
                centre: [0.35, 0.35],
                axes: [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, -1.0]],
            };
        }
        // The eye moves along with the robot; what it walks past shows how far it has come.
        let axes = if config.system.free_root() {
            let (yaw, pitch) = (0.5f32.sin_cos(), 0.35f32.sin_cos());
            [
                [yaw.1, yaw.0, 0.0],
                [yaw.0 * pitch.0, -yaw.1 * pitch.0, pitch.1],
                [-yaw.0 * pitch.1, yaw.1 * pitch.1, pitch.0],
            ]
        } else {
            [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0]]
        };
        Self {
            size: SIZE,
            at: [torso[0], torso[1], 0.0],
            centre: [SIZE[0] / 2.0, SIZE[1] - FLOOR],
            axes,
        }
    }

    fn see(&self, p: [f32; 3]) -> Point {
        let d: [f32; 3] = std::array::from_fn(|i| p[i] - self.at[i]);
        let along = |a: [f32; 3]| a[0] * d[0] + a[1] * d[1] + a[2] * d[2];
        let [right, up, away] = self.axes.map(along);
        ([self.centre[0] + right, self.centre[1] - up], away)
    }
}

/// Of a motor: grey at rest, blue and vermilion at the ends of its range.
fn strain(share: f32) -> Colour {
    let end = if share < 0.0 { PALETTE[5] } else { PALETTE[6] };
    let share = share.abs().min(1.0);
    std::array::from_fn(|i| (170.0 + (f32::from(end[i]) - 170.0) * share) as u8)
}

fn turned(v: [f32; 3], q: [f32; 4]) -> [f32; 3] {
    rotated(v.map(f64::from), q.map(f64::from)).map(|x| x as f32)
}

fn plus(a: [f32; 3], b: [f32; 3]) -> [f32; 3] {
    std::array::from_fn(|i| a[i] + b[i])
}

/// Environment `env` of a batch.
pub(super) fn draw(config: &MabraxConfig, state: &MabraxState, env: usize) -> Frame {
    let system = &config.system;
    let (links, motors) = (system.links.len(), system.actuators.len());
    let rotation = |i: usize| state.rotation[env * links + i];
    let origin = |i: usize| {
        let back = system.links[i].com.map(|x| -x);
        plus(state.position[env * links + i], turned(back, rotation(i)))
    };
    let view = View::of(config, origin(0));
    // What the motor of each link's joint does, of what it can; the strongest where there are several.
    let mut strains = vec![0.0f32; links];
    let mut motor_text = String::new();
    for (a, motor) in system.actuators.iter().enumerate() {
        let told = state.control[env * motors + a];
        let most = motor.ctrl_range.iter().fold(0.0f32, |m, x| m.max(x.abs()));
        let share = (told / most).clamp(-1.0, 1.0);
        let strain = &mut strains[system.dofs[motor.qd_index].link];
        if share.abs() > strain.abs() {
            *strain = share;
        }
        motor_text += &format!("{:>16} {:>6.2}  {}\n", motor.joint, told, bar(share));
    }
    let mut solids: Vec<(f32, Vec<Shape>)> = Vec::new();
    for geom in &system.geoms {
        let (at, turn, fill) = match geom.link {
            Some(i) => (origin(i), rotation(i), strain(strains[i])),
            None => ([0.0; 3], [1.0, 0.0, 0.0, 0.0], [225; 3]),
        };
        let middle = plus(at, turned(geom.position, turn));
        let axis = turned(turned([0.0, 0.0, geom.half_length], geom.rotation), turn);
        let ends = [plus(middle, axis), plus(middle, axis.map(|x| -x))].map(|p| view.see(p).0);
        let mut shapes = vec![Shape::Line {
            from: ends[0],
            to: ends[1],
            width: 2.0 * geom.radius,
            colour: fill,
        }];
        shapes.extend(ends.map(|centre| Shape::Circle {
            centre,
            radius: geom.radius,
            fill,
        }));
        solids.push((view.see(middle).1, shapes));
    }
    // The farther ones first.
    solids.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut shapes = ground(config, &view);
    shapes.extend(solids.into_iter().flat_map(|(_, s)| s));
    let mut touching = Vec::new();
    for contact in &system.contacts {
        let at = plus(
            origin(contact.link),
            turned(contact.centre, rotation(contact.link)),
        );
        if at[2] < contact.radius {
            shapes.push(Shape::Circle {
                centre: view.see([at[0], at[1], 0.0]).0,
                radius: 0.03,
                fill: PALETTE[0],
            });
            touching.push(system.links[contact.link].name.as_str());
        }
    }
    touching.dedup();
    let torso = origin(0);
    let touching = if touching.is_empty() {
        "nothing".to_owned()
    } else {
        touching.join(", ")
    };
    let text = format!(
        "{}torso at {:.2} {:.2} {:.2}, on the floor: {touching}\n{motor_text}",
        map(&shapes, view.size),
        torso[0],
        torso[1],
        torso[2]
    );
    Frame {
        size: view.size,
        background: [255, 255, 255],
        shapes,
        text,
    }
}

/// A number in [-1, 1] as a bar.
fn bar(share: f32) -> String {
    let mark = ((share + 1.0) * 8.0).round() as usize;
    (0..=16)
        .map(|i| match i {
            i if i == mark => '#',
            8 => '|',
            _ => '.',
        })
        .collect()
}

/// The floor: a line with a mark every half metre, or a grid of metres.
fn ground(config: &MabraxConfig, view: &View) -> Vec<Shape> {
    let mut shapes = Vec::new();
    let mut line = |from: [f32; 3], to: [f32; 3], width: f32| {
        shapes.push(Shape::Line {
            from: view.see(from).0,
            to: view.see(to).0,
            width,
            colour: [210; 3],
        });
    };
    let [x, y, _] = view.at;
    if config.task.goal == Goal::Reach {
        return shapes;
    }
    if config.system.free_root() {
        let (first_x, first_y) = (x.floor(), y.floor());
        for k in -4..=5 {
            let k = k as f32;
            line(
                [first_x + k, y - 4.0, 0.0],
                [first_x + k, y + 4.0, 0.0],
                0.012,
            );
            line(
                [x - 4.0, first_y + k, 0.0],
                [x + 4.0, first_y + k, 0.0],
                0.012,
            );
        }
        return shapes;
    }
    line([x - SIZE[0], 0.0, 0.0], [x + SIZE[0], 0.0, 0.0], 0.02);
    let first = (2.0 * x).floor() / 2.0;
    for k in -5..=5 {
        let at = first + 0.5 * k as f32;
        line([at, 0.0, 0.0], [at, 0.0, -0.1], 0.02);
    }
    shapes
}

/// The same for a terminal: a cell is dark where a line or a circle covers its middle.
fn map(shapes: &[Shape], size: [f32; 2]) -> String {
    let (columns, rows) = (64usize, 20usize);
    let middle = |column: usize, row: usize| {
        [
            (column as f32 + 0.5) * size[0] / columns as f32,
            (row as f32 + 0.5) * size[1] / rows as f32,
        ]
    };
    let covers = |shape: &Shape, p: [f32; 2]| match *shape {
        Shape::Circle { centre, radius, .. } => {
            (p[0] - centre[0]).hypot(p[1] - centre[1]) <= radius
        }
        Shape::Line {
            from, to, width, ..
        } => {
            let (dx, dy) = (to[0] - from[0], to[1] - from[1]);
            let along = (p[0] - from[0]) * dx + (p[1] - from[1]) * dy;
            let t = (along / (dx * dx + dy * dy).max(1e-12)).clamp(0.0, 1.0);
            (p[0] - from[0] - t * dx).hypot(p[1] - from[1] - t * dy) <= width / 2.0
        }
        _ => false,
    };
    let mut out = String::new();
    for row in 0..rows {
        for column in 0..columns {
            let p = middle(column, row);
            // Half a cell wider, so that nothing thin falls between the cells.
            let reach = 0.4 * size[1] / rows as f32;
            let near = |s: &&Shape| match **s {
                Shape::Line {
                    from,
                    to,
                    width,
                    colour,
                } => {
                    let width = if width < 0.05 {
                        width
                    } else {
                        width.max(2.0 * reach)
                    };
                    covers(
                        &Shape::Line {
                            from,
                            to,
                            width,
                            colour,
                        },
                        p,
                    )
                }
                ref other => covers(other, p),
            };
            out.push(if shapes.iter().any(|s| near(&s)) {
                '#'
            } else {
                '.'
            });
        }
        out.push('\n');
    }
    out
}
