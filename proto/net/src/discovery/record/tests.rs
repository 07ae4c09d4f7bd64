//! What is written can be read; what is hostile is left out.

use super::*;
use lanchat_proto::signed::SecretKey;
use mdns_sd::TxtProperty;

fn device(seed: u8) -> DeviceId {
    SecretKey::from_seed(&[seed; 32]).public()
}

fn peer() -> String {
    peer_id_string(&device(1))
}

fn resolved(keys: Vec<TxtProperty>, addresses: &[IpAddr], port: u16) -> ResolvedService {
    let name = Service::Node.dns_name();
    ServiceInfo::new(name, "x", "x.local.", addresses, port, keys).unwrap().as_resolved_service()
}

fn said(id: &str, org: &str, v: &str) -> Result<Record, Unreadable> {
    let keys = [("id", id), ("org", org), ("v", v)];
    read(&resolved(keys.map(TxtProperty::from).to_vec(), &["10.0.0.1".parse().unwrap()], 7420), false)
}

fn at(addresses: &[&str], port: u16, loopback: bool) -> Result<Record, Unreadable> {
    let addresses: Vec<IpAddr> = addresses.iter().map(|address| address.parse().unwrap()).collect();
    let keys = [("v", "1"), ("id", &peer()), ("org", OPEN)].map(TxtProperty::from).to_vec();
    read(&resolved(keys, &addresses, port), loopback)
}

#[test]
fn what_a_device_writes_others_read() {
    let realm = RealmId([7; 32]);
    for realm in [realm, RealmId::OPEN] {
        let listen =
            vec!["0.0.0.0:7420", "[::]:7420"].into_iter().map(|text| Endpoint::new(text.parse().unwrap()));
        let announced = Announced { realm, listen: listen.collect() };
        let infos = write(&device(1), Service::Coordinator, &announced, false).unwrap();
        let [info] = &infos[..] else { panic!("{infos:?}") };
        assert_eq!(info.get_type(), "_lanchat-coord._tcp.local.");
        assert_eq!(info.get_property_val_str("v"), Some("1"));
        assert_eq!(info.get_property_val_str("id"), Some(peer().as_str()));
        let org = if realm == RealmId::OPEN { "open".to_owned() } else { "07".repeat(32) };
        assert_eq!(info.get_property_val_str("org"), Some(org.as_str()));
        let mut heard = info.clone().as_resolved_service();
        assert_eq!(
            read(&heard, false),
            Err(Unreadable::Bad("addresses")),
            "addresses come from the adapters"
        );
        heard.addresses.insert(IpAddr::from([192, 168, 0, 9]).into());
        let endpoints = vec![Endpoint::new("192.168.0.9:7420".parse().unwrap())];
        assert_eq!(read(&heard, false), Ok(Record { device: device(1), realm, endpoints, version: 1 }));
    }
}

#[test]
fn each_port_is_an_announcement_of_its_own_and_nothing_listening_is_none() {
    let listen = |ports: &[u16]| Announced {
        realm: RealmId::OPEN,
        listen: ports.iter().map(|port| Endpoint::new(([0, 0, 0, 0], *port).into())).collect(),
    };
    let names = |ports: &[u16]| -> BTreeSet<String> {
        let infos = write(&device(1), Service::Node, &listen(ports), false).unwrap();
        assert!(infos.iter().all(|info| !info.requires_probe() && info.is_addr_auto()));
        infos.iter().map(|info| info.get_fullname().to_owned()).collect()
    };
    assert!(names(&[]).is_empty());
    assert!(names(&[0]).is_empty());
    assert_eq!(names(&[7420, 7420]).len(), 1);
    assert_eq!(names(&[7420, 7430]).len(), 2);
    assert_eq!(names(&[1, 2, 3, 4, 5, 6, 7]).len(), MAX_ANNOUNCED_PORTS);
}

#[test]
fn a_device_is_announced_where_it_listens_and_nowhere_else() {
    let says = |listen: &str, address: &str, loopback: bool| {
        let listen = Endpoint::new(listen.parse().unwrap());
        announces(&[listen], address.parse().unwrap(), listen.port(), loopback)
    };
    assert!(says("0.0.0.0:7420", "10.1.2.3", false));
    assert!(says("[::]:7420", "fd00::3", false));
    assert!(says("10.1.2.3:7420", "10.1.2.3", false));
    assert!(says("0.0.0.0:7420", "127.0.0.1", true));
    assert!(!says("0.0.0.0:7420", "127.0.0.1", false));
    assert!(!says("0.0.0.0:7420", "fd00::3", false));
    assert!(!says("[::]:7420", "fe80::3", true));
    assert!(!says("0.0.0.0:7420", "169.254.3.4", true));
    assert!(!says("10.1.2.3:7420", "10.1.2.4", false));
}

#[test]
fn keys_are_read_without_case_and_the_first_counts() {
    let other = peer_id_string(&device(2));
    let keys = [("V", "3"), ("Id", &peer()), ("ID", &other), ("oRG", OPEN), ("new", "key"), ("v", "1")];
    let keys = keys.map(TxtProperty::from).to_vec();
    let read = read(&resolved(keys, &["10.0.0.1".parse().unwrap()], 7420), false).unwrap();
    assert_eq!((read.device, read.version), (device(1), 3));
}

#[test]
fn newer_versions_are_welcome() {
    assert_eq!(said(&peer(), OPEN, "65535").unwrap().version, u16::MAX);
}

#[test]
fn what_is_none_of_ours_is_left_out() {
    let (hex, short) = ("07".repeat(32), "07".repeat(31));
    let rsa = "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N";
    let long = "1".repeat(250);
    for id in ["", "nonsense", rsa, "\u{1b}[2J", "\0", &long, &format!("{} ", peer()), "пир"] {
        assert_eq!(said(id, OPEN, "1"), Err(Unreadable::Bad("id")), "{id:?}");
    }
    for org in ["", "Open", "zz", &short, &format!("{short}7"), &format!("{short}0\n"), &format!("{hex}0")] {
        assert_eq!(said(&peer(), org, "1"), Err(Unreadable::Bad("org")), "{org:?}");
    }
    for v in ["", "0", "-1", "65536", "1.0", "\u{7}", "１"] {
        assert_eq!(said(&peer(), OPEN, v), Err(Unreadable::Bad("v")), "{v:?}");
    }
    let bytes = TxtProperty::from(("id", [0xff, 0xfe]));
    let bare = TxtProperty::from("id");
    for key in [bytes, bare] {
        let one = resolved(vec![key], &["10.0.0.1".parse().unwrap()], 7420);
        assert_eq!(read(&one, false), Err(Unreadable::Bad("id")));
    }
    assert_eq!(read(&resolved(vec![], &[], 7420), false), Err(Unreadable::Incomplete));
}

#[test]
fn only_usable_addresses_are_taken() {
    let mixed = ["fe80::1", "169.254.0.1", "0.0.0.0", "224.0.0.251", "255.255.255.255", "127.0.0.1", "::1"];
    assert_eq!(at(&mixed, 7420, false), Err(Unreadable::Bad("addresses")));
    assert_eq!(at(&["10.0.0.1"], 0, false), Err(Unreadable::Bad("addresses")));
    let local = at(&mixed, 7420, true).unwrap().endpoints;
    assert!(local.iter().all(|endpoint| endpoint.ip().is_loopback()) && local.len() == 2, "{local:?}");
    let good = at(&["fe80::1", "10.0.0.1", "fd00::1"], 7420, false).unwrap().endpoints;
    assert_eq!(good.iter().map(ToString::to_string).collect::<Vec<_>>(), ["10.0.0.1:7420", "[fd00::1]:7420"]);
}

#[test]
fn of_a_thousand_addresses_a_few_are_taken() {
    let many: Vec<String> = (0..1000).map(|n| format!("10.0.{}.{}", n / 250, n % 250)).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(at(&many, 7420, false).unwrap().endpoints.len(), MAX_ENDPOINTS);
}
