//! `roomcast_emit`: what SQL emits arrives if and only if its transaction commits.
#![allow(clippy::unwrap_used, reason = "how a test fails")]

mod support;

use std::collections::HashMap;
use std::sync::Arc;

use engineioxide::Packet;
use roomcast_conformance::Broker;
use roomcast_core::{Cluster, Hub, NamespaceHandle, PacketFormat, Socket};
use roomcast_postgres::Postgres;
use roomcast_socketioxide::{Adapter, SocketRef};
use socketioxide::SocketIo;
use support::{Tested, admin, postgres, soon};
use tokio_postgres::Client;

/// Two nodes of one cluster, each with one socket in `/chat` in the room `room`.
struct Nodes {
    clusters: Vec<Cluster>,
    sockets: Vec<Socket>,
    _chats: Vec<NamespaceHandle>,
    client: Client,
    name: String,
}

impl Nodes {
    async fn start(broker: &Broker, name: &str) -> Self {
        let postgres = Postgres::from_url(&broker.url()).unwrap();
        postgres.install().await.unwrap();
        let (mut clusters, mut sockets, mut chats) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..2 {
            let cluster = Cluster::builder().cluster(name).connect(postgres.clone()).await.unwrap();
            let hub = Hub::builder().queue(100_000).build();
            chats.push(cluster.namespace("/chat", hub.clone()).await.unwrap());
            let socket = hub.connect().unwrap();
            socket.join(["room"]).unwrap();
            sockets.push(socket);
            clusters.push(cluster);
        }
        Self { clusters, sockets, _chats: chats, client: admin(broker).await, name: name.to_owned() }
    }

    /// What each socket got, up to a fence that is emitted here.
    async fn got(&mut self) -> Vec<Vec<String>> {
        emit(&self.client, &format!("'/chat', NULL, 'fence', NULL, '{}'", self.name)).await.unwrap();
        let mut all = Vec::new();
        for socket in &mut self.sockets {
            let mut got = Vec::new();
            loop {
                let packet = soon(socket.next()).await.expect("a packet").packet;
                assert_eq!(packet.format, PacketFormat::Event);
                let text = String::from_utf8(packet.data.to_vec()).unwrap();
                if text == "[\"fence\"]" {
                    break;
                }
                got.push(text);
            }
            all.push(got);
        }
        all
    }

    async fn expect(&mut self, want: &[&str]) {
        assert_eq!(self.got().await, [want, want]);
    }

    async fn close(self) {
        for cluster in self.clusters {
            assert_eq!((cluster.stats().malformed, cluster.stats().lost), (0, 0));
            cluster.close().await.unwrap();
        }
    }
}

async fn emit(client: &Client, arguments: &str) -> Result<(), tokio_postgres::Error> {
    client.batch_execute(&format!("SELECT roomcast_emit({arguments})")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_reaches_the_sockets_that_are_meant_once() -> Tested {
    let broker = postgres().await;
    let mut nodes = Nodes::start(&broker, "roomcast").await;
    let sql = admin(&broker).await;
    for arguments in [
        r#"'/chat', ARRAY['room'], 'news', '{"a": 1}'"#,
        "'/chat', NULL, 'everyone', '[1, 2]'",
        "'/chat', ARRAY['other', 'room', 'room'], 'union', 'null'",
        "'/chat', ARRAY['room'], 'bare'",
        "'/chat', ARRAY['other'], 'elsewhere', '1'",
        "'/chat', ARRAY[]::text[], 'nobody', '1'",
        "'/', NULL, 'another namespace', '1'",
        "'/chat', NULL, 'another cluster', '1', 'other'",
        r#"'/chat', ARRAY['room'], E'"\n\\ü💬', to_jsonb(E'"\n\\ü💬'::text)"#,
        "'/chat', ARRAY['room'], 'same', '1'",
        "'/chat', ARRAY['room'], 'same', '1'",
    ] {
        emit(&sql, arguments).await?;
    }
    let odd = serde_json::json!(["\"\n\\ü💬", "\"\n\\ü💬"]).to_string().replace("\",\"", "\", \"");
    let want = [
        r#"["news", {"a": 1}]"#,
        r#"["everyone", [1, 2]]"#,
        r#"["union", null]"#,
        r#"["bare"]"#,
        &odd,
        r#"["same", 1]"#,
        r#"["same", 1]"#,
    ];
    nodes.expect(&want).await;
    nodes.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn it_arrives_if_and_only_if_the_transaction_commits() -> Tested {
    let broker = postgres().await;
    let mut nodes = Nodes::start(&broker, "roomcast").await;
    let mut sql = admin(&broker).await;
    let one = |n: u32| format!("SELECT roomcast_emit('/chat', ARRAY['room'], 'n', '{n}')");

    let transaction = sql.transaction().await?;
    transaction.batch_execute(&one(1)).await?;
    nodes.expect(&[]).await; // not before the commit
    transaction.batch_execute(&one(1)).await?; // the same again is another event
    transaction.commit().await?;
    nodes.expect(&["[\"n\", 1]", "[\"n\", 1]"]).await;

    let transaction = sql.transaction().await?;
    transaction.batch_execute(&one(2)).await?;
    transaction.rollback().await?;
    nodes.expect(&[]).await;

    let mut transaction = sql.transaction().await?;
    transaction.batch_execute(&one(3)).await?;
    let savepoint = transaction.savepoint("one").await?;
    savepoint.batch_execute(&one(4)).await?;
    // Of several parts.
    savepoint.batch_execute("SELECT roomcast_emit('/chat', NULL, 'n', to_jsonb(repeat('x', 30000)))").await?;
    savepoint.rollback().await?;
    let savepoint = transaction.savepoint("two").await?;
    savepoint.batch_execute(&one(5)).await?;
    savepoint.commit().await?;
    transaction.commit().await?;
    nodes.expect(&["[\"n\", 3]", "[\"n\", 5]"]).await;
    nodes.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn of_transactions_side_by_side_exactly_the_committed_arrive_in_order() -> Tested {
    const CLIENTS: usize = 50;
    const EACH: usize = 6;
    let broker = postgres().await;
    let mut nodes = Nodes::start(&broker, "roomcast").await;
    let mut running = Vec::new();
    for who in 0..CLIENTS {
        let mut sql = admin(&broker).await;
        running.push(tokio::spawn(async move {
            for round in 0..EACH {
                let transaction = sql.transaction().await.unwrap();
                for n in 0..3 {
                    // Now and then in parts, which others must not come between.
                    let pad = if (who + round + n) % 7 == 0 { 9_000 } else { 0 };
                    let data = format!("jsonb_build_array({who}, {round}, {n}, repeat('x', {pad}))");
                    emit(transaction.client(), &format!("'/chat', ARRAY['room'], 'n', {data}")).await.unwrap();
                }
                if (who + round) % 2 == 0 { transaction.commit().await } else { transaction.rollback().await }.unwrap();
            }
        }));
    }
    for one in running {
        one.await?;
    }
    let mut orders = Vec::new();
    for got in nodes.got().await {
        let events =
            got.iter().map(|text| serde_json::from_str::<(String, (usize, usize, usize, String))>(text).unwrap().1);
        let events: Vec<_> = events.map(|(who, round, n, _)| (who, round, n)).collect();
        let mut by_client: HashMap<usize, Vec<_>> = HashMap::new();
        events.iter().for_each(|(who, round, n)| by_client.entry(*who).or_default().push((*round, *n)));
        for who in 0..CLIENTS {
            let committed = (0..EACH).filter(|round| (who + round) % 2 == 0);
            let want: Vec<_> = committed.flat_map(|round| (0..3).map(move |n| (round, n))).collect();
            assert_eq!(by_client.remove(&who).unwrap_or_default(), want, "client {who}");
        }
        // A transaction's events stand together.
        assert!(events.chunks(3).all(|three| three.iter().all(|event| (event.0, event.1) == (three[0].0, three[0].1))));
        orders.push(events);
    }
    assert_eq!(orders[0], orders[1], "all nodes see one order");
    nodes.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn data_of_every_size_arrives_whole_and_too_much_is_an_error() -> Tested {
    let broker = postgres().await;
    let mut nodes = Nodes::start(&broker, "roomcast").await;
    let sql = admin(&broker).await;
    // Around what fits into one notification, as letters of one byte and of four, and around what fits into two and three.
    let sizes: Vec<_> =
        (1_700..1_950).step_by(7).chain(7_780..7_930).step_by(3).chain(11_700..11_800).step_by(11).collect();
    for letter in ["x", "💬"] {
        for size in &sizes {
            emit(&sql, &format!("'/chat', ARRAY['room'], 'n', to_jsonb(repeat('{letter}', {size}))")).await?;
        }
        let want: Vec<_> = sizes.iter().map(|size| format!("[\"n\", \"{}\"]", letter.repeat(*size))).collect();
        for got in nodes.got().await {
            assert!(
                got == want,
                "{letter}: {} of {} as they were",
                got.iter().filter(|text| want.contains(text)).count(),
                want.len()
            );
        }
    }
    let megabytes = 4 << 20;
    emit(&sql, &format!("'/chat', NULL, 'n', to_jsonb(repeat('x', {megabytes}))")).await?;
    assert!(nodes.got().await.iter().all(|got| got[0].len() == megabytes + 9));
    let refused = emit(&sql, "'/chat', NULL, 'n', to_jsonb(repeat('x', 17 << 20))").await.unwrap_err();
    assert_eq!(refused.code().map(|code| code.code()), Some("54000"), "{refused:?}");
    nodes.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_arguments_are_errors_of_sql() -> Tested {
    let broker = postgres().await;
    let mut nodes = Nodes::start(&broker, "roomcast").await;
    let sql = admin(&broker).await;
    let long = format!("repeat('ü', {})", 513);
    for (arguments, code) in [
        ("NULL, NULL, 'n', '1'", "22023"),
        ("'', NULL, 'n', '1'", "22023"),
        (&format!("{long}, NULL, 'n', '1'"), "22023"),
        ("'/chat', NULL, NULL, '1'", "22023"),
        ("'/chat', NULL, '', '1'", "22023"),
        ("'/chat', ARRAY['room', NULL], 'n', '1'", "22023"),
        ("'/chat', ARRAY['room', ''], 'n', '1'", "22023"),
        (&format!("'/chat', ARRAY[{long}], 'n', '1'"), "22023"),
        ("'/chat', NULL, 'n', '1', NULL", "22023"),
        ("'/chat', NULL, 'n', '1', ''", "22023"),
        ("'/chat', NULL, 'n', 'no json'", "22P02"),
    ] {
        let refused = emit(&sql, arguments).await.expect_err(arguments);
        assert_eq!(refused.code().map(|code| code.code()), Some(code), "{arguments}");
    }
    nodes.expect(&[]).await;
    nodes.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn clusters_of_any_name_are_told_apart() -> Tested {
    let broker = postgres().await;
    let names = ["shop", "Shop", "a b", "ü.*>", "twenty-one-letters-xx", "a'b"];
    let mut all = Vec::new();
    for name in names {
        all.push(Nodes::start(&broker, name).await);
    }
    let sql = admin(&broker).await;
    for name in names {
        let query = "SELECT roomcast_emit('/chat', NULL, 'n', to_jsonb($1::text), $1)";
        sql.execute(query, &[&name]).await?;
    }
    for (nodes, name) in all.iter_mut().zip(names) {
        nodes.name = name.replace('\'', "''");
        nodes.expect(&[&format!("[\"n\", \"{name}\"]")]).await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn installing_is_for_everybody_and_can_be_repeated() -> Tested {
    let broker = postgres().await;
    let sql = admin(&broker).await;
    sql.batch_execute("CREATE ROLE app LOGIN; CREATE SCHEMA app AUTHORIZATION app").await?;
    let url = support::url(&broker, "app", "/postgres");
    let app = Postgres::from_url(&url)?;
    // At once, as the nodes of a cluster do when they start; in the schema named after the role.
    let all: Vec<_> = (0..8)
        .map(|_| {
            tokio::spawn({
                let app = app.clone();
                async move { app.install().await }
            })
        })
        .collect();
    for one in all {
        one.await??;
    }
    sql.batch_execute("CREATE ROLE other LOGIN; GRANT USAGE ON SCHEMA app TO other").await?;
    let other = support::client(&support::url(&broker, "other", "/postgres")).await;
    other.batch_execute("SELECT app.roomcast_emit('/', NULL, 'n', '1', 'a name that is hashed')").await?;
    let functions =
        sql.query_one("SELECT count(*) FROM pg_proc WHERE proname = 'roomcast_emit' AND NOT prosecdef", &[]);
    assert_eq!(functions.await?.get::<_, i64>(0), 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_that_others_planted_are_not_called() -> Tested {
    let broker = postgres().await;
    let mut nodes = Nodes::start(&broker, "roomcast").await;
    let sql = admin(&broker).await;
    // Each would be a better match than the server's own, which takes arguments of any type.
    sql.batch_execute("CREATE TABLE called (name text)").await?;
    for (name, arguments, returns) in [
        ("to_jsonb", "text[]", "jsonb"),
        ("cardinality", "text[]", "int"),
        ("jsonb_build_array", "text, jsonb", "jsonb"),
        ("jsonb_build_object", "text, text, text, jsonb", "jsonb"),
    ] {
        let body = format!("INSERT INTO public.called VALUES ('{name}') RETURNING NULL::{returns}");
        sql.batch_execute(&format!(
            "CREATE FUNCTION public.{name}({arguments}) RETURNS {returns} LANGUAGE sql AS $$ {body} $$"
        ))
        .await?;
    }
    emit(&sql, "'/chat', ARRAY['room'], 'news', '1'").await?;
    nodes.expect(&[r#"["news", 1]"#]).await;
    let called = sql.query_one("SELECT string_agg(name, ', ') FROM called", &[]).await?;
    assert_eq!(called.get::<_, Option<String>>(0), None);
    // What the caller has set is as before.
    let path = sql.query_one("SHOW search_path", &[]).await?;
    assert!(path.get::<_, String>(0).contains("public"));
    nodes.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn socketioxides_own_sockets_get_it_as_well() -> Tested {
    let broker = postgres().await;
    let postgres = Postgres::from_url(&broker.url())?;
    postgres.install().await?;
    let sql = admin(&broker).await;
    let mut sockets = Vec::new();
    for _ in 0..2 {
        let cluster: Arc<dyn roomcast_core::adapter::Adapter> = Cluster::connect(postgres.clone()).await?.into();
        let (layer, io) = SocketIo::builder().with_adapter::<Adapter<_>>(Arc::clone(&cluster).into()).build_layer();
        io.ns("/chat", async |socket: SocketRef| socket.join("room")).await?;
        let (send, receive) = io.new_dummy_sock("/chat", ()).await;
        sockets.push((receive, send, layer, io));
    }
    for (receive, ..) in &mut sockets {
        soon(receive.recv()).await.expect("the namespace's hello");
    }
    emit(&sql, r#"'/chat', ARRAY['room'], 'news', '{"a": [1, "ü"]}'"#).await?;
    emit(&sql, "'/chat', NULL, 'bare'").await?;
    for (receive, ..) in &mut sockets {
        for want in [r#"2/chat,["news",{"a":[1,"ü"]}]"#, r#"2/chat,["bare"]"#] {
            match soon(receive.recv()).await {
                Some(Packet::Message(text)) => assert_eq!(text.to_string().replace(": ", ":").replace(", ", ","), want),
                other => panic!("{other:?} instead of {want}"),
            }
        }
    }
    Ok(())
}
