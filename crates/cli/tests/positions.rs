//! Positions over a failover and its way back, on two clusters of the sandbox: nothing that was acknowledged is skipped, and what was
//! left unread is reported.

mod support;

use pointsman_sandbox::client::ClientConfig;
use serde_json::Value;
use support::ground::{Ground, LIMIT, produce, read, settle};

fn stranded_on(status: &Value, cluster: &str) -> Option<u64> {
    let all = status["virtual_clusters"][0]["stranded"].as_array()?;
    all.iter().find(|s| s["cluster"] == cluster)?["records"].as_u64()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_that_begins_at_the_latest_skips_nothing_over_a_failover_and_back() {
    let ground = Ground::new("    failover: { hold: 1s }\n").await;
    // given a secondary that has records of its own, and two groups that have read on the primary
    let direct = ClientConfig::new(ground.secondary.bootstrap().split(',').map(str::to_owned));
    produce(direct, "older", 30).await;
    let (mut live, mut away) = (ground.consumer("live"), ground.consumer("away"));
    settle(&ground, &mut live, "live").await;
    settle(&ground, &mut away, "away").await;
    ground.until_committed("away", &mut away).await;
    away.close(LIMIT).await.expect("leaves");
    // One of them is away when these come.
    let unread = ground.produce("unread", 20).await;
    read(&mut live, &unread).await;
    ground.until_committed("live", &mut live).await;
    ground.until_polled(&[0, 1]);

    // when
    (0..3).for_each(|broker| ground.primary.kill(broker));
    ground.proxy.wait_active("secondary", LIMIT);

    // then
    let during = ground.produce("during", 30).await;
    // Until it has joined again, its position on the primary may stand for an older record here.
    read(&mut live, &during).await;
    let mut away = ground.consumer("away");
    let came = read(&mut away, &during).await;
    assert!(came.iter().all(|v| during.contains(v)), "nothing of before: {came:?}");
    // A group that is new begins by its own policy.
    let mut new = ground.consumer("new");
    settle(&ground, &mut new, "new").await;
    new.close(LIMIT).await.expect("leaves");
    let status = ground.until("the switch", |s| s["virtual_clusters"][0]["switches_total"] == 2);
    let stranded = &status["virtual_clusters"][0]["switches"][0]["stranded"];
    assert_eq!((&stranded["cluster"], &stranded["records"]), (&"primary".into(), &20.into()), "{stranded:#}");
    assert_eq!(stranded["topics"][0]["group"], "away");
    assert_eq!(stranded_on(&status, "primary"), Some(20));
    let metrics = ground.proxy.get("/metrics").expect("metrics");
    let line = r#"pointsman_stranded_records{virtual_cluster="main",cluster="primary"} 20"#;
    assert!(metrics.contains(line), "{metrics}");
    ground.until_committed("live", &mut live).await;
    ground.until_committed("away", &mut away).await;
    ground.until_polled(&[1]);

    // when the primary comes back
    for broker in 0..3 {
        ground.primary.restart(broker).await.expect("restarts");
    }
    ground.proxy.wait_active("primary", LIMIT);

    // then what was stranded comes first, and nothing of what follows is skipped
    let after = ground.produce("after", 30).await;
    let came = read(&mut away, &unread.union(&after).cloned().collect()).await;
    assert!(came.iter().all(|v| !v.starts_with("during")), "{came:?}");
    read(&mut live, &after).await;
    ground.until_committed("live", &mut live).await;
    ground.until_committed("away", &mut away).await;
    let status = ground.proxy.status();
    assert_eq!((stranded_on(&status, "primary"), stranded_on(&status, "secondary")), (Some(0), Some(0)));
}
