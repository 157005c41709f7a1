// How far the weights of the traces are from the ratios that they stand for, over all rollouts that are kept: a workgroup per member.
// Constants: T, MEMBERS, RPM, and those of traces.wgsl, which comes after tick. With reduce.

@group(0) @binding(0) var<uniform> tick: Tick;
@group(0) @binding(3) var<storage, read> discount: array<vec4<f32>>; // [P]: γ, λ, η
@group(0) @binding(4) var<storage, read_write> gaps: array<f32>;     // [P, 8]: the sums below, and how many

@compute @workgroup_size(256)
fn trace_gap(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let member = group.x;
    let d = discount[member];
    let samples = tick.items * T * RPM;
    var ratios = vec4(0.0);
    var gap = vec4(0.0);
    for (var s = lane; s < samples; s += 256u) {
        let t = s / RPM;
        let i = ((t + t / T) * MEMBERS + member) * RPM + s % RPM;
        let own = exp(log_ratio(i));
        let team = exp(clamp(log_team_ratio(i), -20.0, 20.0));
        let c = trace_weight(i, d.y, d.z);
        let kept = c / max(d.y, 1e-6);
        ratios += vec4(own, own * own, team, team * team);
        let farther = abs(team - kept) - abs(own - kept);
        gap += vec4(abs(farther), farther, c, 0.0);
    }
    let r = reduce(lane, ratios);
    let g = reduce(lane, gap);
    if (lane != 0u) { return; }
    let o = member * 8u;
    for (var k = 0u; k < 4u; k++) { gaps[o + k] = r[k]; }
    for (var k = 0u; k < 3u; k++) { gaps[o + 4u + k] = g[k]; }
    gaps[o + 7u] = f32(samples);
}
