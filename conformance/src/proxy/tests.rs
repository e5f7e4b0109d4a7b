use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::Proxy;

const SOON: Duration = Duration::from_secs(10);
/// How long silence has to last to be believed: the fence (another link, which answers) comes first.
const SILENCE: Duration = Duration::from_millis(50);

/// A server that sends back what it gets.
async fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut reader, mut writer) = stream.split();
                let _ = tokio::io::copy(&mut reader, &mut writer).await;
                let _ = writer.shutdown().await;
            });
        }
    });
    address
}

async fn proxy() -> Proxy {
    Proxy::to(echo().await).await.expect("a free port")
}

async fn link(proxy: &Proxy) -> TcpStream {
    TcpStream::connect(proxy.address()).await.expect("it accepts")
}

/// A link that has echoed once, so that both of its sides exist.
async fn warm(proxy: &Proxy) -> TcpStream {
    let mut link = link(proxy).await;
    assert!(echoes(&mut link, b"warm").await);
    link
}

async fn echoes(link: &mut TcpStream, bytes: &[u8]) -> bool {
    let mut back = vec![0; bytes.len()];
    link.write_all(bytes).await.is_ok()
        && timeout(SOON, link.read_exact(&mut back)).await.expect("it answers or ends").is_ok()
        && back == bytes
}

/// How the link ended, once it has.
async fn end(link: &mut TcpStream) -> std::io::Result<()> {
    let mut rest = Vec::new();
    timeout(SOON, link.read_to_end(&mut rest)).await.expect("it ends").map(drop)
}

async fn silent(link: &mut TcpStream) -> bool {
    timeout(SILENCE, link.read_u8()).await.is_err()
}

async fn eventually(condition: impl Fn() -> bool) {
    timeout(SOON, async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("in time");
}

#[tokio::test]
async fn bytes_pass_in_both_directions_and_are_counted() {
    let proxy = proxy().await;
    let mut link = link(&proxy).await;
    let large = vec![7; 300_000];
    let (mut reader, mut writer) = link.split();
    let mut back = vec![0; large.len()];
    let (wrote, read) = tokio::join!(writer.write_all(&large), reader.read_exact(&mut back));
    assert!(wrote.is_ok() && read.is_ok() && back == large);
    let counts = proxy.counts();
    assert_eq!((counts.to_broker, counts.to_client), (300_000, 300_000));
    assert_eq!((counts.accepted, counts.open), (1, 1));
    drop(link);
    eventually(|| proxy.counts().open == 0).await;
}

#[tokio::test]
async fn in_front_of_several_servers_it_is_one_proxy() {
    let servers = [echo().await, echo().await];
    let proxy = Proxy::to_each(&servers).await.expect("all of 127.0.0.0/8");
    let other = Proxy::to_each(&servers).await.expect("another address");
    let ports = |proxy: &Proxy| proxy.addresses().iter().map(SocketAddr::port).collect::<Vec<_>>();
    assert_eq!(ports(&proxy), servers.map(|server| server.port()));
    let mut links = Vec::new();
    for address in proxy.addresses() {
        let mut link = TcpStream::connect(address).await.expect("it accepts");
        assert!(echoes(&mut link, b"warm").await);
        links.push(link);
    }
    assert_eq!((proxy.counts().accepted, proxy.counts().to_broker), (2, 8));
    let mut apart = warm(&other).await;
    proxy.cut();
    for link in &mut links {
        assert_eq!(end(link).await.expect_err("reset").kind(), ErrorKind::ConnectionReset);
    }
    assert!(echoes(&mut apart, b"still here").await);
}

#[tokio::test]
async fn an_end_is_passed_on_as_an_end() {
    let proxy = proxy().await;
    let mut link = warm(&proxy).await;
    link.write_all(b"last").await.expect("open");
    link.shutdown().await.expect("open");
    let mut rest = Vec::new();
    timeout(SOON, link.read_to_end(&mut rest)).await.expect("it ends").expect("without a reset");
    assert_eq!(rest, b"last");
}

#[tokio::test]
async fn a_cut_resets_what_exists_and_accepts_what_comes() {
    let proxy = proxy().await;
    let mut old = warm(&proxy).await;
    proxy.cut();
    assert_eq!(end(&mut old).await.expect_err("reset").kind(), ErrorKind::ConnectionReset);
    warm(&proxy).await;
}

#[tokio::test]
async fn refusing_ends_new_links_and_spares_old_ones() {
    let proxy = proxy().await;
    let mut old = warm(&proxy).await;
    proxy.refuse();
    // The reset may come before connect has looked at the socket.
    if let Ok(mut new) = TcpStream::connect(proxy.address()).await {
        assert_eq!(end(&mut new).await.expect_err("reset").kind(), ErrorKind::ConnectionReset);
    }
    assert!(echoes(&mut old, b"still here").await);
    proxy.accept();
    warm(&proxy).await;
}

#[tokio::test]
async fn a_black_hole_keeps_links_open_and_dead() {
    let proxy = proxy().await;
    let mut old = warm(&proxy).await;
    proxy.black_hole();
    old.write_all(b"into nothing").await.expect("it is open");
    warm(&proxy).await; // new ones work, and what the old one wrote had its time
    assert!(silent(&mut old).await);
    assert_eq!(proxy.counts().to_broker, 8);
    proxy.cut();
    assert_eq!(end(&mut old).await.expect_err("reset").kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_black_hole_for_all_takes_new_links_too() {
    let proxy = proxy().await;
    let mut old = warm(&proxy).await;
    proxy.black_hole_all();
    let mut new = link(&proxy).await;
    old.write_all(b"old").await.expect("it is open");
    new.write_all(b"new").await.expect("it is open");
    eventually(|| proxy.counts().open == 2).await;
    proxy.black_hole_no_more();
    warm(&proxy).await;
    assert!(silent(&mut new).await && silent(&mut old).await);
}

#[tokio::test]
async fn a_delay_holds_bytes_back_without_slowing_them() {
    let proxy = proxy().await;
    let mut link = warm(&proxy).await;
    let by = Duration::from_millis(60);
    proxy.delay(by);
    let began = Instant::now();
    // Many chunks travel at the same time: one delay for each would be seconds.
    let mut back = [0; 50];
    for byte in 0..50_u8 {
        link.write_all(&[byte]).await.expect("open");
        tokio::task::yield_now().await;
    }
    link.read_exact(&mut back).await.expect("open");
    assert!(began.elapsed() >= by * 2, "there and back");
    proxy.delay(Duration::ZERO);
    assert!(echoes(&mut link, b"quick").await);
}

#[tokio::test]
async fn a_throttle_holds_the_rate_and_can_be_lifted() {
    let proxy = proxy().await;
    let mut link = warm(&proxy).await;
    proxy.throttle(Some(100_000));
    let began = Instant::now();
    assert!(echoes(&mut link, &[1; 20_000]).await);
    assert!(began.elapsed() >= Duration::from_millis(150), "20,000 bytes at 100,000 a second");
    proxy.throttle(None);
    assert!(echoes(&mut link, &[2; 20_000]).await);
}

#[tokio::test]
async fn a_drop_after_n_bytes_lets_exactly_n_through() {
    let proxy = proxy().await;
    let mut link = warm(&proxy).await;
    proxy.drop_after(10);
    assert!(echoes(&mut link, b"1234").await);
    link.write_all(b"567890abc").await.expect("open");
    let mut rest = [0; 6];
    link.read_exact(&mut rest).await.expect("the rest of what was allowed");
    assert_eq!(&rest, b"567890");
    assert_eq!(end(&mut link).await.expect_err("reset").kind(), ErrorKind::ConnectionReset);
    assert_eq!(proxy.counts().to_client, 14);
    warm(&proxy).await; // once
}

#[tokio::test]
async fn dropped_replies_reach_the_broker_and_not_the_client() {
    let proxy = proxy().await;
    let mut link = warm(&proxy).await;
    proxy.drop_replies();
    link.write_all(b"publish").await.expect("open");
    eventually(|| proxy.counts().to_broker == 11).await;
    assert!(silent(&mut link).await);
    proxy.pass_replies();
    assert!(echoes(&mut link, b"again").await);
    assert_eq!(proxy.counts().to_client, 9);
}

#[tokio::test]
async fn dropped_requests_never_reach_the_broker() {
    let proxy = proxy().await;
    let mut link = warm(&proxy).await;
    proxy.drop_requests();
    link.write_all(b"publish").await.expect("open");
    assert!(silent(&mut link).await);
    proxy.pass_requests();
    assert!(echoes(&mut link, b"again").await);
    assert_eq!(proxy.counts().to_broker, 9);
}

#[tokio::test]
async fn a_new_link_freezes_after_exactly_n_bytes_and_old_ones_live_on() {
    let proxy = proxy().await;
    let mut old = warm(&proxy).await;
    proxy.freeze_after(Some(5));
    let mut frozen = link(&proxy).await;
    frozen.write_all(b"greeting").await.expect("open");
    let mut begin = [0; 5];
    timeout(SOON, frozen.read_exact(&mut begin)).await.expect("it begins").expect("open");
    assert_eq!(&begin, b"greet");
    proxy.freeze_after(None);
    assert!(silent(&mut frozen).await, "for good");
    assert!(echoes(&mut old, b"old").await);
    warm(&proxy).await;
    proxy.cut();
    assert_eq!(end(&mut frozen).await.expect_err("reset").kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_dropped_proxy_cuts_everything_and_listens_no_more() {
    let proxy = proxy().await;
    let address = proxy.address();
    let mut alive = warm(&proxy).await;
    let mut dead = warm(&proxy).await;
    drop(proxy);
    assert_eq!(end(&mut alive).await.expect_err("reset").kind(), ErrorKind::ConnectionReset);
    assert_eq!(end(&mut dead).await.expect_err("reset").kind(), ErrorKind::ConnectionReset);
    timeout(SOON, async { while TcpStream::connect(address).await.is_ok() {} }).await.expect("it is closed");
}

#[tokio::test]
async fn a_broker_that_is_not_there_resets_the_client() {
    let gone = TcpListener::bind("127.0.0.1:0").await.expect("a free port").local_addr().expect("it was bound");
    let proxy = Proxy::to(gone).await.expect("a free port");
    if let Ok(mut link) = TcpStream::connect(proxy.address()).await {
        assert_eq!(end(&mut link).await.expect_err("reset").kind(), ErrorKind::ConnectionReset);
    }
}
