//! Figures for `docs/performance.md`, on demand: a database with many messages.

use super::support::{Disk, Log, person};
use crate::store::rows::Page;
use crate::store::{index, sqlite};
use lanchat_node_core::output::Change;
use lanchat_proto::ids::{Epoch, MessageId};
use std::time::{Duration, Instant};

/// Words for messages: one in a hundred messages holds a given rare word, nearly all hold a common one.
fn sentence(number: u64) -> String {
    let at = |salt: u64, of: u64| (number.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17) ^ salt) % of;
    if number.is_multiple_of(2) {
        let topics = ["会议", "报告", "电脑", "午饭", "项目", "测试", "客户", "合同"];
        let topic = topics[usize::try_from(at(3, 8)).unwrap()];
        format!("关于{topic}的事情，编号{}，请明天下午之前在会议室给我看一下，谢谢大家的帮助。", at(1, 100))
    } else {
        format!(
            "please have a look at report w{} about the topic t{} before noon, thank you",
            at(1, 100),
            at(2, 8)
        )
    }
}

fn spread(mut times: Vec<Duration>) -> String {
    times.sort();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100];
    format!("p50 {:?}, p95 {:?}, p99 {:?}", at(50), at(95), at(99))
}

/// `LANCHAT_MESSAGES=1000000 cargo test --release -p lanchat --lib store::tests::load -- --ignored --nocapture`
#[tokio::test]
#[ignore = "measures; takes minutes"]
async fn figures_of_a_large_database() {
    let count: u64 = std::env::var("LANCHAT_MESSAGES").ok().and_then(|n| n.parse().ok()).unwrap_or(1_000_000);
    let (alice, bob) = (person(1), person(2));
    let disk = Disk::of(&alice);
    let mut node = disk.open();
    let (mut log, open) = Log::begin(&bob, &alice, Epoch(1));
    node.stored(vec![open]).await;
    let begun = Instant::now();
    let mut number = 0;
    let mut writing = Duration::ZERO;
    while number < count {
        let mut changes: Vec<Change> = Vec::with_capacity(500);
        while changes.len() < 500 && number < count {
            number += 1;
            changes.push(log.says(u128::from(number), &sentence(number)));
        }
        let written = Instant::now();
        node.stored(changes).await;
        writing += written.elapsed();
    }
    println!("{count} messages in {writing:?} of writing ({:?} with signing)", begun.elapsed());
    node.close().await;

    let sql = sqlite::open_writer(&disk.path).unwrap();
    let (begun, behind) = (Instant::now(), index::backlog(&sql).unwrap());
    while index::step(&sql).unwrap() > 0 {}
    println!("{behind} left to index: {:?}", begun.elapsed());
    drop(sql);
    println!("database: {} MB", std::fs::metadata(&disk.path).unwrap().len() / 1_000_000);
    let begun = Instant::now();
    let mut node = disk.open();
    println!("opening: {:?}", begun.elapsed());

    for query in
        ["会议", "会议室", "编号7", "议", "明天下午之前在会议室", "report", "report w7 t3", "nowhere", "没有"]
    {
        let mut times = Vec::new();
        let mut found = 0;
        for _ in 0..50 {
            let begun = Instant::now();
            found = node.reader.search(query, None, 50).unwrap().len();
            times.push(begun.elapsed());
        }
        println!("search {query}: {found} found, {}", spread(times));
    }
    let conversation = log.id.conversation;
    let pages = (1..100).map(|at| {
        let before = MessageId(u128::from(count / 100 * at).to_be_bytes());
        let begun = Instant::now();
        assert!(
            !node
                .reader
                .history(&conversation, &Page { limit: 50, before: Some(before) })
                .unwrap()
                .is_empty()
        );
        begun.elapsed()
    });
    println!("page of 50: {}", spread(pages.collect()));
    let begun = Instant::now();
    node.reader.conversations().unwrap();
    println!("conversations: {:?}", begun.elapsed());
    let mut times = Vec::new();
    for _ in 0..200 {
        number += 1;
        let change = log.says(u128::from(number), &sentence(number));
        let begun = Instant::now();
        node.stored(vec![change]).await;
        times.push(begun.elapsed());
    }
    println!("one message, stored: {}", spread(times));
    node.crash().await;
    let begun = Instant::now();
    let node = disk.open();
    println!("opening after a crash, with its check: {:?}", begun.elapsed());
    node.close().await;
}
