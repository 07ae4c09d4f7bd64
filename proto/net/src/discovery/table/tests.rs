//! What a reader of the news hears, and how much is remembered.

use super::*;

const NODE: Service = Service::Node;

fn device(seed: u16) -> DeviceId {
    let [high, low] = seed.to_be_bytes();
    let mut bytes = [0; 32];
    bytes[..2].copy_from_slice(&[high, low]);
    DeviceId(bytes)
}

fn record(seed: u16, realm: RealmId, hosts: &[u8]) -> Record {
    let endpoints = hosts.iter().map(|host| Endpoint::new(([10, 0, 0, *host], 7420).into())).collect();
    Record { device: device(seed), realm, endpoints, version: 1 }
}

fn open(seed: u16, hosts: &[u8]) -> Record {
    record(seed, RealmId::OPEN, hosts)
}

fn table() -> Table {
    Table::new(device(0))
}

fn heard(table: &mut Table) -> Vec<String> {
    let mut all = Vec::new();
    while let Some(event) = table.tell() {
        all.push(match event {
            DiscoveryEvent::Found(found) => {
                let hosts = found.endpoints.iter().map(|one| one.ip().to_string().split_off(7));
                format!("found {} {}", name(&found.device), hosts.collect::<Vec<_>>().join(","))
            }
            DiscoveryEvent::Lost(lost) => format!("lost {}", name(&lost.device)),
        });
    }
    all
}

fn name(id: &DeviceId) -> u16 {
    u16::from_be_bytes([id.0[0], id.0[1]])
}

#[test]
fn a_device_is_told_once_and_again_only_when_it_differs() {
    let mut table = table();
    assert!(table.file(NODE, "a", open(1, &[5])));
    assert_eq!(heard(&mut table), ["found 1 5"]);
    for _ in 0..100 {
        table.file(NODE, "A", open(1, &[5]));
    }
    assert!(!table.has_news());
    table.file(NODE, "a", open(1, &[5, 6]));
    assert_eq!(heard(&mut table), ["found 1 5,6"]);
    table.forget(NODE, "a");
    table.forget(NODE, "a");
    assert_eq!(heard(&mut table), ["lost 1"]);
    assert_eq!(table.len(), 0);
}

#[test]
fn the_own_device_is_never_told() {
    let mut table = table();
    assert!(!table.file(NODE, "me", open(0, &[5])));
    assert_eq!((heard(&mut table), table.len()), (vec![], 0));
}

#[test]
fn a_slow_reader_hears_how_it_is_and_not_how_it_was() {
    let mut table = table();
    for host in 1..200 {
        table.file(NODE, "a", open(1, &[host]));
        table.file(NODE, "b", open(2, &[host]));
    }
    table.forget(NODE, "b");
    assert_eq!(heard(&mut table), ["found 1 199"]);
    assert_eq!((table.len(), table.instances.len()), (1, 1));
}

#[test]
fn a_device_that_changes_its_realm_is_lost_and_found() {
    let mut table = table();
    table.file(NODE, "a", open(1, &[5]));
    heard(&mut table);
    table.file(NODE, "a", record(1, RealmId([9; 32]), &[5]));
    let lost = Lost { service: NODE, device: device(1), realm: RealmId::OPEN };
    assert_eq!(table.tell(), Some(DiscoveryEvent::Lost(lost)));
    assert!(matches!(table.tell(), Some(DiscoveryEvent::Found(found)) if found.realm == RealmId([9; 32])));
    assert_eq!(table.tell(), None);
}

#[test]
fn a_false_announcement_neither_crowds_out_nor_withdraws_the_true_one() {
    let mut table = table();
    let false_hosts: Vec<u8> = (100..116).collect();
    table.file(NODE, "false", open(1, &false_hosts));
    table.file(NODE, "true", open(1, &[5, 6]));
    let Some(DiscoveryEvent::Found(found)) = table.tell() else { panic!() };
    assert_eq!(found.endpoints.len(), MAX_ENDPOINTS);
    for host in [5, 6] {
        assert!(found.endpoints.contains(&Endpoint::new(([10, 0, 0, host], 7420).into())));
    }
    table.forget(NODE, "false");
    assert_eq!(heard(&mut table), ["found 1 5,6"]);
}

#[test]
fn a_flood_of_devices_ends_at_the_bound_and_makes_room_when_they_go() {
    let mut table = table();
    let bound = u16::try_from(MAX_DISCOVERED).unwrap();
    for seed in 1..=bound {
        assert!(table.file(NODE, &seed.to_string(), open(seed, &[5])));
    }
    assert!(!table.file(NODE, "more", open(bound + 1, &[5])));
    assert!(table.file(NODE, "1", open(1, &[6])), "who is known may change");
    assert_eq!(table.len(), MAX_DISCOVERED);
    heard(&mut table);
    table.forget(NODE, "1");
    heard(&mut table);
    assert!(table.file(NODE, "more", open(bound + 1, &[5])));
}

#[test]
fn a_flood_of_names_of_one_device_ends_at_the_bound() {
    let mut table = table();
    for n in 0..100 {
        assert_eq!(table.file(NODE, &n.to_string(), open(1, &[5])), n < MAX_INSTANCES);
    }
    assert_eq!(table.instances.len(), MAX_INSTANCES);
}

#[test]
fn what_is_looked_for_no_more_is_lost() {
    let mut table = table();
    table.file(NODE, "a", open(1, &[5]));
    table.file(Service::Coordinator, "a", open(2, &[5]));
    heard(&mut table);
    table.keep(&[NODE]);
    assert_eq!(heard(&mut table), ["lost 2"]);
}

#[test]
fn who_is_not_found_again_after_a_new_start_is_lost() {
    let mut table = table();
    table.begin();
    table.file(NODE, "a", open(1, &[5]));
    table.file(NODE, "b", open(2, &[5]));
    heard(&mut table);
    table.begin();
    table.file(NODE, "a", open(1, &[5]));
    assert_eq!(heard(&mut table), Vec::<String>::new());
    table.sweep();
    assert_eq!(heard(&mut table), ["lost 2"]);
}
