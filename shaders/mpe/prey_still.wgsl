// 4.3: prey that do nothing; contacts still push them. Where prey are agents, or there are none, nothing calls this.
fn prey_direction(i: u32) -> vec2<f32> { return vec2(0.0); }
