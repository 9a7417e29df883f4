//! What the operating system allows a process and what the process uses of it.

/// Raises the soft limit of open file descriptors to the hard one; returns the limit now in force.
///
/// # Errors
/// One sentence, if the platform refuses even to say.
pub fn raise_descriptor_limit() -> Result<u64, String> {
    rlimit::increase_nofile_limit(u64::MAX)
        .map_err(|error| format!("cannot raise the limit of file descriptors: {error}"))
}

/// Memory of this process that is resident now, in bytes; `None` where the platform has no
/// `/proc/self/status`.
pub fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_what_it_was_raised_to() {
        let limit = raise_descriptor_limit().expect("raised");
        assert!(limit > 0);
        assert_eq!(raise_descriptor_limit(), Ok(limit));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_megabyte_in_use_is_a_megabyte_resident() {
        let used = vec![1_u8; 1 << 20];
        assert!(resident().expect("Linux has it") > 1 << 20);
        drop(used);
    }
}
