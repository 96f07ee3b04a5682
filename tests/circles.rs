//! No files of a crate use each other in a circle: read from the sources.
//!
//! A file uses another where it names something that the other defines, through whatever
//! re-exports. A re-export by itself is no use, and neither are test modules, method calls and
//! links in documentation.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use proc_macro2::{TokenStream, TokenTree};
use syn::{Item, UseTree, Visibility, ext::IdentExt as _, visit::Visit};

use super::architecture::{members, root};

/// The circles that are still to be cut, each by its crate and how many files are in it. One that is
/// gone, or has become smaller or larger, is to be changed here.
const STILL: &[(&str, &[usize])] = &[];

#[test]
fn no_files_of_a_crate_use_each_other_in_a_circle_but_the_known_ones() {
    let mut found = BTreeMap::new();
    let mut files = 0;
    for folder in members().keys() {
        let source = root().join(folder).join("src");
        let Some(entry) = ["lib.rs", "main.rs"]
            .map(|name| source.join(name))
            .into_iter()
            .find(|path| path.exists())
        else {
            continue;
        };
        let sources = Sources::read(&entry);
        files += sources.files.len();
        let circles = circles(&sources.uses());
        if !circles.is_empty() {
            let shown: Vec<Vec<String>> = circles
                .iter()
                .map(|circle| {
                    let shown = circle.iter().map(|file| {
                        let file = file.strip_prefix(&source).unwrap();
                        file.display().to_string()
                    });
                    shown.collect()
                })
                .collect();
            found.insert(folder.clone(), shown);
        }
    }
    assert!(files > 150, "{files} files were read");
    let sizes = found.iter().map(|(folder, circles)| {
        let mut sizes: Vec<_> = circles.iter().map(Vec::len).collect();
        sizes.sort_unstable_by(|a, b| b.cmp(a));
        (folder.as_str(), sizes)
    });
    let known = STILL
        .iter()
        .map(|(folder, sizes)| (*folder, sizes.to_vec()));
    assert!(sizes.eq(known), "{found:#?}");
}

#[test]
fn a_circle_is_found_through_a_re_export_and_a_macro() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("lib.rs", "mod a; mod b; mod c; pub use self::{a::A, b::B};");
    write(
        "a.rs",
        "pub struct A; fn f() { println!(\"{}\", crate::B::NAME) }",
    );
    write("b.rs", "use super::c::{C}; pub struct B(C);");
    write(
        "c.rs",
        "pub struct C; pub fn make() -> Box<dyn std::fmt::Debug> { crate::A; todo!() }",
    );
    let sources = Sources::read(&folder.path().join("lib.rs"));
    let circles = circles(&sources.uses());
    assert_eq!(circles.len(), 1);
    assert_eq!(circles[0].len(), 3);

    write(
        "c.rs",
        "pub struct C; #[cfg(test)] mod tests { use crate::A; }",
    );
    let sources = Sources::read(&folder.path().join("lib.rs"));
    assert!(super::circles::circles(&sources.uses()).is_empty());
}

/// A module: where it is, and what its names mean.
#[derive(Default)]
struct Module {
    file: PathBuf,
    names: BTreeMap<String, Meaning>,
    globs: Vec<Vec<String>>,
}

enum Meaning {
    /// Defined in this module.
    Item,
    /// A module below this one.
    Module,
    /// Brought here from elsewhere.
    Alias(Vec<String>),
}

type ModulePath = Vec<String>;

/// The sources of a crate: its modules, and what was read of each file.
struct Sources {
    modules: BTreeMap<ModulePath, Module>,
    files: Vec<(ModulePath, PathBuf, Vec<Item>)>,
}

impl Sources {
    fn read(entry: &Path) -> Self {
        let mut sources = Self {
            modules: BTreeMap::new(),
            files: Vec::new(),
        };
        let folder = entry.parent().unwrap().to_owned();
        sources.read_file(Vec::new(), entry.to_owned(), &folder);
        sources
    }

    /// `folder` is where the files of the modules below this one are.
    fn read_file(&mut self, module: ModulePath, file: PathBuf, folder: &Path) {
        let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file:?}: {error}"));
        let parsed = syn::parse_file(&text).unwrap_or_else(|error| panic!("{file:?}: {error}"));
        self.read_items(&module, &file, folder, &parsed.items);
        self.files.push((module, file, parsed.items));
    }

    fn read_items(&mut self, module: &ModulePath, file: &Path, folder: &Path, items: &[Item]) {
        let mut read = Module {
            file: file.to_owned(),
            ..Module::default()
        };
        for item in items.iter().filter(|item| !is_for_tests(attributes(item))) {
            match item {
                Item::Mod(inner) => {
                    let name = inner.ident.unraw().to_string();
                    let below: ModulePath = [&module[..], std::slice::from_ref(&name)].concat();
                    let inner_folder = folder.join(&name);
                    match &inner.content {
                        Some((_, items)) => self.read_items(&below, file, &inner_folder, items),
                        None => {
                            let flat = folder.join(format!("{name}.rs"));
                            let nested = inner_folder.join("mod.rs");
                            let path = if flat.exists() { flat } else { nested };
                            self.read_file(below, path, &inner_folder);
                        }
                    }
                    read.names.insert(name, Meaning::Module);
                }
                Item::Use(brought) => {
                    leaves(
                        &brought.tree,
                        &mut Vec::new(),
                        &mut |name, path| match name {
                            Some(name) => drop(read.names.insert(name, Meaning::Alias(path))),
                            None => read.globs.push(path),
                        },
                    );
                }
                _ => read
                    .names
                    .extend(name(item).map(|name| (name, Meaning::Item))),
            }
        }
        self.modules.insert(module.clone(), read);
    }

    /// Which file uses which.
    fn uses(&self) -> BTreeMap<PathBuf, BTreeSet<PathBuf>> {
        let mut uses: BTreeMap<PathBuf, BTreeSet<PathBuf>> = BTreeMap::new();
        for (module, file, items) in &self.files {
            let mut paths = Paths {
                module: module.clone(),
                found: Vec::new(),
            };
            for item in items {
                paths.visit_item(item);
            }
            let used = paths.found.iter();
            let used = used.filter_map(|(module, path)| self.file_of(module, path, 0));
            let used = used.filter(|other| other != file).collect();
            uses.insert(file.clone(), used);
        }
        uses
    }

    /// The file that defines what a path names, seen from a module.
    fn file_of(&self, module: &ModulePath, path: &[String], depth: u8) -> Option<PathBuf> {
        match self.resolve(module, path, depth)? {
            Found::Item(file) => Some(file),
            Found::Module(_) => None,
        }
    }

    fn resolve(&self, module: &ModulePath, path: &[String], depth: u8) -> Option<Found> {
        if depth > 16 {
            return None;
        }
        let mut at = module.clone();
        let mut rest = path;
        while let Some((first, after)) = rest.split_first() {
            match first.as_str() {
                "crate" => at.clear(),
                "self" => {}
                "super" => drop(at.pop()),
                _ => break,
            }
            rest = after;
        }
        while let Some((first, after)) = rest.split_first() {
            let inside = self.modules.get(&at)?;
            match inside.names.get(first) {
                Some(Meaning::Item) => return Some(Found::Item(inside.file.clone())),
                Some(Meaning::Module) => at.push(first.clone()),
                Some(Meaning::Alias(target)) if target[..] == *path && &at == module => {
                    return None;
                }
                Some(Meaning::Alias(target)) => match self.resolve(&at, target, depth + 1)? {
                    Found::Item(file) => return Some(Found::Item(file)),
                    Found::Module(module) => at = module,
                },
                None => {
                    // A glob of another crate brings nothing of this one.
                    let of_this_crate = |glob: &&Vec<String>| {
                        let start = glob.first().map_or("", String::as_str);
                        matches!(start, "crate" | "self" | "super")
                            || inside.names.contains_key(start)
                    };
                    let mut globs = inside.globs.iter().filter(of_this_crate);
                    let found = globs.find_map(|glob| {
                        let path = [&glob[..], rest].concat();
                        self.resolve(&at, &path, depth + 1)
                    });
                    return found;
                }
            }
            rest = after;
        }
        Some(Found::Module(at))
    }
}

enum Found {
    Item(PathBuf),
    Module(ModulePath),
}

/// Every path in a file, and the module that it stands in.
struct Paths {
    module: ModulePath,
    found: Vec<(ModulePath, Vec<String>)>,
}

impl Paths {
    fn note(&mut self, path: Vec<String>) {
        self.found.push((self.module.clone(), path));
    }

    /// What a macro is given is no syntax yet: every `a::b` in it counts.
    fn note_tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(name) if colons == 2 => {
                    path.push(name.unraw().to_string());
                    colons = 0;
                    continue;
                }
                TokenTree::Ident(name) => {
                    self.note(std::mem::take(&mut path));
                    path.push(name.unraw().to_string());
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => {
                    colons += 1;
                    continue;
                }
                TokenTree::Group(group) => self.note_tokens(group.stream()),
                _ => self.note(std::mem::take(&mut path)),
            }
            colons = 0;
        }
        self.note(path);
    }
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item(&mut self, item: &'ast Item) {
        if is_for_tests(attributes(item)) {
            return;
        }
        match item {
            Item::Mod(inner) => {
                if let Some((_, items)) = &inner.content {
                    self.module.push(inner.ident.unraw().to_string());
                    items.iter().for_each(|item| self.visit_item(item));
                    self.module.pop();
                }
            }
            Item::Use(brought) if matches!(brought.vis, Visibility::Inherited) => {
                let mut all = Vec::new();
                leaves(&brought.tree, &mut Vec::new(), &mut |_, path| {
                    all.push(path);
                });
                all.into_iter().for_each(|path| self.note(path));
            }
            Item::Use(_) => {}
            _ => syn::visit::visit_item(self, item),
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names = path.segments.iter();
        self.note(names.map(|name| name.ident.unraw().to_string()).collect());
        syn::visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.note_tokens(call.tokens.clone());
        syn::visit::visit_macro(self, call);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if !is_for_tests(&item.attrs) {
            syn::visit::visit_impl_item_fn(self, item);
        }
    }
}

/// Each name that a `use` brings (none for `*`), and its whole path.
fn leaves(
    tree: &UseTree,
    before: &mut Vec<String>,
    each: &mut dyn FnMut(Option<String>, Vec<String>),
) {
    let with = |before: &[String], name: &syn::Ident| {
        let name = name.unraw().to_string();
        [before, &[name]].concat()
    };
    match tree {
        UseTree::Path(path) => {
            before.push(path.ident.unraw().to_string());
            leaves(&path.tree, before, each);
            before.pop();
        }
        UseTree::Name(name) if name.ident == "self" => {
            each(before.last().cloned(), before.clone());
        }
        UseTree::Name(name) => each(
            Some(name.ident.unraw().to_string()),
            with(before, &name.ident),
        ),
        UseTree::Rename(name) => {
            each(
                Some(name.rename.unraw().to_string()),
                with(before, &name.ident),
            );
        }
        UseTree::Glob(_) => each(None, before.clone()),
        UseTree::Group(group) => {
            for tree in &group.items {
                leaves(tree, before, each);
            }
        }
    }
}

fn attributes(item: &Item) -> &[syn::Attribute] {
    match item {
        Item::Const(it) => &it.attrs,
        Item::Enum(it) => &it.attrs,
        Item::Fn(it) => &it.attrs,
        Item::Impl(it) => &it.attrs,
        Item::Mod(it) => &it.attrs,
        Item::Static(it) => &it.attrs,
        Item::Struct(it) => &it.attrs,
        Item::Trait(it) => &it.attrs,
        Item::Type(it) => &it.attrs,
        Item::Use(it) => &it.attrs,
        _ => &[],
    }
}

/// Whether it is compiled for tests alone: `#[cfg(test)]`, or `test` among several.
fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let Ok(list) = attribute.meta.require_list() else {
            return false;
        };
        let condition = list.tokens.to_string();
        list.path.is_ident("cfg")
            && !condition.starts_with("not")
            && condition
                .split(|c: char| !c.is_alphanumeric())
                .any(|word| word == "test")
    })
}

fn name(item: &Item) -> Option<String> {
    let name = match item {
        Item::Const(it) => &it.ident,
        Item::Enum(it) => &it.ident,
        Item::Fn(it) => &it.sig.ident,
        Item::Static(it) => &it.ident,
        Item::Struct(it) => &it.ident,
        Item::Trait(it) => &it.ident,
        Item::Type(it) => &it.ident,
        Item::Union(it) => &it.ident,
        _ => return None,
    };
    Some(name.unraw().to_string())
}

/// The groups of files that reach each other, larger than one.
fn circles(uses: &BTreeMap<PathBuf, BTreeSet<PathBuf>>) -> Vec<Vec<PathBuf>> {
    let reached: BTreeMap<&PathBuf, BTreeSet<&PathBuf>> = uses
        .keys()
        .map(|start| {
            let mut seen = BTreeSet::new();
            let mut open = vec![start];
            while let Some(file) = open.pop() {
                for next in uses.get(file).into_iter().flatten() {
                    if seen.insert(next) {
                        open.push(next);
                    }
                }
            }
            (start, seen)
        })
        .collect();
    let mut circles: BTreeSet<Vec<PathBuf>> = BTreeSet::new();
    for (file, seen) in &reached {
        if seen.contains(file) {
            let circle = seen.iter().filter(|other| reached[**other].contains(file));
            circles.insert(circle.map(|file| (*file).clone()).collect());
        }
    }
    circles.into_iter().collect()
}
