//! Lists of addresses.

use std::fmt;

use footfall_ingest::collect::Network;
use serde::de::{self, Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// Addresses and networks: a list, or in a variable names with commas between them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Networks(pub(crate) Vec<Network>);

impl Serialize for Networks {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(Network::to_string))
    }
}

impl<'de> Deserialize<'de> for Networks {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;
        impl<'de> Visitor<'de> for Names {
            type Value = Networks;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of addresses such as 10.0.0.7 or networks such as 10.0.0.0/8")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Networks, E> {
                let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
                let networks: Result<_, _> = names.map(str::parse).collect();
                networks.map(Networks).map_err(E::custom)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut names: A) -> Result<Networks, A::Error> {
                let mut networks = Vec::new();
                while let Some(name) = names.next_element::<String>()? {
                    networks.push(name.parse().map_err(de::Error::custom)?);
                }
                Ok(Networks(networks))
            }
        }
        deserializer.deserialize_any(Names)
    }
}
