//! The lab does what it says, so that stories in it mean something.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a story that cannot go on has failed")]

use lanchat_tests::lab::{Dead, Host, Lab};
use lanchat_tests::within;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);
/// More than a dial on a free way takes, on a busy machine too; less than the second try of a lost SYN.
const SOON: Duration = Duration::from_millis(800);

/// Somebody who listens on a host and gives back what is said, also over IPv6.
fn echo(host: &Host) -> u16 {
    let listener = host.inside(|| TcpListener::bind("[::]:0")).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || std::io::copy(&mut stream.try_clone().unwrap(), &mut stream));
        }
    });
    port
}

fn dial(from: &Host, to: impl Into<IpAddr>, port: u16) -> std::io::Result<TcpStream> {
    let to = SocketAddr::new(to.into(), port);
    let stream = from.inside(|| TcpStream::connect_timeout(&to, SOON))?;
    stream.set_read_timeout(Some(SOON))?;
    Ok(stream)
}

fn says(stream: &mut TcpStream, text: &str) -> bool {
    let mut back = vec![0; text.len()];
    let said = stream.write_all(text.as_bytes()).and_then(|()| stream.read_exact(&mut back));
    said.is_ok() && back == text.as_bytes()
}

fn reaches(from: &Host, to: impl Into<IpAddr>, port: u16) -> bool {
    dial(from, to, port).is_ok_and(|mut stream| says(&mut stream, "hello"))
}

/// Whether a packet to a multicast group, sent on one host, comes in at another.
fn hears(listener: &Host, speaker: &Host) -> bool {
    let group = Ipv4Addr::new(224, 0, 0, 251);
    let ear = listener.inside(|| UdpSocket::bind((group, 0))).unwrap();
    ear.join_multicast_v4(&group, &listener.address()).unwrap();
    ear.set_read_timeout(Some(SOON)).unwrap();
    let port = ear.local_addr().unwrap().port();
    let mouth = speaker.inside(|| UdpSocket::bind((speaker.address(), 0))).unwrap();
    mouth.send_to(b"who is there?", (group, port)).unwrap();
    ear.recv(&mut [0; 64]).is_ok()
}

#[test]
fn hosts_reach_each_other_over_both_protocols_until_they_are_blocked() {
    let lab = Lab::new();
    let (alice, bob, carol) = (lab.host(), lab.host(), lab.host());
    let port = echo(&bob);
    let mut open = dial(&alice, bob.address(), port).unwrap();
    assert!(reaches(&alice, bob.address6(), port) && hears(&bob, &alice));
    lab.block(&alice, &bob);
    assert_eq!(dial(&alice, bob.address(), port).unwrap_err().kind(), ErrorKind::TimedOut);
    assert_eq!(dial(&alice, bob.address6(), port).unwrap_err().kind(), ErrorKind::TimedOut);
    assert!(!says(&mut open, "lost for now") && !hears(&bob, &alice));
    assert!(reaches(&carol, bob.address(), port) && hears(&bob, &carol), "others go on");
    lab.unblock(&bob, &alice);
    assert!(reaches(&alice, bob.address(), port) && reaches(&alice, bob.address6(), port));
}

#[test]
fn a_block_follows_a_host_to_its_new_address_and_through_the_router() {
    let lab = Lab::new();
    let floor = lab.subnet();
    let (alice, bob) = (lab.host(), lab.host_on(floor));
    let port = echo(&bob);
    lab.block(&alice, &bob);
    assert!(!reaches(&alice, bob.address(), port));
    let before = bob.address();
    let now = lab.new_address(&bob);
    assert!(now != before && bob.address() == now);
    assert!(!reaches(&alice, now, port));
    lab.unblock(&alice, &bob);
    assert!(reaches(&alice, now, port) && !reaches(&alice, before, port));
    lab.move_to(&bob, lab.main());
    assert!(reaches(&alice, bob.address(), port) && hears(&bob, &alice), "on the same floor now");
}

#[test]
fn one_direction_of_dialling_is_closed_and_what_is_open_stays_open() {
    let lab = Lab::new();
    let (alice, bob) = (lab.host(), lab.host());
    let (at_alice, at_bob) = (echo(&alice), echo(&bob));
    let mut open = dial(&alice, bob.address(), at_bob).unwrap();
    lab.block_dialling(&alice, &bob);
    assert!(says(&mut open, "still here"));
    assert_eq!(dial(&alice, bob.address(), at_bob).unwrap_err().kind(), ErrorKind::TimedOut);
    assert_eq!(dial(&alice, bob.address6(), at_bob).unwrap_err().kind(), ErrorKind::TimedOut);
    assert!(reaches(&bob, alice.address(), at_alice) && reaches(&bob, alice.address6(), at_alice));
    lab.unblock_dialling(&alice, &bob);
    assert!(reaches(&alice, bob.address(), at_bob));
}

#[test]
fn the_router_passes_unicast_and_no_multicast_and_a_vpn_is_not_routed() {
    let lab = Lab::new();
    let floor = lab.subnet();
    let (alice, bob, carol) = (lab.host(), lab.host_on(floor), lab.host());
    let port = echo(&bob);
    assert!(reaches(&alice, bob.address(), port) && reaches(&alice, bob.address6(), port));
    assert!(!hears(&bob, &alice) && hears(&carol, &alice));
    let vpn = lab.vpn();
    let hidden = lab.adapter(&bob, "tun0", vpn);
    assert!(!reaches(&alice, hidden, port));
    lab.adapter(&alice, "tun0", vpn);
    assert!(reaches(&alice, hidden, port), "with a foot in the VPN");
    lab.isolate(vpn);
    assert!(!reaches(&alice, hidden, port) && reaches(&alice, bob.address(), port));
}

#[test]
fn a_pulled_cable_is_silent_and_a_dead_adapter_leads_nowhere() {
    let lab = Lab::new();
    let (alice, bob) = (lab.host(), lab.host());
    let port = echo(&bob);
    let mut open = dial(&alice, bob.address(), port).unwrap();
    lab.cut(&bob);
    assert!(!says(&mut open, "are you there?") && !reaches(&alice, bob.address6(), port));
    lab.plug(&bob);
    within(5 * SECOND, "what was said arrives", || open.read(&mut [0; 64]).is_ok());
    assert!(reaches(&alice, bob.address(), port) && reaches(&alice, bob.address6(), port));
    for (name, how) in [("eth1", Dead::Unplugged), ("eth2", Dead::Nowhere)] {
        let dead = lab.dead_adapter(&bob, name, how);
        assert!(!reaches(&alice, dead, port));
        assert!(bob.inside(|| TcpListener::bind((dead, 0))).is_ok(), "bob has {dead}");
        assert_eq!(lab.traffic_of(&bob, name).received, 0);
    }
}

#[test]
fn about_the_share_of_packets_is_lost_that_was_asked_for() {
    let lab = Lab::new();
    let (alice, bob) = (lab.host(), lab.host());
    let ear = bob.inside(|| UdpSocket::bind("0.0.0.0:0")).unwrap();
    ear.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let to = (bob.address(), ear.local_addr().unwrap().port());
    let mouth = alice.inside(|| UdpSocket::bind("0.0.0.0:0")).unwrap();
    let arrived = |count: u32| {
        let mut arrived = 0;
        for batch in 0..count / 50 {
            (0..50).for_each(|_| drop(mouth.send_to(b"x", to)));
            // Packets keep their order: what is not there before the batch's last word, said until it is heard, is lost.
            within(5 * SECOND, "the batch has crossed", || {
                mouth.send_to(&batch.to_be_bytes(), to).unwrap();
                let mut heard = [0; 8];
                while let Ok(len) = ear.recv(&mut heard) {
                    match &heard[..len] {
                        b"x" => arrived += 1,
                        // One of the batch before may have been said twice.
                        word => {
                            if word == batch.to_be_bytes() {
                                return true;
                            }
                        }
                    }
                }
                false
            });
        }
        arrived
    };
    assert_eq!(arrived(500), 500);
    lab.loss(&bob, 20);
    let some = arrived(2000);
    assert!((1500..1700).contains(&some), "{some} of 2000");
    lab.loss(&bob, 0);
    assert_eq!(arrived(500), 500);
}

#[test]
fn a_cable_is_as_fast_as_it_is_told_to_be() {
    let lab = Lab::new();
    let (alice, bob) = (lab.host(), lab.host());
    let port = echo(&bob);
    lab.rate(&bob, 8);
    let mut stream = dial(&alice, bob.address(), port).unwrap();
    let mut back = stream.try_clone().unwrap();
    let before = lab.traffic(&bob);
    let begin = Instant::now();
    // Two megabytes each way at one megabyte a second.
    let writer = std::thread::spawn(move || stream.write_all(&vec![7; 2_000_000]));
    back.set_read_timeout(Some(10 * SECOND)).unwrap();
    back.read_exact(&mut vec![0; 2_000_000]).unwrap();
    writer.join().unwrap().unwrap();
    let took = begin.elapsed();
    assert!((1800..5000).contains(&took.as_millis()), "{took:?}");
    let crossed = lab.traffic(&bob);
    for bytes in [crossed.received - before.received, crossed.sent - before.sent] {
        assert!((2_000_000..2_600_000).contains(&bytes), "{bytes} bytes for 2 MB");
    }
    lab.rate(&bob, 0);
    let begin = Instant::now();
    let mut stream = dial(&alice, bob.address(), port).unwrap();
    let mut back = stream.try_clone().unwrap();
    let writer = std::thread::spawn(move || stream.write_all(&vec![7; 2_000_000]));
    back.read_exact(&mut vec![0; 2_000_000]).unwrap();
    writer.join().unwrap().unwrap();
    assert!(begin.elapsed() < SECOND, "{:?} without a limit", begin.elapsed());
}

#[test]
fn what_a_host_dials_is_late_and_comes_from_it_all_the_same() {
    let lab = Lab::new();
    let (alice, bob) = (lab.host(), lab.host());
    let port = echo(&bob);
    let door = bob.inside(|| TcpListener::bind("0.0.0.0:0")).unwrap();
    lab.delay(&alice, Duration::from_millis(100));
    for address in [IpAddr::from(bob.address()), bob.address6().into()] {
        let mut stream = dial(&alice, address, port).unwrap();
        assert!(says(&mut stream, "warm"));
        let begin = Instant::now();
        assert!(says(&mut stream, "there and back"));
        let took = begin.elapsed().as_millis();
        assert!((200..400).contains(&took), "{took} ms");
    }
    let _stream = dial(&alice, bob.address(), door.local_addr().unwrap().port()).unwrap();
    assert_eq!(door.accept().unwrap().1.ip(), alice.address());
    let begin = Instant::now();
    assert!(reaches(&bob, alice.address(), echo(&alice)) && begin.elapsed() < Duration::from_millis(150));
}

#[test]
fn a_capture_holds_what_crossed() {
    let lab = Lab::new();
    let (alice, bob) = (lab.host(), lab.host());
    let port = echo(&bob);
    let capture = lab.capture(&bob);
    assert!(reaches(&alice, bob.address(), port));
    within(SECOND, "what was said is caught", || capture.holds("hello"));
    assert!(!capture.holds("goodbye") && capture.bytes() > 0);
}

#[test]
fn one_host_can_have_many_addresses() {
    let lab = Lab::new();
    let (crowd, bob) = (lab.host(), lab.host());
    let port = echo(&crowd);
    for address in lab.more_addresses(&crowd, 50) {
        assert!(reaches(&bob, address, port), "{address}");
    }
}

#[test]
fn nothing_is_left_of_a_lab_that_ended_in_a_panic() {
    let there = |name: &String| std::path::Path::new("/run/netns").join(name).exists();
    let mut names = Vec::new();
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let lab = Lab::new();
        let alice = lab.host();
        lab.delay(&alice, Duration::from_millis(1));
        names = lab.namespaces();
        assert!(names.len() == 3 && names.iter().all(there));
        std::panic::resume_unwind(Box::new("the story fails"));
    }));
    assert!(ended.is_err());
    assert!(!names.iter().any(there), "left: {names:?}");
}

#[test]
fn leftovers_of_a_killed_run_are_removed() {
    let mut gone = std::process::Command::new("true").spawn().unwrap();
    gone.wait().unwrap();
    let name = format!("lc{}x0-1", gone.id());
    let added = std::process::Command::new("ip").args(["netns", "add", &name]).status().unwrap();
    assert!(added.success());
    let mut inside =
        std::process::Command::new("ip").args(["netns", "exec", &name, "sleep", "600"]).spawn().unwrap();
    let net = |process: &str| std::fs::read_link(format!("/proc/{process}/ns/net")).ok();
    within(5 * SECOND, "it is in there", || net(&inside.id().to_string()) != net("self"));
    // Only the first lab of a process tidies up, and another test may have had it.
    lanchat_tests::lab::remove_leftovers();
    assert!(!std::path::Path::new("/run/netns").join(&name).exists());
    within(SECOND, "the program in it has ended", || inside.try_wait().unwrap());
}
