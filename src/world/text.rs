//! The program's own code in memory. What waits for days needs little of it, but the kernel keeps every page of it that
//! was used once, and counts it to the program.

use std::io;
use std::ptr::with_exposed_provenance_mut;

/// Lets go of the program's code, which the kernel reads again page by page where it is run.
pub fn let_go() -> io::Result<()> {
    let maps = std::fs::read_to_string("/proc/self/maps")?;
    for (start, length) in maps.lines().filter_map(code) {
        // SAFETY: the mapping is a file's, executable and not writable, so its pages are as in the file: those that are
        // dropped here are read from it again, the ones of this very function too.
        let answer = unsafe {
            libc::madvise(
                with_exposed_provenance_mut(start),
                length,
                libc::MADV_DONTNEED,
            )
        };
        if answer != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Where code lies and how long it is, if the line of `/proc/self/maps` is that of a file's code (proc_pid_maps(5)):
/// `55d0c0a00000-55d0c1300000 r-xp 001df000 fe:00 1234  /usr/bin/stack`.
fn code(line: &str) -> Option<(usize, usize)> {
    let mut fields = line.split_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    let (permissions, inode) = (fields.next()?, fields.nth(2)?);
    if permissions != "r-xp" || inode == "0" {
        return None;
    }
    let start = usize::from_str_radix(start, 16).ok()?;
    let length = usize::from_str_radix(end, 16).ok()?.checked_sub(start)?;
    Some((start, length))
}

#[cfg(test)]
mod tests {
    use super::{code, let_go};

    #[test]
    fn only_the_code_of_files_is_let_go_and_comes_back() {
        let lines = "\
55d0c0a00000-55d0c0a03000 r-xp 001df000 fe:00 1234                       /opt/my tools/stack
55d0c0a03000-55d0c0a04000 r--p 001df000 fe:00 1234                       /opt/my tools/stack
55d0c0a04000-55d0c0a05000 rwxp 001df000 fe:00 1234                       /opt/my tools/stack
7f0000000000-7f0000001000 r-xp 00000000 00:00 0
7ffd00000000-7ffd00002000 r-xp 00000000 00:00 0                          [vdso]";
        let found: Vec<(usize, usize)> = lines.lines().filter_map(code).collect();
        assert_eq!(found, [(0x55d0_c0a0_0000, 0x3000)]);
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        assert!(maps.lines().filter_map(code).count() >= 1);
        let_go().unwrap();
    }
}
