// PPO's ratio is against the policy that collected, clipped about 1.

struct Ratio { log_prob: f32, weight: f32, center: f32 }

fn ratio_of(source: u32) -> Ratio { return Ratio(log_probs[source], 1.0, 1.0); }
fn tell_center(row: u32, center: f32) {}
