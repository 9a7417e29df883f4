//! Reads the pages: the blocks in them, and the diffs, applied.
//!
//! The build makes the refined loops and the traced one from their pages with it, and the tests check that
//! the pages' diffs lead from each step to the next.

/// The contents of the page's code blocks that are opened by this line, such as ```` ```diff ````.
pub fn blocks(page: &str, opening: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if line.starts_with("```") {
            let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            if line == opening {
                found.push(block.join("\n") + "\n");
            }
        }
    }
    found
}

/// The text after the diff. A hunk goes where its old lines stand, nearest to the line that it names.
///
/// # Errors
/// The hunk whose old lines are not there.
pub fn apply(old: &str, diff: &str) -> Result<String, String> {
    let old: Vec<&str> = old.lines().collect();
    let (mut new, mut at) = (Vec::new(), 0);
    for (line, hunk) in hunks(diff) {
        let side = |unwanted| -> Vec<&str> {
            let lines = hunk.iter().filter(|line| !line.starts_with(unwanted));
            lines.map(|line| line.get(1..).unwrap_or_default()).collect()
        };
        let (before, after) = (side('+'), side('-'));
        let places = (at..=old.len()).filter(|start| old[*start..].starts_with(&before));
        let start =
            places.min_by_key(|start| start.abs_diff(line.max(1) - 1)).ok_or_else(|| {
                format!("these lines do not stand after line {at}:\n{}", before.join("\n"))
            })?;
        new.extend_from_slice(&old[at..start]);
        new.extend(after);
        at = start + before.len();
    }
    new.extend_from_slice(&old[at..]);
    Ok(new.join("\n") + "\n")
}

/// The hunks, each with the line of the old text at which it begins. A diff without headers is one hunk.
fn hunks(diff: &str) -> Vec<(usize, Vec<&str>)> {
    let mut hunks = vec![(0, Vec::new())];
    for line in diff.lines() {
        match line.strip_prefix("@@ -") {
            Some(header) => {
                let number = header.split([',', ' ']).next().and_then(|number| number.parse().ok());
                hunks.push((number.unwrap_or(0), Vec::new()));
            }
            None => hunks.last_mut().expect("there is one").1.push(line),
        }
    }
    hunks.retain(|(_, lines)| !lines.is_empty());
    hunks
}
