// 7.1: a row for every other unit.

const ROWS: u32 = N - 1u;

/// The unit in row `s` of agent `i`'s observation: the others in ascending order, for an enemy in descending.
fn row_unit(i: u32, s: u32) -> u32 {
    let up = select(s, s + 1u, s >= i);
    let down = N - 1u - s;
    return select(select(down, down - 1u, down <= i), up, is_ally(i));
}

fn prepare_rows(i: u32) { note_visible(i); }

/// `base`: where the environment begins in the layout's arrays.
fn row(i: u32, s: u32, base: u32) -> Row {
    let j = row_unit(i, s);
    return Row(j, visible(i, j, base));
}
