// Where in an update a dispatch stands; `learn/src/kernel.rs` says what each field is.
struct Tick {
    slot: u32,
    step: u32,
    draw: u32,
    greedy: u32,
    minibatch: u32,
    first: u32,
    correction_1: f32,
    correction_2: f32,
    anneal: f32,
    before: u32,
    items: u32,
    epsilon: f32,
}
