//! 20 bytes as 40 hex digits.

use core::fmt;

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE, HEXUPPER};

/// A text that is not the 40 hex digits of an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseIdError {
    /// The text does not have 40 bytes.
    #[error("expected 40 hex digits, got {got} bytes")]
    Length {
        /// Bytes in the text.
        got: usize,
    },
    /// A byte of the text is not a hex digit.
    #[error("byte {at} is not a hex digit")]
    NotHex {
        /// Offset of that byte, from 0.
        at: usize,
    },
}

/// Parses 40 hex digits of either case.
pub(crate) fn parse(text: &str) -> Result<[u8; 20], ParseIdError> {
    if text.len() != 40 {
        return Err(ParseIdError::Length { got: text.len() });
    }
    let mut bytes = [0; 20];
    HEXLOWER_PERMISSIVE
        .decode_mut(text.as_bytes(), &mut bytes)
        .map_err(|partial| ParseIdError::NotHex { at: partial.error.position })?;
    Ok(bytes)
}

pub(crate) fn write_lower(bytes: &[u8; 20], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.pad(HEXLOWER.encode_mut_str(bytes, &mut [0; 40]))
}

pub(crate) fn write_upper(bytes: &[u8; 20], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.pad(HEXUPPER.encode_mut_str(bytes, &mut [0; 40]))
}

/// The conversions and formats that `InfoHash` and `PeerId` share.
macro_rules! twenty_bytes {
    ($name:ident) => {
        impl $name {
            /// Parses 40 hex digits of either case.
            ///
            /// # Errors
            /// When the text has another length or a byte that is not a hex digit.
            pub fn from_hex(text: &str) -> Result<Self, $crate::ParseIdError> {
                $crate::hex::parse(text).map(Self)
            }
        }

        /// 40 hex digits.
        impl core::fmt::LowerHex for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                $crate::hex::write_lower(&self.0, f)
            }
        }

        /// 40 hex digits.
        impl core::fmt::UpperHex for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                $crate::hex::write_upper(&self.0, f)
            }
        }

        impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl From<[u8; 20]> for $name {
            fn from(bytes: [u8; 20]) -> Self {
                Self(bytes)
            }
        }

        impl From<$name> for [u8; 20] {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl TryFrom<&[u8]> for $name {
            type Error = core::array::TryFromSliceError;

            fn try_from(bytes: &[u8]) -> Result<Self, Self::Error> {
                bytes.try_into().map(Self)
            }
        }

        impl AsRef<[u8]> for $name {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }
    };
}
pub(crate) use twenty_bytes;
