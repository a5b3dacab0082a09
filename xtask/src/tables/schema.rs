//! Kafka's message JSON, read: comments stripped, common structures put in place, versions as numbers.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// Request or response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Direction {
    Request,
    Response,
}

/// An inclusive range; `None` where the JSON says "none".
pub(super) type Range = Option<(i16, i16)>;

/// One request or response of one release.
#[derive(Debug)]
pub(super) struct Definition {
    pub(super) key: i16,
    pub(super) direction: Direction,
    pub(super) name: String,
    pub(super) valid: Range,
    pub(super) flexible: Range,
    pub(super) broker: bool,
    pub(super) unstable: bool,
    pub(super) fields: Vec<Field>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) ty: Type,
    pub(super) versions: Range,
    pub(super) nullable: Range,
    pub(super) tag: Option<(u32, Range)>,
    pub(super) default: Option<String>,
    pub(super) entity: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Type {
    Plain(String),
    Struct(Vec<Field>),
    Array(Box<Type>),
}

impl Type {
    /// The name of the innermost plain type; empty for structures.
    pub(super) fn plain(&self) -> &str {
        match self {
            Self::Plain(name) => name,
            Self::Array(element) => element.plain(),
            Self::Struct(_) => "",
        }
    }

    /// The fields of a structure or of an array of structures.
    pub(super) fn fields(&self) -> &[Field] {
        match self {
            Self::Plain(_) => &[],
            Self::Array(element) => element.fields(),
            Self::Struct(fields) => fields,
        }
    }
}

/// The definition in `text`, or `None` when it is not a request or response with an api key.
pub(super) fn parse(text: &str) -> Result<Option<Definition>, String> {
    let value: Value = serde_json::from_str(&strip_comments(text)).map_err(|error| error.to_string())?;
    let object = value.as_object().ok_or("expected an object")?;
    let direction = match text_of(object, "type") {
        Some("request") => Direction::Request,
        Some("response") => Direction::Response,
        _ => return Ok(None),
    };
    let Some(key) = object.get("apiKey").and_then(Value::as_i64) else { return Ok(None) };
    let commons: BTreeMap<&str, &Value> = list(object, "commonStructs")
        .iter()
        .filter_map(|common| Some((common.get("name")?.as_str()?, common.get("fields")?)))
        .collect();
    let listeners = list(object, "listeners");
    Ok(Some(Definition {
        key: i16::try_from(key).map_err(|error| error.to_string())?,
        direction,
        name: text_of(object, "name").ok_or("expected a name")?.to_owned(),
        valid: range(object, "validVersions")?,
        flexible: range(object, "flexibleVersions")?,
        broker: listeners.iter().any(|listener| listener == "broker"),
        unstable: object.get("latestVersionUnstable") == Some(&Value::Bool(true)),
        fields: fields(list(object, "fields"), &commons)?,
    }))
}

/// Removes `//` comments outside strings; the rest is JSON.
fn strip_comments(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        let (mut quoted, mut escaped, mut end) = (false, false, line.len());
        for (at, byte) in line.bytes().enumerate() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if quoted => escaped = true,
                b'"' => quoted = !quoted,
                b'/' if !quoted && line[at..].starts_with("//") => {
                    end = at;
                    break;
                }
                _ => {}
            }
        }
        out.push_str(&line[..end]);
        out.push('\n');
    }
    out
}

fn fields(values: &[Value], commons: &BTreeMap<&str, &Value>) -> Result<Vec<Field>, String> {
    values.iter().map(|value| field(value, commons)).collect()
}

fn field(value: &Value, commons: &BTreeMap<&str, &Value>) -> Result<Field, String> {
    let object = value.as_object().ok_or("expected an object per field")?;
    let name = text_of(object, "name").ok_or("expected a field's name")?;
    let ty = text_of(object, "type").ok_or_else(|| format!("expected a type of {name}"))?;
    if object.contains_key("flexibleVersions") {
        return Err(format!("expected no flexibleVersions of its own in {name}"));
    }
    let tag = match object.get("tag").and_then(Value::as_u64) {
        Some(tag) => {
            Some((u32::try_from(tag).map_err(|error| error.to_string())?, range(object, "taggedVersions")?))
        }
        None => None,
    };
    Ok(Field {
        name: name.to_owned(),
        ty: type_of(ty, object, commons)?,
        versions: range(object, "versions")?,
        nullable: range(object, "nullableVersions")?,
        tag,
        default: object
            .get("default")
            .map(|default| default.as_str().map_or(default.to_string(), str::to_owned)),
        entity: text_of(object, "entityType").map(str::to_owned),
    })
}

fn type_of(ty: &str, object: &Map<String, Value>, commons: &BTreeMap<&str, &Value>) -> Result<Type, String> {
    if let Some(element) = ty.strip_prefix("[]") {
        return Ok(Type::Array(Box::new(type_of(element, object, commons)?)));
    }
    if ty.starts_with(|first: char| first.is_ascii_lowercase()) {
        return Ok(Type::Plain(ty.to_owned()));
    }
    let own = list(object, "fields");
    if !own.is_empty() {
        return Ok(Type::Struct(fields(own, commons)?));
    }
    let common = commons.get(ty).and_then(|common| common.as_array());
    let common = common.ok_or_else(|| format!("expected the fields of {ty}"))?;
    Ok(Type::Struct(fields(common, commons)?))
}

fn list<'a>(object: &'a Map<String, Value>, name: &str) -> &'a [Value] {
    object.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn text_of<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    object.get(name).and_then(Value::as_str)
}

/// "3", "3-7", "3+" or "none".
fn range(object: &Map<String, Value>, name: &str) -> Result<Range, String> {
    let Some(text) = text_of(object, name) else { return Ok(None) };
    if text == "none" {
        return Ok(None);
    }
    let number = |digits: &str| digits.parse::<i16>().map_err(|error| format!("{name} {text}: {error}"));
    if let Some(min) = text.strip_suffix('+') {
        return Ok(Some((number(min)?, i16::MAX)));
    }
    match text.split_once('-') {
        Some((min, max)) => Ok(Some((number(min)?, number(max)?))),
        None => Ok(Some((number(text)?, number(text)?))),
    }
}
