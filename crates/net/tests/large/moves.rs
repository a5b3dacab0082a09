//! A connection that goes to another thread after all work, in the midst of frames too, loses nothing.

use crate::{
    fetch,
    harness::{MIB, World},
    produce,
};

const REQUESTS: i32 = 200;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_requests_and_answers_pass_whole() {
    let world = World::new().await;
    world.move_always();
    produce::passes(&world, 8 * MIB).await;
    let before = world.moves();
    assert!(before.is_none_or(|moves| moves > 1), "it moved in the midst of the request");
    fetch::passes(&world).await;
    let since = world.moves().zip(before).map(|(all, before)| all - before);
    assert!(since.is_none_or(|moves| moves > 1), "it moved in the midst of the answer");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_requests_are_answered_in_order() {
    let world = World::new().await;
    world.move_always();
    let mut client = world.client().await;
    let first = async {
        let mut broker = world.broker(1).await;
        for _ in 0..REQUESTS {
            produce::take(&mut broker, 1).await;
        }
        broker
    };
    let pieces = produce::heads(&[1], 100, -1);
    let sends = async {
        for _ in 0..REQUESTS {
            produce::send(&mut client, &pieces, 100).await;
        }
    };
    let (broker, ()) = tokio::join!(first, sends);
    for _ in 0..REQUESTS {
        assert_eq!(produce::results(&client.reply(0, 9).await.1), [(1, 0, 101)]);
    }
    drop(broker);
    assert!(client.is_served().await);
    assert!(world.moves().is_none_or(|moves| moves > 1), "it moved");
}
