// 6.1: landmarks anywhere in their square, over each other too.
fn place_landmarks() {
    for (var l = N; l < BODIES; l++) { place(l, LANDMARK_BOX); }
}
