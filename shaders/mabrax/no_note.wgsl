fn note(stage: u32, at: u32, a: vec4<f32>, b: vec4<f32>) {}
