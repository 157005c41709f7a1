//! An MJCF file as a tree of links: classes and frames are resolved, and bodies without a joint are part of their parents.

use std::collections::BTreeSet;

use roxmltree::{Document, Node};

use super::super::model::{Quat, Vec3};
use super::super::system::{MOST_LINKS, SystemError};
use super::element::{Classes, Element, counted, located};
use super::frame::{Frame, about, between, unit};
use super::inertia::{Inertia, moments, volume};

/// Elements within elements at most: far more than a robot of as many links as there may be needs.
const DEEPEST: usize = 200;

/// MuJoCo's density of what does not say, in kg/m³.
const WATER: f64 = 1000.0;

/// Sections that say how a robot looks, or what is recorded or started with elsewhere.
const IGNORED: [&str; 6] = ["asset", "keyframe", "sensor", "size", "statistic", "visual"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Free,
    Hinge,
    Slide,
}

pub struct Joint<'a> {
    pub element: Element<'a>,
    pub kind: Kind,
    pub anchor: Vec3,
    /// Of length 1, in the link's frame.
    pub axis: Vec3,
    /// Radians or metres.
    pub range: Option<[f64; 2]>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Surface {
    Plane,
    Sphere {
        radius: f64,
    },
    /// Along z.
    Capsule {
        radius: f64,
        half_length: f64,
    },
}

impl Surface {
    /// The radius, and half the length between the ends' centres; `None` for a plane.
    pub fn round(self) -> Option<(f64, f64)> {
        match self {
            Self::Plane => None,
            Self::Sphere { radius } => Some((radius, 0.0)),
            Self::Capsule {
                radius,
                half_length,
            } => Some((radius, half_length)),
        }
    }
}

/// A geom.
pub struct Solid<'a> {
    pub element: Element<'a>,
    /// `None`: part of the world.
    pub link: Option<usize>,
    pub surface: Surface,
    /// In the link's frame.
    pub frame: Frame,
    pub mass: f64,
    pub friction: f64,
    /// Two of them touch where one's type and the other's affinity have a bit in common.
    contact_type: u32,
    affinity: u32,
    condim: f64,
}

impl Solid<'_> {
    pub fn inertia(&self) -> Option<Inertia> {
        let (radius, half_length) = self.surface.round()?;
        Some(Inertia {
            mass: self.mass,
            frame: self.frame,
            moments: moments(self.mass, radius, half_length),
        })
    }
}

/// A body with a joint: a link.
pub struct Body<'a> {
    pub element: Element<'a>,
    pub parent: Option<usize>,
    /// In the parent's frame.
    pub frame: Frame,
    pub joints: Vec<Joint<'a>>,
}

impl Body<'_> {
    pub fn free(&self) -> bool {
        self.joints.iter().any(|j| j.kind == Kind::Free)
    }
}

pub struct Motor<'a> {
    pub element: Element<'a>,
    pub joint: &'a str,
    pub gear: f64,
    pub control: Option<[f64; 2]>,
    pub force: Option<[f64; 2]>,
}

/// A body that is part of a link, or a link to be: its element, its frame in the link, and the class of what it holds.
type Part<'a> = (Element<'a>, Frame, Option<&'a str>);

/// What a link holds, with what the bodies do that are part of it.
#[derive(Default)]
struct Content<'a> {
    joints: Vec<Joint<'a>>,
    solids: Vec<Solid<'a>>,
    bodies: Vec<Part<'a>>,
}

pub struct Model<'a> {
    pub root: Element<'a>,
    pub name: String,
    /// `<option>`, or the root where there is none.
    pub options: Element<'a>,
    /// Seconds.
    pub timestep: f64,
    pub gravity: Vec3,
    /// Kilograms.
    pub total_mass: Option<f64>,
    /// Parents first.
    pub bodies: Vec<Body<'a>>,
    /// The world's, then the links'.
    pub solids: Vec<Solid<'a>>,
    pub motors: Vec<Motor<'a>>,
    pub numeric: Vec<Element<'a>>,
}

/// How the file is to be read: what `<compiler>` says, and the default classes.
struct Reader<'a> {
    classes: Classes<'a>,
    /// Radians of the file's unit of angles.
    angle: f64,
    automatic_limits: bool,
    inertia_from_geoms: bool,
}

/// The parts of the root that are read.
struct Sections<'a> {
    compiler: Vec<Element<'a>>,
    option: Vec<Element<'a>>,
    default: Vec<Element<'a>>,
    custom: Vec<Element<'a>>,
    worldbody: Vec<Element<'a>>,
    actuator: Vec<Element<'a>>,
}

impl<'a> Sections<'a> {
    fn read(root: &Element<'a>) -> Result<Self, SystemError> {
        let mut sections = Self {
            compiler: vec![],
            option: vec![],
            default: vec![],
            custom: vec![],
            worldbody: vec![],
            actuator: vec![],
        };
        for node in root.nodes() {
            let tag = node.tag_name().name();
            let list = match tag {
                "compiler" => &mut sections.compiler,
                "option" => &mut sections.option,
                "default" => &mut sections.default,
                "custom" => &mut sections.custom,
                "worldbody" => &mut sections.worldbody,
                "actuator" => &mut sections.actuator,
                _ if IGNORED.contains(&tag) => continue,
                _ => return Err(root.unsupported(node)),
            };
            let element = root.child(node)?;
            if !list.is_empty() && matches!(tag, "compiler" | "option" | "default") {
                return Err(element.error("is there a second time"));
            }
            list.push(element);
        }
        Ok(sections)
    }
}

impl<'a> Model<'a> {
    pub fn read(file: &'a str, document: &'a Document<'a>) -> Result<Self, SystemError> {
        let outermost = document.root_element();
        if outermost.tag_name().name() != "mujoco" {
            let problem = "is no MJCF model: the outermost element must be `<mujoco>`";
            return Err(located(file, outermost, problem));
        }
        let too_deep = |n: &Node<'_, '_>| n.ancestors().nth(DEEPEST).is_some();
        if let Some(node) = document.descendants().find(too_deep) {
            return Err(located(file, node, "is nested too deeply"));
        }
        let root = Element::new(file, outermost)?;
        let mut sections = Sections::read(&root)?;
        let default = sections.default.pop();
        let mut reader = Reader {
            classes: Classes::read(default)?,
            angle: 1f64.to_radians(),
            automatic_limits: true,
            inertia_from_geoms: false,
        };
        let options = sections.option.pop();
        let mut model = Self {
            name: root.text("model").unwrap_or("the robot").to_owned(),
            options: options.clone().unwrap_or_else(|| root.clone()),
            root,
            timestep: 0.002,
            gravity: [0.0, 0.0, -9.81],
            total_mass: None,
            bodies: Vec::new(),
            solids: Vec::new(),
            motors: Vec::new(),
            numeric: Vec::new(),
        };
        if let Some(compiler) = sections.compiler.pop() {
            model.total_mass = reader.configure(&compiler)?;
        }
        if let Some(option) = options {
            model.simulate(&option)?;
        }
        for custom in &sections.custom {
            for node in custom.nodes() {
                match node.tag_name().name() {
                    "numeric" => model.numeric.push(custom.child(node)?),
                    "text" => {}
                    _ => return Err(custom.unsupported(node)),
                }
            }
        }
        model.build(&reader, &sections.worldbody)?;
        for actuator in &sections.actuator {
            for node in actuator.nodes() {
                let motor = reader.motor(actuator, node)?;
                model.motors.push(motor);
            }
        }
        Ok(model)
    }

    fn simulate(&mut self, option: &Element<'a>) -> Result<(), SystemError> {
        if let Some(timestep) = option.number("timestep")? {
            if timestep < 1e-6 {
                return Err(option.bad(
                    "timestep",
                    format!("must be 1e-6 or more, found {timestep}"),
                ));
            }
            self.timestep = timestep;
        }
        self.gravity = option.array("gravity")?.unwrap_or(self.gravity);
        option.word("integrator", &["Euler"])?;
        option.word("cone", &["pyramidal"])?;
        for medium in ["density", "viscosity", "wind"] {
            option.only(medium, 0.0)?;
        }
        option.only("impratio", 1.0)
    }

    /// Puts the bodies of the world together.
    fn build(&mut self, reader: &Reader<'a>, worlds: &[Element<'a>]) -> Result<(), SystemError> {
        let mut bodies = Vec::new();
        for world in worlds {
            let content = reader.content(&(world.clone(), Frame::IDENTITY, None), None)?;
            if let Some(joint) = content.joints.first() {
                return Err(joint
                    .element
                    .error("belongs to the world, which does not move"));
            }
            self.solids.extend(content.solids);
            bodies.extend(content.bodies);
        }
        for body in bodies {
            self.grow(reader, body, None)?;
        }
        if self.bodies.is_empty() {
            return Err(self.root.error("has no body with a joint"));
        }
        let mut names = BTreeSet::new();
        let joints = self.bodies.iter().flat_map(|b| &b.joints);
        let mut named = joints.filter_map(|j| Some((j, j.element.text("name")?)));
        match named.find(|(_, name)| !names.insert(*name)) {
            Some((joint, _)) => Err(joint.element.error("has the name of another joint")),
            None => Ok(()),
        }
    }

    /// Adds a link and those that hang on it.
    fn grow(
        &mut self,
        reader: &Reader<'a>,
        (element, frame, class): Part<'a>,
        parent: Option<usize>,
    ) -> Result<(), SystemError> {
        let at = self.bodies.len();
        if at == MOST_LINKS {
            return Err(element.error(format!("is one link too many: there may be {MOST_LINKS}")));
        }
        let content = reader.content(&(element.clone(), Frame::IDENTITY, class), Some(at))?;
        check_joints(&content.joints, parent)?;
        self.solids.extend(content.solids);
        self.bodies.push(Body {
            element,
            parent,
            frame,
            joints: content.joints,
        });
        for body in content.bodies {
            self.grow(reader, body, Some(at))?;
        }
        Ok(())
    }

    /// Whether two geoms would stop each other.
    pub fn touch(&self, a: &Solid<'_>, b: &Solid<'_>) -> bool {
        let masks = (a.contact_type & b.affinity) | (b.contact_type & a.affinity);
        let parent = |s: &Solid<'_>| s.link.and_then(|i| self.bodies[i].parent);
        let joined = |a: &Solid<'_>, b: &Solid<'_>| b.link.is_some() && parent(a) == b.link;
        masks != 0 && a.link != b.link && !joined(a, b) && !joined(b, a)
    }

    /// Whether `floor` is one that can stop `solid`.
    pub fn check_touch(&self, solid: &Solid<'_>, floor: &Solid<'_>) -> Result<(), SystemError> {
        let other = floor.element.name_or(|| "without a name".into());
        if floor.link.is_some() || floor.surface != Surface::Plane {
            return Err(solid.element.error(format!(
                "would touch geom `{other}`: only the floor, a plane of the world, stops geoms. Take bits from `contype` and `conaffinity`"
            )));
        }
        let up = floor.frame.then(Frame {
            position: [0.0, 0.0, 1.0],
            ..Frame::IDENTITY
        });
        let flat = up.position[2] - floor.frame.position[2] > 1.0 - 1e-9;
        if floor.frame.position[2].abs() > 1e-9 || !flat {
            return Err(floor.element.error(
                "stops geoms and must be at z = 0 and face up: another floor is not supported",
            ));
        }
        // The larger one holds.
        let decides = if solid.condim > floor.condim {
            solid
        } else {
            floor
        };
        if decides.condim != 3.0 {
            let problem = format!(
                "must be 3, found {}: other friction is not supported",
                decides.condim
            );
            return Err(decides.element.bad("condim", problem));
        }
        let second = self.solids.iter().any(|s| {
            !std::ptr::eq(s, floor) && s.surface == Surface::Plane && self.touch(s, solid)
        });
        match second {
            true => Err(solid
                .element
                .error("would touch two floors, which is not supported")),
            false => Ok(()),
        }
    }
}

/// Whether a link can have these joints.
fn check_joints(joints: &[Joint<'_>], parent: Option<usize>) -> Result<(), SystemError> {
    let free = joints.iter().find(|j| j.kind == Kind::Free);
    if let Some(free) = free
        && (parent.is_some() || joints.len() > 1)
    {
        let problem = "is free: it must be the only joint of a body of the world";
        return Err(free.element.error(problem));
    }
    if let Some(fourth) = joints.get(3) {
        return Err(fourth
            .element
            .error("is the fourth joint of its body: there may be three"));
    }
    match joints.iter().find(|j| j.anchor != joints[0].anchor) {
        Some(j) => Err(j
            .element
            .error("is not at the `pos` of the body's other joints: they must share it")),
        None => Ok(()),
    }
}

impl<'a> Reader<'a> {
    /// Reads `<compiler>`; returns the total mass that it asks for.
    fn configure(&mut self, compiler: &Element<'a>) -> Result<Option<f64>, SystemError> {
        if compiler.word("angle", &["degree", "radian"])? == "radian" {
            self.angle = 1.0;
        }
        compiler.word("coordinate", &["local"])?;
        self.automatic_limits = compiler.word("autolimits", &["true", "false"])? == "true";
        self.inertia_from_geoms = compiler.word("inertiafromgeom", &["auto", "true"])? == "true";
        // As in MuJoCo, nothing is scaled to what is no mass.
        Ok(compiler.number("settotalmass")?.filter(|m| *m > 0.0))
    }

    /// Reads what a body holds. Bodies without a joint come after all others, as in the reference, which puts what they hold at the end.
    fn content(
        &self,
        (element, frame, class): &Part<'a>,
        link: Option<usize>,
    ) -> Result<Content<'a>, SystemError> {
        let mut content = Content::default();
        let mut welded = Vec::new();
        for node in element.nodes() {
            match node.tag_name().name() {
                "body" => {
                    let body = element.child(node)?;
                    let inner = frame.then(self.frame(&body)?);
                    let class = body.text("childclass").or(*class);
                    let jointed =
                        |n: Node<'_, '_>| matches!(n.tag_name().name(), "joint" | "freejoint");
                    let list = match body.nodes().any(jointed) {
                        true => &mut content.bodies,
                        false => &mut welded,
                    };
                    list.push((body, inner, class));
                }
                "joint" | "freejoint" => content.joints.push(self.joint(element, node, *class)?),
                "geom" => content
                    .solids
                    .push(self.solid(element, node, *class, *frame, link)?),
                "inertial" if self.inertia_from_geoms => {}
                "camera" | "light" | "site" => {}
                _ => return Err(element.unsupported(node)),
            }
        }
        for part in &welded {
            let inner = self.content(part, link)?;
            content.solids.extend(inner.solids);
            content.bodies.extend(inner.bodies);
        }
        Ok(content)
    }

    fn frame(&self, element: &Element<'a>) -> Result<Frame, SystemError> {
        Ok(Frame {
            position: element.array("pos")?.unwrap_or_default(),
            rotation: self.rotation(element)?,
        })
    }

    fn rotation(&self, element: &Element<'a>) -> Result<Quat, SystemError> {
        let none = |name: &str| element.bad(name, "has no direction: it is 0");
        match (element.array("quat")?, element.array::<4>("axisangle")?) {
            (Some(_), Some(_)) => Err(element.bad("axisangle", "says what `quat` says too")),
            (Some(q), None) => unit(q).ok_or_else(|| none("quat")),
            (None, Some([x, y, z, angle])) => {
                let axis = unit([x, y, z]).ok_or_else(|| none("axisangle"))?;
                Ok(about(axis, angle * self.angle))
            }
            (None, None) => Ok(Frame::IDENTITY.rotation),
        }
    }

    fn joint(
        &self,
        body: &Element<'a>,
        node: Node<'a, 'a>,
        class: Option<&'a str>,
    ) -> Result<Joint<'a>, SystemError> {
        // A `<freejoint>` has no class.
        let element = match node.tag_name().name() {
            "joint" => body.classed_child(node, class, &self.classes)?,
            _ => body.child(node)?,
        };
        for none in ["frictionloss", "ref"] {
            element.only(none, 0.0)?;
        }
        let free = element.tag() == "freejoint" || element.text("type") == Some("free");
        if free {
            return Ok(Joint {
                element,
                kind: Kind::Free,
                anchor: [0.0; 3],
                axis: [0.0; 3],
                range: None,
            });
        }
        let kind = match element.text("type").unwrap_or("hinge") {
            "hinge" => Kind::Hinge,
            "slide" => Kind::Slide,
            other => {
                return Err(element.bad(
                    "type",
                    format!(
                        "is `{other}`, an unsupported joint: it must be `free`, `hinge` or `slide`"
                    ),
                ));
            }
        };
        let axis = unit(element.array("axis")?.unwrap_or([0.0, 0.0, 1.0]));
        let unit_of = if kind == Kind::Hinge { self.angle } else { 1.0 };
        let range = element.bounds("limited", "range", self.automatic_limits)?;
        Ok(Joint {
            kind,
            anchor: element.array("pos")?.unwrap_or_default(),
            axis: axis.ok_or_else(|| element.bad("axis", "has no direction: it is 0"))?,
            range: range.map(|r| r.map(|x| x * unit_of)),
            element,
        })
    }

    fn solid(
        &self,
        body: &Element<'a>,
        node: Node<'a, 'a>,
        class: Option<&'a str>,
        outer: Frame,
        link: Option<usize>,
    ) -> Result<Solid<'a>, SystemError> {
        let element = body.classed_child(node, class, &self.classes)?;
        let (surface, inner) = self.surface(&element)?;
        if surface == Surface::Plane && link.is_some() {
            return Err(element.error("is a plane, which only the world can have"));
        }
        element.only("priority", 0.0)?;
        let friction = element.numbers("friction")?.unwrap_or(vec![1.0]);
        if friction.is_empty() || friction.len() > 3 || friction.iter().any(|x| *x < 0.0) {
            return Err(element.bad("friction", "must be 1 to 3 numbers that are not negative"));
        }
        let density = element.not_negative("density")?.unwrap_or(WATER);
        let mass = element.not_negative("mass")?;
        let of_size = surface
            .round()
            .map_or(0.0, |(radius, half)| density * volume(radius, half));
        Ok(Solid {
            link,
            surface,
            frame: outer.then(inner),
            mass: mass.unwrap_or(of_size),
            friction: friction[0],
            contact_type: element.bits("contype", 1)?,
            affinity: element.bits("conaffinity", 1)?,
            condim: element.number("condim")?.unwrap_or(3.0),
            element,
        })
    }

    /// What a geom is, and where it is in its body.
    fn surface(&self, element: &Element<'a>) -> Result<(Surface, Frame), SystemError> {
        let size = element.numbers("size")?;
        let length = |at: usize| {
            let size = size.as_ref().ok_or_else(|| element.missing("size"))?;
            match size.get(at) {
                Some(&x) if x > 0.0 => Ok(x),
                Some(x) => Err(element.bad("size", format!("must be positive, found {x}"))),
                None => Err(element.bad(
                    "size",
                    format!(
                        "must have at least {}, found {}",
                        counted(at + 1),
                        size.len()
                    ),
                )),
            }
        };
        let from_to = element.array::<6>("fromto")?;
        let kind = element.text("type").unwrap_or("sphere");
        match (kind, from_to) {
            ("plane", None) => Ok((Surface::Plane, self.frame(element)?)),
            ("sphere", None) => Ok((Surface::Sphere { radius: length(0)? }, self.frame(element)?)),
            ("capsule", None) => {
                let (radius, half_length) = (length(0)?, length(1)?);
                Ok((Surface::Capsule { radius, half_length }, self.frame(element)?))
            }
            ("capsule", Some([a, b, c, d, e, f])) => {
                let twice = ["pos", "quat", "axisangle"].into_iter().find(|n| element.text(n).is_some());
                if let Some(twice) = twice {
                    return Err(element.bad(twice, "says what `fromto` says too"));
                }
                let ends = between([a, b, c], [d, e, f]);
                let (frame, half_length) = ends.ok_or_else(|| element.bad("fromto", "has both ends at one place"))?;
                Ok((Surface::Capsule { radius: length(0)?, half_length }, frame))
            }
            ("plane" | "sphere", Some(_)) => Err(element.bad("fromto", format!("is of no use for a {kind}"))),
            (other, _) => Err(element.bad("type", format!("is `{other}`, an unsupported geometry: it must be `sphere`, `capsule` or `plane`"))),
        }
    }

    fn motor(&self, section: &Element<'a>, node: Node<'a, 'a>) -> Result<Motor<'a>, SystemError> {
        if node.tag_name().name() != "motor" {
            return Err(section.unsupported(node));
        }
        let element = section.classed_child(node, None, &self.classes)?;
        let joint = element
            .text("joint")
            .ok_or_else(|| element.missing("joint"))?;
        let gear = element.numbers("gear")?.unwrap_or(vec![1.0]);
        if gear.is_empty() || gear.iter().skip(1).any(|x| *x != 0.0) {
            return Err(element.bad(
                "gear",
                "must be one number: a hinge or slide has no other directions",
            ));
        }
        Ok(Motor {
            joint,
            gear: gear[0],
            control: element.bounds("ctrllimited", "ctrlrange", self.automatic_limits)?,
            force: element.bounds("forcelimited", "forcerange", self.automatic_limits)?,
            element,
        })
    }
}
