//! Every way to each other: past firewalls, between floors, over the right adapter, through the coordinator and back.
#![cfg(target_os = "linux")]

use lanchat_tests::lab::{AtHost, Dead, Lab};
use lanchat_tests::search::{files_with, memory_with};
use lanchat_tests::{Node, Office, within};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn both(one: &Node, other: &Node, route: &str) -> bool {
    one.route(other) == route && other.route(one) == route
}

/// Whether one reaches the other at the host's address on the office's network, whichever protocol it is.
fn over_the_office(one: &Node, other: &Node) -> bool {
    let (host, at) = (other.host(), one.addr_of(other));
    at.starts_with(&format!("{}:", host.address())) || at.starts_with(&format!("[{}]:", host.address6()))
}

#[test]
fn nothing_passes_between_two_people_but_their_words_do() {
    let lab = Lab::new();
    let office = Office::at(&lab.host());
    let [alice, bob, carol] =
        office.people_at([("alice", &lab.host()), ("bob", &lab.host()), ("carol", &lab.host())]);
    within(5 * SECOND, "they see each other", || both(&alice, &bob, "direct") && carol.sees(&alice));
    let slow = alice.talk_to(&bob, 20);
    lab.block(&alice, &bob);
    within(15 * SECOND, "they talk through the coordinator", || both(&alice, &bob, "relay"));
    assert!(alice.sees(&carol) && carol.sees(&bob), "others are not touched");
    // Made here, so that no program holds it before.
    let marker = format!("Geheim-{:x}-{}", std::process::id(), "quokka".repeat(3));
    let capture = lab.capture(&office);
    alice.send("bob", &marker);
    within(5 * SECOND, "bob has the marked message", || bob.texts("alice").contains(&marker));
    let slow = slow.end();
    within(10 * SECOND, "everything that was said is there", || bob.has_all(&alice, &slow).is_ok());
    bob.has_all(&alice, &slow).unwrap();

    assert!(capture.bytes() > marker.len() as u64 && !capture.holds(&marker), "it crossed sealed");
    let process = office.pid().unwrap();
    assert_eq!(memory_with(process, &marker), [""; 0], "the coordinator's memory");
    assert_eq!(files_with(&office.dir(), &marker), [""; 0], "the coordinator's files");
    assert!(!files_with(alice.dir(), &marker).is_empty(), "it would be found where it is");
    drop(capture);

    let fast = alice.talk_to(&bob, 100);
    let back = bob.talk_to(&alice, 100);
    within(5 * SECOND, "they are in full flow", || bob.texts("alice").len() > slow.len() + 100);
    lab.unblock(&alice, &bob);
    within(60 * SECOND, "they are back to each other directly", || both(&alice, &bob, "direct"));
    let (fast, back) = (fast.end(), back.end());
    within(20 * SECOND, "everything has arrived", || {
        bob.has_all(&alice, &fast).is_ok() && alice.has_all(&bob, &back).is_ok()
    });
    let links = alice.status()["links"].clone();
    assert_eq!(
        (links["direct"].as_u64(), links["relay"].as_u64()),
        (Some(2), Some(0)),
        "the relayed one is closed"
    );
}

#[test]
fn two_who_never_had_a_direct_way_talk_through_the_coordinator() {
    let lab = Lab::new();
    let office = Office::at(&lab.host());
    let (one, other) = (lab.host(), lab.host());
    lab.block(&one, &other);
    let [alice, bob] = office.people_at([("alice", &one), ("bob", &other)]);
    within(15 * SECOND, "each sees the other", || both(&alice, &bob, "relay"));
    let (there, back) = (alice.talk_to(&bob, 100), bob.talk_to(&alice, 100));
    within(10 * SECOND, "they are in full flow", || bob.texts("alice").len() > 200);
    let (there, back) = (there.end(), back.end());
    within(10 * SECOND, "everything has arrived", || {
        bob.has_all(&alice, &there).is_ok() && alice.has_all(&bob, &back).is_ok()
    });
}

#[test]
fn a_firewall_that_lets_only_one_of_them_dial_is_no_obstacle() {
    // Whoever is the one to dial by rule, one of the two cases needs the other to dial back.
    for forward in [true, false] {
        let lab = Lab::new();
        let office = Office::at(&lab.host());
        let (one, other) = (lab.host(), lab.host());
        let (from, to) = if forward { (&one, &other) } else { (&other, &one) };
        lab.block_dialling(from, to);
        let [alice, bob] = office.people_at([("alice", &one), ("bob", &other)]);
        within(10 * SECOND, "they reach each other directly", || both(&alice, &bob, "direct"));
        alice.send("bob", "through the wall");
        within(2 * SECOND, "the message is there", || bob.texts("alice") == ["through the wall"]);
    }
}

#[test]
fn people_on_two_floors_reach_each_other_by_what_the_coordinator_knows() {
    let lab = Lab::new();
    let office = Office::at(&lab.host());
    let floor = lab.subnet();
    let [alice, bob, carol] =
        [("alice", lab.host()), ("bob", lab.host_on(floor)), ("carol", lab.host_on(floor))]
            .map(|(name, host)| office.node_at(name, &host).with_mdns().joins(&office));
    within(10 * SECOND, "everybody reaches everybody", || {
        both(&alice, &bob, "direct") && both(&alice, &carol, "direct") && both(&bob, &carol, "direct")
    });
    assert!(over_the_office(&alice, &bob) && over_the_office(&bob, &alice));
}

#[test]
fn a_dead_adapter_a_vpn_and_link_local_addresses_do_not_lead_astray() {
    let lab = Lab::new();
    let office = Office::at(&lab.host());
    let (one, other) = (lab.host(), lab.host());
    lab.dead_adapter(&one, "eth1", Dead::Unplugged);
    lab.dead_adapter(&one, "eth2", Dead::Nowhere);
    let vpn = lab.vpn();
    for host in [&one, &other] {
        lab.adapter(host, "tun0", vpn);
    }
    let [alice, bob] = office.people_at([("alice", &one), ("bob", &other)]);
    within(5 * SECOND, "they reach each other", || both(&alice, &bob, "direct"));
    let at = (alice.addr_of(&bob), bob.addr_of(&alice));
    assert!(over_the_office(&alice, &bob) && over_the_office(&bob, &alice), "but not at {at:?}");
}

#[test]
fn where_only_ipv6_is_listened_to_ipv6_it_is() {
    let lab = Lab::new();
    let office = Office::at(&lab.host());
    let floor = lab.subnet();
    let [alice, bob, carol] = [("alice", lab.host()), ("bob", lab.host()), ("carol", lab.host_on(floor))]
        .map(|(name, host)| {
            office.node_at(name, &host).listening("/ip6/::/tcp/0").with_mdns().joins(&office)
        });
    within(10 * SECOND, "everybody reaches everybody", || {
        both(&alice, &bob, "direct") && both(&alice, &carol, "direct") && both(&bob, &carol, "direct")
    });
    assert!(over_the_office(&alice, &bob) && over_the_office(&alice, &carol));
    alice.send("carol", "six");
    within(2 * SECOND, "the message is there", || carol.texts("alice") == ["six"]);
}

#[test]
fn a_vpn_that_keeps_its_guests_apart_is_left_aside() {
    let lab = Lab::new();
    let office = Office::at(&lab.host());
    let (one, other) = (lab.host(), lab.host());
    let vpn = lab.vpn();
    for host in [&one, &other] {
        lab.adapter(host, "tun0", vpn);
    }
    lab.isolate(vpn);
    let [alice, bob] = [("alice", &one), ("bob", &other)]
        .map(|(name, host)| office.node_at(name, host).with_mdns().joins(&office));
    within(5 * SECOND, "they reach each other", || both(&alice, &bob, "direct"));
    assert!(over_the_office(&alice, &bob) && over_the_office(&bob, &alice));
}

#[test]
fn a_terminal_server_with_many_people_and_a_person_on_two_pcs() {
    let lab = Lab::new();
    let office = Office::at(&lab.host());
    let terminal = lab.host();
    let everybody: Vec<Node> =
        (0..6).map(|n| office.node_at(&format!("user{n}"), &terminal).with_mdns().joins(&office)).collect();
    let bob = office.node_at("bob", &lab.host()).joins(&office);
    let mut laptop = office.node_at("bobs-laptop", &lab.host());
    laptop.start();
    laptop.name = "bob".to_owned();
    laptop.login(&office.join(), lanchat_tests::office::PASSWORD).ok();
    within(15 * SECOND, "everybody reaches everybody", || {
        everybody.iter().all(|one| {
            bob.sees(one)
                && laptop.sees(one)
                && one.sees(&bob)
                && everybody.iter().all(|other| one.name == other.name || one.sees(other))
        })
    });
    for one in &everybody {
        one.send("bob", "for both of your PCs");
        within(3 * SECOND, "it is on both", || {
            [&bob, &laptop].iter().all(|pc| pc.texts(&one.name) == ["for both of your PCs"])
        });
    }
}

#[test]
fn a_long_and_lossy_way_loses_nothing() {
    let lab = Lab::new();
    let office = Office::at(&lab.host());
    let hosts = [lab.host(), lab.host()];
    for host in &hosts {
        lab.delay(host, Duration::from_millis(100));
        lab.loss(host, 3);
    }
    let [alice, bob] = office.people_at([("alice", &hosts[0]), ("bob", &hosts[1])]);
    within(15 * SECOND, "they reach each other", || both(&alice, &bob, "direct"));
    let watch = alice.watch();
    let talk = alice.talk_to(&bob, 20);
    std::thread::sleep(15 * SECOND);
    let said = talk.end();
    within(20 * SECOND, "everything has arrived", || bob.has_all(&alice, &said).is_ok());
    let gone = watch.since(0, lanchat_tests::watch::shows(&bob, "offline"));
    assert!(gone.is_empty(), "{gone:?}");
}
