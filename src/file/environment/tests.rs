//! The grammar of env files, and where its mistakes are.

use crate::diagnostic::Diagnostics;
use crate::diagnostic::render::{Colour, text};
use crate::file::environment::dotenv::parse;
use crate::file::environment::raw::parse_raw;
use crate::file::environment::{Assignments, Environment};
use crate::source::Sources;

fn read(env: &str) -> (Vec<(String, String)>, String) {
    let mut sources = Sources::default();
    let source = sources.add(".env".to_owned(), None, env.into(), None);
    let mut outer = Environment::default();
    outer.set("OUT", "outer");
    let mut into = Assignments::default();
    let mut diagnostics = Diagnostics::default();
    parse(&sources, source, &outer, &mut into, &mut diagnostics);
    let all = into
        .iter()
        .map(|(name, variable)| (name.to_string(), variable.value.to_string()))
        .collect();
    (all, text(&diagnostics, &sources, Colour::Never))
}

#[test]
fn the_grammar_is_that_of_compose() {
    let (all, told) = read(
        "\u{feff}# c\nA=1\nexport B = two words # c\nC: 'lit $A\n#x'\nD=\"x\\ty $A \\$A\"\nOUT\nNOPE\nE=a#b\nF= # c\nG=\nH=${A:-x}${Z-z}\nI.j-k[0]=l\nK=\"\\\"q\\\"\" # c\n",
    );
    assert_eq!(told, "");
    let all: Vec<(&str, &str)> = all
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    assert_eq!(
        all,
        [
            ("A", "1"),
            ("B", "two words"),
            ("C", "lit $A\n#x"),
            ("D", "x\ty 1 $A"),
            ("OUT", "outer"),
            ("E", "a#b"),
            ("F", ""),
            ("G", ""),
            ("H", "1z"),
            ("I.j-k[0]", "l"),
            ("K", "\"q\""),
        ]
    );
}

#[test]
fn mistakes_have_places() {
    let (all, told) = read("A=1\nB!=2\nC D=3\nE=4\nF=\"open\nG=5\n");
    assert_eq!(all.len(), 2);
    expect_test::expect![[r#"
        error[env-file]: unexpected character `!` in variable name `B!=2`
         --> .env:2:2
          |
        2 | B!=2
          |  ^

        error[env-file]: key cannot contain a space: `C D`
         --> .env:3:1
          |
        3 | C D=3
          | ^^^

        error[env-file]: unterminated quoted value "open
         --> .env:5:3
          |
        5 | F="open
          |   ^^^^^

    "#]]
    .assert_eq(&told);
}

#[test]
fn a_raw_file_is_taken_as_it_stands() {
    let mut sources = Sources::default();
    let source = sources.add(
        "raw.env".to_owned(),
        None,
        "A=\"$B\" # c\n# c\nOUT\n".into(),
        None,
    );
    let mut outer = Environment::default();
    outer.set("OUT", "outer");
    let mut into = Assignments::default();
    parse_raw(
        &sources,
        source,
        &outer,
        &mut into,
        &mut Diagnostics::default(),
    );
    assert_eq!(
        into.get("A").map(|v| v.value.to_string()),
        Some("\"$B\" # c".to_owned())
    );
    assert_eq!(
        into.get("OUT").map(|v| v.value.to_string()),
        Some("outer".to_owned())
    );
}
