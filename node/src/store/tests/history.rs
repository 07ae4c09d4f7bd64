//! What history shows, and in which order.

use super::support::{Disk, Log, message, person, receipt};
use crate::store::rows::{HistoryRow, Page};
use crate::store::{StoreError, reader};
use lanchat_node_core::output::Change;
use lanchat_proto::ids::Epoch;

fn texts(rows: &[HistoryRow]) -> Vec<&str> {
    rows.iter().map(|row| row.text.as_deref().unwrap_or("-")).collect()
}

const ALL: Page = Page { limit: 1000, before: None };

#[tokio::test]
async fn pages_follow_each_other_without_gap_or_repeat_even_with_equal_stamps() {
    let (alice, bob) = (person(1), person(2));
    let mut node = Disk::of(&alice).open();
    let mut logs = Vec::new();
    let mut changes = Vec::new();
    for (author, other, epoch) in [(&alice, &bob, 1), (&bob, &alice, 1), (&bob, &alice, u64::MAX)] {
        let (log, open) = Log::begin(author, other, Epoch(epoch));
        logs.push(log);
        changes.push(open);
    }
    for second in 0..20 {
        for (at, log) in logs.iter_mut().enumerate() {
            let number = u128::from(second) * 10 + at as u128 + 1;
            changes.push(log.says_at(second * 1000, number, &format!("{second}"), None));
        }
    }
    node.stored(changes).await;
    let conversation = logs[0].id.conversation;
    let whole = node.reader.history(&conversation, &ALL).unwrap();
    assert_eq!(whole.len(), 60);
    let order: Vec<_> = whole.iter().map(|row| (row.sent_at, row.log.key(), row.number)).collect();
    assert!(order.is_sorted());
    for limit in [1, 7, 60] {
        let mut paged = Vec::new();
        let mut before = None;
        loop {
            let page = node.reader.history(&conversation, &Page { limit, before }).unwrap();
            let Some(first) = page.first() else { break };
            before = Some(first.message);
            paged.splice(0..0, page.iter().map(|row| row.message).collect::<Vec<_>>());
        }
        assert_eq!(paged, whole.iter().map(|row| row.message).collect::<Vec<_>>());
    }
    let unknown = node.reader.history(&conversation, &Page { limit: 1, before: Some(message(9999)) });
    assert!(matches!(unknown, Err(StoreError::NoSuchMessage(_))));
    node.close().await;
}

#[tokio::test]
async fn a_page_costs_as_much_as_the_page() {
    let disk = Disk::of(&person(1));
    let sql = crate::store::sqlite::open_reader(&disk.path).unwrap();
    let mut plan = sql.prepare(&format!("EXPLAIN QUERY PLAN {}", reader::history_sql())).unwrap();
    let columns = plan.parameter_count();
    let rows =
        plan.query_map(rusqlite::params_from_iter(vec![1; columns]), |row| row.get::<_, String>(3)).unwrap();
    let steps: Vec<String> = rows.map(Result::unwrap).collect();
    assert!(steps.iter().any(|step| step.contains("SEARCH e USING INDEX entries_history")), "{steps:?}");
    assert!(
        !steps.iter().any(|step| step.contains("SCAN") || step.ends_with("TREE FOR ORDER BY")),
        "{steps:?}"
    );
}

#[tokio::test]
async fn a_message_that_is_issued_again_is_shown_once_but_nobody_can_hide_anothers() {
    let (alice, bob) = (person(1), person(2));
    let mut node = Disk::of(&alice).open();
    let (mut first, open_first) = Log::begin(&bob, &alice, Epoch(1));
    let (mut second, open_second) = Log::begin(&bob, &alice, Epoch(2));
    let (mut own, open_own) = Log::begin(&alice, &bob, Epoch(3));
    let changes = vec![
        open_first,
        first.says(5, "once"),
        open_second,
        second.says(5, "once"),
        second.says(6, "new"),
        open_own,
    ];
    node.stored(changes).await;
    let conversation = first.id.conversation;
    assert_eq!(texts(&node.reader.history(&conversation, &ALL).unwrap()), ["once", "new"]);
    node.stored(vec![own.says(6, "the same id")]).await;
    assert_eq!(node.reader.history(&conversation, &ALL).unwrap().len(), 3);
    assert_eq!(node.reader.message(&message(6)).unwrap().unwrap().text.as_deref(), Some("new"));
    assert_eq!(node.reader.search("once", None, 10).unwrap().len(), 1);
    node.close().await;
}

#[tokio::test]
async fn a_lost_branch_stays_in_sight_until_its_messages_are_issued_again() {
    let (alice, bob) = (person(1), person(2));
    let disk = Disk::of(&alice);
    let mut node = disk.open();
    let (mut log, open) = Log::begin(&alice, &bob, Epoch(1));
    let kept = log.says(1, "kept");
    let end = log.end;
    let (lost, more) = (log.says(2, "lost"), log.says(3, "lost too"));
    node.stored(vec![open, kept, lost, more, receipt(&log.id, &bob, 4, 4, 1)]).await;
    node.stored(vec![Change::Branch { log: log.id, from: 3 }, Change::Freeze { log: log.id }]).await;
    let conversation = log.id.conversation;
    let rows = node.reader.history(&conversation, &ALL).unwrap();
    assert_eq!(texts(&rows), ["kept", "lost", "lost too"]);
    assert_eq!(rows.iter().map(|row| row.delivered_to.len()).collect::<Vec<_>>(), [1, 0, 0]);
    log.end = end;
    let (ends, reason) = node.refused(vec![log.says(9, "too late")]).await;
    assert_eq!((ends, reason.as_str()), (vec![(log.id, end)], "the log is frozen"));
    let (mut again, open) = Log::begin(&alice, &bob, Epoch(2));
    node.stored(vec![open, again.says(2, "lost")]).await;
    let rows = node.reader.history(&conversation, &ALL).unwrap();
    assert_eq!(rows.iter().filter(|row| row.message == message(2)).count(), 1);
    assert_eq!(rows.len(), 3);
    assert_eq!(node.load(log.id, 1, 100, 1 << 20).await.len(), 2);
    node.close().await;
    let stored = disk.open().opened.stored;
    let frozen = stored.logs.iter().find(|stored| stored.log == log.id).unwrap();
    assert!(frozen.frozen && frozen.end == end);
    assert_eq!(stored.arrival, 6);
}

#[tokio::test]
async fn an_answer_is_never_shown_before_what_it_answers() {
    let (alice, bob) = (person(1), person(2));
    let (mut hers, open_hers) = Log::begin(&alice, &bob, Epoch(1));
    let (mut his, open_his) = Log::begin(&bob, &alice, Epoch(1));
    let asked = his.says_at(900_000, 1, "asked by a clock that is ahead", None);
    let answered = hers.says_at(1000, 2, "answered", Some(message(1)));
    let answered_again = hers.says_at(2000, 3, "and again", Some(message(2)));
    let other = hers.says_at(3000, 4, "something else", None);
    let orders = [
        vec![&open_hers, &open_his, &asked, &answered, &answered_again, &other],
        vec![&open_hers, &open_his, &answered, &answered_again, &other, &asked],
    ];
    for order in orders {
        let mut node = Disk::of(&alice).open();
        node.stored(order.into_iter().cloned().collect()).await;
        let rows = node.reader.history(&his.id.conversation, &ALL).unwrap();
        assert_eq!(
            texts(&rows),
            ["something else", "asked by a clock that is ahead", "answered", "and again"]
        );
        node.close().await;
    }
}

#[tokio::test]
async fn two_messages_that_answer_each_other_end_somewhere() {
    let (alice, bob) = (person(1), person(2));
    let mut node = Disk::of(&alice).open();
    let (mut log, open) = Log::begin(&bob, &alice, Epoch(1));
    let circle = vec![
        open,
        log.says_at(1, 1, "a", Some(message(2))),
        log.says_at(2, 2, "b", Some(message(1))),
        log.says_at(3, 3, "c", Some(message(3))),
    ];
    node.stored(circle).await;
    assert_eq!(node.reader.history(&log.id.conversation, &ALL).unwrap().len(), 3);
    node.close().await;
}

#[tokio::test]
async fn receipts_say_who_has_and_who_saw_a_message() {
    let (alice, bob, bobs_phone) = (person(1), person(2), person(3));
    let bobs_phone = super::support::Person { user: bob.user, ..bobs_phone };
    let mut node = Disk::of(&alice).open();
    let (mut hers, open) = Log::begin(&alice, &bob, Epoch(1));
    let (mut his, open_his) = Log::begin(&bob, &alice, Epoch(1));
    node.stored(vec![
        open,
        hers.says(1, "one"),
        hers.says(2, "two"),
        hers.nudges(3),
        open_his,
        his.says(4, "hi"),
    ])
    .await;
    node.stored(vec![receipt(&hers.id, &bob, 3, 0, 2), receipt(&hers.id, &bobs_phone, 2, 2, 1)]).await;
    // Late, foreign or boundless words change nothing.
    node.stored(vec![
        receipt(&hers.id, &bob, 1, 0, 1),
        receipt(&hers.id, &alice, u64::MAX, u64::MAX, u64::MAX),
    ])
    .await;
    let state = |id| {
        let row = node.reader.message(&message(id)).unwrap().unwrap();
        (row.delivered_to, row.read_by, row.text.is_some(), row.kind)
    };
    assert_eq!(state(1), (vec![bob.user], vec![bob.user], true, 2));
    assert_eq!(state(2), (vec![bob.user], vec![], true, 2));
    assert_eq!(state(3), (vec![], vec![], false, 3));
    let unread = |node: &super::support::Running| node.reader.conversations().unwrap()[0].unread;
    assert_eq!(unread(&node), 1);
    node.stored(vec![receipt(&his.id, &alice, 2, 2, 1)]).await;
    assert_eq!(unread(&node), 0);
    let list = node.reader.conversations().unwrap();
    assert_eq!((list.len(), list[0].newest.as_ref().unwrap().kind), (1, 3));
    assert_eq!(node.reader.stats().unwrap().events, 6);
    assert_eq!(node.reader.descriptor(&hers.id.conversation).unwrap(), Some(hers.descriptor.clone()));
    node.close().await;
}

#[tokio::test]
async fn a_deleted_body_is_shown_as_deleted() {
    let (alice, bob) = (person(1), person(2));
    let mut node = Disk::of(&alice).open();
    let (mut log, open) = Log::begin(&bob, &alice, Epoch(1));
    let Change::Entry(mut gone) = log.says(1, "regret") else { panic!() };
    gone.entry.wire.body = None;
    node.stored(vec![open, Change::Entry(gone)]).await;
    let row = node.reader.message(&message(1)).unwrap().unwrap();
    assert!(row.deleted && row.text.is_none());
    assert!(node.reader.search("regret", None, 10).unwrap().is_empty());
    node.close().await;
}
