//! A dense layer took its rows or its tiles by whether the memory of a derivative began at a multiple of 256 bytes. burn places that memory by
//! what else its pool holds, so that two learners of one configuration in one process could differ in the last bit.

use merit_sim::gpu::Region;

use crate::dense::{Activate, Backward, Grad, Rows, Shape};
use crate::net::{Dense, UNIFORM_WORDS};
use crate::testing::{gpu, run};
use crate::tests::uniform;

const ROWS: usize = 192;
const INPUTS: usize = 20;
const OUTPUTS: usize = 24;

/// Bits of the gradients of weights and inputs, the derivative lying `first` words into its buffer.
fn gradients(first: usize) -> [Vec<u32>; 2] {
    let layer = Dense::new(0, INPUTS, OUTPUTS);
    let stride = layer.end().next_multiple_of(UNIFORM_WORDS);
    let mut shape = Shape::new(gpu(), 1, ROWS, stride, &[OUTPUTS], true);
    shape.chunk = 64;
    let upload = |stream, n| gpu().storage_from("in", &uniform(stream, n, -1.0, 1.0));
    let (params, x) = (upload(1, stride), upload(2, ROWS * INPUTS));
    let derivative = uniform(3, ROWS * OUTPUTS, -1.0, 1.0);
    let held = gpu().storage_from("dy", &[vec![9.0; first], derivative].concat());
    let dy = held.part(first, ROWS * OUTPUTS);
    let out = |words: usize| gpu().storage("out", 4 * words as u64);
    let (partials, dx) = (out(shape.chunks() * stride), out(ROWS * INPUTS));
    let rows = Rows::packed(&x, INPUTS);
    let grad = Grad::new(gpu(), &shape, &layer, &rows, &dy, &partials);
    let activate = Activate::None;
    let backward = Backward::new(
        gpu(),
        &shape,
        &layer,
        activate,
        &params,
        &dy,
        &x,
        &dx,
        false,
    );
    run(|to| {
        grad.record(to);
        backward.record(to);
    });
    let bits = |region: &Region| gpu().read(region).expect("the bits");
    [bits(&partials), bits(&dx)]
}

#[test]
fn gradients_have_the_same_bits_wherever_a_derivative_begins() {
    let limits = &gpu().limits;
    let of_uniforms = limits.min_uniform_buffer_offset_alignment;
    // Where the adapter lets a binding begin; 256 bytes at most.
    let unit = of_uniforms.max(limits.min_storage_buffer_offset_alignment) as usize / 4;
    let first = gradients(0);
    assert!(first.iter().flatten().any(|&bits| bits != 0));
    for place in [1, 2, 3, 5] {
        assert_eq!(gradients(place * unit), first, "{place} units in");
    }
}
