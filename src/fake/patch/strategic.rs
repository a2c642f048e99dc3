//! Strategic merge patch.

use serde_json::{Map, Value};

use crate::fake::schema::Schema;

pub(in crate::fake) fn apply(
    _schema: &Schema,
    target: &mut Value,
    patch: Map<String, Value>,
) -> Result<(), String> {
    super::merge::apply(target, Value::Object(patch));
    Ok(())
}
