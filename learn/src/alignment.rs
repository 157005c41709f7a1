//! How far the joint action that a mixer ranks first is above the one that the agents' policies would take (`me_igm.md` §7): 0 where
//! the decomposition keeps the team's argmax.
//!
//! All joint actions that some states of the last batch allow are enumerated, where they are not too many, when a report is made: not
//! within an update. The networks are evaluated by burn with the mixer's own function, those of states once a state.

use burn::tensor::{Int, Tensor, TensorData, activation};
use merit_sim::gpu::{Gpu, GpuError, Region};

use crate::LearnError;
use crate::burn_device::BurnDevice;
use crate::decomposition::{Decomposition, HyperNet, Utilities};
use crate::dense::Rows;
use crate::net::Dense;
use crate::q_learning::QLearner;
use crate::q_loss::MASK;
use crate::replay::Batch;
use crate::sizes::Sizes;

/// States that are looked at, at most.
const STATES: usize = 16;
/// Joint actions, allowed or not, with which a gap is looked for: five agents of ten actions, as in the thesis's figure 2.2. With more, the states
/// that allow few enough would be the ends of battles alone.
const JOINT_ACTIONS: usize = 1 << 17;
/// Allowed joint actions of the states, all together, at most: some fifty megabytes of activations; fewer where networks see the actions.
const ROWS: usize = 1 << 16;
const ROWS_WITH_ACTIONS: usize = 1 << 14;

/// Of one member.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Alignment {
    /// Mean over the states of max Q_tot - Q_tot(û), û what the agents rank first.
    pub gap: f64,
    /// Mean over the states of max Q_tot.
    pub best: f64,
}

/// Of an agent's utilities, each with whether it is allowed: the one that a mixer takes beside that of the action.
pub type Best<'a> = &'a dyn Fn(&[(f32, bool)]) -> f32;

/// What a joint value is made of.
pub struct Joint<'a> {
    pub decomposition: &'a Decomposition,
    /// `[P, SLOTS, B, A, N]`
    pub q: &'a Region,
    pub best: Best<'a>,
    /// `[P, SLOTS, B, A, H]`: what the agents remember, where the decomposition has networks of it ([`crate::qtran`]).
    pub hidden: Option<&'a Rows>,
}

/// The last batch, and what ranks its joint actions.
pub struct Ranked<'a> {
    pub gpu: &'a Gpu,
    pub sizes: &'a Sizes,
    pub batch: &'a Batch,
    /// `[P, SLOTS, B]`
    pub mask: &'a Region,
    /// `[P, SLOTS, B, A, N]`: agents do what is largest here.
    pub preferences: &'a Region,
    /// `[P, stride]`: of the mixers' networks.
    pub params: &'a Region,
    /// The joint value is the least of these.
    pub joint: &'a [Joint<'a>],
}

/// Of every member; nothing where joint actions are too many or no batch has been drawn. Waits for the device.
///
/// # Errors
/// [`LearnError`].
pub fn alignment(q: &QLearner) -> Result<Option<Vec<Alignment>>, LearnError> {
    // Independent learners have no joint value.
    if q.decomposition.values != 1 {
        return Ok(None);
    }
    let joint = Joint {
        decomposition: &q.decomposition,
        q: &q.online.q,
        best: &|utilities| {
            let allowed = utilities.iter().filter(|(_, allowed)| *allowed);
            allowed.map(|(q, _)| *q).fold(f32::MIN, f32::max)
        },
        hidden: Some(&q.online.hidden),
    };
    of_batch(&Ranked {
        gpu: &q.run.gpu,
        sizes: &q.run.sizes,
        batch: &q.batch,
        mask: &q.loss.batch.part(MASK),
        preferences: &q.online.q,
        params: &q.adam.params,
        joint: &[joint],
    })
}

/// As [`alignment`], of what ranks a batch's joint actions.
///
/// # Errors
/// [`LearnError`].
pub fn of_batch(ranked: &Ranked<'_>) -> Result<Option<Vec<Alignment>>, LearnError> {
    let s = ranked.sizes;
    let actions = s.outputs();
    let joint = u32::try_from(s.agents).ok();
    let joint = joint.and_then(|agents| actions.checked_pow(agents));
    let Some(joint) = joint.filter(|n| *n <= JOINT_ACTIONS) else {
        return Ok(None);
    };
    let batch = ranked.batch;
    let rows = batch.state_shape.rows;
    let burn = BurnDevice::new(ranked.gpu)?;
    let read = |region: &Region| -> Result<Vec<f32>, GpuError> { ranked.gpu.read(region) };
    let (preferences, allowed) = (read(ranked.preferences)?, read(&batch.allowed)?);
    let utilities = ranked.joint.iter().map(|j| read(j.q));
    let utilities = utilities.collect::<Result<Vec<_>, _>>()?;
    let hidden = ranked.joint.iter().map(|j| match j.hidden {
        Some(rows) if !j.decomposition.own.nets.is_empty() => read(&rows.region),
        _ => Ok(vec![]),
    });
    let hidden = hidden.collect::<Result<Vec<_>, _>>()?;
    let (states, mask) = (read(&batch.state_input.region)?, read(ranked.mask)?);
    let params = read(ranked.params)?;
    let stride = params.len() / s.members;
    let (width, per_row) = (batch.state_input.stride, s.agents * actions);
    let sees_actions = ranked.joint.iter().any(|j| j.decomposition.joint());

    let mut found = Vec::new();
    for p in 0..s.members {
        let steps: Vec<usize> = (0..rows).filter(|r| mask[p * rows + r] > 0.0).collect();
        if steps.is_empty() {
            return Ok(None);
        }
        // Spread over the batch: its first slots, then later ones.
        let count = steps.len().min(STATES);
        let spread = (0..count).map(|i| p * rows + steps[i * steps.len() / count]);
        let most = if sees_actions {
            ROWS_WITH_ACTIONS
        } else {
            ROWS
        };
        let (mut chosen, mut plays, mut n) = (vec![], vec![], 0);
        for row in spread {
            let may_do = |a: usize, n: usize| allowed[row * per_row + a * actions + n] > 0.0;
            let each: Vec<Vec<usize>> = (0..s.agents)
                .map(|a| (0..actions).filter(|&n| may_do(a, n)).collect())
                .collect();
            let all: usize = each.iter().map(Vec::len).product();
            if all > 0 && n + all <= most {
                n += all;
                chosen.push(row);
                plays.push(joint_actions(&each));
            }
        }
        if chosen.is_empty() {
            return Ok(None);
        }
        let (mut state, mut of_state, mut with_actions) = (vec![], vec![], vec![]);
        let (mut taken, mut best) = (
            vec![vec![]; ranked.joint.len()],
            vec![vec![]; ranked.joint.len()],
        );
        let mut mode = vec![];
        for (i, (&row, plays)) in chosen.iter().zip(&plays).enumerate() {
            let at = row * per_row;
            let may_do = |a: usize, n: usize| allowed[at + a * actions + n] > 0.0;
            let firsts: Vec<usize> = (0..s.agents)
                .map(|a| {
                    let there = (0..actions).filter(|&n| may_do(a, n));
                    let of = |n: &usize| preferences[at + a * actions + n];
                    // The first of several.
                    let first = there.rev().max_by(|x, y| of(x).total_cmp(&of(y)));
                    first.unwrap_or(0)
                })
                .collect();
            let bests: Vec<Vec<f32>> = ranked
                .joint
                .iter()
                .zip(&utilities)
                .map(|(joint, q)| {
                    let of_agent = |a: usize| {
                        let each = (0..actions).map(|n| (q[at + a * actions + n], may_do(a, n)));
                        (joint.best)(&each.collect::<Vec<_>>())
                    };
                    (0..s.agents).map(of_agent).collect()
                })
                .collect();
            let here = &states[row * width..][..s.state];
            state.extend_from_slice(here);
            for play in plays {
                of_state.push(i as i32);
                if sees_actions {
                    with_actions.extend_from_slice(here);
                    let one_hot =
                        (0..per_row).map(|k| f32::from(u8::from(play[k / actions] == k % actions)));
                    with_actions.extend(one_hot);
                }
                for (j, q) in utilities.iter().enumerate() {
                    taken[j].extend((0..s.agents).map(|a| q[at + a * actions + play[a]]));
                    best[j].extend(&bests[j]);
                }
                mode.push(*play == firsts);
            }
        }
        // As many rows in every report, the last of nothing: burn keeps memory by size, and a run's must stay as it is.
        let padded = joint.saturating_mul(STATES).min(most);
        let tensor = |mut data: Vec<f32>, rows: usize, width: usize| {
            data.resize(rows * width, 0.0);
            Tensor::<3>::from_data(TensorData::new(data, [1, rows, width]), &burn.device)
        };
        of_state.resize(padded, 0);
        let n = padded;
        let state = tensor(state, STATES, s.state);
        let with_actions = sees_actions.then(|| tensor(with_actions, n, s.state + per_row));
        let of_state = Tensor::<1, Int>::from_data(TensorData::new(of_state, [n]), &burn.device);
        let words = &params[p * stride..(p + 1) * stride];
        let mut values = vec![f32::MAX; n];
        let of_joint = taken.into_iter().zip(best).zip(&hidden);
        for (value_of, ((taken, best), hidden)) in ranked.joint.iter().zip(of_joint) {
            let nets = &value_of.decomposition.nets[..value_of.decomposition.mixing];
            let mut outputs: Vec<_> = nets
                .iter()
                .map(|net| match &with_actions {
                    Some(seen) if net.sees_actions => evaluate(&burn, net, words, seen),
                    _ => evaluate(&burn, net, words, &state).select(1, of_state.clone()),
                })
                .collect();
            if let ([agent, team], Some(rows)) =
                (&value_of.decomposition.own.nets[..], value_of.hidden)
            {
                let seen = chosen.iter().map(|&row| Seen {
                    remembers: &hidden[row * s.agents * rows.stride..][..s.agents * rows.stride],
                    state: &states[row * width..][..s.state],
                });
                let seen: Vec<_> = seen.collect();
                outputs.push(own_joint(
                    &burn,
                    words,
                    [agent, team],
                    &seen,
                    &plays,
                    actions,
                    n,
                )?);
            }
            let of_agents = Utilities {
                taken: tensor(taken, n, s.agents),
                best: tensor(best, n, s.agents),
            };
            let found = host((value_of.decomposition.mix)(&of_agents, &outputs))?;
            values
                .iter_mut()
                .zip(found)
                .for_each(|(value, x)| *value = value.min(x));
        }
        let (mut gap, mut top_sum) = (0.0, 0.0);
        let (mut first, count) = (0, chosen.len() as f64);
        for plays in &plays {
            let mut of_state = first..first + plays.len();
            first = of_state.end;
            let top = of_state.clone().map(|u| f64::from(values[u]));
            let top = top.fold(f64::MIN, f64::max);
            let at_mode = of_state.find(|&u| mode[u]);
            let at_mode = at_mode.map_or(top, |u| f64::from(values[u]));
            gap += (top - at_mode) / count;
            top_sum += top / count;
        }
        found.push(Alignment { gap, best: top_sum });
    }
    Ok(Some(found))
}

/// Every choice of one of each agent's actions, the first agent's changing fastest.
fn joint_actions(each: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let mut all = vec![vec![]];
    for own in each.iter().rev() {
        let with = |rest: &Vec<usize>| {
            own.iter()
                .map(|&n| [&[n], &rest[..]].concat())
                .collect::<Vec<_>>()
        };
        all = all.iter().flat_map(with).collect();
    }
    all
}

fn host(values: Tensor<3>) -> Result<Vec<f32>, LearnError> {
    let values = values.into_data().try_to_vec();
    values.map_err(|e| LearnError::Burn(format!("reading joint values: {e:?}")))
}

/// A state that is looked at.
struct Seen<'a> {
    /// `[A, H]`
    remembers: &'a [f32],
    state: &'a [f32],
}

/// QTRAN's joint value of every joint action in `plays`, `[1, padded, 1]`: a network of the sum of the agents' codes, and of the state.
fn own_joint(
    burn: &BurnDevice,
    words: &[f32],
    [agent, team]: [&HyperNet; 2],
    seen: &[Seen<'_>],
    plays: &[Vec<Vec<usize>>],
    actions: usize,
    padded: usize,
) -> Result<Tensor<3>, LearnError> {
    let tensor = |mut data: Vec<f32>, rows: usize, width: usize| {
        data.resize(rows * width, 0.0);
        Tensor::<3>::from_data(TensorData::new(data, [1, rows, width]), &burn.device)
    };
    let (memory, code) = (agent.layers[0].inputs - actions, agent.outputs());
    let mut with_action = Vec::new();
    for remembers in seen.iter().flat_map(|s| s.remembers.chunks_exact(memory)) {
        for n in 0..actions {
            with_action.extend_from_slice(remembers);
            with_action.extend((0..actions).map(|k| f32::from(u8::from(k == n))));
        }
    }
    let codes = host(evaluate(
        burn,
        agent,
        words,
        &tensor(
            with_action,
            STATES * plays[0][0].len() * actions,
            memory + actions,
        ),
    ))?;
    let mut joined = Vec::new();
    for (i, (seen, plays)) in seen.iter().zip(plays).enumerate() {
        for play in plays {
            let agents = play.len();
            let of_agent =
                |a: usize| &codes[((i * agents + a) * actions + play[a]) * code..][..code];
            joined.extend((0..code).map(|c| (0..agents).map(|a| of_agent(a)[c]).sum::<f32>()));
            joined.extend_from_slice(seen.state);
        }
    }
    let width = joined.len() / plays.iter().map(Vec::len).sum::<usize>();
    Ok(evaluate(burn, team, words, &tensor(joined, padded, width)))
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
