// Logits are the utilities themselves (`me_igm.md` §8, +Entropy).
fn transform(first: u32, agent: u32, q: array<f32, N>) -> array<f32, N> { return q; }
