// 5.4: with probability ANOMALY a step replaces the action of one living agent, any of them alike, by stop.

@group(0) @binding(16) var<storage, read_write> replaced: array<f32>; // [T, G, A]: 1 where the action was replaced

var<private> stopped: u32; // the agent, N for none; every invocation of an environment draws the same

fn pick_stopped() {
    stopped = N;
    if (unit_begin >= N) { return; }
    let agents = living(0u, A);
    let r = draw(DRAW_ANOMALY, 0u);
    if (uniform01(r.x) >= ANOMALY || agents == 0u) { return; }
    var left = min(u32(uniform01(r.y) * f32(agents)), agents - 1u);
    for (var i = 0u; i < A; i++) {
        if (!alive(i)) { continue; }
        if (left == 0u) {
            stopped = i;
            return;
        }
        left -= 1u;
    }
}

fn is_stopped(i: u32) -> bool { return i == stopped; }
fn mark_stopped(i: u32, word: u32) { replaced[word] = select(0.0, 1.0, i == stopped); }
