//! Canonical lines, normalisation and ids.

use crate::strategies as s;
use proptest::prelude::*;
use serde_json::Value;
use weft_protocol::{
    hash::{blake2_256, ZERO},
    merkle,
    record::*,
};

fn golden(file: &str) -> Value {
    let path = format!("{}/tests/golden/{file}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn normalisation_should_equal_200_golden_strings() {
    let rows = golden("normalised.json");
    let rows = rows.as_array().unwrap();
    assert_eq!(rows.len(), 200);
    for row in rows {
        let (text, expected) = (row[0].as_str().unwrap(), row[1].as_str().unwrap());
        assert_eq!(normalise(text), expected, "{text:?}");
    }
}

/// Characters of the property White_Space, unchanged since Unicode 6.3.
fn white_space() -> Vec<char> {
    let ranges = [
        '\u{9}'..='\u{d}',
        ' '..=' ',
        '\u{85}'..='\u{85}',
        '\u{a0}'..='\u{a0}',
        '\u{1680}'..='\u{1680}',
        '\u{2000}'..='\u{200a}',
        '\u{2028}'..='\u{2029}',
        '\u{202f}'..='\u{202f}',
        '\u{205f}'..='\u{205f}',
        '\u{3000}'..='\u{3000}',
    ];
    ranges.into_iter().flatten().collect()
}

/// Tables of another Unicode version would give records other ids on chain and in a daemon. Whoever changes a pin finds
/// out here, and that a new version is a new protocol.
#[test]
fn unicode_tables_should_be_those_of_the_protocol() {
    assert_eq!(unicode_normalization::UNICODE_VERSION, (18, 0, 0));
    let every = || '\0'..=char::MAX;
    assert_eq!(every().filter(|c| c.is_whitespace()).collect::<Vec<_>>(), white_space());
    // The normal form of each character alone, ended by a byte that UTF-8 never uses. A second implementation of the rule
    // made the digest from the tables of unicode-normalization 0.1.26 and unicase 2.10.0; Python's own tables agree on
    // every character of Unicode 14.
    let mut forms = Vec::new();
    for c in every() {
        forms.extend(normalise(c.encode_utf8(&mut [0; 4])).into_bytes());
        forms.push(0xff);
    }
    assert_eq!(forms.len(), 5_491_692);
    let digest = "f3b1550de691ce218f8d3383d3ffcd06fc9c983b2d55d511b5c3f57c907dab06";
    assert_eq!(hex::encode(blake2_256(&forms)), digest);
}

#[test]
fn lines_should_equal_those_of_python() {
    let rows = golden("lines.json");
    for row in rows.as_array().unwrap() {
        let messages = row[0].as_array().unwrap().iter().map(|message| Message {
            role: Role::from_name(message[0].as_str().unwrap()).unwrap(),
            content: message[1].as_str().unwrap().to_string(),
            weight: u8::try_from(message[2].as_u64().unwrap()).unwrap(),
        });
        let record = Record { messages: messages.collect() };
        let line = row[1].as_str().unwrap();
        assert_eq!(record.canonical_line(), line);
        assert_eq!(Record::parse_line(line), Ok(record));
    }
}

#[test]
fn other_spellings_of_a_record_should_be_refused() {
    let line = Record::pair("a", "b").canonical_line();
    assert_eq!(line, r#"{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}"#);
    for bad in [
        "",
        "{}",
        r#"{"messages":[]}"#,
        r#"{"messages": [{"role":"user","content":"a"}]}"#,
        r#"{"messages":[{"content":"a","role":"user"}]}"#,
        r#"{"messages":[{"role":"user","content":"\u0041"}]}"#,
        r#"{"messages":[{"role":"user","content":"\/"}]}"#,
        r#"{"messages":[{"role":"user","content":"\u001F"}]}"#,
        r#"{"messages":[{"role":"user","content":"\u000a"}]}"#,
        r#"{"messages":[{"role":"user","content":"a","weight":1}]}"#,
        r#"{"messages":[{"role":"user","content":"a","weight":0,"x":1}]}"#,
        r#"{"messages":[{"role":"user","content":"a"}]} "#,
        r#"{"messages":[{"role":"user","content":"a"},]}"#,
        "{\"messages\":[{\"role\":\"user\",\"content\":\"a\nb\"}]}",
        r#"{"messages":[{"role":"user","content":"a"#,
    ] {
        assert!(Record::parse_line(bad).is_err(), "{bad}");
    }
    assert_eq!(Record::parse_line(r#"{"messages":[{"role":"robot","content":""}]}"#), Err(LineError::Role(22)));
    assert_eq!(Record::parse_line(&"x".repeat(MAX_RECORD_BYTES + 1)), Err(LineError::TooLong));
}

proptest! {
    #[test]
    fn line_should_round_trip_and_be_json(record in s::record()) {
        let line = record.canonical_line();
        prop_assert!(!line.contains('\n'));
        prop_assert_eq!(Record::parse_line(&line).unwrap(), record.clone());
        let value: Value = serde_json::from_str(&line).unwrap();
        for (message, json) in record.messages.iter().zip(value["messages"].as_array().unwrap()) {
            prop_assert_eq!(json["content"].as_str().unwrap(), &message.content);
            prop_assert_eq!(json["role"].as_str().unwrap(), message.role.name());
            prop_assert_eq!(json.get("weight").is_some(), message.weight == 0);
        }
    }

    #[test]
    fn parser_should_accept_nothing_but_canonical_lines(text in "\\{\"messages\":\\[\\{\"role\":\"(user|tool)\",\"content\":\"([a-z\\\\u0\"/ntb]|é){0,8}\"(,\"weight\":[01])?\\}\\]\\}") {
        if let Ok(record) = Record::parse_line(&text) {
            prop_assert_eq!(record.canonical_line(), text);
        }
    }

    #[test]
    fn normalising_should_leave_no_outer_or_double_space(text in any::<String>()) {
        let out = normalise(&text);
        prop_assert_eq!(out.trim(), &out);
        prop_assert!(!out.contains("  "));
        prop_assert!(!out.chars().any(|c| c.is_whitespace() && c != ' '));
    }
}

#[test]
fn id_should_ignore_case_width_and_weight_but_leaf_should_not() {
    let a = Record::pair("Who  was ÅNGSTRÖM?", "A Swede");
    let mut b = Record::pair("who was a\u{30a}ngstro\u{308}m?", "a swede ");
    b.messages[1].weight = 0;
    assert_eq!(a.id(&ZERO), b.id(&ZERO));
    assert_ne!(a.leaf(&ZERO), b.leaf(&ZERO));
    assert_ne!(a.id(&ZERO), a.id(&[1; 32]));
    assert_eq!(contribution_root(&[a.clone(), b.clone()], &ZERO), merkle::root(&[a.leaf(&ZERO), b.leaf(&ZERO)]));
    assert_eq!(contribution_blob(&[a.clone(), b.clone()]), format!("{}\n{}\n", a.canonical_line(), b.canonical_line()));
}
