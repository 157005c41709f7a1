//! Networks as layouts: where the weights of each layer lie among a member's parameters.
//!
//! All parameters of a learner lie in one buffer `[P, stride]`, a member's together, so that norms and Adam run over a range
//! of words.

use std::ops::Range;

use merit_sim::env::ActionSpace;

use crate::init::{lecun_normal, orthogonal, uniform};
use crate::rng::Normal;

/// Words that the offset of a uniform binding is a multiple of: WebGPU's default of 256 bytes, which every adapter accepts.
pub const UNIFORM_WORDS: usize = 64;

/// Units that the actions are embedded in where a critic's memory does not see them (`ppo_family.md` §8.5).
pub const EMBEDDED: usize = 64;

/// A dense layer: kernel `[inputs, outputs]`, then the bias; places in words from the member's first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dense {
    pub inputs: usize,
    pub outputs: usize,
    pub kernel: usize,
    pub bias: usize,
    /// The first column with a bias: 0 but in a GRU's recurrent half.
    pub bias_from: usize,
}

impl Dense {
    /// The first place from word `first` on that a uniform binding may begin at.
    pub fn new(first: usize, inputs: usize, outputs: usize) -> Self {
        let first = first.next_multiple_of(UNIFORM_WORDS);
        Self {
            inputs,
            outputs,
            kernel: first,
            bias: first + inputs * outputs,
            bias_from: 0,
        }
    }

    /// The word after its last.
    pub fn end(&self) -> usize {
        self.bias + self.outputs - self.bias_from
    }

    /// Orthogonal kernel with `gain`, zero bias, into a member's words, which are 0.
    pub(crate) fn initialise(&self, words: &mut [f32], seed: u64, stream: u32, gain: f64) {
        let mut normal = Normal::new(seed, stream);
        let kernel = orthogonal(&mut normal, self.inputs, self.outputs, gain);
        words[self.kernel..self.bias].copy_from_slice(&kernel);
    }

    /// A third of the columns at a time, the gates of a GRU, each initialised as a kernel of its own.
    fn initialise_gates(
        &self,
        words: &mut [f32],
        seed: u64,
        stream: u32,
        kernel: fn(&mut Normal, usize, usize) -> Vec<f32>,
    ) {
        let width = self.outputs / 3;
        for gate in 0..3 {
            let mut normal = Normal::new(seed, stream + gate as u32);
            let block = kernel(&mut normal, self.inputs, width);
            for (k, row) in block.chunks_exact(width).enumerate() {
                let at = self.kernel + k * self.outputs + gate * width;
                words[at..at + width].copy_from_slice(row);
            }
        }
    }

    /// Kernel and bias uniform in ±1/√`fan_in`.
    pub(crate) fn initialise_uniform(
        &self,
        words: &mut [f32],
        seed: u64,
        stream: u32,
        fan_in: usize,
    ) {
        let all = self.kernel..self.end();
        words[all.clone()].copy_from_slice(&uniform(seed, stream, all.len(), fan_in));
    }

    pub(crate) fn arrays(&self, name: &str) -> [(String, Range<usize>, Vec<usize>); 2] {
        let shape = vec![self.inputs, self.outputs];
        let bias = vec![self.outputs - self.bias_from];
        [
            (format!("{name}.kernel"), self.kernel..self.bias, shape),
            (format!("{name}.bias"), self.bias..self.end(), bias),
        ]
    }
}

/// Dense, then a GRU cell (`ppo_family.md` §1.1). The gates' columns come in the order r, z, n.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trunk {
    pub embed: Dense,
    /// `[H, 3H]` with a bias per gate.
    pub input: Dense,
    /// `[H, 3H]`; only n has a bias of its own here, the one that the reset gate multiplies.
    pub recurrent: Dense,
}

impl Trunk {
    pub fn new(first: usize, inputs: usize, hidden: usize) -> Self {
        let embed = Dense::new(first, inputs, hidden);
        let input = Dense::new(embed.end(), hidden, 3 * hidden);
        let mut recurrent = Dense::new(input.end(), hidden, 3 * hidden);
        recurrent.bias_from = 2 * hidden;
        Self {
            embed,
            input,
            recurrent,
        }
    }

    pub fn hidden(&self) -> usize {
        self.embed.outputs
    }

    pub fn end(&self) -> usize {
        self.recurrent.end()
    }
}

/// Layer normalisation (Ba et al. 2016): a scale and a shift for each unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Norm {
    pub units: usize,
    pub scale: usize,
    pub shift: usize,
}

impl Norm {
    /// The first place from word `first` on that a uniform binding may begin at, as [`Dense::new`].
    pub fn new(first: usize, units: usize) -> Self {
        let first = first.next_multiple_of(UNIFORM_WORDS);
        Self {
            units,
            scale: first,
            shift: first + units,
        }
    }

    /// The word after its last.
    pub fn end(&self) -> usize {
        self.shift + self.units
    }

    /// Scales of 1, shifts of 0.
    fn initialise(&self, words: &mut [f32]) {
        words[self.scale..self.shift].fill(1.0);
        words[self.shift..self.end()].fill(0.0);
    }

    fn arrays(&self, name: &str) -> [(String, Range<usize>, Vec<usize>); 2] {
        let shape = vec![self.units];
        [
            (
                format!("{name}.scale"),
                self.scale..self.shift,
                shape.clone(),
            ),
            (format!("{name}.shift"), self.shift..self.end(), shape),
        ]
    }
}

/// State and actions embedded apart, and put side by side behind that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Apart {
    /// Of the state, where no trunk does that.
    pub state: Option<Dense>,
    pub actions: Dense,
    /// Whether the trunk reads both, or the state alone.
    pub trunk_behind: bool,
    /// Behind the state's layer, the layer of both and the GRU, as far as there are these; or none at all.
    pub norms: Vec<Norm>,
}

/// Dense layers, an activation after each but the last; behind a recurrent trunk, if there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    pub trunk: Option<Trunk>,
    pub layers: Vec<Dense>,
    /// Of critics that do not read state and actions as one.
    pub apart: Option<Apart>,
    /// First word of a Gaussian policy's `log_std`, a number per output (`ppo_family.md` §1.5): the head gives the means, the
    /// deviations are the same whatever is observed.
    pub log_std: Option<usize>,
    /// Networks like this one that lie one behind another among a member's words, the first of them here: one of each agent, or 1 where
    /// the agents share it.
    pub copies: usize,
    /// The input is taken less its mean, over its deviation (`me_igm.md` §11).
    pub normalised: bool,
    /// Its outputs are means and behind them logarithms of deviations, of numbers that tanh squashes (`me_igm.md` §11).
    pub squashed: bool,
}

impl Network {
    /// Two hidden layers and a head (`ppo_family.md` §1.4).
    pub fn feed_forward(first: usize, inputs: usize, hidden: usize, outputs: usize) -> Self {
        let a = Dense::new(first, inputs, hidden);
        let b = Dense::new(a.end(), hidden, hidden);
        let head = Dense::new(b.end(), hidden, outputs);
        Self {
            trunk: None,
            layers: vec![a, b, head],
            apart: None,
            log_std: None,
            copies: 1,
            normalised: false,
            squashed: false,
        }
    }

    /// A hidden layer and a head behind `trunk` (`ppo_family.md` §1.1–1.3), which two networks may share.
    pub fn recurrent(first: usize, trunk: Trunk, outputs: usize) -> Self {
        let a = Dense::new(first, trunk.hidden(), trunk.hidden());
        let head = Dense::new(a.end(), trunk.hidden(), outputs);
        Self {
            trunk: Some(trunk),
            layers: vec![a, head],
            apart: None,
            log_std: None,
            copies: 1,
            normalised: false,
            squashed: false,
        }
    }

    /// A head alone behind `trunk` (`value_decomposition.md` §2).
    pub fn recurrent_head(first: usize, trunk: Trunk, outputs: usize) -> Self {
        Self {
            trunk: Some(trunk),
            layers: vec![Dense::new(first, trunk.hidden(), outputs)],
            apart: None,
            log_std: None,
            copies: 1,
            normalised: false,
            squashed: false,
        }
    }

    /// A critic whose memory does not see the actions (`ppo_family.md` §8.5, `head`): a trunk, or a dense layer, of the state; [`EMBEDDED`]
    /// units of the actions; a hidden layer of both, and a head. `inputs`: columns of the state and of the actions.
    pub fn actions_late(
        first: usize,
        inputs: [usize; 2],
        hidden: usize,
        recurrent: bool,
        outputs: usize,
    ) -> Self {
        let trunk = recurrent.then(|| Trunk::new(first, inputs[0], hidden));
        let state = (!recurrent).then(|| Dense::new(first, inputs[0], hidden));
        let end = trunk.map_or(first, |t| t.end());
        let end = state.map_or(end, |d| d.end());
        let actions = Dense::new(end, inputs[1], EMBEDDED);
        let both = Dense::new(actions.end(), hidden + EMBEDDED, hidden);
        let head = Dense::new(both.end(), hidden, outputs);
        Self {
            trunk,
            layers: vec![both, head],
            apart: Some(Apart {
                state,
                actions,
                trunk_behind: false,
                norms: vec![],
            }),
            log_std: None,
            copies: 1,
            normalised: false,
            squashed: false,
        }
    }

    /// DAE's reward model (`ppo_family.md` §7.2): a dense layer each of the state and of the actions, a dense layer of both, a GRU if
    /// `recurrent`, and a head; with `normalised` the state's layer, that of both and the GRU are followed by layer normalisation.
    pub fn reward_model(
        first: usize,
        inputs: [usize; 2],
        hidden: usize,
        [recurrent, normalised]: [bool; 2],
        outputs: usize,
    ) -> Self {
        let state = Dense::new(first, inputs[0], hidden);
        let actions = Dense::new(state.end(), inputs[1], hidden);
        let mut end = actions.end();
        let trunk = recurrent.then(|| Trunk::new(end, 2 * hidden, hidden));
        let mut layers = vec![];
        match &trunk {
            Some(trunk) => end = trunk.end(),
            None => {
                layers.push(Dense::new(end, 2 * hidden, hidden));
                end = layers[0].end();
            }
        }
        let mut norms = vec![];
        let count = match (normalised, recurrent) {
            (false, _) => 0,
            (true, false) => 2,
            (true, true) => 3,
        };
        for _ in 0..count {
            norms.push(Norm::new(end, hidden));
            end = norms[norms.len() - 1].end();
        }
        layers.push(Dense::new(end, hidden, outputs));
        Self {
            trunk,
            layers,
            apart: Some(Apart {
                state: Some(state),
                actions,
                trunk_behind: true,
                norms,
            }),
            log_std: None,
            copies: 1,
            normalised: false,
            squashed: false,
        }
    }

    /// The same as a policy for these actions: continuous ones need deviations beside the means.
    pub fn policy_for(mut self, actions: ActionSpace) -> Self {
        if let ActionSpace::Continuous(_) = actions {
            // Where a uniform binding may begin: nothing shares the head's last vector.
            self.log_std = Some(self.end().next_multiple_of(UNIFORM_WORDS));
        }
        self
    }

    /// The same with weights of its own for each of so many agents, each set where a uniform binding may begin.
    pub fn of_each(mut self, agents: usize) -> Self {
        self.copies = agents;
        self
    }

    /// Words from one copy to the next.
    pub fn copy_stride(&self) -> usize {
        let first = self.trunk.as_ref().map_or(&self.layers[0], |t| &t.embed);
        (self.end_of_first() - first.kernel).next_multiple_of(UNIFORM_WORDS)
    }

    /// The network of agent `i` alone. None that embeds state and actions apart has copies.
    pub fn copy(&self, i: usize) -> Self {
        let by = i * self.copy_stride();
        let moved = |layer: &Dense| Dense {
            kernel: layer.kernel + by,
            bias: layer.bias + by,
            ..*layer
        };
        Self {
            trunk: self.trunk.as_ref().map(|t| Trunk {
                embed: moved(&t.embed),
                input: moved(&t.input),
                recurrent: moved(&t.recurrent),
            }),
            layers: self.layers.iter().map(moved).collect(),
            apart: None,
            log_std: self.log_std.map(|first| first + by),
            copies: 1,
            normalised: self.normalised,
            squashed: self.squashed,
        }
    }

    pub fn head(&self) -> &Dense {
        &self.layers[self.layers.len() - 1]
    }

    /// Columns of the input; where state and actions are embedded apart, of the state.
    pub fn inputs(&self) -> usize {
        if let Some(state) = self.apart.as_ref().and_then(|a| a.state.as_ref()) {
            return state.inputs;
        }
        self.trunk
            .as_ref()
            .map_or(self.layers[0].inputs, |t| t.embed.inputs)
    }

    pub fn hidden(&self) -> usize {
        self.trunk
            .as_ref()
            .map_or(self.layers[0].outputs, Trunk::hidden)
    }

    pub fn outputs(&self) -> usize {
        self.head().outputs
    }

    /// Actions to choose among, or numbers of one, that the outputs are about.
    pub fn choices(&self) -> usize {
        self.outputs() / if self.squashed { 2 } else { 1 }
    }

    /// The word after its last, or the last copy's.
    pub fn end(&self) -> usize {
        match self.copies {
            1 => self.end_of_first(),
            copies => (copies - 1) * self.copy_stride() + self.end_of_first(),
        }
    }

    /// The same of the first copy alone.
    pub fn end_of_first(&self) -> usize {
        self.log_std_words()
            .map_or_else(|| self.head().end(), |words| words.end)
    }

    /// Where a Gaussian policy's `log_std` lies.
    pub fn log_std_words(&self) -> Option<Range<usize>> {
        self.log_std.map(|first| first..first + self.outputs())
    }

    /// Orthogonal kernels: hidden layers with gain √2 (2 behind a GRU), the head with `head_gain`; biases are 0.
    /// `stream` is the first of sixteen that the network draws from, and every copy.
    pub fn initialise(&self, words: &mut [f32], seed: u64, stream: u32, head_gain: f64) {
        if self.copies > 1 {
            for i in 0..self.copies {
                let stream = stream + 16 * i as u32;
                self.copy(i).initialise(words, seed, stream, head_gain);
            }
            return;
        }
        let root = std::f64::consts::SQRT_2;
        let gain = if self.trunk.is_some() { 2.0 } else { root };
        self.initialise_with(words, seed, stream, [root, gain, head_gain]);
    }

    /// The same with `gains` of the dense layer in front of a GRU and of embeddings, of hidden layers, and of the head.
    pub fn initialise_with(
        &self,
        words: &mut [f32],
        seed: u64,
        stream: u32,
        [embed, hidden, head]: [f64; 3],
    ) {
        let last = self.layers.len() - 1;
        for (i, layer) in self.layers.iter().enumerate() {
            let gain = if i == last { head } else { hidden };
            layer.initialise(words, seed, stream + i as u32, gain);
        }
        if let Some(trunk) = &self.trunk {
            trunk.embed.initialise(words, seed, stream + 4, embed);
            trunk
                .input
                .initialise_gates(words, seed, stream + 5, lecun_normal);
            trunk
                .recurrent
                .initialise_gates(words, seed, stream + 8, |n, i, o| orthogonal(n, i, o, 1.0));
        }
        if let Some(apart) = &self.apart {
            if let Some(state) = &apart.state {
                state.initialise(words, seed, stream + 12, embed);
            }
            apart.actions.initialise(words, seed, stream + 13, embed);
            apart.norms.iter().for_each(|norm| norm.initialise(words));
        }
    }

    /// All kernels orthogonal with gain 1, as DAE's code has its reward models (`ppo_family.md` §7.2); biases are 0. `stream` is the first
    /// of sixteen that the network draws from.
    pub fn initialise_orthogonal(&self, words: &mut [f32], seed: u64, stream: u32) {
        for (i, layer) in self.layers.iter().enumerate() {
            layer.initialise(words, seed, stream + i as u32, 1.0);
        }
        if let Some(trunk) = &self.trunk {
            let gate = |n: &mut Normal, i, o| orthogonal(n, i, o, 1.0);
            trunk.embed.initialise(words, seed, stream + 4, 1.0);
            trunk.input.initialise_gates(words, seed, stream + 5, gate);
            trunk
                .recurrent
                .initialise_gates(words, seed, stream + 8, gate);
        }
        if let Some(apart) = &self.apart {
            if let Some(state) = &apart.state {
                state.initialise(words, seed, stream + 12, 1.0);
            }
            apart.actions.initialise(words, seed, stream + 13, 1.0);
            apart.norms.iter().for_each(|norm| norm.initialise(words));
        }
    }

    /// Dense layers uniform in ±1/√fan-in, all of the GRU in ±1/√H: the usual initialisation of value decomposition's code
    /// (`value_decomposition.md` §2). `stream` is the first of sixteen that the network draws from.
    pub fn initialise_uniform(&self, words: &mut [f32], seed: u64, stream: u32) {
        for (i, layer) in self.layers.iter().enumerate() {
            layer.initialise_uniform(words, seed, stream + i as u32, layer.inputs);
        }
        if let Some(trunk) = &self.trunk {
            let hidden = trunk.hidden();
            let parts = [&trunk.embed, &trunk.input, &trunk.recurrent];
            let fans = [trunk.embed.inputs, hidden, hidden];
            for (i, (layer, fan_in)) in parts.into_iter().zip(fans).enumerate() {
                layer.initialise_uniform(words, seed, stream + 8 + i as u32, fan_in);
            }
        }
    }

    /// Name, place and shape of every array; those of copies have their number behind `name`.
    pub fn arrays(&self, name: &str) -> Vec<(String, Range<usize>, Vec<usize>)> {
        if self.copies > 1 {
            let of_copy = |i: usize| self.copy(i).arrays(&format!("{name}_{i}"));
            return (0..self.copies).flat_map(of_copy).collect();
        }
        let mut arrays = Vec::new();
        for (i, layer) in self.layers.iter().enumerate() {
            arrays.extend(layer.arrays(&format!("{name}.dense_{i}")));
        }
        if let Some(trunk) = &self.trunk {
            arrays.extend(trunk.embed.arrays(&format!("{name}.embed")));
            arrays.extend(trunk.input.arrays(&format!("{name}.gru_input")));
            arrays.extend(trunk.recurrent.arrays(&format!("{name}.gru_recurrent")));
        }
        if let Some(apart) = &self.apart {
            if let Some(state) = &apart.state {
                arrays.extend(state.arrays(&format!("{name}.state")));
            }
            arrays.extend(apart.actions.arrays(&format!("{name}.actions")));
            for (i, norm) in apart.norms.iter().enumerate() {
                arrays.extend(norm.arrays(&format!("{name}.norm_{i}")));
            }
        }
        if let Some(words) = self.log_std_words() {
            arrays.push((format!("{name}.log_std"), words, vec![self.outputs()]));
        }
        arrays
    }
}
