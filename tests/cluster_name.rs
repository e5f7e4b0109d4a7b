//! The cluster's name in a URL, for nodes and for emitters.

use roomcast::backend::Connect;
use roomcast::{Cluster, Emitter, Hub, Packet, Result};

fn at(url: &str) -> Box<dyn Connect> {
    roomcast::backend(url).expect(url)
}

#[tokio::test]
async fn nodes_of_one_broker_and_name_meet_and_others_do_not() -> Result<()> {
    let shop = roomcast::connect("memory://names?cluster=shop").await?;
    let same = Cluster::builder().connect(at("memory://names?cluster=shop")).await?;
    let told = Cluster::builder().cluster("shop").connect(at("memory://names")).await?;
    assert_eq!(told.nodes().len(), 3);
    let other = roomcast::connect("memory://names?cluster=other").await?;
    let unnamed = roomcast::connect("memory://names").await?;
    let default = Cluster::builder().cluster("roomcast").connect(at("memory://names")).await?;
    assert_eq!((other.nodes().len(), default.nodes().len()), (1, 2));
    for cluster in [shop, same, told, other, unnamed, default] {
        cluster.close().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_name_in_code_counts_more_than_the_url() -> Result<()> {
    let one = Cluster::builder().cluster("code").connect(at("memory://explicit?cluster=url")).await?;
    let two = roomcast::connect("memory://explicit?cluster=code").await?;
    assert_eq!(two.nodes().len(), 2);
    one.close().await?;
    two.close().await
}

#[tokio::test]
async fn an_emitter_meets_the_cluster_of_its_url() -> Result<()> {
    let url = "memory://emitters?cluster=shop";
    let cluster = roomcast::connect(url).await?;
    let hub = Hub::new();
    let _news = cluster.namespace("/", hub.clone()).await?;
    let mut socket = hub.connect()?;
    let news = |text| Packet::event("news", text).expect("JSON");

    let elsewhere = Emitter::connect(at("memory://emitters")).await?;
    elsewhere.of("/")?.emit(news("of another cluster")).await?;
    Emitter::connect(at(url)).await?.of("/")?.emit(news("one")).await?;
    let told = Emitter::builder().cluster("shop").connect(at("memory://emitters?cluster=other")).await?;
    told.of("/")?.emit(news("two")).await?;
    for expected in ["one", "two"] {
        let delivery = socket.next().await.expect("connected");
        assert_eq!(delivery.packet, news(expected));
    }
    cluster.close().await
}
