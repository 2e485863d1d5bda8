//! What the texts become, and what is told of wrong ones.

use crate::diagnostic::Diagnostics;
use crate::diagnostic::render::{Colour, text};
use crate::file::tree::{Mark, Node, Value};
use crate::file::yaml::parse;
use crate::source::Sources;

fn read(yaml: &str) -> (Vec<Node>, String, Sources) {
    let mut sources = Sources::default();
    let source = sources.add("stack.yaml".to_owned(), None, yaml.into(), None);
    let mut diagnostics = Diagnostics::default();
    let documents = parse(&sources, source, &mut diagnostics);
    let told = text(&diagnostics, &sources, Colour::Never);
    (documents, told, sources)
}

/// The tree as one line, each scalar with the text of its span.
fn shown(node: &Node, sources: &Sources) -> String {
    let mark = match node.mark {
        Mark::None => "",
        Mark::Reset => "!reset ",
        Mark::Override => "!override ",
    };
    let value = match &node.value {
        Value::Sequence(items) => {
            format!(
                "[{}]",
                items
                    .iter()
                    .map(|item| shown(item, sources))
                    .collect::<Vec<_>>()
                    .join(", ")
            )
        }
        Value::Mapping(mapping) => {
            let entries: Vec<String> = mapping
                .iter()
                .map(|entry| {
                    format!(
                        "{}: {}",
                        sources.slice(entry.key_span),
                        shown(&entry.node, sources)
                    )
                })
                .collect();
            format!("{{{}}}", entries.join(", "))
        }
        _ => format!(
            "{}<{}>",
            node.scalar_text().unwrap_or("null".to_owned()),
            sources.slice(node.span)
        ),
    };
    format!("{mark}{value}")
}

#[test]
fn every_scalar_and_key_knows_its_place() {
    let (documents, told, sources) = read(
        "# ü\nname: 'a b'   # c\nlist:\n- 1\n- \"x\\ty\"\n-   plain text  \nmap: {k: v, n: }\ntext: |\n  one\n  two\n\nlast: true\n",
    );
    assert_eq!(told, "");
    expect_test::expect![[r#"
        {name: a b<'a b'>, list: [1<1>, x	y<"x\ty">, plain text<plain text>], map: {k: v<v>, n: null<>}, text: one
        two
        <one
          two>, last: true<true>}"#]]
    .assert_eq(&shown(&documents[0], &sources));
    let list = documents[0].get("list").unwrap();
    assert_eq!(sources.slice(list.span), "1\n- \"x\\ty\"\n-   plain text");
    assert_eq!(
        sources.slice(documents[0].get("map").unwrap().span),
        "{k: v, n: }"
    );
}

#[test]
fn anchors_merges_and_tags_are_resolved() {
    let (documents, told, sources) = read(
        "a: &a {x: 1, y: 2}\nb: &b {y: 3, z: 4}\nc: {<<: *a, x: 9}\nd: {<<: [*a, *b], w: 0}\ne: !reset\nf: !override [1]\ng: !!str 5\n\"<<\": no merge\nh: [!reset 1, 2]\n",
    );
    assert_eq!(told, "");
    expect_test::expect![[r#"{a: {x: 1<1>, y: 2<2>}, b: {y: 3<3>, z: 4<4>}, c: {y: 2<2>, x: 9<9>}, d: {x: 1<1>, y: 2<2>, z: 4<4>, w: 0<0>}, e: !reset null<!reset>, f: !override [1<1>], g: 5<5>, "<<": no merge<no merge>, h: [2<2>]}"#]]
    .assert_eq(&shown(&documents[0], &sources));
}

#[test]
fn mistakes_are_told_with_their_places() {
    let (_, told, _) = read("a: 1\nb: 2\na: 3\n80: x\nm: {<<: 5}\n");
    expect_test::expect![[r#"
        error[duplicate-key]: mapping key `a` already defined at line 1
         --> stack.yaml:3:1
          |
        1 | a: 1
          | - first defined here
        ...
        3 | a: 3
          | ^ defined again here
        hint: keep one of the two; a list or mapping under both can be joined under one key

        error[key-not-text]: non-string key: `80`
         --> stack.yaml:4:1
          |
        4 | 80: x
          | ^^ this key is an integer
        hint: write it in quotes: "80"

        error[merge-needs-mapping]: map merge requires map or sequence of maps as the value
         --> stack.yaml:5:9
          |
        5 | m: {<<: 5}
          |         ^

    "#]]
    .assert_eq(&told);
    let (_, told, _) = read("services:\n  web:\n    image: a\n     ports: b\n");
    expect_test::expect![[r#"
        error[yaml-syntax]: this is not valid YAML: mapping values are not allowed in this context
         --> stack.yaml:4:11
          |
        4 |      ports: b
          |           ^
        hint: check the indentation of this line and the one before, or quote a value that contains `: `

    "#]].assert_eq(&told);
    let (_, told, _) = read("services:\n\tweb:\n");
    expect_test::expect![[r#"
        error[yaml-syntax]: this is not valid YAML: found character that cannot start any token: a tab
         --> stack.yaml:2:1
          |
        2 |  web:
          | ^
        hint: indent with blanks; YAML forbids tabs there

    "#]].assert_eq(&told);
    let (_, told, _) = read("a:\n  b: one\n\n \ttwo\n");
    expect_test::expect![[r#"
        error[yaml-syntax]: this is not valid YAML: found character that cannot start any token: a tab
         --> stack.yaml:4:2
          |
        4 |   two
          |  ^
        hint: indent with blanks; YAML forbids tabs there

    "#]].assert_eq(&told);
    let (_, told, _) = read("a: {b: |c}\n");
    expect_test::expect![[r#"
        error[yaml-syntax]: this is not valid YAML: found character that cannot start any token
         --> stack.yaml:1:8
          |
        1 | a: {b: |c}
          |        ^
        hint: a value between braces or brackets that starts with `|` or `>` must be quoted

    "#]]
    .assert_eq(&told);
    let (_, told, _) = read("a: *nope\n");
    expect_test::expect![[r#"
        error[yaml-syntax]: this is not valid YAML: while parsing node, found unknown anchor
         --> stack.yaml:1:4
          |
        1 | a: *nope
          |    ^
        hint: define the anchor with `&name` before it is used with `*name`

    "#]]
    .assert_eq(&told);
    let (_, told, _) = read("a: &a [*a]\n");
    expect_test::expect![[r#"
        error[alias-cycle]: this alias stands within the value that it names
         --> stack.yaml:1:8
          |
        1 | a: &a [*a]
          |        ^^

    "#]]
    .assert_eq(&told);
}

/// What Compose 2.40 reads, though YAML 1.2 wants such lines deeper than their key.
#[test]
fn brackets_and_quotes_may_go_on_at_any_column() {
    let text = "\
services:
  ü:
    command: [
      \"a\", # one ]
    'b]'
    ]
    healthcheck: {
    test: [ NONE
], x: y:z
  }
    list:
    - {type: bind,
      source: /a,
    target: /b}
    - [
    c
    ]
    text: \"one
  two
\tthree\"
    'quoted key': 'a
b'
    block: |
      [
    plain: it's
      [not, 'a
      list
    tab:\t\tx
    last: {a:\tb,
\tc: d}
";
    let (documents, told, sources) = read(text);
    assert_eq!(told, "");
    expect_test::expect![[r#"
        {services: {ü: {command: [a<"a">, b]<'b]'>], healthcheck: {test: [NONE<NONE>], x: y:z<y:z>}, list: [{type: bind<bind>, source: /a</a>, target: /b</b>}, [c<c>]], text: one two three<"one
          two
        	three">, 'quoted key': a b<'a
        b'>, block: [
        <[>, plain: it's [not, 'a list<it's
              [not, 'a
              list>, tab: x<x>, last: {a: b<b>, c: d<d>}}}}"#]].assert_eq(&shown(&documents[0], &sources));
    let service = documents[0].get("services").unwrap().get("ü").unwrap();
    expect_test::expect![[r#"
        {
            test: [ NONE
        ], x: y:z
          }"#]]
    .assert_eq(sources.slice(service.get("healthcheck").unwrap().span));
    let (_, told, _) = read("a: [\n]\nb: {c: d\n}}\ne: f\n");
    expect_test::expect![[r#"
        error[yaml-syntax]: this is not valid YAML: misplaced bracket
         --> stack.yaml:4:2
          |
        4 | }}
          |  ^

    "#]]
    .assert_eq(&told);
    let (documents, _, _) = read(&format!(
        "{}a: {{\n{}}}",
        " ".repeat(100_000),
        "x,\n".repeat(100_000)
    ));
    assert!(documents.is_empty());
}

#[test]
fn wrong_quotes_have_their_own_remedies() {
    let hint = |text: &str| {
        let (_, told, _) = read(text);
        let hint = told.lines().find(|line| line.starts_with("hint: "));
        hint.unwrap_or("").to_owned() + "\n"
    };
    let hints: String = ["a: \"C:\\q\"\n", "a: 'x' y\n", "a: \"x\n"]
        .map(hint)
        .concat();
    expect_test::expect![[r#"
        hint: in double quotes a backslash starts an escape: write `\\` for a backslash, or use single quotes
        hint: the text ends at its second quote: put all of it into the quotes, or none
        hint: close the quote
    "#]].assert_eq(&hints);
}

#[test]
fn hostile_texts_end_early() {
    let mut laughs = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x]\n");
    for level in 1..30 {
        let before = level - 1;
        laughs += &format!(
            "a{level}: &a{level} [{}]\n",
            vec![format!("*a{before}"); 9].join(",")
        );
    }
    let (documents, told, _) = read(&laughs);
    assert!(
        documents.is_empty() && told.contains("excessive aliasing"),
        "{told}"
    );
    for nested in ["[", "{a: ", "- ", "? ", "- ? "] {
        let (documents, told, _) = read(&nested.repeat(1_000_000));
        assert!(documents.is_empty(), "{nested}");
        assert!(
            told.contains("nested more than"),
            "{nested}: {}",
            &told[..told.len().min(300)]
        );
    }
}
