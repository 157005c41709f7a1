// Eight invocations a row of a layer normalisation, and their sums in a fixed order.

var<workgroup> summands: array<f32, 64>;

// Of the eight of this invocation's row. All invocations of the workgroup call it.
fn sum_of_row(lane: u32, x: f32) -> f32 {
    // Who was here before may still be reading.
    workgroupBarrier();
    summands[lane] = x;
    workgroupBarrier();
    let first = lane / 8u * 8u;
    var sum = 0.0;
    for (var i = 0u; i < 8u; i++) { sum += summands[first + i]; }
    return sum;
}
