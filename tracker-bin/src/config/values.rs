//! Values in a configuration file. Their errors state what is expected, with an example.

use std::fmt;
use std::marker::PhantomData;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::Deserialize;
use serde::de::{Deserializer, Error, Unexpected, Visitor};
use udp_tracker::IpNet;

/// A whole number, 0 or more.
pub(super) fn number<'de, D: Deserializer<'de>, T: TryFrom<u64>>(deserializer: D) -> Result<T, D::Error> {
    deserializer
        .deserialize_u64(Number { expected: "a whole number, 0 or more, such as 60", to: PhantomData })
}

/// A whole number, if there is one.
pub(super) fn optional_number<'de, D: Deserializer<'de>, T: TryFrom<u64>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    number(deserializer).map(Some)
}

pub(super) fn port<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    deserializer.deserialize_u64(Number { expected: "a port, 1 to 65535, such as 9696", to: PhantomData })
}

/// Addresses to listen on.
pub(super) fn listen<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<SocketAddr>>, D::Error> {
    let all = Vec::<Text<SocketAddr>>::deserialize(deserializer)?;
    Ok(Some(all.into_iter().map(|address| address.0).collect()))
}

pub(super) fn networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    let all = Vec::<Text<IpNet>>::deserialize(deserializer)?;
    Ok(all.into_iter().map(|network| network.0).collect())
}

pub(super) fn addresses<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpAddr>, D::Error> {
    let all = Vec::<Text<IpAddr>>::deserialize(deserializer)?;
    Ok(all.into_iter().map(|address| address.0).collect())
}

pub(super) fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<IpAddr>, D::Error> {
    Text::deserialize(deserializer).map(|address| Some(address.0))
}

/// Where the page is; `""` is nowhere.
pub(super) fn admin_address<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<SocketAddr>>, D::Error> {
    Text::deserialize(deserializer).map(|Text(Optional(address))| Some(address))
}

/// A file; `""` is none.
pub(super) fn path<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PathBuf>, D::Error> {
    Ok(Some(PathBuf::deserialize(deserializer)?).filter(|path| !path.as_os_str().is_empty()))
}

struct Optional(Option<SocketAddr>);

/// A multicast group; `""` is none.
pub(super) fn group<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Ipv4Addr>, D::Error> {
    Text::deserialize(deserializer).map(|Text(Group(group))| group)
}

struct Group(Option<Ipv4Addr>);

struct Number<T> {
    expected: &'static str,
    to: PhantomData<T>,
}

impl<T: TryFrom<u64>> Visitor<'_> for Number<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<T, E> {
        T::try_from(value).map_err(|_| E::invalid_value(Unexpected::Unsigned(value), &self))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<T, E> {
        match u64::try_from(value) {
            Ok(value) => self.visit_u64(value),
            Err(_) => Err(E::invalid_value(Unexpected::Signed(value), &self)),
        }
    }
}

/// A type with a text form.
pub(super) trait FromText: Sized {
    /// A description of the text form, with an example.
    const EXPECTED: &'static str;

    fn from_text(text: &str) -> Option<Self>;
}

impl FromText for SocketAddr {
    const EXPECTED: &'static str = "an IP address and a port, such as \"0.0.0.0:6969\" or \"[::]:6969\"";

    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl FromText for IpAddr {
    const EXPECTED: &'static str = "an IP address, such as \"192.0.2.1\" or \"2001:db8::1\"";

    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl FromText for IpNet {
    const EXPECTED: &'static str = "a network, such as \"192.0.2.0/24\", or \"192.0.2.1/32\" for one address";

    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl FromText for Group {
    const EXPECTED: &'static str = "an IPv4 multicast group, such as \"224.0.42.5\", or \"\" for none";

    fn from_text(text: &str) -> Option<Self> {
        if text.is_empty() { Some(Self(None)) } else { text.parse().ok().map(|group| Self(Some(group))) }
    }
}

impl FromText for Optional {
    const EXPECTED: &'static str = "an IP address and a port, such as \"127.0.0.1:6970\", or \"\" for none";

    fn from_text(text: &str) -> Option<Self> {
        if text.is_empty() { Some(Self(None)) } else { text.parse().ok().map(|address| Self(Some(address))) }
    }
}

struct Text<T>(T);

impl<'de, T: FromText> Deserialize<'de> for Text<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor(PhantomData))
    }
}

struct TextVisitor<T>(PhantomData<T>);

impl<T: FromText> Visitor<'_> for TextVisitor<T> {
    type Value = Text<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Text<T>, E> {
        T::from_text(text).map(Text).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
    }
}
