// 4.3: prey that move at random: one of the five actions, anew in each step.
fn prey_direction(i: u32) -> vec2<f32> { return direction(below(draw(DRAW_PREY, i).x, 5u)); }
