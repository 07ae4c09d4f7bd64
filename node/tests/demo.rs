//! The demo as whoever tries it sees it: people who talk, a file that arrives, and nothing left behind.

#![cfg(feature = "demo")]

use lanchat::demo::Demo;

#[tokio::test(flavor = "multi_thread")]
async fn a_file_arrives_and_everything_goes_with_the_demo() {
    let demo = Demo::start().await.unwrap();
    assert_eq!(demo.pages().len(), 3);
    let arrived = demo.arrived().unwrap();
    assert_eq!((arrived.from, arrived.to), ("alice", "bob"));
    let path = arrived.path.clone();
    assert!(std::fs::read_to_string(&path).unwrap().starts_with("Monday"));
    demo.stop().await;
    // The directory of the demo, three above the file.
    assert!(!path.ancestors().nth(3).unwrap().exists());
}
