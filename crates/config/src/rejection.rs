//! Reading which API responses reject the token.

use biped_core::{RejectionRule, wire::ResponsePath};

use crate::{
    table::ConfigTable,
    value::{ConfigValue, Value},
};

impl ConfigTable {
    /// Returns which API responses reject the token. The value is a table, or a list of tables,
    /// with `status` (a list of statuses, or one), `at` (a JSON pointer, or `header:Name`) and
    /// `any_of` (a list of values).
    #[must_use]
    pub fn rejection_rules(&self, key: &str) -> Option<Vec<RejectionRule>> {
        let tables = self.tables(key, true)?;
        Some(tables.iter().map(Self::rejection_rule).collect())
    }

    fn rejection_rule(&self) -> RejectionRule {
        let statuses = self.value("status").and_then(|value| {
            self.checked(
                "status",
                statuses(value),
                "a list of HTTP status codes",
                |_| true,
            )
        });
        let path = self.string("at").and_then(|text| {
            ResponsePath::parse(&text)
                .map_err(|why| self.invalid("at", why))
                .ok()
        });
        let values = self.value("any_of").and_then(|value| {
            let values = match &value.raw {
                Value::List(all) => Some(all.iter().map(ConfigValue::to_json).collect()),
                _ => None,
            };
            self.checked("any_of", values, "a list", |_| true)
        });
        self.report_unread();
        let any_of = match (path, values) {
            (Some(path), Some(values)) => Some((path, values)),
            (None, None) => None,
            _ => {
                drop(self.invalid_at(
                    self.origin(),
                    "at",
                    "at and any_of belong together; set both or neither",
                ));
                None
            }
        };
        if statuses.is_none() && any_of.is_none() {
            drop(self.invalid("status", "expected status, or at and any_of"));
        }
        RejectionRule { statuses, any_of }
    }
}

fn statuses(value: &ConfigValue) -> Option<Vec<u16>> {
    let code = |value: &ConfigValue| match value.raw {
        Value::Integer(code @ 100..=599) => u16::try_from(code).ok(),
        _ => None,
    };
    match &value.raw {
        Value::List(all) => all.iter().map(code).collect(),
        _ => code(value).map(|code| vec![code]),
    }
}
