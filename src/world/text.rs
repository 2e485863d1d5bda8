//! The program's memory while it waits. What waits for days needs little of its own code, but the kernel keeps every page
//! of it that was used once (and sixteen around it), and counts it to the program; and the allocator keeps what was freed.

use std::ptr::with_exposed_provenance_mut;

/// Has all threads share one heap. Each would get one of its own, which is never given back; and they take turns anyway.
pub fn share_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it sets a number of the allocator. That it may refuse is no harm.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

/// The program's code and constants, and those of its libraries. They stay where they are while it runs.
#[derive(Debug, Clone, Default)]
pub struct Text {
    mappings: Vec<(usize, usize)>,
}

impl Text {
    /// Those of this process; none where the kernel does not tell.
    pub fn of_process() -> Text {
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap_or_default();
        Text {
            mappings: of_files(&maps),
        }
    }

    /// Lets go of them, which the kernel reads again page by page where they are used, and of what was freed. Where it
    /// does not work, memory stays in use.
    pub fn let_go(&self) {
        #[cfg(target_env = "gnu")]
        // SAFETY: it gives back pages of the heap that nothing is in.
        unsafe {
            libc::malloc_trim(0);
        }
        for (start, length) in &self.mappings {
            // SAFETY: the mapping is a file's, not writable, and has no page that differs from the file (relocated ones
            // would), so its pages are as in the file: those that are dropped here are read from it again, the ones of
            // this very function too.
            unsafe {
                libc::madvise(
                    with_exposed_provenance_mut(*start),
                    *length,
                    libc::MADV_DONTNEED,
                );
            }
        }
    }
}

/// Where a file's unchanged pages lie and how long that is, by `/proc/self/smaps` (proc_pid_smaps(5)): a line such as
/// `55d0c0a00000-55d0c1300000 r-xp 001df000 fe:00 1234  /usr/bin/stack` with lines of `Name: value` below it.
fn of_files(maps: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut candidate = None;
    for line in maps.lines() {
        match line.strip_prefix("Anonymous:") {
            Some(changed) if changed.trim() == "0 kB" => found.extend(candidate.take()),
            Some(_) => candidate = None,
            None if line.contains('-') && !line.contains("kB") => candidate = read_only(line),
            None => {}
        }
    }
    found
}

/// The mapping of such a line, where it is a file's and cannot be written.
fn read_only(line: &str) -> Option<(usize, usize)> {
    let mut fields = line.split_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    let (permissions, inode) = (fields.next()?, fields.nth(2)?);
    if !matches!(permissions, "r-xp" | "r--p") || inode == "0" {
        return None;
    }
    let start = usize::from_str_radix(start, 16).ok()?;
    let length = usize::from_str_radix(end, 16).ok()?.checked_sub(start)?;
    Some((start, length))
}

#[cfg(test)]
mod tests {
    use super::{Text, of_files};

    #[test]
    fn only_what_is_as_in_the_file_is_let_go_and_comes_back() {
        let lines = "\
55d0c0a00000-55d0c0a03000 r-xp 001df000 fe:00 1234                       /opt/my-tools 1/stack
Rss:                  12 kB
Anonymous:             0 kB
VmFlags: rd ex mr mw me sd
55d0c0a03000-55d0c0a04000 r--p 001df000 fe:00 1234                       /opt/my-tools 1/stack
Anonymous:             0 kB
55d0c0a04000-55d0c0a05000 r--p 001df000 fe:00 1234                       /opt/my-tools 1/stack
Anonymous:             4 kB
55d0c0a05000-55d0c0a06000 rw-p 001df000 fe:00 1234                       /opt/my-tools 1/stack
Anonymous:             0 kB
7f0000000000-7f0000001000 r-xp 00000000 00:00 0
Anonymous:             0 kB
7ffd00000000-7ffd00002000 r-xp 00000000 00:00 0                          [vdso]
Anonymous:             0 kB";
        let found = of_files(lines);
        assert_eq!(
            found,
            [(0x55d0_c0a0_0000, 0x3000), (0x55d0_c0a0_3000, 0x1000)]
        );
        let text = Text::of_process();
        assert!(!text.mappings.is_empty());
        text.let_go();
    }
}
