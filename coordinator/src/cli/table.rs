//! Answers as aligned text.

use serde_json::Value;

/// A value in one cell. What others wrote holds no control characters, as names are checked at the edge.
pub(super) fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(cell).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

/// Columns that a text takes on a terminal: East Asian characters take two.
fn width(text: &str) -> usize {
    let wide = |c: char| matches!(u32::from(c), 0x1100..=0x115f | 0x2e80..=0xa4cf | 0xac00..=0xd7a3 | 0xf900..=0xfaff | 0xfe30..=0xfe6f | 0xff00..=0xff60 | 0xffe0..=0xffe6 | 0x1f300..=0x1faff | 0x20000..=0x3fffd);
    text.chars().map(|c| if wide(c) { 2 } else { 1 }).sum()
}

fn lines(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|at| rows.iter().filter_map(|row| row.get(at)).map(|text| width(text)).max().unwrap_or(0))
        .collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(text, most)| {
            let space = " ".repeat(most.saturating_sub(width(text)));
            format!("{text}{space}")
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// A list of objects as a table of these keys.
pub(super) fn table(list: &Value, keys: &[&str]) -> String {
    let mut rows = vec![keys.iter().map(|key| key.replace('_', " ").to_uppercase()).collect::<Vec<_>>()];
    for object in list.as_array().into_iter().flatten() {
        rows.push(keys.iter().map(|key| cell(object.get(key).unwrap_or(&Value::Null))).collect());
    }
    lines(&rows)
}

/// An object as one line for each key.
pub(super) fn pairs(object: &Value) -> String {
    let pairs = object.as_object().into_iter().flatten();
    let rows: Vec<Vec<String>> = pairs.map(|(key, value)| vec![key.replace('_', " "), cell(value)]).collect();
    lines(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn columns_line_up_in_any_script() {
        let list = json!([{ "name": "li", "display_name": "李雷", "online": true },
                          { "name": "alice", "display_name": "Al", "online": false }]);
        let text = table(&list, &["name", "display_name", "online"]);
        assert_eq!(text, "NAME   DISPLAY NAME  ONLINE\nli     李雷          yes\nalice  Al            no");
        assert_eq!(pairs(&json!({ "a": 1, "long_key": null })), "a         1\nlong key  -");
    }
}
