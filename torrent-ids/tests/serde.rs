//! The ids in human-readable and in binary formats.

use serde_test::{Configure, Token, assert_de_tokens, assert_de_tokens_error, assert_tokens};
use torrent_ids::{InfoHash, PeerId};

const HEX: &str = "000102030405060708090a0b0c0d0e0f10111213";
const BYTES: [u8; 20] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19];

#[test]
fn human_readable_formats_have_hex_digits() {
    assert_tokens(&InfoHash(BYTES).readable(), &[Token::Str(HEX)]);
    assert_tokens(&PeerId(BYTES).readable(), &[Token::Str(HEX)]);
}

#[test]
fn binary_formats_have_bytes() {
    assert_tokens(&InfoHash(BYTES).compact(), &[Token::Bytes(&BYTES)]);
    assert_tokens(&PeerId(BYTES).compact(), &[Token::Bytes(&BYTES)]);
}

#[test]
fn reads_bytes_from_a_sequence() {
    let mut tokens = vec![Token::Seq { len: Some(20) }];
    tokens.extend(BYTES.map(Token::U8));
    tokens.push(Token::SeqEnd);
    assert_de_tokens(&InfoHash(BYTES).compact(), &tokens);
}

#[test]
fn rejects_other_lengths_and_digits() {
    let expected = "expected 40 hex digits or 20 bytes";
    assert_de_tokens_error::<serde_test::Compact<InfoHash>>(
        &[Token::Bytes(&BYTES[..19])],
        &format!("invalid length 19, {expected}"),
    );
    let mut tokens = vec![Token::Seq { len: None }];
    tokens.extend([0; 21].map(Token::U8));
    assert_de_tokens_error::<serde_test::Compact<PeerId>>(&tokens, &format!("invalid length 21, {expected}"));
    assert_de_tokens_error::<serde_test::Readable<InfoHash>>(
        &[Token::Str(&HEX[..39])],
        "expected 40 hex digits, got 39 bytes",
    );
}
