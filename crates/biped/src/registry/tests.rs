use super::*;

#[test]
fn the_keys_of_a_store_are_the_same_without_its_feature() {
    for row in STORES {
        let Some(kind) = row.kind else { continue };
        let kind = kind();
        assert_eq!(kind.name(), row.name);
        let declared: BTreeSet<_> = kind.fields().map(Field::name).collect();
        let listed: BTreeSet<_> = row.keys.iter().map(Field::name).collect();
        assert_eq!(declared, listed, "{}", row.name);
        for field in kind.fields() {
            let listed = row.keys.iter().find(|listed| listed.name() == field.name());
            assert_eq!(listed.map(Field::ty), Some(field.ty()), "{}", field.name());
        }
    }
    for row in PROVIDERS {
        assert!(row.kind.is_none_or(|kind| kind().name() == row.name));
    }
}
