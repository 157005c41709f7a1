//! What fills the terminal, as lines.

/// `body` from line `top` on, above `foot`, in `width` columns and `height` lines.
pub fn fit(
    body: &[String],
    foot: &[String],
    top: usize,
    width: usize,
    height: usize,
) -> Vec<String> {
    let foot = &foot[..foot.len().min(height)];
    let room = height - foot.len();
    let shown = body
        .iter()
        .skip(top.min(last_top(body.len(), room)))
        .take(room);
    let mut lines: Vec<String> = shown.cloned().collect();
    lines.resize(room, String::new());
    lines.extend_from_slice(foot);
    for line in &mut lines {
        *line = line.chars().take(width).collect();
    }
    lines
}

/// The furthest that `lines` lines can be scrolled in `room`.
pub fn last_top(lines: usize, room: usize) -> usize {
    lines.saturating_sub(room)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_scrolled_and_kept_above_the_foot() {
        let body: Vec<String> = (0..5).map(|i| format!("line {i}")).collect();
        let foot = ["keys".to_owned()];
        assert_eq!(fit(&body, &foot, 0, 4, 3), ["line", "line", "keys"]);
        assert_eq!(fit(&body, &foot, 9, 9, 3), ["line 3", "line 4", "keys"]);
        assert_eq!(fit(&body[..1], &foot, 0, 9, 3), ["line 0", "", "keys"]);
        assert_eq!(fit(&body, &foot, 0, 9, 1), ["keys"]);
        assert!(fit(&body, &foot, 0, 9, 0).is_empty());
    }
}
