//! Networks that are more than a stack of dense layers, step by step: a layer reads what an earlier one put out, forward in that order,
//! backward in the other. Every derivative is by what a layer put out before it was activated, as in [`crate::dense`].

use merit_sim::gpu::{Gpu, GpuError, Region};

use crate::dense::{Activate, Backward, Forward, Grad, Rows, Shape};
use crate::kernel::{Bind, Constants, Kernel, Recorder};
use crate::net::{Apart, Dense, Network, Norm, Trunk};
use crate::norm::{LayerNorm, NormGrads};
use crate::recurrent::{GruInput, GruLayers};

const ACTIVATION: &str = include_str!("../../shaders/learn/activation.wgsl");

/// What a layer puts out, or reads: rows `[P, rows, units]`.
#[derive(Clone)]
pub struct Node {
    pub rows: Rows,
    pub units: usize,
    pub ended_with: Activate,
    /// The loss's derivatives; none for what nothing is learned in front of.
    pub grad: Option<Region>,
}

impl Node {
    /// A batch's inputs.
    pub fn input(rows: &Rows, units: usize) -> Self {
        Self {
            rows: rows.clone(),
            units,
            ended_with: Activate::None,
            grad: None,
        }
    }
}

/// What a network ends in: `[P, rows, outputs]`, and in training the derivatives by it.
#[derive(Clone, Copy)]
pub struct Ends<'a> {
    pub output: &'a Region,
    pub output_grad: Option<&'a Region>,
}

struct DenseLayer {
    forward: Forward,
    backward: Option<Backward>,
    grad: Option<Grad>,
}

struct Join {
    forward: Kernel,
    backward: Option<Kernel>,
    groups: [usize; 3],
}

enum Layer {
    Dense(DenseLayer),
    Norm(LayerNorm),
    Gru(Box<GruLayers>),
    Join(Join),
}

/// A network's layers, in order.
pub struct Layers {
    layers: Vec<Layer>,
    /// `[P, rows, H]` and `H` of what is rectified or bounded.
    hidden: Vec<(Region, usize)>,
}

impl Layers {
    pub fn record_forward(&self, to: &mut Recorder) {
        for layer in &self.layers {
            match layer {
                Layer::Dense(layer) => layer.forward.record(to),
                Layer::Norm(layer) => layer.record_forward(to),
                Layer::Gru(layer) => layer.record_forward(to),
                Layer::Join(layer) => layer.forward.record(to, 0, layer.groups),
            }
        }
    }

    /// After a forward pass over the same memory, and after the derivatives by the output.
    pub fn record_backward(&self, to: &mut Recorder) {
        for layer in self.layers.iter().rev() {
            match layer {
                Layer::Dense(layer) => {
                    layer.backward.iter().for_each(|b| b.record(to));
                    layer.grad.iter().for_each(|g| g.record(to));
                }
                Layer::Norm(layer) => layer.record_backward(to),
                Layer::Gru(layer) => layer.record_backward(to),
                Layer::Join(layer) => {
                    layer
                        .backward
                        .iter()
                        .for_each(|b| b.record(to, 0, layer.groups));
                }
            }
        }
    }

    /// What the hidden layers put out, `[P, rows, H]`, with `H`.
    pub fn hidden(&self) -> impl Iterator<Item = (&Region, usize)> {
        self.hidden.iter().map(|(region, units)| (region, *units))
    }

    /// The network's GRU, if it has one.
    pub fn gru(&self) -> Option<&GruLayers> {
        self.layers.iter().find_map(|layer| match layer {
            Layer::Gru(gru) => Some(&**gru),
            _ => None,
        })
    }
}

/// Puts [`Layers`] together.
pub struct Builder<'a> {
    pub gpu: &'a Gpu,
    pub shape: &'a Shape,
    /// `[P, stride]`
    pub params: &'a Region,
    /// Where the gradients of the weights go, in training.
    pub partials: Option<&'a Region>,
    /// Steps and sequences of what a GRU goes through.
    pub sequences: [usize; 2],
    layers: Vec<Layer>,
    hidden: Vec<(Region, usize)>,
}

impl<'a> Builder<'a> {
    pub fn new(
        gpu: &'a Gpu,
        shape: &'a Shape,
        params: &'a Region,
        partials: Option<&'a Region>,
        sequences: [usize; 2],
    ) -> Self {
        Self {
            gpu,
            shape,
            params,
            partials,
            sequences,
            layers: vec![],
            hidden: vec![],
        }
    }

    /// What has been put together, to be recorded as one.
    pub fn finish(self) -> Layers {
        Layers {
            layers: self.layers,
            hidden: self.hidden,
        }
    }

    fn words(&self, what: &str, units: usize) -> Region {
        let words = self.shape.members * self.shape.rows * units;
        self.gpu.storage(what, 4 * words as u64)
    }

    fn node(&self, units: usize, ended_with: Activate) -> Node {
        Node {
            rows: Rows::packed(&self.words("activations", units), units),
            units,
            ended_with,
            grad: self
                .partials
                .map(|_| self.words("activation gradients", units)),
        }
    }

    pub fn dense(&mut self, layer: &Dense, activate: Activate, x: &Node) -> Node {
        let y = self.node(layer.outputs, activate);
        let ends = Ends {
            output: &y.rows.region,
            output_grad: y.grad.as_ref(),
        };
        self.push_dense(layer, activate, x, ends);
        if activate != Activate::None {
            self.hidden.push((y.rows.region.clone(), y.units));
        }
        y
    }

    /// The last layer.
    pub fn head(&mut self, layer: &Dense, x: &Node, ends: Ends<'_>) {
        self.push_dense(layer, Activate::None, x, ends);
    }

    fn push_dense(&mut self, layer: &Dense, activate: Activate, x: &Node, ends: Ends<'_>) {
        let (gpu, shape, params) = (self.gpu, self.shape, self.params);
        let backward = match (&x.grad, ends.output_grad) {
            (Some(dx), Some(dy)) => Some(Backward::new(
                gpu,
                shape,
                layer,
                x.ended_with,
                params,
                dy,
                &x.rows.region,
                dx,
                false,
            )),
            _ => None,
        };
        let grad = match (self.partials, ends.output_grad) {
            (Some(partials), Some(dy)) => Some(Grad::new(gpu, shape, layer, &x.rows, dy, partials)),
            _ => None,
        };
        self.layers.push(Layer::Dense(DenseLayer {
            forward: Forward::new(gpu, shape, layer, activate, params, &x.rows, ends.output),
            backward,
            grad,
        }));
    }

    /// Layer normalisation, where there is one.
    pub fn norm(&mut self, norm: Option<&Norm>, x: &Node) -> Node {
        let Some(norm) = norm else {
            return x.clone();
        };
        let y = self.node(norm.units, Activate::None);
        let grads = match (self.partials, &x.grad, &y.grad) {
            (Some(partials), Some(dx), Some(dy)) => Some(NormGrads {
                y: dy,
                x: dx,
                below: x.ended_with,
                partials,
            }),
            _ => None,
        };
        let ends = [&x.rows.region, &y.rows.region];
        let (gpu, shape, params) = (self.gpu, self.shape, self.params);
        let layer = LayerNorm::new(gpu, shape, norm, params, ends, grads);
        self.layers.push(Layer::Norm(layer));
        y
    }

    /// Two side by side.
    pub fn join(&mut self, left: &Node, right: &Node) -> Node {
        let both = self.node(left.units + right.units, Activate::None);
        let constants = Constants::default()
            .uint("ROWS", self.shape.rows)
            .uint("LEFT", left.units)
            .uint("RIGHT", right.units)
            .uint("LEFT_ACT", left.ended_with as usize)
            .uint("RIGHT_ACT", right.ended_with as usize);
        let (x, y) = (&left.rows.region, &right.rows.region);
        let binds = [Bind::Read(x), Bind::Read(y), Bind::Write(&both.rows.region)];
        let files = [include_str!("../../shaders/learn/join.wgsl")];
        let forward = Kernel::new(self.gpu, "join", &constants, &files, &binds);
        let backward = match (&both.grad, &left.grad, &right.grad) {
            (Some(grad), Some(dx), Some(dy)) => {
                let binds = [
                    Bind::Read(x),
                    Bind::Read(y),
                    Bind::Read(grad),
                    Bind::Write(dx),
                    Bind::Write(dy),
                ];
                let files = [ACTIVATION, include_str!("../../shaders/learn/split.wgsl")];
                Some(Kernel::new(self.gpu, "split", &constants, &files, &binds))
            }
            _ => None,
        };
        self.layers.push(Layer::Join(Join {
            forward,
            backward,
            groups: [self.shape.rows.div_ceil(8), self.shape.members, 1],
        }));
        both
    }

    /// The trunk's cell.
    ///
    /// # Errors
    /// [`GpuError::TooLarge`].
    pub fn gru(&mut self, trunk: &Trunk, x: &Node) -> Result<Node, GpuError> {
        let grads = match (self.partials, &x.grad) {
            (Some(partials), Some(dx)) => Some([dx, partials]),
            _ => None,
        };
        let input = GruInput {
            x: &x.rows.region,
            below: x.ended_with,
            grads,
        };
        let sequences = self.sequences;
        let gru = GruLayers::new(self.gpu, self.shape, sequences, trunk, self.params, &input)?;
        let y = Node {
            rows: gru.output.clone(),
            units: trunk.hidden(),
            ended_with: Activate::None,
            grad: grads.map(|_| gru.output_grad.clone()),
        };
        self.layers.push(Layer::Gru(Box::new(gru)));
        Ok(y)
    }

    /// What a network makes of the state alone: the input itself, where it does not read the actions apart.
    ///
    /// # Errors
    /// [`GpuError::TooLarge`].
    pub fn of_state(
        &mut self,
        net: &Network,
        activate: Activate,
        state: &Node,
    ) -> Result<Node, GpuError> {
        let Some(apart) = &net.apart else {
            return Ok(state.clone());
        };
        match (&apart.state, &net.trunk) {
            (Some(layer), _) => {
                let s = self.dense(layer, activate, state);
                Ok(self.norm(apart.norms.first(), &s))
            }
            (None, Some(trunk)) => {
                let s = self.dense(&trunk.embed, activate, state);
                self.gru(trunk, &s)
            }
            (None, None) => Ok(state.clone()),
        }
    }

    /// The rest, from [`Builder::of_state`] and, where they are read apart, the actions.
    ///
    /// # Errors
    /// [`GpuError::TooLarge`].
    pub fn of_actions(
        &mut self,
        net: &Network,
        activate: Activate,
        state: &Node,
        actions: &Node,
        ends: Ends<'_>,
    ) -> Result<(), GpuError> {
        let mut x = match &net.apart {
            None => state.clone(),
            Some(apart) => {
                let told = self.dense(&apart.actions, activate, actions);
                self.join(state, &told)
            }
        };
        let behind = |apart: &Apart| apart.trunk_behind;
        if let (Some(trunk), true) = (&net.trunk, net.apart.as_ref().is_none_or(behind)) {
            x = self.dense(&trunk.embed, activate, &x);
            x = self.norm(norm_of(net, 1), &x);
            x = self.gru(trunk, &x)?;
            x = self.norm(norm_of(net, 2), &x);
        }
        let (head, inner) = match net.layers.split_last() {
            Some(split) => split,
            None => return Ok(()),
        };
        for layer in inner {
            x = self.dense(layer, activate, &x);
            if net.trunk.is_none() {
                x = self.norm(norm_of(net, 1), &x);
            }
        }
        self.head(head, &x, ends);
        Ok(())
    }
}

fn norm_of(net: &Network, i: usize) -> Option<&Norm> {
    net.apart.as_ref()?.norms.get(i)
}
