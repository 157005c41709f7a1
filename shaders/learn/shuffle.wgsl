// One permutation per member and epoch, without a sort. Constant: ITEM_BITS. After tick, rng, feistel and minibatch.

@group(0) @binding(2) var<storage, read> keys: array<vec2<u32>>; // [P]

// One permutation per member and epoch. Numbers beyond the items are sent on until one falls within: still a bijection.
@compute @workgroup_size(64)
fn shuffle(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= tick.items) { return; }
    let key = keys[id.y];
    var x = scatter(key, tick.draw, id.x, ITEM_BITS);
    while (x >= tick.items) { x = scatter(key, tick.draw, x, ITEM_BITS); }
    order[id.y * ITEMS + id.x] = x;
}
