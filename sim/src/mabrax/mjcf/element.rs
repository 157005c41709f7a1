//! Elements of an MJCF file: their attributes, with what default classes add to them, and messages that say where they are.

use std::collections::BTreeMap;

use roxmltree::Node;

use super::super::system::SystemError;

/// Numbers are this large at most: products of a few of them stay within 64-bit numbers.
const LARGEST: f64 = 1e9;

/// Of every element that is read, the attributes that are read and those that change nothing here. Any other is refused.
const ATTRIBUTES: &[(&str, &[&str], &[&str])] = &[
    ("mujoco", &["model"], &[]),
    (
        "compiler",
        &[
            "angle",
            "autolimits",
            "coordinate",
            "inertiafromgeom",
            "settotalmass",
        ],
        &[
            "assetdir",
            "eulerseq",
            "meshdir",
            "strippath",
            "texturedir",
            "usethread",
        ],
    ),
    (
        "option",
        &[
            "cone",
            "density",
            "gravity",
            "impratio",
            "integrator",
            "timestep",
            "viscosity",
            "wind",
        ],
        &[
            "iterations",
            "jacobian",
            "ls_iterations",
            "ls_tolerance",
            "magnetic",
            "noslip_iterations",
            "noslip_tolerance",
            "solver",
            "tolerance",
        ],
    ),
    ("default", &["class"], &[]),
    ("custom", &[], &[]),
    ("numeric", &["data", "name"], &[]),
    ("worldbody", &[], &[]),
    (
        "body",
        &["axisangle", "childclass", "name", "pos", "quat"],
        &["user"],
    ),
    (
        "joint",
        &[
            "axis",
            "class",
            "frictionloss",
            "limited",
            "name",
            "pos",
            "range",
            "ref",
            "type",
        ],
        &[
            "armature",
            "damping",
            "group",
            "margin",
            "solimpfriction",
            "solimplimit",
            "solreffriction",
            "solreflimit",
            "springdamper",
            "springref",
            "stiffness",
            "user",
        ],
    ),
    ("freejoint", &["name"], &["group"]),
    (
        "geom",
        &[
            "axisangle",
            "class",
            "conaffinity",
            "condim",
            "contype",
            "density",
            "friction",
            "fromto",
            "mass",
            "name",
            "pos",
            "priority",
            "quat",
            "size",
            "type",
        ],
        &[
            "gap", "group", "margin", "material", "rgba", "solimp", "solmix", "solref", "user",
        ],
    ),
    ("actuator", &[], &[]),
    (
        "motor",
        &[
            "class",
            "ctrllimited",
            "ctrlrange",
            "forcelimited",
            "forcerange",
            "gear",
            "joint",
            "name",
        ],
        &["group", "user"],
    ),
];

/// Elements whose parts are read; others have none.
const CONTAINERS: [&str; 6] = [
    "actuator",
    "body",
    "custom",
    "default",
    "mujoco",
    "worldbody",
];

/// Attributes by element and name, of a default class and those that it is nested in.
type Class<'a> = BTreeMap<(&'a str, &'a str), &'a str>;

/// The default classes of a file.
pub struct Classes<'a> {
    main: &'a str,
    by_name: BTreeMap<&'a str, Class<'a>>,
}

impl<'a> Classes<'a> {
    /// Reads the `<default>` of a file, if it has one.
    pub fn read(default: Option<Element<'a>>) -> Result<Self, SystemError> {
        let main = default
            .as_ref()
            .and_then(|d| d.text("class"))
            .unwrap_or("main");
        let mut classes = Self {
            main,
            by_name: BTreeMap::new(),
        };
        match default {
            Some(default) => classes.add(main, &default, Class::new())?,
            None => _ = classes.by_name.insert(main, Class::new()),
        }
        Ok(classes)
    }

    fn add(
        &mut self,
        name: &'a str,
        default: &Element<'a>,
        mut class: Class<'a>,
    ) -> Result<(), SystemError> {
        if self.by_name.contains_key(name) {
            return Err(default.error(format!("defines class `{name}` a second time")));
        }
        let mut nested = Vec::new();
        for node in default.nodes() {
            match node.tag_name().name() {
                "default" => nested.push(default.child(node)?),
                tag @ ("joint" | "geom" | "motor") => {
                    let element = default.child(node)?;
                    for a in element.node.attributes() {
                        class.insert((tag, a.name()), a.value());
                    }
                }
                "camera" | "light" | "material" | "mesh" | "site" => {}
                _ => return Err(default.unsupported(node)),
            }
        }
        self.by_name.insert(name, class.clone());
        for element in nested {
            let name = element.text("class");
            let name = name.ok_or_else(|| element.missing("class"))?;
            self.add(name, &element, class.clone())?;
        }
        Ok(())
    }
}

/// An element of the file.
#[derive(Clone)]
pub struct Element<'a> {
    file: &'a str,
    node: Node<'a, 'a>,
    /// What its attributes are where it does not say.
    class: Class<'a>,
}

impl<'a> Element<'a> {
    /// # Errors
    /// [`SystemError::Element`] for an attribute or a part that might change the physics and is not read.
    pub fn new(file: &'a str, node: Node<'a, 'a>) -> Result<Self, SystemError> {
        let element = Self {
            file,
            node,
            class: Class::new(),
        };
        let known = ATTRIBUTES.iter().find(|(tag, _, _)| *tag == element.tag());
        let Some((_, read, ignored)) = known else {
            return Err(element.error("is not supported"));
        };
        for a in node.attributes() {
            let name = a.name();
            if !read.contains(&name) && !ignored.contains(&name) {
                return Err(
                    element.error(format!("has attribute `{name}`, which is not supported"))
                );
            }
        }
        match element.nodes().next() {
            Some(part) if !CONTAINERS.contains(&element.tag()) => Err(element.unsupported(part)),
            _ => Ok(element),
        }
    }

    /// A part of this one that is read.
    pub fn child(&self, node: Node<'a, 'a>) -> Result<Self, SystemError> {
        Self::new(self.file, node)
    }

    /// A part that has a class: its own, or `childclass`, or the file's.
    pub fn classed_child(
        &self,
        node: Node<'a, 'a>,
        childclass: Option<&'a str>,
        classes: &Classes<'a>,
    ) -> Result<Self, SystemError> {
        let mut element = self.child(node)?;
        let name = element.text("class").or(childclass).unwrap_or(classes.main);
        let class = classes.by_name.get(name);
        let class = class.cloned();
        element.class = class.ok_or_else(|| {
            element.error(format!(
                "is of class `{name}`, which no `<default>` defines"
            ))
        })?;
        Ok(element)
    }

    pub fn tag(&self) -> &'a str {
        self.node.tag_name().name()
    }

    /// Its parts: elements, without comments and text.
    pub fn nodes(&self) -> impl Iterator<Item = Node<'a, 'a>> + use<'a> {
        self.node.children().filter(Node::is_element)
    }

    /// Something about this element.
    pub fn error(&self, problem: impl Into<String>) -> SystemError {
        located(self.file, self.node, problem)
    }

    /// A part of this element that is not read.
    pub fn unsupported(&self, node: Node<'_, '_>) -> SystemError {
        let why = match (self.tag(), node.tag_name().name()) {
            (_, "equality") => ": it would close a loop of links",
            (_, "inertial") => {
                ": masses and inertias come from geoms (`<compiler inertiafromgeom=\"true\"/>` passes it over)"
            }
            ("custom", _) => ": of custom elements only `<numeric>` is",
            ("actuator", _) => ": of actuators only `<motor>` is",
            ("default", _) => ": classes are of joints, geoms and motors",
            _ => "",
        };
        located(self.file, node, format!("is not supported{why}"))
    }

    pub fn missing(&self, attribute: &str) -> SystemError {
        self.error(format!("lacks attribute `{attribute}`"))
    }

    pub fn bad(&self, attribute: &str, problem: impl std::fmt::Display) -> SystemError {
        let whose = match self.node.attribute(attribute) {
            Some(_) => "",
            None => " of its class",
        };
        self.error(format!(
            "has attribute `{attribute}`{whose}, which {problem}"
        ))
    }

    pub fn text(&self, attribute: &str) -> Option<&'a str> {
        let of_class = || self.class.get(&(self.tag(), attribute)).copied();
        self.node.attribute(attribute).or_else(of_class)
    }

    /// What it is called, or a name for messages and pictures.
    pub fn name_or(&self, fallback: impl FnOnce() -> String) -> String {
        self.text("name").map_or_else(fallback, str::to_owned)
    }

    /// One of some words; the first where nothing is said.
    pub fn word(
        &self,
        attribute: &str,
        words: &[&'static str],
    ) -> Result<&'static str, SystemError> {
        let Some(found) = self.text(attribute) else {
            return Ok(words[0]);
        };
        let word = words.iter().find(|w| **w == found);
        word.copied().ok_or_else(|| {
            let all = words.join("` or `");
            self.bad(attribute, format!("must be `{all}`, found `{found}`"))
        })
    }

    pub fn numbers(&self, attribute: &str) -> Result<Option<Vec<f64>>, SystemError> {
        let number = |word: &str| {
            let found = word.parse().ok();
            let found = found.filter(|x: &f64| x.abs() <= LARGEST);
            found.ok_or_else(|| {
                let problem = format!("must be numbers up to {LARGEST:e}, found `{word}`");
                self.bad(attribute, problem)
            })
        };
        let words = self.text(attribute).map(str::split_whitespace);
        words.map(|w| w.map(number).collect()).transpose()
    }

    /// Exactly `N` numbers.
    pub fn array<const N: usize>(&self, attribute: &str) -> Result<Option<[f64; N]>, SystemError> {
        let array = |list: Vec<f64>| {
            let found = list.len();
            let problem = |_| format!("must have {}, found {found}", counted(N));
            list.try_into().map_err(|e| self.bad(attribute, problem(e)))
        };
        self.numbers(attribute)?.map(array).transpose()
    }

    pub fn number(&self, attribute: &str) -> Result<Option<f64>, SystemError> {
        Ok(self.array::<1>(attribute)?.map(|[x]| x))
    }

    pub fn not_negative(&self, attribute: &str) -> Result<Option<f64>, SystemError> {
        match self.number(attribute)? {
            Some(x) if x < 0.0 => {
                Err(self.bad(attribute, format!("must not be negative, found {x}")))
            }
            x => Ok(x),
        }
    }

    /// A number that must be `only`, the one value that is simulated, or left out.
    pub fn only(&self, attribute: &str, only: f64) -> Result<(), SystemError> {
        let list = self.numbers(attribute)?.unwrap_or_default();
        match list.iter().find(|x| **x != only) {
            Some(x) => Err(self.bad(
                attribute,
                format!("must be {only}, found {x}: anything else is not supported"),
            )),
            None => Ok(()),
        }
    }

    /// Bits of a contact mask; -1 is all of them.
    pub fn bits(&self, attribute: &str, fallback: u32) -> Result<u32, SystemError> {
        let Some(text) = self.text(attribute) else {
            return Ok(fallback);
        };
        let bits = text.trim().parse::<i32>().map(i32::cast_unsigned);
        bits.map_err(|_| self.bad(attribute, format!("must be a whole number, found `{text}`")))
    }

    /// The bounds `range`, if `limited` says that there are any; where it says nothing, `automatic` does: they hold if they are given.
    pub fn bounds(
        &self,
        limited: &str,
        range: &str,
        automatic: bool,
    ) -> Result<Option<[f64; 2]>, SystemError> {
        let bounds = self.array(range)?;
        match (self.word(limited, &["auto", "true", "false"])?, bounds) {
            ("false", _) | ("auto", None) => return Ok(None),
            ("auto", Some(_)) if !automatic => {
                return Err(self.error(format!(
                    "has `{range}` but does not say whether it is `{limited}`"
                )));
            }
            ("true", None) => return Err(self.missing(range)),
            _ => {}
        }
        match bounds {
            Some([low, high]) if low >= high => Err(self.bad(
                range,
                format!("must have its lower bound below its upper, found {low} and {high}"),
            )),
            bounds => Ok(bounds),
        }
    }
}

/// That many numbers, in words.
pub fn counted(numbers: usize) -> String {
    format!("{numbers} number{}", if numbers == 1 { "" } else { "s" })
}

/// What is wrong with an element of a file.
pub fn located(file: &str, node: Node<'_, '_>, problem: impl Into<String>) -> SystemError {
    let at = node.document().text_pos_at(node.range().start);
    let tag = node.tag_name().name();
    SystemError::Element {
        file: file.to_owned(),
        line: at.row,
        column: at.col,
        element: match node.attribute("name") {
            Some(name) => format!("<{tag} name=\"{name}\">"),
            None => format!("<{tag}>"),
        },
        problem: problem.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_in_the_docs() {
        let docs = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../docs/environments/mabrax.md"
        );
        let docs = std::fs::read_to_string(docs).unwrap();
        let (_, section) = docs.split_once("### 9.2 MJCF").unwrap();
        for (tag, read, ignored) in ATTRIBUTES {
            for name in [tag].into_iter().chain(*read).chain(*ignored) {
                assert!(section.contains(&format!("`{name}`")), "{tag}: {name}");
            }
        }
    }
}
