//! No circles: among the modules beside each other, none may name itself by way of others.
//!
//! An edge is a file that names an item of another one, by `use` or by a path. What is re-exported counts where it is
//! defined. A module and what is below it count as one for those beside it; a module's own file may name what is below it,
//! and be named from there. Tests may name what they like, and what a macro names (`$crate::`) is named where it is expanded.

use std::collections::{BTreeMap, BTreeSet};

use super::source::code;

/// Modules that still name each other in a circle. The list only gets shorter.
const OPEN: [Circle<'_>; 3] = [
    Circle {
        package: "kafka-net",
        parent: "",
        members: &["call", "client", "cluster", "config", "conn", "error", "feed", "io", "metadata"],
    },
    Circle { package: "kafka-producer", parent: "", members: &["plane", "record", "topic"] },
    Circle { package: "kafka-producer", parent: "plane", members: &["lanes", "topic"] },
];

/// Modules of one crate, all directly below `parent` (nothing for the crate itself).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Circle<'a> {
    package: &'a str,
    parent: &'a str,
    members: &'a [&'a str],
}

/// The faults of all crates. `files` are paths from the workspace, with what is in them.
pub(super) fn faults<'a>(files: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<String> {
    faults_but_for(&OPEN, files)
}

fn faults_but_for<'a>(open: &[Circle<'_>], files: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<String> {
    let mut crates: BTreeMap<&str, BTreeMap<&str, &str>> = BTreeMap::new();
    for (path, text) in files.filter(|(path, _)| path.ends_with(".rs")) {
        if let Some((package, inside)) = path.split_once("/src/") {
            crates.entry(package).or_default().insert(inside, text);
        }
    }
    let mut faults = Vec::new();
    let mut needed = BTreeSet::new();
    for (package, files) in &crates {
        for root in ["lib.rs", "main.rs"].into_iter().filter(|root| files.contains_key(root)) {
            let modules = Modules::read(root, files);
            for (parent, members) in modules.circles() {
                match open.iter().position(|open| open.excuses(package, &parent, &members)) {
                    Some(index) => _ = needed.insert(index),
                    None => faults.push(modules.describe(package, &parent, &members)),
                }
            }
        }
    }
    for (index, open) in open.iter().enumerate().filter(|(index, _)| !needed.contains(index)) {
        let (package, members) = (open.package, open.members.join(", "));
        faults.push(format!("{package}: {members} are no circle any more: take entry {index} out of `OPEN`"));
    }
    faults
}

impl Circle<'_> {
    fn excuses(&self, package: &str, parent: &str, members: &[String]) -> bool {
        let is_here = self.package == package && self.parent == parent;
        is_here && members.iter().all(|member| self.members.contains(&member.as_str()))
    }
}

/// The modules of a crate that are not for its tests only. The name of the crate's own is empty, others are `a::b`.
#[derive(Default)]
struct Modules {
    by_name: BTreeMap<String, Module>,
}

#[derive(Default)]
struct Module {
    file: String,
    children: BTreeSet<String>,
    /// Items by their names.
    items: BTreeSet<String>,
    /// What `use` binds, by name.
    bound: BTreeMap<String, Vec<String>>,
    /// What `use ...::*` opens.
    globs: Vec<Vec<String>>,
    /// All paths that may lead to another module.
    paths: Vec<Vec<String>>,
}

impl Modules {
    fn read(root: &str, files: &BTreeMap<&str, &str>) -> Self {
        let mut modules = Self::default();
        modules.add(String::new(), root, "", files);
        modules
    }

    /// Reads a file and those of the modules that it declares, which are below `folder`.
    fn add(&mut self, name: String, file: &str, folder: &str, files: &BTreeMap<&str, &str>) {
        let Some(text) = files.get(file) else { return };
        let mut module = parse(&tokens(&without_tests(&code(text))));
        module.file = file.to_owned();
        for child in std::mem::take(&mut module.children) {
            let (inside, beside) = (format!("{folder}{child}/mod.rs"), format!("{folder}{child}.rs"));
            let found = [inside, beside].into_iter().find(|file| files.contains_key(file.as_str()));
            if let Some(found) = found {
                self.add(below(&name, &child), &found, &format!("{folder}{child}/"), files);
                module.children.insert(child);
            }
        }
        self.by_name.insert(name, module);
    }

    /// The module that a path leads to from a module; nothing if it leads out of the crate.
    fn resolve(&self, from: &str, path: &[String], depth: u32) -> Option<String> {
        let (first, mut rest) = path.split_first()?;
        let mut at = match first.as_str() {
            "crate" => String::new(),
            "self" => from.to_owned(),
            "super" => above(from)?.to_owned(),
            child if self.by_name.get(from)?.children.contains(child) => below(from, child),
            bound => {
                let target = self.by_name.get(from)?.bound.get(bound).filter(|target| *target != path)?;
                let longer = [target, rest].concat();
                return if depth > 0 { self.resolve(from, &longer, depth - 1) } else { None };
            }
        };
        while let Some((next, others)) = rest.split_first() {
            let module = self.by_name.get(&at)?;
            if next == "super" {
                at = above(&at)?.to_owned();
            } else if module.children.contains(next) {
                at = below(&at, next);
            } else if module.items.contains(next) || depth == 0 {
                return Some(at);
            } else if let Some(target) = module.bound.get(next) {
                let longer = [target, others].concat();
                return Some(self.resolve(&at, &longer, depth - 1).unwrap_or(at));
            } else {
                let opened = module.globs.iter().filter_map(|glob| self.resolve(&at, glob, depth - 1));
                let has =
                    |module: &String| self.by_name.get(module).is_some_and(|it| it.items.contains(next));
                return Some(opened.into_iter().find(has).unwrap_or(at));
            }
            rest = others;
        }
        Some(at)
    }

    /// Which module names which other one, and by which path.
    fn edges(&self) -> BTreeMap<(&str, String), String> {
        let named = self.by_name.iter().flat_map(|(name, module)| {
            let targets =
                module.paths.iter().filter_map(|path| Some((self.resolve(name, path, MAX_HOPS)?, path)));
            targets.map(|(target, path)| ((name.as_str(), target), path.join("::")))
        });
        named.filter(|((from, to), _)| from != to).collect()
    }

    /// The circles among the modules directly below each module.
    fn circles(&self) -> Vec<(String, Vec<String>)> {
        let edges = self.edges();
        let mut found = Vec::new();
        for (parent, module) in &self.by_name {
            let mut graph: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
            for (from, to) in edges.keys() {
                if let (Some(from), Some(to)) = (child_of(parent, from), child_of(parent, to)) {
                    graph.entry(from).or_default().insert(to);
                }
            }
            let mut left: BTreeSet<&str> = module.children.iter().map(String::as_str).collect();
            while let Some(child) = left.pop_first() {
                let there = reachable(&graph, child);
                let circle: Vec<String> = there
                    .iter()
                    .filter(|other| **other != child && reachable(&graph, other).contains(child))
                    .chain([&child])
                    .map(|member| (*member).to_owned())
                    .collect();
                if circle.len() > 1 {
                    left.retain(|other| !circle.iter().any(|member| member == other));
                    found.push((parent.clone(), circle));
                }
            }
        }
        found
    }

    fn describe(&self, package: &str, parent: &str, members: &[String]) -> String {
        let is_in =
            |child: Option<&str>| child.is_some_and(|child| members.iter().any(|member| member == child));
        let mut lines =
            vec![format!("{package}: modules that name each other in a circle: {}", members.join(", "))];
        for ((from, to), path) in self.edges() {
            let (here, there) = (child_of(parent, from), child_of(parent, &to));
            if here != there && is_in(here) && is_in(there) {
                let file = self.by_name.get(from).map(|module| module.file.as_str()).unwrap_or_default();
                lines.push(format!("    {package}/src/{file} names something of {to}: {path}"));
            }
        }
        lines.join("\n")
    }
}

/// Where one comes to from there.
fn reachable<'a>(graph: &BTreeMap<&'a str, BTreeSet<&'a str>>, from: &str) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut next: Vec<&str> = graph.get(from).into_iter().flatten().copied().collect();
    while let Some(at) = next.pop() {
        if found.insert(at) {
            next.extend(graph.get(at).into_iter().flatten());
        }
    }
    found
}

fn below(parent: &str, child: &str) -> String {
    if parent.is_empty() { child.to_owned() } else { format!("{parent}::{child}") }
}

fn above(name: &str) -> Option<&str> {
    if name.is_empty() { None } else { Some(name.rsplit_once("::").map_or("", |(parent, _)| parent)) }
}

/// The module directly below `parent` that `name` is, or is in.
fn child_of<'a>(parent: &str, name: &'a str) -> Option<&'a str> {
    let inside = match parent {
        "" => name,
        _ => name.strip_prefix(parent)?.strip_prefix("::")?,
    };
    inside.split("::").next().filter(|child| !child.is_empty())
}

/// Blanks out each item that is for tests only.
fn without_tests(code: &str) -> String {
    let mut rest = code;
    let mut out = String::new();
    while let Some(at) = MARKS.iter().filter_map(|mark| rest.find(mark)).min() {
        let (before, test) = rest.split_at(at);
        out.push_str(before);
        rest = &test[item(test)..];
    }
    out.push_str(rest);
    out
}

/// The size of an item with the attributes before it: up to a semicolon or to the end of its block.
fn item(text: &str) -> usize {
    let mut depth = 0_u32;
    let mut has_begun = false;
    for (at, c) in text.char_indices() {
        match c {
            '[' | '(' | '{' => depth += 1,
            ']' | ')' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        has_begun |= depth == 0 && c.is_alphanumeric();
        if depth == 0 && has_begun && matches!(c, '}' | ';') {
            return at + 1;
        }
    }
    text.len()
}

/// Words, `::`, and single characters.
fn tokens(code: &str) -> Vec<&str> {
    let is_of_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut tokens = Vec::new();
    let mut rest = code.trim_start();
    while let Some(first) = rest.chars().next() {
        let size = if is_of_word(first) {
            rest.find(|c| !is_of_word(c)).unwrap_or(rest.len())
        } else if rest.starts_with("::") {
            2
        } else {
            first.len_utf8()
        };
        tokens.push(&rest[..size]);
        rest = rest[size..].trim_start();
    }
    tokens
}

fn parse(tokens: &[&str]) -> Module {
    let mut module = Module::default();
    let mut at = 0;
    while at < tokens.len() {
        let (before, token) = (at.checked_sub(1).map(|at| tokens[at]), tokens[at]);
        let next = tokens.get(at + 1).copied().unwrap_or_default();
        at += 1;
        match token {
            "use" if before != Some("$") => at += module.take_use(&tokens[at..], &[]),
            "mod" if tokens.get(at + 1) == Some(&";") => _ = module.children.insert(next.to_owned()),
            "struct" | "enum" | "trait" | "type" | "fn" | "const" | "static" | "union" => {
                module.items.insert(next.to_owned());
            }
            "macro_rules" => module.items.extend(tokens.get(at + 1).map(|name| (*name).to_owned())),
            _ if next == "::" && !matches!(before, Some("::" | "$")) => {
                let mut path = vec![token.to_owned()];
                while tokens.get(at) == Some(&"::") {
                    let Some(segment) = tokens.get(at + 1).filter(|it| it.starts_with(char::is_alphabetic))
                    else {
                        break;
                    };
                    path.push((*segment).to_owned());
                    at += 2;
                }
                module.paths.push(path);
            }
            _ => {}
        }
    }
    module
}

impl Module {
    /// Reads one tree of a `use`, up to the `,`, `}` or `;` behind it. How many tokens that were.
    fn take_use(&mut self, tokens: &[&str], before: &[String]) -> usize {
        let mut path = before.to_vec();
        let mut at = 0;
        while let Some(&token) = tokens.get(at) {
            at += 1;
            match token {
                "::" => {}
                "{" => {
                    while tokens.get(at).is_some_and(|token| *token != "}") {
                        let taken = self.take_use(&tokens[at..], &path);
                        at += taken + usize::from(tokens.get(at + taken) == Some(&","));
                        // No tree of names: a macro's pattern.
                        if taken == 0 {
                            return at;
                        }
                    }
                    return at + 1;
                }
                "*" => {
                    self.globs.push(path.clone());
                    self.paths.push(path);
                    return at;
                }
                "as" => {
                    let name = tokens.get(at).copied().unwrap_or_default().to_owned();
                    self.bound.insert(name, path.clone());
                    self.paths.push(path);
                    return at + 1;
                }
                "," | "}" | ";" => {
                    at -= 1;
                    break;
                }
                // `a::{self, B}` binds `a`.
                "self" if !path.is_empty() => {}
                word => path.push(word.to_owned()),
            }
        }
        if let Some(name) = path.last().cloned() {
            self.bound.insert(name, path.clone());
            self.paths.push(path);
        }
        at
    }
}

/// How often a re-export is followed by another one.
const MAX_HOPS: u32 = 8;

/// How an item begins that is for tests only, or for documentation.
const MARKS: [&str; 3] = ["#[cfg(test)]", "#[cfg(all(test,", "#[cfg(doc)]"];

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let files: BTreeMap<&str, &str> = files.iter().copied().collect();
        let circles = Modules::read("lib.rs", &files).circles();
        circles.into_iter().map(|(parent, members)| format!("{parent}: {}", members.join(" "))).collect()
    }

    #[test]
    fn modules_that_name_each_other_are_found_however_they_do() {
        let root = ("lib.rs", "mod a;\nmod b;\nmod c;\npub use a::A;\n");
        let a = ("a.rs", "pub struct A(crate::b::B);\n");
        let none: [String; 0] = [];
        assert_eq!(found(&[root, a, ("b.rs", "pub struct B;\n"), ("c.rs", "use crate::{a::A, b};\n")]), none);
        let circle = ["a: b a".replacen("a: ", ": ", 1)];
        assert_eq!(found(&[root, a, ("b.rs", "use crate::a::A;\npub struct B;\n"), ("c.rs", "")]), circle);
        assert_eq!(found(&[root, a, ("b.rs", "use super::{c, a::A as Other};\n"), ("c.rs", "")]), circle);
        // By way of the crate's re-export, and of a third module.
        assert_eq!(found(&[root, a, ("b.rs", "pub struct B(crate::A);\n"), ("c.rs", "")]), circle);
        let round = [root, a, ("b.rs", "use crate::c::*;\npub struct B(C);\n"), ("c.rs", "use crate::A;\n")];
        assert_eq!(found(&round), [": b c a"]);
    }

    #[test]
    fn what_is_no_code_of_the_product_names_nothing() {
        let root = ("lib.rs", "mod a;\nmod b;\n#[cfg(test)]\nmod c;\n");
        let a = ("a.rs", "use crate::b::B;\n");
        let tests = "#[cfg(test)]\nmod tests {\n    use crate::a::A;\n}\npub struct B;\n";
        let none: [String; 0] = [];
        assert_eq!(found(&[root, a, ("b.rs", tests)]), none);
        assert_eq!(
            found(&[root, a, ("b.rs", "//! [`A`](crate::a::A)\nconst A: &str = \"crate::a::A\";\n")]),
            none
        );
        let helper =
            "#[cfg(all(test, unix))]\n#[allow(unused)]\nfn a(a: [u8; 2]) -> crate::a::A { a }\nstruct B;\n";
        assert_eq!(found(&[root, a, ("b.rs", helper)]), none);
        assert_eq!(found(&[root, a, ("b.rs", "macro_rules! m { () => { $crate::a::A } }\n")]), none);
        // But what stands behind it does.
        assert_eq!(found(&[root, a, ("b.rs", &format!("{tests}use crate::a::A;\n"))]), [": b a"]);
    }

    #[test]
    fn a_module_and_what_is_below_it_are_one_and_may_name_each_other() {
        let root = ("lib.rs", "mod a;\nmod b;\n");
        let parent = ("a/mod.rs", "mod x;\nmod y;\nuse x::X;\npub struct A(X, crate::b::B);\n");
        let y = ("a/y.rs", "pub struct Y;\n");
        let none: [String; 0] = [];
        let x = ("a/x.rs", "use super::{A, y::Y};\npub struct X;\n");
        assert_eq!(found(&[root, parent, x, y, ("b.rs", "pub struct B;\n")]), none);
        // Each of the two is one for the other.
        assert_eq!(found(&[root, parent, x, y, ("b.rs", "use crate::a::y::Y;\n")]), [": b a"]);
        // Beside each other they are not.
        let y = ("a/y.rs", "pub struct Y(super::x::X);\n");
        assert_eq!(found(&[root, parent, x, y, ("b.rs", "pub struct B;\n")]), ["a: y x"]);
    }

    #[test]
    fn a_circle_is_excused_by_its_entry_alone() {
        let open = Circle { package: "p", parent: "", members: &["a", "b", "c"] };
        let members = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert!(open.excuses("p", "", &members(&["b", "a"])));
        assert!(!open.excuses("p", "", &members(&["a", "d"])));
        assert!(
            !open.excuses("p", "a", &members(&["a", "b"])) && !open.excuses("q", "", &members(&["a", "b"]))
        );
    }

    #[test]
    fn faults_name_the_files() {
        let files = [
            ("p/src/lib.rs", "mod a;\nmod b;\n"),
            ("p/src/a.rs", "use crate::b::B;\n"),
            ("p/src/b.rs", "use crate::a::A;\n"),
            ("p/tests/t.rs", "use crate::a::A;\n"),
        ];
        let told = faults_but_for(&[], files.into_iter()).join("\n");
        assert!(told.contains("p: modules that name each other in a circle: b, a"), "{told}");
        assert!(told.contains("p/src/a.rs names something of b: crate::b::B"), "{told}");
        assert!(told.contains("p/src/b.rs names something of a: crate::a::A"), "{told}");
        let open = [Circle { package: "p", parent: "", members: &["a", "b"] }];
        assert_eq!(faults_but_for(&open, files.into_iter()).join("\n"), "");
        let told = faults_but_for(&open, files.into_iter().skip(2)).join("\n");
        assert!(told.contains("no circle any more"), "{told}");
    }
}
