//! `peers`: memory and processor time of an idle node, alone and with many peers. Each peer is a [`LightNode`] with its
//! own connection and an accepted hello; the peers are not linked to each other.

use crate::error::BenchError;
use crate::figures::{Report, count};
use crate::light::node::Behaviour;
use crate::light::{self, LightNode};
use crate::memory::{Memory, megabytes, processor_time};
use lanchat_tests::api::told;
use lanchat_tests::office::PASSWORD;
use lanchat_tests::{Node, Office, within};
use serde_json::Value;
use std::time::{Duration, Instant};

/// Time for the links to come up.
const PATIENCE: Duration = Duration::from_secs(120);

/// Measures with this many peers.
///
/// # Errors
/// [`BenchError`].
pub async fn run(peers: usize, quick: bool) -> Result<Report, BenchError> {
    // Long enough for start-up garbage to be given back and for several heartbeats.
    let idle = Duration::from_secs(if quick { 1 } else { 30 });
    let mut report = Report::new("peers", quick);
    let office = Office::by_invite();
    let node = office.node("alice");
    node.start();
    look(&node, "just started, in the open LAN", idle, &mut report).await;
    node.register(&office.join(), PASSWORD).ok();
    look(&node, "alone in an organisation", idle, &mut report).await;
    let alone = node.pid().and_then(Memory::of);

    let entrance = light::Office::of_link(&office.join())?;
    let behaviour = Behaviour { mesh_size: 1, listen: true, host: lanchat::platform::host_id() };
    let begin = Instant::now();
    let mut light = Vec::new();
    for number in 0..peers {
        let identity = entrance.enrol(&format!("peer{number}")).await?;
        light.push(LightNode::start(&entrance, &identity, &behaviour).await?);
    }
    tokio::task::block_in_place(|| {
        let mut api = node.api();
        within(PATIENCE, &format!("{peers} links"), || {
            let status = told(api.get("/api/v1/status"));
            status.pointer("/links/direct").and_then(Value::as_u64) == u64::try_from(peers).ok()
        });
    });
    report.add("peers enrolled, started and linked in", begin.elapsed().as_secs_f64(), "s");
    for peer in &light {
        let mut known = peer.known.clone();
        let is_linked = known.wait_for(|known| known.direct == 1);
        let in_time = tokio::time::timeout(PATIENCE, is_linked).await.is_ok_and(|known| known.is_ok());
        if !in_time {
            return Err(BenchError::TimedOut { what: "a link at a peer".to_owned(), after: PATIENCE });
        }
    }
    look(&node, &format!("with {peers} peers"), idle, &mut report).await;
    if let (Some(alone), Some(now)) = (alone, node.pid().and_then(Memory::of)) {
        let more = megabytes(now.anonymous.saturating_sub(alone.anonymous)) * 1000.0;
        report.add("memory for each peer (anonymous)", more / count(peers), "KB");
    }
    for peer in light {
        peer.stop().await;
    }
    Ok(report)
}

/// Lets the node idle and tells what it needs.
async fn look(node: &Node, when: &str, idle: Duration, report: &mut Report) {
    let used = || node.pid().and_then(processor_time);
    let (begin, before) = (Instant::now(), used());
    tokio::time::sleep(idle).await;
    let used = used().zip(before).map(|(now, before)| now.saturating_sub(before));
    let share = used.map(|used| used.as_secs_f64() / begin.elapsed().as_secs_f64() * 100.0);
    let memory = node.pid().and_then(Memory::of);
    report.add_known(format!("node {when}, RSS"), memory.map(|m| megabytes(m.rss)), "MB");
    report.add_known(format!("node {when}, PSS"), memory.map(|m| megabytes(m.pss)), "MB");
    report.add_known(format!("node {when}, anonymous"), memory.map(|m| megabytes(m.anonymous)), "MB");
    report.add_known(format!("node {when}, of one core"), share, "%");
}
