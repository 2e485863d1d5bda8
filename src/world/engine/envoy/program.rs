//! This very program with the libraries it runs on, as the file system of an image: what it is put into need have
//! nothing, and no registry is asked.

use std::io;
use std::path::{Path, PathBuf};

/// A file system and how the program in it is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// A tar archive.
    pub archive: Vec<u8>,
    pub command: Vec<String>,
}

/// What this process runs.
pub fn own() -> io::Result<Program> {
    let maps = std::fs::read_to_string("/proc/self/maps")?;
    let libraries = libraries(&maps, &std::env::current_exe()?);
    let mut archive = tar::Builder::new(Vec::new());
    // The link works even where the file was replaced meanwhile.
    add(&mut archive, "stack", &std::fs::read("/proc/self/exe")?)?;
    let mut loader = None;
    for library in &libraries {
        let content = std::fs::read(library)?;
        for name in names(library)? {
            add(&mut archive, &format!("lib/{name}"), &content)?;
        }
        let name = file_name(library);
        if name.starts_with("ld-") || name.starts_with("ld.") {
            loader = Some(name);
        }
    }
    // The loader is called by name, since where the program looks for it another system may have no folder.
    let command = match loader {
        Some(loader) => vec![
            format!("/lib/{loader}"),
            "--library-path".to_owned(),
            "/lib".to_owned(),
            "/stack".to_owned(),
        ],
        None => vec!["/stack".to_owned()],
    };
    Ok(Program {
        archive: archive.into_inner()?,
        command,
    })
}

/// The shared objects among the mapped files (proc(5)): those that code is run from, but for the program itself.
fn libraries(maps: &str, program: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = maps
        .lines()
        .filter_map(|line| {
            let mut fields = line.split_whitespace();
            let runs = fields.nth(1)?.contains('x');
            let path = PathBuf::from(fields.nth(3)?);
            (runs && path.is_absolute() && path != program).then_some(path)
        })
        .filter(|path| file_name(path).contains(".so"))
        .collect();
    found.sort();
    found.dedup();
    found
}

/// The names by which a library is asked for: its own, and those of links beside it.
fn names(library: &Path) -> io::Result<Vec<String>> {
    let real = library.canonicalize()?;
    let folder = real.parent().unwrap_or(Path::new("/"));
    let mut names = vec![file_name(&real)];
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_symlink() && entry.path().canonicalize().is_ok_and(|to| to == real)
        {
            names.push(file_name(&entry.path()));
        }
    }
    names.sort();
    names.dedup();
    Ok(names)
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

fn add(archive: &mut tar::Builder<Vec<u8>>, path: &str, content: &[u8]) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o755);
    header.set_mtime(0);
    archive.append_data(&mut header, path, content)
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::{libraries, own};

    #[test]
    fn libraries_are_what_code_is_run_from() {
        let maps = "\
5500-5600 r-xp 00000000 fe:00 1 /usr/bin/stack
7f00-7f10 r--p 00000000 fe:00 2 /usr/lib/libc.so.6
7f10-7f20 r-xp 00001000 fe:00 2 /usr/lib/libc.so.6
7f20-7f30 r-xp 00000000 fe:00 3 /usr/lib/ld-linux-x86-64.so.2
7f30-7f40 r--p 00000000 fe:00 4 /usr/share/locale/x
7ffe-7fff r-xp 00000000 00:00 0 [vdso]
";
        let found = libraries(maps, Path::new("/usr/bin/stack"));
        let expected = ["/usr/lib/ld-linux-x86-64.so.2", "/usr/lib/libc.so.6"];
        assert_eq!(found, expected.map(PathBuf::from));
        assert!(libraries("5500-5600 r-xp 0 fe:00 1 /stack\n", Path::new("/stack")).is_empty());
    }

    #[test]
    fn a_program_is_packed_with_what_it_runs_on() {
        let program = own().unwrap();
        let mut archive = tar::Archive::new(program.archive.as_slice());
        let paths: Vec<String> = archive
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().display().to_string())
            .collect();
        assert_eq!(paths.first().map(String::as_str), Some("stack"));
        let first = program.command.first().unwrap().trim_start_matches('/');
        assert!(
            paths.iter().any(|path| path == first),
            "{first} of {paths:?}"
        );
    }
}
