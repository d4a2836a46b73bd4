//! A host that lets its clients go while it runs on. Sessions are held here, without a plugin.

mod bench;

use bench::{Bench, read_packet};
use broker_core::codec::Reason;
use tokio::io::AsyncWriteExt;

#[tokio::test]
async fn host_that_refuses_says_why_and_takes_clients_again_when_it_admits_them() {
    let bench = Bench::new();
    for reason in [Reason::USE_ANOTHER_SERVER, Reason::SERVER_UNAVAILABLE] {
        bench.host.refuse(reason);
        let (_, answer) = bench.connect(b'a').await;
        assert_eq!(answer, [0, reason.0]);
    }
    bench.host.admit();
    let (_client, answer) = bench.connect(b'a').await;
    assert_eq!(answer, [0, 0]);
}

#[tokio::test]
async fn clients_are_told_to_go_as_many_as_is_said_and_each_once() {
    let bench = Bench::new();
    let (mut one, _) = bench.connect(b'a').await;
    let (mut other, _) = bench.connect(b'b').await;
    assert_eq!(bench.host.clients(), 2);
    bench.host.leave(1);
    let (first, second) = tokio::select! {
        told = read_packet(&mut one) => (told, &mut other),
        told = read_packet(&mut other) => (told, &mut one),
    };
    assert_eq!((first[0], first[2]), (0xE0, Reason::USE_ANOTHER_SERVER.0));
    second.write_all(&[0xC0, 0]).await.unwrap();
    assert_eq!(read_packet(second).await, [0xD0, 0], "the second was not told");
    bench.host.leave(5);
    assert_eq!(read_packet(second).await[0], 0xE0);
}

#[tokio::test]
async fn host_proves_that_it_delivers_whatever_its_clients_do() {
    let bench = Bench::new();
    let (_client, _) = bench.connect(b'a').await;
    for _ in 0..3 {
        assert_eq!(bench.host.probe(), Ok(()));
    }
    assert_eq!(bench.host.clients(), 1, "its own client is not counted");
}
