// 5.4, switched off.

fn pick_stopped() {}
fn is_stopped(i: u32) -> bool { return false; }
fn mark_stopped(i: u32, word: u32) {}
