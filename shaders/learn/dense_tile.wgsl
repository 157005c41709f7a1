// A product of matrices C = A · B for GPUs: a workgroup computes BM rows by BN columns of C and takes A and B through its memory, 16 of
// what they share at a time. An invocation computes TM rows by four columns: of two vectors that it loads from A and one from B it
// makes 32 products, so that neither the loads nor the workgroup's memory bind.
// Constants: TM (4 or 8), BM, BN (multiples of TM and 4), A_BY_ROWS, B_BY_ROWS: whether rows or columns of C lie side by side in memory
// (true) or what A and B share. Around it: `tile_a(m, k)`, four rows of A from m, and `tile_b(k, n)`, four columns of B from n, 0 beyond
// the last; `put(m, n, c)`, which takes an entry of C, also of those beyond the last.

const DEPTH = 16u;
const COLS = BN / 4u;
const WG = COLS * (BM / TM);
// A vector more than there are: invocations that write side by side along k meet different banks.
const A_STRIDE = BM / 4u + 1u;
const B_STRIDE = COLS + 1u;

var<workgroup> tile_of_a: array<vec4<f32>, DEPTH * A_STRIDE>;
var<workgroup> tile_of_b: array<vec4<f32>, DEPTH * B_STRIDE>;

// Rows TM · (lane / COLS) + 0 to 3 of the tile, and where TM is 8 also 4 to 7; four columns from 4 · (lane % COLS).
struct Part { low: mat4x4<f32>, high: mat4x4<f32> }

// A column per row of A.
fn outer(b: vec4<f32>, a: vec4<f32>) -> mat4x4<f32> { return mat4x4(a.x * b, a.y * b, a.z * b, a.w * b); }

// Adds what A and B share from `begin` to `end`, to the tile whose first row and column are `m` and `n`. All of a workgroup together.
fn multiply(m: u32, n: u32, begin: u32, end: u32, lane: u32, part: ptr<function, Part>) {
    let row = lane / COLS * (TM / 4u);
    let column = lane % COLS;
    for (var first = begin; first < end; first += DEPTH) {
        for (var i = lane; i < DEPTH * BM / 4u; i += WG) {
            var k = i % DEPTH;
            var four = i / DEPTH;
            if (A_BY_ROWS) { k = i / (BM / 4u); four = i % (BM / 4u); }
            var value = vec4<f32>();
            if (first + k < end) { value = tile_a(m + 4u * four, first + k); }
            tile_of_a[k * A_STRIDE + four] = value;
        }
        for (var i = lane; i < DEPTH * COLS; i += WG) {
            var k = i % DEPTH;
            var four = i / DEPTH;
            if (B_BY_ROWS) { k = i / COLS; four = i % COLS; }
            var value = vec4<f32>();
            if (first + k < end) { value = tile_b(first + k, n + 4u * four); }
            tile_of_b[k * B_STRIDE + four] = value;
        }
        workgroupBarrier();
        for (var k = 0u; k < DEPTH; k++) {
            let b = tile_of_b[k * B_STRIDE + column];
            (*part).low += outer(b, tile_of_a[k * A_STRIDE + row]);
            if (TM > 4u) { (*part).high += outer(b, tile_of_a[k * A_STRIDE + row + 1u]); }
        }
        workgroupBarrier();
    }
}

// Nothing here is indexed by a variable: an invocation's part stays in registers.
fn put_row(m: u32, n: u32, c: vec4<f32>) {
    put(m, n, c.x);
    put(m, n + 1u, c.y);
    put(m, n + 2u, c.z);
    put(m, n + 3u, c.w);
}

fn put_part(m: u32, n: u32, lane: u32, part: Part) {
    let row = m + lane / COLS * TM;
    let column = n + lane % COLS * 4u;
    put_row(row, column, part.low[0]);
    put_row(row + 1u, column, part.low[1]);
    put_row(row + 2u, column, part.low[2]);
    put_row(row + 3u, column, part.low[3]);
    if (TM > 4u) {
        put_row(row + 4u, column, part.high[0]);
        put_row(row + 5u, column, part.high[1]);
        put_row(row + 6u, column, part.high[2]);
        put_row(row + 7u, column, part.high[3]);
    }
}
