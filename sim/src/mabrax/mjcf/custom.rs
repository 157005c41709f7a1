//! Parameters of the positional pipeline, which an MJCF file says as `<numeric>` in `<custom>`.

use std::collections::BTreeMap;

use super::super::system::{MOST_EXPONENT, System, SystemError};
use super::element::Element;
use super::model::Model;
use super::narrow;

/// Those of the whole robot, and what they are by default.
const PARAMETERS: [(&str, f64); 7] = [
    ("ang_damping", 0.0),
    ("collide_scale", 1.0),
    ("joint_scale_ang", 0.2),
    ("joint_scale_pos", 0.5),
    ("spring_inertia_scale", 0.0),
    ("spring_mass_scale", 0.0),
    ("vel_damping", 0.0),
];

/// Those of every link, and of every geom.
const OF_PARTS: [&str; 3] = [
    "constraint_ang_damping",
    "constraint_vel_damping",
    "elasticity",
];

/// The coordinates that episodes begin with.
const START: &str = "init_qpos";

/// Substeps of a step: the one parameter that the reference has in code.
const SUBSTEPS: &str = "n_frames";

/// Those of Brax's other pipelines.
const OTHERS: [&str; 5] = [
    "baumgarte_erp",
    "constraint_limit_stiffness",
    "constraint_stiffness",
    "matrix_inv_iterations",
    "solver_maxls",
];

/// What `<custom>` says, by name.
pub struct Custom<'a> {
    model: &'a Model<'a>,
    numeric: BTreeMap<&'a str, (Element<'a>, Vec<f64>)>,
}

impl<'a> Custom<'a> {
    pub fn read(model: &'a Model<'a>) -> Result<Self, SystemError> {
        let mut numeric = BTreeMap::new();
        for element in &model.numeric {
            let name = element
                .text("name")
                .ok_or_else(|| element.missing("name"))?;
            let data = element.numbers("data")?.filter(|d| !d.is_empty());
            let data = data.ok_or_else(|| element.missing("data"))?;
            let single = PARAMETERS.iter().any(|(n, _)| *n == name) || name == SUBSTEPS;
            let several = OF_PARTS.contains(&name) || name == START;
            if !single && !several && !OTHERS.contains(&name) {
                return Err(element.error("is no parameter of the pipeline"));
            }
            if single && data.len() != 1 {
                let problem = format!("must have 1 number, found {}", data.len());
                return Err(element.bad("data", problem));
            }
            if numeric.insert(name, (element.clone(), data)).is_some() {
                return Err(element.error("is there a second time"));
            }
        }
        Ok(Self { model, numeric })
    }

    /// A parameter of the whole robot.
    pub fn parameter(&self, name: &str) -> f64 {
        let of_file = self.numeric.get(name).map(|(_, data)| data[0]);
        let fallback = PARAMETERS.iter().find(|(n, _)| *n == name);
        of_file.or(fallback.map(|f| f.1)).unwrap_or_default()
    }

    /// A damping of the whole robot, whose factor in a substep must be a number.
    pub fn damping(&self, name: &str) -> Result<f64, SystemError> {
        let x = self.parameter(name);
        match self.numeric.get(name) {
            Some((e, _)) if x * self.model.timestep >= MOST_EXPONENT.into() => {
                let problem = format!("is {x:e}: exp({name} · timestep) must be a finite number");
                Err(e.bad("data", problem))
            }
            _ => Ok(x),
        }
    }

    /// A parameter from 0 to 1.
    pub fn share(&self, name: &str) -> Result<f64, SystemError> {
        let x = self.parameter(name);
        match self.numeric.get(name) {
            Some((e, _)) if !(0.0..=1.0).contains(&x) => {
                Err(e.bad("data", format!("must be from 0 to 1, found {x}")))
            }
            _ => Ok(x),
        }
    }

    /// A parameter that is given once for all or once for each of `count`; 0 by default.
    pub fn each(&self, name: &str, count: usize) -> Result<Vec<f64>, SystemError> {
        let Some((e, data)) = self.numeric.get(name) else {
            return Ok(vec![0.0; count]);
        };
        if let Some(x) = data.iter().find(|x| **x < 0.0) {
            return Err(e.bad("data", format!("must not be negative, found {x}")));
        }
        match data.len() {
            1 => Ok(vec![data[0]; count]),
            n if n == count => Ok(data.clone()),
            n => Err(e.bad("data", format!("must have 1 or {count} numbers, found {n}"))),
        }
    }

    /// The coordinates that episodes begin with: those of the file's frames, if none are given.
    pub fn start(&self, frames: Vec<f32>) -> Result<Vec<f32>, SystemError> {
        match self.numeric.get(START) {
            None => Ok(frames),
            Some((_, data)) if data.len() == frames.len() => {
                Ok(data.iter().map(|&x| narrow(x)).collect())
            }
            Some((e, data)) => {
                let (need, found) = (frames.len(), data.len());
                let problem = format!(
                    "must have {need} numbers as the joints have coordinates, found {found}"
                );
                Err(e.bad("data", problem))
            }
        }
    }

    /// Substeps of a step: the file's, or as many as the task's step is long.
    pub fn frames(&self, built_in: &System) -> Result<usize, SystemError> {
        if let Some((e, data)) = self.numeric.get(SUBSTEPS) {
            let x = data[0];
            if !(1.0..=1000.0).contains(&x) || x.fract() != 0.0 {
                let problem = format!("must be a whole number from 1 to 1000, found {x}");
                return Err(e.bad("data", problem));
            }
            return Ok(x as usize);
        }
        let (step, timestep) = (f64::from(built_in.dt()), self.model.timestep);
        let frames = (step / timestep).round();
        if !(1.0..=1000.0).contains(&frames) || (frames * timestep - step).abs() > 1e-5 * step {
            return Err(self.model.options.error(format!(
                "has a `timestep` of {timestep} s, which does not divide the task's step of {step} s: say how many substeps \
                 a step has with `<numeric name=\"{SUBSTEPS}\" data=…/>`"
            )));
        }
        Ok(frames as usize)
    }
}
