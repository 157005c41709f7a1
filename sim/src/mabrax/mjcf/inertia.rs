//! Masses and moments of inertia of solid spheres and capsules, and of links that are made of several.

use std::f64::consts::PI;

use super::super::model::{Quat, Vec3, cross, dot, minus, rotated};
use super::frame::Frame;

/// Kilograms and metres.
#[derive(Clone, Copy, Debug)]
pub struct Inertia {
    pub mass: f64,
    /// The centre of mass, and the axes that the moments are about.
    pub frame: Frame,
    pub moments: Vec3,
}

/// Cubic metres; `half_length` is 0 for a sphere.
pub fn volume(radius: f64, half_length: f64) -> f64 {
    PI * radius * radius * (4.0 / 3.0 * radius + 2.0 * half_length)
}

/// Moments about the axes of a capsule that lies along z, or of a sphere.
pub fn moments(mass: f64, radius: f64, half_length: f64) -> Vec3 {
    let length = 2.0 * half_length;
    let caps = mass * 4.0 * radius / (4.0 * radius + 3.0 * length);
    let cylinder = mass - caps;
    let square = radius * radius;
    let along = cylinder * square / 2.0 + caps * square * 2.0 / 5.0;
    // A half ball's centre of mass is 3/8 of its radius from its flat side.
    let across = cylinder * (3.0 * square + length * length) / 12.0
        + caps * (square * 2.0 / 5.0 + length * (2.0 * length + 3.0 * radius) / 8.0);
    [across, across, along]
}

/// Of a link that is made of `parts`; `None` where they weigh nothing.
pub fn sum(parts: &[Inertia]) -> Option<Inertia> {
    let heavy: Vec<_> = parts.iter().filter(|p| p.mass > 0.0).collect();
    // The axes of a single part stay as they are.
    if let [only] = heavy[..] {
        return Some(*only);
    }
    let mass: f64 = heavy.iter().map(|p| p.mass).sum();
    if mass == 0.0 {
        return None;
    }
    let weighed = |i: usize| {
        heavy
            .iter()
            .map(|p| p.mass * p.frame.position[i])
            .sum::<f64>()
    };
    let centre: Vec3 = std::array::from_fn(|i| weighed(i) / mass);
    let mut tensor = [[0.0; 3]; 3];
    for part in heavy {
        let axes = axes(part.frame.rotation);
        let lever = minus(part.frame.position, centre);
        for (i, row) in tensor.iter_mut().enumerate() {
            for (j, entry) in row.iter_mut().enumerate() {
                let own: f64 = (0..3)
                    .map(|k| part.moments[k] * axes[k][i] * axes[k][j])
                    .sum();
                let square = if i == j { dot(lever, lever) } else { 0.0 };
                *entry += own + part.mass * (square - lever[i] * lever[j]);
            }
        }
    }
    let (moments, rotation) = principal(tensor);
    Some(Inertia {
        mass,
        frame: Frame {
            position: centre,
            rotation,
        },
        moments,
    })
}

fn axes(rotation: Quat) -> [Vec3; 3] {
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]].map(|e| rotated(e, rotation))
}

/// Principal moments, largest first, and their axes as a rotation: Jacobi's method.
fn principal(mut a: [Vec3; 3]) -> (Vec3, Quat) {
    let mut v = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
    // Convergence is quadratic: a handful of sweeps reach the last digit.
    for _ in 0..20 {
        for (p, q) in [(0, 1), (0, 2), (1, 2)] {
            if a[p][q].abs() <= 1e-17 * (a[p][p] + a[q][q]).abs() {
                continue;
            }
            let theta = (a[q][q] - a[p][p]) / (2.0 * a[p][q]);
            let t = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
            let c = 1.0 / (t * t + 1.0).sqrt();
            let s = t * c;
            for row in [&mut a, &mut v].into_iter().flatten() {
                (row[p], row[q]) = (c * row[p] - s * row[q], s * row[p] + c * row[q]);
            }
            let (low, high) = (a[p], a[q]);
            a[p] = std::array::from_fn(|k| c * low[k] - s * high[k]);
            a[q] = std::array::from_fn(|k| s * low[k] + c * high[k]);
        }
    }
    let mut order = [0, 1, 2];
    order.sort_by(|&i, &j| a[j][j].total_cmp(&a[i][i]));
    let column = |k: usize| [v[0][k], v[1][k], v[2][k]];
    let (x, y) = (column(order[0]), column(order[1]));
    (order.map(|k| a[k][k]), quaternion([x, y, cross(x, y)]))
}

/// The rotation that turns x, y, z into the three axes.
fn quaternion([x, y, z]: [Vec3; 3]) -> Quat {
    // Four times the squares of w, x, y, z; the largest is at least 1.
    let squares = [
        1.0 + x[0] + y[1] + z[2],
        1.0 + x[0] - y[1] - z[2],
        1.0 - x[0] + y[1] - z[2],
        1.0 - x[0] - y[1] + z[2],
    ];
    let largest = (1..4).fold(0, |m, i| if squares[i] > squares[m] { i } else { m });
    let products = match largest {
        0 => [squares[0], y[2] - z[1], z[0] - x[2], x[1] - y[0]],
        1 => [y[2] - z[1], squares[1], x[1] + y[0], z[0] + x[2]],
        2 => [z[0] - x[2], x[1] + y[0], squares[2], y[2] + z[1]],
        _ => [x[1] - y[0], z[0] + x[2], y[2] + z[1], squares[3]],
    };
    products.map(|p| p / (2.0 * squares[largest].sqrt()))
}

#[cfg(test)]
mod tests {
    use super::super::frame::{about, unit};
    use super::*;

    /// A sphere has 2/5 m r², a thin rod m l²/12, and the caps' share of a capsule is found by summing thin discs.
    #[test]
    fn moments_are_those_of_the_solids() {
        let sphere = moments(5.0, 0.3, 0.0);
        assert!(
            sphere.iter().all(|m| (m - 0.18).abs() < 1e-12),
            "{sphere:?}"
        );
        let rod = moments(2.0, 1e-6, 1.5);
        assert!((rod[0] - 2.0 * 9.0 / 12.0).abs() < 1e-5, "{rod:?}");
        let (radius, half, density) = (0.2, 0.5, 3.0);
        let (mut mass, mut across, mut along) = (0.0, 0.0, 0.0);
        let discs = 200_000;
        let thickness = 2.0 * (half + radius) / f64::from(discs);
        for i in 0..discs {
            let z = -(half + radius) + thickness * (f64::from(i) + 0.5);
            let beyond = (z.abs() - half).max(0.0);
            let square = radius * radius - beyond * beyond;
            let disc = density * PI * square * thickness;
            mass += disc;
            along += disc * square / 2.0;
            across += disc * (square / 4.0 + z * z);
        }
        let found = moments(density * volume(radius, half), radius, half);
        assert!((mass - density * volume(radius, half)).abs() < 1e-8);
        assert!((found[0] - across).abs() < 1e-8, "{found:?} {across}");
        assert!((found[2] - along).abs() < 1e-8, "{found:?} {along}");
    }

    /// Two balls on a stick that points anywhere.
    #[test]
    fn sums_have_the_moments_about_their_own_axes() {
        let direction = unit([1.0, -2.0, 0.5]).unwrap();
        let ball = |mass: f64, at: f64| Inertia {
            mass,
            frame: Frame {
                position: direction.map(|x| x * at),
                rotation: about([0.0, 1.0, 0.0], 0.7),
            },
            moments: moments(mass, 0.1, 0.0),
        };
        let both = sum(&[ball(1.0, 3.0), ball(2.0, 0.0), ball(0.0, 9.0)]).unwrap();
        assert!((both.mass - 3.0).abs() < 1e-12);
        let near = |a: Vec3, b: Vec3| minus(a, b).iter().all(|x| x.abs() < 1e-12);
        assert!(near(both.frame.position, direction), "{both:?}");
        let own = 3.0 * 0.4 * 0.01;
        let expected = [own + 6.0, own + 6.0, own];
        assert!(near(both.moments, expected), "{both:?}");
        let z = rotated([0.0, 0.0, 1.0], both.frame.rotation);
        assert!((dot(z, direction).abs() - 1.0).abs() < 1e-12, "{z:?}");
        assert!(sum(&[ball(0.0, 1.0)]).is_none());
    }

    #[test]
    fn quaternions_turn_into_their_axes() {
        for q in [
            [0.1, 0.9, -0.3, 0.2],
            [0.9, 0.1, 0.2, 0.3],
            [0.1, 0.2, 0.9, 0.3],
            [-0.1, 0.2, 0.1, 0.9],
        ] {
            let q = unit(q).unwrap();
            let found = quaternion(axes(q));
            let same: f64 = (0..4).map(|i| q[i] * found[i]).sum();
            assert!((same.abs() - 1.0).abs() < 1e-12, "{q:?} {found:?}");
        }
    }
}
