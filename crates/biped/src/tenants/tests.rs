use std::hash::{BuildHasherDefault, Hasher};

use biped_config::Origin;

use super::*;

/// Gives every name the same hash.
#[derive(Default)]
struct Colliding;

impl Hasher for Colliding {
    fn finish(&self) -> u64 {
        7
    }

    fn write(&mut self, _: &[u8]) {}
}

#[derive(Debug)]
struct Plain(ProviderId);

#[async_trait]
impl Provider for Plain {
    fn id(&self) -> &ProviderId {
        &self.0
    }

    async fn fetch(&self, _: &TokenRequest, _: &FetchContext<'_>) -> Result<Token, Error> {
        Err(Error::configuration("asked for nothing"))
    }
}

fn template() -> Arc<Template> {
    let kind = ProviderKind::new("plain", |_: &ProviderConfig| {
        let id = ProviderId::new("plain", "https://login.example/token", "client-7");
        Ok(Arc::new(Plain(id)) as Arc<dyn Provider>)
    });
    let origin = Origin::Builder;
    let pattern = ConfigValue {
        raw: "[a-z0-9-]+".into(),
        origin: origin.clone(),
    };
    let values = BTreeMap::from([("tenant".to_owned(), pattern)]);
    let pattern = TenantPattern::read(&kind, "providers.plain", &values);
    let configure = move |values| ProviderConfig::new("plain", "plain", origin.clone(), values);
    let sample = kind.build(&configure(BTreeMap::new())).unwrap();
    let pattern = pattern.unwrap().unwrap();
    Template::new(pattern, kind, values, Box::new(configure), sample)
}

#[test]
fn tenants_whose_names_have_one_hash_are_never_taken_for_each_other() {
    let template = template();
    let [acme, umbrella] = ["acme", "umbrella"].map(|name| template.provider(name).unwrap());
    let mut known = Known::<BuildHasherDefault<Colliding>>::default();
    known.insert(&acme);
    assert!(Arc::ptr_eq(&known.get("acme").unwrap(), &acme));
    assert!(known.get("umbrella").is_none());
    known.insert(&umbrella);
    assert!(Arc::ptr_eq(&known.get("umbrella").unwrap(), &umbrella));
    assert!(known.get("acme").is_none());
}

#[test]
fn a_tenant_in_use_has_one_provider_and_one_out_of_use_takes_no_memory() {
    let template = template();
    let acme = template.provider("acme").unwrap();
    for number in 0..1000 {
        let name = format!("tenant-{number}");
        assert_eq!(template.provider(&name).unwrap().name(), name);
    }
    assert!(Arc::ptr_eq(&template.provider("acme").unwrap(), &acme));
    assert!(template.known.lock().unwrap().providers.capacity() < 100);
}
