//! What the keyboard means: a person's choice for every agent, which holds until another is made or it is allowed no more.

use crossterm::event::KeyCode;
use merit_sim::env::{ActionSpace, EnvSpec};

use crate::player::number;

/// How much a key changes a continuous action, and how far it goes.
const NOTCH: f32 = 0.25;
const FAR: f32 = 1.0;

/// The actions that will be taken, and whose turn it is to be told.
pub struct Hands {
    spec: EnvSpec,
    /// `[A, words]`, as the action region holds them.
    words: Vec<u32>,
    /// `[A, N]`; empty where actions are continuous.
    allowed: Vec<Vec<bool>>,
    pub agent: usize,
    /// Which number of a continuous action.
    axis: usize,
    /// Discrete actions of the keys up, down, left and right.
    arrows: [Option<usize>; 4],
}

/// What came of a key.
#[derive(Debug, PartialEq, Eq)]
pub enum Told {
    /// Another choice or agent.
    Changed,
    /// The only agent has chosen: the step can be made.
    Ready,
    Refused(String),
    /// Not a key of an action.
    Nothing,
}

/// Names of actions that an arrow key stands for, the best first.
const ARROWS: [(KeyCode, &[&str]); 4] = [
    (KeyCode::Up, &["up", "north", "forward"]),
    (KeyCode::Down, &["down", "south", "backward", "back"]),
    (KeyCode::Left, &["left", "west"]),
    (KeyCode::Right, &["right", "east"]),
];
const MOTION: &[&str] = &["move", "turn", "go", "walk", "step"];
/// And what an agent does that was not told: nothing, where there is such an action.
const IDLE: &[&str] = &[
    "noop",
    "no_op",
    "no-op",
    "no_action",
    "none",
    "nothing",
    "stay",
    "stop",
    "still",
    "wait",
];

impl Hands {
    pub fn new(spec: &EnvSpec) -> Self {
        let find = |(_, wanted): (KeyCode, &[&str])| {
            wanted.iter().find_map(|w| position(&spec.action_names, w))
        };
        let arrows = match spec.actions {
            ActionSpace::Discrete(_) => ARROWS.map(find),
            ActionSpace::Continuous(_) => [None; 4],
        };
        Self {
            words: vec![0; spec.agents * spec.actions.words()],
            spec: spec.clone(),
            allowed: Vec::new(),
            agent: 0,
            axis: 0,
            arrows,
        }
    }

    /// Takes what may be done now; a choice that is not allowed any more becomes idle.
    pub fn allow(&mut self, allowed: Vec<Vec<bool>>) {
        self.allowed = allowed;
        for i in 0..self.allowed.len() {
            if !self.may(i, self.words[i] as usize) {
                self.words[i] = self.idle(i) as u32;
            }
        }
    }

    /// As at the beginning of an episode.
    pub fn clear(&mut self) {
        self.agent = 0;
        self.words.fill(0);
        for i in 0..self.allowed.len() {
            self.words[i] = self.idle(i) as u32;
        }
    }

    /// The actions of all agents, as the action region holds them.
    pub fn words(&self) -> Vec<u32> {
        self.words.clone()
    }

    fn may(&self, agent: usize, action: usize) -> bool {
        self.allowed[agent].get(action).copied().unwrap_or(false)
    }

    /// Does nothing, or else the first thing allowed.
    fn idle(&self, agent: usize) -> usize {
        let names = &self.spec.action_names;
        let still = IDLE.iter().find_map(|w| position(names, w));
        let still = still.filter(|&a| self.may(agent, a));
        still
            .or_else(|| self.allowed[agent].iter().position(|&may| may))
            .unwrap_or(0)
    }

    /// A key that may be one of an action.
    pub fn key(&mut self, key: KeyCode) -> Told {
        match key {
            KeyCode::Tab => {
                self.agent = (self.agent + 1) % self.spec.agents;
                return Told::Changed;
            }
            KeyCode::BackTab => {
                self.agent = (self.agent + self.spec.agents - 1) % self.spec.agents;
                return Told::Changed;
            }
            _ => {}
        }
        match self.spec.actions {
            ActionSpace::Discrete(n) => self.discrete(key, n),
            ActionSpace::Continuous(k) => self.continuous(key, k),
        }
    }

    fn discrete(&mut self, key: KeyCode, n: usize) -> Told {
        let agent = self.agent;
        let arrow = ARROWS.iter().position(|(k, _)| *k == key);
        let action = match key {
            KeyCode::Char(c) if c.is_ascii_digit() => {
                let digit = (c as u8 - b'0') as usize;
                if digit >= n {
                    return Told::Refused(format!("there are actions 0 to {}", n - 1));
                }
                digit
            }
            KeyCode::Char('+' | '=') => {
                self.words[agent] = self.next_allowed(1, n) as u32;
                return Told::Changed;
            }
            KeyCode::Char('-') => {
                self.words[agent] = self.next_allowed(n - 1, n) as u32;
                return Told::Changed;
            }
            _ => match arrow.map(|i| self.arrows[i]) {
                Some(Some(action)) => action,
                Some(None) => return Told::Refused("no action has this direction".into()),
                None => return Told::Nothing,
            },
        };
        if !self.may(agent, action) {
            let name = named(&self.spec, &[action as u32]);
            return Told::Refused(format!("agent {agent} may not do this now: {name}"));
        }
        self.words[agent] = action as u32;
        if self.spec.agents == 1 {
            Told::Ready
        } else {
            Told::Changed
        }
    }

    /// The next action in steps of `by` that the agent may take; the present one if there is no other.
    fn next_allowed(&self, by: usize, n: usize) -> usize {
        let now = self.words[self.agent] as usize;
        let others = (1..=n).map(|i| (now + i * by) % n);
        others
            .into_iter()
            .find(|&a| self.may(self.agent, a))
            .unwrap_or(now)
    }

    fn continuous(&mut self, key: KeyCode, k: usize) -> Told {
        let word = self.agent * k + self.axis;
        let x = f32::from_bits(self.words[word]);
        let new = match key {
            KeyCode::Left => {
                self.axis = (self.axis + k - 1) % k;
                return Told::Changed;
            }
            KeyCode::Right => {
                self.axis = (self.axis + 1) % k;
                return Told::Changed;
            }
            KeyCode::Up | KeyCode::Char('+' | '=') => (x + NOTCH).min(FAR),
            KeyCode::Down | KeyCode::Char('-') => (x - NOTCH).max(-FAR),
            KeyCode::Char('0') => 0.0,
            _ => return Told::Nothing,
        };
        self.words[word] = new.to_bits();
        Told::Changed
    }

    /// A line for every agent: what it will do, and for the one chosen what it may do by which key.
    pub fn lines(&self) -> Vec<String> {
        let words = self.spec.actions.words();
        let mut lines = Vec::new();
        for (i, w) in self.words.chunks_exact(words).enumerate() {
            let mark = if i == self.agent { '>' } else { ' ' };
            lines.push(format!("{mark} agent {i}: {}", named(&self.spec, w)));
        }
        lines.push(match self.spec.actions {
            ActionSpace::Discrete(n) => {
                let may = (0..n).filter(|&a| self.may(self.agent, a));
                let keys: Vec<_> = may.map(|a| self.with_key(a)).collect();
                format!("  may: {}", keys.join("  "))
            }
            ActionSpace::Continuous(_) => {
                let name = self.spec.action_names.get(self.axis);
                let name = name.map_or_else(|| format!("number {}", self.axis), Clone::clone);
                format!("  chosen number: {name}")
            }
        });
        lines
    }

    fn with_key(&self, action: usize) -> String {
        let arrow = self.arrows.iter().position(|&a| a == Some(action));
        let name = named(&self.spec, &[action as u32]);
        match arrow {
            Some(i) => format!("[{}] {name}", ["Up", "Down", "Left", "Right"][i]),
            None if action < 10 => format!("[{action}] {name}"),
            None => format!("[+-] {name}"),
        }
    }
}

/// The first name that is `wanted`, alone or behind a verb of motion: `left`, `turn left`, `move_left`, but not `pick up`.
fn position(names: &[String], wanted: &str) -> Option<usize> {
    let is = |name: &String| {
        let words = name.split(|c: char| !c.is_ascii_alphanumeric());
        let words: Vec<_> = words.map(str::to_ascii_lowercase).collect();
        name.eq_ignore_ascii_case(wanted)
            || matches!(&words[..], [verb, word] if MOTION.contains(&verb.as_str()) && word == wanted)
    };
    names.iter().position(is)
}

/// One agent's action as its environment calls it.
pub fn named(spec: &EnvSpec, words: &[u32]) -> String {
    let name = |i: usize| spec.action_names.get(i);
    match spec.actions {
        ActionSpace::Discrete(_) => {
            let action = words[0] as usize;
            name(action).map_or_else(|| action.to_string(), Clone::clone)
        }
        ActionSpace::Continuous(_) => {
            let numbers = words.iter().enumerate().map(|(i, &w)| {
                let x = number(f32::from_bits(w));
                name(i).map_or_else(|| x.clone(), |n| format!("{n} {x}"))
            });
            numbers.collect::<Vec<_>>().join(", ")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(agents: usize, actions: ActionSpace, names: &[&str]) -> EnvSpec {
        EnvSpec {
            name: "test/keys".into(),
            agents,
            obs: 1,
            state: 1,
            actions,
            max_steps: 9,
            shortest_limit: 9,
            action_names: names.iter().map(|&n| n.to_owned()).collect(),
            reference: "none",
        }
    }

    fn all(agents: usize, n: usize) -> Vec<Vec<bool>> {
        vec![vec![true; n]; agents]
    }

    #[test]
    fn arrows_are_the_actions_with_their_names_and_digits_the_rest() {
        let names = ["turn left", "Turn_Right", "forward", "pick up", "done"];
        let mut hands = Hands::new(&spec(1, ActionSpace::Discrete(5), &names));
        hands.allow(all(1, 5));
        for (key, action) in [
            (KeyCode::Left, 0),
            (KeyCode::Right, 1),
            (KeyCode::Char('4'), 4),
            (KeyCode::Char('2'), 2),
        ] {
            assert_eq!(hands.key(key), Told::Ready);
            assert_eq!(hands.words(), [action]);
        }
        assert_eq!(hands.key(KeyCode::Up), Told::Ready);
        assert_eq!(hands.words(), [2], "forward, not pick up");
        let Told::Refused(why) = hands.key(KeyCode::Down) else {
            panic!("there is no way back")
        };
        assert!(why.contains("direction"), "{why}");
        let Told::Refused(why) = hands.key(KeyCode::Char('7')) else {
            panic!("there are five")
        };
        assert!(why.contains("0 to 4"), "{why}");
        assert_eq!(hands.key(KeyCode::Char('x')), Told::Nothing);
    }

    #[test]
    fn several_agents_are_told_one_by_one_what_they_may() {
        let names = ["up", "right", "down", "left", "stop", "attack 0"];
        let mut hands = Hands::new(&spec(2, ActionSpace::Discrete(6), &names));
        let mut allowed = all(2, 6);
        allowed[1] = vec![false, false, false, false, true, false];
        hands.allow(allowed);
        hands.clear();
        assert_eq!(hands.words(), [4, 4], "untold agents stop");
        assert_eq!(hands.key(KeyCode::Up), Told::Changed);
        assert_eq!(hands.key(KeyCode::Tab), Told::Changed);
        let Told::Refused(why) = hands.key(KeyCode::Char('5')) else {
            panic!("agent 1 may only stop")
        };
        assert!(why.contains("agent 1") && why.contains("attack 0"), "{why}");
        assert_eq!(hands.key(KeyCode::Char('+')), Told::Changed);
        assert_eq!(hands.words(), [0, 4]);
        hands.key(KeyCode::Tab);
        hands.key(KeyCode::Char('-'));
        assert_eq!(hands.words(), [5, 4], "round the corner");
        let lines = hands.lines();
        assert_eq!(lines[..2], ["> agent 0: attack 0", "  agent 1: stop"]);
        assert!(lines[2].contains("[Left] left  [4] stop"), "{}", lines[2]);
        // What is not allowed any more is given up.
        hands.allow(vec![vec![false, true, false, false, false, false]; 2]);
        assert_eq!(hands.words(), [1, 1]);
    }

    #[test]
    fn continuous_actions_are_chosen_and_turned() {
        let mut hands = Hands::new(&spec(2, ActionSpace::Continuous(2), &["x", "y"]));
        hands.allow(Vec::new());
        hands.clear();
        hands.key(KeyCode::Up);
        hands.key(KeyCode::Right);
        for _ in 0..9 {
            hands.key(KeyCode::Down);
        }
        hands.key(KeyCode::Tab);
        hands.key(KeyCode::Char('+'));
        let numbers: Vec<f32> = hands.words().into_iter().map(f32::from_bits).collect();
        assert_eq!(numbers, [0.25, -1.0, 0.0, 0.25]);
        assert_eq!(hands.key(KeyCode::Char('0')), Told::Changed);
        assert_eq!(
            hands.lines()[..2],
            ["  agent 0: x 0.25, y -1", "> agent 1: x 0, y 0"]
        );
        assert_eq!(hands.lines()[2], "  chosen number: y");
    }
}
