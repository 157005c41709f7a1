// 0: none, 1: ReLU, 2: tanh. The derivative is taken from the output, which is what the forward pass keeps.

fn activate(kind: u32, x: f32) -> f32 {
    if (kind == 1u) { return max(x, 0.0); }
    // Some drivers compute tanh from exponentials, which overflow for large inputs; tanh(15) is 1 in single precision.
    if (kind == 2u) { return tanh(clamp(x, -15.0, 15.0)); }
    return x;
}

fn activation_derivative(kind: u32, y: f32) -> f32 {
    if (kind == 1u) { return select(0.0, 1.0, y > 0.0); }
    if (kind == 2u) { return 1.0 - y * y; }
    return 1.0;
}
