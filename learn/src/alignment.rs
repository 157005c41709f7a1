//! How far the joint action that a mixer ranks first is above the one that the agents' policies would take (`me_igm.md` §7): 0 where
//! the decomposition keeps the team's argmax.
//!
//! All joint actions of some states of the last batch are enumerated, where they are not too many, when a report is made: not within
//! an update. The networks are evaluated by burn with the mixer's own function.

use burn::tensor::{Tensor, TensorData, activation};
use merit_sim::gpu::GpuError;

use crate::LearnError;
use crate::burn_device::BurnDevice;
use crate::decomposition::{HyperNet, Utilities};
use crate::net::Dense;
use crate::q_learning::QLearner;
use crate::q_loss::MASK;

/// States that are looked at, at most.
const STATES: usize = 16;
/// Joint actions of them, all together, at most: a few megabytes of activations.
const ROWS: usize = 1 << 16;

/// Of one member.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Alignment {
    /// Mean over the states of max Q_tot - Q_tot(û), û what the agents rank first.
    pub gap: f64,
    /// Mean over the states of max Q_tot.
    pub best: f64,
}

/// Of every member; nothing where joint actions are too many or no batch has been drawn. Waits for the device.
///
/// # Errors
/// [`LearnError`].
pub fn alignment(q: &QLearner) -> Result<Option<Vec<Alignment>>, LearnError> {
    let (s, mixing) = (&q.sizes, q.decomposition.mixing);
    let actions = s.outputs();
    let joint = u32::try_from(s.agents)
        .ok()
        .and_then(|agents| actions.checked_pow(agents))
        .filter(|n| *n <= ROWS);
    // Independent learners have no joint value.
    let Some(joint) = joint.filter(|_| q.decomposition.values == 1) else {
        return Ok(None);
    };
    let rows = q.replay.sizes.rows();
    let burn = BurnDevice::new(&q.gpu)?;
    let read =
        |region: &merit_sim::gpu::Region| -> Result<Vec<f32>, GpuError> { q.gpu.read(region) };
    let (utilities, allowed) = (read(&q.online.q)?, read(&q.batch.allowed)?);
    let hidden = read(&q.online.hidden.region)?;
    let (states, mask) = (
        read(&q.batch.state_input.region)?,
        read(&q.loss.batch.part(MASK))?,
    );
    let params = read(&q.adam.params)?;
    let stride = params.len() / s.members;
    let (width, per_row) = (q.batch.state_input.stride, s.agents * actions);

    let mut found = Vec::new();
    for p in 0..s.members {
        let steps: Vec<usize> = (0..rows).filter(|r| mask[p * rows + r] > 0.0).collect();
        if steps.is_empty() {
            return Ok(None);
        }
        // Spread over the batch: its first slots, then later ones.
        let count = steps.len().min(STATES).min(ROWS / joint).max(1);
        let chosen = (0..count).map(|i| p * rows + steps[i * steps.len() / count]);
        let (mut state, mut with_actions, mut taken, mut best) = (vec![], vec![], vec![], vec![]);
        let (mut may, mut mode) = (vec![], vec![]);
        // Of QTRAN: what every agent remembers, with each of its actions, and the states again.
        let (mut seen, mut of_states) = (vec![], vec![]);
        for row in chosen {
            let at = row * per_row;
            let of_agent = |a: usize, n: usize| {
                let i = at + a * actions + n;
                (utilities[i], allowed[i] > 0.0)
            };
            let firsts: Vec<usize> = (0..s.agents)
                .map(|a| {
                    let there = (0..actions).filter(|&n| of_agent(a, n).1);
                    // The first of several.
                    let first = there
                        .rev()
                        .max_by(|x, y| of_agent(a, *x).0.total_cmp(&of_agent(a, *y).0));
                    first.unwrap_or(0)
                })
                .collect();
            for a in 0..s.agents {
                let remembers = &hidden[(row * s.agents + a) * q.online.hidden.stride..];
                for n in 0..actions {
                    seen.extend_from_slice(&remembers[..q.online.hidden.stride]);
                    seen.extend((0..actions).map(|k| f32::from(u8::from(k == n))));
                }
            }
            of_states.push(&states[row * width..][..s.state]);
            for u in 0..joint {
                let action = |a: usize| u / actions.pow(a as u32) % actions;
                let here = &states[row * width..][..s.state];
                state.extend_from_slice(here);
                if q.decomposition.joint() {
                    with_actions.extend_from_slice(here);
                    let one_hot = (0..per_row)
                        .map(|k| f32::from(u8::from(action(k / actions) == k % actions)));
                    with_actions.extend(one_hot);
                }
                taken.extend((0..s.agents).map(|a| of_agent(a, action(a)).0));
                best.extend((0..s.agents).map(|a| of_agent(a, firsts[a]).0));
                may.push((0..s.agents).all(|a| of_agent(a, action(a)).1));
                mode.push((0..s.agents).all(|a| action(a) == firsts[a]));
            }
        }
        let n = count * joint;
        let tensor_of = |data: Vec<f32>, rows: usize, width: usize| {
            Tensor::<3>::from_data(TensorData::new(data, [1, rows, width]), &burn.device)
        };
        let tensor = |data: Vec<f32>, width: usize| tensor_of(data, n, width);
        let host = |values: Tensor<3>| -> Result<Vec<f32>, LearnError> {
            let values = values.into_data().try_to_vec();
            values.map_err(|e| LearnError::Burn(format!("reading joint values: {e:?}")))
        };
        let inputs = [
            tensor(state, s.state),
            match q.decomposition.joint() {
                true => tensor(with_actions, s.state + per_row),
                false => tensor(vec![0.0; n], 1),
            },
        ];
        let words = &params[p * stride..(p + 1) * stride];
        let nets = &q.decomposition.nets[..mixing];
        let mut outputs: Vec<_> = nets
            .iter()
            .map(|net| evaluate(&burn, net, words, &inputs[usize::from(net.sees_actions)]))
            .collect();
        if let [agent, team] = &q.decomposition.own.nets[..] {
            let rows = count * s.agents * actions;
            let columns = q.online.hidden.stride + actions;
            let codes = host(evaluate(
                &burn,
                agent,
                words,
                &tensor_of(seen, rows, columns),
            ))?;
            let code = agent.outputs();
            let mut joined = Vec::with_capacity(n * (code + s.state));
            for (i, state) in of_states.iter().enumerate() {
                for u in 0..joint {
                    let of_agent = |a: usize| {
                        let action = u / actions.pow(a as u32) % actions;
                        &codes[((i * s.agents + a) * actions + action) * code..][..code]
                    };
                    joined.extend(
                        (0..code).map(|c| (0..s.agents).map(|a| of_agent(a)[c]).sum::<f32>()),
                    );
                    joined.extend_from_slice(state);
                }
            }
            outputs.push(evaluate(
                &burn,
                team,
                words,
                &tensor(joined, code + s.state),
            ));
        }
        let of_agents = Utilities {
            taken: tensor(taken, s.agents),
            best: tensor(best, s.agents),
        };
        let values = host((q.decomposition.mix)(&of_agents, &outputs))?;
        let (mut gap, mut top_sum) = (0.0, 0.0);
        for i in 0..count {
            let of_state = i * joint..(i + 1) * joint;
            let top = of_state
                .clone()
                .filter(|&u| may[u])
                .map(|u| f64::from(values[u]));
            let top = top.fold(f64::MIN, f64::max);
            let at_mode = of_state
                .into_iter()
                .find(|&u| mode[u])
                .map_or(top, |u| f64::from(values[u]));
            gap += (top - at_mode) / count as f64;
            top_sum += top / count as f64;
        }
        found.push(Alignment { gap, best: top_sum });
    }
    Ok(Some(found))
}

/// A member's network, ReLU between its layers.
fn evaluate(burn: &BurnDevice, net: &HyperNet, words: &[f32], input: &Tensor<3>) -> Tensor<3> {
    let mut x = input.clone();
    for (i, layer) in net.layers.iter().enumerate() {
        let tensor = |place: std::ops::Range<usize>, shape: [usize; 3]| {
            let data = TensorData::new(words[place].to_vec(), shape);
            Tensor::<3>::from_data(data, &burn.device)
        };
        let Dense {
            inputs,
            outputs,
            kernel,
            bias,
            ..
        } = *layer;
        let weights = tensor(kernel..bias, [1, inputs, outputs]);
        x = x.matmul(weights) + tensor(bias..layer.end(), [1, 1, outputs]);
        if i + 1 < net.layers.len() {
            x = activation::relu(x);
        }
    }
    x
}
