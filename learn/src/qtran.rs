//! QTRAN-base (Son et al. 2019; `value_decomposition.md` §8): a joint value without any structure, and utilities whose sum is bound to it
//! by two losses, so that the agents' best actions are the team's.
//!
//! ```text
//! Q_jt(s, u) = f(Σ_i e(h_i, u_i), s), h_i what agent i's network remembers;  V_jt(s)
//! L_td   = (Q_jt(s, u) - y)²,  y = r + γ (1 - d) Q_jt⁻(s', ū'),  ū' = argmax Q_i(τ_i', ·)
//! L_opt  = (Σ_i Q_i(ū_i) - Q_jt(s, ū) + V_jt(s))²,               ū = argmax Q_i(τ_i, ·)
//! L_nopt = min(0, Σ_i Q_i(u_i) - Q_jt(s, u) + V_jt(s))²
//! ```
//!
//! The latter two leave Q_jt as it is; one step of the optimiser goes along L_td + λ_opt L_opt + λ_nopt L_nopt. [`crate::q_learning`] has
//! the loop.

use burn::tensor::{Tensor, activation};
use merit_sim::gpu::{Gpu, Region};

use crate::LearnError;
use crate::agents::Agents;
use crate::burn_device::Flat;
use crate::config::Config;
use crate::decomposition::{Decomposition, HyperNet, Own};
use crate::dense::{Activate, Backward, Rows, Shape, Stack};
use crate::kernel::{Bind, Constants, Recorder};
use crate::loss::sum_over_rows;
use crate::net::Dense;
use crate::q_loss::{BEST, GOAL, LossOutputs, MASK, QLoss, TAKEN, reported, unstrided};
use crate::replay::{Batch, OverLive};
use crate::sizes::Sizes;

/// In front of the loss behind the mask: V_jt(s), Q_jt(s, u), Q_jt(s, ū), `[P, R, 1]` each.
const VALUE: usize = MASK + 1;
const JOINT: usize = MASK + 2;
const JOINT_BEST: usize = MASK + 3;

const REPORTED: [&str; 6] = [
    "td_loss",
    "td_error",
    "q_taken",
    "q_target",
    "opt_loss",
    "nopt_loss",
];

/// V_jt, then e and f, behind word `first` of a member's parameters.
pub fn decomposition(config: &Config, sizes: &Sizes, first: usize) -> Decomposition {
    let (state, embed) = (sizes.state, config.mixing_embed);
    let code = config.hidden + sizes.outputs();
    let v = HyperNet::new(first, "mixer.v", &[state, embed, embed, 1]);
    let e = HyperNet::new(v.end(), "mixer.agent", &[code, code, code]);
    let f = HyperNet::new(e.end(), "mixer.joint", &[code + state, embed, embed, 1]);
    let weights = [config.opt_coef, config.nopt_coef];
    Decomposition {
        nets: vec![v],
        mixing: 0,
        values: 1,
        // Of the target nothing but its joint value is asked.
        mix: Box::new(|_, outputs| outputs[0].clone()),
        fit: None,
        own: Own {
            nets: vec![e, f],
            learned: vec![1],
            given: vec![1],
            target: vec![1],
            loss: Some((Box::new(move |batch| loss(batch, weights)), &REPORTED)),
        },
    }
}

/// L_td + λ_opt L_opt + λ_nopt L_nopt, means over the steps of a batch. The members' losses are added, so that the gradient of a member's
/// part is its own loss's.
fn loss(batch: &Flat, [opt, nopt]: [f64; 2]) -> LossOutputs {
    let tensor = |i: usize| Tensor::<3>::from_inner(batch.tensor(i));
    let [taken, best] = [TAKEN, BEST].map(|i| tensor(i).require_grad());
    let [value, joint] = [VALUE, JOINT].map(|i| tensor(i).require_grad());
    let (joint_best, goal, mask) = (tensor(JOINT_BEST), tensor(GOAL), tensor(MASK));
    let steps = sum_over_rows(mask.clone()).clamp_min(1.0);
    // `[P, 1, 1]`
    let mean = |x: Tensor<3>| sum_over_rows(x * mask.clone()) / steps.clone();
    let square = |x: Tensor<3>| x.clone() * x;

    let error = joint.clone() - goal.clone();
    let of_best = best.clone().sum_dim(2) - joint_best + value.clone();
    let of_taken = taken.clone().sum_dim(2) - joint.clone().detach() + value.clone();
    let td_loss = mean(square(error.clone()));
    let opt_loss = mean(square(of_best));
    let nopt_loss = mean(square(activation::relu(-of_taken)));
    let loss = td_loss.clone() + opt_loss.clone() * opt + nopt_loss.clone() * nopt;
    let mut grads = loss.sum().backward();
    let said = [
        td_loss,
        mean(error.abs()),
        mean(joint.clone()),
        mean(goal),
        opt_loss,
        nopt_loss,
    ];
    let mut grad = |x: &Tensor<3>| x.grad_remove(&mut grads).map(unstrided);
    LossOutputs {
        taken_grad: grad(&taken),
        best_grad: grad(&best),
        net_grads: vec![grad(&value), grad(&joint)],
        diagnostics: reported(said.to_vec()),
    }
}

/// Q_jt over a batch, of some joint action.
struct Evaluated {
    see: OverLive,
    agents: Stack,
    team: OverLive,
    joint: Stack,
}

impl Evaluated {
    fn record(&self, to: &mut Recorder) {
        self.see.record(to);
        self.agents.record_forward(to);
        self.team.record(to);
        self.joint.record_forward(to);
    }
}

/// Q_jt of what was done, of what the agents rank first, and the target's of that; and back from the first to the agents.
pub struct JointValue {
    done: Evaluated,
    best: Evaluated,
    target: Evaluated,
    /// From f's first layer to Σ e_i.
    into_team: Backward,
    /// From there to every e_i.
    into_agents: OverLive,
    /// From e's first layer to h_i.
    into_hidden: Backward,
}

/// What [`JointValue`] is a part of.
pub struct Around<'a> {
    pub sizes: &'a Sizes,
    pub decomposition: &'a Decomposition,
    pub batch: &'a Batch,
    pub loss: &'a QLoss,
    pub online: &'a Agents,
    pub target: &'a Agents,
    pub params: &'a Region,
    pub target_params: &'a Region,
    pub partials: &'a Region,
}

/// The first `inputs` of a layer's inputs, for the way back to them alone.
fn part_of(layer: &Dense, inputs: usize) -> Dense {
    Dense {
        inputs,
        bias: layer.kernel + inputs * layer.outputs,
        ..*layer
    }
}

impl JointValue {
    /// None for decompositions without such networks.
    ///
    /// # Errors
    /// [`LearnError::Gpu`] where a batch does not fit.
    pub fn new(gpu: &Gpu, a: &Around<'_>) -> Result<Option<Self>, LearnError> {
        let ([e, f], Some(hidden_grad)) = (&a.decomposition.own.nets[..], &a.online.hidden_grad)
        else {
            return Ok(None);
        };
        let (s, batch) = (a.sizes, a.batch);
        let (agent_shape, state_shape) = (&batch.agent_shape, &batch.state_shape);
        let (code, input) = (e.outputs(), f.layers[0].inputs);
        // Of a slot of an episode, in whole vectors.
        let widest = (s.agents * code.next_multiple_of(4)).max(input.next_multiple_of(4));
        let slots = state_shape.rows / batch.episodes;
        gpu.check_fits(
            "a batch's joint networks",
            4 * (s.members * slots * widest) as u64,
            batch.episodes as u64,
            "episodes in a batch",
        )?;
        let words = |n: usize| gpu.storage("joint value", 4 * (s.members * n) as u64);
        let (agent_rows, state_rows) = (agent_shape.rows, state_shape.rows);
        let team_grad = words(state_rows * code);
        let code_grad = words(agent_rows * code);

        let see = |agents: &Agents, actions: &Region, to: &Rows| {
            let constants = Constants::default()
                .uint("ROWS", agent_rows)
                .uint("INPUT", to.stride)
                .uint("HIDDEN", agents.hidden.stride)
                .uint("N", s.outputs());
            let binds = [
                Bind::Write(&agents.hidden.region),
                Bind::Write(actions),
                Bind::Write(&to.region),
            ];
            let file = include_str!("../../shaders/learn/qtran_see.wgsl");
            let words = agent_rows * to.stride;
            OverLive::new(
                gpu,
                "qtran_see",
                constants,
                agent_shape,
                file,
                &binds,
                words,
            )
        };
        let team = |entry: &str, codes: &Region, to: &Rows, per_row: usize| {
            let constants = Constants::default()
                .uint("ROWS", state_rows)
                .uint("AGENTS", s.agents)
                .uint("CODE", code)
                .uint("STATE", s.state)
                .uint("STATE_STRIDE", batch.state_input.stride)
                .uint("INPUT", to.stride);
            let binds = [
                Bind::Write(codes),
                Bind::Write(&batch.state_input.region),
                Bind::Write(&to.region),
                Bind::Write(&team_grad),
            ];
            let file = include_str!("../../shaders/learn/qtran_team.wgsl");
            let words = state_rows * per_row;
            OverLive::new(gpu, entry, constants, state_shape, file, &binds, words)
        };
        // With derivatives where `grad` has that of the value.
        let evaluated = |agents: &Agents,
                         actions: &Region,
                         params: &Region,
                         output: &Region,
                         grad: Option<&Region>| {
            let seen = Rows::padded(
                gpu,
                "what agents remember and do",
                s.members * agent_rows,
                code,
            );
            let codes = words(agent_rows * code);
            let joined = Rows::padded(gpu, "the team and its state", s.members * state_rows, input);
            let stack =
                |shape: &Shape, net: &HyperNet, x: &Rows, y: &Region, dy: Option<&Region>| match dy
                {
                    Some(dy) => Stack::new(
                        gpu,
                        shape,
                        &net.layers,
                        Activate::Relu,
                        params,
                        x,
                        None,
                        y,
                        dy,
                        a.partials,
                    ),
                    None => Stack::evaluated(gpu, shape, &net.layers, Activate::Relu, params, x, y),
                };
            let all = Evaluated {
                see: see(agents, actions, &seen),
                agents: stack(agent_shape, e, &seen, &codes, grad.map(|_| &code_grad)),
                team: team("qtran_team", &codes, &joined, joined.stride),
                joint: stack(state_shape, f, &joined, output, grad),
            };
            (all, joined)
        };
        let (nets, loss) = (a.decomposition.nets.len(), a.loss);
        let (done, joined) = evaluated(
            a.online,
            &batch.done,
            a.params,
            &loss.output(nets, false),
            Some(&loss.net_grads[nets]),
        );
        let (best, _) = evaluated(
            a.online,
            &batch.next,
            a.params,
            &loss.output(nets + 1, false),
            None,
        );
        let (target, _) = evaluated(
            a.target,
            &batch.next,
            a.target_params,
            &loss.output(0, true),
            None,
        );
        let back = |shape: &Shape,
                    layer: &Dense,
                    below: Activate,
                    dy: &Region,
                    x: &Region,
                    dx: &Region,
                    add: bool| {
            Backward::new(gpu, shape, layer, below, a.params, dy, x, dx, add)
        };
        Ok(Some(Self {
            into_team: back(
                state_shape,
                &part_of(&f.layers[0], code),
                Activate::None,
                &done.joint.hidden_grads()[0],
                &joined.region,
                &team_grad,
                false,
            ),
            into_agents: team("qtran_agents", &code_grad, &joined, s.agents * code),
            into_hidden: back(
                agent_shape,
                &part_of(&e.layers[0], a.online.hidden.stride),
                a.online.hidden_activation,
                &done.agents.hidden_grads()[0],
                &a.online.hidden.region,
                hidden_grad,
                true,
            ),
            done,
            best,
            target,
        }))
    }

    /// Behind the kernel that says what the agents rank first.
    pub fn record_forward(&self, to: &mut Recorder) {
        for joint in [&self.done, &self.best, &self.target] {
            joint.record(to);
        }
    }

    /// Up to the derivatives of what the agents' networks remember, which it adds to.
    pub fn record_backward(&self, to: &mut Recorder) {
        self.done.joint.record_backward(to);
        self.into_team.record(to);
        self.into_agents.record(to);
        self.done.agents.record_backward(to);
        self.into_hidden.record(to);
    }
}
