//! No module knows one that knows it: within each folder of the sources, imports between siblings go one way.
//!
//! What counts are `use` items, followed through re-exports to the module that declares the name. A module knows its own children, and
//! they know it: that is one thing in several files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use syn::{Item, ItemUse, UseTree};

/// The path of a module within its crate: `["bills", "apply"]`.
type Module = Vec<String>;

/// A crate of the workspace: its modules, and what each uses.
struct Crate {
    name: String,
    uses: BTreeMap<Module, Vec<Import>>,
}

/// A path that a module uses, from the crate's root on.
struct Import {
    path: Vec<String>,
    is_public: bool,
}

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The folders of the crates below `src`, and `src` itself, whose modules are those that are no crate.
fn crates() -> Vec<Crate> {
    let folders = std::fs::read_dir(sources()).unwrap().map(|entry| entry.unwrap().path());
    let members: Vec<PathBuf> = folders.filter(|folder| folder.join("Cargo.toml").exists()).collect();
    let skipped: BTreeSet<PathBuf> = members.iter().cloned().collect();
    let mut crates: Vec<Crate> = members.iter().map(|folder| Crate::read(folder, &BTreeSet::new())).collect();
    crates.push(Crate::read(&sources(), &skipped));
    crates
}

impl Crate {
    fn read(root: &Path, skipped: &BTreeSet<PathBuf>) -> Self {
        let mut uses = BTreeMap::new();
        let mut folders = vec![root.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let is_outside = skipped.contains(&path) || path.ends_with("benches") || path.ends_with("templates");
                if path.is_dir() && !is_outside {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("tests.rs") {
                    let file = syn::parse_file(&std::fs::read_to_string(&path).unwrap()).unwrap();
                    uses.insert(module_of(path.strip_prefix(root).unwrap()), file.items);
                }
            }
        }
        let modules: BTreeSet<Module> = uses.keys().cloned().collect();
        let uses = uses.into_iter().map(|(module, items)| (module.clone(), imports(&module, &items, &modules))).collect();
        Self { name: root.file_name().unwrap().to_str().unwrap().to_owned(), uses }
    }

    /// The module that a path leads to, through re-exports; `None` if it leads out of the crate.
    fn declaring(&self, path: &[String]) -> Option<Module> {
        let mut path = path.to_vec();
        for _ in 0..8 {
            let length = (0..=path.len()).rev().find(|length| self.uses.contains_key(&path[..*length]))?;
            let (module, rest) = path.split_at(length);
            let reexported = rest.first().and_then(|name| {
                self.uses[module].iter().find(|import| import.is_public && import.path.last() == Some(name) && import.path != path)
            });
            match reexported {
                Some(import) => path = import.path.clone(),
                None => return Some(module.to_vec()),
            }
        }
        None
    }

    /// Which siblings a module's part of a folder uses, by folder; with an example of each.
    fn siblings(&self) -> BTreeMap<Module, BTreeMap<String, BTreeMap<String, String>>> {
        let mut folders: BTreeMap<Module, BTreeMap<String, BTreeMap<String, String>>> = BTreeMap::new();
        for (module, imports) in &self.uses {
            for import in imports {
                let Some(used) = self.declaring(&import.path) else { continue };
                let common = module.iter().zip(&used).take_while(|(a, b)| a == b).count();
                if let (Some(from), Some(to)) = (module.get(common), used.get(common)) {
                    let example = format!("{} uses {}", module.join("::"), import.path.join("::"));
                    let folder = folders.entry(module[..common].to_vec()).or_default();
                    folder.entry(from.clone()).or_default().insert(to.clone(), example);
                }
            }
        }
        folders
    }
}

fn module_of(path: &Path) -> Module {
    let mut module: Module = path.with_extension("").iter().map(|part| part.to_str().unwrap().to_owned()).collect();
    if matches!(module.last().map(String::as_str), Some("mod" | "lib")) {
        module.pop();
    }
    module
}

fn imports(module: &Module, items: &[Item], modules: &BTreeSet<Module>) -> Vec<Import> {
    let mut found = Vec::new();
    for item in items {
        if let Item::Use(ItemUse { vis, tree, .. }) = item {
            let is_public = !matches!(vis, syn::Visibility::Inherited);
            let mut paths = Vec::new();
            flatten(tree, &mut Vec::new(), &mut paths);
            found.extend(paths.into_iter().filter_map(|path| Some(Import { path: from_root(module, path, modules)?, is_public })));
        }
    }
    found
}

/// Each path that a tree of uses names.
fn flatten(tree: &UseTree, before: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    match tree {
        UseTree::Path(path) => {
            before.push(path.ident.to_string());
            flatten(&path.tree, before, found);
            before.pop();
        }
        UseTree::Name(name) if name.ident == "self" => found.push(before.clone()),
        UseTree::Name(name) => found.push([before.as_slice(), &[name.ident.to_string()]].concat()),
        UseTree::Rename(name) => found.push([before.as_slice(), &[name.ident.to_string()]].concat()),
        UseTree::Glob(_) => found.push(before.clone()),
        UseTree::Group(group) => group.items.iter().for_each(|tree| flatten(tree, before, found)),
    }
}

/// The path from the crate's root on; `None` if it is of another crate.
fn from_root(module: &Module, path: Vec<String>, modules: &BTreeSet<Module>) -> Option<Vec<String>> {
    let supers = path.iter().take_while(|part| *part == "super").count();
    let child = || [module.as_slice(), path.get(..1).unwrap_or_default()].concat();
    match path.first().map(String::as_str)? {
        "crate" => Some(path[1..].to_vec()),
        "super" => Some([module.get(..module.len().checked_sub(supers)?)?, &path[supers..]].concat()),
        "self" => Some([module.as_slice(), &path[1..]].concat()),
        _ if modules.contains(&child()) => Some([module.as_slice(), &path].concat()),
        _ => None,
    }
}

/// What is left when everything that uses nothing else of it, or is used by nothing else of it, is taken away, again and again.
fn circular(mut graph: BTreeMap<String, BTreeMap<String, String>>) -> Vec<String> {
    loop {
        let known: BTreeSet<String> = graph.keys().cloned().collect();
        graph.values_mut().for_each(|uses| uses.retain(|used, _| known.contains(used)));
        let before = graph.len();
        let used: BTreeSet<String> = graph.values().flat_map(BTreeMap::keys).cloned().collect();
        graph.retain(|name, uses| !uses.is_empty() && used.contains(name));
        if graph.len() == before {
            return graph.values().flat_map(BTreeMap::values).cloned().collect();
        }
    }
}

#[test]
fn no_module_knows_a_sibling_that_knows_it() {
    let mut wrong = Vec::new();
    for member in crates() {
        for (folder, graph) in member.siblings() {
            let examples = circular(graph);
            if !examples.is_empty() {
                wrong.push(format!("{} {}:\n    {}", member.name, folder.join("::"), examples.join("\n    ")));
            }
        }
    }
    assert!(wrong.is_empty(), "imports go round in circles:\n  {}", wrong.join("\n  "));
}

#[test]
fn a_circle_is_found() {
    let graph = |edges: &[(&str, &str)]| {
        let mut graph: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
        for (from, to) in edges {
            graph.entry((*from).to_owned()).or_default().insert((*to).to_owned(), format!("{from} uses {to}"));
        }
        graph
    };
    assert_eq!(circular(graph(&[("a", "b"), ("b", "c"), ("d", "a")])), Vec::<String>::new());
    assert_eq!(circular(graph(&[("a", "b"), ("b", "c"), ("c", "b")])), ["b uses c", "c uses b"]);
}

#[test]
fn a_name_is_followed_to_where_it_is_declared() {
    let uses = BTreeMap::from([
        (vec![], vec![Import { path: vec!["deep".into(), "inner".into(), "Thing".into()], is_public: true }]),
        (vec!["deep".to_owned()], vec![]),
        (vec!["deep".to_owned(), "inner".into()], vec![]),
    ]);
    let member = Crate { name: "test".into(), uses };
    assert_eq!(member.declaring(&["Thing".to_owned()]), Some(vec!["deep".to_owned(), "inner".to_owned()]));
}
