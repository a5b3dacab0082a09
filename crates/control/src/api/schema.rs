//! A validator for the part of JSON Schema that `openapi.json` uses, strict: what is not described is a fault.

use serde_json::Value;

/// Everything in `value` that `schema` does not describe; references lead into `document`.
pub(super) fn faults(document: &Value, schema: &Value, value: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    check(document, schema, value, "$", &mut faults);
    faults
}

fn check(document: &Value, schema: &Value, value: &Value, path: &str, faults: &mut Vec<String>) {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = document.pointer(reference.trim_start_matches('#')).expect(reference);
        return check(document, target, value, path, faults);
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(some) => some.iter().filter_map(Value::as_str).collect(),
        _ => panic!("{path}: the schema has no type"),
    };
    if !types.iter().any(|kind| is(kind, value)) {
        faults.push(format!("{path}: expected {types:?}, found {value}"));
        return;
    }
    if let Some(allowed) = schema["enum"].as_array()
        && !allowed.contains(value)
    {
        faults.push(format!("{path}: {value} is none of {allowed:?}"));
    }
    match value {
        Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                check(document, &schema["items"], item, &format!("{path}[{i}]"), faults);
            }
        }
        Value::Object(fields) => {
            let properties = schema["properties"].as_object().expect("properties");
            let required = schema["required"].as_array().expect("required");
            for name in required.iter().filter_map(Value::as_str).filter(|name| !fields.contains_key(*name)) {
                faults.push(format!("{path}.{name}: required, but missing"));
            }
            for (name, field) in fields {
                match properties.get(name) {
                    Some(schema) => check(document, schema, field, &format!("{path}.{name}"), faults),
                    None => faults.push(format!("{path}.{name}: not described")),
                }
            }
        }
        _ => {}
    }
}

fn is(kind: &str, value: &Value) -> bool {
    match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    }
}
