//! Frames, and the axes that angles of joints are measured about.

use super::super::model::{Quat, Vec3, add, cross, dot, minus, rotated};

/// A place and a rotation w, x, y, z.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Frame {
    pub position: Vec3,
    pub rotation: Quat,
}

impl Frame {
    pub const IDENTITY: Self = Self {
        position: [0.0; 3],
        rotation: [1.0, 0.0, 0.0, 0.0],
    };

    /// The point's place outside.
    pub fn place(self, point: Vec3) -> Vec3 {
        add(self.position, rotated(point, self.rotation))
    }

    /// A frame within this one, seen from outside.
    pub fn then(self, inner: Self) -> Self {
        Self {
            position: self.place(inner.position),
            rotation: product(self.rotation, inner.rotation),
        }
    }
}

/// The rotation `b`, then `a`.
fn product(a: Quat, b: Quat) -> Quat {
    let (u, v) = ([a[1], a[2], a[3]], [b[1], b[2], b[3]]);
    let across = cross(u, v);
    let [x, y, z] = std::array::from_fn(|i| a[0] * v[i] + b[0] * u[i] + across[i]);
    [a[0] * b[0] - dot(u, v), x, y, z]
}

/// The same direction with length 1; `None` for none.
pub fn unit<const N: usize>(v: [f64; N]) -> Option<[f64; N]> {
    let length = v.iter().map(|x| x * x).sum::<f64>().sqrt();
    (length > 1e-10).then(|| v.map(|x| x / length))
}

/// The rotation by `angle` about an axis of length 1.
pub fn about(axis: Vec3, angle: f64) -> Quat {
    let (sine, cosine) = (angle / 2.0).sin_cos();
    [cosine, axis[0] * sine, axis[1] * sine, axis[2] * sine]
}

/// A capsule's frame and half its length. Its z axis points to the first end, which is the first to touch the floor.
pub fn between(from: Vec3, to: Vec3) -> Option<(Frame, f64)> {
    let back = minus(from, to);
    let direction = unit(back)?;
    // Half a turn about x where it points down.
    let axis = unit(cross([0.0, 0.0, 1.0], direction)).unwrap_or([1.0, 0.0, 0.0]);
    let frame = Frame {
        position: add(from, to).map(|x| x / 2.0),
        rotation: about(axis, direction[2].clamp(-1.0, 1.0).acos()),
    };
    Some((frame, dot(back, back).sqrt() / 2.0))
}

/// Two directions that are perpendicular to `a` and to each other, as the reference chooses them.
fn orthogonals(a: Vec3) -> (Vec3, Vec3) {
    let start = if a[1].abs() < 0.5 {
        [0.0, 1.0, 0.0]
    } else {
        [0.0, 0.0, 1.0]
    };
    let along = dot(a, start);
    let b = minus(start, a.map(|x| x * along));
    // `start` is at least 30° from `a`.
    let b = unit(b).unwrap_or(start);
    (b, cross(a, b))
}

/// The axes that a link's three angles are measured about, and the third one's sense. Per coordinate: the axis of a hinge, or
/// `None` for a slide. Brax 0.14.2, `kinematics.link_to_joint_frame`, but for three slides, where it has no axes at all.
///
/// # Errors
/// A coordinate whose hinge is not along the axis that its angle would be measured about.
pub fn joint_frame(hinges: &[Option<Vec3>]) -> Result<([Vec3; 3], f64), usize> {
    let hinge = |k: usize| hinges.get(k).copied().flatten();
    let pair = match (hinge(0), hinge(1), hinge(2)) {
        (Some(a), Some(b), _) => (a, b),
        (Some(a), None, _) => (a, orthogonals(a).0),
        (None, Some(b), _) => (orthogonals(b).1, b),
        (None, None, Some(c)) => orthogonals(c),
        (None, None, None) => ([1.0, 0.0, 0.0], [0.0, 1.0, 0.0]),
    };
    let third = cross(pair.0, pair.1);
    let parity = match (hinge(0), hinge(1), hinge(2)) {
        (Some(_), Some(_), Some(c)) if dot(third, c) < 0.0 => -1.0,
        _ => 1.0,
    };
    let rows = [pair.0, pair.1, third.map(|x| x * parity)];
    let perpendicular = dot(pair.0, pair.1).abs() < 1e-4;
    for (k, row) in rows.iter().enumerate() {
        let along = hinge(k).is_none_or(|axis| dot(axis, *row) > 1.0 - 1e-8);
        if !along || (k == 1 && !perpendicular) {
            return Err(k);
        }
    }
    Ok(([pair.0, pair.1, third], parity))
}

#[cfg(test)]
mod tests {
    use super::*;

    const X: Vec3 = [1.0, 0.0, 0.0];
    const Y: Vec3 = [0.0, 1.0, 0.0];
    const Z: Vec3 = [0.0, 0.0, 1.0];

    /// Rows are what the reference's function returns.
    #[test]
    fn angles_are_measured_about_the_axes_of_the_reference() {
        let down = Z.map(|x| -x);
        for (hinges, rows, parity) in [
            (vec![Some(Z)], [Z, Y, X.map(|x| -x)], 1.0),
            (vec![None, None, Some(Y)], [Z, X, Y], 1.0),
            (vec![Some(X), Some(Z), Some(Y)], [X, Z, Y.map(|x| -x)], -1.0),
            (vec![None, None], [X, Y, Z], 1.0),
            (vec![None, Some(X)], [Z, X, Y], 1.0),
            (vec![Some(down), None], [down, Y, X], 1.0),
        ] {
            let (found, sense) = joint_frame(&hinges).unwrap();
            for (a, b) in found.iter().flatten().zip(rows.iter().flatten()) {
                assert!((a - b).abs() < 1e-15, "{hinges:?}: {found:?}");
            }
            assert_eq!(sense, parity, "{hinges:?}");
        }
    }

    #[test]
    fn oblique_hinges_have_no_angles() {
        let oblique = unit([1.0, 1.0, 0.0]);
        assert_eq!(joint_frame(&[Some(X), oblique]), Err(1));
        assert_eq!(joint_frame(&[Some(X), Some(Y), oblique]), Err(2));
        assert_eq!(joint_frame(&[None, Some(X), Some(Z)]), Err(2));
    }

    #[test]
    fn a_capsule_points_to_its_first_end() {
        for (from, to) in [
            ([1.0, 2.0, 3.0], [0.5, 2.5, 1.0]),
            ([0.0; 3], Z),
            (Z, [0.0; 3]),
        ] {
            let (frame, half) = between(from, to).unwrap();
            for (end, z) in [(from, half), (to, -half)] {
                let place = frame.place([0.0, 0.0, z]);
                for k in 0..3 {
                    assert!((place[k] - end[k]).abs() < 1e-12, "{place:?} {end:?}");
                }
            }
        }
        assert!(between(X, X).is_none());
    }
}
