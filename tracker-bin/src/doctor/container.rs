//! Address translation between a container and its host: then all peers seem to have the same private address.

use std::net::{IpAddr, Ipv4Addr};

use super::finding::Finding;
use super::machine::Machine;

/// Words in the control group of a container's first process.
const IN_CGROUP: [&str; 5] = ["docker", "kubepods", "libpod", "lxc", "containerd"];

/// A warning in a container whose network is behind its host's address translation.
pub(super) fn address_translation(machine: &Machine) -> Option<Finding> {
    const ID: &str = "container";
    if !is_container(machine) {
        return None;
    }
    let route = default_route(&machine.text("proc/net/route")?)?;
    let v4: Vec<_> = machine
        .addresses
        .iter()
        .filter_map(|address| match address {
            IpAddr::V4(address) if !address.is_loopback() => Some(*address),
            _ => None,
        })
        .collect();
    let is_behind_host = !v4.is_empty()
        && v4.iter().copied().all(is_private)
        && is_private(route.gateway)
        && is_virtual(machine, &route.interface);
    if !is_behind_host {
        return Some(Finding::ok(ID, "in a container, with an address of its own or of its host"));
    }
    let what = format!(
        "in a container with the private address {}: if its host translates addresses, all peers seem to be {}, and \
         no peer finds another",
        v4[0], route.gateway
    );
    Some(Finding::warning(ID, what, "start the container with its host's network: docker run --network host"))
}

fn is_container(machine: &Machine) -> bool {
    let cgroup = || machine.text("proc/1/cgroup").unwrap_or_default();
    machine.exists(".dockerenv")
        || machine.exists("run/.containerenv")
        || IN_CGROUP.iter().any(|word| cgroup().contains(word))
}

fn is_private(address: Ipv4Addr) -> bool {
    // 100.64.0.0/10 is the range of providers' own address translation.
    address.is_private() || address.octets()[0] == 100 && address.octets()[1] & 0xc0 == 64
}

/// Whether an interface is made by software only, such as the end of a pair whose other end is in the host's network. A
/// container with its host's network has the host's own: a device, or a bridge, a bond or a VLAN over others.
fn is_virtual(machine: &Machine, interface: &str) -> bool {
    let names = machine.names(&format!("sys/class/net/{interface}"));
    let is_of_host = |name: &String| name == "device" || name == "bridge" || name.starts_with("lower_");
    !names.is_empty() && !names.iter().any(is_of_host)
}

#[derive(Debug, PartialEq, Eq)]
struct Route {
    interface: String,
    gateway: Ipv4Addr,
}

/// `interface destination gateway flags ...`, addresses as numbers of this machine.
fn default_route(text: &str) -> Option<Route> {
    text.lines().skip(1).find_map(|line| {
        let mut fields = line.split_whitespace();
        let (interface, destination, gateway) = (fields.next()?, fields.next()?, fields.next()?);
        let gateway = u32::from_str_radix(gateway, 16).ok()?;
        let is_default = u32::from_str_radix(destination, 16) == Ok(0) && gateway != 0;
        is_default
            .then(|| Route { interface: interface.into(), gateway: Ipv4Addr::from(gateway.to_ne_bytes()) })
    })
}

#[cfg(test)]
#[cfg(target_endian = "little")]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::doctor::finding::Severity;
    use crate::doctor::machine::tests::Pretend;

    const ROUTES: &str = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0
eth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\t0\t0\t0
";

    /// A container with these other files and this address.
    fn with(files: &[(&str, &str)], address: [u8; 4]) -> Option<Finding> {
        let mut pretend = Pretend::with(&[("proc/net/route", ROUTES)]);
        files.iter().for_each(|(path, content)| pretend.write(path, content));
        pretend.machine.addresses = vec![Ipv4Addr::LOCALHOST.into(), address.into()];
        address_translation(&pretend.machine)
    }

    const PAIR: (&str, &str) = ("sys/class/net/eth0/iflink", "12\n");

    #[test]
    fn warns_of_translated_addresses_in_a_container_only() {
        for sign in [(".dockerenv", ""), ("run/.containerenv", ""), ("proc/1/cgroup", "0::/kubepods/pod1\n")]
        {
            let finding = with(&[sign, PAIR], [172, 17, 0, 2]).unwrap();
            assert_eq!(finding.severity, Severity::Warning);
            assert!(finding.what.contains("all peers seem to be 172.17.0.1"), "{finding}");
        }
        assert_eq!(with(&[("proc/1/cgroup", "0::/init.scope\n"), PAIR], [172, 17, 0, 2]), None);
    }

    #[test]
    fn accepts_a_public_address_and_the_network_of_the_host() {
        let docker = (".dockerenv", "");
        assert_eq!(with(&[docker, PAIR], [203, 0, 113, 5]).unwrap().severity, Severity::Ok);
        for of_host in ["device/vendor", "bridge/bridge_id", "lower_eth1/mtu"] {
            let of_host = format!("sys/class/net/eth0/{of_host}");
            let finding = with(&[docker, PAIR, (&of_host, "")], [172, 17, 0, 2]).unwrap();
            assert_eq!(finding.severity, Severity::Ok, "{of_host}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_text_is_no_trouble(text in ".{0,200}", words in "head\n([0-9A-F]{0,9}|[ \n])*") {
            default_route(&text);
            default_route(&words);
        }
    }
}
