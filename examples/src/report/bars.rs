//! Bars in a table: lengths in eighths of a character.

/// The longest bar, in characters.
pub const WIDTH: usize = 40;

/// A bar for `value` where `longest` fills [`WIDTH`]; anything above nothing shows at least a
/// sliver.
pub fn bar(value: f64, longest: f64) -> String {
    const PARTS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    if value.is_nan() || value <= 0.0 || longest <= 0.0 {
        return String::new();
    }
    let share = (value / longest).min(1.0);
    let eighths = ((share * (WIDTH * 8) as f64).round() as usize).max(1);
    "█".repeat(eighths / 8) + PARTS[eighths % 8]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_proportional() {
        assert_eq!(bar(10.0, 10.0), "█".repeat(40));
        assert_eq!(bar(5.0, 10.0), "█".repeat(20));
        assert_eq!(bar(0.99, 10.0), "████");
        assert_eq!(bar(0.95, 10.0), "███▊");
    }

    #[test]
    fn the_ends_of_the_scale() {
        assert_eq!(bar(0.0, 10.0), "");
        assert_eq!(bar(1e-9, 10.0), "▏");
        assert_eq!(bar(11.0, 10.0), "█".repeat(40));
        assert_eq!(bar(f64::NAN, 10.0), "");
        assert_eq!(bar(1.0, 0.0), "");
    }
}
