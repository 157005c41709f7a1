// The sum of `x` over a workgroup of 256, in a fixed order, for all of its invocations. May be called again at once.
var<workgroup> partial: array<vec4<f32>, 256>;

fn reduce(lane: u32, x: vec4<f32>) -> vec4<f32> {
    workgroupBarrier();
    partial[lane] = x;
    workgroupBarrier();
    for (var half = 128u; half > 0u; half /= 2u) {
        if (lane < half) { partial[lane] += partial[lane + half]; }
        workgroupBarrier();
    }
    return partial[0];
}
