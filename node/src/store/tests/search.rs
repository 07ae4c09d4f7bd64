//! Search over whole databases.

use super::support::{Disk, Log, Running, message, person};
use lanchat_proto::ids::{Epoch, MessageId};

fn ids(node: &Running, query: &str) -> Vec<MessageId> {
    node.reader.search(query, None, 100).unwrap().into_iter().map(|row| row.message).collect()
}

#[tokio::test]
async fn what_is_written_is_found_newest_first_indexed_or_not() {
    let (alice, bob, carol) = (person(1), person(2), person(3));
    let disk = Disk::of(&alice);
    let mut node = disk.open();
    let (mut log, open) = Log::begin(&bob, &alice, Epoch(1));
    let (mut other, open_other) = Log::begin(&carol, &alice, Epoch(1));
    let table = [
        "明天下午三点在会议室开会",
        "Café at noon? 咖啡也行",
        "The quarterly report is ready",
        "请看report第三页",
        "会议取消了",
        "AND OR NOT NEAR \"*",
    ];
    let mut changes = vec![open, open_other];
    for (number, text) in (1..).zip(table) {
        changes.push(log.says(number, text));
    }
    changes.push(other.says(50, "another report"));
    node.stored(changes).await;
    let check = |node: &Running| {
        for (query, expected) in [
            ("会议", vec![5, 1]),
            ("会", vec![5, 1]),
            ("会议室", vec![1]),
            ("议会", vec![]),
            ("会议 取消", vec![5]),
            ("report", vec![50, 4, 3]),
            ("REPORT 三页", vec![4]),
            ("cafe 咖啡", vec![2]),
            ("quarter", vec![]),
            ("\"report\" OR \"noon\"", vec![]),
            ("not*", vec![6]),
            ("?!", vec![]),
        ] {
            let expected: Vec<MessageId> = expected.into_iter().map(message).collect();
            assert_eq!(ids(node, query), expected, "{query}");
        }
    };
    check(&node);
    let within = node.reader.search("report", Some(&other.id.conversation), 10).unwrap();
    assert_eq!(within.iter().map(|row| row.message).collect::<Vec<_>>(), [message(50)]);
    assert_eq!(node.reader.search("report", None, 2).unwrap().len(), 2);
    node.close().await;

    // Nothing indexed, as after a crash right behind the commit.
    let sql = rusqlite::Connection::open(&disk.path).unwrap();
    sql.execute_batch("INSERT INTO words (words) VALUES ('delete-all'); UPDATE progress SET indexed = 0")
        .unwrap();
    let node = disk.open();
    check(&node);
    let all_indexed = || crate::store::index::backlog(&sql).unwrap() == 0;
    for _ in 0..2000 {
        if all_indexed() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert!(all_indexed());
    check(&node);
    node.close().await;
}

#[tokio::test]
async fn indexing_ends_in_the_same_index_however_often_it_is_interrupted() {
    let (alice, bob) = (person(1), person(2));
    let disk = Disk::of(&alice);
    let (mut log, open) = Log::begin(&bob, &alice, Epoch(1));
    let mut first = Some(open);
    for round in 0..5 {
        let mut node = disk.open();
        let texts =
            (1..=150).map(|n| log.says(round * 1000 + n, &format!("word 第{n}号"))).collect::<Vec<_>>();
        node.stored(first.take().into_iter().chain(texts).collect()).await;
        node.crash().await;
    }
    let sql = rusqlite::Connection::open(&disk.path).unwrap();
    while crate::store::index::step(&sql).unwrap() > 0 {}
    let count = |term: &str| -> i64 {
        sql.query_row("SELECT count(*) FROM words WHERE words MATCH ?1", [term], |row| row.get(0)).unwrap()
    };
    assert_eq!((count("word"), count("\"号\""), count("\"第7\"")), (750, 750, 0));
    let node = disk.open();
    assert_eq!(ids(&node, "word 第").len(), 100);
    node.close().await;
}

#[tokio::test]
async fn offered_files_are_found_and_shown_by_their_names() {
    let (alice, bob) = (person(1), person(2));
    let mut node = Disk::of(&alice).open();
    let (mut log, open) = Log::begin(&bob, &alice, Epoch(1));
    node.stored(vec![open, log.offers(1, "季度报告 final.pdf"), log.nudges(2)]).await;
    for query in ["报告", "final", "PDF"] {
        assert_eq!(ids(&node, query), [message(1)], "{query}");
    }
    let page = crate::store::rows::Page { limit: 10, before: None };
    let rows = node.reader.history(&log.id.conversation, &page).unwrap();
    assert_eq!(rows[0].text.as_deref(), Some("季度报告 final.pdf"));
    assert_eq!(rows[0].file.as_ref().map(|file| file.size), Some(7));
    assert!(rows[1].file.is_none());
    node.close().await;
}
