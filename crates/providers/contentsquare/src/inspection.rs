//! Reading what `/v1/oauth/me` says about credentials.

use biped_core::{Choice, Error, Inspection, Timestamp, wire};
use bytes::Bytes;
use serde_json::Value;

use crate::{answer::good, request::PROJECT_ID};

/// How many projects a remedy lists, and how many characters of each name.
const PROJECTS_SHOWN: usize = 20;
const NAME_SHOWN: usize = 60;

/// Reads what `/v1/oauth/me` says about the credentials.
pub(crate) fn inspection(
    response: &http::Response<Bytes>,
    now: Timestamp,
) -> Result<Inspection, Error> {
    let mut answer = good(response, now)?;
    let scopes = wire::scope(&answer.remove("scopes").unwrap_or_default());
    let permissions = answer.remove("permissions").unwrap_or_default();
    if scopes.is_none() && !permissions.is_object() {
        return Err(wire::invalid_response(
            response,
            "the response contains neither scopes nor permissions",
        ));
    }
    // The response may repeat the credentials of the request.
    for known in ["success", "client_id", "client_secret"] {
        answer.remove(known);
    }
    let projects = permissions["projects"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let mut inspection = Inspection::default();
    inspection.scopes = scopes
        .unwrap_or_default()
        .split_whitespace()
        .map(str::to_owned)
        .collect();
    inspection.choices = projects.iter().filter_map(project).collect();
    inspection.details = answer;
    Ok(inspection)
}

/// Returns the remedy for a request without a project, if these projects are permitted.
pub(crate) fn permitted(projects: &[Choice]) -> String {
    let shown: Vec<String> = projects
        .iter()
        .take(PROJECTS_SHOWN)
        .map(|project| {
            let (id, name) = (&project.value, &project.title);
            match name.char_indices().nth(NAME_SHOWN) {
                _ if name.is_empty() => id.to_string(),
                Some((end, _)) => format!("{id} ({}…)", wire::Escaped(&name[..end])),
                None => format!("{id} ({})", wire::Escaped(name)),
            }
        })
        .collect();
    let more = match projects.len().saturating_sub(PROJECTS_SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!(
        "set project_id to one of the permitted projects: {}{more}",
        shown.join(", ")
    )
}

fn project(value: &Value) -> Option<Choice> {
    let name = wire::text(&value["name"]).unwrap_or_default();
    let id = wire::integer(&value["id"])?;
    Some(Choice::new(PROJECT_ID, id, name.trim()))
}

#[cfg(test)]
mod tests {
    use biped_core::ErrorKind;
    use serde_json::json;

    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

    fn response(body: &Value) -> http::Response<Bytes> {
        http::Response::new(body.to_string().into())
    }

    /// The vendor's example, from its Speed Analysis Lab document.
    fn me() -> Value {
        json!({
            "scopes": "speed-analysis metrics data-export session-replay symbolicator",
            "permissions": { "projects": [{ "id": 42, "name": "UX ANALYTICS" }] }
        })
    }

    #[test]
    fn the_documents_example_of_me_is_an_inspection() {
        let inspection = inspection(&response(&me()), NOW).unwrap();
        assert_eq!(
            inspection.scopes,
            [
                "speed-analysis",
                "metrics",
                "data-export",
                "session-replay",
                "symbolicator"
            ]
        );
        assert_eq!(
            inspection.choices,
            [Choice::new(PROJECT_ID, 42, "UX ANALYTICS")]
        );
        assert!(inspection.details.is_empty());
    }

    #[test]
    fn me_is_read_where_it_says_less_or_oddly() {
        let read = |body: Value| inspection(&response(&body), NOW);
        let odd = read(json!({
            "scopes": ["metrics"],
            "permissions": { "projects": [{ "id": "7" }, { "name": "no id" }, 3, null] }
        }));
        let odd = odd.unwrap();
        assert_eq!(odd.scopes, ["metrics"]);
        assert_eq!(odd.choices, [Choice::new(PROJECT_ID, 7, "")]);
        assert!(
            read(json!({ "permissions": {} }))
                .unwrap()
                .choices
                .is_empty()
        );
        assert_eq!(
            read(json!({})).unwrap_err().kind(),
            ErrorKind::InvalidResponse
        );
        let refused = read(json!({ "success": false, "errorCode": "NO" }));
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Refused);
    }

    #[test]
    fn a_remedy_stays_short_and_clean() {
        let mut answer = me();
        let hostile = format!("\u{1b}[31m{}", "x".repeat(5000));
        answer["permissions"]["projects"] = (0..500)
            .map(|id| json!({ "id": id, "name": hostile }))
            .collect();
        let remedy = permitted(&inspection(&response(&answer), NOW).unwrap().choices);
        assert!(remedy.len() < 2500, "{}", remedy.len());
        assert!(!remedy.contains('\u{1b}'));
    }
}
