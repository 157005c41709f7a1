// 6.1: landmarks anywhere in their square, over each other too.
fn place_landmarks() {
    for (var l = N; l < up_to(BODIES); l++) { place(l, LANDMARK_BOX); }
}
